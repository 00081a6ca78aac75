"""Choice of Fermi's preset by the model: behind an API, large, or small.

    name → choose_preset → number of parameters → preset_for → ChosenPreset → choices.fermi_settings, the screen

The number is read from the headers of the model's files. Only if they are not on this machine yet is the model opened
first, which downloads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from idiolect.application.names import DEFAULT_MODEL
from idiolect.models.catalog import EMBEDDED_PARAMETERS, is_remote, kind_of, may_be_on_the_hub, parameters_of
from idiolect.models.description import ModelDescription
from idiolect.models.remote.endpoint import parse_endpoint

if TYPE_CHECKING:
    from idiolect.application.model_pool import ModelPool, OpenModel

FEWEST_PARAMETERS_OF_A_WRITER = 200_000_000
"""Number of parameters from which a local model is expected to write usable prompts.

Below it, the preset is `demo`, which proposes by demonstrations alone. The embedded model, with 135 million, writes
none (docs/experiments.md), so models of about its size get `demo`. No larger one was measured, and `--preset` overrules
the choice.
"""


@runtime_checkable
class _Described(Protocol):
    """A model that describes itself."""

    def description(self) -> ModelDescription: ...


@dataclass(frozen=True, slots=True)
class ChosenPreset:
    """A preset that nobody named.

    Args:
        name: name of the preset.
        reason: why, as a clause: "NAME has 1.5 billion parameters".
        begins_proposals: whether the model that writes prompts is so small that its turn is begun for it.
        people: for whom it was chosen; "": for everybody.
    """

    name: str
    reason: str
    begins_proposals: bool = False
    people: str = ""

    @property
    def line(self) -> str:
        """The choice and its reason in one line."""
        people = f" for {self.people}" if self.people else ""
        return f"preset {self.name}{people}, because {self.reason}"


def preset_for(
    model: str, parameters: int | None, *, optimizer: str | None = None, downloaded: bool = True
) -> ChosenPreset:
    """Return the preset for a model of which only the name and the number of parameters are known.

    Args:
        model: name of the answering model.
        parameters: its number of parameters; None: unknown, or not applicable.
        optimizer: name of a model that writes prompts in its place, and that is not small.
        downloaded: False if the model has to be downloaded before the number can be known.
    """
    if is_remote(model):
        return ChosenPreset("api", f"{_shown(model)} is behind an API")
    if parameters is None:
        later = "" if downloaded else " before it is downloaded"
        return ChosenPreset("local", f"the number of parameters of {_shown(model)} is unknown{later}")
    reason = f"{_shown(model)} has {_in_words(parameters)} parameters"
    if parameters >= FEWEST_PARAMETERS_OF_A_WRITER:
        return ChosenPreset("local", reason)
    return ChosenPreset("demo", reason, begins_proposals=optimizer is None)


def preset_by_names(model: str, optimizer: str | None = None) -> ChosenPreset:
    """Return the preset for models of which only the names are known; only `embedded` has a known size then."""
    writer = model if optimizer is None else optimizer
    parameters = EMBEDDED_PARAMETERS if model == DEFAULT_MODEL else None
    return preset_for(model, parameters, optimizer=None if writer == DEFAULT_MODEL else writer)


async def choose_preset(
    pool: ModelPool | None, model: str, *, optimizer: str | None = None, opening: bool = True
) -> ChosenPreset:
    """Return the preset for a model, and for the model that writes prompts.

    Args:
        pool: the open models; None: there are none.
        model: name of the answering model.
        optimizer: name of the model that writes prompts; None: the answering model.
        opening: whether a model whose number of parameters cannot be read otherwise may be opened, which takes time.

    Raises:
        SettingsError: a name is empty or invalid.
        ModelError, MissingExtraError: a model has to be opened, and is not available.
    """
    parameters = await _parameters(pool, model, opening=opening)
    downloaded = opening or not may_be_on_the_hub(model) or model in _opened(pool)
    if optimizer is None or optimizer == model:
        return preset_for(model, parameters, downloaded=downloaded)
    writer = preset_for(optimizer, await _parameters(pool, optimizer, opening=opening))
    better = None if writer.begins_proposals else optimizer
    return preset_for(model, parameters, optimizer=better, downloaded=downloaded)


def _opened(pool: ModelPool | None) -> dict[str, OpenModel]:
    return {} if pool is None else {each.name: each for each in pool.opened_models()}


async def _parameters(pool: ModelPool | None, name: str, *, opening: bool) -> int | None:
    """Return the number of parameters of a model in this process; None if it is unknown or behind an API."""
    if kind_of(name) != "local":
        return None
    if name == DEFAULT_MODEL:
        return EMBEDDED_PARAMETERS
    opened = _opened(pool).get(name)
    if opened is not None:  # it may be an object of the caller, which has no files
        return _counted(opened)
    from idiolect.application.background import in_background  # asyncio: not for those who only look into the store

    found = await in_background(partial(parameters_of, name))
    if found is None and opening and pool is not None:
        found = _counted(await pool.model(name))
    return found


def _counted(opened: OpenModel) -> int | None:
    model: object = opened.model
    return model.description().parameters if isinstance(model, _Described) else None


def _shown(name: str) -> str:
    """Return a model's name without the folders above it, and without the server's address."""
    endpoint = parse_endpoint(name) if is_remote(name) else None
    if endpoint is not None:
        return endpoint.model or "the model"
    return Path(name).name if Path(name).expanduser().exists() else name


def _in_words(number: int) -> str:
    if number < 1_000_000:
        return f"{number:,}"
    return f"{number / 1e6:.0f} million" if number < 1_000_000_000 else f"{number / 1e9:.1f} billion"
