"""An OpenAI-compatible server for tests: real HTTP on a loopback port, in a thread with its own event loop.

    with ApiServer(lambda body, number: "Yes") as server:
        …                                   # server.url is "http://127.0.0.1:PORT/v1"
    assert server.log[0].body["model"] == "m"

What it answers is up to `answer(body, number)`: a text, a whole payload, or a fault to play. Requests are numbered from
1 in the order of arrival. Other processes may talk to it; its attributes may be read from any thread.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Status:
    """Answers with this HTTP status; a mapping or a list as `body` becomes JSON."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | list[Any] | str = ""


@dataclass(frozen=True)
class Hang:
    """Never answers; ends when the client or the server goes."""


@dataclass(frozen=True)
class Drop:
    """Breaks the connection after so many bytes of the body of an answer; None: before its head."""

    after: int | None = 20
    text: str = "Yes"


@dataclass(frozen=True)
class Truncated:
    """A whole HTTP response, whose JSON ends in the middle."""


@dataclass(frozen=True)
class Malformed:
    """Not JSON."""

    body: str = "{'choices': [oops]}"


@dataclass(frozen=True)
class Empty:
    """Status 200 without a body."""


@dataclass(frozen=True)
class NoChoices:
    """Status 200 and valid JSON, but an empty list of choices."""


@dataclass(frozen=True)
class Refusal:
    """The model refuses: no content, but a `refusal`."""

    text: str = "I can't help with that."


@dataclass(frozen=True)
class WrongContentType:
    """Sends `body` (by default a proper answer) under another content type."""

    content_type: str = "text/html"
    body: str | None = None


@dataclass(frozen=True)
class Drip:
    """A byte every `interval` seconds, for ever."""

    interval: float = 0.01


@dataclass(frozen=True)
class Huge:
    """A body of so many bytes."""

    size: int = 64 * 2**20


@dataclass(frozen=True)
class AbsurdUsage:
    """A proper answer with any values as token counts."""

    prompt_tokens: Any
    completion_tokens: Any
    text: str = "Yes"


@dataclass(frozen=True)
class Slow:
    """Waits so many seconds, then answers."""

    seconds: float
    then: str = "Yes"


@dataclass(frozen=True)
class Stream:
    """A proper answer as server-sent events.

    Args:
        text: the answer.
        interval: seconds between events.
        size: characters of the answer in an event.
        usage: whether the token counts come at the end.
        error: an error event instead of the end.
        breaks_after: events after which the connection breaks, in the middle of the next one; None: it does not.
        id: id of the answer.
        lingers: seconds between the last event and the end of the body.
    """

    text: str = "Yes"
    interval: float = 0.0
    size: int = 8
    usage: bool = True
    error: Mapping[str, Any] | None = None
    breaks_after: int | None = None
    id: str = "c"
    lingers: float = 0.0


Fault: TypeAlias = (
    Status | Hang | Drop | Truncated | Malformed | Empty | NoChoices | Refusal | WrongContentType | Drip | Huge
    | AbsurdUsage | Slow | Stream
)  # fmt: skip
Answer: TypeAlias = str | Body | list[Any] | Fault
Answering: TypeAlias = Callable[[Body, int], Answer]


@dataclass
class Received:
    """A request as it came.

    Args:
        number: from 1, in the order of arrival.
        headers: by name in lower case.
        start, end: `time.monotonic()`; end is None while the request is being answered.
        answered: whether the whole answer was handed to the network.
    """

    number: int
    path: str
    body: Body
    headers: dict[str, str]
    start: float
    end: float | None = None
    answered: bool = False


_RECEIVED = web.RequestKey("received", Received)


