"""The ends of a decoder's MLPs; this is the only module that depends on how the model families are built.

Llama, Mistral, Qwen 2 and 3, Phi-3, Gemma 2 and 3 all end a layer's MLP in `mlp.down_proj`; Gemma then normalizes the
output once more. A mixture of experts has several down projections, so it is edited at the block's output instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from idiolect.errors import ModelError


@dataclass(frozen=True, slots=True)
class MlpEnd:
    """The end of one layer's MLP.

    Args:
        layer: the layer's index.
        module: the module whose output is x: the down projection, or a whole mixture of experts.
        down: the down projection; None if there are several.
    """

    layer: int
    module: nn.Module
    down: nn.Module | None


def mlp_ends(model: Any) -> list[MlpEnd]:
    """Return the end of every decoder layer's MLP, in order.

    Raises:
        ModelError: the layers are not built like those of any supported model family.
    """
    layers = getattr(_decoder(model), "layers", None)
    if not isinstance(layers, nn.ModuleList) or not layers:
        raise ModelError(f"{type(model).__name__}: no decoder layers found; the model family is not supported")
    return [_end(index, layer, type(model).__name__) for index, layer in enumerate(layers)]


@contextmanager
def changing_outputs(ends: Sequence[MlpEnd], change: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
    """Replace, within the context, the output of each end by `change(i, output)`, where i is its index in `ends`."""

    def hook(at: int) -> Callable[..., Any]:
        def changed(_module: Any, _inputs: Any, output: Any) -> Any:
            if isinstance(output, tuple):  # some mixtures of experts return their routing as well
                return (change(at, output[0]), *output[1:])
            return change(at, output)

        return changed

    handles = [end.module.register_forward_hook(hook(at)) for at, end in enumerate(ends)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _decoder(model: Any) -> Any:
    decoder = model.get_decoder() if hasattr(model, "get_decoder") else None
    for name in ("language_model", "model"):  # a multimodal model keeps its text decoder one level deeper
        if decoder is not None and not hasattr(decoder, "layers"):
            decoder = getattr(decoder, name, decoder)
    return decoder


def _end(index: int, layer: Any, model: str) -> MlpEnd:
    mlp = getattr(layer, "mlp", None)
    if mlp is None:
        mlp = getattr(layer, "block_sparse_moe", None)
    down = getattr(mlp, "down_proj", None)
    if isinstance(down, nn.Module):
        return MlpEnd(index, down, down)
    if isinstance(mlp, nn.Module) and (hasattr(mlp, "experts") or hasattr(mlp, "router")):
        return MlpEnd(index, mlp, None)
    raise ModelError(f"{model}: layer {index} has no mlp.down_proj, where edits act; the model family is not supported")
