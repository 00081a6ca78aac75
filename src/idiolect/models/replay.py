"""Recordings of what models answered: run once with a model, then again without it, exactly. Needs no torch.

A recording is JSON Lines; a line holds the hash of a full request (operation, model name, messages, sampling, draw,
choices, prefill) and its result. It holds no requests, so none of what people wrote but what a model said back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
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
    Usage,
)

FORMAT = 1

Result = TypeVar("Result", Completion, ChoiceLogProbs)


class Recording:
    """A file of results by request; read whole, appended to line by line.

    Raises:
        ModelError: the file is there, but cannot be read or is no recording.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lines: dict[str, dict[str, Any]] = {}
        for number, line in enumerate(self._text().split("\n"), 1):  # splitlines() would break at U+2028 too
            if line:
                self._read(number, line)

    def only_model(self) -> str:
        """The name of the model that was recorded.

        Raises:
            ModelError: the file is missing or empty, or holds several models.
        """
        names = sorted({str(line["model"]) for line in self._lines.values()})
        if not names:
            raise ModelError(f"{self.path} holds no recording")
        if len(names) > 1:
            raise ModelError(f"{self.path} holds several models, name one of them: {', '.join(names)}")
        return names[0]

    def find(self, key: str) -> Any | None:
        """The recorded result, as JSON; None if there is none."""
        line = self._lines.get(key)
        return None if line is None else line["result"]

    def add(self, key: str, *, operation: str, model: str, result: Any) -> None:
        """Appends one result, unless the same request has one."""
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
            raise ModelError(f"{self.path}: this is no recording, but another kind of file") from error
        except OSError as error:
            raise ModelError(f"the recording {self.path} cannot be read: {error.strerror}") from error

    def _read(self, number: int, text: str) -> None:
        try:
            line = json.loads(text)
            if line["format"] != FORMAT:
                raise ModelError(f"{self.path}:{number}: recorded in format {line['format']}, this reads {FORMAT}")
            self._lines[line["key"]] = {"model": line["model"], "result": line["result"]}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ModelError(f"{self.path}:{number}: this is no line of a recording") from error


class RecordingModel:
    """Passes everything on to `model`, and appends each result to the recording at `path`."""

    def __init__(self, model: LanguageModel, path: str | Path) -> None:
        self.name, self._model, self._recording = model.name, model, Recording(path)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """As the model does."""
        return self._kept("complete", requests, await self._model.complete(requests))

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """As the model does."""
        return self._kept("choice_logprobs", requests, await self._model.choice_logprobs(requests))

    def _kept(
        self, operation: str, requests: Sequence[CompletionRequest | ChoiceRequest], results: list[Result]
    ) -> list[Result]:
        for request, result in zip(requests, results, strict=True):
            key = _key(operation, self.name, asdict(request))
            self._recording.add(key, operation=operation, model=self.name, result=asdict(result))
        return results


class ReplayModel:
    """Answers from the recording at `path`, and only from it.

    Args:
        path: a file that `RecordingModel` wrote.
        model: whose answers; needed only where the file holds several models.

    Raises:
        ModelError: there is no such recording.
    """

    def __init__(self, path: str | Path, *, model: str | None = None) -> None:
        self._recording = Recording(path)
        self.name = model or self._recording.only_model()

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """The recorded completions.

        Raises:
            UnseenRequestError: one of the requests was never recorded.
        """
        found = [self._find("complete", request) for request in requests]
        return [Completion(**{**result, "usage": Usage(**result["usage"])}) for result in found]

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """The recorded log-probabilities.

        Raises:
            UnseenRequestError: one of the requests was never recorded.
        """
        found = [self._find("choice_logprobs", request) for request in requests]
        return [
            ChoiceLogProbs(tuple(result["logprobs"]), tuple(result["n_tokens"]), Usage(**result["usage"]))
            for result in found
        ]

    def _find(self, operation: str, request: CompletionRequest | ChoiceRequest) -> Any:
        key = _key(operation, self.name, asdict(request))
        result = self._recording.find(key)
        if result is None:
            raise _unseen(self._recording.path, operation, key, _outline(request))
        return result


def _key(operation: str, model: str, request: Any) -> str:
    """SHA-256 of the canonical JSON of everything that the result depends on."""
    canonical = json.dumps([operation, model, request], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _outline(request: CompletionRequest | ChoiceRequest) -> str:
    """Sizes only: what people wrote stays out of messages."""
    size = sum(len(message.content) for message in request.messages)
    asked = f"draw {request.draw}" if isinstance(request, CompletionRequest) else f"{len(request.choices)} choices"
    return f"{len(request.messages)} messages, {size} characters, {asked}"


def _unseen(path: Path, operation: str, key: str, outline: str) -> UnseenRequestError:
    return UnseenRequestError(f"{path} holds no such request: {operation}, {outline}, key {key[:12]}")
