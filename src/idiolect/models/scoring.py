"""Exact log-probabilities of choices on a local network; between `local` (requests) and `network` (passes).

`PackedScorer` lays out the sequences of many requests as one tree (see `packing`) on top of the prefixes in
`prefix_cache`, and computes every token-in-context once. `PaddedScorer` runs each prompt + choice as its own row of a
padded batch. It gives the same numbers without reuse; it serves architectures that cannot be packed, and is the
baseline in benchmarks.
Both run every token under its request's edit (`edits`), if it has one. An edit for generated positions acts from the
prompt's last token on, because that token predicts the first token of a choice.
Both return, for choice c after prompt x, the sum over c's tokens of log p(c_k | x, c_1 … c_{k-1}).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from idiolect.models.editing import RowEdits, TokenEdits
from idiolect.models.edits import Edit
from idiolect.models.network import Network, cache_of, keys_values_of, log_normalizers, picked_logprobs
from idiolect.models.packing import Layout, Token, TokenTrie, common_prefix
from idiolect.models.prefix_cache import KeysValues, PrefixCache

Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncodedChoices:
    """A choice request in token ids and the edit it is scored under; None leaves the model unchanged."""

    prompt: Ids
    choices: tuple[Ids, ...]
    edit: Edit | None = None

    @property
    def n_tokens(self) -> int:
        """Number of tokens of the prompt and of all choices."""
        return len(self.prompt) + sum(map(len, self.choices))

    @property
    def longest(self) -> int:
        """Number of tokens of the longest prompt + choice."""
        return len(self.prompt) + max(map(len, self.choices))

    @property
    def marked_prompt(self) -> tuple[Token, ...]:
        """The prompt's tokens, each marked with the edit that acts on it."""
        if self.edit is None or self.edit.positions == "all":
            return self.marked(self.prompt)
        return (*self.prompt[:-1], *self.marked(self.prompt[-1:]))

    def marked(self, ids: Ids) -> tuple[Token, ...]:
        """Return `ids` marked with the edit, as tokens that it acts on; unmarked if there is no edit."""
        if self.edit is None:
            return ids
        digest = self.edit.digest
        return tuple((token, digest) for token in ids)

    @property
    def place(self) -> tuple[str, Ids, str]:
        """Sort key that places items with more tokens in common nearer to each other."""
        digest = "" if self.edit is None else self.edit.digest
        whole = self.edit is not None and self.edit.positions == "all"
        return digest if whole else "", self.prompt, digest


@dataclass(frozen=True, slots=True)
class ScoredChoices:
    """Summed log-probability per choice, and the number of tokens that went through the network for this request."""

    logprobs: tuple[float, ...]
    computed: int


@dataclass(frozen=True, slots=True)
class _Row:
    """A prompt + choice of the item at index `item`."""

    item: int
    prompt: Ids
    choice: Ids
    edit: Edit | None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.choice)


class PaddedScorer:
    """Scorer that runs every prompt + choice as a row of its own, padded on the right, sorted by length."""

    def __init__(self, network: Network, *, batch_size: int, max_kept: int = 1024) -> None:
        self._network, self._batch_size, self._max_kept = network, batch_size, max_kept

    def score(self, items: Sequence[EncodedChoices]) -> list[ScoredChoices]:
        """Return the scores of each item, in order."""
        rows = [_Row(i, item.prompt, choice, item.edit) for i, item in enumerate(items) for choice in item.choices]
        totals = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda r: (len(rows[r]), len(rows[r].prompt)))
        for batch in self._batches(order, rows):
            for r, total in zip(batch, self._pass([rows[r] for r in batch]), strict=True):
                totals[r] = total
        return [self._collect(i, rows, totals) for i in range(len(items))]

    def _collect(self, item: int, rows: list[_Row], totals: list[float]) -> ScoredChoices:
        mine = [r for r, row in enumerate(rows) if row.item == item]
        return ScoredChoices(logprobs=tuple(totals[r] for r in mine), computed=sum(len(rows[r]) - 1 for r in mine))

    def _batches(self, order: list[int], rows: list[_Row]) -> Iterator[list[int]]:
        """Cut `order` into batches, limited by their rows and by how many positions' logits fit into memory."""
        batch: list[int] = []
        for r in order:
            grown = [*batch, r]
            first = min(len(rows[b].prompt) for b in grown)
            last = max(len(rows[b]) for b in grown)
            if batch and (len(grown) > self._batch_size or len(grown) * (last - first) > self._max_kept):
                yield batch
                grown = [r]
            batch = grown
        if batch:
            yield batch

    def _pass(self, rows: Sequence[_Row]) -> list[float]:
        fed = [(row.prompt + row.choice)[:-1] for row in rows]  # no prediction is needed after the last token
        ids, mask = self._network.padded(fed)  # (B, L) each
        width = ids.shape[1]
        first = min(len(row.prompt) for row in rows) - 1
        keep = torch.arange(first, width, device=ids.device)  # (kept,)
        with self._network.editing(self._edits(rows, width)):
            logits = self._network.logits(keep, input_ids=ids, attention_mask=mask, use_cache=False)  # (B, kept, V)
        totals = []
        for row, at in zip(rows, logits, strict=True):  # at: (kept, V)
            start = len(row.prompt) - 1 - first
            totals.append(sum(picked_logprobs(at[start : start + len(row.choice)], row.choice)))
        return totals

    def _edits(self, rows: Sequence[_Row], width: int) -> RowEdits | None:
        if all(row.edit is None for row in rows):
            return None
        edits = self._network.editor.rows([row.edit for row in rows])
        column = torch.arange(width, device=self._network.device)  # (L,)
        last = self._network.tensor([len(row.prompt) - 1 for row in rows])  # (B,)
        edits.generated = column >= last[:, None]  # (B, L)
        return edits


