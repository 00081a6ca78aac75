"""The number of threads that torch computes with, chosen by what other processes leave free.

torch's threads meet at the end of every operation and spin while they wait. Alone on the machine that is the fastest
way; where another process holds one of the cores, every meeting waits until the scheduler has run the missing thread,
and two processes slow each other down several times over (docs/results/two-at-once.md). So before a pass through a
network, `adapt` compares the time that the cores were busy with the time that this process used:

    threads = clamp(round(cores - busy cores of other processes), 1, most)

The number of threads changes no result, which a test checks bit by bit: where MKL would add up in another order, its
strict reproducible mode is switched on (`MKL_CBWR`, unless the user has set it). The number is set in OpenMP alone, by
threadpoolctl, because `torch.set_num_threads` also switches a setting of MKL (`MKL_DYNAMIC`) under which torch 2.13's
batched LU fails.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from threading import Lock, local

import psutil
import torch
from threadpoolctl import LibController, ThreadpoolController

_INTERVAL_S = 0.25  # the system counts busy time in steps of 10 ms, so shorter intervals are noise
_USERS_CHOICE = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, slots=True)
class CpuTimes:
    """Seconds since some fixed moment: of the clock, of all cores being busy, and of this process computing."""

    clock: float
    busy: float
    own: float


class ThreadsByLoad:
    """The number of threads that the machine has room for.

    Args:
        cores: cores that this process may run on.
        most: threads where nothing else runs; at least 1.
        read: reads the times of now.
        clock: reads the clock alone, which is cheaper.
    """

    def __init__(
        self, *, cores: int, most: int, read: Callable[[], CpuTimes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cores, self._most, self._read, self._clock = cores, most, read, clock
        self._threads, self._last = most, read()
        self._lock = Lock()  # the worker of each model asks

    def count(self) -> int:
        """Return the number of threads for the next pass; measures at most every quarter of a second."""
        with self._lock:
            if self._most > 1 and self._clock() - self._last.clock >= _INTERVAL_S:
                now = self._read()
                self._threads = self._fitting(now)
                self._last = now
            return self._threads

    def _fitting(self, now: CpuTimes) -> int:
        busy, own = now.busy - self._last.busy, now.own - self._last.own
        others = max(busy - own, 0.0) / (now.clock - self._last.clock)  # cores
        return max(1, min(self._most, round(self._cores - others)))


def adapt() -> None:
    """Let torch compute with as many threads as fit now; call it in the thread that is going to compute.

    Does nothing where the user has chosen a number: with OMP_NUM_THREADS or MKL_NUM_THREADS, or with
    `torch.set_num_threads`, before or after this module was imported. Never uses more threads than torch used when
    this module was imported.
    """
    if _by_load is None:
        return
    current = torch.get_num_threads()  # also lets torch choose its own number first, once in each thread
    if current != getattr(_here, "threads", _TORCHS_OWN):
        return  # set with torch.set_num_threads: OpenMP keeps a number for each thread
    _here.threads = _by_load.count()
    if current != _here.threads:
        for library in _openmp():
            library.set_num_threads(_here.threads)


def _add_up_in_one_order(environment: MutableMapping[str, str]) -> None:
    """Make MKL's matrix products independent of the number of threads; MKL reads this at its first product."""
    branch = torch.backends.cpu.get_cpu_capability()
    if branch in ("AVX2", "AVX512"):
        environment.setdefault("MKL_CBWR", f"{branch},STRICT")


def chosen_by_user(environment: Mapping[str, str]) -> bool:
    """Return whether the environment fixes the number of threads."""
    return any(environment.get(name) for name in _USERS_CHOICE)


@cache
def _openmp() -> list[LibController]:
    """Return the OpenMP runtimes in this process."""
    found: list[LibController] = ThreadpoolController().select(user_api="openmp").lib_controllers
    return found


def _cores() -> list[int]:
    """Return the numbers of the cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)
    return sorted(affinity(0)) if affinity else list(range(os.cpu_count() or 1))


def _cpu_times() -> CpuTimes:
    allowed = set(_cores())
    each = [times for core, times in enumerate(psutil.cpu_times(percpu=True)) if core in allowed]
    return CpuTimes(time.monotonic(), sum(map(_busy, each)), time.process_time())


def _busy(times: object) -> float:
    """Return the seconds in which a core computed for anybody; Linux counts a guest's time twice."""
    counted = times._asdict()  # type: ignore[attr-defined]
    not_busy = ("idle", "iowait", "guest", "guest_nice")
    return float(sum(seconds for name, seconds in counted.items() if name not in not_busy))


def _threads_by_load() -> ThreadsByLoad | None:
    """Return the rule for this machine; None where the user chose a number, or the load cannot be read."""
    if chosen_by_user(os.environ):
        return None
    try:
        return ThreadsByLoad(cores=len(_cores()), most=_TORCHS_OWN, read=_cpu_times)
    except (OSError, psutil.Error):  # a sandbox without /proc/stat, for example
        return None


_TORCHS_OWN = torch.get_num_threads()
_here = local()  # threads: the number that `adapt` chose last in this thread
_add_up_in_one_order(os.environ)
_by_load = _threads_by_load()
