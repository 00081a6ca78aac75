"""A LoRA as the GGUF file that llama.cpp and Ollama load.

    general.type = adapter    adapter.type = lora    adapter.lora.alpha = r    general.architecture = the base's
    blk.{i}.ffn_down.weight.lora_a  (r, f)           blk.{i}.ffn_down.weight.lora_b  (d, r)

llama.cpp multiplies by alpha / r = 1, and checks that its dimensions, which are in reverse order, fit the base:
ne(lora_a) = (f, r), ne(lora_b) = (r, d).
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFWriter
from numpy.typing import NDArray
from torch import Tensor

from idiolect.errors import ExportError, Remedy
from idiolect.export.adapter import CARD, README, AdapterFiles, content_name, json_bytes
from idiolect.export.card import Origin, card, page
from idiolect.export.lora import Lora

# llama.cpp's names of the architectures whose down projection it calls `ffn_down`, by transformers' names.
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "phi3": "phi3",
    "gemma2": "gemma2",
    "gemma3": "gemma3",
    "gemma3_text": "gemma3",
}
_DTYPES = (torch.float32, torch.float16)

_SERVING = """
With llama.cpp: `llama-server -m BASE.gguf --lora {file} --lora-init-without-apply`, then in each request
`"lora": [{{"id": 0, "scale": 1.0}}], "cache_prompt": false`; a request without it needs an explicit
`"scale": 0.0`. With llama-cpp-python: `lora_path`, a server's `models` entry per adapter. With Ollama:
`ADAPTER ./{file}` in a Modelfile, one model per adapter.
"""


def gguf_files(lora: Lora, origin: Origin, *, dtype: torch.dtype = torch.float32) -> AdapterFiles:
    """Return the files of the adapter's folder; the file that engines load is named like the folder.

    Args:
        lora: the LoRA to write.
        origin: the origin of the edit.
        dtype: dtype of the tensors, float32 or float16.

    Raises:
        ExportError: the architecture or the dtype is not supported.
    """
    architecture = ARCHITECTURES.get(lora.model_type)
    if architecture is None:
        raise ExportError(
            f"the architecture {lora.model_type!r} is not supported for GGUF adapters; expected one of "
            f"{', '.join(sorted(ARCHITECTURES))}",
            remedy=Remedy("format", "peft"),
        )
    if dtype not in _DTYPES:
        raise ExportError(f"a GGUF adapter must be float32 or float16, not {str(dtype).removeprefix('torch.')}")
    tensors = gguf_tensors(lora, dtype)
    own = {"format": "gguf", "architecture": architecture}
    card_bytes = json_bytes({**card(lora, origin, dtype=str(dtype).removeprefix("torch.")), **own})
    name = content_name(b"gguf", card_bytes, *(each.tobytes() for each in tensors.values()))
    file = f"{name}.gguf"
    content = _gguf(tensors, architecture=architecture, alpha=float(lora.rank), name=name)
    readme = page(name, lora, origin, serving=_SERVING.format(file=file)).encode()
    return AdapterFiles(name, {file: content, CARD: card_bytes, README: readme}, main=file)


def gguf_tensors(lora: Lora, dtype: torch.dtype) -> dict[str, NDArray[np.floating]]:
    """Return the tensors, by their names in llama.cpp, in torch's order of dimensions, which the file reverses."""
    named = {}
    for index, layer in lora.layers.items():
        stem = f"blk.{index}.ffn_down.weight"
        named[f"{stem}.lora_a"] = _array(layer.a, dtype)  # (r, f)
        named[f"{stem}.lora_b"] = _array(layer.b, dtype)  # (d, r)
    return named


def _array(tensor: Tensor, dtype: torch.dtype) -> NDArray[np.floating]:
    array: NDArray[np.floating] = tensor.to(dtype).contiguous().numpy()
    return array


def _gguf(tensors: dict[str, NDArray[np.floating]], *, architecture: str, alpha: float, name: str) -> bytes:
    """Return the file's bytes, by way of a temporary file, because the package writes only to paths."""
    with tempfile.TemporaryDirectory(prefix="idiolect-") as folder:
        path = Path(folder, "adapter.gguf")
        writer = GGUFWriter(path, architecture)
        writer.add_string("general.type", "adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", alpha)
        writer.add_string("general.name", name)
        for each, tensor in tensors.items():
            writer.add_tensor(each, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()
