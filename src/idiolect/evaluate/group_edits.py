"""CHAMELEON's presets in an evaluation, and the group's edit at which steps begin, as notes for readers of its results.

    EvaluationConfig → edit_presets → the bench
    EvaluationConfig, arms, cases → edit_notes → Prepared.notes → screen, report
    EvaluationConfig, arms → check_start_is_used → an error before anything is opened

Whoever is a member of the group was learned from before, perhaps with the very texts that are held out here. A folder
with a group's edit names no members, so nobody can be recognized and left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from idiolect.application.chameleon_presets import ChameleonDefault, chameleon_default
from idiolect.application.chameleon_starts import CARD, start_folder
from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.plan import PlannedArm, entry_of

if TYPE_CHECKING:
    from idiolect.methods.chameleon.settings import ChameleonSettings


def edit_presets(config: EvaluationConfig) -> tuple[str, str]:
    """Return the names of CHAMELEON's presets for people with texts to learn from, and for people without."""
    if config.chameleon_preset is not None:
        return config.chameleon_preset, config.chameleon_preset
    default = _default(config)
    return default.with_texts.name, default.without_texts.name


def edit_notes(config: EvaluationConfig, arms: Sequence[PlannedArm], cases: Sequence[Case]) -> tuple[str, ...]:
    """Return a note on the group's edit if an arm begins at one, and a note on presets that depend on the person.

    None is returned without an edit that can be read, and with an unknown preset, because opening the models reports
    these.
    """
    on_weights, kinds = _on_weights(arms), {bool(case.user.texts) for case in cases}
    with_texts, without_texts = edit_presets(config)
    presets = [name for name, texts in ((with_texts, True), (without_texts, False)) if texts in kinds]
    card = _card(config) if on_weights else None
    try:
        begins = card is not None and any(_any_begins(on_weights, name) for name in presets)
    except SettingsError:
        return ()
    group = () if card is None or not begins else (_group_note(card),)
    by_person = with_texts != without_texts and False in kinds and any(_learns(arm.method) for arm in on_weights)
    return (*group, _person_note(config, cases)) if by_person else group


def _group_note(card: Mapping[str, Any]) -> str:
    return (
        f"CHAMELEON's steps begin at the edit of the group {str(card.get('user_id', ''))!r}, which has learned from "
        f"{_read(card)}. Whoever is a member of this group must not be evaluated with it: it may have learned from "
        "what is held out here."
    )


def _person_note(config: EvaluationConfig, cases: Sequence[Case]) -> str:
    chosen, n = _default(config).without_texts, sum(not case.user.texts for case in cases)
    people = "1 person" if len(cases) == 1 else f"{len(cases)} people"
    return (
        f"CHAMELEON learns with the preset {chosen.name} from {n} of {people}, who have no texts to learn from: no "
        f"preset is named (chameleon_preset), and {chosen.reason}."
    )


def check_start_is_used(arms: Sequence[PlannedArm], config: EvaluationConfig) -> None:
    """Check that some arm begins at a group's edit if one is named.

    Raises:
        SettingsError: none does, so that the edit would change nothing.
    """
    if config.from_group is not None and not _any_begins(_on_weights(arms), edit_presets(config)[0]):
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
    except (OSError, ValueError, RecursionError):  # the last one: JSON nested very deeply
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
    from idiolect.evaluate.methods.chameleon import ChameleonMethod, StartMethod

    edit = _edit_of(method)
    if isinstance(edit, ChameleonMethod):
        return not edit.rule and edit.begins_at_group(settings)
    return isinstance(edit, StartMethod)


def _learns(method: object) -> bool:
    """Return whether the method learns an edit for each person with the preset of the run."""
    from idiolect.evaluate.methods.chameleon import ChameleonMethod

    edit = _edit_of(method)
    return isinstance(edit, ChameleonMethod) and not edit.rule and not edit.pooled


def _edit_of(method: object) -> object:
    """Return the method of the edit, without the prompt or the prompts that go with it."""
    from idiolect.evaluate.methods.chameleon import Combined, UnderExamples

    edit = method.edit if isinstance(method, UnderExamples) else method
    return edit.chameleon if isinstance(edit, Combined) else edit


def _default(config: EvaluationConfig) -> ChameleonDefault:
    return chameleon_default(model=config.model, from_group=config.from_group)


def _read(card: Mapping[str, Any]) -> str:
    """Return in words how much the edit has learned from."""
    read = card.get("read")
    counts = read if isinstance(read, Mapping) else {"opinions and texts": card.get("n_learned", 0)}
    found = [f"{counts[name]} {name}" for name in ("opinions", "texts", "opinions and texts") if counts.get(name)]
    return " and ".join(found) or "an unknown number of texts"
