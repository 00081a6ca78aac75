"""A client as a sane one is: what gets no answer is sent again, and what was begun is looked up before it is repeated.

client.send → the answer, also of a second or third try
client.ask_for_fit: POST → no answer → GET the fits → a new one is ours, or POST again
client.stream → events up to [DONE]; a connection that breaks before is no end
"""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.serve.requesting import path_of
from tests.serve.serving import Reply
from tests.serve.survival.tally import Tally

BROKEN = (OSError, http.client.HTTPException)
_PATIENCE = 120.0  # seconds
_PAUSE = 0.05
_TIMEOUT = 60.0
_DONE = b"data: [DONE]"


class Servers(Protocol):
    """Gateways, at least one of which serves."""

    @property
    def n_deaths(self) -> int:
        """How many have died."""
        ...

    def root(self) -> str:
        """Return where to send the next request."""
        ...


class BrokenError(Exception):
    """The connection ended before the answer."""


@dataclass(frozen=True)
class Streamed:
    """A stream that came to its end: the answer's id and text."""

    id: str
    text: str


@dataclass
class Client:
    """Sends requests to gateways that die.

    Args:
        servers: the gateways.
        key: the key to show.
        tally: notes errors of the gateways, which are none of a client.
        broken: connections that ended before the answer, streams among them.
        broken_streams: those of streams.
    """

    servers: Servers
    key: str
    tally: Tally
    broken: int = 0
    broken_streams: int = 0

    def once(self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a request.

        Raises:
            BrokenError: there was no answer, or not all of it.
        """
        request = self._request(method, path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply:
                return Reply(reply.status, dict(reply.headers.items()), reply.read())
        except urllib.error.HTTPError as error:
            try:
                found = Reply(error.code, dict(error.headers.items()), error.read())
            except BROKEN as cut:
                raise self._broke() from cut
            self.tally.holds(f"{method} {path}: HTTP {found.status} {found.body[:300]!r}", found.status != 500)
            return found
        except BROKEN as error:
            raise self._broke() from error

    def send(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Reply, bool]:
        """Send a request until it is answered, and return the answer, and whether an earlier try was not answered.

        Answers that ask to come back later (409 and 503 with Retry-After) are tries, too.
        """
        deadline, again = time.monotonic() + _PATIENCE, False
        while True:
            try:
                reply = self.once(method, path, body, headers)
                if reply.status not in (409, 503) or "Retry-After" not in reply.headers:
                    return reply, again
            except BrokenError:
                again = True
            assert time.monotonic() < deadline, f"{method} {path} had no answer"
            time.sleep(_PAUSE)

    def ask_for_fit(self, user_id: str, options: Mapping[str, Any], known: set[str]) -> str | None:
        """Ask for a fit, and return its id; None if another one of the user is active.

        Args:
            user_id: the user's id.
            options: those of the fit.
            known: ids of the user's fits that are known; whatever else there is after a lost answer is this one.
        """
        path = path_of(user_id, "/fits")
        while True:
            try:
                reply = self.once("POST", path, options)
            except BrokenError:
                listed, _ = self.send("GET", path)
                found = [each["id"] for each in listed.json["data"] if each["id"] not in known]
                if found:
                    return str(found[0])
                continue
            if reply.status == 409:
                return None
            assert reply.status == 202, f"POST {path}: HTTP {reply.status} {reply.body[:300]!r}"
            return str(reply.json["id"])

    def wait_for_fit(self, user_id: str, job: str) -> dict[str, Any]:
        """Watch a fit until it has ended, and return it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                for event in self.events("GET", path_of(user_id, f"/fits/{job}/events")):
                    found: dict[str, Any] = json.loads(event)
                    if found["state"] not in ("queued", "running"):
                        return found
            except BrokenError:
                pass
            assert time.monotonic() < deadline, f"the fit {job} of {user_id} did not end"
            time.sleep(_PAUSE)

    def stream(self, body: Mapping[str, Any]) -> Streamed:
        """Ask for a streamed answer until one comes to its end."""
        while True:
            found, text = "", ""
            try:
                for event in self.events("POST", "/v1/chat/completions", {**body, "stream": True}, marked=True):
                    chunk = json.loads(event)
                    assert "error" not in chunk, f"a stream has an error: {event!r}"
                    found = found or chunk["id"]
                    text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
                return Streamed(found, text)
            except BrokenError:
                self.broken_streams += 1
                time.sleep(_PAUSE)

    def events(self, method: str, path: str, body: object = None, *, marked: bool = False) -> Iterator[bytes]:
        """Yield the data of the events of a stream.

        Args:
            method: HTTP method.
            path: the path.
            body: the body; None: none.
            marked: whether the stream has to end with [DONE].

        Raises:
            BrokenError: the connection ended before, or there was no stream.
        """
        root = urlsplit(self.servers.root())
        connection = http.client.HTTPConnection(str(root.hostname), root.port, timeout=_TIMEOUT)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, self._headers({}))
            reply = connection.getresponse()
            held = b""
            while part := reply.read1(65536):
                *events, held = (held + part).split(b"\n\n")
                for event in events:
                    if event == _DONE:
                        return
                    if event.startswith(b"data: "):
                        yield event[6:]
            if not self.tally.holds(f"{method} {path}: HTTP {reply.status} {held[:300]!r}", reply.status == 200):
                raise BrokenError
            self.tally.holds(f"{method} {path}: the stream had a false end", not marked)
        except BROKEN as error:
            raise self._broke() from error
        finally:
            connection.close()

    def _request(
        self, method: str, path: str, body: object, headers: Mapping[str, str] | None
    ) -> urllib.request.Request:
        sent = None if body is None else json.dumps(body).encode()
        given = self._headers(headers or {})
        return urllib.request.Request(f"{self.servers.root()}{path}", data=sent, headers=given, method=method)

    def _headers(self, more: Mapping[str, str]) -> dict[str, str]:
        return {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}", **more}

    def _broke(self) -> BrokenError:
        self.broken += 1
        return BrokenError()
