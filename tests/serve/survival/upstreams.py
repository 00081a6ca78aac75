"""The server behind the gateways: it answers at once, the same to the same request, and remembers what it was asked.

Conversations have `metadata`, which passes through the gateway unread; what has none is a call of a fit.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from typing import Any

from tests.api_server import ApiServer, Body, Received, Stream, chat_payload
from tests.cli.remote_world import answer, name_of

TALK = {"talk": "yes"}
_LONG = 30  # repetitions in a streamed answer


class Upstream:
    """An `ApiServer` that tells conversations from fits.

    Args:
        latency: seconds before each answer.
        interval: seconds between the events of a stream.

    Attributes:
        texts: the texts of answers in conversations, by the ids of these answers.
    """

    def __init__(self, *, latency: float = 0.0, interval: float = 0.0) -> None:
        self.server = ApiServer(self._answer, latency=latency)
        self.texts: dict[str, str] = {}
        self._interval, self._numbers = interval, count(1)

    def __enter__(self) -> Upstream:
        self.server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.server.__exit__(*error)

    @property
    def model(self) -> str:
        """The upstream as a gateway's setting."""
        return f"{self.server.url}#m"

    def of_fits(self) -> list[Received]:
        """Return the calls of fits so far, in order."""
        return [each for each in self.server.requests if not is_talk(each.body)]

    def _answer(self, body: Body, number: int) -> str | Body | Stream:
        if not is_talk(body):
            return answer(body, number)
        text, found = f"I would have {name_of(body)} with milk.", f"talk-{next(self._numbers)}"
        if not body.get("stream"):
            self.texts[found] = text
            return {**chat_payload(text, body), "id": found}
        self.texts[found] = text * _LONG if self._interval else text
        return Stream(self.texts[found], self._interval, size=24, id=found)


def is_talk(body: Mapping[str, Any]) -> bool:
    """Whether the body of a request is of a conversation."""
    return body.get("metadata") == TALK


def talk(user_id: str, turn: str) -> dict[str, Any]:
    """The body of a conversation of one turn."""
    return {"model": "m", "user": user_id, "messages": [{"role": "user", "content": turn}], "metadata": TALK}


def is_about(received: Received, user_id: str) -> bool:
    """Whether a request has anything of this user."""
    return user_id in json.dumps(received.body)