class PackedScorer:
    """Scorer that computes every token-in-context once, on top of the prefixes computed before.

    Args:
        network: a network that supports packed sequences (see `packs`).
        cache: prefixes kept across calls.
        max_pass_tokens: maximum number of tokens in one pass through the network.
    """

    def __init__(self, network: Network, *, cache: PrefixCache, max_pass_tokens: int) -> None:
        self._network, self.cache, self._max_pass = network, cache, max_pass_tokens

    def score(self, items: Sequence[EncodedChoices]) -> list[ScoredChoices]:
        """Return the scores of each item, in order; a shared token is charged to the first item, sorted by `place`."""
        order = sorted(range(len(items)), key=lambda i: items[i].place)
        scored: dict[int, ScoredChoices] = {}
        while order:
            group = self._next_group([items[i] for i in order])
            scored.update(zip(order, self._score_group([items[i] for i in order[:group]]), strict=False))
            order = order[group:]
        return [scored[i] for i in range(len(items))]

    def _next_group(self, items: Sequence[EncodedChoices]) -> int:
        """Return how many items, from the first, to put into one tree.

        As many as fit into a pass, but fewer if each adds its own long context, whose masked-out part costs time.
        """
        fresh = context = 0
        before: tuple[Token, ...] = ()
        for n, item in enumerate(items):
            prompt = item.marked_prompt
            shared = common_prefix(before, prompt)
            held = len(self.cache.match(prompt[:-1]))
            new = len(prompt) - max(shared, held) + sum(map(len, item.choices))
            beyond = max(held - shared, 0)
            crowded = fresh >= self._max_pass // 8 and context + beyond > self._max_pass
            if n and (fresh + new > self._max_pass or crowded):
                return n
            fresh, context, before = fresh + new, context + beyond, prompt
        return len(items)

    def _score_group(self, items: Sequence[EncodedChoices]) -> list[ScoredChoices]:
        group = _Group(items, self.cache)
        cache = cache_of(self.cache.gather([group.slots[node] for node in group.layout.context]))
        logprobs = self._run(group, cache)
        group.remember(self.cache, keys_values_of(cache))
        return [
            ScoredChoices(tuple(sum(logprobs[pair] for pair in choice) for choice in choices), computed)
            for choices, computed in zip(group.pairs, group.computed, strict=True)
        ]

    def _run(self, group: _Group, cache: object) -> dict[tuple[int, int], float]:
        """Return the log-probability of every needed (node, next token) pair, in passes over slices of the layout."""
        layout, p = group.layout, len(group.layout.context)
        tokens, positions = self._network.tensor(layout.tokens), self._network.tensor(layout.positions)  # (fresh,)
        visible = layout.visible()  # (fresh, context + fresh)
        found: dict[tuple[int, int], float] = {}
        for start in range(0, len(layout.fresh), self._max_pass):
            end = min(start + self._max_pass, len(layout.fresh))
            asked = [(row, pair) for row, pair in group.asked if start <= row < end]
            keep = [row - start for row, _ in asked] or [0]
            with self._network.editing(self._edits(group.edits[start:end])):
                logits = self._network.logits(
                    self._network.tensor(sorted(set(keep))),
                    input_ids=tokens[None, start:end],
                    position_ids=positions[None, start:end],
                    attention_mask=self._network.packed_mask(visible[start:end, : p + end]),
                    past_key_values=cache,
                    use_cache=True,
                )[0]  # (kept, V)
            found.update(_read(logits, [row - start for row, _ in asked], [pair for _, pair in asked]))
        return found

    def _edits(self, edits: Sequence[Edit | None]) -> TokenEdits | None:
        return None if all(edit is None for edit in edits) else self._network.editor.tokens(edits)


