"""From an edit and the network it was learned on to the LoRA that does the same: the first step of every export.

The edit adds Σ_i ⟨x, read_i⟩ write_i to x = W h, the output of a layer's down projection; W is (d, f), h is (f,). So

    ΔW = B A        A = read · W  (r, f)        B = writeᵀ  (d, r)

exactly, with the strengths in B. A is made of the very weights that are served (dequantized ones, where they were), in
float64. What is not linear in h, or not of one W, is refused with its reason.
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

_PLAIN = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


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
        layers: by the layer's index, in order.
        model_type: of the base, as transformers calls it, such as "llama".
        edit_digest: of the edit that it is.
    """

    layers: Mapping[int, LoraLayer]
    model_type: str
    edit_digest: str

    @property
    def rank(self) -> int:
        """r, the same in every layer."""
        return int(next(iter(self.layers.values())).a.shape[0])


def lora_of(edit: Edit, network: Any) -> Lora:
    """The LoRA on `network` that does what `edit` does.

    Layers of a smaller rank get rows and columns of zeros, because engines want one rank.

    Args:
        network: the Hugging Face causal LM that is served, and that the edit was learned on.

    Raises:
        ExportError: no LoRA does that; the message says why.
        ModelError: the edit is for another shape of model.
    """
    check_linear(edit)
    ends = mlp_ends(network)
    edit.check_fits(n_layers=len(ends), width=int(network.config.get_text_config().hidden_size))
    names = {module: name for name, module in network.named_modules()}
    layers = {index: _layer(layer, ends[index], names, rank=edit.rank) for index, layer in edit.layers.items()}
    return Lora(MappingProxyType(layers), str(network.config.get_text_config().model_type), edit.digest)


def check_linear(edit: Edit) -> None:
    """Raises ExportError where the edit is no linear map of x that holds at every position."""
    if edit.positions != "all":
        raise ExportError(
            "the edit acts on generated positions only, and a LoRA acts on the prompt as well: learn it with "
            "positions 'all' to export it"
        )
    if edit.gate != "none":
        raise ExportError(
            f"the edit is gated ({edit.gate}), so it is not linear, and a LoRA is: learn it without a gate to export it"
        )


def check_same_weights(*, fitted_on: str, served: str) -> None:
    """Raises ExportError unless both fingerprints are known and the same: A is made of the weights that are served."""
    if not fitted_on or fitted_on != served:
        raise ExportError(
            f"the edit was learned on other weights than these (fingerprint {fitted_on[:12] or 'unknown'}, here "
            f"{served[:12]}): fit anew with this model, or export with the one it was learned on"
        )


def _layer(edit: LayerEdit, end: MlpEnd, names: Mapping[nn.Module, str], *, rank: int) -> LoraLayer:
    down = _plain_projection(end)
    weight = down.weight.detach().to("cpu", torch.float64)  # (d, f)
    a = edit.read.double() @ weight  # (r, f)
    b = edit.write.T  # (d, r)
    missing = rank - a.shape[0]
    a, b = nn.functional.pad(a, (0, 0, 0, missing)), nn.functional.pad(b, (0, missing))
    return LoraLayer(names[down], a.float().contiguous(), b.contiguous())


def _plain_projection(end: MlpEnd) -> nn.Linear:
    down, layer = end.down, f"layer {end.layer}"
    if down is None:
        raise ExportError(
            f"{layer} is a mixture of experts: it has a down projection per expert, and the edit acts on their sum, "
            "which no LoRA of one of them does"
        )
    weight = getattr(down, "weight", None)
    # Quantized projections are subclasses, or hold integers; float8 counts as floating point but has scales apart.
    if type(down) is not nn.Linear or weight is None or weight.dtype not in _PLAIN:
        held = f"{type(down).__name__} of {getattr(weight, 'dtype', 'no weight')}"
        raise ExportError(
            f"{layer}: the down projection is not a plain matrix of floats ({held}): load the model dequantized, with "
            "the weights that will be served"
        )
    if down.bias is not None:
        raise ExportError(
            f"{layer}: the down projection has a bias, which the edit reads and a LoRA does not: the two would differ"
        )
    return down
