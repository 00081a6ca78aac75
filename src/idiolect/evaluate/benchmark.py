"""A benchmark as values: people, what may be learned from each of them, and what is asked; no file and no model.

    tasks (files in their published layouts) → Benchmark → runner → answers

A task makes one of these out of what its authors publish. Everything below (methods, measures, statistics, report) sees
nothing else of a benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from idiolect.methods.answering import QuestionForm
from idiolect.people.broken_records import BrokenRecords
from idiolect.people.user import Opinion, Question, User

DISTRIBUTION = "distribution"
"""Key of `Opinion.extra`: how a whole population answered, one share a choice; where it is, answers are compared with
it too (GlobalOpinionQA)."""


@dataclass(frozen=True, slots=True)
class Case:
    """One person of a benchmark.

    Args:
        user: the person, with only what may be learned from: profile, training opinions and training texts.
        asked: the person's held-out opinions; their answers are known to the measures only.
        texts: held-out texts of the person's.
        group: of people that have something in common (a topic, a continent); "" where there is none.

    Raises:
        ValueError: nothing is asked.
    """

    user: User
    asked: tuple[Opinion, ...] = ()
    texts: tuple[str, ...] = ()
    group: str = ""

    def __post_init__(self) -> None:
        if not self.asked and not self.texts:
            raise ValueError(f"nothing is asked of {self.user.id!r}")

    def learning_from(self, n: int) -> Case:
        """Return the same person, with only the first n training opinions and texts."""
        if n < 1:
            raise ValueError(f"n is {n}, must be at least 1")
        user = replace(self.user, opinions=self.user.opinions[:n], texts=self.user.texts[:n])
        return replace(self, user=user)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What a task made of its files.

    Args:
        task: its name in the table of tasks.
        cases: the people who are reported on; ids all different.
        others: people who are not: settings may be chosen and populations counted on them, with all they said.
        measures: names of what is measured (`measures.MEASURES`), the first is the one that comparisons are about.
        labels: all answers that exist, where a measure needs them (the 15 tags of LaMP-2).
        other_groups: the group of each of `others`, by id; like `Case.group`.
        others_are_fixed: they are the same however many cases there are.
        broken: records that could not be read and were left out.
        notes: what a reader of the results has to know of the data, a sentence each.
        form: how its questions are put to a model, where nobody says otherwise: labelled, or in their own words.
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
            raise ValueError("two cases are of one person")


def question_key(question: Question) -> str:
    """Return the identity of a question, the same for all who are asked it: 16 hexadecimal digits."""
    return blake2b("\0".join((question.text, *question.choices)).encode(), digest_size=8).hexdigest()


def text_key(text: str) -> str:
    """Return the identity of a text, in the same form."""
    return blake2b(f"text\0{text}".encode(), digest_size=8).hexdigest()
