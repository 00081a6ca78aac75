"""Streams of the local model: the text of `complete`, token by token, in batches, under edits, until nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

import pytest

from idiolect.errors import ContextLengthError, ModelError
from idiolect.models.chat_format import ChatFormat
from idiolect.models.generation import EncodedPrompt, Generated, _Row, seeded
from idiolect.models.language_model import (
    Completion,
    CompletionRequest,
    SamplingParams,
    Streamed,
    StreamingModel,
)
from idiolect.models.local import LocalModel
from tests.models import tiny


def asked(text: str = "Do you agree?", **sampling: object) -> CompletionRequest:
    chosen = {"max_tokens": 24, "temperature": 1.0, **sampling}
    return CompletionRequest(tiny.ask(text), SamplingParams(**chosen))  # type: ignore[arg-type]


async def all_of(stream: AsyncGenerator[Streamed, None]) -> tuple[list[str], Completion]:
    async with asyncio.timeout(60), aclosing(stream) as items:
        *pieces, last = [item async for item in items]
    assert isinstance(last, Completion)
    assert all(isinstance(piece, str) for piece in pieces)
    return [str(piece) for piece in pieces], last


@pytest.mark.parametrize("seed", range(6))
async def test_the_pieces_are_the_completion(seed: int) -> None:
    """Random weights write bytes at random, which are often no characters at all."""
    async with tiny.local_model() as model:
        request = asked(seed=seed)
        (completion,) = await model.complete([request])
        pieces, streamed = await all_of(model.stream(request))
    assert isinstance(model, StreamingModel)
    assert streamed == completion
    assert "".join(pieces) == completion.text
    assert len(pieces) == completion.usage.completion_tokens


def test_a_character_of_several_tokens_is_handed_out_whole() -> None:
    class Heard:
        gone = False
        pieces: ClassVar[list[str]] = []

        def hear(self, piece: str) -> None:
            self.pieces.append(piece)

        def end(self, generated: Generated) -> None:
            assert generated.text == text

    text = "雨, é and 😀."
    ids = tiny.tokenizer()(text)["input_ids"]
    item = EncodedPrompt((5,), SamplingParams(max_tokens=100), listener=Heard())
    row, decoder = _Row(item, 1, seeded(0, 0)), ChatFormat(tiny.tokenizer())
    for token in (*ids, tiny.tokenizer().eos_token_id):
        row.take(token, decoder)
    assert len(Heard.pieces) == len(ids) + 1
    assert "".join(Heard.pieces) == row.text == text
    assert "\ufffd" not in "".join(Heard.pieces)
    assert "雨" in Heard.pieces


async def test_a_stop_string_is_not_handed_out() -> None:
    async with tiny.local_model() as model:
        (free,) = await model.complete([asked(seed=1)])
        stop = free.text[6:9]
        request = asked(seed=1, stop=(stop,))
        (completion,) = await model.complete([request])
        pieces, streamed = await all_of(model.stream(request))
    assert (streamed, "".join(pieces)) == (completion, free.text[: free.text.index(stop)])


async def test_streams_and_completions_share_batches_and_edits_stay_apart() -> None:
    async with tiny.local_model() as model:
        edited = model.with_edit(tiny.edit())
        request = asked(temperature=0.0)
        alone = [(await each.complete([request]))[0].text for each in (model, edited)]
        together = await asyncio.gather(
            all_of(model.stream(request)), all_of(edited.stream(request)), model.complete([asked("Help people.")])
        )
    assert alone[0] != alone[1]
    assert [together[0][1].text, together[1][1].text] == alone
    assert isinstance(edited, StreamingModel)


async def test_a_stream_that_is_left_ends_its_row() -> None:
    async with tiny.local_model() as model:
        async with aclosing(model.stream(asked(max_tokens=200, temperature=0.0))) as items:
            await anext(items)
        kept = model.run(lambda: None)  # the worker is free again long before 200 tokens
        await asyncio.wait_for(kept, 30)
        rows = await _rows(model, asked(max_tokens=200, temperature=0.0))
    assert rows < 200


async def _rows(model: LocalModel, request: CompletionRequest) -> int:
    """How many tokens are written for a stream that is left after the first."""
    written: list[int] = []
    generate = model._completions._work

    def counted(items: list[object]) -> list[object]:
        rows = generate(items)  # type: ignore[arg-type]
        written.extend(row.n_tokens for row in rows)
        return list(rows)

    model._completions._work = counted  # type: ignore[assignment]
    async with aclosing(model.stream(request)) as items:
        await anext(items)
    await model.run(lambda: None)
    return written[0]


async def test_the_end_of_a_stream_does_not_wait_for_longer_rows() -> None:
    ended: list[str] = []

    async def read(model: LocalModel, name: str, tokens: int) -> None:
        await all_of(model.stream(asked(max_tokens=tokens, temperature=0.0)))
        ended.append(name)

    async with tiny.local_model() as model:
        await asyncio.gather(read(model, "long", 150), read(model, "short", 2))
    assert ended == ["short", "long"]


async def test_a_conversation_that_is_too_long_is_an_error_that_says_so() -> None:
    async with tiny.local_model() as model:
        with pytest.raises(ContextLengthError) as caught:
            await all_of(model.stream(asked("people " * 200)))
        assert caught.value.limit == tiny.SIZES["max_position_embeddings"]
    with pytest.raises(ModelError, match="closed"):
        await all_of(model.stream(asked()))
