"""Gateways that die and are started again, and what was committed when each of them died.

death → the committed calls, and how many requests the model had had → at the end: none of these was sent once more
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.api_server import Received
from tests.cli.remote_world import name_of, names_in
from tests.serve.survival.forked import Forked, Forks
from tests.serve.survival.tally import Tally
from tests.serve.survival.upstreams import Upstream, is_about, is_talk


@dataclass(frozen=True)
class Death:
    """What was so when a gateway had died.

    Args:
        committed: names of the calls whose answers were in the cache.
        asked: number of requests that the model had had.
        received: number of the last of them.
        died_at: the durable write at which it was killed; None: it was killed from outside.
    """

    committed: frozenset[str]
    asked: int
    received: int
    died_at: str | None


class Gateways:
    """Some gateways on one store, which are started again when none is left.

    Args:
        forks: starts them.
        settings: of each of them.
        upstream: the model.
        cache: the file of the cache of calls.
        notes: the folder for what they write about themselves.
        number: how many there are.
        environment: of their processes.

    Attributes:
        deaths: those so far.
        writes: the durable writes of the first of those that `stop` has ended.
    """

    def __init__(
        self,
        forks: Forks,
        settings: Mapping[str, Any],
        upstream: Upstream,
        *,
        cache: Path,
        notes: Path,
        number: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._forks, self._settings, self._upstream, self._cache, self._notes = forks, settings, upstream, cache, notes
        self._environment = environment
        self._lock, self._draws = threading.RLock(), random.Random(1)
        self._running: list[Forked | None] = [None] * number
        self.deaths: list[Death] = []
        self.writes: list[str] = []

    @property
    def n_deaths(self) -> int:
        """How many have died."""
        return len(self.deaths)

    def start(self, place: int = 0, *, die_at: int | None = None, before: bool = False) -> Forked:
        """Start one that is not running."""
        with self._lock:
            started = self._forks.serve(
                self._settings, self._notes, die_at=die_at, before=before, environment=self._environment
            )
            self._running[place] = started
            return started

    def root(self) -> str:
        """Return the address of one that serves; if none is left, each is started again."""
        while True:
            with self._lock:
                self._bury()
                if not any(self._running):
                    for place in range(len(self._running)):
                        self.start(place)
                chosen = self._draws.choice([each for each in self._running if each is not None])
            if (root := chosen.root) is not None:
                return root

    def kill(self, place: int = 0) -> None:
        """Kill one from outside."""
        with self._lock:
            if (running := self._running[place]) is not None:
                running.kill()
                self._bury()

    def revive(self, place: int = 0) -> None:
        """Start one again, unless it runs."""
        with self._lock:
            if not self.is_running(place):
                self.start(place)

    def is_running(self, place: int = 0) -> bool:
        """Return whether one is running."""
        with self._lock:
            self._bury()
            return self._running[place] is not None

    def stop(self) -> list[str]:
        """End those that run, in peace, and return their logs."""
        with self._lock:
            self._bury()
            ended = [each for each in self._running if each is not None]
            self._running = [None] * len(self._running)
            for each in ended:
                assert each.stop() == 0, each.output
            self.writes = ended[0].writes if ended else []
            return [each.output for each in ended]

    def _bury(self) -> None:
        for place, running in enumerate(self._running):
            if running is not None and running.status is not None:
                self._running[place] = None
                assert running.status == -9, running.output  # no other death is expected
                committed = committed_names(self._cache, copied=not any(self._running))
                requests = self._upstream.server.requests
                received = requests[-1].number if requests else 0
                self.deaths.append(Death(committed, len(requests), received, running.died_at))

    def check_calls(self, tally: Tally, *, erased: tuple[str, ...] = ()) -> None:
        """Check that no committed call was lost, and none was sent again."""
        requests = self._upstream.server.requests
        gone = {name_of(each.body) for each in requests if any(is_about(each, user_id) for user_id in erased)}
        kept = committed_names(self._cache, copied=False)
        for death in self.deaths:
            again = {name_of(each.body) for each in requests[death.asked :]}
            tally.all_there("committed call", kept, death.committed - gone)
            tally.never("committed call was paid again", death.committed & again)
        tally.never("call was made twice, and nobody died", self._twice(requests))
        tally.holds("calls of an erased person are left", not kept & gone)

    def in_flight(self, calls: Sequence[Received]) -> int:
        """Return how many of these calls were not committed when a gateway died, and so were made for nothing."""
        found, before = 0, 0
        for death in self.deaths:
            began = [each for each in calls if before < each.number <= death.received]
            found += sum(name_of(each.body) not in death.committed for each in began)
            before = death.received
        return found

    def _twice(self, requests: Sequence[Received]) -> list[str]:
        """Return the calls of fits that were made again although no gateway had died in between."""
        places, found = dict[str, int](), []
        for place, each in enumerate(requests):
            if is_talk(each.body):
                continue
            name = name_of(each.body)
            before = places.get(name)
            if before is not None and not any(before < death.asked <= place for death in self.deaths):
                found.append(name)
            places[name] = place
        return found


def committed_names(cache: Path, *, copied: bool) -> frozenset[str]:
    """Return the names of the calls whose answers are committed in a cache.

    Args:
        cache: its file; it need not exist.
        copied: whether to read a copy, so that the recovery of the file is left to whoever opens it next.
    """
    if not cache.exists():
        return frozenset()
    with tempfile.TemporaryDirectory() as folder:
        file = cache
        if copied:
            for each in cache.parent.glob(f"{cache.name}*"):
                if each.suffix != ".alive":
                    shutil.copy(each, folder)
            file = Path(folder) / cache.name
        with closing(sqlite3.connect(file)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            if "entries" not in tables:
                return frozenset()
            return frozenset(names_in(bytes(result) for (result,) in database.execute("SELECT result FROM entries")))
