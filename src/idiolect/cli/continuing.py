"""The flow of `idiolect users add-opinion`: the opinion is kept first, then learning goes on from what was learned."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.boundary import stop
from idiolect.cli.fermi_learner import METHOD
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.opening import closing
from idiolect.cli.progress import UsersProgress
from idiolect.cli.run_calls import RunCalls, check_prices, run_calls
from idiolect.cli.stale_edits import METHOD as CHAMELEON
from idiolect.cli.stored import StoredCheckpoints, held_record
from idiolect.cli.terminal import err, one_line, out, print_json
from idiolect.errors import HaltedError, StoreError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.people.user import Opinion
from idiolect.store import Store

_TRIES = 3  # another process may save what it learned for the same user meanwhile


@dataclass(frozen=True, slots=True)
class ContinueOrder:
    """What is added to whom.

    Args:
        user_id: who.
        opinion: what they said.
        store: where they are; None: the default store.
        iterations: rounds of learning to go on with; None: nothing is learned now.
        calls: how models may be called.
        json: print JSON.
    """

    user_id: str
    opinion: Opinion
    store: str | None
    iterations: int | None
    calls: CallOrder
    json: bool


def add_and_learn(order: ContinueOrder) -> bool:
    """Keep the opinion, go on learning from it where something was learned, and say what came of it.

    Returns whether all went well.

    Raises:
        UnknownUserError: no such user.
        StoreError: the store cannot be read or written.
        StoreError: other processes keep learning for this user; the opinion is kept.
        ModelError, SettingsError, MissingExtraError: a model cannot be opened or answer; the opinion is kept.
    """
    with Store.open(order.store, create=False) as store:
        change = store.put_opinion(order.user_id, order.opinion)
        held = _held(store, order.user_id) if order.iterations is not None else None
        edited = held_record(store, order.user_id, CHAMELEON) is not None
        if held is None:
            _print(order, {"id": order.user_id, "opinion": change, "learned": False}, edited=edited)
            return True
        before = held.learned
        with opened(before.settings, model=before.model, optimizer=before.optimizer, order=order.calls) as bench:
            check_prices(order.calls, bench.unpriced())
            run, step = asyncio.run(_continue(order, bench, store, held))
    if step is None:
        return _stopped(order, run, change)
    _print(order, _told(order.user_id, change, run, step), edited=edited)
    return True


@dataclass(frozen=True, slots=True)
class _Held:
    """What the store held when it was read, and its digest."""

    learned: FermiPersonalization
    digest: str


@dataclass(frozen=True, slots=True)
class _Step:
    """What was gone on from, and what came of it."""

    before: FermiPersonalization
    after: FermiPersonalization


def _held(store: Store, user_id: str) -> _Held | None:
    record = held_record(store, user_id, METHOD)
    return None if record is None else _Held(FermiPersonalization.from_json(record.payload), record.digest)


async def _continue(order: ContinueOrder, bench: Workbench, store: Store, held: _Held) -> tuple[RunCalls, _Step | None]:
    async with closing(bench):
        await bench.check_models()
        await bench.check_similarity()
        with run_calls(order.calls, store.cache_path) as run:
            steps: list[_Step] = []
            await run.halting(_extend(order, bench.calling(run.calls), store, held, steps))
            return run, steps[0] if steps else None


async def _extend(order: ContinueOrder, bench: Workbench, store: Store, held: _Held, steps: list[_Step]) -> None:
    """Go on from what is held and save it in its place; from what another process has saved there meanwhile, again."""
    with UsersProgress(1) as progress:
        for _ in range(_TRIES):
            checkpoints = StoredCheckpoints(store, order.user_id, METHOD, fresh=False)
            try:
                after = await bench.extend(
                    held.learned,
                    store.user(order.user_id),
                    iterations=order.iterations or 0,
                    observer=progress.observe,
                    checkpoints=checkpoints,
                )
            except HaltedError:
                return
            if not after.finished:
                return  # the checkpoint keeps it, and what was learned before still answers
            payload, expected = after.to_json(), held.digest
            if store.compare_and_save_personalization(order.user_id, METHOD, payload, expected_digest=expected):
                checkpoints.drop()
                steps.append(_Step(held.learned, after))
                return
            again = _held(store, order.user_id)
            if again is None or not bench.made(again.learned):
                break  # gone, or by other models than are open here
            held = again
    raise StoreError(
        f"another process learned for user {order.user_id!r} at the same time; the opinion is kept, "
        "the same command goes on from what was learned"
    )


def _stopped(order: ContinueOrder, run: RunCalls, change: str) -> bool:
    if order.json:
        print_json({"id": order.user_id, "opinion": change, "learned": False})
    kept = f"the opinion is {change} and kept, nothing was learned from it yet; the same command goes on"
    if run.interrupted:
        stop(kept)
    err().print(one_line(f"{run.reason}: {kept}"), markup=False)
    return False


def _told(user_id: str, change: str, run: RunCalls, step: _Step) -> dict[str, Any]:
    spent, before, after = run.calls.budget.spent(), step.before, step.after
    return {
        "id": user_id,
        "opinion": change,
        "learned": True,
        "calls": spent.calls,
        "from_cache": run.calls.counts.found,
        "tokens": spent.tokens,
        "money": None if spent.money is None else str(spent.money),
        "best_score_before": before.best.score,
        "best_score": after.best.score,
        "used": after.used,
        "evidence": None if after.evidence is None else after.evidence.reason,
    }


def _print(order: ContinueOrder, told: dict[str, Any], *, edited: bool) -> None:
    """What came of it. `edited`: CHAMELEON has learned for them, and does not go on from single opinions."""
    if order.json:
        print_json(told)
        return
    console = out()
    console.print(f"opinion {told['opinion']}", markup=False)
    if told["learned"]:
        scores = f"best prompt {told['best_score']:.2f} on all opinions, before {told['best_score_before']:.2f}"
        calls = f"{told['calls']:,} calls, {told['from_cache']:,} answers from the cache"
        console.print(f"{scores}; {calls}", markup=False)
        if told["evidence"]:
            console.print(told["evidence"], markup=False)
    elif order.iterations is None:
        console.print("not learned from yet")
    elif not edited:
        console.print("nothing was learned for this user yet")
    if edited:
        console.print("the edit does not know it yet: idiolect fit USERS --method chameleon learns one anew")
