"""Calls to one endpoint over HTTP; between the bodies of `wire` and the exchanges of `exchange`.

There is one retry layer (stamina) over `openai`'s HTTP client, which runs on aiohttp. An attempt ends in an answer that
`read` accepts, in an `UnansweredError`, which is retried, or in a final `ModelError`. If a server requests a wait, all
calls to it wait.

The HTTP client is used directly: `AsyncOpenAI` on top of it takes about twice the CPU per call, and its typed `create`
about four times.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

import aiohttp
import httpx2
import stamina
from stamina import Attempt

from idiolect.errors import ModelError, SettingsError, UnusableModelError
from idiolect.models.remote import faults, wordings
from idiolect.models.remote.attempts import before_retry, failed_try, patiently, pausing
from idiolect.models.remote.endpoint import Endpoint, headers_for, key_advice, read_key
from idiolect.models.remote.exchange import Tap, Watch, exchange, open_client, payload_of
from idiolect.models.remote.faults import Call, MissingModelError, UnansweredError
from idiolect.models.remote.replies import Reply, complaint_instead, read_complaint
from idiolect.models.remote.streams import BrokenStreamError

Result = TypeVar("Result")
Body = Mapping[str, Any] | None


class StreamReader(Protocol):
    """A reader of a streamed answer while it comes."""

    @property
    def said(self) -> str:
        """The text that was handed out."""
        ...

    def begin(self) -> Tap:
        """Begin to read the answer of another attempt, and return what receives its bytes."""
        ...


_HINT_TIMEOUT = 5.0
_VERSIONED = re.compile(r"/v\d")  # of a path, as most servers' have
_FAILURES = (httpx2.HTTPError, httpx2.InvalidURL, aiohttp.ClientError, OSError, UnicodeError)

# Stamina logs each retry (our reason, no texts). Without a handler, Python would write that to standard error.
logging.getLogger("stamina").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Settings for calling an API. Times are in seconds.

    Args:
        concurrency: maximum number of concurrent requests; ≥ 1. None if the caller limits them, as `calls.turns` does.
        timeout: longest silence of the server in one attempt, in which not a byte of the answer comes; > 0.
        longest: time limit of one attempt, from connecting to the answer's last byte; > 0.
        connect_timeout: time limit of connecting; > 0.
        attempts: maximum number of attempts per call, including the first; ≥ 1.
        wait_initial: wait before the first retry, doubled for each further one; ≥ 0.
        wait_max: longest wait before a retry, unless the server requests a longer one; ≥ wait_initial.
        max_retry_after: longest wait that a server may request; the call fails if it requests more; ≥ 0.
        keys: keys that do not come from the environment, by the base URL of their server.

    Raises:
        SettingsError: a value is out of range.
    """

    concurrency: int | None = 16
    timeout: float = 120.0
    longest: float = 3600.0
    connect_timeout: float = 10.0
    attempts: int = 6
    wait_initial: float = 0.5
    wait_max: float = 30.0
    max_retry_after: float = 600.0
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        least = {"concurrency": 1, "attempts": 1, "timeout": 0.001, "longest": 0.001, "connect_timeout": 0.001}
        for name in (each.name for each in fields(self) if each.name != "keys"):
            value, low = getattr(self, name), least.get(name, 0)
            if value is not None and not low <= value < float("inf"):
                raise SettingsError(f"{name} is {value!r}, must be finite and at least {low}")
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
    hint: asyncio.Task[list[str]] | None = None


