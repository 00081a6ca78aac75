"""Conversion of an edit, with the network it was learned on, to an equivalent LoRA; the first step of every export.

The edit adds Σ_i ⟨x, read_i⟩ write_i to x = W h, the output of a layer's down projection; W is (d, f), h is (f,). So

    ΔW = B A        A = read · W  (r, f)        B = writeᵀ  (d, r)

exactly, with the strengths in B. A is computed in float64 from the weights that are served (dequantized if they were
quantized). An edit that is not linear in h, or does not act on a single W, is refused with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from idiolect.errors import ExportError
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.mlp import MlpEnd, mlp_ends

_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True, eq=False)
class LoraLayer:
    """The LoRA of one layer's down projection.

    Args:
        module: the projection's full name in the network, such as "model.layers.3.mlp.down_proj".
        a: float32, shape (r, f).
        b: float32, shape (d, r).
    """

    module: str
    a: Tensor
    b: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Lora:
    """The LoRA of a whole edit; every layer has the same rank r.

    Args:
        layers: the LoRAs of single layers, by the layer's index, in order.
        model_type: transformers' name of the base's architecture, such as "llama".
        edit_digest: digest of the equivalent edit.
    """

    layers: Mapping[int, LoraLayer]
    model_type: str
    edit_digest: str

    @property
    def rank(self) -> int:
        """r, the same in every layer."""
        return int(next(iter(self.layers.values())).a.shape[0])


def lora_of(edit: Edit, network: Any) -> Lora:
    """Return the LoRA on `network` that is equivalent to `edit`.

    Layers of a smaller rank are padded with rows and columns of zeros, because engines need a single rank.

    Args:
        edit: the edit to convert.
        network: the Hugging Face causal LM that is served, and on which the edit was learned.

    Raises:
        ExportError: no LoRA is equivalent to the edit; the message gives the reason.
        ModelError: the edit is for another shape of model.
    """
    check_linear(edit)
    ends = mlp_ends(network)
    edit.check_fits(n_layers=len(ends), width=int(network.config.get_text_config().hidden_size))
    names = {module: name for name, module in network.named_modules()}
    layers = {index: _layer(layer, ends[index], names, rank=edit.rank) for index, layer in edit.layers.items()}
    return Lora(MappingProxyType(layers), str(network.config.get_text_config().model_type), edit.digest)


def check_linear(edit: Edit) -> None:
    """Raise ExportError if the edit is not a linear map of x that applies at every position."""
    if edit.positions != "all":
        raise ExportError(
            "the edit acts only on generated positions, but a LoRA acts on the prompt as well; learn the edit with "
            "positions 'all' to export it"
        )
    if edit.gate != "none":
        raise ExportError(
            f"the edit is gated ({edit.gate}) and therefore not linear, as a LoRA must be; learn it without a gate to "
            "export it"
        )


def check_same_weights(*, fitted_on: str, served: str) -> None:
    """Raise ExportError unless both fingerprints are known and equal, because A is made of the served weights."""
    if not fitted_on or fitted_on != served:
        raise ExportError(
            f"the edit was learned on other weights than these (fingerprint {fitted_on[:12] or 'unknown'}, here "
            f"{served[:12]}); fit again with this model, or export with the one it was learned on"
        )


def _layer(edit: LayerEdit, end: MlpEnd, names: Mapping[nn.Module, str], *, rank: int) -> LoraLayer:
    down = _checked_projection(end)
    weight = down.weight.detach().to("cpu", torch.float64)  # (d, f)
    a = edit.read.double() @ weight  # (r, f)
    b = edit.write.T  # (d, r)
    missing = rank - a.shape[0]
    a, b = nn.functional.pad(a, (0, 0, 0, missing)), nn.functional.pad(b, (0, missing))
    return LoraLayer(names[down], a.float().contiguous(), b.contiguous())


def _checked_projection(end: MlpEnd) -> nn.Linear:
    down, layer = end.down, f"layer {end.layer}"
    if down is None:
        raise ExportError(
            f"{layer} is a mixture of experts with a down projection per expert; the edit acts on their sum, which no "
            "LoRA on one of them can do"
        )
    weight = getattr(down, "weight", None)
    # Quantized projections are subclasses or contain integers; float8 is floating point, but has separate scales.
    if type(down) is not nn.Linear or weight is None or weight.dtype not in _DTYPES:
        found = f"{type(down).__name__} of {getattr(weight, 'dtype', 'no weight')}"
        raise ExportError(
            f"{layer}: expected a plain matrix of floats as the down projection, found {found}; load the model "
            "dequantized, with the weights that will be served"
        )
    if down.bias is not None:
        raise ExportError(
            f"{layer}: the down projection has a bias, which the edit reads but a LoRA does not, so they would differ"
        )
    return down
