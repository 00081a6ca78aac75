"""Streams in pieces of any size: only whole events pass."""

from __future__ import annotations

import pytest

from idiolect.serve.event_streams import WholeEvents

EVENTS = b'data: {"a": 1}\n\ndata: {"b": 2}\r\n\r\n: comment\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pieces_of_any_size_become_whole_events(size: int) -> None:
    whole = WholeEvents()
    passed = [whole.add(EVENTS[place : place + size]) for place in range(0, len(EVENTS), size)]
    assert all(part == b"" or part.endswith((b"\n\n", b"\r\n\r\n")) for part in passed)
    assert b"".join(passed) == EVENTS
    assert whole.rest() == b""


def test_half_an_event_is_held_back() -> None:
    whole = WholeEvents()
    assert whole.add(b'data: {"a": 1}\n\ndata: {"b"') == b'data: {"a": 1}\n\n'
    assert whole.rest() == b'data: {"b"'


def test_an_event_without_end_passes_in_parts() -> None:
    whole = WholeEvents()
    assert whole.add(b"x" * (2**20 + 1)) == b"x" * (2**20 + 1)
