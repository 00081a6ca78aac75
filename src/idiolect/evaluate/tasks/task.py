"""The definition of a task: a name, and a function from options (files, numbers of people and opinions) to a benchmark.

    table.TASKS[name].load(TaskOptions(…)) → Benchmark → runner

The configuration provides the options; the other modules in this folder create the benchmark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from idiolect.evaluate.benchmark import Benchmark

Group = Literal["reported", "development"]
History = Literal["opinions", "texts"]
Asks = Literal["published", "history"]


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Options of a task.

    Args:
        data: file or folder in the layout that the task reads; None for bundled people.
        people: maximum number of cases; None: everybody in the group with enough data.
        train: number of opinions (or texts) of a person to learn from.
        test: maximum number of other opinions to ask; None: all others.
        seed: seed for the selection of people, and for the split into learning and asking; it does not affect groups.
        group: people for reported results, or for choosing settings; nobody is in both, whatever the other fields are.
        topics: only people of these groups (OpinionQA's topics or wave names; values of `group_by`); empty: all.
        split: published file of a data set that has several (LaMP's splits, PersonaMem's sizes).
        history: form of LaMP's and PersonaMem's histories.
        asks: questions for LaMP's people: the published ones, or a held-out part of their histories.
        group_by: profile attribute or unknown key of a users file whose value is a case's group; "": "topic", if
            present.
        mask_names: replace names in the texts of a users file before anything is learned or scored.

    Raises:
        ValueError: people, train or test is below 1.
    """

    data: Path | None
    people: int | None = None
    train: int = 20
    test: int | None = 30
    seed: int = 0
    group: Group = "reported"
    topics: tuple[str, ...] = ()
    split: str = "dev"
    history: History = "opinions"
    group_by: str = ""
    asks: Asks = "published"
    mask_names: bool = False

    def __post_init__(self) -> None:
        for name, value in (("people", self.people), ("train", self.train), ("test", self.test)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")


@dataclass(frozen=True, slots=True)
class Task:
    """A task.

    Args:
        name: name on the command line.
        title: name for display.
        help: description of `data`, in one sentence.
        load: creates the benchmark. It raises `DatasetError` (`UsersFileError` for users files) if the data are
            missing, have another layout, or leave nobody to evaluate, and `SettingsError` if the options do not fit the
            task.
    """

    name: str
    title: str
    help: str
    load: Callable[[TaskOptions], Benchmark]