def _read(logits: torch.Tensor, rows: list[int], pairs: list[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """Return log p of each pair's token; logits: (distinct rows, V), in ascending order of the rows."""
    if not pairs:
        return {}
    at = {row: i for i, row in enumerate(sorted(set(rows)))}
    normalizer = log_normalizers(logits)  # (kept,)
    kept = torch.tensor([at[row] for row in rows], device=logits.device)  # (pairs,)
    tokens = torch.tensor([token for _, token in pairs], device=logits.device)  # (pairs,)
    picked = (logits[kept, tokens] - normalizer[kept]).tolist()
    return dict(zip(pairs, picked, strict=True))


class _Group:
    """The tree of some items' sequences: its cached nodes, its fresh nodes, and the predictions needed from them."""

    def __init__(self, items: Sequence[EncodedChoices], cache: PrefixCache) -> None:
        self._prompts = [item.marked_prompt for item in items]
        self.slots: dict[int, int] = {}
        self.pairs: list[list[list[tuple[int, int]]]] = []  # per item, per choice: (node, next token)
        trie, born = TokenTrie(), [0]
        self._paths = []
        for item, prompt in zip(items, self._prompts, strict=True):
            path = trie.insert(prompt)
            self.slots.update(zip(path, cache.match(prompt), strict=False))
            self._paths.append(path)
            self.pairs.append([self._choice(trie, path[-1], item, choice) for choice in item.choices])
            born.append(len(trie))
        heads = {node for choices in self.pairs for choice in choices for node, _ in choice}
        context = tuple(n for n in range(len(trie)) if n in self.slots and n not in heads)
        held = set(context)
        self.layout = Layout(trie, context, tuple(n for n in range(len(trie)) if n not in held))
        named = {item.edit.digest: item.edit for item in items if item.edit is not None}
        self.edits = [named[mark] if mark is not None else None for mark in self.layout.marks]  # of each fresh node
        row = {node: i for i, node in enumerate(self.layout.fresh)}
        asked = {pair for choices in self.pairs for choice in choices for pair in choice}
        self.asked = sorted((row[node], (node, token)) for node, token in asked)
        self.computed = [sum(n not in held for n in range(a, b)) for a, b in pairwise(born)]

    @staticmethod
    def _choice(trie: TokenTrie, last: int, item: EncodedChoices, choice: Ids) -> list[tuple[int, int]]:
        """Insert a choice and return its (node, next token) pairs; its last token is predicted, but needs no node."""
        nodes = [last, *trie.insert(item.marked(choice[:-1]), last)]
        return list(zip(nodes, choice, strict=True))

    def remember(self, cache: PrefixCache, source: KeysValues) -> None:
        """Put the prompts' keys and values into `cache`; `source` has them in the layout's columns."""
        column = {node: i for i, node in enumerate((*self.layout.context, *self.layout.fresh))}
        for prompt, path in zip(self._prompts, self._paths, strict=True):
            cache.insert(prompt, [column[node] for node in path], source)


def packs(network: Network) -> bool:
    """Return whether a packed pass gives this network's numbers, tested on a tiny tree against a padded batch."""
    vocabulary = int(network.config.vocab_size)
    ids = [1 + 7 * i % max(vocabulary - 1, 1) for i in range(12)]
    probe = [
        EncodedChoices(tuple(ids[:6]), ((ids[6],), (ids[7], ids[8], ids[9]))),
        EncodedChoices((*ids[:4], ids[9]), ((ids[10], ids[11]),)),
    ]
    try:
        packed = PackedScorer(network, cache=PrefixCache(64), max_pass_tokens=32)
        found = [packed.score(probe), packed.score(probe)]
    except Exception:  # any failure means that the architecture needs the padded path
        return False
    truth = PaddedScorer(network, batch_size=len(ids)).score(probe)
    tolerance = 1e-3 if network.dtype == torch.float32 else 0.15
    return all(_apart(run, truth) <= tolerance for run in found)


def _apart(some: list[ScoredChoices], others: list[ScoredChoices]) -> float:
    """Return the greatest difference between two scorings of the same items."""
    pairs = [zip(a.logprobs, b.logprobs, strict=True) for a, b in zip(some, others, strict=True)]
    return max(abs(x - y) for pair in pairs for x, y in pair)
