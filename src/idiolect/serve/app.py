"""The application: every route behind one boundary, which measures, logs, and turns whatever is raised into an answer.

request → Exchange → route → response with the exchange's headers → metrics, log
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from idiolect.serve.exchange import REQUEST_ID, Exchange, begun
from idiolect.serve.gateway import Gateway
from idiolect.serve.logs import log_failure, log_request
from idiolect.serve.responding import STOPPING, error_response
from idiolect.serve.routes.context import EXCHANGE, GATEWAY
from idiolect.serve.routes.table import ROUTES, Route

_CLIENT_GONE = 499  # nginx's status for it, in logs and metrics only
_UNKNOWN_ROUTE = "unknown"


def make_app(gateway: Gateway, routes: Sequence[Route] = ROUTES) -> web.Application:
    """Return the application of a gateway that is open.

    Args:
        gateway: the gateway.
        routes: the routes.
    """
    app = web.Application(middlewares=[_boundary])
    app[GATEWAY] = gateway
    for route in routes:
        if route.method == "GET":
            app.router.add_get(route.path, route.handler, allow_head=True)
        else:
            app.router.add_route(route.method, route.path, route.handler)
    return app


@web.middleware
async def _boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    gateway = request.app[GATEWAY]
    exchange = request[EXCHANGE] = begun(request.headers.get(REQUEST_ID))
    resource = request.match_info.route.resource
    exchange.route = _UNKNOWN_ROUTE if resource is None else resource.canonical
    task = asyncio.current_task()
    assert task is not None, "a request is answered in a task"
    gateway.active[task] = exchange
    gateway.metrics.begin()
    status = 500
    try:
        response = await _answered(request, handler, exchange)
        status = response.status
        return response
    except (asyncio.CancelledError, ConnectionError):
        status = _CLIENT_GONE
        exchange.broken = exchange.broken or "client"
        raise
    finally:
        del gateway.active[task]
        gateway.bodies.release(exchange)
        seconds = time.perf_counter() - exchange.started
        gateway.metrics.end(exchange, status, seconds)
        log_request(exchange, request.method, status, seconds)


async def _answered(request: web.Request, handler: Handler, exchange: Exchange) -> web.StreamResponse:
    """Return the response; an error before its head becomes a response too."""
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except asyncio.CancelledError:
        if not exchange.stopping:
            raise
        exchange.broken = "stopping"
        return error_response(STOPPING, exchange)
    except Exception as error:
        log_failure(error, exchange)
        return error_response(error, exchange)
