"""A model behind an OpenAI-compatible API as a `LanguageModel`, the interface of the remote model.

It sends all requests at once, up to its settings' concurrency. Cache, budget and fairness are the concern of
`models.calls`, which wraps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

from idiolect.errors import ModelError, SettingsError
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, Completion, CompletionRequest
from idiolect.models.remote import choices, wire
from idiolect.models.remote.attempts import before_retry
from idiolect.models.remote.endpoint import Endpoint, parse_endpoint
from idiolect.models.remote.faults import RejectedError
from idiolect.models.remote.transport import ApiClient, RemoteSettings, together
from idiolect.models.remote.wire import Dialect

_DEFAULTS = RemoteSettings()
_PATH = "/chat/completions"

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
        self.name = endpoint.name  # URL#MODEL, or openai:MODEL; contains no secret
        self._dialect = Dialect(endpoint.model)

    @property
    def notes(self) -> list[str]:
        """Notes for people on how the model handled its requests; one sentence each."""
        notes = list(self._dialect.notes)
        if self.estimated_usages:
            notes.append(
                f"{self.name}: {self.estimated_usages:,} answers had no credible token counts; they were estimated"
            )
        if self.thoughts_cut_off:
            notes.append(
                f"{self.name}: {self.thoughts_cut_off:,} answers were still empty when their tokens were used up; a "
                "model that thinks needs more of them: allow thousands with --max-tokens (max_tokens)"
            )
        if self.client.timeouts_maybe_billed:
            notes.append(f"{self.name}: {self.client.timeouts_maybe_billed:,} tries timed out and may have been billed")
        return notes

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

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of the choices' *letters* in a list of the choices; see `choices`.

        Raises:
            ModelError: no answer came, the server reports no log-probabilities, or there are too many choices.
        """
        return await together([self._weigh(request) for request in requests])

    async def _complete(self, request: CompletionRequest) -> Completion:
        completion, estimated = await self._ask(
            lambda dialect: wire.chat_body(request, dialect), lambda payload: wire.read_completion(payload, request)
        )
        self.estimated_usages += estimated
        if completion.finish_reason == "length" and not completion.text.strip():
            self.thoughts_cut_off += 1
        return completion

    async def _weigh(self, request: ChoiceRequest) -> ChoiceLogProbs:
        logprobs, estimated = await self._ask(
            lambda dialect: choices.choice_body(request, dialect),
            lambda payload: choices.read_choices(payload, request, self._dialect),
        )
        self.estimated_usages += estimated
        return logprobs

    async def _ask(self, body: Callable[[Dialect], Mapping[str, Any]], read: Callable[[Any], Result]) -> Result:
        """Send a body; if the model rejects parameters as unsupported, send it again without them, until none are."""
        while True:
            sent = body(self._dialect)
            try:
                return await self.client.post(_PATH, sent, read)
            except RejectedError as error:
                if "logprobs" in sent and error.unsupported & {"logprobs", "top_logprobs"}:
                    raise choices.no_logprobs(self._dialect) from None
                if not self._dialect.adapt(error, sent):
                    raise
            before_retry()


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
