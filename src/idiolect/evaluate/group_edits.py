"""The group's edit at which CHAMELEON's steps begin in an evaluation, as a note for readers of its results.

    EvaluationConfig, arms → group_notes → Prepared.notes → screen, report
                           → check_start_is_used → an error before anything is opened

Whoever is a member of the group was learned from before, perhaps with the very texts that are held out here. A folder
with a group's edit names no members, so nobody can be recognized and left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from idiolect.application.chameleon_starts import CARD, start_folder
from idiolect.errors import SettingsError
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.plan import PlannedArm, entry_of

if TYPE_CHECKING:
    from idiolect.methods.chameleon.settings import ChameleonSettings


def group_notes(config: EvaluationConfig, arms: Sequence[PlannedArm]) -> tuple[str, ...]:
    """Return a note on the group's edit if an arm begins at one.

    None is returned without an edit that can be read, and with an unknown preset, because opening the models reports
    these.
    """
    on_weights = _on_weights(arms)
    card = _card(config) if on_weights else None
    try:
        begins = card is not None and _any_begins(on_weights, config.chameleon_preset or "grouped")
    except SettingsError:
        return ()
    if card is None or not begins:
        return ()
    return (
        f"CHAMELEON's steps begin at the edit of the group {str(card.get('user_id', ''))!r}, which has learned from "
        f"{_read(card)}. Whoever is a member of this group must not be evaluated with it: it may have learned from "
        "what is held out here.",
    )


def check_start_is_used(arms: Sequence[PlannedArm], config: EvaluationConfig) -> None:
    """Check that some arm begins at a group's edit if one is named.

    Raises:
        SettingsError: none does, so that the edit would change nothing.
    """
    if config.from_group is not None and not _any_begins(_on_weights(arms), config.chameleon_preset or "grouped"):
        raise SettingsError(
            "a group's edit is named with --from-group, but none of the methods begins at one: leave it out, or add "
            "the method chameleon with the preset grouped"
        )


def _card(config: EvaluationConfig) -> Mapping[str, Any] | None:
    """Return the card of the group's edit that is named, or packaged for the model; None if there is none."""
    folder = start_folder(config.from_group, config.model)
    if folder is None:
        return None
    try:
        card = json.loads(folder.joinpath(CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return card if isinstance(card, Mapping) else None


def _on_weights(arms: Sequence[PlannedArm]) -> list[PlannedArm]:
    return [arm for arm in arms if "weights" in entry_of(arm.spec).needs]


def _any_begins(arms: Sequence[PlannedArm], preset_name: str) -> bool:
    """Return whether an arm begins at a group's edit; an unknown preset is a SettingsError."""
    if not arms:
        return False
    from idiolect.methods.chameleon.settings import preset

    settings = preset(preset_name)
    return any(_begins(arm.method, settings) for arm in arms)


def _begins(method: object, settings: ChameleonSettings) -> bool:
    from idiolect.evaluate.methods.chameleon import ChameleonMethod, Combined, StartMethod, UnderExamples

    edit = method.edit if isinstance(method, UnderExamples) else method
    edit = edit.chameleon if isinstance(edit, Combined) else edit
    if isinstance(edit, ChameleonMethod):
        return not edit.rule and edit.begins_at_group(settings)
    return isinstance(edit, StartMethod)


def _read(card: Mapping[str, Any]) -> str:
    """Return in words how much the edit has learned from."""
    read = card.get("read")
    counts = read if isinstance(read, Mapping) else {"opinions and texts": card.get("n_learned", 0)}
    found = [f"{counts[name]} {name}" for name in ("opinions", "texts", "opinions and texts") if counts.get(name)]
    return " and ".join(found) or "an unknown number of texts"
