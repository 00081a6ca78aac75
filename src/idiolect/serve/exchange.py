"""One request and its answer, as they are measured, named in headers and logged; no text of anybody is part of it."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict

REQUEST_ID = "X-Request-Id"
PERSONALIZATION = "X-Idiolect-Personalization"
WHY = "X-Idiolect-Why"
ADDED = "X-Idiolect-Added-Ms"

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LONGEST_WHY = 300
_NOT_PLAIN = re.compile(r"[^\x20-\x7e]+")


@dataclass(slots=True)
class Exchange:
    """What is known of one request while it is answered.

    Args:
        id: request id, for headers and logs.
        started: when it came, in seconds of the performance counter.
        route: template of its path, for metrics.
        key: id of the key that was shown; "" without one.
        personalization: name of what answers; "" if the request is for no model.
        why: why that is used or not.
        waited: seconds spent waiting for the client's body.
        added: seconds until the model was asked, without those of the body; None before that.
        streams: whether the answer is a stream of events.
        broken: why a stream ended early, in one word; "" if it did not.
        stopping: whether the server ends this request because it stops.
        hears: receives the bytes of a stream when they have been written; None: nobody.
        held: bytes of its body that are in memory.
        heard: receives the response when all of a stream was written, once; None: nobody.
    """

    id: str
    started: float = field(default_factory=time.perf_counter)
    route: str = ""
    key: str = ""
    personalization: str = ""
    why: str = ""
    waited: float = 0.0
    added: float | None = None
    streams: bool = False
    broken: str = ""
    stopping: bool = False
    hears: Callable[[bytes], None] | None = None
    held: int = 0
    heard: Callable[[web.StreamResponse], None] | None = None

    def name(self, personalization: str, why: str) -> None:
        """Name what answers, and why."""
        self.personalization, self.why = personalization, why

    def asks_model(self) -> None:
        """Note that the model is asked now, for the first time."""
        if self.added is None:
            self.added = time.perf_counter() - self.started - self.waited

    def is_whole(self, response: web.StreamResponse) -> None:
        """Note that all of a stream was written, whatever its client does now."""
        heard, self.heard = self.heard, None
        if heard is not None:
            heard(response)

    def headers(self) -> CIMultiDict[str]:
        """Return the headers of the response that describe the exchange."""
        found = CIMultiDict({REQUEST_ID: self.id, "Server": "idiolect"})
        if self.personalization:
            found[PERSONALIZATION] = self.personalization
            found[WHY] = plain_line(self.why)
        if self.added is not None:
            found[ADDED] = f"{self.added * 1000:.2f}"
        return found


def begun(given_id: str | None) -> Exchange:
    """Return the exchange of a request that comes now; the id that the client gave is kept if it is harmless."""
    known = given_id is not None and _SANE_ID.fullmatch(given_id)
    return Exchange(given_id if known and given_id else secrets.token_hex(12))


def plain_line(text: str) -> str:
    """Return a text as one line of printable ASCII, which headers take."""
    line = _NOT_PLAIN.sub("?", text.replace("\n", " "))
    return line if len(line) <= _LONGEST_WHY else f"{line[: _LONGEST_WHY - 3]}..."
