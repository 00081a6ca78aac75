"""A benchmark as values: people, the data to learn from, and the questions to ask, without files or models.

    tasks (files in their published layouts) → Benchmark → runner → answers

A task creates a benchmark from published files. Methods, measures, statistics and the report see only this value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from idiolect.methods.answering import QuestionForm
from idiolect.people.broken_records import BrokenRecords
from idiolect.people.user import Opinion, Question, User

DISTRIBUTION = "distribution"
"""Key of `Opinion.extra` for a population's answers, as one share per choice. If it is present, answers are compared
with it too (GlobalOpinionQA)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One person of a benchmark.

    Args:
        user: the person, with only the data to learn from: profile, training opinions and training texts.
        asked: the person's held-out opinions, whose answers only the measures see.
        texts: the person's held-out texts.
        group: group of people with something in common (a topic, a continent); "" if there is none.
        most: maximum number of training opinions, and of texts, at this point of a learning curve; None: all of them.

    Raises:
        ValueError: there are neither held-out opinions nor held-out texts.
    """

    user: User
    asked: tuple[Opinion, ...] = ()
    texts: tuple[str, ...] = ()
    group: str = ""
    most: int | None = None

    def __post_init__(self) -> None:
        if not self.asked and not self.texts:
            raise ValueError(f"nothing is asked of {self.user.id!r}")

    def learning_from(self, n: int) -> Case:
        """Return the same person with only the first n training opinions and texts."""
        if n < 1:
            raise ValueError(f"n is {n}, must be at least 1")
        user = replace(self.user, opinions=self.user.opinions[:n], texts=self.user.texts[:n])
        return replace(self, user=user, most=n)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Result of reading a task's files.

    Args:
        task: name of the task.
        cases: people whose results are reported; their ids are all different.
        others: people whose results are not reported, with all their data, for choosing settings and for populations.
        measures: names of the measures (`measures.MEASURES`); comparisons use the first.
        labels: all possible answers, if a measure needs them (the 15 tags of LaMP-2).
        other_groups: group of each of `others`, by id; see `Case.group`.
        others_are_fixed: whether `others` are the same for any number of cases.
        broken: records that could not be read and were left out.
        notes: information about the data for readers of the results, one sentence each.
        form: default form of the questions: labelled or verbatim.
    """

    task: str
    cases: tuple[Case, ...]
    measures: tuple[str, ...]
    others: tuple[User, ...] = ()
    labels: tuple[str, ...] = ()
    other_groups: Mapping[str, str] = field(default_factory=dict)
    others_are_fixed: bool = True
    broken: BrokenRecords = field(default_factory=BrokenRecords)
    notes: tuple[str, ...] = ()
    form: QuestionForm = "labelled"

    def __post_init__(self) -> None:
        if not self.measures:
            raise ValueError("a benchmark needs a measure")
        ids = [case.user.id for case in self.cases]
        if len(set(ids)) != len(ids):
            raise ValueError("two cases belong to the same person")


def question_key(question: Question) -> str:
    """Return a key of a question, which is the same for everyone who is asked it: 16 hexadecimal digits."""
    return blake2b("\0".join((question.text, *question.choices)).encode(), digest_size=8).hexdigest()


def text_key(text: str) -> str:
    """Return a key of a text, in the same format."""
    return blake2b(f"text\0{text}".encode(), digest_size=8).hexdigest()
