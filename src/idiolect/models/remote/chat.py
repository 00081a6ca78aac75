"""A model behind an OpenAI-compatible API as a `LanguageModel`: the entrance of the remote model.

It sends what it is asked, all requests at once up to its settings' concurrency; cache, budget and fairness are the
business of `models.calls`, which wraps it.
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
        endpoint: which; it must name a model (`find_model` completes one that doesn't).
        settings: how it is called.
    """

    def __init__(self, endpoint: Endpoint, *, settings: RemoteSettings = _DEFAULTS) -> None:
        if not endpoint.model:
            raise ValueError("the endpoint names no model")
        self.client = ApiClient(endpoint, settings)
        self.estimated_usages = 0  # answers whose token counts are estimates, because the server gave none to believe
        self.thoughts_cut_off = 0  # answers that ended before their first word
        self.name = endpoint.name  # URL#MODEL, or openai:MODEL; holds no secret
        self._dialect = Dialect(endpoint.model)

    @property
    def notes(self) -> list[str]:
        """What people should know of how the model took its requests; a sentence each."""
        notes = list(self._dialect.notes)
        if self.estimated_usages:
            notes.append(
                f"{self.name}: {self.estimated_usages:,} answers came without believable token counts: estimated"
            )
        if self.thoughts_cut_off:
            notes.append(
                f"{self.name}: {self.thoughts_cut_off:,} answers were empty when their tokens were used up: a model "
                "that thinks needs more of them (max_tokens)"
            )
        if self.client.timeouts_maybe_billed:
            notes.append(f"{self.name}: {self.client.timeouts_maybe_billed:,} tries timed out and may have been billed")
        return notes

    async def check(self) -> None:
        """Make sure that there is a server that takes the key, see `ApiClient.check`."""
        await self.client.check()

    async def __aenter__(self) -> RemoteModel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion a request, in order; when one fails, the others are cancelled.

        Raises:
            ModelError: no answer came, after all retries; or a request has a prefill.
        """
        return await together([self._complete(request) for request in requests])

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of the choices' *letters* in a list of them, see `choices`.

        Raises:
            ModelError: no answer came, the server gives no log-probabilities, or there are too many choices.
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
        """Send a body, again without what the model doesn't take; each time it has fewer such parameters."""
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
    """Return the model that a name means (see `endpoint`); ask the server where the name leaves the model open."""
    endpoint = parse_endpoint(name)
    if endpoint is None:
        raise SettingsError(f"{name!r} names no model behind an API")
    if not endpoint.model:
        with ThreadPoolExecutor(1) as thread:  # in its own thread, because a loop may run in this one
            endpoint = thread.submit(asyncio.run, find_model(endpoint, settings=settings)).result()
    return RemoteModel(endpoint, settings=settings)


async def find_model(endpoint: Endpoint, *, settings: RemoteSettings = _DEFAULTS) -> Endpoint:
    """Return the endpoint with the only model that its server lists.

    Raises:
        ModelError: it lists none or several, or does not answer.
    """
    client = ApiClient(endpoint, settings)
    try:
        names = await client.models()
    finally:
        await client.aclose()
    if len(names) > 1:
        some = ", ".join(f"{endpoint.base_url}#{name}" for name in names[:5])
        raise ModelError(f"{endpoint.base_url} has {len(names)} models, name one of them: {some}")
    return replace(endpoint, model=names[0])
