"""What a worker notes with a job, so that whoever takes it over does what is left, and counts what was not counted.

first worker: begin → Begun, kept with the job ─ every renewal: what was counted so far ─ dies
next one:     begin → the same Begun → left_uncounted (calls in the cache − what was counted) → the rest of the work
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from idiolect.application.names import FERMI
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import PersonalizationError
from idiolect.models.calls.cache import KeptCall
from idiolect.store import Store
from idiolect.store.jobs import Job


@dataclass(frozen=True, slots=True)
class Begun:
    """How far a job has come, as far as it cannot be seen elsewhere.

    Args:
        since: when its first worker began it, in seconds since the epoch, by that worker's clock.
        rounds: rounds in which the user's prompts had been learned by then; 0: there were none.
        calls, money: what has been counted of its calls, in dollars.
    """

    since: float
    rounds: int
    calls: int = 0
    money: Decimal = Decimal(0)

    @property
    def document(self) -> dict[str, Any]:
        """The note, as JSON."""
        return {"since": self.since, "rounds": self.rounds, "calls": self.calls, "money": str(self.money)}

    def counting(self, calls: int, money: Decimal | None) -> Begun:
        """Return the note with more that was counted; None: an unknown price, which counts as nothing."""
        return replace(self, calls=self.calls + calls, money=self.money + (money or Decimal(0)))


def begin(store: Store, job: Job) -> Begun:
    """Return what is noted with a job, or what its first worker has to note.

    Raises:
        StoreError: the store cannot be read.
    """
    noted = job.begun
    if noted:
        return Begun(noted["since"], noted["rounds"], noted["calls"], Decimal(noted["money"]))
    return Begun(time.time(), rounds_of(store, job.user))


def rounds_of(store: Store, user_id: str) -> int:
    """Return the number of rounds in which a user's prompts were learned; 0 if there are none that can be read.

    Raises:
        StoreError: the store cannot be read.
    """
    from idiolect.methods.fermi.personalization import FermiPersonalization

    record = store.find_personalization(user_id, FERMI)
    try:
        return 0 if record is None else len(FermiPersonalization.from_json(record.payload).iterations)
    except PersonalizationError:  # the work itself fails with it, and reports it
        return 0


def left_uncounted(workspace: AsyncWorkspace, job: Job, begun: Begun) -> tuple[int, Decimal]:
    """Return the calls that dead workers of a job made and did not count any more, and what they cost, in dollars.

    These are the user's calls in the cache since the job was begun, less what was counted. A call that other users
    have, too, is left out, because one of them may have paid for it; so nothing is counted twice.

    Raises:
        StoreError, CacheError: the store or the cache cannot be read.
    """
    cache = workspace.run.calls.cache
    calls, money = -begun.calls, -begun.money
    for call in () if cache is None else cache.calls_of(job.user):
        if call.kept_at.timestamp() >= begun.since and not call.shared:
            calls, money = calls + 1, money + _cost(workspace, call)
    return max(calls, 0), max(money, Decimal(0))


def _cost(workspace: AsyncWorkspace, call: KeptCall) -> Decimal:
    price, usage = workspace.models.price(call.model), call.result.get("usage")
    if price is None or not isinstance(usage, Mapping):
        return Decimal(0)
    return price.cost(usage["prompt_tokens"], usage["completion_tokens"])
