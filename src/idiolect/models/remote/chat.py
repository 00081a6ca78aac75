"""A model behind an OpenAI-compatible API as a `LanguageModel`, the interface of the remote model.

It sends all requests at once, up to its settings' concurrency. Cache, budget and fairness are the concern of
`models.calls`, which wraps it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from idiolect.errors import ContextLengthError, ModelError, Remedy, SettingsError, UnusableModelError
from idiolect.models.description import ModelDescription, public_url, reported_name
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    Message,
    Streamed,
)
from idiolect.models.remote import choices, filters, wire
from idiolect.models.remote.attempts import before_retry
from idiolect.models.remote.endpoint import Endpoint, parse_endpoint
from idiolect.models.remote.faults import FilteredError, OutOfTokensError, RejectedError
from idiolect.models.remote.streams import MOST_BROKEN, AnswerReader
from idiolect.models.remote.transport import ApiClient, RemoteSettings, together
from idiolect.models.remote.wire import STREAMED_FROM, Dialect
from idiolect.models.streaming import handed_over

_DEFAULTS = RemoteSettings()
_PATH = "/chat/completions"
_MORE_TOKENS = Remedy("max_tokens", "4000", "gives a model that thinks room for its answer")

Result = TypeVar("Result")


class RemoteModel:
    """One model of one endpoint.

    Args:
        endpoint: the endpoint; it must name a model (`find_model` completes one that doesn't).
        settings: how to call it.
    """

    def __init__(self, endpoint: Endpoint, *, settings: RemoteSettings = _DEFAULTS) -> None:
        if not endpoint.model:
            raise ValueError("the endpoint does not name a model")
        self.client = ApiClient(endpoint, settings)
        self.estimated_usages = 0  # answers whose token counts are estimates, because the server gave no credible ones
        self.thoughts_cut_off = 0  # answers that ended before their first word
        self.filtered = 0  # requests whose prompt or answer a content filter refused
        self.too_long = 0  # requests whose prompt was longer than the model can read
        self._answered = 0
        self._thinks_unmarked = False  # it has closed a thought that it had not opened
        self._refused: dict[tuple[Message, ...], ModelError] = {}
        self.name = endpoint.name  # URL#MODEL, or openai:MODEL; contains no secret
        self._dialect = Dialect(endpoint.model)
        self._endpoint = endpoint
        self._reported: dict[str, set[str]] = {"model": set(), "system_fingerprint": set()}

    @property
    def notes(self) -> list[str]:
        """Notes for people on how the model handled its requests; one sentence each."""
        counted = (
            (self.estimated_usages, "answers had no credible token counts; they were estimated"),
            (
                self.thoughts_cut_off,
                "answers were still empty when their tokens were used up; a model that thinks needs more of them "
                "(--max-tokens)",
            ),
            (self.filtered, "requests were refused by a content filter; they count as unreadable answers"),
            (self.too_long, "prompts were too long for the model; where possible, they were shortened"),
            (self.client.timeouts, "tries timed out and may have been billed"),
        )
        return [*self._dialect.notes, *(f"{self.name}: {count:,} {what}" for count, what in counted if count)]

    def description(self) -> ModelDescription:
        """Return what this model is, with the names that the server has given in its answers so far."""
        return ModelDescription(
            self._endpoint.model,
            "remote",
            endpoint=public_url(self._endpoint.base_url),
            reported=tuple(sorted(self._reported["model"])),
            reported_fingerprints=tuple(sorted(self._reported["system_fingerprint"])),
        )

    def _note_reported(self, payload: Any) -> None:
        for key, names in self._reported.items():
            name = reported_name(payload.get(key)) if isinstance(payload, dict) else None
            if name is not None:
                names.add(name)

    async def check(self) -> None:
        """Check that a server answers and accepts the key; see `ApiClient.check`."""
        await self.client.check()

    async def __aenter__(self) -> RemoteModel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion per request, in order; if one fails, the others are cancelled.

        Raises:
            ModelError: no answer came, after all retries, or a request has a prefill.
        """
        return await together([self._complete(request) for request in requests])

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the pieces of a text as the server sends them, then the completion.

        A server that does not stream gives one piece. Nothing is retried once a piece of text was yielded.

        Raises:
            ModelError: no answer came, after all retries, or it broke off; or the request has a prefill.
        """

        async def write(hand: Callable[[Streamed], None]) -> None:
            reader = AnswerReader(hand, stop=request.sampling.stop, opened=self._thinks_unmarked)
            completion = await self._complete(request, reader)
            hand(reader.text.end(completion.text))
            self._thinks_unmarked = self._thinks_unmarked or reader.text.retracted
            hand(replace(completion, text=reader.said))

        return handed_over(write)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of the choices' *letters* in a list of the choices; see `choices`.

        Raises:
            ModelError: no answer came, the server reports no log-probabilities, or there are too many choices.
        """
        return await together([self._weigh(request) for request in requests])

    async def _complete(self, request: CompletionRequest, reader: AnswerReader | None = None) -> Completion:
        wanted = reader is not None
        try:
            completion, estimated = await self._ask(
                request.messages,
                lambda dialect: wire.chat_body(request, dialect, streamed=self._streamed(request, wanted=wanted)),
                lambda payload: filters.withheld_text(payload, request) or wire.read_completion(payload, request),
                reader,
            )
        except FilteredError:
            self.filtered += 1
            said = "" if reader is None else reader.said
            return filters.cut_short(request, said) if said else filters.REFUSED
        except OutOfTokensError as error:
            if not self._answered:
                raise UnusableModelError(str(error), remedy=_MORE_TOKENS) from None
            self.thoughts_cut_off += 1
            return filters.CUT_OFF
        self.estimated_usages += estimated
        self.filtered += completion.finish_reason == "content_filter"
        if completion.finish_reason == "length" and not completion.text.strip():
            self.thoughts_cut_off += 1
        return completion

    def _streamed(self, request: CompletionRequest, *, wanted: bool) -> bool:
        """Return whether to stream: where it is wanted, a long answer, or any after a time-out.

        A server whose streams break off gets none.
        """
        if self.client.broken_streams >= MOST_BROKEN:
            return False
        return wanted or request.sampling.max_tokens >= STREAMED_FROM or self.client.timeouts > 0

    async def _weigh(self, request: ChoiceRequest) -> ChoiceLogProbs:
        try:
            logprobs, estimated = await self._ask(
                request.messages,
                lambda dialect: choices.choice_body(request, dialect),
                lambda payload: (
                    filters.withheld_choice(payload, request) or choices.read_choices(payload, request, self._dialect)
                ),
            )
        except FilteredError:
            self.filtered += 1
            return filters.no_choice(request)
        self.estimated_usages += estimated
        self.filtered += max(logprobs.logprobs) == -math.inf
        return logprobs

    async def _ask(
        self,
        messages: tuple[Message, ...],
        body: Callable[[Dialect], Mapping[str, Any]],
        read: Callable[[Any], Result],
        reader: AnswerReader | None = None,
    ) -> Result:
        """Send a body; if the model rejects parameters as unsupported, send it again without them, until none are.

        Messages that were refused as filtered or as too long are not sent again.
        """

        def read_and_note(payload: Any) -> Result:
            result = read(payload)
            self._note_reported(payload)
            return result

        if (known := self._refused.get(messages)) is not None:
            raise known
        while True:
            sent: Mapping[str, Any] = {}

            def built() -> Mapping[str, Any]:
                nonlocal sent
                sent = body(self._dialect)
                return sent

            try:
                result = await self.client.post(_PATH, built, read_and_note, reader=reader)
            except RejectedError as error:
                if "logprobs" in sent and _without_logprobs(error):
                    raise choices.no_logprobs(self._dialect) from None
                if not self._dialect.adapt(error, sent):
                    raise
            except (FilteredError, ContextLengthError) as error:
                self.too_long += isinstance(error, ContextLengthError)
                self._refused[messages] = error
                raise
            else:
                self._answered += 1
                return result
            before_retry()


def _without_logprobs(error: RejectedError) -> bool:
    """Return whether a server rejected log-probabilities as such, and not only their number."""
    return "logprobs" in error.unsupported or ("top_logprobs" in error.unsupported and error.most_logprobs is None)


def open_remote_model(name: str, *, settings: RemoteSettings = _DEFAULTS) -> RemoteModel:
    """Return the model that a name refers to (see `endpoint`); if it names only a server, look its model up there."""
    endpoint = parse_endpoint(name)
    if endpoint is None:
        raise SettingsError(f"{name!r} is not the name of a model behind an API; expected openai:NAME or URL#NAME")
    if not endpoint.model:
        with ThreadPoolExecutor(1) as thread:  # in its own thread, because a loop may run in this one
            endpoint = thread.submit(asyncio.run, find_model(endpoint, settings=settings)).result()
    return RemoteModel(endpoint, settings=settings)


async def find_model(endpoint: Endpoint, *, settings: RemoteSettings = _DEFAULTS) -> Endpoint:
    """Return the endpoint with the only model that its server lists.

    Raises:
        ModelError: the server lists none or several, or does not answer.
    """
    client = ApiClient(endpoint, settings)
    try:
        names = await client.models()
    finally:
        await client.aclose()
    if len(names) > 1:
        some = ", ".join(f"{endpoint.base_url}#{name}" for name in names[:5])
        raise ModelError(f"{endpoint.base_url} has {len(names)} models; name one of them: {some}")
    return replace(endpoint, model=names[0])
