"""Clients that read nothing of their answers: the connection ends, and so does the call of the upstream."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from idiolect.serve.unread import UnreadAnswers
from tests.api_server import Answer, ApiServer, Huge, Stream
from tests.serve.hostility.attacks import encoded, json_headers
from tests.serve.hostility.wire import request
from tests.serve.serving import HELLO, Served, forwarding

LONG = Stream("x" * 2**25, size=2**16)


class Writing:
    """A transport with so many bytes that wait."""

    def __init__(self, size: int) -> None:
        self.size, self.aborted = size, False

    def get_write_buffer_size(self) -> int:
        return self.size

    def abort(self) -> None:
        self.aborted, self.size = True, 0


def test_a_client_that_reads_nothing_is_given_up() -> None:
    now, stalled, idle = 0.0, Writing(10), Writing(0)
    unread = UnreadAnswers(3, lambda: now)
    for now in (0.0, 1.0, 2.0, 2.9):  # noqa: B007 - read by the clock
        unread.look([stalled, idle])
        stalled.size += 5  # more to read does not mean that it reads
        assert not stalled.aborted
    now = 3.0
    unread.look([idle])  # also if it was closed meanwhile, and waits for its last bytes
    assert (stalled.aborted, idle.aborted) == (True, False)


def test_a_client_that_reads_slowly_is_left_alone() -> None:
    now, slow = 0.0, Writing(100)
    unread = UnreadAnswers(3, lambda: now)
    for second in range(0, 80, 2):
        now = float(second)
        slow.size += 1 if second % 4 else -2
        unread.look([slow])
    slow.size = 0
    unread.look([slow])
    assert not slow.aborted


@pytest.mark.parametrize("answer", [LONG, Huge(2**25)])
def test_an_answer_that_nobody_reads_ends(learned_once: Path, answer: Answer) -> None:
    with ApiServer(lambda _body, _number: answer) as upstream:
        settings = forwarding(upstream.url, learned_once, unread_timeout=0.5)
        with Served(settings) as served, socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(served.root.rpartition(":")[2])))
            client.sendall(request("POST", "/v1/chat/completions", encoded(HELLO), headers=json_headers()))
            deadline = time.monotonic() + 10
            while not upstream.log or upstream.in_flight or served.call(lambda gateway: len(gateway.active)):
                assert time.monotonic() < deadline, "the answer still waits for its client"
                time.sleep(0.05)
            time.sleep(1.5)
            client.settimeout(5)
            received = 0
            try:
                while part := client.recv(2**16):
                    received += len(part)
            except ConnectionResetError:
                pass
    assert received < 2**24
