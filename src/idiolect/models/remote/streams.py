"""Streamed answers: server-sent events to the payload of a plain answer, so that nothing else differs.

A stream ends with `[DONE]` or with a chunk that has a reason to finish; without either, it broke off. An error event
in the middle becomes the payload, as an error inside HTTP 200 would. Whoever wants the text while it comes reads the
same bytes beside that, with an `AnswerReader`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.wire import said_in, whole
from idiolect.models.streamed_text import StreamedText

MOST_BROKEN = 2  # streams that break off before a server gets no further ones
_TEXTS = ("reasoning_content", "reasoning", "refusal")  # fields of a message that come in pieces, besides its content
_DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\n|\r")


class BrokenStreamError(UnansweredError):
    """A stream without its end."""


def is_stream(content_type: str, body: bytes) -> bool:
    """Return whether a body is a stream of events, by its content type or its first line."""
    if "event-stream" in content_type:
        return True
    return body.lstrip()[:5] == b"data:"


def payload_of_stream(body: bytes) -> Any:
    """Return the payload of the plain answer whose pieces a stream contains.

    Raises:
        UnansweredError: the stream broke off, or an event is not JSON.
    """
    answer = _Answer()
    for data in _events(body):
        if data == _DONE:
            answer.ended = True
            continue
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise UnansweredError("an event of the stream is not JSON", maybe_billed=True) from None
        if _is_error(chunk):
            return chunk
        answer.add(chunk)
    if not answer.ended:
        raise BrokenStreamError("the stream broke off", maybe_billed=True)
    return answer.payload()


def _is_error(chunk: Any) -> bool:
    """Return whether an event is an error, and has no part of an answer; SGLang's has its message beside its type."""
    if not isinstance(chunk, dict) or chunk.get("choices"):
        return False
    return bool(chunk.get("error")) or "error" in (chunk.get("object"), chunk.get("type"))


def _events(body: bytes) -> list[str]:
    """Return the data of each event; comments, names of events and empty data are left out."""
    lines = re.split(r"\r\n|\n|\r", body.decode("utf-8", "replace"))  # JSON may contain Unicode's other line breaks
    data = [line[5:].strip() for line in lines if line.startswith("data:")]
    return [each for each in data if each]


class _Answer:
    """An answer as far as it has come."""

    def __init__(self) -> None:
        self.ended = False
        self._head: dict[str, Any] = {}
        self._message: dict[str, Any] = {"role": "assistant", "content": None}
        self._reason: str | None = None
        self._begun = False

    def add(self, chunk: Any) -> None:
        """Add the pieces of one chunk."""
        if not isinstance(chunk, dict):
            return
        for name, value in chunk.items():
            if name != "choices" and value is not None:
                self._head[name] = value
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
                self._begun = True
                self._add_choice(choice)

    def _add_choice(self, choice: dict[str, Any]) -> None:
        if choice.get("finish_reason"):
            self._reason, self.ended = choice["finish_reason"], True
        delta = choice.get("delta") or choice.get("message")
        if not isinstance(delta, dict):
            return
        for name in _TEXTS:
            if isinstance(piece := delta.get(name), str):
                self._message[name] = self._message.get(name, "") + piece
        piece, content = delta.get("content"), self._message["content"]
        if isinstance(piece, str) and isinstance(content, list):
            piece = [{"type": "text", "text": piece}]
        elif isinstance(piece, list) and isinstance(content, str):
            content = [{"type": "text", "text": content}]
        if isinstance(piece, str | list):
            self._message["content"] = piece if content is None else content + piece

    def payload(self) -> dict[str, Any]:
        """Return the whole as a plain answer's payload; without a choice if none came."""
        choice = {"index": 0, "message": self._message, "finish_reason": self._reason}
        return {**self._head, "object": "chat.completion", "choices": [choice] if self._begun else []}


class AnswerReader:
    """A reader of a streamed answer's text while it comes. What it cannot read is left to `payload_of_stream`.

    Args:
        hand: receives each piece of the text, and "" for a chunk that says nothing.
        stop: strings before the first of which the text ends.
        opened: whether the model is known to write thoughts without a mark before them.
    """

    def __init__(self, hand: Callable[[str], object], *, stop: Sequence[str] = (), opened: bool = False) -> None:
        self._hand, self._stop, self._opened = hand, stop, opened
        self.begin()

    @property
    def said(self) -> str:
        """The text that was handed out."""
        return self.text.said

    def begin(self) -> Callable[[bytes], None]:
        """Begin to read the answer of another attempt, and return what receives its bytes."""
        self.text = StreamedText(stop=self._stop, opened=self._opened)
        self._bytes, self._half = b"", ""
        return self._receive

    def _receive(self, chunk: bytes) -> None:
        *lines, self._bytes = _LINE_END.split(self._bytes + chunk)
        for line in lines:
            if line.startswith(b"data:"):
                self._read(line[5:].strip())

    def _read(self, data: bytes) -> None:
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            return
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and choice.get("index", 0) in (0, None):
                delta = choice.get("delta")
                self._hand(self.text.add(self._whole(said_in(delta.get("content")) if isinstance(delta, dict) else "")))

    def _whole(self, piece: str) -> str:
        """Return the piece without half of a character, whose other half comes in the next one."""
        piece, self._half = self._half + piece, ""
        if piece and "\ud800" <= piece[-1] <= "\udbff":
            piece, self._half = piece[:-1], piece[-1]
        return whole(piece)
