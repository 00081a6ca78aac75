"""Running edits (`edits`) inside a network, by hooks at the ends of its MLPs (`mlp`) that exist within a context.

    c = x readᵀ   (B, T, r)        x ← x + c write        with read, write (B, r, d), zero where a row has no edit

Both products are batched: each row is multiplied by factors of its own. Where all rows have the same factor (the reads
of a group, or one person's edit), its B copies are one tensor with a stride of 0. That is as fast as a plain product
with a matrix (r, d), and has the bits of B copies, so that a row's numbers depend on that row only.

`RowEdits`: each row of a batch has its own edit or none. `TokenEdits`: each token of one packed sequence has its own
edit or none. Its tokens are sorted into blocks of m that share an edit, (n, m, d), which are the rows of the products.
Exceptions inside a hook reach the caller. The hooks are removed at the end of the context however it ends; if it ends
normally, a check ensures that every one of them ran.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakValueDictionary

import torch
from torch import Tensor
from torch.nn.functional import pad

from idiolect.errors import ModelError
from idiolect.models.edits import Edit
from idiolect.models.mlp import changing_outputs, mlp_ends

_HELD_BYTES = 512 * 2**20  # limit on the copies of edits kept on the network's device for later batches


class Edits(Protocol):
    """The edits of one forward pass."""

    @property
    def layers(self) -> Sequence[int]:
        """The layers that at least one of the edits acts on, in order."""
        ...

    def apply(self, at: int, x: Tensor) -> Tensor:
        """Return the edited x (B, T, d) of layer `layers[at]`."""
        ...


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class _Factors:
    """The reads, or the writes, of one edit: (r, d) by layer, on the network's device and in its dtype."""

    by_layer: Mapping[int, Tensor]
    nbytes: int


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """An edit with its factors on the network's device; edits whose reads are equal share one `reads`."""

    edit: Edit
    reads: _Factors
    writes: _Factors


class _Products:
    """The two products of n rows, each of which has its own edit or none.

    Args:
        held: the edit of each row.
        layers: the layers to edit, in order.
        device: the network's.
    """

    def __init__(self, held: Sequence[_Held | None], layers: Sequence[int], device: torch.device) -> None:
        self._held, self._layers = held, layers
        self._gated = _marks([each is not None and each.edit.gate == "positive" for each in held], device)
        self.late = _marks([each is not None and each.edit.positions == "generated" for each in held], device)

    def factors(self, at: int) -> tuple[Tensor, Tensor] | None:
        """Return the reads and the writes of layer `layers[at]`, (n, r, d) each; None if no row has an edit there."""
        layer = self._layers[at]
        reads = [None if each is None else each.reads.by_layer.get(layer) for each in self._held]
        writes = [None if each is None else each.writes.by_layer.get(layer) for each in self._held]
        if all(read is None for read in reads):
            return None
        return _stacked(reads), _stacked(writes)

    def coefficients(self, x: Tensor, reads: Tensor) -> Tensor:
        """Return c, of shape (n, T, r), for x (n, T, d) and reads (n, r, d)."""
        coefficients = torch.bmm(x, reads.transpose(1, 2))  # fastest without a transposed copy of the reads
        if self._gated is not None:
            coefficients = torch.where(self._gated[..., None], coefficients.clamp(min=0), coefficients)
        return coefficients


