"""A representation edit as a value: an addition to the MLP outputs of some layers while a model runs.

    x ← x + Σ_i g(⟨x, read_i⟩) · write_i          i = 1..r, per edited layer; g is the identity or max(·, 0)

x is the output of a layer's down projection (d,). CHAMELEON's two-step rule (arXiv 2503.01048, Section 3.3) is r = 2,
an added constant vector is nearly r = 1 (`methods.chameleon.rules`). With g the identity, the edit is linear in x = W h
and thus exactly a rank-r LoRA on W: A = read · W, B = writeᵀ. `editing` runs edits, `export` writes them as adapters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from idiolect.errors import ModelError

Positions = Literal["all", "generated"]
Gate = Literal["none", "positive"]


@dataclass(frozen=True, slots=True, eq=False)
class LayerEdit:
    """The edit of one layer.

    Args:
        read: float32, shape (r, d); x is multiplied by it. Copied, so that the digest stays valid.
        write: float32, shape (r, d); its rows, times those products, are added to x. Copied.

    Raises:
        ValueError: the shapes are wrong, there are no rows, or a value is not finite.
    """

    read: Tensor
    write: Tensor

    def __post_init__(self) -> None:
        if self.read.ndim != 2 or self.read.shape != self.write.shape or not self.read.numel():
            raise ValueError(
                f"read has shape {tuple(self.read.shape)} and write {tuple(self.write.shape)}, both must be (r, d)"
            )
        for name in ("read", "write"):
            tensor = getattr(self, name).detach().to("cpu", torch.float32, copy=True).contiguous()
            if not bool(tensor.isfinite().all()):
                raise ValueError(f"{name} contains a value that is not finite")
            object.__setattr__(self, name, tensor)


@dataclass(frozen=True, slots=True, eq=False)
class Edit:
    """The edit of a model; two edits with the same content are equal.

    Args:
        layers: the edits of single layers, by the layer's index, from 0; at least one.
        positions: "all" edits every token; "generated" edits only tokens from which a generated token is predicted
            (the prompt's last one, and every token after it).
        gate: "positive" edits only where ⟨x, read_i⟩ > 0, per i; such an edit is not linear and cannot be exported.

    Raises:
        ValueError: there are no layers, an index is negative, or the layers' widths differ.
    """

    layers: Mapping[int, LayerEdit]
    positions: Positions = "all"
    gate: Gate = "none"
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.layers or min(self.layers) < 0:
            raise ValueError(f"layers are {sorted(self.layers)}, must be one or more indices from 0")
        if len({layer.read.shape[1] for layer in self.layers.values()}) > 1:
            raise ValueError("the layers' reads differ in width")
        ordered = MappingProxyType({index: self.layers[index] for index in sorted(self.layers)})
        object.__setattr__(self, "layers", ordered)
        object.__setattr__(self, "digest", self._digest())

    @property
    def width(self) -> int:
        """d, the width of the residual stream."""
        return int(next(iter(self.layers.values())).read.shape[1])

    @property
    def rank(self) -> int:
        """The largest r of any layer."""
        return max(int(layer.read.shape[0]) for layer in self.layers.values())

    def scaled(self, strength: float) -> Edit:
        """Return this edit with every write times `strength`; for r > 1, a rule of other strengths is not the same."""
        layers = {index: LayerEdit(layer.read, strength * layer.write) for index, layer in self.layers.items()}
        return Edit(layers, positions=self.positions, gate=self.gate)

    def check_fits(self, *, n_layers: int, width: int) -> None:
        """Raise ModelError if the edit does not fit a model of `n_layers` layers of width `width`."""
        if max(self.layers) >= n_layers or self.width != width:
            raise ModelError(
                f"the edit is for layer {max(self.layers)} and width {self.width}; the model has {n_layers} layers of "
                f"width {width}"
            )

    def _digest(self) -> str:
        layout = [self.positions, self.gate, [(index, list(layer.read.shape)) for index, layer in self.layers.items()]]
        total = hashlib.sha256(json.dumps(layout).encode())
        for layer in self.layers.values():
            total.update(layer.read.numpy().tobytes() + layer.write.numpy().tobytes())
        return total.hexdigest()

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Edit) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)