class ApiServer:
    """Serves while its `with` block runs.

    Args:
        answer: what each chat request gets; runs in the server's thread, so it must be quick.
        embeddings: what each request for embeddings gets; by default `vectors_payload`.
        models: what /v1/models lists.
        latency: seconds before each answer.
    """

    def __init__(
        self,
        answer: Answering = lambda _body, _number: "Yes",
        *,
        embeddings: Answering | None = None,
        models: Sequence[str] = ("m",),
        latency: float = 0.0,
    ) -> None:
        self.answer, self.embeddings = answer, embeddings or (lambda body, _number: vectors_payload(body))
        self.models, self.latency = list(models), latency
        self.log: list[Received] = []
        self.in_flight = self.peak = 0
        self.url = ""
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="api-server", daemon=True)

    def __enter__(self) -> ApiServer:
        self._thread.start()
        assert self._up.wait(10), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._down.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the server did not stop"

    @property
    def requests(self) -> list[Received]:
        """The log without what asked for the list of models."""
        return [received for received in list(self.log) if not received.path.endswith("/models")]

    async def _serve(self) -> None:
        self._loop, self._down = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=2**28)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        self._up.set()
        await self._down.wait()
        await runner.cleanup()

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        return await self._logged(request, self._respond_chat)

    async def _embeddings(self, request: web.Request) -> web.StreamResponse:
        return await self._logged(request, self._respond_embeddings)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]}
        return await self._logged(request, lambda request, _received: _send(request, json.dumps(listed)))

    async def _logged(
        self,
        request: web.Request,
        respond: Callable[[web.Request, Received], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        start = time.monotonic()
        body = await request.json() if request.can_read_body else {}
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(len(self.log) + 1, request.path, body, headers, start)
        request[_RECEIVED] = received
        self.log.append(received)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
            return await respond(request, received)
        except ConnectionResetError:  # the client has gone
            return web.Response()
        finally:
            self.in_flight -= 1
            received.end = time.monotonic()

    async def _respond_chat(self, request: web.Request, received: Received) -> web.StreamResponse:
        answer = self.answer(received.body, len(self.requests))
        return await _play(request, answer, lambda text: chat_payload(text, received.body))

    async def _respond_embeddings(self, request: web.Request, received: Received) -> web.StreamResponse:
        answer = self.embeddings(received.body, len(self.requests))
        return await _play(request, answer, lambda _text: vectors_payload(received.body))


def chat_payload(text: str | None, body: Mapping[str, Any], **changes: Any) -> Body:
    """A proper answer; `changes` go into its message. With `logprobs` in the request, nine tenths fall on `text`."""
    prompt = sum(len(str(message.get("content"))) for message in body.get("messages", ()))
    choice: Body = {"index": 0, "message": {"role": "assistant", "content": text, **changes}, "finish_reason": "stop"}
    if body.get("logprobs") and text:
        choice["logprobs"] = logprobs_content({text: -0.105, "\n": -2.303})
    usage = {"prompt_tokens": prompt // 4 + 1, "completion_tokens": len(text or "") // 4 + 1}
    return {"id": "c", "object": "chat.completion", "model": body.get("model"), "choices": [choice], "usage": usage}


def logprobs_content(top: Mapping[str, float]) -> Body:
    """`logprobs` of one token, the likeliest of `top`."""
    ranked = [{"token": token, "logprob": logprob} for token, logprob in sorted(top.items(), key=lambda t: -t[1])]
    return {"content": [{**ranked[0], "top_logprobs": ranked}]}


def vectors_payload(body: Mapping[str, Any], dimensions: int = 8) -> Body:
    """Embeddings that depend on the text only."""
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [{"object": "embedding", "index": i, "embedding": vector(t, dimensions)} for i, t in enumerate(texts)]
    return {"object": "list", "data": data, "model": body.get("model"), "usage": {"prompt_tokens": 1}}


def vector(text: str, dimensions: int = 8) -> list[float]:
    """A vector from the text's hash; not of unit norm."""
    return [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:dimensions]]


async def _play(request: web.Request, answer: Answer, payload: Callable[[str], Body]) -> web.StreamResponse:
    proper = json.dumps(payload(answer.text if isinstance(answer, Drop) else "Yes"))
    match answer:
        case str() | dict() | list() | Refusal() | AbsurdUsage() | NoChoices():
            return await _send(request, json.dumps(_payload(answer, payload)))
        case Slow(seconds, then):
            await asyncio.sleep(seconds)
            return await _send(request, json.dumps(payload(then)))
        case Status(code, headers, body):
            text = body if isinstance(body, str) else json.dumps(body)
            content_type = headers.get("Content-Type", "application/json")
            others = {name: value for name, value in headers.items() if name != "Content-Type"}
            return await _send(request, text, status=code, headers=others, content_type=content_type)
        case WrongContentType(content_type, other):
            return await _send(request, proper if other is None else other, content_type=content_type)
        case Truncated():
            return await _send(request, proper[: len(proper) // 2])
        case Malformed(body):
            return await _send(request, body)
        case Empty():
            return await _send(request, "")
        case Stream():
            return await _stream(request, answer, {**payload(answer.text), "id": answer.id})
    return await _misbehave(request, answer, proper.encode())


def _payload(
    answer: str | Body | list[Any] | Refusal | AbsurdUsage | NoChoices, payload: Callable[[str], Body]
) -> Body | list[Any]:
    match answer:
        case str():
            return payload(answer)
        case Refusal(text):
            refusing = payload("Yes")
            refusing["choices"][0]["message"] |= {"content": None, "refusal": text}
            return refusing
        case AbsurdUsage(prompt_tokens, completion_tokens, text):
            return {**payload(text), "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}}
        case NoChoices():
            return {**payload("Yes"), "choices": []}
    return answer


def stream_events(plain: Body, size: int = 8, *, usage: bool = True) -> list[str]:
    """The events of a streamed answer, from the payload of the plain one; its text comes in pieces of `size`."""
    text, reason = plain["choices"][0]["message"]["content"] or "", plain["choices"][0]["finish_reason"]
    head = {"id": plain["id"], "object": "chat.completion.chunk", "model": plain["model"]}
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[place : place + size]} for place in range(0, len(text), size)]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    if usage:
        chunks.append({**head, "choices": [], "usage": plain["usage"]})
    return [*(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n" for chunk in chunks), "data: [DONE]\n\n"]


async def _stream(request: web.Request, streamed: Stream, plain: Body) -> web.StreamResponse:
    events = stream_events(plain, streamed.size, usage=streamed.usage)
    if streamed.error is not None:
        events = [*events[:2], f"data: {json.dumps({'error': streamed.error})}\n\n", "data: [DONE]\n\n"]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number, event in enumerate(events[:-1]):
        if number == streamed.breaks_after:
            await response.write(event.encode()[: len(event) // 2])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(event.encode("utf-8", "replace"))
        if streamed.interval:
            await asyncio.sleep(streamed.interval)
    request[_RECEIVED].answered = True
    await response.write(events[-1].encode())
    await asyncio.sleep(streamed.lingers)
    await response.write_eof()
    return response


async def _misbehave(request: web.Request, fault: Hang | Drop | Drip | Huge, proper: bytes) -> web.StreamResponse:
    """Faults below HTTP's meaning: what comes is late, endless, or cut off."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    assert request.transport is not None
    match fault:
        case Hang():
            await asyncio.Event().wait()
        case Drop(None):
            request.transport.abort()
        case Drop(int() as after):
            response.content_length = len(proper)
            await response.prepare(request)
            await response.write(proper[:after])
            request.transport.close()
        case Drip(interval):
            await response.prepare(request)
            while True:
                await response.write(b" ")
                await asyncio.sleep(interval)
        case Huge(size):
            await response.prepare(request)
            for _ in range(0, size, 2**16):
                await response.write(b" " * 2**16)
    return response


async def _send(
    request: web.Request,
    text: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> web.StreamResponse:
    response = web.Response(body=text.encode(), status=status, headers=headers, content_type=content_type)
    await response.prepare(request)
    received = request[_RECEIVED]
    received.answered = True  # before the client can know, because tests look at once
    try:
        await response.write_eof()
    except BaseException:
        received.answered = False
        raise
    return response