class RowEdits:
    """The edits of the rows of a batch.

    `generated` may be set between passes: boolean (B, T), the positions from which a generated token is predicted; None
    means all positions. Edits with positions "generated" act only there.
    """

    def __init__(self, held: Sequence[_Held | None], device: torch.device) -> None:
        self.layers: Sequence[int] = _layers(held)
        self._device = device
        self._use(held)

    def select(self, rows: Sequence[int]) -> None:
        """Keep only these rows, in this order; a row may be repeated. Reset `generated` to None."""
        self._use([self._held[row] for row in rows])

    def apply(self, at: int, x: Tensor) -> Tensor:
        """Return the edited x, of shape (B, T, d), of layer `layers[at]`."""
        if at not in self._factors:  # stacked in the first pass and kept for the following ones
            self._factors[at] = self._products.factors(at)
        factors = self._factors[at]
        if factors is None:  # the rows with an edit there have left the batch
            return x
        reads, writes = factors
        coefficients = self._products.coefficients(x, reads)
        if self._products.late is not None and self.generated is not None:
            off = self._products.late & ~self.generated  # (B, T)
            coefficients = coefficients.masked_fill(off[..., None], 0)
        return torch.baddbmm(x, coefficients, writes)

    def _use(self, held: Sequence[_Held | None]) -> None:
        self._held = held
        self._products = _Products(held, self.layers, self._device)
        self._factors: dict[int, tuple[Tensor, Tensor] | None] = {}
        self.generated: Tensor | None = None


class TokenEdits:
    """The edits of the tokens of one packed sequence; each edit is given only for tokens on which it acts.

    The n blocks have as many tokens as an edit has on average, m. Thus n is at most twice the number of distinct edits
    (no edit is one of them), and at most as many places as there are tokens and edits remain unused.
    """

    def __init__(self, held: Sequence[_Held | None], device: torch.device) -> None:
        self.layers: Sequence[int] = _layers(held)
        blocks, self._size = _blocks([id(each) for each in held])
        self._products = _Products([held[block[0]] for block in blocks], self.layers, device)
        places = [0] * len(held)
        for at, block in enumerate(blocks):
            for within, token in enumerate(block):
                places[token] = at * self._size + within
        filled = [(*block, *block[:1] * (self._size - len(block))) for block in blocks]  # results of those are not used
        self._tokens = torch.tensor(filled, device=device).flatten()  # (n·m,), the token in each place
        self._places = torch.tensor(places, device=device)  # (T,), the place of each token

    def apply(self, at: int, x: Tensor) -> Tensor:
        """Return the edited x, of shape (1, T, d), of layer `layers[at]`."""
        assert x.shape[:2] == (1, len(self._places)), "the size of the sequence is not that of its edits"
        factors = self._products.factors(at)  # not kept, because a packed sequence is passed once
        assert factors is not None, "no token has an edit in one of `layers`"
        reads, writes = factors
        blocks = x[0].index_select(0, self._tokens).view(-1, self._size, x.shape[-1])  # (n, m, d)
        edited = torch.baddbmm(blocks, self._products.coefficients(blocks, reads), writes)
        return edited.flatten(0, 1).index_select(0, self._places)[None]


