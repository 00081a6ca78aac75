"""Kills at random moments of fits and streams, of one gateway on SQLite or of two on one PostgreSQL.

killed(…, on_sqlite(folder))             one gateway: killed, and started again at once
killed(…, on_postgresql(url, folder))    two in turn: while one is dead, the other goes on
taken_over(…)                            two: one is killed in the middle of fits, and the other ends them
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.jobs import Jobs
from tests.cli.remote_world import person
from tests.serve.survival.clients import Client
from tests.serve.survival.forked import Forks
from tests.serve.survival.ledgers import Ledger
from tests.serve.survival.load import Load, until
from tests.serve.survival.places import SECRET, WORKERS, Place
from tests.serve.survival.scenario import FIT
from tests.serve.survival.tally import Tally
from tests.serve.survival.upstreams import Upstream

_ALIVE = (0.3, 1.5)  # seconds until the next kill, from and to
_DEAD = (0.3, 1.5)  # seconds for which one of two stays dead


@dataclass
class Killed:
    """What came of the kills.

    Args:
        tally: what was checked.
        streams, fits: streams that were open and fits that somebody waited for, over all kills.
        broken: streams that ended without their end.
        erased: people who were erased meanwhile.
        taken_over: fits that another gateway took over from a dead one.
        uncounted: calls that no budget has counted.
        calls: calls of fits.
    """

    tally: Tally = field(default_factory=Tally)
    streams: int = 0
    fits: int = 0
    broken: int = 0
    erased: int = 0
    taken_over: int = 0
    uncounted: int = 0
    calls: int = 0


def killed(
    forks: Forks, upstream: Upstream, place: Place, *, number: int = 1, kills: int, people: int, seed: int
) -> Killed:
    """Kill gateways in turn while people live on, start each again, and check the end.

    Args:
        forks: starts gateways.
        upstream: the model.
        place: where they keep people.
        number: how many gateways there are.
        kills: how often one is killed.
        people: how many live on; others come and are erased.
        seed: for the moments.
    """
    found, draws = Killed(), random.Random(seed)
    with place.gateways(forks, upstream, number=number) as gateways:
        load = Load(gateways, upstream, found.tally, people=people)
        load.start()
        for turn in range(kills):
            gateways.root()
            until(lambda: load.raise_failure() or (load.streaming and load.fitting))
            time.sleep(draws.uniform(*_ALIVE))
            found.streams, found.fits = found.streams + load.streaming, found.fits + load.fitting
            gateways.kill(turn % number)
            if number > 1:
                time.sleep(draws.uniform(*_DEAD))
                gateways.revive(turn % number)
        load.settle()
        gateways.stop()
        found.tally.kills, found.calls = gateways.n_deaths, len(upstream.of_fits())
        found.broken, found.erased = sum(each.broken_streams for each in load.clients), len(load.erased)
        with Store.open(place.target, tenant=DEFAULT_TENANT, create=False) as store:
            found.uncounted = load.check(store, place.files)
    return found


def taken_over(forks: Forks, upstream: Upstream, place: Place, *, people: int) -> Killed:
    """Kill one of two gateways in the middle of fits; the other one ends these, and its own, each once."""
    found = Killed()
    with place.gateways(forks, upstream, number=2) as gateways:
        client, ledgers = Client(gateways, SECRET, found.tally), [Ledger(f"person{n}") for n in range(people)]
        gateways.root()
        for ledger in ledgers:
            client.send("POST", "/v1/users", person(ledger.user, 4))
            ledger.opinions = {each["question"]: each["answer"] for each in person(ledger.user, 4)["opinions"]}
            ledger.fits.add(str(client.ask_for_fit(ledger.user, FIT, ledger.fits)))
        with Store.open(place.target, tenant=DEFAULT_TENANT, create=False) as store:
            jobs = Jobs(store.rows)
            until(lambda: sum(_runs(jobs, each) for each in ledgers) > WORKERS)  # so that both have some
            found.fits = sum(_runs(jobs, each) for each in ledgers)
            gateways.kill(0)
            for ledger in ledgers:
                (job,) = ledger.fits
                ledger.learned = client.wait_for_fit(ledger.user, job)["state"] == "done"
                found.taken_over += sum(each.attempts > 1 for each in jobs.of_user(ledger.user))
            found.tally.holds("one of two stayed dead", not gateways.is_running(0) and gateways.is_running(1))
            found.tally.holds("no fit was taken over", found.taken_over)
            gateways.stop()
            found.tally.kills, found.calls = gateways.n_deaths, len(upstream.of_fits())
            gateways.check_calls(found.tally)
            for ledger in ledgers:
                ledger.check(found.tally, store)
    return found


def _runs(jobs: Jobs, ledger: Ledger) -> bool:
    return any(job.state == "running" for job in jobs.of_user(ledger.user))
