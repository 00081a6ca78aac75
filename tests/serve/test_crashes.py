"""A gateway that is killed, at a durable write or anywhere: nothing is lost or doubled. All writes, 20 kills and two
gateways are in benchmarks/gateway_survives.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serve.survival.forked import Forks
from tests.serve.survival.killings import killed
from tests.serve.survival.places import on_sqlite
from tests.serve.survival.sweeps import Told, compare, keys_made, told
from tests.serve.survival.upstreams import Upstream

KILLS = 2


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as opened:
        yield opened


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as opened:
        yield opened


@pytest.fixture(scope="module")
def undisturbed(forks: Forks, upstream: Upstream) -> Told:
    with on_sqlite() as place:
        return told(forks, upstream, place)


def test_the_story_of_the_sweep_has_writes_of_every_kind(undisturbed: Told) -> None:
    assert undisturbed.tally.faults == []
    assert undisturbed.uncounted == 0
    told_of = " ".join(undisturbed.writes)
    for kind in (
        "CREATE users", "INSERT users", "INSERT opinions", "DELETE opinions", "UPDATE users", "INSERT jobs",
        "INSERT responses", "INSERT feedback", "UPDATE jobs", "INSERT spending", "INSERT personalizations",
        "INSERT checkpoints", "DELETE checkpoints", "INSERT receipts", "DELETE users", "DELETE erasures",
        "INSERT job_pauses", "calls: CREATE entries", "INSERT claims", "INSERT entries", "idiolect: VACUUM",
        "calls: VACUUM", "wal_checkpoint", "journal_mode",
    ):  # fmt: skip
        assert kind in told_of, kind


@pytest.mark.parametrize(
    ("kind", "before"),
    [
        ("INSERT feedback", False),
        ("INSERT entries", False),
        ("UPDATE personalizations", False),
        ("DELETE users", True),
        ("DELETE users", False),
    ],
)
def test_a_death_at_a_durable_write_changes_nothing(
    forks: Forks, upstream: Upstream, undisturbed: Told, kind: str, before: bool
) -> None:
    number = 1 + next(place for place, each in enumerate(undisturbed.writes) if kind in each)
    with on_sqlite() as place:
        found = told(forks, upstream, place, die_at=number, before=before)
    compare(found.tally, found.learned, undisturbed.learned)
    assert found.tally.faults == [], found.died_at
    assert found.tally.kills == 1


def test_a_death_while_a_key_is_made_leaves_at_most_one_that_nobody_has(forks: Forks) -> None:
    writes = keys_made(forks).writes
    for number in (1, len(writes) - 1, len(writes)):
        tally = keys_made(forks, die_at=number).tally
        assert (tally.faults, tally.kills) == ([], 1)


def test_kills_during_fits_and_streams_lose_and_double_nothing(forks: Forks) -> None:
    with Upstream(latency=0.02, interval=0.02) as upstream, on_sqlite() as place:
        found = killed(forks, upstream, place, kills=KILLS, people=2, seed=3)
    assert found.tally.faults == []
    assert found.tally.kills == KILLS
