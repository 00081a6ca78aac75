"""Settings of the methods from a few choices: a preset, and changes to it; None leaves a setting to the preset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idiolect.application.chameleon_presets import chameleon_default
from idiolect.application.names import CHAMELEON, FERMI, AnsweringMode, MethodName
from idiolect.application.presets import ChosenPreset, preset_by_names
from idiolect.errors import MissingExtraError, Remedy, SettingsError
from idiolect.methods.setting_changes import changed
from idiolect.models.catalog import is_remote, kind_of

if TYPE_CHECKING:
    from idiolect.methods.chameleon.settings import ChameleonSettings
    from idiolect.methods.fermi.settings import FermiSettings, ProposerName


@dataclass(frozen=True, slots=True)
class FermiChoices:
    """Choices for Fermi's settings.

    Args:
        preset: name of the preset; None: chosen by the model (see `presets`).
        answering: "generate" or "likelihood".
        similarity: name of a similarity of questions (see `models.catalog`).
        proposers: names of the proposers of prompts.
        iterations: number of learning rounds; ≥ 1.
        max_tokens: maximum number of tokens in an answer; a proposal may have at least as many.
        seed: seed of every random draw.
    """

    preset: str | None = None
    answering: AnsweringMode | None = None
    similarity: str | None = None
    proposers: tuple[ProposerName, ...] | None = None
    iterations: int | None = None
    max_tokens: int | None = None
    seed: int = 0

    @property
    def method(self) -> MethodName:
        """Method that the choices belong to."""
        return FERMI


@dataclass(frozen=True, slots=True)
class ChameleonChoices:
    """Choices for CHAMELEON's settings.

    Args:
        preset: name of the preset; None: "grouped" with `from_group`, and where a group's edit is packaged for the
            model, for people with texts; "measured" otherwise (see `chameleon_presets`).
        answering: "generate" or "likelihood".
        similarity: name of a similarity of history items, which must have embeddings; only with a preset that writes
            pairs.
        pairs: number of preference pairs per user; ≥ 2; only with a preset that writes pairs.
        from_group: id of a group in the store, or a folder with a group's edit (`chameleon_starts`), where a person's
            step begins; None: the edit that is packaged for the model, if there is one.
        max_tokens: maximum number of tokens in an answer, and in each side of a pair.
        seed: seed of every random draw.
    """

    preset: str | None = None
    answering: AnsweringMode | None = None
    similarity: str | None = None
    pairs: int | None = None
    max_tokens: int | None = None
    seed: int = 0
    from_group: str | None = None

    @property
    def method(self) -> MethodName:
        """Method that the choices belong to."""
        return CHAMELEON


def fermi_settings(
    choices: FermiChoices, *, model: str, optimizer: str | None = None, chosen: ChosenPreset | None = None
) -> FermiSettings:
    """Return a preset's settings with the choices applied.

    If an optimizer is named and the proposers are not, the optimizer proposes prompts too. A remote optimizer cannot
    continue a prefilled text, and a large one does not need it, so they get the meta-prompt of the preset "api". A
    local optimizer gets the meta-prompt of a preset that the caller named.

    Args:
        choices: changes to the preset.
        model, optimizer: names of the models.
        chosen: preset if the choices name none; None: chosen by the name alone, as if the files were not here.

    Raises:
        SettingsError: there is no such preset, or a setting or a combination is invalid.
    """
    from idiolect.methods.fermi.presets import preset

    found = chosen or preset_by_names(model, optimizer)
    settings = preset(choices.preset or found.name)
    proposers = choices.proposers
    if proposers is None and optimizer is not None and "llm" not in settings.proposers:
        proposers = ("llm", *settings.proposers)
    meta_prompt = settings.meta_prompt
    by_itself = not choices.preset and not found.begins_proposals
    if meta_prompt.prefill and (by_itself or is_remote(optimizer or model)):
        meta_prompt = preset("api").meta_prompt
    tokens = choices.max_tokens
    return changed(
        settings,
        _given(
            {
                "seed": choices.seed,
                "answering.mode": choices.answering,
                "retrieval.similarity": choices.similarity,
                "proposers": proposers,
                "iterations": choices.iterations,
                "meta_prompt": meta_prompt,
                "answering.max_tokens": tokens,
                "meta_prompt.max_tokens": None if tokens is None else max(tokens, meta_prompt.max_tokens),
            }
        ),
    )


def chameleon_settings(choices: ChameleonChoices, *, model: str) -> ChameleonSettings:
    """Return a preset's settings with the choices applied, for a model with open weights.

    If the choices name no preset, it is that of people with texts.

    Raises:
        SettingsError: a setting is invalid, or the model has no open weights.
        MissingExtraError: local models are not installed.
    """
    check_open_weights(model)
    require_chameleon()
    from idiolect.methods.chameleon.settings import preset

    default = chameleon_default(model=model, from_group=choices.from_group)
    settings, pairs = preset(choices.preset or default.with_texts.name), choices.pairs
    stepping = settings.stepping
    of_pairs = {"number of pairs": pairs, "similarity, by which history is selected for them": choices.similarity}
    unused = [what for what, given in of_pairs.items() if given is not None and stepping is not None]
    if unused:
        raise SettingsError(
            f"the preset {settings.preset} learns from every opinion and text and writes no pairs: leave out the "
            f"{unused[0]}, or choose the preset paper"
        )
    if choices.from_group is not None and (stepping is None or not stepping.from_group):
        raise SettingsError(f"the preset {settings.preset} does not begin at a group's edit: choose the preset grouped")
    return changed(
        settings,
        _given(
            {
                "generation.seed": choices.seed,
                "generation.pairs": pairs,
                "generation.least_pairs": None if pairs is None else min(settings.generation.least_pairs, pairs),
                "generation.max_tokens": choices.max_tokens,
                "answering.mode": choices.answering,
                "answering.max_tokens": choices.max_tokens,
                "similarity": choices.similarity,
            }
        ),
    )


def check_open_weights(model: str) -> None:
    """Check that a name belongs to a model with open weights: a model behind an API or a recording cannot be edited.

    Raises:
        SettingsError: the model has no open weights.
    """
    kind = kind_of(model)
    if kind != "local":
        what = "a model behind an API" if kind == "remote" else f"{model.partition(':')[0]}:…"
        raise SettingsError(
            f"CHAMELEON edits the model itself and needs open weights, which {what} does not have: use embedded, "
            "a Hugging Face id, or a folder",
            remedy=Remedy("method", FERMI, "learns prompts from answers, and works with every model"),
        )


def require_chameleon() -> None:
    """Check that CHAMELEON's modules, which import torch, can be imported.

    Raises:
        MissingExtraError: local models are not installed.
    """
    try:
        import idiolect.methods.chameleon.fitting  # noqa: F401
    except ImportError as error:
        raise MissingExtraError.of("CHAMELEON needs", "local", error) from error


def _given(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in changes.items() if value is not None}
