"""Streams from code that does not await: pieces as they come, and an end that halts nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import closing
from pathlib import Path
from queue import SimpleQueue

import pytest

from idiolect import AsyncWorkspace, ChatAnswer, Message, SamplingParams, Workspace
from idiolect.errors import ModelError
from tests.application.mimicked import ANN, FAST
from tests.cli.learning import mimic

TURNS = [Message("system", "Be brief."), Message("user", "Would you drink tea at noon?")]


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    """A workspace that knows ann; each test closes it."""
    opened = Workspace.open(tmp_path / "store", model=mimic())
    assert opened.fit([ANN], FAST).complete
    return opened


def test_a_conversation_is_prepared_answered_and_streamed(space: Workspace) -> None:
    with space:
        prepared = space.personalized_chat("ann", TURNS, sampling=SamplingParams(max_tokens=9))
        assert (prepared.personalized, prepared.request.sampling.max_tokens) == (True, 9)
        assert str(prepared.messages[0]).count("Be brief.") == 1
        *pieces, last = space.stream_chat(prepared)
        assert isinstance(last, ChatAnswer)
        assert pieces == ["Tea,", " I", " think."]
        assert space.chat(prepared) == last
        assert not space.personalized_chat("nobody", TURNS).personalized


def test_a_stream_that_is_closed_is_cancelled_and_halts_nothing(space: Workspace) -> None:
    ended: list[str] = []

    async def endless(_space: AsyncWorkspace) -> AsyncGenerator[str, None]:
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)  # cleaning up takes a moment, in which it may await
            ended.append("ended")

    with space:
        with closing(space.stream(endless)) as items:
            assert next(items) == "first"
        assert ended == ["ended"]
        assert space.ask("ann", "Tea?").text == "Tea, I think."


def test_ctrl_c_in_the_wait_for_a_piece_cancels_the_stream_alone(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []

    async def endless(_space: AsyncWorkspace) -> AsyncGenerator[str, None]:
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            ended.append("ended")

    class Pressed:
        """A queue in whose second wait Ctrl-C is pressed."""

        def __init__(self) -> None:
            self._items, self._waits = SimpleQueue[tuple[str] | None](), 0

        def put(self, item: tuple[str] | None) -> None:
            self._items.put(item)

        def get(self) -> tuple[str] | None:
            self._waits += 1
            if self._waits == 2:
                raise KeyboardInterrupt
            return self._items.get()

    monkeypatch.setattr("idiolect.application.portal.SimpleQueue", Pressed)
    with space:
        items = space.stream(endless)
        assert next(items) == "first"
        with pytest.raises(KeyboardInterrupt):
            next(items)
        assert ended == ["ended"]
        assert space.ask("ann", "Tea?").text == "Tea, I think."


def test_errors_come_after_the_pieces(space: Workspace) -> None:
    async def broken(_space: AsyncWorkspace) -> AsyncGenerator[str, None]:
        yield "first"
        raise ModelError("broke off")

    with space:
        items = space.stream(broken)
        assert next(items) == "first"
        with pytest.raises(ModelError, match="broke off"):
            next(items)
    with pytest.raises(RuntimeError, match="closed"):
        next(space.stream(broken))
