"""Calls to one endpoint over HTTP; between the bodies of `wire` and the network.

There is one retry layer (stamina) over `openai`'s HTTP client, which runs on aiohttp. An attempt ends in an answer that
`read` accepts, in an `UnansweredError`, which is retried, or in a final `ModelError`. If a server requests a wait, all
calls to it wait.

The HTTP client is used directly: `AsyncOpenAI` on top of it takes about twice the CPU per call, and its typed `create`
about four times.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import aiohttp
import httpx2
import openai
import stamina
from stamina import Attempt

from idiolect.errors import ModelError, SettingsError, UnusableModelError
from idiolect.models.remote import faults
from idiolect.models.remote.attempts import before_retry, failed_try, patiently
from idiolect.models.remote.endpoint import Endpoint, has_key, read_key
from idiolect.models.remote.faults import Call, MissingModelError, Reply, UnansweredError

Result = TypeVar("Result")

MAX_RESPONSE = 16 * 2**20  # bytes
_KEPT_ALIVE = 4.0  # seconds; common servers drop an idle connection after 5
_ACCOUNT = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
_HINT_TIMEOUT = 5.0
_FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)

# Stamina logs each retry (our reason, no texts). Without a handler, Python would write that to standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Settings for calling an API. Times are in seconds.

    Args:
        concurrency: maximum number of concurrent requests; ≥ 1. None if the caller limits them, as `calls.turns` does.
        timeout: time limit of one attempt, from connecting to the answer's last byte; > 0.
        connect_timeout: time limit of connecting; > 0.
        attempts: maximum number of attempts per call, including the first; ≥ 1.
        wait_initial: wait before the first retry, doubled for each further one; ≥ 0.
        wait_max: longest wait before a retry, unless the server requests a longer one; ≥ wait_initial.
        max_retry_after: longest wait that a server may request; the call fails if it requests more; ≥ 0.

    Raises:
        SettingsError: a value is out of range.
    """

    concurrency: int | None = 16
    timeout: float = 120.0
    connect_timeout: float = 10.0
    attempts: int = 6
    wait_initial: float = 0.5
    wait_max: float = 30.0
    max_retry_after: float = 120.0

    def __post_init__(self) -> None:
        least = {"concurrency": 1, "attempts": 1, "timeout": 0.001, "connect_timeout": 0.001}
        for setting in fields(self):
            value, low = getattr(self, setting.name), least.get(setting.name, 0)
            if value is not None and not low <= value < float("inf"):
                raise SettingsError(f"{setting.name} is {value!r}, must be finite and at least {low}")
        if self.wait_max < self.wait_initial:
            raise SettingsError(f"wait_max is {self.wait_max!r}, must not be less than wait_initial")


@dataclass(slots=True)
class _Line:
    """The state of an `ApiClient` on one event loop.

    Args:
        loop: the event loop.
        client: holds the connections.
        slots: limits the requests in flight.
        free_at: the loop's time from which on calls may be sent.
        hint: the task that lists the server's models after a model was not found.
    """

    loop: asyncio.AbstractEventLoop
    client: httpx2.AsyncClient
    slots: AbstractAsyncContextManager[Any]
    free_at: float = 0.0
    hint: asyncio.Task[str] | None = None


