"""A local model under an edit, as a language model of its own; created by `LocalModel.with_edit`."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

from idiolect.models.edits import Edit
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, Completion, CompletionRequest, Streamed

if TYPE_CHECKING:
    from idiolect.models.local import LocalModel


class EditedModel:
    """A view of a local model under an edit, as a `LanguageModel`.

    It shares the model's weights, worker, batches and prefix cache. It has no `close`: close the model itself.
    """

    def __init__(self, model: LocalModel, edit: Edit | None) -> None:
        self.name, self.model, self.edit = model.name, model, edit

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion per request under the edit; otherwise like `LocalModel.complete`."""
        return await self.model._complete(requests, self.edit)

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the pieces of a text under the edit, then the whole; otherwise like `LocalModel.stream`."""
        return self.model._stream(request, self.edit)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return each request's log-probabilities under the edit; otherwise like `LocalModel.choice_logprobs`."""
        return await self.model._choice_logprobs(requests, self.edit)

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the model's fingerprint and the edit; without an edit, the fingerprint itself."""
        base = self.model.fingerprint()
        return base if self.edit is None else hashlib.sha256(f"{base} {self.edit.digest}".encode()).hexdigest()
