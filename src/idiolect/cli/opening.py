"""Models and similarities opened by name, for every method alike, and closed again; `assembly` puts them to work.

Whatever can be wrong with a name is found out here, before anything is learned or written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from idiolect.cli.fit_order import CallOrder
from idiolect.cli.progress import waiting
from idiolect.errors import MissingExtraError, ModelError
from idiolect.models.calls.model import Source
from idiolect.models.calls.prices import Price, PriceTable
from idiolect.models.catalog import is_remote, lasting_name, open_model, open_similarity, price_name, server_of
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Embedder, EmbeddingSimilarity, Similarity

if TYPE_CHECKING:
    from idiolect.models.remote.transport import RemoteSettings

_FREE = Price(Decimal(0), Decimal(0))  # whatever runs in this process


class Closable(Protocol):
    """What holds connections."""

    async def aclose(self) -> None:
        """Close them; in the event loop in which they were opened."""
        ...


@asynccontextmanager
async def closing(bench: Closable) -> AsyncIterator[None]:
    """Close connections at the end, in the loop in which they were opened."""
    try:
        yield
    finally:
        await bench.aclose()


@contextmanager
def opened_sources(names: Iterable[str], order: CallOrder | None) -> Iterator[dict[str, Source]]:
    """Open language models by name, each once; they are closed at the end (connections: by `aclose_all`).

    Args:
        names: of the models.
        order: how models may be called; None: local ones as they are, with nothing kept.

    Raises:
        SettingsError: a name means nothing.
        ModelError: there is no such model.
        MissingExtraError: a model needs packages that are not installed.
    """
    models: dict[str, LanguageModel] = {}
    try:
        with waiting("opening the models"):
            for name in dict.fromkeys(names):
                models[name] = open_model(
                    name, remote=_remote_settings(name, order), dtype=None if order is None else order.dtype
                )
            sources = {name: _source(name, model, order) for name, model in models.items()}
        yield sources
    finally:
        for each in models.values():
            close = getattr(each, "close", None)  # only models that hold something have it
            if close is not None:
                close()


def opened_similarity(name: str, order: CallOrder | None, *, way_out: str) -> Similarity:
    """Open a similarity by name.

    Args:
        name: of it.
        order: how models may be called.
        way_out: what the message says besides, where it is not installed.

    Raises:
        SettingsError: the name means nothing.
        MissingExtraError: it needs packages that are not installed.
    """
    try:
        return open_similarity(name, remote=_remote_settings(name, order))
    except MissingExtraError as error:
        raise MissingExtraError(f"{error}{way_out}") from error


def price_of(name: str, order: CallOrder | None) -> Price | None:
    """What calls of a remote model cost; None where that is not known."""
    return PriceTable.load(None if order is None else order.prices).price(price_name(name))


def embedder_of(similarity: Similarity) -> Embedder | None:
    """What turns texts into vectors for it; None where it works without."""
    return similarity.embedder if isinstance(similarity, EmbeddingSimilarity) else None


async def check_models(models: Iterable[object]) -> None:
    """Find out whether remote models can be reached at all, before every user fails one by one.

    Raises:
        ModelError: nobody answers there, or the key is refused.
    """
    for each in dict.fromkeys(models):
        check = getattr(each, "check", None)  # only what is behind a connection has it
        if check is not None:
            await check()


async def check_similarity(similarity: Similarity, *, way_out: str) -> None:
    """Find out whether the similarity can be had: an embedding model is opened only at its first text.

    Raises:
        ModelError: it cannot be had; the message says what can.
        MissingExtraError: it needs packages that are not installed.
    """
    check = getattr(embedder_of(similarity), "check", None)  # only what is behind a connection has it
    try:
        with waiting("opening the similarity"):
            if check is not None:
                await check()
            else:
                await similarity.similarity(["a question"], ["a question"])
    except (MissingExtraError, ModelError) as error:
        raise type(error)(f"{error}{way_out}") from error


async def aclose_all(opened: Iterable[object]) -> None:
    """Close connections; in the event loop in which they were opened."""
    for each in dict.fromkeys(opened):
        close = getattr(each, "aclose", None)  # only what is behind a connection has it
        if close is not None:
            await close()


def notes_of(models: Iterable[object]) -> list[str]:
    """What the models have to say about how they were used, for the end of a run."""
    said = (getattr(each, "notes", ()) for each in dict.fromkeys(models))
    return [note for notes in said for note in notes]


def _remote_settings(name: str, order: CallOrder | None) -> RemoteSettings | None:
    if order is None or not is_remote(name):
        return None
    from idiolect.models.remote.transport import RemoteSettings  # the HTTP client behind it takes a second to import

    return RemoteSettings(concurrency=None, timeout=order.timeout)


def _source(name: str, model: LanguageModel, order: CallOrder | None) -> Source:
    lasting = lasting_name(name)
    if is_remote(name):
        price = price_of(model.name, order)
        return Source(model, model.name, fingerprint=server_of(name), price=price, remote=True)
    fingerprint: Any = getattr(model, "fingerprint", None)  # a recording has none, and needs no cache
    if fingerprint is None or order is None or not order.cached:
        return Source(model, lasting, price=_FREE, cached=False)
    return Source(model, lasting, fingerprint(), price=_FREE)
