"""Token tries laid out as one packed sequence: the step between token ids and a scoring pass, without any tensors.

Sequences with a common beginning share nodes; a node is a token in its context, so each is computed once. Parents are
laid out before children; a node's position id is its depth, and its attention row covers exactly its ancestors and
itself. One forward pass then gives the same hidden states as running each sequence alone (tree attention, as in
SpecInfer, Miao et al. 2024, arXiv:2305.09781). A token that an edit acts on is marked with that edit. Tokens with
different marks are different tokens, so nothing computed under one edit is ever read under another or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Token = int | tuple[int, str]  # an id, with the digest of the edit that acts on it if there is one


class TokenTrie:
    """The unique tokens-in-context of sequences, numbered in order of insertion, so that parents precede children."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.depths: list[int] = []
        self.parents: list[int] = []  # -1 at depth 0
        self._children: dict[tuple[int, Token], int] = {}

    def __len__(self) -> int:
        return len(self.tokens)

    def insert(self, sequence: Sequence[Token], parent: int = -1) -> list[int]:
        """Return the nodes of `sequence` below `parent`, one per token; create those that are missing."""
        path = []
        for token in sequence:
            node = self._children.get((parent, token))
            if node is None:
                node = self._add(token, parent)
            path.append(node)
            parent = node
        return path

    def ancestors(self, node: int) -> list[int]:
        """Return `node` and the nodes above it, deepest first."""
        path = []
        while node >= 0:
            path.append(node)
            node = self.parents[node]
        return path

    def _add(self, token: Token, parent: int) -> int:
        node = len(self.tokens)
        self.tokens.append(token)
        self.depths.append(self.depths[parent] + 1 if parent >= 0 else 0)
        self.parents.append(parent)
        self._children[parent, token] = node
        return node


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of a trie's nodes in a pass: `context` nodes already have keys and values, `fresh` ones do not.

    Columns of the attention mask are the context nodes, then the fresh nodes, each in the given order.
    """

    trie: TokenTrie
    context: tuple[int, ...]
    fresh: tuple[int, ...]

    @property
    def tokens(self) -> list[int]:
        """Token ids of the fresh nodes."""
        tokens = (self.trie.tokens[node] for node in self.fresh)
        return [token if isinstance(token, int) else token[0] for token in tokens]

    @property
    def marks(self) -> list[str | None]:
        """For each fresh node, the digest of the edit that acts on it; None if none does."""
        tokens = (self.trie.tokens[node] for node in self.fresh)
        return [None if isinstance(token, int) else token[1] for token in tokens]

    @property
    def positions(self) -> list[int]:
        """Position ids of the fresh nodes."""
        return [self.trie.depths[node] for node in self.fresh]

    def visible(self) -> NDArray[np.bool_]:
        """Return the mask of the columns that each fresh node attends to, shape (fresh, context + fresh)."""
        p = len(self.context)
        column = {node: i for i, node in enumerate((*self.context, *self.fresh))}
        mask = np.zeros((len(self.fresh), len(column)), dtype=np.bool_)
        for row, node in enumerate(self.fresh):
            parent = self.trie.parents[node]
            above = column.get(parent, -1)
            if above >= p:
                mask[row] = mask[above - p]
            else:
                mask[row, [column[a] for a in self.trie.ancestors(parent)]] = True
            mask[row, p + row] = True
        return mask


def common_prefix(a: Sequence[Token], b: Sequence[Token]) -> int:
    """Return the number of leading tokens that two sequences share."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
