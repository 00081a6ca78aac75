"""Cases from people, for every task: which people are reported, what is learned from, and what is asked.

    users → partition (by id) → people of a group, in hash order → cases

A person's group depends on the person alone: not on the seed, the number of people, or the other people in the file.
A question that is asked is never learned from, not even as a repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from idiolect.errors import DatasetError
from idiolect.evaluate.benchmark import DISTRIBUTION, Benchmark, Case
from idiolect.evaluate.tasks.task import Group, TaskOptions
from idiolect.people.broken_records import BrokenRecords
from idiolect.people.newest_answers import with_newest_answers
from idiolect.people.splits import hash_rank, person_behind, shuffled
from idiolect.people.user import QuestionKind, User

FEWEST_TO_PARTITION = 10
"""Minimum number of people for a development group."""

T = TypeVar("T")

_NONE_BROKEN = BrokenRecords()


@dataclass(frozen=True, slots=True)
class People:
    """The people of a data set in two groups, each in the order of selection."""

    reported: tuple[User, ...]
    development: tuple[User, ...]


def no_group(_user: User) -> str:
    """Return "", the group of everybody if there are no groups."""
    return ""


def group_of_person(key: str) -> Group:
    """Return a person's group, which depends only on their key; two in five are for development."""
    return "development" if int.from_bytes(hash_rank("group", key)) % 5 < 2 else "reported"


def partition_ids(person_of: Mapping[str, str], *, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of the reported and of the development group, each ordered by a hash of seed and id.

    With fewer than `FEWEST_TO_PARTITION` ids, all are reported.

    Args:
        person_of: person by id; all ids of one person are in the same group.
        seed: seed of the order.
    """
    ordered = sorted(person_of, key=lambda user_id: hash_rank("people", seed, user_id))
    if len(ordered) < FEWEST_TO_PARTITION:
        return tuple(ordered), ()
    parts: dict[Group, list[str]] = {"reported": [], "development": []}
    for user_id in ordered:
        parts[group_of_person(person_of[user_id])].append(user_id)
    return tuple(parts["reported"]), tuple(parts["development"])


def partition(users: Iterable[User], *, seed: int) -> People:
    """Partition users by the person behind them."""
    by_id = {user.id: user for user in users}
    persons = {user.id: person_behind(user) for user in by_id.values()}
    reported, development = partition_ids(persons, seed=seed)
    return People(tuple(by_id[key] for key in reported), tuple(by_id[key] for key in development))


def benchmark_of(
    task: str,
    people: People,
    options: TaskOptions,
    *,
    group_of: Callable[[User], str] = no_group,
    broken: BrokenRecords = _NONE_BROKEN,
    notes: tuple[str, ...] = (),
) -> Benchmark:
    """Create the benchmark of people with opinions, texts or both.

    Args:
        task: name of the task.
        people: people of the data set; cases are taken from the group in the options, in its order.
        options: options of the task, such as the number of people.
        group_of: returns the group of a case.
        broken, notes: see `Benchmark`.

    Raises:
        DatasetError: nobody in the group has enough data.
    """
    chosen = people.reported if options.group == "reported" else people.development
    taken = _Taken(options)
    cases = tuple(islice(taken.cases(chosen, group_of), options.people))
    if not cases:
        raise DatasetError(nobody_left(task, len(chosen), options))
    asked = {person_behind(case.user) for case in cases}
    others = tuple(user for user in people.development if person_behind(user) not in asked)
    return Benchmark(
        task,
        cases,
        measures_of(cases),
        others=others,
        others_are_fixed=options.group == "reported",
        other_groups={user.id: group for user in others if (group := group_of(user))},
        broken=broken,
        notes=(*notes, *taken.notes()),
    )


def nobody_left(task: str, of: int, options: TaskOptions) -> str:
    """Return the error message for a group without cases."""
    if not of and options.group == "development":
        return f"{task}: there are too few people for a development group"
    return (
        f"{task}: none of the {of} people in the {options.group} group has enough data: learning from {options.train} "
        f"opinions or texts and asking others needs {options.train + 1}; set a smaller number to learn from"
    )


@dataclass(slots=True)
class _Taken:
    """Selection of cases, with counts for notes."""

    options: TaskOptions
    skipped: int = 0
    repeated: int = 0

    def cases(self, users: Iterable[User], group_of: Callable[[User], str]) -> Iterable[Case]:
        for user in users:
            case = self._case(user, group_of(user))
            if case is None:
                self.skipped += 1
            else:
                yield case

    def _case(self, user: User, group: str) -> Case | None:
        newest, older = with_newest_answers(user)
        self.repeated += older
        opinions = newest.opinions
        texts = self._once(user.texts, lambda text: text.strip())
        learned, asked = _split(opinions, self.options, "opinions", user.id)
        read, held_out = _split(texts, self.options, "texts", user.id)
        if not asked and not held_out:
            return None
        return Case(replace(user, opinions=learned, texts=read), asked, held_out, group)

    def _once(self, items: Sequence[T], key: Callable[[T], Hashable]) -> tuple[T, ...]:
        """Return the first item of each key, so that no text is both learned from and continued."""
        first: dict[Hashable, T] = {}
        for item in items:
            first.setdefault(key(item), item)
        self.repeated += len(items) - len(first)
        return tuple(first.values())

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.skipped:
            what = f"fewer than {self.options.train + 1} different opinions (or texts)"
            notes.append(f"{self.skipped} people were skipped because they have {what}.")
        if self.repeated:
            notes.append(
                f"{self.repeated} opinions or texts were left out because they repeat one of the same person; the "
                "newest answer to a question counts."
            )
        return tuple(notes)


def _split(items: tuple[T, ...], options: TaskOptions, kind: str, user_id: str) -> tuple[tuple[T, ...], tuple[T, ...]]:
    mixed = shuffled(items, kind, options.seed, user_id)
    end = None if options.test is None else options.train + options.test
    return mixed[: options.train], mixed[options.train : end]


def measures_of(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return the names of the measures that apply to the questions and texts, the main one first."""
    asked = [opinion for case in cases for opinion in case.asked]
    kinds = {opinion.question.kind for opinion in asked}
    names: list[str] = []
    names += ["accuracy"] if kinds - {QuestionKind.FREE_TEXT} else []
    names += ["mae"] if QuestionKind.ORDINAL in kinds else []
    names += ["distribution_similarity"] if any(DISTRIBUTION in opinion.extra for opinion in asked) else []
    names += ["rouge1", "rougeL"] if QuestionKind.FREE_TEXT in kinds else []
    names += ["loglik"] if any(case.texts for case in cases) else []
    return tuple(names)
