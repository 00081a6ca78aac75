"""The tasks `lamp-1` to `lamp-5` and `lamp-7`: the published questions, after some of each person's history.

LaMP's files → people → partition (by id) → those who are asked for → cases

`train` items of the history are learned from (fewer where a history is shorter); the published questions are asked, so
that there is usually one a person.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from idiolect.errors import DatasetError, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.tasks.cases import nobody_left, partition_ids
from idiolect.evaluate.tasks.task import Task, TaskOrder
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


def load_lamp(lamp_task: str, order: TaskOrder) -> Benchmark:
    """The benchmark of one LaMP task; see `Task.load`.

    Args:
        lamp_task: "LaMP-2".
        order: `data` is a questions file or the task's folder; `topics` and `group_by` must be empty.
    """
    name = lamp_task.lower()
    if order.topics or order.group_by:
        raise SettingsError(f"{name}: LaMP's people have no groups: leave topics and group_by out")
    file = open_lamp(data_of(name, order), task=lamp_task, split=order.split)
    reported, development = partition_ids({person: person for person in file.people}, seed=order.seed)
    chosen = reported if order.group == "reported" else development
    taken = chosen[: order.people]
    people = {person.history.id: person for person in _read(file, {*taken, *development}, order)}
    cases = tuple(_case(people[key], order) for key in taken if key in people)
    if not cases:
        raise DatasetError(nobody_left(name, len(chosen), order))
    ids = {case.user.id for case in cases}
    notes = _notes(file, cases, order, passed_over=len(taken) - len(cases))
    others = tuple(_all_said(people[key]) for key in development if key in people and key not in ids)
    return Benchmark(
        name,
        cases,
        MEASURES[lamp_task],
        others=others,
        labels=file.form.labels,
        broken=file.broken,
        notes=notes,
    )


def _read(file: LampFile, people: set[str], order: TaskOrder) -> tuple[LampPerson, ...]:
    return file.read(people, history=order.history, limit=order.train, seed=order.seed)


def _case(person: LampPerson, order: TaskOrder) -> Case:
    return Case(person.history, person.asked[: order.test])


def _all_said(person: LampPerson) -> User:
    return replace(person.history, opinions=(*person.asked, *person.history.opinions))


def _notes(file: LampFile, cases: tuple[Case, ...], order: TaskOrder, *, passed_over: int) -> tuple[str, ...]:
    short = sum(len(case.user.opinions) + len(case.user.texts) < order.train for case in cases)
    notes = [f"LaMP's published questions about {file.form.about}; the histories are cut to {order.train} items."]
    if short:
        notes.append(f"{short} of {len(cases)} people have a history of fewer than {order.train} items.")
    if passed_over:
        notes.append(f"{passed_over} people were passed over: their history holds nothing but what is asked.")
    return (*notes, *replaced_note(file.replaced))


LAMP = tuple(
    Task(
        lamp_task.lower(),
        f"{lamp_task}: {_TITLES[lamp_task]}",
        f"{lamp_task}'s folder with <split>_questions.json and <split>_outputs.json, or one questions file.",
        partial(load_lamp, lamp_task),
    )
    for lamp_task in MEASURES
)