class ApiClient:
    """A client that calls one endpoint.

    Args:
        endpoint: the endpoint to call; its key is read from the environment now, unless the settings have one.
        settings: how to call it.

    Attributes:
        attempts: number of requests sent so far.
        timeouts: number of attempts that timed out.
        broken_streams: number of streamed answers that ended without their end.

    Raises:
        SettingsError: the key is missing or malformed.
    """

    def __init__(self, endpoint: Endpoint, settings: RemoteSettings) -> None:
        self.endpoint, self.settings = endpoint, settings
        self._given = settings.keys.get(endpoint.base_url, "")
        self._key = self._given or read_key(endpoint)
        self._line: _Line | None = None
        self.attempts = self.timeouts = self.broken_streams = 0

    async def post(
        self,
        path: str,
        body: Callable[[], Mapping[str, Any]],
        read: Callable[[Any], Result],
        *,
        reader: StreamReader | None = None,
    ) -> Result:
        """Post a body and return the result of `read` for the answer's JSON; retry if it raises `UnansweredError`.

        Args:
            path: the path below the endpoint's URL.
            body: returns the body of each attempt.
            read: reads an answer.
            reader: reads a streamed answer while it comes. Once it has read any text, a failure is final.

        Raises:
            RejectedError: the server rejected the request as invalid.
            FilteredError: a content filter refused the request.
            OutOfTokensError: the model used up its tokens before it wrote anything.
            ContextLengthError: the prompt is longer than the model can read.
            UnusableModelError: the key was refused, the quota is used up, or there is no such model.
            ModelError: no answer came, after all retries.
            HaltedError: the payer of the call (`attempts`) allows no further try.
        """
        try:
            return await self._insist(path, body, read, reader)
        except MissingModelError as error:
            missing = error
        raise UnusableModelError(f"{missing}{await self._hint(missing)}")

    async def models(self) -> list[str]:
        """Return the models that the server lists.

        Raises:
            ModelError: the server lists none, or no answer came.
        """
        try:
            names = await self._insist("/models", None, _model_names)
        except MissingModelError as error:
            raise UnusableModelError(f"{error}{self._path_advice()}") from None
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
            watch = Watch(_HINT_TIMEOUT, _HINT_TIMEOUT)
            response = await exchange(line.client, self.endpoint.address("/models"), None, watch)
            fault: BaseException | None = None
            reply = Reply(response.status_code, response.headers, response.content)
            if response.status_code == 401 or (
                response.status_code in (400, 403) and wordings.is_key_refused(read_complaint(reply))
            ):
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

    async def _insist(
        self,
        path: str,
        body: Callable[[], Mapping[str, Any]] | None,
        read: Callable[[Any], Result],
        reader: StreamReader | None = None,
    ) -> Result:
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
                    return await self._attempt(path, None if body is None else body(), read, reader)
        except UnansweredError as error:
            last = str(error)
        times = "1 attempt" if made == 1 else f"{made} attempts"
        raise ModelError(f"{self.endpoint.base_url}: gave up after {times}; the last failure: {last}")

    async def _attempt(
        self, path: str, body: Body, read: Callable[[Any], Result], reader: StreamReader | None = None
    ) -> Result:
        """Make one attempt; raise no `UnansweredError`, which is retried, once text of the answer was handed out."""
        try:
            return await self._attempt_once(path, body, read, reader)
        except ModelError as error:
            if reader is None or not reader.said:
                raise
            broken = error
        if isinstance(broken, UnansweredError):
            raise ModelError(f"{self.endpoint.base_url}: the answer broke off: {broken}")
        raise broken

    async def _attempt_once(
        self, path: str, body: Body, read: Callable[[Any], Result], reader: StreamReader | None
    ) -> Result:
        line = self._open()
        async with line.slots:
            while (pause := line.free_at - line.loop.time()) > 0:
                await patiently(asyncio.sleep(pause))
            self.attempts += 1
            try:
                response = await self._send(line, path, body, None if reader is None else reader.begin())
            except ModelError as error:
                self._failed(line, error, maybe_billed=isinstance(error, UnansweredError) and error.maybe_billed)
                raise
        try:
            payload = payload_of(response)
            if (complaint := complaint_instead(payload)) is None:
                return read(payload)
        except ModelError as error:
            self.broken_streams += isinstance(error, BrokenStreamError)
            self._failed(line, error, maybe_billed=body is not None)
            raise
        fault = faults.of_complaint(complaint, response.headers, self._call(body))
        self._failed(line, fault, maybe_billed=False)
        raise fault

    def _failed(self, line: _Line, error: ModelError, *, maybe_billed: bool) -> None:
        """Report a try without an answer to the payer, and make all calls wait if the server asks for it."""
        failed_try(maybe_billed)
        if isinstance(error, UnansweredError) and error.wait is not None:
            line.free_at = max(line.free_at, line.loop.time() + error.wait)
            pausing(error.wait)

    async def _send(self, line: _Line, path: str, body: Body, tap: Tap | None) -> httpx2.Response:
        """Make one HTTP exchange.

        Faults are raised outside `except`, because the client's exceptions contain the request and the key, and no
        error may have them as its context.
        """
        fault: BaseException
        watch = Watch(self.settings.timeout, self.settings.longest, tap=tap)
        try:
            response = await exchange(line.client, self.endpoint.address(path), body, watch)
            if response.is_success:
                return response
            fault = faults.of_status(Reply(response.status_code, response.headers, response.content), self._call(body))
        except TimeoutError:
            self.timeouts += 1
            limit = self.settings.timeout if watch.ended_silent else self.settings.longest
            what = "nothing came for" if watch.ended_silent else "no complete answer within"
            fault = UnansweredError(f"{what} {limit:g} s", maybe_billed=True)
        except _FAILURES as error:
            fault = faults.of_connection(error, self._call(body))
        raise fault

    def _call(self, body: Body) -> Call:
        advice = "check the key in its settings" if self._given else key_advice(self.endpoint, self._key)
        return Call(self.endpoint.base_url, advice, body or {}, self.settings.max_retry_after)

    async def _hint(self, missing: MissingModelError) -> str:
        """Return words for a message on what is missing; the server's models are listed once for all calls."""
        line = self._open()
        if line.hint is None:
            line.hint = line.loop.create_task(self._listed())
        names = await asyncio.shield(line.hint)
        if self.endpoint.model in names and missing.what == "model":
            return f"; it lists {self.endpoint.model}, but does not serve it at present"
        if self.endpoint.model in names:
            return f"; it lists {self.endpoint.model}, so the URL's path is wrong{self._path_advice()}"
        if names:
            return f"; it lists: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
        versioned = _VERSIONED.search(self.endpoint.path) or self.endpoint.azure
        return self._path_advice() if missing.what == "path" or not versioned else ""

    async def _listed(self) -> list[str]:
        """Return the models that the server lists; none if it does not list them."""
        try:
            async with asyncio.timeout(_HINT_TIMEOUT):
                return await self._attempt("/models", None, _model_names)
        except (ModelError, TimeoutError):
            return []

    def _path_advice(self) -> str:
        """Return advice on the path of the URL."""
        if self.endpoint.path:
            return "; check the URL's path: most servers' ends in /v1"
        return f"; most servers are at {self.endpoint.base_url}/v1"

    def _open(self) -> _Line:
        loop = asyncio.get_running_loop()
        if self._line is None or self._line.loop is not loop:
            bound = self.settings.concurrency
            slots = nullcontext() if bound is None else asyncio.Semaphore(bound)
            headers = headers_for(self.endpoint, self._key)
            self._line = _Line(loop, open_client(headers, connect_timeout=self.settings.connect_timeout), slots)
        return self._line


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


async def _patiently(attempts: AsyncIterator[Attempt]) -> AsyncIterator[Attempt]:
    """Yield the attempts; the pauses before them end early if the payer allows no further try."""
    while (attempt := await patiently(anext(attempts, None))) is not None:
        yield attempt


def _asked_wait(error: Exception) -> bool | float:
    """Return whether stamina is to retry or, if the server requests a wait, after how many seconds."""
    if not isinstance(error, UnansweredError):
        return False
    return True if error.wait is None else error.wait


def _model_names(payload: Any) -> list[str]:
    listed = payload.get("data") if isinstance(payload, dict) else None
    names = [model.get("id") for model in listed if isinstance(model, dict)] if isinstance(listed, list) else []
    return [name for name in names if isinstance(name, str) and name.isprintable() and 0 < len(name) <= 200]
