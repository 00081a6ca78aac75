"""Learning one edit from the members of a group: pooled pairs → one edit → the store.

The model writes about each member, and the pooled pairs do not show whom a text is about. So none of it is cached:
when a member is forgotten, the store deletes everything that is left of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idiolect.application.chameleon import check_chameleon, halting, open_chameleon
from idiolect.application.choices import ChameleonChoices, chameleon_settings
from idiolect.application.names import CHAMELEON
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import SettingsError
from idiolect.methods.personalization import Observer, ignore_progress

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization


@dataclass(frozen=True, slots=True)
class GroupFitted:
    """A group's edit, and the ids of members who were left out because of too little data."""

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
    """Learn one edit from all members of a group, and store it.

    Args:
        workspace: store, models and run.
        group_id: id of the group.
        choices: CHAMELEON's settings without `from_group`; `pairs` is the number per member.
        model: model with open weights; None: the workspace's model.
        observer: receives every step of learning.

    Raises:
        UnknownGroupError: the store has no such group.
        PersonalizationError: no member has enough data.
        SettingsError: `from_group` is named, or a setting is invalid.
        ModelError, MissingExtraError: the model cannot be opened, or failed.
        HaltedError: the run was halted; an earlier edit was kept.
        StoreError: the store cannot be read or written, or a member was forgotten or removed meanwhile.
    """
    if choices.from_group is not None:
        raise SettingsError("a group's edit is trained from nothing, not from another group's: leave out from_group")
    groups, pool, model = workspace.store.groups, workspace.models, model or workspace.model
    members = groups.read_members(group_id)
    choices = replace(choices, preset=choices.preset or "grouped")
    learner = await open_chameleon(pool, chameleon_settings(choices, model=model), model=model)
    await check_chameleon(pool, learner)
    calls = workspace.run.uncached()
    method, observer = replace(learner, calls=calls).chameleon(group_id), halting(observer, calls, group_id)
    learned = await method.fit_group(group_id, [member.user for member in members], observer=observer)
    groups.save_personalization(group_id, CHAMELEON, learned.to_json(), learned.tensor_bytes(), fitted_on=members)
    left_out = tuple(member.user.id for member in members if member.user.id not in learned.members)
    return GroupFitted(learned, left_out)
