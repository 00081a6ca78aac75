"""Keys and values of prompt tokens that the local model has seen, kept across calls; `scoring` reads and fills it.

The cache is a trie of tokens-in-context, each with a slot in a pool of tensors, so that any prompt finds its longest
prefix seen before, whichever prompt left it there. The number of tokens is bounded; the least recently used leaves are
evicted first. Tokens are marked with the edit that acted on them (`packing.Token`); the tokens of all edits share the
bound, but never a slot. Reading copies, so nothing that a pass does to its tensors reaches the pool.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import torch

from idiolect.models.packing import Token

KeysValues = list[tuple[torch.Tensor, torch.Tensor]]  # per layer: keys and values, each (heads, tokens, head_dim)

_FIRST_ALLOCATION = 1024


class _Node:
    __slots__ = ("children", "depth", "parent", "slot", "token", "used")

    def __init__(self, token: Token, parent: _Node | None, slot: int, used: int) -> None:
        self.token, self.parent, self.slot, self.used = token, parent, slot, used
        self.depth: int = parent.depth + 1 if parent else 0
        self.children: dict[Token, _Node] = {}


class PrefixCache:
    """The keys and values of at most `capacity` tokens. Not thread-safe; one worker owns it."""

    def __init__(self, capacity: int) -> None:
        if capacity < 0:
            raise ValueError(f"capacity is {capacity}, must not be negative")
        self.capacity = capacity
        self.clear()

    def clear(self) -> None:
        """Drop everything; necessary whenever the network's weights change, or any hooks other than those of edits."""
        self._root = _Node(-1, None, -1, 0)
        self._pool: KeysValues = []
        self._allocated = 0
        self._free: list[int] = []
        self._size = 0
        self._clock = 0

    def __len__(self) -> int:
        return self._size

    def match(self, tokens: Sequence[Token]) -> list[int]:
        """Return the slots of the longest cached prefix of `tokens` and mark it as just used."""
        self._clock += 1
        node, slots = self._root, []
        for token in tokens:
            child = node.children.get(token)
            if child is None:
                break
            child.used = self._clock
            slots.append(child.slot)
            node = child
        return slots

    def gather(self, slots: Sequence[int]) -> KeysValues:
        """Return copies of the keys and values at `slots`, per layer, each (heads, len(slots), head_dim)."""
        if not slots:
            return []
        index = torch.tensor(slots, device=self._pool[0][0].device)  # (slots,)
        return [(k.index_select(1, index), v.index_select(1, index)) for k, v in self._pool]

    def insert(self, tokens: Sequence[Token], columns: Sequence[int], source: KeysValues) -> None:
        """Cache `tokens`; token i's keys and values are at `source[layer][·][:, columns[i]]`.

        `columns[i]` may be -1 for a token that `match` found. If not all tokens fit, the deepest are left out.
        """
        self._clock += 1
        node, new_slots, new_columns = self._root, [], []
        for token, column in zip(tokens, columns, strict=True):
            child = node.children.get(token)
            if child is None:
                slot = self._take_slot(source) if column >= 0 else None
                if slot is None:
                    break
                child = node.children[token] = _Node(token, node, slot, self._clock)
                new_slots.append(slot)
                new_columns.append(column)
            child.used = self._clock
            node = child
        self._write(new_slots, new_columns, source)

    def _write(self, slots: list[int], columns: list[int], source: KeysValues) -> None:
        if not slots:
            return
        device = source[0][0].device
        to, come_from = torch.tensor(slots, device=device), torch.tensor(columns, device=device)  # (new,) each
        for (pool_k, pool_v), (k, v) in zip(self._pool, source, strict=True):
            pool_k.index_copy_(1, to, k.index_select(1, come_from))  # (heads, new, head_dim)
            pool_v.index_copy_(1, to, v.index_select(1, come_from))

    def _take_slot(self, like: KeysValues) -> int | None:
        if not self._free and self._allocated < self.capacity:
            self._grow(like)
        if not self._free:
            self._evict(max(self.capacity // 16, 1))
        if not self._free:
            return None
        self._size += 1
        return self._free.pop()

    def _grow(self, like: KeysValues) -> None:
        """Double the pool, up to the capacity."""
        allocated = min(max(2 * self._allocated, _FIRST_ALLOCATION), self.capacity)
        pool = []
        for layer, pair in enumerate(like):
            bigger = [t.new_empty(t.shape[0], allocated, t.shape[2]) for t in pair]  # (heads, allocated, head_dim)
            if self._pool:
                for old, new in zip(self._pool[layer], bigger, strict=True):
                    new[:, : self._allocated] = old
            pool.append((bigger[0], bigger[1]))
        self._free.extend(range(allocated - 1, self._allocated - 1, -1))
        self._pool, self._allocated = pool, allocated

    def _evict(self, wanted: int) -> None:
        """Free up to `wanted` slots, least recently used leaves first, sparing those used by the current call."""
        heap = [(leaf.used, -leaf.depth, leaf.slot, leaf) for leaf in self._leaves()]
        heapq.heapify(heap)
        while heap and wanted > 0 and heap[0][0] < self._clock:
            *_, leaf = heapq.heappop(heap)
            parent = leaf.parent
            assert parent is not None
            del parent.children[leaf.token]
            self._free.append(leaf.slot)
            self._size -= 1
            wanted -= 1
            if not parent.children and parent is not self._root:
                heapq.heappush(heap, (parent.used, -parent.depth, parent.slot, parent))

    def _leaves(self) -> list[_Node]:
        stack, leaves = list(self._root.children.values()), []
        while stack:
            node = stack.pop()
            if node.children:
                stack.extend(node.children.values())
            else:
                leaves.append(node)
        return leaves
