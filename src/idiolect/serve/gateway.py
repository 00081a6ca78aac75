"""The composition root of a gateway: settings, store, keys, personalizations, and what answers.

async with open_gateway(settings) as gateway: …          the event loop's, as the workspace is
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import SettingsError
from idiolect.serve.body import JsonBody
from idiolect.serve.exchange import Exchange
from idiolect.serve.identity import Asker, Trust
from idiolect.serve.keys import DEFAULT_TENANT, ConfiguredKeys, Keys, KnownKeys
from idiolect.serve.limits import RateLimits
from idiolect.serve.metrics import Metrics
from idiolect.serve.personalizations import Applied, Personalizations
from idiolect.serve.settings import GatewaySettings, key_of_environment, upstream_of
from idiolect.serve.tracing import Span, no_span, open_tracing
from idiolect.store import Store


class Answers(Protocol):
    """What answers for everybody: an upstream, or a model of the workspace."""

    @property
    def describes(self) -> str:
        """What answers, in words."""
        ...

    async def chat(
        self, request: web.Request, exchange: Exchange, body: JsonBody, asker: Asker, applied: Applied
    ) -> web.StreamResponse:
        """Answer a conversation with what applies to it."""
        ...

    async def complete(self, request: web.Request, exchange: Exchange, body: JsonBody) -> web.StreamResponse:
        """Answer a request for a plain completion."""
        ...

    async def models(self, exchange: Exchange) -> Sequence[Mapping[str, object]]:
        """Return the models that clients may name."""
        ...

    async def check(self) -> None:
        """Raise an error if nothing can be answered now."""
        ...


@dataclass(slots=True)
class Gateway:
    """All that routes need.

    Args:
        settings: the settings in force.
        workspace: store and models.
        trust: whose word is taken for whom.
        limits: requests a minute.
        personalizations: what was learned for those who ask.
        answers: what answers.
        metrics: counts and times.
        span: opens a span of a trace.
        store_of: returns the store of a tenant's users.
        stopping: whether the server is about to end.
        active: tasks of requests that are being answered, with their exchanges.
    """

    settings: GatewaySettings
    workspace: AsyncWorkspace
    trust: Trust
    limits: RateLimits
    personalizations: Personalizations
    answers: Answers
    metrics: Metrics
    span: Span
    store_of: Callable[[str], Store]
    stopping: bool = False
    active: dict[asyncio.Task[object], Exchange] = field(default_factory=dict)


@asynccontextmanager
async def open_gateway(settings: GatewaySettings, *, keys: Sequence[Keys] = ()) -> AsyncIterator[Gateway]:
    """Open a gateway; its model is loaded, and an upstream is not yet called.

    Args:
        settings: the settings.
        keys: where further keys are known, beside those of the settings and the environment.

    Raises:
        SettingsError: the upstream or its key is not valid, or a key's tenant is not known.
        ModelError, MissingExtraError: the model cannot be opened.
        StoreError: the store cannot be opened.
    """
    async with AsyncExitStack() as opened:
        calls = CallSettings(timeout=settings.upstream_timeout)
        workspace = await opened.enter_async_context(
            AsyncWorkspace(WorkspaceSettings(settings.store, settings.answering_model, calls=calls))
        )
        store = workspace.store
        span: Span = no_span
        if settings.traces:
            span, close = open_tracing()
            opened.callback(close)
        metrics = Metrics()
        answers = await opened.enter_async_context(_answers(settings, workspace, metrics, span))
        trust = await _trust(settings, keys)

        def store_of(tenant: str) -> Store:
            if tenant != DEFAULT_TENANT:
                raise SettingsError(f"there is no tenant {tenant!r}")
            return store

        personalizations = Personalizations(
            workspace,
            store_of,
            method=settings.method,
            model=None if settings.upstream is not None else settings.answering_model,
            max_age=settings.max_age,
            most=settings.cached_users,
            on_outcome=metrics.cached,
        )
        yield Gateway(settings, workspace, trust, RateLimits(), personalizations, answers, metrics, span, store_of)


@asynccontextmanager
async def _answers(
    settings: GatewaySettings, workspace: AsyncWorkspace, metrics: Metrics, span: Span
) -> AsyncIterator[Answers]:
    if settings.upstream is None:
        from idiolect.serve.local_answers import LocalAnswers

        async with LocalAnswers(workspace, settings.answering_model, settings.served_names, span) as local:
            yield local
        return
    from idiolect.serve.upstream import Upstream, UpstreamSettings

    endpoint, key = upstream_of(settings)
    upstream = UpstreamSettings(
        endpoint,
        key,
        connect_timeout=settings.connect_timeout,
        silence=settings.upstream_timeout,
        names_users=settings.forward_user_ids,
        forwarded=settings.forward_headers,
    )
    async with Upstream(upstream, metrics, span) as remote:
        yield remote


async def _trust(settings: GatewaySettings, keys: Sequence[Keys]) -> Trust:
    configured = [key.record for key in settings.keys]
    if (of_environment := key_of_environment()) is not None:
        configured.append(of_environment)
    unknown = sorted({record.tenant for _, record in configured} - {DEFAULT_TENANT})
    if unknown:
        raise SettingsError(f"a key belongs to the tenant {unknown[0]!r}, but the store has no tenants")
    known = KnownKeys(ConfiguredKeys(configured), *keys, max_age=settings.max_age)
    automatic = settings.anonymous == "auto"
    anonymous = (settings.on_loopback and not await known.exist()) if automatic else settings.anonymous == "yes"
    return Trust(known, anonymous, automatic, settings.trusted_peers, settings.user_header)
