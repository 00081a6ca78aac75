"""Running edits (`edits`) inside a network, by hooks at the ends of its MLPs (`mlp`) that exist within a context.

    c = x readᵀ   (B, T, r)        x ← x + c write        with read, write (B, r, d), zero where a row has no edit

`RowEdits`: each row of a batch has its own edit or none, with two batched products per layer; a row's numbers depend on
that row only. `TokenEdits`: each token of one packed sequence has its own edit or none. The factors of all E edits are
concatenated, c is (T, E·r) with the columns of other edits set to 0, and both products are plain matrix products.
Exceptions inside a hook reach the caller. The hooks are removed at the end of the context however it ends; if it ends
normally, a check ensures that every one of them ran.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

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


@dataclass(frozen=True, slots=True)
class _Stack:
    """Distinct edits, on the network's device and in its dtype.

    Args:
        layers: the layers that at least one edit acts on, in order.
        factors: reads and writes (2, layers, edits + 1, r, d), padded with zeros; the last one is all zeros, no edit.
        gated, late: which edits are positive only, and which are for generated positions only; (edits + 1,).
        index: the edit of each row (or token), as an index into `factors`.
    """

    layers: tuple[int, ...]
    factors: Tensor
    gated: Tensor
    late: Tensor
    index: list[int]


class RowEdits:
    """The edits of the rows of a batch.

    `generated` may be set between passes: boolean (B, T), the positions from which a generated token is predicted; None
    means all positions. Edits with positions "generated" act only there.
    """

    def __init__(self, stack: _Stack) -> None:
        self._stack, self._index = stack, list(stack.index)
        self._any_gated, self._any_late = bool(stack.gated.any()), bool(stack.late.any())
        self.generated: Tensor | None = None
        self._gather()

    @property
    def layers(self) -> Sequence[int]:
        """The layers that at least one row's edit acts on, in order."""
        return self._stack.layers

    def select(self, rows: Sequence[int]) -> None:
        """Keep only these rows, in this order; a row may be repeated. Reset `generated` to None."""
        self._index, self.generated = [self._index[row] for row in rows], None
        self._gather()

    def apply(self, at: int, x: Tensor) -> Tensor:
        """Return the edited x, of shape (B, T, d), of layer `layers[at]`."""
        coefficients = torch.bmm(x, self._read[at].transpose(1, 2))  # (B, T, r); fastest without a copy of read
        if self._any_gated:
            coefficients = torch.where(self._gated, coefficients.clamp(min=0), coefficients)
        if self._any_late and self.generated is not None:
            off = self._late & ~self.generated  # (B, T)
            coefficients = coefficients.masked_fill(off[..., None], 0)
        return torch.baddbmm(x, coefficients, self._write[at])

    def _gather(self) -> None:
        factors = self._stack.factors
        rows = torch.tensor(self._index, device=factors.device)
        if self._index == list(range(len(self._index))):
            self._read, self._write = factors[:, :, : len(self._index)]  # (layers, B, r, d) each
        else:
            self._read, self._write = factors.index_select(2, rows)
        self._gated = self._stack.gated[rows][:, None, None]  # (B, 1, 1)
        self._late = self._stack.late[rows][:, None]  # (B, 1)