class Editor:
    """The editor of one network, used pass by pass.

    Raises:
        ModelError: the layers are not built like those of any supported model family.
    """

    def __init__(self, module: Any) -> None:
        self._ends = mlp_ends(module)
        self._width = int(module.config.get_text_config().hidden_size)
        parameter = next(module.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype
        self._held: OrderedDict[Edit, _Held] = OrderedDict()
        self._reads: WeakValueDictionary[bytes, _Factors] = WeakValueDictionary()  # of the edits held, by content

    def check(self, edit: Edit) -> None:
        """Raise ModelError if the edit is for another shape of model."""
        edit.check_fits(n_layers=len(self._ends), width=self._width)

    def rows(self, edits: Sequence[Edit | None]) -> RowEdits:
        """Prepare the edits of a batch's rows; None leaves a row unchanged.

        Raises:
            ModelError: an edit is for another shape of model.
        """
        return RowEdits(self._hold(edits), self._device)

    def tokens(self, edits: Sequence[Edit | None]) -> TokenEdits:
        """Prepare the edits of a packed sequence's tokens, each of which acts whatever its `positions`.

        Raises:
            ModelError: an edit is for another shape of model.
        """
        return TokenEdits(self._hold(edits), self._device)

    def forget(self) -> None:
        """Drop the copies of edits that are kept for later batches."""
        self._held.clear()

    @contextmanager
    def editing(self, edits: Edits) -> Iterator[None]:
        """Edit every forward pass within the context; its rows (or tokens) must be those of `edits`.

        Raises:
            ModelError: no forward pass reached an edited layer, so that nothing was edited there.
        """
        ran = [0] * len(edits.layers)

        def edited(at: int, x: Tensor) -> Tensor:
            ran[at] += 1
            return edits.apply(at, x)

        with changing_outputs([self._ends[layer] for layer in edits.layers], edited):
            yield
        if not all(ran):
            raise ModelError("an edit had no effect: no forward pass ran through the layers that it acts on")

    def _hold(self, edits: Sequence[Edit | None]) -> list[_Held | None]:
        """Return the edits with their factors on the device, reusing the copies that are kept."""
        distinct = dict.fromkeys(edit for edit in edits if edit is not None)
        for edit in distinct:
            self.check(edit)
        held = {edit: self._held.pop(edit) if edit in self._held else self._copied(edit) for edit in distinct}
        self._held.update(held)  # as the last ones to be let go
        while self._held_bytes() > _HELD_BYTES:
            self._held.popitem(last=False)
        return [None if edit is None else held[edit] for edit in edits]

    def _held_bytes(self) -> int:
        reads = {id(each.reads): each.reads.nbytes for each in self._held.values()}  # shared ones count once
        return sum(reads.values()) + sum(each.writes.nbytes for each in self._held.values())

    def _copied(self, edit: Edit) -> _Held:
        reads = [layer.read for layer in edit.layers.values()]
        named = repr([(index, len(read)) for index, read in zip(edit.layers, reads, strict=True)]).encode()
        key = hashlib.sha256(b"".join([named, *(read.numpy().tobytes() for read in reads)])).digest()
        shared = self._reads.get(key)
        if shared is None:
            self._reads[key] = shared = self._factors(edit, reads)
        return _Held(edit, shared, self._factors(edit, [layer.write for layer in edit.layers.values()]))

    def _factors(self, edit: Edit, factors: Sequence[Tensor]) -> _Factors:
        if self._device.type == "cpu":
            placed = [factor.to(self._dtype) for factor in factors]  # in float32, those of the edit itself
        else:
            whole = torch.cat(list(factors)).to(self._device, self._dtype)  # one transfer
            placed = list(torch.split(whole, [len(factor) for factor in factors]))
        by_layer = dict(zip(edit.layers, placed, strict=True))
        return _Factors(by_layer, sum(factor.nbytes for factor in placed))


def _layers(held: Sequence[_Held | None]) -> tuple[int, ...]:
    """Return the layers that at least one edit acts on, in order."""
    distinct = {each.edit for each in held if each is not None}
    return tuple(sorted({layer for edit in distinct for layer in edit.layers}))


def _marks(marked: Sequence[bool], device: torch.device) -> Tensor | None:
    """Return the marks of n rows as a boolean tensor (n, 1), or None if no row is marked."""
    return torch.tensor(marked, device=device)[:, None] if any(marked) else None


def _stacked(factors: Sequence[Tensor | None]) -> Tensor:
    """Return n factors (r, d), of which at least one is not None, as (n, r, d); r is the largest, the rest is zeros."""
    given = [factor for factor in factors if factor is not None]
    if len(given) == len(factors) and all(factor is given[0] for factor in given):
        return given[0].expand(len(factors), -1, -1)
    rank = max(map(len, given))
    nothing = torch.zeros_like(given[0][:1]).expand(rank, -1)
    whole = [nothing if factor is None else factor for factor in factors]
    return torch.stack([each if len(each) == rank else pad(each, (0, 0, 0, rank - len(each))) for each in whole])


def _blocks(owners: Sequence[Hashable]) -> tuple[list[list[int]], int]:
    """Sort positions into blocks of at most m with one owner each; return them and m, the mean per owner."""
    by_owner: dict[Hashable, list[int]] = {}
    for at, owner in enumerate(owners):
        by_owner.setdefault(owner, []).append(at)
    size = math.ceil(len(owners) / len(by_owner))
    return [mine[at : at + size] for mine in by_owner.values() for at in range(0, len(mine), size)], size
