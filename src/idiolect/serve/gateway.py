"""The composition root of a gateway: settings, store, keys, personalizations, and what answers.

async with open_gateway(settings) as gateway: …          the event loop's, as the workspace is
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.models.catalog import is_remote
from idiolect.models.remote.endpoint import Endpoint
from idiolect.serve.body import JsonBody
from idiolect.serve.body_reading import BodyReader
from idiolect.serve.budgets import Budgets
from idiolect.serve.erasures import Erasures
from idiolect.serve.exchange import Exchange
from idiolect.serve.heard import Kept
from idiolect.serve.identity import Asker, Trust
from idiolect.serve.keys import ConfiguredKeys, Keys, KnownKeys
from idiolect.serve.limits import RateLimits
from idiolect.serve.local_keys import LocalKeys
from idiolect.serve.metrics import Metrics
from idiolect.serve.personalizations import Applied, Personalizations
from idiolect.serve.settings import GatewaySettings, key_of_environment, upstream_of
from idiolect.serve.stored_keys import StoredKeys
from idiolect.serve.thread_pools import Threads
from idiolect.serve.tracing import Span, no_span, open_tracing
from idiolect.serve.worker import LEASE, Workers, WorkerSettings
from idiolect.serve.working import working
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.job_queue import JobQueue


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
        threads: threads for writes and for parsing.
        bodies: reads the bodies of requests.
        personalizations: what was learned for those who ask.
        answers: what answers.
        metrics: counts and times.
        span: opens a span of a trace.
        store_of: returns the store of a tenant's users.
        erasures: those of people that are running.
        kept: the last responses of users.
        budgets: what fits may spend on users.
        wake_workers: makes the workers of this process look into the queue of fits.
        secret: what keys of those who can read the store's folder are made of.
        stopping: whether the server is about to end.
        active: tasks of requests that are being answered, with their exchanges.
    """

    settings: GatewaySettings
    workspace: AsyncWorkspace
    trust: Trust
    limits: RateLimits
    threads: Threads
    bodies: BodyReader
    personalizations: Personalizations
    answers: Answers
    metrics: Metrics
    span: Span
    store_of: Callable[[str], Store]
    erasures: Erasures
    kept: Kept
    budgets: Budgets
    wake_workers: Callable[[], None]
    secret: str
    stopping: bool = False
    active: dict[asyncio.Task[object], Exchange] = field(default_factory=dict)


@asynccontextmanager
async def open_gateway(settings: GatewaySettings, *, keys: Sequence[Keys] = ()) -> AsyncIterator[Gateway]:
    """Open a gateway; its model is loaded, and an upstream is not yet called.

    Args:
        settings: the settings.
        keys: where further keys are known, beside those of the settings and the environment.

    Raises:
        SettingsError: the upstream or its key is not valid.
        ModelError, MissingExtraError: the model cannot be opened.
        StoreError: the store cannot be opened.
    """
    async with AsyncExitStack() as opened:
        upstream = None if settings.upstream is None else upstream_of(settings)
        calls = CallSettings(timeout=settings.upstream_timeout, keys=_given_keys(settings, upstream))
        workspace = await opened.enter_async_context(
            AsyncWorkspace(
                WorkspaceSettings(settings.store, settings.answering_model, calls=calls, tenant=DEFAULT_TENANT)
            )
        )
        store = workspace.store
        span: Span = no_span
        if settings.traces:
            span, close = open_tracing()
            opened.callback(close)
        metrics = Metrics()
        answers = await opened.enter_async_context(_answers(settings, upstream, workspace, metrics, span))
        secret = secrets.token_urlsafe(32)
        trust = await _trust(settings, StoredKeys(store.database), LocalKeys(secret), *keys)

        def store_of(tenant: str) -> Store:
            return store.of_tenant(tenant, create=True)

        personalizations = Personalizations(
            workspace,
            store_of,
            method=settings.method,
            model=None if settings.upstream is not None else settings.answering_model,
            max_age=settings.max_age,
            most=settings.cached_users,
            on_outcome=metrics.cached,
        )
        threads = await opened.enter_async_context(Threads())
        erasures = await opened.enter_async_context(Erasures(personalizations, workspace.forget_prompts))
        kept = await opened.enter_async_context(
            Kept(store_of, erasures.erases, most=settings.keep_responses, seconds=settings.keep_responses_seconds)
        )
        wake = await opened.enter_async_context(_workers(settings, workspace, store_of, personalizations))
        yield Gateway(
            settings, workspace, trust, RateLimits(), threads, _bodies(settings, threads), personalizations, answers,
            metrics, span, store_of, erasures, kept, settings.budgets, wake, secret,
        )  # fmt: skip


def _given_keys(settings: GatewaySettings, upstream: tuple[Endpoint, str] | None) -> Mapping[str, str]:
    """Return the upstream's key by its URL, for fits; nothing if it comes from the environment, where they find it."""
    if upstream is None or (settings.upstream_key_env is None and settings.upstream_key_file is None):
        return {}
    endpoint, key = upstream
    return {endpoint.base_url: key}


def _bodies(settings: GatewaySettings, threads: Threads) -> BodyReader:
    return BodyReader(
        largest=settings.max_body_bytes,
        together=settings.max_bodies_bytes,
        timeout=settings.body_timeout,
        threads=threads,
    )


@asynccontextmanager
async def _workers(
    settings: GatewaySettings,
    workspace: AsyncWorkspace,
    store_of: Callable[[str], Store],
    personalizations: Personalizations,
) -> AsyncIterator[Callable[[], None]]:
    """Run the workers of this process, and yield what wakes them."""
    if not settings.workers:
        yield lambda: None
        return
    apart, loop = is_remote(settings.learning_model), asyncio.get_running_loop()

    def learned(asker: Asker) -> None:
        loop.call_soon_threadsafe(personalizations.forget, asker)

    workers = Workers(
        WorkerSettings(
            settings.workers,
            settings.learning_model,
            settings.fit_optimizer,
            settings.store,
            workspace.settings.calls,
            grace=settings.shutdown_grace,
        ),
        JobQueue(workspace.store.database, secrets.token_hex(8), lease=LEASE),
        store_of,
        settings.budgets,
        learned,
        None if apart else workspace.models,
    )
    async with working(workers, apart=apart) as wake:
        yield wake


@asynccontextmanager
async def _answers(
    settings: GatewaySettings,
    upstream: tuple[Endpoint, str] | None,
    workspace: AsyncWorkspace,
    metrics: Metrics,
    span: Span,
) -> AsyncIterator[Answers]:
    if upstream is None:
        from idiolect.serve.local_answers import LocalAnswers

        async with LocalAnswers(workspace, settings.answering_model, settings.served_names, span) as local:
            yield local
        return
    from idiolect.serve.upstream import Upstream, UpstreamSettings

    how = UpstreamSettings(
        *upstream,
        connect_timeout=settings.connect_timeout,
        silence=settings.upstream_timeout,
        names_users=settings.forward_user_ids,
        forwarded=settings.forward_headers,
    )
    async with Upstream(how, metrics, span) as remote:
        yield remote


async def _trust(settings: GatewaySettings, *keys: Keys) -> Trust:
    configured = [key.record for key in settings.keys]
    if (of_environment := key_of_environment()) is not None:
        configured.append(of_environment)
    known = KnownKeys(ConfiguredKeys(configured), *keys, max_age=settings.max_age)
    automatic = settings.anonymous == "auto"
    anonymous = (settings.on_loopback and not await known.exist()) if automatic else settings.anonymous == "yes"
    return Trust(known, anonymous, automatic, settings.trusted_peers, settings.user_header)
