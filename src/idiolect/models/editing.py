"""Runs edits (`edits`) inside a network: hooks at the ends of its MLPs (`mlp`), for as long as a context lasts.

Each row of a batch has its own edit or none: per layer two batched products of rank r,

    c = x readᵀ   (B, T, r)        x ← x + c write        with read, write (B, r, d), zero where a row has no edit

A row's numbers depend on that row only. Whatever fails inside a hook reaches the caller; the hooks are gone at the end
of the context however it ends, and that every one of them ran is checked there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from idiolect.errors import ModelError
from idiolect.models.edits import Edit
from idiolect.models.mlp import mlp_ends


class RowEdits:
    """The edits of the rows of one batch, stacked, on the network's device and in its dtype.

    Args:
        edits: one a row; None: the row stays as it is.
        n_layers, width: of the network.
        device, dtype: of the network.

    Raises:
        ModelError: an edit is for another shape of model.
        ValueError: the rows' edits have different gates.
    """

    def __init__(
        self, edits: Sequence[Edit | None], *, n_layers: int, width: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        distinct = list(dict.fromkeys(edit for edit in edits if edit is not None))
        for edit in distinct:
            edit.check_fits(n_layers=n_layers, width=width)
        self._layers = sorted({layer for edit in distinct for layer in edit.layers})
        self._stacks = _stacks(distinct, self._layers, width).to(device, dtype)  # (2, layers, edits + 1, r, d)
        self._gated = torch.tensor([*(edit.gate == "positive" for edit in distinct), False], device=device)
        self._late = torch.tensor([*(edit.positions == "generated" for edit in distinct), False], device=device)
        number = {edit: index for index, edit in enumerate(distinct)}
        none = len(distinct)
        self._index = torch.tensor([none if e is None else number[e] for e in edits], device=device)  # (B,)
        self._any_gated, self._any_late = bool(self._gated.any()), bool(self._late.any())
        self._gather()

    def __bool__(self) -> bool:
        return bool(self._layers)

    @property
    def layers(self) -> Sequence[int]:
        """The layers that some row edits, in order."""
        return self._layers

    def select(self, rows: Tensor) -> None:
        """Keeps these rows, in this order; a row may be repeated."""
        self._index = self._index[rows]
        self._gather()

    def apply(self, at: int, x: Tensor, generated: Tensor | None) -> Tensor:
        """The edited x.

        Args:
            at: which of `layers`.
            x: shape (B, T, d).
            generated: boolean (B, T), which positions a generated token is predicted from; None: all of them.
        """
        coefficients = torch.bmm(x, self._read[at])  # (B, T, r)
        if self._any_gated:
            clipped = coefficients.clamp(min=0)
            coefficients = torch.where(self._gated[self._index][:, None, None], clipped, coefficients)
        if self._any_late and generated is not None:
            off = self._late[self._index][:, None] & ~generated  # (B, T)
            coefficients = coefficients.masked_fill(off[..., None], 0)
        return torch.baddbmm(x, coefficients, self._write[at])

    def _gather(self) -> None:
        rows = self._stacks[:, :, self._index]  # (2, layers, B, r, d)
        self._read, self._write = rows[0].transpose(2, 3).contiguous(), rows[1].contiguous()


def _stacks(edits: Sequence[Edit], layers: Sequence[int], width: int) -> Tensor:
    """Reads and writes of the edits and, last, of none: (2, layers, edits + 1, r, d), zero where there is nothing."""
    rank = max((edit.rank for edit in edits), default=1)
    stacks = torch.zeros(2, len(layers), len(edits) + 1, rank, width)
    for number, edit in enumerate(edits):
        for index, layer in edit.layers.items():
            at, r = layers.index(index), layer.read.shape[0]
            stacks[0, at, number, :r], stacks[1, at, number, :r] = layer.read, layer.write
    return stacks


class Editor:
    """Edits one network, batch by batch.

    Args:
        module: a Hugging Face causal LM.
    """

    def __init__(self, module: Any) -> None:
        self._ends = mlp_ends(module)
        self._width = int(module.config.get_text_config().hidden_size)
        parameter = next(module.parameters())
        self._device, self._dtype = parameter.device, parameter.dtype

    def rows(self, edits: Sequence[Edit | None]) -> RowEdits:
        """The edits of a batch's rows, ready to run."""
        n, width = len(self._ends), self._width
        return RowEdits(edits, n_layers=n, width=width, device=self._device, dtype=self._dtype)

    @contextmanager
    def editing(self, rows: RowEdits, generated: Callable[[], Tensor | None] = lambda: None) -> Iterator[None]:
        """While it lasts, every forward pass is edited; rows are those of the pass.

        Args:
            rows: whose select may be called between passes.
            generated: tells before each use which positions (B, T) a generated token is predicted from; None: all.

        Raises:
            ModelError: no forward pass came by an edited layer, so that nothing was edited.
        """
        ran = [0] * len(rows.layers)

        def hook(at: int) -> Callable[..., Any]:
            def edit(_module: Any, _inputs: Any, output: Any) -> Any:
                ran[at] += 1
                if isinstance(output, tuple):  # a mixture of experts hands its routing on
                    return (rows.apply(at, output[0], generated()), *output[1:])
                return rows.apply(at, output, generated())

            return edit

        handles = [self._ends[layer].module.register_forward_hook(hook(at)) for at, layer in enumerate(rows.layers)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        if not all(ran):
            raise ModelError("an edit had no effect: no forward pass came through the layers that it is for")
