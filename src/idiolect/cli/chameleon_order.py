"""What `fit` and `groups fit` are asked of CHAMELEON, as values: settings and a model with open weights.

CHAMELEON's own modules import torch, so they are imported inside functions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, cast

from idiolect.errors import MissingExtraError, SettingsError
from idiolect.models.catalog import is_remote

if TYPE_CHECKING:
    from idiolect.methods.chameleon.settings import ChameleonSettings

DEFAULT_PRESET = "measured"
_RECORDING = "replay:"


@dataclass(frozen=True, slots=True)
class ChameleonChoices:
    """What the command line says about CHAMELEON's settings; None leaves a setting to the preset.

    `max_tokens` is of everything that the model writes but insights.
    """

    preset: str | None = None
    answering: str | None = None
    similarity: str | None = None
    pairs: int | None = None
    max_tokens: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ChameleonOrder:
    """What CHAMELEON learns with: its settings, and the name of a model."""

    settings: ChameleonSettings
    model: str


def chameleon_order(choices: ChameleonChoices, *, model: str) -> ChameleonOrder:
    """A preset's settings with the given changes, for a model with open weights.

    Raises:
        SettingsError: a setting makes no sense, or the model is behind an API.
        MissingExtraError: local models are not installed.
    """
    check_open_weights(model)
    with_extra()
    from idiolect.methods.chameleon.settings import preset

    settings = preset(choices.preset or DEFAULT_PRESET)
    generation, answering = replace(settings.generation, seed=choices.seed), settings.answering
    if choices.pairs is not None:
        least = min(generation.least_pairs, choices.pairs)
        generation = replace(generation, pairs=choices.pairs, least_pairs=least)
    if choices.answering is not None:
        answering = replace(answering, mode=cast(Literal["generate", "likelihood"], choices.answering))
    if choices.max_tokens is not None:
        generation = replace(generation, max_tokens=choices.max_tokens)
        answering = replace(answering, max_tokens=choices.max_tokens)
    similarity = choices.similarity or settings.similarity
    settings = replace(settings, generation=generation, answering=answering, similarity=similarity)
    return ChameleonOrder(settings, model)


def check_open_weights(model: str) -> None:
    """Raises SettingsError for a model behind an API, or a recording: neither can be edited."""
    if is_remote(model) or model.startswith(_RECORDING):
        what = "a model behind an API" if is_remote(model) else "a recording"
        raise SettingsError(
            f"CHAMELEON edits the model itself and needs its open weights, which {what} does not give: name embedded, "
            "a Hugging Face id, or a folder; --method fermi learns prompts and works with every model"
        )


def with_extra() -> None:
    """Raises MissingExtraError where CHAMELEON's modules cannot be imported."""
    try:
        import idiolect.methods.chameleon.fitting  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f"CHAMELEON needs {error.name}: pip install 'idiolect[local]'") from error