class ApiClient:
    """A client that calls one endpoint.

    Args:
        endpoint: the endpoint to call; its key is read from the environment now.
        settings: how to call it.

    Attributes:
        attempts: number of requests sent so far.
        timeouts_maybe_billed: number of attempts that timed out while the server may have been working on them, so
            that it may charge for them.

    Raises:
        SettingsError: the key is missing or malformed.
    """

    def __init__(self, endpoint: Endpoint, settings: RemoteSettings) -> None:
        self.endpoint, self.settings = endpoint, settings
        self._key = read_key(endpoint)
        self._line: _Line | None = None
        self.attempts = self.timeouts_maybe_billed = 0

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[Any], Result]) -> Result:
        """Post a body and return the result of `read` for the answer's JSON; retry if it raises `UnansweredError`.

        Raises:
            RejectedError: the server rejected the request as invalid.
            UnusableModelError: the key was refused, the quota is used up, or there is no such model.
            ModelError: no answer came, after all retries.
            HaltedError: the payer of the call (`attempts`) allows no further try.
        """
        try:
            return await self._insist(path, body, read)
        except MissingModelError as error:
            missing = str(error)
        raise UnusableModelError(missing + await self._hint())

    async def models(self) -> list[str]:
        """Return the models that the server lists.

        Raises:
            ModelError: the server lists none, or no answer came.
        """
        names = await self._insist("/models", None, _model_names)
        if not names:
            raise ModelError(f"{self.endpoint.base_url} lists no models")
        return names

    async def check(self) -> None:
        """Check once, without retries, that a server answers and accepts the key, before a run begins.

        Raises:
            ModelError: no server answers, or the key is refused. Any other answer passes, because not all servers list
                their models.
        """
        line = self._open()
        try:
            async with asyncio.timeout(_HINT_TIMEOUT):
                response = await line.client.request("GET", f"{self.endpoint.base_url}/models")
            fault: BaseException | None = None
            if response.status_code == 401:
                reply = Reply(response.status_code, response.headers, b"")
                fault = faults.of_status(reply, self._call(None))
        except TimeoutError:
            return  # the server may just be busy
        except _FAILURES as error:
            fault = faults.of_connection(error, self._call(None))
        if fault is not None:
            raise ModelError(f"{self.endpoint.base_url}: {fault}" if isinstance(fault, UnansweredError) else str(fault))

    async def aclose(self) -> None:
        """Close the connections; a later call opens them again."""
        line, self._line = self._line, None
        if line is not None:
            if line.hint is not None:
                line.hint.cancel()
            await line.client.aclose()

    async def _insist(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], Result]) -> Result:
        """Attempt the call until an answer comes, at most `settings.attempts` times."""
        settings = self.settings
        attempts = stamina.retry_context(
            on=_asked_wait,
            attempts=settings.attempts,
            timeout=None,
            wait_initial=settings.wait_initial,
            wait_max=settings.wait_max,
            wait_jitter=settings.wait_initial,
        )
        made = 0
        try:
            async for attempt in _patiently(aiter(attempts)):
                with attempt:
                    made = attempt.num
                    if made > 1:
                        before_retry()
                    return await self._attempt(path, body, read)
        except UnansweredError as error:
            last = str(error)
        times = "1 attempt" if made == 1 else f"{made} attempts"
        raise ModelError(f"{self.endpoint.base_url}: gave up after {times}; the last failure: {last}")

    async def _attempt(self, path: str, body: Mapping[str, Any] | None, read: Callable[[Any], Result]) -> Result:
        line = self._open()
        async with line.slots:
            while (pause := line.free_at - line.loop.time()) > 0:
                await patiently(asyncio.sleep(pause))
            self.attempts += 1
            try:
                response = await self._send(line, path, body)
            except ModelError as error:
                failed_try(isinstance(error, UnansweredError) and error.maybe_billed)
                raise
        try:
            return read(_json_of(response))
        except ModelError:
            failed_try(maybe_billed=body is not None)
            raise

    async def _send(self, line: _Line, path: str, body: Mapping[str, Any] | None) -> httpx2.Response:
        """Make one HTTP exchange.

        Faults are raised outside `except`, because the client's exceptions contain the request and the key, and no
        error may have them as its context.
        """
        fault: BaseException
        url = f"{self.endpoint.base_url}{path}"
        content = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        try:
            async with asyncio.timeout(self.settings.timeout):
                response = await line.client.request("GET" if body is None else "POST", url, content=content)
            if response.is_success:
                return response
            fault = faults.of_status(Reply(response.status_code, response.headers, response.content), self._call(body))
        except TimeoutError:
            self.timeouts_maybe_billed += 1
            fault = UnansweredError(f"no complete answer within {self.settings.timeout:g} s", maybe_billed=True)
        except _FAILURES as error:
            fault = faults.of_connection(error, self._call(body))
        if isinstance(fault, UnansweredError) and fault.wait is not None:
            line.free_at = max(line.free_at, line.loop.time() + fault.wait)
        raise fault

    def _call(self, body: Mapping[str, Any] | None) -> Call:
        variables = self.endpoint.key_variable + ("" if self.endpoint.openai else " or IDIOLECT_API_KEY")
        known = has_key(self._key)
        advice = f"check the key in {variables}" if known else f"it requires a key; set {variables}"
        return Call(self.endpoint.base_url, advice, body or {}, self.settings.max_retry_after)

    async def _hint(self) -> str:
        """Return the result of `_listed`, which runs once for all calls."""
        line = self._open()
        if line.hint is None:
            line.hint = line.loop.create_task(self._listed())
        return await asyncio.shield(line.hint)

    async def _listed(self) -> str:
        """Return words for a message on the models that the server lists instead; "" if it lists none."""
        try:
            async with asyncio.timeout(_HINT_TIMEOUT):
                names = await self._attempt("/models", None, _model_names)
        except (ModelError, TimeoutError):
            return ""
        return f"; it lists: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}" if names else ""

    def _open(self) -> _Line:
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            bound = self.settings.concurrency
            self._line = _Line(loop, self._client(), nullcontext() if bound is None else asyncio.Semaphore(bound))
        return self._line

    def _client(self) -> httpx2.AsyncClient:
        return openai.DefaultAioHttpClient(
            headers=self._headers(),
            timeout=httpx2.Timeout(None, connect=self.settings.connect_timeout),
            # 0 means no limit: a wait for a connection would count towards the attempt's time limit.
            limits=httpx2.Limits(max_connections=0, keepalive_expiry=_KEPT_ALIVE),
            follow_redirects=False,  # people's texts go only to the address they were sent to
            event_hooks={"response": [self._bound]},
        )

    async def _bound(self, response: httpx2.Response) -> None:
        if response.headers.get("content-encoding", "identity") not in ("identity", ""):
            raise UnusableModelError(
                f"{self.endpoint.base_url} compresses its answers, although the request does not allow that"
            )
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Bounded(response.stream)

    def _headers(self) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # a small body could unpack to a huge one
            "User-Agent": "idiolect",
        }
        if self.endpoint.openai:
            for header, variable in _ACCOUNT.items():
                if value := os.environ.get(variable, "").strip():
                    headers[header] = value
        return headers


