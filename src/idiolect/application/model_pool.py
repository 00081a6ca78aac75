"""Models and similarities, each opened once by name, for the lifetime of a workspace or an evaluation.

    name → kind_of → OpenModel | OpenSimilarity → called for one user, through the run's cache, budget and turns

An invalid name is detected here, before anything is learned or written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from idiolect.application.background import in_background
from idiolect.application.computed_once import ComputedOnce
from idiolect.application.observers import Waiting, wait_quietly
from idiolect.application.run import CallSettings
from idiolect.errors import MissingExtraError, ModelError, Remedy, SettingsError
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.prices import Price, PriceTable
from idiolect.models.catalog import (
    is_remote,
    kind_of,
    lasting_name,
    open_local_model,
    open_prefixed_model,
    open_remote_embedder,
    open_remote_model,
    open_similarity,
    price_name,
    server_of,
)
from idiolect.models.language_model import LanguageModel

if TYPE_CHECKING:
    from idiolect.models.remote.transport import RemoteSettings
    from idiolect.models.similarity import Embedder, Similarity

PriceOf = Callable[[str], Price | None]

_FREE = Price(Decimal(0), Decimal(0))  # for models that run in this process


async def _nothing_to_do() -> None:
    """Do nothing: only a model with a connection or a memory has something to check, forget or close."""


@runtime_checkable
class _Weights(Protocol):
    """A model that returns a fingerprint of its weights."""

    def fingerprint(self) -> str: ...


@runtime_checkable
class _Prefixes(Protocol):
    """A model that caches prompt prefixes."""

    async def forget_prefixes(self) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenModel:
    """An open language model.

    Args:
        source: the model, with its name, price and fingerprint, for `Calls`.
        take_fingerprint: computes the hash of the weights if `source` has none; returns "" if they are unknown.
        check: raises ModelError if the model cannot be reached, or rejects the key.
        notes: returns sentences about how the model handled its requests.
        forget: drops the prompts that the model has cached.
        aclose: closes the model, in the event loop in which it was used.
        measured: what was measured on the model for all people, by what it was measured with.
    """

    source: Source
    take_fingerprint: Callable[[], str] = str
    check: Callable[[], Awaitable[None]] = _nothing_to_do
    notes: Callable[[], list[str]] = list
    forget: Callable[[], Awaitable[None]] = _nothing_to_do
    aclose: Callable[[], Awaitable[None]] = _nothing_to_do
    measured: ComputedOnce = field(default_factory=ComputedOnce, compare=False, repr=False)

    @property
    def model(self) -> LanguageModel:
        """The model itself."""
        return self.source.model

    @property
    def price(self) -> Price | None:
        """Price of its tokens; None if unknown."""
        return self.source.price

    @property
    def name(self) -> str:
        """Name that opens the model again, from any folder."""
        return self.source.name

    def fingerprint(self) -> str:
        """Return the hash of the weights, or of the server; "" if neither is known."""
        return self.source.fingerprint or self.take_fingerprint()

    def called(self, calls: Calls | None, owner: str) -> LanguageModel:
        """Return the model with its calls counted for `owner`; without `calls`, the model itself."""
        return self.model if calls is None else calls.model(self.source, owner=owner)


@dataclass(frozen=True, slots=True)
class OpenSimilarity:
    """An open similarity of questions.

    Args:
        similarity: computes the similarity.
        name: name that opens it again, from any folder.
        price: price of a remote embedding model; None if unknown.
        remote: whether the embeddings come from a server.
        check: raises ModelError or MissingExtraError if the similarity is not available.
        aclose: closes connections, in the event loop in which they were opened.
    """

    similarity: Similarity
    name: str
    price: Price | None = _FREE
    remote: bool = False
    check: Callable[[], Awaitable[None]] = _nothing_to_do
    aclose: Callable[[], Awaitable[None]] = _nothing_to_do

    @property
    def embedder(self) -> Embedder | None:
        """Embedding model; None for a similarity without embeddings."""
        from idiolect.models.similarity import EmbeddingSimilarity  # imports numpy, as the embedder below does

        return self.similarity.embedder if isinstance(self.similarity, EmbeddingSimilarity) else None

    def called(self, calls: Calls | None, owner: str) -> Similarity:
        """Return the similarity with the calls of its remote embedding model, if any, counted for `owner`."""
        from idiolect.models.similarity import EmbeddingSimilarity

        embedder = self.called_embedder(calls, owner)
        return self.similarity if embedder is None or embedder is self.embedder else EmbeddingSimilarity(embedder)

    def called_embedder(self, calls: Calls | None, owner: str) -> Embedder | None:
        """Return the embedding model, with its calls counted for `owner` if it is remote; None if there is none."""
        if calls is None or not self.remote or self.embedder is None:
            return self.embedder
        from idiolect.models.calls.embedder import CalledEmbedder

        return CalledEmbedder(calls, self.embedder, known_as=price_name(self.name), price=self.price, owner=owner)


def own_model(model: LanguageModel) -> OpenModel:
    """Return a model object of the caller as an open model, which the caller closes."""
    known: _Weights | None = model if isinstance(model, _Weights) else None
    return OpenModel(
        Source(model, model.name, price=_FREE, cached=False),
        take_fingerprint=str if known is None else known.fingerprint,
        forget=model.forget_prefixes if isinstance(model, _Prefixes) else _nothing_to_do,
    )


def open_named_model(name: str, settings: CallSettings, price_of: PriceOf) -> OpenModel:
    """Open a model by name; loading a local one takes seconds.

    Args:
        name: see `models.catalog`.
        settings: settings for calls of models.
        price_of: returns the price of a remote model.

    Raises:
        SettingsError: the name is invalid, or the key of a remote model is missing.
        ModelError: there is no such model, or it cannot be read.
        MissingExtraError: local models are not installed.
    """
    kind, lasting = kind_of(name), lasting_name(name)
    if kind == "remote":
        remote = open_remote_model(name, settings=remote_settings(settings))
        source = Source(remote, remote.name, server_of(name), price=price_of(remote.name), remote=True)
        return OpenModel(source, check=remote.check, notes=lambda: remote.notes, aclose=remote.aclose)
    if kind == "prefixed":  # such a model has no known weights, and needs no cache
        return OpenModel(Source(open_prefixed_model(name), lasting, price=_FREE, cached=False))
    local = open_local_model(name, dtype=settings.dtype, scoring_dtype=settings.scoring_dtype)

    async def close() -> None:
        local.close()

    fingerprint = local.fingerprint() if settings.cached else ""
    source = Source(local, lasting, fingerprint, price=_FREE, cached=settings.cached)
    forget = local.forget_prefixes
    return OpenModel(source, local.fingerprint, notes=lambda: local.notes, forget=forget, aclose=close)


def open_named_similarity(name: str, settings: CallSettings, price_of: PriceOf) -> OpenSimilarity:
    """Open a similarity by name; its embedding model is loaded, or called, for the first text.

    Raises:
        SettingsError: the name is invalid, or the key of a remote model is missing.
        MissingExtraError: sentence embeddings are not installed.
    """
    name = lasting_name(name)
    if is_remote(name):
        from idiolect.models.similarity import EmbeddingSimilarity

        embedder = open_remote_embedder(name, settings=remote_settings(settings))
        similarity = EmbeddingSimilarity(embedder)
        return OpenSimilarity(similarity, name, price_of(name), True, embedder.check, embedder.aclose)
    local = open_similarity(name)

    async def load() -> None:
        await local.similarity(["a question"], ["a question"])

    return OpenSimilarity(local, name, check=load)


def remote_settings(settings: CallSettings) -> RemoteSettings:
    """Return the settings for calls of servers."""
    from idiolect.models.remote.transport import RemoteSettings  # the HTTP client behind it takes a second to import

    # turns limit the calls in flight
    return RemoteSettings(concurrency=None, timeout=settings.timeout, keys=settings.keys)


@dataclass(slots=True)
class ModelPool:
    """The open models and similarities of a workspace or an evaluation.

    Args:
        settings: settings for calls of models.
        waiting: receives a few words, and returns a context manager that shows them during work that takes seconds.
    """

    settings: CallSettings
    waiting: Waiting = wait_quietly
    _prices: PriceTable | None = field(init=False, default=None)
    _models: dict[str, OpenModel] = field(init=False, default_factory=dict)
    _similarities: dict[str, OpenSimilarity] = field(init=False, default_factory=dict)
    _checked: set[int] = field(init=False, default_factory=set)
    _closing: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)
    _opening: dict[str, asyncio.Future[None]] = field(init=False, default_factory=dict)

    def add(self, model: LanguageModel) -> str:
        """Add a model object that the caller closes, and return its name.

        Raises:
            ValueError: another model has the same name.
        """
        known = self._models.setdefault(model.name, own_model(model))
        if known.model is not model:
            raise ValueError(f"two models have the name {model.name!r}: give each model its own name")
        return model.name

    async def model(self, name: str) -> OpenModel:
        """Return the model with a name, opened when first used.

        Raises:
            SettingsError: the name is invalid, or the key of a remote model is missing.
            ModelError: there is no such model, or it cannot be read.
            MissingExtraError: local models are not installed.
        """
        key = name if name in self._models else lasting_name(name)
        if key not in self._models:
            opening = self._opening.get(key)
            if opening is None:
                opening = self._opening[key] = asyncio.ensure_future(self._open(name, key))
            await asyncio.shield(opening)  # other callers still get the model if this caller is cancelled
        return self._models[key]

    async def _open(self, name: str, key: str) -> None:
        try:
            with self.waiting("opening the models"):
                opened = await in_background(partial(open_named_model, name, self.settings, self.price))
            self._closing.push_async_callback(opened.aclose)
            self._models[key] = opened
            self._models.setdefault(opened.name, opened)
        finally:
            del self._opening[key]

    async def similarity(self, name: str) -> OpenSimilarity:
        """Return the similarity with a name, opened when first used.

        Raises:
            SettingsError: the name is invalid, or the key of a remote model is missing.
            MissingExtraError: sentence embeddings are not installed.
        """
        key = lasting_name(name)
        if key not in self._similarities:
            opened = open_named_similarity(name, self.settings, self.price)
            self._closing.push_async_callback(opened.aclose)
            self._similarities[key] = opened
        return self._similarities[key]

    async def check(self, *opened: OpenModel | OpenSimilarity, remedy: Remedy | None = None) -> None:
        """Check once that models and similarities can be reached and loaded, rather than let every user fail.

        Args:
            opened: models and similarities to check.
            remedy: setting that makes them unnecessary, for the error's advice.

        Raises:
            ModelError: a server does not answer, a key is rejected, or there is no such model.
            MissingExtraError: required packages are not installed.
        """
        for each in opened:
            if id(each) not in self._checked:
                what = "opening the similarity" if isinstance(each, OpenSimilarity) else "reaching the models"
                with suggesting(remedy), self.waiting(what):
                    await each.check()
                self._checked.add(id(each))

    def price(self, name: str) -> Price | None:
        """Return the price of a remote model; None if unknown.

        Raises:
            SettingsError: the price file has faults.
        """
        if self._prices is None:
            self._prices = PriceTable.load(self.settings.prices)
        return self._prices.price(price_name(name))

    def check_prices(self, *opened: OpenModel | OpenSimilarity) -> None:
        """Check that every price is known if money is limited.

        Raises:
            SettingsError: a price is unknown.
        """
        unpriced = sorted({each.name for each in opened if each.price is None})
        if unpriced and (self.settings.run.money is not None or self.settings.user.money is not None):
            raise SettingsError(
                f"the price of {', '.join(unpriced)} is unknown, so money cannot be limited: add it to a price file, "
                "or limit calls or tokens",
                remedy=Remedy("prices", "FILE", "reads a price file, see docs/remote.md"),
            )

    def notes(self) -> list[str]:
        """Return one sentence for each note of the models on how they handled their requests."""
        return [note for each in self.opened_models() for note in each.notes()]

    async def forget_prompts(self) -> None:
        """Drop the prompts that models have cached."""
        for each in self.opened_models():
            await each.forget()

    async def aclose(self) -> None:
        """Close everything that was opened here, in the event loop in which it was used."""
        for opening in self._opening.values():
            opening.cancel()  # its thread ends on its own
        await self._closing.aclose()
        self._checked.clear()
        self._models.clear()
        self._similarities.clear()

    def opened(self) -> Iterator[OpenModel | OpenSimilarity]:
        """Yield all open models and similarities."""
        yield from self.opened_models()
        yield from self._similarities.values()

    def opened_models(self) -> Iterator[OpenModel]:
        """Yield each open model once, although it is listed under both its given and its lasting name."""
        seen: set[int] = set()
        for each in self._models.values():
            if id(each) not in seen:
                seen.add(id(each))
                yield each


@contextmanager
def suggesting(remedy: Remedy | None) -> Iterator[None]:
    """Add a remedy to errors about missing models and packages that have none."""
    try:
        yield
    except (MissingExtraError, ModelError) as error:
        error.remedy = error.remedy or remedy
        raise
