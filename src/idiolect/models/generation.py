"""Batched generation in which every row keeps its own seed, stop strings and length; between `local` and `network`.

A batch is padded on the left. Rows that share a prompt and an edit share their prefill. Finished rows leave the batch.
A row's tokens depend only on its prompt, edit, parameters, seed and draw, never on its neighbours (up to float
rounding). A row with a listener is heard token by token, and leaves the batch as soon as nobody listens any more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor

from idiolect.models.chat_format import ChatFormat
from idiolect.models.editing import RowEdits
from idiolect.models.edits import Edit
from idiolect.models.language_model import SamplingParams
from idiolect.models.network import Network
from idiolect.models.streamed_text import StreamedText
from idiolect.models.thoughts import Spoken, after_thoughts

Ids = tuple[int, ...]
Start = tuple[Ids, Edit | None]  # the prompt and the edit; rows for which both are equal share a prefill

_COMPACT_BELOW = 0.8  # finished rows are dropped once at most this fraction of the batch is still alive
_COLDEST = 1e-6  # the most likely token is drawn here already; less would make infinities of float32


class Listener(Protocol):
    """Whoever reads a text while it is being written; called in the thread that generates."""

    @property
    def gone(self) -> bool:
        """Whether the text is no longer wanted."""
        ...

    def hear(self, piece: str) -> None:
        """Receive what one more token adds to the text; "" if that cannot be handed out yet."""
        ...

    def end(self, generated: Generated) -> None:
        """Receive the whole, before other rows of the batch have ended."""
        ...


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A completion request in token ids and the edit it is answered under; None leaves the model unchanged.

    `listener` reads the text while it is being written; None: nobody does.
    """

    prompt: Ids
    sampling: SamplingParams
    draw: int = 0
    edit: Edit | None = None
    listener: Listener | None = field(default=None, compare=False)

    @property
    def start(self) -> Start:
        """The prompt and the edit, on which alone the prefill depends."""
        return self.prompt, self.edit


@dataclass(frozen=True, slots=True)
class Generated:
    """The result of one row, without its thoughts.

    Args:
        text: the text.
        finish_reason: whether it ended, or its tokens were used up.
        n_tokens: number of generated tokens, with those of thoughts.
        computed: number of prompt tokens that went through the network for it.
        cut_off: whether it ended within a thought.
    """

    text: str
    finish_reason: Literal["stop", "length"]
    n_tokens: int
    computed: int
    cut_off: bool = False


@dataclass(slots=True)
class _Row:
    item: EncodedPrompt
    computed: int
    generator: torch.Generator
    thinks: bool = False  # whether the prompt opens a thought
    cut_off: bool = False
    ids: list[int] = field(default_factory=list)
    text: str = ""
    finish: Literal["stop", "length"] | None = None
    heard: str = ""  # what the listener's part of the text was made of
    streamed: StreamedText | None = None

    def __post_init__(self) -> None:
        if self.item.listener is not None:
            self.streamed = StreamedText(stop=self.item.sampling.stop, opened=self.thinks)

    @property
    def generated(self) -> Generated:
        """The row's result, once it is finished."""
        assert self.finish is not None
        return Generated(self.text, self.finish, len(self.ids), self.computed, self.cut_off)

    def take(self, token: int, decoder: ChatFormat) -> None:
        """Append a token and finish the row if it is done, or if nobody listens any more."""
        self._append(token, decoder)
        if self.streamed is not None and self.item.listener is not None:
            self._hand_out(self.streamed, self.item.listener, decoder)

    def _hand_out(self, streamed: StreamedText, listener: Listener, decoder: ChatFormat) -> None:
        if listener.gone:
            self._end("stop", streamed.said)
            return
        if self.finish is not None:
            listener.hear(streamed.end(self.text))
            self.text = streamed.said
            listener.end(self.generated)
            return
        written = decoder.decode(self.ids).rstrip("\ufffd")  # a character's bytes may be spread over several tokens
        if not written.startswith(self.heard):  # a tokenizer that changes what it decoded before: all at the end
            written = self.heard
        piece, self.heard = written[len(self.heard) :], written
        listener.hear(streamed.add(piece))

    def _append(self, token: int, decoder: ChatFormat) -> None:
        self.ids.append(token)
        stops = self.item.sampling.stop
        if token in decoder.stop_ids:
            self._end("stop", self._spoken(decoder, self.ids[:-1]).text)
        elif stops and (cut := _before_stop(self._spoken(decoder, self.ids).text, stops)) is not None:
            self._end("stop", cut)
        elif len(self.ids) >= self.item.sampling.max_tokens:
            spoken = self._spoken(decoder, self.ids)
            self.cut_off = spoken.cut_off
            self._end("length", spoken.text)

    def _spoken(self, decoder: ChatFormat, ids: Sequence[int]) -> Spoken:
        """Return what the row says so far after its thoughts; a stop string within them ends nothing."""
        return after_thoughts(decoder.decode(ids), opened=self.thinks)

    def _end(self, reason: Literal["stop", "length"], text: str) -> None:
        self.finish, self.text = reason, text


def generate(
    items: Sequence[EncodedPrompt], *, network: Network, decoder: ChatFormat, batch_size: int
) -> list[Generated]:
    """Complete every item, sorted by prompt length and at most `batch_size` at a time; return the results in order."""
    order = sorted(range(len(items)), key=lambda i: (len(items[i].prompt), items[i].prompt, _label(items[i].edit)))
    done: dict[int, Generated] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for i, row in zip(batch, _generate_batch([items[i] for i in batch], network, decoder), strict=True):
            done[i] = row.generated
    return [done[i] for i in range(len(items))]