async def together(calls: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Run calls concurrently and return their results in order; raise the first failure and cancel the others."""
    if len(calls) == 1:
        return [await calls[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failed:
        failures = failed
    else:
        return [task.result() for task in tasks]
    raise failures.exceptions[0]


class _Bounded(httpx2.AsyncByteStream):
    """A response's byte stream that fails beyond `MAX_RESPONSE` bytes."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_RESPONSE:
                raise UnansweredError(f"the answer is longer than {MAX_RESPONSE // 2**20} MiB", maybe_billed=True)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _patiently(attempts: AsyncIterator[Attempt]) -> AsyncIterator[Attempt]:
    """Yield the attempts; the pauses before them end early if the payer allows no further try."""
    while (attempt := await patiently(anext(attempts, None))) is not None:
        yield attempt


def _asked_wait(error: Exception) -> bool | float:
    """Return whether stamina is to retry or, if the server requests a wait, after how many seconds."""
    if not isinstance(error, UnansweredError):
        return False
    return True if error.wait is None else error.wait


def _json_of(response: httpx2.Response) -> Any:
    """Parse the body as JSON, whatever its content type."""
    if not response.content.strip():
        raise UnansweredError("the answer is empty")
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        pass
    if "html" in response.headers.get("content-type", ""):
        raise UnansweredError("the server returned a web page; check the URL, including its /v1")
    raise UnansweredError("the answer is not JSON, or is incomplete")


def _model_names(payload: Any) -> list[str]:
    listed = payload.get("data") if isinstance(payload, dict) else None
    names = [model.get("id") for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
    return [name for name in names if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200]
