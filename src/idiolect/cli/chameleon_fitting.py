"""The flow of `idiolect groups fit`: the members of a group → pooled pairs → one edit → the store.

What the model writes about one member is no other's to keep, and the pool cannot tell them apart: so nothing of it goes
into the cache, and forgetting a member leaves nothing of theirs behind but what the store deletes itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idiolect.cli.boundary import stop
from idiolect.cli.chameleon_learner import ChameleonLearned, ChameleonLearner, opened_chameleon
from idiolect.cli.chameleon_order import ChameleonOrder
from idiolect.cli.edit_report import edit_json, print_edit
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.opening import closing
from idiolect.cli.progress import UsersProgress
from idiolect.cli.run_calls import RunCalls, run_calls
from idiolect.cli.stale_edits import METHOD
from idiolect.cli.terminal import err, one_line, out, print_json
from idiolect.errors import HaltedError
from idiolect.people.user import User
from idiolect.store import Store

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class GroupLearned:
    """What came of it: the edit, and the members who gave too little."""

    learned: ChameleonPersonalization
    left_out: tuple[str, ...]


def fit_group(group_id: str, learning: ChameleonOrder, *, store: str | None, json: bool) -> bool:
    """Learn one edit from all members, keep it, and print what came of it; whether it was learned.

    Raises:
        UnknownGroupError: the store holds no such group.
        PersonalizationError: no member gave enough.
        SettingsError, ModelError, MissingExtraError: the model cannot be opened, or failed.
        StoreError: the store cannot be read or written, or a member was forgotten or removed meanwhile.
    """
    calls = CallOrder(cached=False)
    with Store.open(store, create=False) as opened:
        read = opened.groups.read_members(group_id)
        members = [member.user for member in read]
        with opened_chameleon(learning, calls, way_out="") as learner:
            run, made = asyncio.run(_learn(group_id, members, learner, calls))
        if made is None:
            if run.interrupted:
                stop("nothing was learned; what was learned before stays")
            err().print(one_line(f"{run.reason}: nothing was learned"), markup=False)
            return False
        learned = made.learned
        opened.groups.save_personalization(group_id, METHOD, learned.to_json(), learned.tensor_bytes(), fitted_on=read)
    _print(group_id, made, json=json)
    return True


async def _learn(
    group_id: str, members: list[User], learner: ChameleonLearner, calls: CallOrder
) -> tuple[RunCalls, GroupLearned | None]:
    async with closing(learner):
        await learner.check()
        with run_calls(calls, None) as run:
            made: list[GroupLearned] = []
            with UsersProgress(1, noun="groups") as progress:
                await run.halting(_fit(group_id, members, learner.calling(run.calls), progress, made))
            return run, made[0] if made else None


async def _fit(
    group_id: str, members: list[User], learner: ChameleonLearner, progress: UsersProgress, made: list[GroupLearned]
) -> None:
    try:
        learned = await learner.chameleon(group_id).fit_group(group_id, members, observer=progress.observe)
    except HaltedError:
        return
    left_out = tuple(member.id for member in members if member.id not in learned.members)
    made.append(GroupLearned(learned, left_out))
    progress.finished(group_id, f"learned, {ChameleonLearned.of(learned).told}")


def _print(group_id: str, made: GroupLearned, *, json: bool) -> None:
    if json:
        shown: dict[str, Any] = {"group": group_id, "left_out": list(made.left_out), **edit_json(made.learned)}
        print_json(shown, indent=2)
        return
    out().print(one_line(f"learned for group {group_id!r}: {made.learned.gate}"), markup=False)
    print_edit(made.learned, indent=2)
    if made.left_out:
        some = ", ".join(one_line(each, limit=40) for each in made.left_out[:_SHOWN])
        more = f" and {len(made.left_out) - _SHOWN} more" if len(made.left_out) > _SHOWN else ""
        out().print(f"left out, with too little history: {some}{more}", markup=False)
