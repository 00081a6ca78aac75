"""From people to cases: who is reported and who is not, what is learned from and what is asked. Used by every task.

    users → partition (by id) → people of a group, in hash order → cases

Who is in which group depends on the person alone: not on the seed, on how many are taken, or on who else is in the
file. What is asked is never among what is learned from, not even as a repetition.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from idiolect.errors import DatasetError
from idiolect.evaluate.benchmark import DISTRIBUTION, Benchmark, Case, question_key
from idiolect.evaluate.tasks.task import Group, TaskOptions
from idiolect.people.broken_records import BrokenRecords
from idiolect.people.opinionqa import RESPONDENT
from idiolect.people.splits import hash_rank, shuffled
from idiolect.people.user import QuestionKind, User

FEWEST_TO_PARTITION = 10
"""With fewer people than this, nobody is set apart for development."""

T = TypeVar("T")

_NONE_BROKEN = BrokenRecords()


@dataclass(frozen=True, slots=True)
class People:
    """The people of a data set in their two groups, each in the order in which they are taken."""

    reported: tuple[User, ...]
    development: tuple[User, ...]


def no_group(_user: User) -> str:
    """Return "", the group of everybody where there are none."""
    return ""


def group_of_person(key: str) -> Group:
    """Return a person's group by their key alone: two of five are for development."""
    return "development" if int.from_bytes(hash_rank("group", key)) % 5 < 2 else "reported"


def partition_ids(person_of: Mapping[str, str], *, seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of the reported and of the development group, each ordered by a hash of seed and id.

    Below `FEWEST_TO_PARTITION` ids all are reported.

    Args:
        person_of: the person by the id; who has several ids is in one group with all of them.
        seed: of the order.
    """
    ordered = sorted(person_of, key=lambda user_id: hash_rank("people", seed, user_id))
    if len(ordered) < FEWEST_TO_PARTITION:
        return tuple(ordered), ()
    parts: dict[Group, list[str]] = {"reported": [], "development": []}
    for user_id in ordered:
        parts[group_of_person(person_of[user_id])].append(user_id)
    return tuple(parts["reported"]), tuple(parts["development"])


def partition(users: Iterable[User], *, seed: int) -> People:
    """Partition users like ids; they are one person if they have the same `RESPONDENT`."""
    by_id = {user.id: user for user in users}
    persons = {user.id: str(user.extra.get(RESPONDENT, user.id)) for user in by_id.values()}
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
    """Return the benchmark that options make of people with opinions, texts or both.

    Args:
        task: its name.
        people: of the data set; cases come from the group that the options name, in their order.
        options: how many, and how much of each.
        group_of: the group of a case.
        broken, notes: as in `Benchmark`.

    Raises:
        DatasetError: nobody of the group said enough.
    """
    chosen = people.reported if options.group == "reported" else people.development
    taken = _Taken(options)
    cases = tuple(islice(taken.cases(chosen, group_of), options.people))
    if not cases:
        raise DatasetError(nobody_left(task, len(chosen), options))
    ids = {case.user.id for case in cases}
    others = tuple(user for user in people.development if user.id not in ids)
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
    """Return the message for a group without cases."""
    if not of and options.group == "development":
        return f"{task}: there are too few people to have a development group"
    return (
        f"{task}: none of the {of} people of the {options.group} group said enough: to learn from {options.train} "
        f"opinions or texts and ask others takes {options.train + 1}; is a smaller number to learn from meant?"
    )


@dataclass(slots=True)
class _Taken:
    """Makes cases, and counts what a reader has to know."""

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
        opinions = self._once(user.opinions, lambda opinion: question_key(opinion.question))
        texts = self._once(user.texts, lambda text: text.strip())
        learned, asked = _split(opinions, self.options, "opinions", user.id)
        read, held_out = _split(texts, self.options, "texts", user.id)
        if not asked and not held_out:
            return None
        return Case(replace(user, opinions=learned, texts=read), asked, held_out, group)

    def _once(self, items: Sequence[T], key: Callable[[T], Hashable]) -> tuple[T, ...]:
        """Return the first of each key: what was answered twice must not be learned from and asked as well."""
        first: dict[Hashable, T] = {}
        for item in items:
            first.setdefault(key(item), item)
        self.repeated += len(items) - len(first)
        return tuple(first.values())

    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.skipped:
            what = f"fewer than {self.options.train + 1} different opinions (or texts)"
            notes.append(f"{self.skipped} people were passed over: they have {what}.")
        if self.repeated:
            notes.append(f"{self.repeated} opinions or texts repeat one of the same person and were left out.")
        return tuple(notes)


def _split(items: tuple[T, ...], options: TaskOptions, kind: str, user_id: str) -> tuple[tuple[T, ...], tuple[T, ...]]:
    mixed = shuffled(items, kind, options.seed, user_id)
    end = None if options.test is None else options.train + options.test
    return mixed[: options.train], mixed[options.train : end]


def measures_of(cases: Iterable[Case]) -> tuple[str, ...]:
    """Return names of the measures that fit what is asked, the main one first."""
    asked = [opinion for case in cases for opinion in case.asked]
    kinds = {opinion.question.kind for opinion in asked}
    names: list[str] = []
    names += ["accuracy"] if kinds - {QuestionKind.FREE_TEXT} else []
    names += ["mae"] if QuestionKind.ORDINAL in kinds else []
    names += ["distribution_similarity"] if any(DISTRIBUTION in opinion.extra for opinion in asked) else []
    names += ["rouge1", "rougeL"] if QuestionKind.FREE_TEXT in kinds else []
    names += ["loglik"] if any(case.texts for case in cases) else []
    return tuple(names)
