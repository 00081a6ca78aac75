"""The flow of `idiolect users add-opinion`: the opinion is kept first, then learning goes on from what was learned."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.boundary import stop
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.fitting import METHOD, StoredCheckpoints, closing
from idiolect.cli.progress import UsersProgress
from idiolect.cli.run_calls import RunCalls, check_prices, run_calls
from idiolect.cli.terminal import err, one_line, out, print_json
from idiolect.errors import HaltedError, NotFittedError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.people.user import Opinion, User
from idiolect.store import Store


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
        ModelError, SettingsError, MissingExtraError: a model cannot be opened or answer; the opinion is kept.
    """
    with Store.open(order.store, create=False) as store:
        change = store.put_opinion(order.user_id, order.opinion)
        before = _learned(store, order.user_id) if order.iterations is not None else None
        if before is None:
            _print(order, {"id": order.user_id, "opinion": change, "learned": False})
            return True
        with opened(before.settings, model=before.model, optimizer=before.optimizer, order=order.calls) as bench:
            check_prices(order.calls, bench.unpriced())
            run, after = asyncio.run(_continue(order, bench, store, before))
    if after is None:
        return _stopped(order, run, change)
    _print(order, _told(order.user_id, change, run, before, after))
    return True


def _learned(store: Store, user_id: str) -> FermiPersonalization | None:
    try:
        return FermiPersonalization.from_json(store.personalization(user_id, METHOD))
    except NotFittedError:
        return None


async def _continue(
    order: ContinueOrder, bench: Workbench, store: Store, before: FermiPersonalization
) -> tuple[RunCalls, FermiPersonalization | None]:
    async with closing(bench):
        await bench.check_models()
        await bench.check_similarity()
        with run_calls(order.calls, store.cache_path) as run:
            after: list[FermiPersonalization] = []
            await run.halting(_extend(order, bench.calling(run.calls), store, before, after))
            return run, after[0] if after else None


async def _extend(
    order: ContinueOrder,
    bench: Workbench,
    store: Store,
    before: FermiPersonalization,
    after: list[FermiPersonalization],
) -> None:
    user: User = store.user(order.user_id)
    with UsersProgress(1) as progress:
        try:
            learned = await bench.extend(
                before,
                user,
                iterations=order.iterations or 0,
                observer=progress.observe,
                checkpoints=StoredCheckpoints(store, user.id, fresh=False),
            )
        except HaltedError:
            return
    if not learned.finished:
        return  # the checkpoint keeps it, and what was learned before still answers
    store.save_personalization(user.id, METHOD, learned.to_json())
    store.drop_checkpoint(user.id, METHOD)
    after.append(learned)


def _stopped(order: ContinueOrder, run: RunCalls, change: str) -> bool:
    if order.json:
        print_json({"id": order.user_id, "opinion": change, "learned": False})
    kept = f"the opinion is {change} and kept, nothing was learned from it yet; the same command goes on"
    if run.interrupted:
        stop(kept)
    exceeded = run.calls.budget.exceeded
    err().print(one_line(f"{exceeded}: {kept}"), markup=False)
    return False


def _told(
    user_id: str, change: str, run: RunCalls, before: FermiPersonalization, after: FermiPersonalization
) -> dict[str, Any]:
    spent = run.calls.budget.spent()
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


def _print(order: ContinueOrder, told: dict[str, Any]) -> None:
    if order.json:
        print_json(told)
        return
    console = out()
    console.print(f"opinion {told['opinion']}", markup=False)
    if not told["learned"]:
        console.print(
            "nothing was learned for this user yet" if order.iterations is not None else "not learned from yet"
        )
        return
    scores = f"best prompt {told['best_score']:.2f} on all opinions, before {told['best_score_before']:.2f}"
    console.print(f"{scores}; {told['calls']:,} calls, {told['from_cache']:,} answers from the cache", markup=False)
    if told["evidence"]:
        console.print(told["evidence"], markup=False)
