r"""Server-sent events on their way through: only whole events pass, and a stream that breaks ends with an error.

data: {…}\n\n  …  data: [DONE]\n\n                 a stream
data: {…}\n\n  …  data: {"error": …}\n\n data: [DONE]\n\n       one that broke
"""

from __future__ import annotations

from idiolect.serve.body import encoded
from idiolect.serve.errors import HttpError

CONTENT_TYPE = "text/event-stream"
DONE = b"data: [DONE]\n\n"
_LONGEST_EVENT = 2**20  # bytes that are held back; what is longer passes in parts


class WholeEvents:
    """Holds back the last event of a stream until all of it has come."""

    def __init__(self) -> None:
        self._held = b""

    def add(self, data: bytes) -> bytes:
        """Return the events that are whole with these bytes."""
        data = self._held + data if self._held else data
        end = max(_end(data, b"\n\n"), _end(data, b"\r\n\r\n"))
        if len(data) - end > _LONGEST_EVENT:
            end = len(data)
        self._held = data[end:]
        return data[:end]

    def rest(self) -> bytes:
        """Return what is held back at the end of a stream that did not break."""
        held, self._held = self._held, b""
        return held


def event(document: object) -> bytes:
    """Return a document as an event."""
    return b"data: " + encoded(document) + b"\n\n"


def broken(error: HttpError) -> bytes:
    """Return the end of a stream that broke: the error, and the end that clients wait for."""
    return event(error.document) + DONE


def ends_with_mark(data: bytes) -> bool:
    """Return whether the last of these events is the end that clients wait for, after which they may go."""
    return data.rstrip().endswith(DONE.rstrip())


def _end(data: bytes, separator: bytes) -> int:
    """Return where the last separator ends; 0 if there is none."""
    place = data.rfind(separator)
    return 0 if place < 0 else place + len(separator)
