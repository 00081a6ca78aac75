"""What a task is: a name, and a function from options (which files, how many people, how much of each) to a benchmark.

    table.TASKS[name].load(TaskOptions(…)) → Benchmark → runner

The configuration gives the options, the modules beside this one make the benchmark.
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
    """What to make a benchmark of.

    Args:
        data: file or folder in the layout that the task reads; None for tasks whose people come with the package.
        people: at most so many cases; None: everybody of the group who said enough.
        train: opinions (or texts) of a person to learn from.
        test: at most so many others are asked; None: all others.
        seed: of who is taken and of what is learned from and what is asked; never of who is in which group.
        group: people of reported results, or those for choosing settings; nobody is in both, whatever the other fields.
        topics: only people of these groups (OpinionQA's topics or wave names; values of `group_by`); empty: all.
        split: which published file of a data set that has several (LaMP).
        history: what LaMP's histories become.
        asks: what LaMP's people are asked: the published questions, or a part of their histories that is held out.
        group_by: profile attribute or unknown key of a users file whose value is a case's group; "": "topic" where
            people have it.

    Raises:
        ValueError: people, train or test below 1.
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

    def __post_init__(self) -> None:
        for name, value in (("people", self.people), ("train", self.train), ("test", self.test)):
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the table of tasks.

    Args:
        name: for the command line.
        title: for people.
        help: what `data` has to be, in a sentence.
        load: makes the benchmark; raises `DatasetError` (`UsersFileError` for users files) if the data are not there,
            not in their layout or leave nobody to evaluate, `SettingsError` if the options do not fit the task.
    """

    name: str
    title: str
    help: str
    load: Callable[[TaskOptions], Benchmark]
