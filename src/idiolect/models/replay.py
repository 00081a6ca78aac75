"""Recordings of models' answers: run once with a model, then repeat the run exactly without it. Needs no torch.

A recording is JSON Lines; each line contains the hash of a full request (operation, model name, messages, sampling,
draw, choices, prefill) and its result. It contains no requests, so the only text of people in it is what a model
repeated in an answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from idiolect.errors import ModelError, UnseenRequestError
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Streamed,
    Usage,
)
from idiolect.models.streaming import completed_in_words, stream_of

FORMAT = 1

Result = TypeVar("Result", Completion, ChoiceLogProbs)


class Recording:
    """A file of results by request; it is read whole and appended to line by line.

    Raises:
        ModelError: the file exists, but cannot be read or is not a recording.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lines: dict[str, dict[str, Any]] = {}
        for number, line in enumerate(self._text().split("\n"), 1):  # splitlines() would break at U+2028 too
            if line:
                self._read(number, line)

    def only_model(self) -> str:
        """Return the name of the model that was recorded.

        Raises:
            ModelError: the file is missing or empty, or contains several models.
        """
        names = sorted({str(line["model"]) for line in self._lines.values()})
        if not names:
            raise ModelError(f"{self.path} is missing or contains no recording")
        if len(names) > 1:
            raise ModelError(f"{self.path} contains several models; name one of them: {', '.join(names)}")
        return names[0]

    def find(self, key: str) -> Any | None:
        """Return the recorded result, as JSON; None if there is none."""
        line = self._lines.get(key)
        return None if line is None else line["result"]

    def add(self, key: str, *, operation: str, model: str, result: Any) -> None:
        """Append one result, unless the request already has one."""
        if key in self._lines:
            return
        line = {"format": FORMAT, "key": key, "operation": operation, "model": model, "result": result}
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._lines[key] = line

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except UnicodeDecodeError as error:
            raise ModelError(f"{self.path}: expected a recording, found another kind of file") from error
        except OSError as error:
            raise ModelError(f"the recording {self.path} cannot be read: {error.strerror}") from error

    def _read(self, number: int, text: str) -> None:
        try:
            line = json.loads(text)
            if line["format"] != FORMAT:
                raise ModelError(f"{self.path}:{number}: expected recording format {FORMAT}, found {line['format']}")
            self._lines[line["key"]] = {"model": line["model"], "result": line["result"]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{self.path}:{number}: this line is not part of a recording") from error


class RecordingModel:
    """A model that passes every request on to `model` and appends each result to the recording at `path`."""

    def __init__(self, model: LanguageModel, path: str | Path) -> None:
        self.name, self._model, self._recording = model.name, model, Recording(path)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return the model's completions, and record them."""
        return self._recorded("complete", requests, await self._model.complete(requests))

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the model's stream, and record the completion at its end, as `complete` does."""
        stream = stream_of(self._model, request)
        try:
            async for item in stream:
                if isinstance(item, Completion):
                    self._recorded("complete", [request], [item])
                yield item
        finally:
            await stream.aclose()

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the model's log-probabilities, and record them."""
        return self._recorded("choice_logprobs", requests, await self._model.choice_logprobs(requests))

    def _recorded(
        self, operation: str, requests: Sequence[CompletionRequest | ChoiceRequest], results: list[Result]
    ) -> list[Result]:
        for request, result in zip(requests, results, strict=True):
            key = _key(operation, self.name, request)
            self._recording.add(key, operation=operation, model=self.name, result=asdict(result))
        return results


class ReplayModel:
    """A model that answers only from the recording at `path`.

    Args:
        path: a file that `RecordingModel` wrote.
        model: the name of the recorded model; needed only if the file contains several.

    Raises:
        ModelError: there is no such recording.
    """

    def __init__(self, path: str | Path, *, model: str | None = None) -> None:
        self._recording = Recording(path)
        self.name = model or self._recording.only_model()

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return the recorded completions.

        Raises:
            UnseenRequestError: one of the requests was never recorded.
        """
        found = [self._find("complete", request) for request in requests]
        return [Completion(**{**result, "usage": Usage(**result["usage"])}) for result in found]

    def stream(self, request: CompletionRequest) -> AsyncGenerator[Streamed, None]:
        """Yield the recorded completion word by word, then the whole; raise errors as `complete` does."""
        return completed_in_words(self, request)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the recorded log-probabilities.

        Raises:
            UnseenRequestError: one of the requests was never recorded.
        """
        found = [self._find("choice_logprobs", request) for request in requests]
        return [
            ChoiceLogProbs(tuple(result["logprobs"]), tuple(result["n_tokens"]), Usage(**result["usage"]))
            for result in found
        ]

    def _find(self, operation: str, request: CompletionRequest | ChoiceRequest) -> Any:
        key = _key(operation, self.name, request)
        result = self._recording.find(key)
        if result is None:
            raise _unseen(self._recording.path, operation, key, _outline(request))
        return result


def _key(operation: str, model: str, request: CompletionRequest | ChoiceRequest) -> str:
    """Return the SHA-256 of the canonical JSON of everything that the result depends on.

    `thinking` is left out unless it is set, so that older recordings stay valid.
    """
    content = asdict(request)
    if content.get("thinking") is None:
        content.pop("thinking", None)
    canonical = json.dumps([operation, model, content], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _outline(request: CompletionRequest | ChoiceRequest) -> str:
    """Describe a request by sizes only, so that people's texts stay out of error messages."""
    size = sum(len(message.content) for message in request.messages)
    detail = f"draw {request.draw}" if isinstance(request, CompletionRequest) else f"{len(request.choices)} choices"
    return f"{len(request.messages)} messages, {size} characters, {detail}"


def _unseen(path: Path, operation: str, key: str, outline: str) -> UnseenRequestError:
    return UnseenRequestError(f"{path} does not contain the request: {operation}, {outline}, key {key[:12]}")