class TokenEdits:
    """The edits of the tokens of one packed sequence; each edit is given only for tokens on which it acts."""

    def __init__(self, stack: _Stack) -> None:
        self.layers: Sequence[int] = stack.layers
        _, layers, count, rank, width = stack.factors.shape
        self._read, self._write = stack.factors.reshape(2, layers, count * rank, width)  # (layers, E·r, d) each
        owner = torch.arange(count, device=stack.factors.device).repeat_interleave(rank)  # (E·r,)
        self._others = torch.tensor(stack.index, device=owner.device)[:, None] != owner  # (T, E·r)
        self._gated = stack.gated[owner] if bool(stack.gated.any()) else None  # (E·r,)

    def apply(self, at: int, x: Tensor) -> Tensor:
        """Return the edited x, of shape (1, T, d), of layer `layers[at]`."""
        tokens = x[0]  # (T, d)
        coefficients = tokens @ self._read[at].T  # (T, E·r)
        if self._gated is not None:
            coefficients = torch.where(self._gated, coefficients.clamp(min=0), coefficients)
        return torch.addmm(tokens, coefficients.masked_fill_(self._others, 0), self._write[at])[None]


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
        self._held: OrderedDict[Edit, Tensor] = OrderedDict()

    def check(self, edit: Edit) -> None:
        """Raise ModelError if the edit is for another shape of model."""
        edit.check_fits(n_layers=len(self._ends), width=self._width)

    def rows(self, edits: Sequence[Edit | None]) -> RowEdits:
        """Prepare the edits of a batch's rows; None leaves a row unchanged.

        Raises:
            ModelError: an edit is for another shape of model.
        """
        return RowEdits(self._stack(edits))

    def tokens(self, edits: Sequence[Edit | None]) -> TokenEdits:
        """Prepare the edits of a packed sequence's tokens, each of which acts whatever its `positions`.

        Raises:
            ModelError: an edit is for another shape of model.
        """
        return TokenEdits(self._stack(edits))

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

    def _stack(self, edits: Sequence[Edit | None]) -> _Stack:
        distinct = list(dict.fromkeys(edit for edit in edits if edit is not None))
        for edit in distinct:
            self.check(edit)
        layers = tuple(sorted({layer for edit in distinct for layer in edit.layers}))
        place: dict[Edit | None, int] = {edit: index for index, edit in enumerate(distinct)}
        place[None] = len(distinct)
        return _Stack(
            layers,
            self._factors(distinct, layers),
            torch.tensor([*(edit.gate == "positive" for edit in distinct), False], device=self._device),
            torch.tensor([*(edit.positions == "generated" for edit in distinct), False], device=self._device),
            [place[edit] for edit in edits],
        )

    def _factors(self, edits: Sequence[Edit], layers: tuple[int, ...]) -> Tensor:
        """Return the reads and writes of the edits and, last, zeros for no edit: (2, layers, edits + 1, r, d)."""
        rank = max((edit.rank for edit in edits), default=1)
        held = [self._hold(edit) for edit in edits]
        self._let_go()
        nothing = torch.zeros(2, len(layers), rank, self._width, device=self._device, dtype=self._dtype)
        if all(factors.shape == nothing.shape for factors in held):
            return torch.stack([*held, nothing], dim=2)
        stack = nothing.repeat(len(edits) + 1, 1, 1, 1, 1)  # (edits + 1, 2, layers, r, d)
        for place, (edit, factors) in enumerate(zip(edits, held, strict=True)):
            stack[place, :, [layers.index(layer) for layer in edit.layers], : edit.rank] = factors
        return stack.permute(1, 2, 0, 3, 4)

    def _hold(self, edit: Edit) -> Tensor:
        """Return the edit's factors (2, its layers, r, d) on the device, reusing the copy if one is kept."""
        factors = self._held.pop(edit, None)
        if factors is None:
            factors = _factors_of(edit).to(self._device, self._dtype)
        self._held[edit] = factors
        return factors

    def _let_go(self) -> None:
        total = sum(factors.nbytes for factors in self._held.values())
        while total > _HELD_BYTES:
            total -= self._held.popitem(last=False)[1].nbytes


def _factors_of(edit: Edit) -> Tensor:
    """Return the reads and writes of an edit's layers, in order, zero-padded to its rank: (2, layers, r, d)."""
    factors = torch.zeros(2, len(edit.layers), edit.rank, edit.width)
    for at, layer in enumerate(edit.layers.values()):
        factors[0, at, : len(layer.read)], factors[1, at, : len(layer.read)] = layer.read, layer.write
    return factors