def seeded(seed: int, draw: int) -> torch.Generator:
    """Return the random stream of one row; the same seed and draw give the same stream on every machine and run."""
    digest = hashlib.sha256(f"{seed}/{draw}".encode()).digest()
    return torch.Generator(device="cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _label(edit: Edit | None) -> str:
    return "" if edit is None else edit.digest


def _generate_batch(items: Sequence[EncodedPrompt], network: Network, decoder: ChatFormat) -> list[_Row]:
    starts = list(dict.fromkeys(item.start for item in items))
    rows, charged = [], set[Start]()
    for item in items:
        computed = 0 if item.start in charged else len(item.prompt)
        charged.add(item.start)
        thinks = decoder.opens_thought(item.prompt)
        rows.append(_Row(item, computed, seeded(item.sampling.seed, item.draw), thinks))
    edited = any(item.edit is not None for item in items)
    edits = network.editor.rows([edit for _, edit in starts]) if edited else None
    with network.editing(edits):
        state = _State.prefill([prompt for prompt, _ in starts], network, edits)
        place = {start: i for i, start in enumerate(starts)}
        state.select([place[item.start] for item in items])
        _write(rows, state, decoder)
    return rows


def _write(rows: list[_Row], state: _State, decoder: ChatFormat) -> None:
    """Generate tokens for the batch, feeding each back into the network, until every row is done."""
    alive = rows
    while True:
        tokens = _next_tokens(state.logits, alive)
        for row, token in zip(alive, tokens, strict=True):
            if row.finish is None:
                row.take(token, decoder)
        going = [i for i, row in enumerate(alive) if row.finish is None]
        if not going:
            return
        if len(going) <= _COMPACT_BELOW * len(alive):
            state.select(going)
            alive, tokens = [alive[i] for i in going], [tokens[i] for i in going]
        state.step(tokens)


class _State:
    """The batch on the network: its cache, its edits, its attention mask (B, L) and its next-token logits (B, V)."""

    def __init__(self, network: Network, edits: RowEdits | None, mask: Tensor, logits: Tensor, cache: object) -> None:
        self._network, self._edits, self._mask, self.logits, self._cache = network, edits, mask, logits, cache

    @classmethod
    def prefill(cls, prompts: Sequence[Ids], network: Network, edits: RowEdits | None) -> _State:
        """Run the prompts, padded on the left so that the last token of each, which predicts, is in the last column."""
        width = max(map(len, prompts))
        ids = network.tensor([(*[0] * (width - len(p)), *p) for p in prompts])  # (B, L)
        mask = network.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])  # (B, L)
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)  # (B, L)
        cache = network.new_cache()
        if edits is not None:
            edits.generated = torch.arange(width, device=ids.device).expand_as(ids) == width - 1  # (B, L)
        logits = network.logits(
            1, input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
        )
        if edits is not None:
            edits.generated = None
        return cls(network, edits, mask, logits[:, -1], cache)

    def select(self, rows: Sequence[int]) -> None:
        """Keep only these rows, in this order; a row may be repeated."""
        if list(rows) == list(range(len(self.logits))):
            return
        index = self._network.tensor(rows)  # (kept,)
        self._mask, self.logits = self._mask[index], self.logits[index]
        self._cache.batch_select_indices(index)  # type: ignore[attr-defined]
        if self._edits is not None:
            self._edits.select(rows)

    def step(self, tokens: Sequence[int]) -> None:
        """Feed one token per row and update the logits."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(tokens), 1)], dim=1)  # (B, L + 1)
        self.logits = self._network.logits(
            1,
            input_ids=self._network.tensor(tokens)[:, None],
            attention_mask=self._mask,
            position_ids=self._mask.sum(dim=1, keepdim=True) - 1,  # (B, 1)
            past_key_values=self._cache,
            use_cache=True,
        )[:, -1]


def _next_tokens(logits: Tensor, rows: Sequence[_Row]) -> list[int]:
    """Return one token per row from logits (B, V): the most likely one at temperature 0, otherwise a random draw."""
    tokens: list[int] = logits.argmax(dim=1).tolist()
    for i, row in enumerate(rows):
        if row.item.sampling.temperature > 0 and row.finish is None:
            tokens[i] = _draw(logits[i].cpu(), row.item.sampling, row.generator)
    return tokens


def _draw(logits: Tensor, sampling: SamplingParams, generator: torch.Generator) -> int:
    """Draw one token from logits (V,) by nucleus sampling, inverting the cumulative distribution."""
    probabilities = torch.softmax(logits / max(sampling.temperature, _COLDEST), dim=0)  # (V,)
    order = None
    if sampling.top_p < 1:
        probabilities, order = probabilities.sort(descending=True, stable=True)
        before = probabilities.cumsum(dim=0) - probabilities  # (V,)
        dropped = before >= sampling.top_p  # (V,)
        dropped[0] = False  # a top_p that is 0 in float32
        probabilities = probabilities.masked_fill(dropped, 0.0)
    cumulative = probabilities.double().cumsum(dim=0)  # (V,)
    threshold = torch.rand((), generator=generator, dtype=torch.float64) * cumulative[-1]
    at = min(int(torch.searchsorted(cumulative, threshold, right=True)), len(cumulative) - 1)
    return at if order is None else int(order[at])


def _before_stop(text: str, stops: tuple[str, ...]) -> str | None:
    """Return `text` up to the first stop string in it; None if it contains none."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found)] if found else None
