"""Well-behaved clients of a gateway that is attacked: each asks, checks the answer, and waits a moment.

    python -m tests.serve.hostility.canary PORT KEY USER

It ends when its standard input does, and prints how often each kind of request was answered, how long the slowest took,
and what was wrong. It imports nothing that takes time.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import time
from urllib.parse import quote

_PAUSE = 0.05  # seconds
_TIMEOUT = 30.0


class Client(threading.Thread):
    """Sends one kind of request again and again."""

    def __init__(self, name: str, port: int, method: str, path: str, *, body: object = None, secret: str = "") -> None:
        super().__init__(name=name, daemon=True)
        self._port, self._method, self._path, self._body = port, method, path, body
        self._headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"} if secret else {}
        self.n, self.seconds, self.wrong = 0, list[float](), list[str]()
        self.stopping = threading.Event()

    def run(self) -> None:
        """Ask until stopped."""
        while not self.stopping.is_set():
            begun = time.perf_counter()
            fault = self._ask()
            self.seconds.append(time.perf_counter() - begun)
            self.n += 1
            if fault:
                self.wrong.append(fault)
            self.stopping.wait(_PAUSE)

    def _ask(self) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        try:
            body = None if self._body is None else json.dumps(self._body)
            connection.request(self._method, self._path, body, self._headers)
            reply = connection.getresponse()
            reply.read()
            if reply.status != 200:
                return f"HTTP {reply.status}"
            named = reply.getheader("X-Idiolect-Personalization", "fermi")
            return "" if named.startswith("fermi") else f"answered by {named}"
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()

    def document(self) -> dict[str, object]:
        """What was measured."""
        ordered = sorted(self.seconds)
        place = min(len(ordered) - 1, int(0.99 * len(ordered)))
        wrong = sorted(set(self.wrong))
        return {"n": self.n, "p99": ordered[place], "slowest": ordered[-1], "faults": len(self.wrong), "wrong": wrong}


def main(port: int, secret: str, user: str) -> None:
    """Ask until the end of the standard input, and print what was measured."""
    chat = {"model": "m", "user": user, "messages": [{"role": "user", "content": "Would you drink tea at noon?"}]}
    clients = (
        Client("GET /health", port, "GET", "/health"),
        Client("POST /v1/chat/completions", port, "POST", "/v1/chat/completions", body=chat, secret=secret),
        Client("GET /v1/users/ID", port, "GET", f"/v1/users/{quote(user)}", secret=secret),
    )
    for client in clients:
        client.start()
    sys.stdin.read()
    for client in clients:
        client.stopping.set()
    for client in clients:
        client.join(_TIMEOUT)
    sys.stdout.write(json.dumps({client.name: client.document() for client in clients}))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3])
