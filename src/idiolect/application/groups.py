"""Learning one edit from a group's members: pooled pairs → one edit → the store.

What the model writes about one member is no other's to keep, and the pool cannot tell them apart: so nothing of it goes
into the cache, and forgetting a member leaves nothing of theirs behind except what the store deletes itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idiolect.application.chameleon import check_chameleon, open_chameleon
from idiolect.application.choices import ChameleonChoices, chameleon_settings
from idiolect.application.names import CHAMELEON
from idiolect.application.workspace import AsyncWorkspace
from idiolect.methods.personalization import Observer, ignore_progress

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization


@dataclass(frozen=True, slots=True)
class GroupFitted:
    """A group's edit, and the members who gave too little to learn from."""

    learned: ChameleonPersonalization
    left_out: tuple[str, ...]


async def fit_group(
    workspace: AsyncWorkspace,
    group_id: str,
    choices: ChameleonChoices,
    *,
    model: str | None = None,
    observer: Observer = ignore_progress,
) -> GroupFitted:
    """Learn one edit from all members of a group, and keep it.

    Args:
        workspace: the store, the models, and the run that limits and counts.
        group_id: the group's id.
        choices: CHAMELEON's settings; pairs are those of each member.
        model: with open weights; None: the workspace's.
        observer: receives every step of the learning.

    Raises:
        UnknownGroupError: the store holds no such group.
        PersonalizationError: no member gave enough.
        SettingsError, ModelError, MissingExtraError: the model cannot be opened, or failed.
        HaltedError: the run was halted; what was learned before stays.
        StoreError: the store cannot be read or written, or a member was forgotten or removed meanwhile.
    """
    groups, pool, model = workspace.store.groups, workspace.models, model or workspace.model
    members = groups.read_members(group_id)
    learner = await open_chameleon(pool, chameleon_settings(choices, model=model), model=model)
    await check_chameleon(pool, learner)
    method = replace(learner, calls=workspace.run.uncached()).chameleon(group_id)
    learned = await method.fit_group(group_id, [member.user for member in members], observer=observer)
    groups.save_personalization(group_id, CHAMELEON, learned.to_json(), learned.tensor_bytes(), fitted_on=members)
    left_out = tuple(member.user.id for member in members if member.user.id not in learned.members)
    return GroupFitted(learned, left_out)
