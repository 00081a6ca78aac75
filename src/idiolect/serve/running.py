"""The process of a gateway: listening, and an end in which streams are finished first.

stop → no new connections, /ready fails → answers may take the grace time → then they end with an error event
"""

from __future__ import annotations

import asyncio
import errno
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

from aiohttp import web

from idiolect.application.running_gateway import announced
from idiolect.errors import IdiolectError
from idiolect.serve.app import make_app
from idiolect.serve.gateway import Gateway, open_gateway
from idiolect.serve.logs import LOGGER, log
from idiolect.serve.settings import GatewaySettings
from idiolect.serve.unread import unread_answers_end

_SWITCH = 0.0005  # seconds after which a thread that computes lets the event loop go on; 0.005 in Python otherwise
_LAST_WORDS = 2.0  # seconds for the error events of streams that are ended
_LINGERING = 1.0  # seconds for the rest of a body that is not read, so that its client sees the answer


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[int]:
    """Listen while the context is open, and yield the port. At its end, answers are finished as the settings allow.

    Raises:
        IdiolectError: the address cannot be listened at.
    """
    settings = gateway.settings
    runner = web.AppRunner(
        make_app(gateway),
        handler_cancellation=True,
        access_log=None,
        logger=LOGGER.getChild("http"),
        keepalive_timeout=settings.idle_timeout,  # by default longer than that of proxies, so that it is they who close
        lingering_time=_LINGERING,
        auto_decompress=False,  # see `body_reading`
        shutdown_timeout=_LAST_WORDS,
    )
    await runner.setup()
    async with AsyncExitStack() as opened:
        opened.push_async_callback(runner.cleanup)
        await opened.enter_async_context(unread_answers_end(_server_of(runner), settings.unread_timeout))
        site = web.TCPSite(runner, settings.host, settings.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise _not_listening(error, settings) from None
        port = int(runner.addresses[0][1])
        try:
            with _announced(gateway, port):
                yield port
        finally:
            gateway.stopping = True
            await site.stop()
            await _finish(gateway, settings.shutdown_grace)


async def serve(settings: GatewaySettings, stop: asyncio.Event, on_start: Callable[[Gateway, int], None]) -> None:
    """Serve until `stop` is set.

    Args:
        settings: the settings.
        stop: set by a signal.
        on_start: receives the gateway and its port when it listens.

    Raises:
        IdiolectError: the gateway cannot be opened, or not listen.
    """
    sys.setswitchinterval(_SWITCH)
    async with open_gateway(settings) as gateway, listening(gateway) as port:
        on_start(gateway, port)
        log("started", port=port)
        await stop.wait()
        log("stopping", active=len(gateway.active))
    log("stopped")


@contextmanager
def _announced(gateway: Gateway, port: int) -> Iterator[None]:
    """Announce the gateway beside its store while the context is open, if the store has a folder."""
    folder, host = gateway.workspace.store.folder, gateway.settings.host
    if folder is None:
        yield
        return
    local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    url = f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"
    with announced(folder, url, gateway.secret):
        yield


def _server_of(runner: web.AppRunner) -> web.Server:
    server = runner.server
    assert server is not None, "a runner that is set up has a server"
    return server


async def _finish(gateway: Gateway, grace: float) -> None:
    """Wait for the answers in progress, and end those that take longer."""
    if gateway.active:
        await asyncio.wait(set(gateway.active), timeout=grace)
    late = dict(gateway.active)
    for task, exchange in late.items():
        exchange.stopping = True
        task.cancel()
    if late:
        await asyncio.wait(set(late), timeout=_LAST_WORDS)


def _not_listening(error: OSError, settings: GatewaySettings) -> IdiolectError:
    where = f"{settings.host}:{settings.port}"
    if error.errno == errno.EADDRINUSE:
        return IdiolectError(f"{where} is in use by another process; choose another port with --port")
    return IdiolectError(f"cannot listen at {where}: {error.strerror or 'the address is not known'}")
