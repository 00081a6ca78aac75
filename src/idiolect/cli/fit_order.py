"""What `idiolect fit` is asked to do, as values: which people, which settings, which models, and how much at most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast

from idiolect.methods.fermi.settings import FermiSettings, ProposerName, preset
from idiolect.models.calls.budget import Limits
from idiolect.models.catalog import is_remote


@dataclass(frozen=True, slots=True)
class CallOrder:
    """How models may be called.

    Args:
        run, user: limits of the whole run, and of each user.
        concurrency: calls of remote models in flight at a time.
        timeout: seconds that one try of a remote call may take.
        prices: a file of prices; None: the packaged ones, and the user's own if there are any.
        cached: answers are looked up and kept.
        dtype: of local models' weights; None: as by default.
    """

    run: Limits = Limits()
    user: Limits = Limits()
    concurrency: int = 16
    timeout: float = 120.0
    prices: Path | None = None
    cached: bool = True
    dtype: str | None = None


@dataclass(frozen=True, slots=True)
class FitOrder:
    """Who is to be learned, and where it goes to; of which method, the caller says.

    Args:
        source: the users file, "-" for standard input.
        store: where to; None: the default store.
        calls: how models may be called.
        only: ids of the users to take; empty: all.
        skip_invalid: go on without faulty lines.
        resume: go on where an earlier run of the same settings stopped.
        json: print JSON.
    """

    source: str
    store: str | None
    calls: CallOrder = CallOrder()
    only: tuple[str, ...] = ()
    skip_invalid: bool = False
    resume: bool = False
    json: bool = False


@dataclass(frozen=True, slots=True)
class FermiOrder:
    """What Fermi learns with: names of models; no optimizer: the model."""

    settings: FermiSettings
    model: str
    optimizer: str | None = None


@dataclass(frozen=True, slots=True)
class SettingsOrder:
    """What the command line says about Fermi's settings; None leaves a setting to the preset."""

    preset: str | None = None
    answering: str | None = None
    similarity: str | None = None
    proposers: tuple[str, ...] | None = None
    iterations: int | None = None
    max_tokens: int | None = None
    seed: int = 0


def settings_of(order: SettingsOrder, *, model: str, optimizer: str | None) -> FermiSettings:
    """A preset's settings with the given changes. Without a preset: "api" for a remote model, "demo" for a local one.

    An optimizer that is named is used: it proposes prompts, unless the proposers are named too. A remote one cannot be
    made to go on from a prefilled text, so it is shown the preset api's meta-prompt.

    Raises:
        SettingsError: no such preset; a setting, or a combination, makes no sense.
    """
    settings = replace(preset(order.preset or ("api" if is_remote(model) else "demo")), seed=order.seed)
    if order.answering is not None:
        mode = cast(Literal["generate", "likelihood"], order.answering)
        settings = replace(settings, answering=replace(settings.answering, mode=mode))
    if order.similarity is not None:
        settings = replace(settings, retrieval=replace(settings.retrieval, similarity=order.similarity))
    if order.proposers is not None:
        settings = replace(settings, proposers=cast(tuple[ProposerName, ...], order.proposers))
    elif optimizer is not None and "llm" not in settings.proposers:
        settings = replace(settings, proposers=("llm", *settings.proposers))
    if settings.meta_prompt.prefill and is_remote(optimizer or model):
        settings = replace(settings, meta_prompt=preset("api").meta_prompt)
    if order.max_tokens is not None:
        most = max(order.max_tokens, settings.meta_prompt.max_tokens)
        settings = replace(
            settings,
            answering=replace(settings.answering, max_tokens=order.max_tokens),
            meta_prompt=replace(settings.meta_prompt, max_tokens=most),
        )
    return settings if order.iterations is None else replace(settings, iterations=order.iterations)
