"""The tasks `lamp-1` to `lamp-5` and `lamp-7`: LaMP's published questions, with part of each person's history.

LaMP's files → people → partition (by id) → selected people → cases

`train` items of the history are learned from (fewer if the history is shorter). The published questions are asked,
which is usually one per person. With `asks="history"` the history itself is split: `train` items are learned from, and
at most `test` others are asked, as in re-implementations of Fermi (arXiv 2406.18678), which use 20 and 30.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from idiolect.errors import DatasetError, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.tasks.cases import nobody_left, partition_ids
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.evaluate.tasks.users import data_of, replaced_note
from idiolect.people.lamp import LampFile, LampPerson, open_lamp
from idiolect.people.user import User

MEASURES = {
    "LaMP-1": ("accuracy",),
    "LaMP-2": ("accuracy", "macro_f1"),
    "LaMP-3": ("mae", "rmse", "accuracy"),
    "LaMP-4": ("rouge1", "rougeL"),
    "LaMP-5": ("rouge1", "rougeL"),
    "LaMP-7": ("rouge1", "rougeL"),
}
"""The published measures of each task, the main one first."""

_TITLES = {
    "LaMP-1": "which paper an author cites",
    "LaMP-2": "tags of movies",
    "LaMP-3": "ratings of products",
    "LaMP-4": "headlines of news",
    "LaMP-5": "titles of papers",
    "LaMP-7": "paraphrases of tweets",
}


def load_lamp(lamp_task: str, options: TaskOptions) -> Benchmark:
    """Load the benchmark of one LaMP task; see `Task.load`.

    Args:
        lamp_task: "LaMP-2".
        options: options of the task; `data` is a questions file or the task's folder; `topics` and `group_by` must be
            empty.
    """
    name = lamp_task.lower()
    if options.topics or options.group_by:
        raise SettingsError(f"{name}: LaMP's people have no groups: omit topics and group_by")
    file = open_lamp(data_of(name, options), task=lamp_task, split=options.split)
    asking: _Asking = _History(file, options) if options.asks == "history" else _Published(file, options)
    reported, development = partition_ids({person: person for person in file.people}, seed=options.seed)
    chosen = reported if options.group == "reported" else development
    taken, too_short = asking.take(chosen)
    people = {person.history.id: person for person in asking.read({*taken, *development})}
    cases = tuple(case for key in taken if key in people and (case := asking.case(people[key])))
    if not cases:
        raise DatasetError(nobody_left(name, len(chosen), options))
    ids = {case.user.id for case in cases}
    passed_over = too_short + len(taken) - len(cases)
    others = tuple(asking.all_said(people[key]) for key in development if key in people and key not in ids)
    return Benchmark(
        name,
        cases,
        MEASURES[lamp_task],
        others=others,
        others_are_fixed=options.group == "reported",
        labels=file.form.labels,
        broken=file.broken,
        notes=(*asking.notes(cases, passed_over), *replaced_note(file.replaced)),
        form="verbatim",
    )


@dataclass(frozen=True, slots=True)
class _Published:
    """Cases with the published questions."""

    file: LampFile
    options: TaskOptions

    def take(self, chosen: Sequence[str]) -> tuple[Sequence[str], int]:
        """Return the people to read, and the number of people skipped because of short histories."""
        return chosen[: self.options.people], 0

    def read(self, people: set[str]) -> tuple[LampPerson, ...]:
        """Read these people."""
        return self.file.read(people, history=self.options.history, limit=self.options.train, seed=self.options.seed)

    def case(self, person: LampPerson) -> Case | None:
        """Return the case of a person."""
        return Case(person.history, person.asked[: self.options.test])

    def all_said(self, person: LampPerson) -> User:
        """Return a person who is not reported, with all their data."""
        return replace(person.history, opinions=(*person.asked, *person.history.opinions))

    def notes(self, cases: Sequence[Case], passed_over: int) -> tuple[str, ...]:
        """Return notes for readers of the results."""
        train = self.options.train
        short = sum(len(case.user.opinions) + len(case.user.texts) < train for case in cases)
        notes = [f"LaMP's published questions about {self.file.form.about}; the histories are cut to {train} items."]
        if short:
            notes.append(f"{short} of {len(cases)} people have a history of fewer than {train} items.")
        if passed_over:
            notes.append(f"{passed_over} people were skipped because their history has only what is asked.")
        return tuple(notes)


@dataclass(frozen=True, slots=True)
class _History:
    """Cases with held-out items of the history as questions, without the published question and its item.

    Raises:
        SettingsError: the items have no answers.
    """

    file: LampFile
    options: TaskOptions

    def __post_init__(self) -> None:
        if not self.file.form.asks_of_history or self.options.history == "texts":
            raise SettingsError(
                f"{self.file.form.task.lower()}: the histories are texts, which have no questions: ask the published "
                "questions"
            )

    def take(self, chosen: Sequence[str]) -> tuple[Sequence[str], int]:
        """Return the people to read, and the number of people skipped because of short histories."""
        long_enough = self.file.with_history(self.options.train + 1)
        taken = [person for person in chosen if person in long_enough][: self.options.people]
        last = chosen.index(taken[-1]) + 1 if self.options.people is not None and taken else len(chosen)
        return taken, last - len(taken)

    def read(self, people: set[str]) -> tuple[LampPerson, ...]:
        """Read these people, with only the items that are learned from and asked."""
        limit = None if self.options.test is None else self.options.train + self.options.test
        return self.file.read(people, limit=limit, seed=self.options.seed, repeats=False)

    def case(self, person: LampPerson) -> Case | None:
        """Return the case of a person; None if the history is too short."""
        opinions, n = person.history.opinions, self.options.train
        return Case(replace(person.history, opinions=opinions[:n]), opinions[n:]) if len(opinions) > n else None

    def all_said(self, person: LampPerson) -> User:
        """Return a person who is not reported, with all their data."""
        return person.history

    def notes(self, cases: Sequence[Case], passed_over: int) -> tuple[str, ...]:
        """Return notes for readers of the results."""
        del cases
        n = self.options.train
        notes = [
            f"The questions are items of the histories of LaMP's people, about {self.file.form.about}: {n} other items "
            "of each person are learned from. The published questions are not asked."
        ]
        if passed_over:
            notes.append(f"{passed_over} people were skipped because they have fewer than {n + 1} different items.")
        return tuple(notes)


_Asking = _Published | _History

LAMP = tuple(
    Task(
        lamp_task.lower(),
        f"{lamp_task}: {_TITLES[lamp_task]}",
        f"{lamp_task}'s folder with <split>_questions.json and <split>_outputs.json, or one questions file.",
        partial(load_lamp, lamp_task),
    )
    for lamp_task in MEASURES
)
