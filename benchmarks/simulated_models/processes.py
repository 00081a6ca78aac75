"""Tasks in processes beside each other: a task is a person in a cell, and all writing is left to the first process."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

Cell = tuple[str, str]
"""A world and an optimizer, by their names."""


def at_least_one(text: str) -> int:
    """Return the number of processes that an option gives."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not 1 or greater")
    return number


class Progress:
    """Prints each cell when the last of its tasks is done, with the seconds since the start."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self._left, self._started = Counter(cells), time.perf_counter()

    def done(self, cell: Cell) -> None:
        """Count one task of a cell."""
        self._left[cell] -= 1
        if not self._left[cell]:
            print(f"{', '.join(cell)}: {time.perf_counter() - self._started:.0f} s", file=sys.stderr, flush=True)


def each_done(work: Callable[[T], R], tasks: Sequence[T], jobs: int) -> Iterator[tuple[T, R]]:
    """Do the tasks, and yield each with its result as soon as it is done.

    Args:
        work: does a task; with more than one job, a function of a module, because its name goes to the processes.
        tasks: the tasks.
        jobs: number of processes; ≥ 1. 1: the tasks are done in this process, in order.

    Raises:
        Exception: what a task raised; the tasks that have not begun are not done.
    """
    if jobs == 1:
        for task in tasks:
            yield task, work(task)
        return
    # Not forked: the threads of numpy and of an event loop would not survive that.
    pool = ProcessPoolExecutor(min(jobs, len(tasks)) or 1, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = {pool.submit(work, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(cancel_futures=True)
