"""Verification of an exported GGUF adapter by loading it with llama.cpp (the extra `llamacpp`); used by `exporting`.

Both networks get the same token ids, so that only the networks are compared. The base's file is the one from which the
network here was dequantized, because A is made of these weights. llama.cpp quantizes activations as well, so its base
differs from the one here by a noise l′ − l, in which a mild edit's shift drowns. In that case the adapter is compared
amplified: a LoRA at scale k is exactly the edit with every write times k, so the result applies to scale 1 as well.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from idiolect.errors import ExportError, MissingExtraError, Remedy
from idiolect.export.verify import LAST_POSITIONS, Ids, Tolerance, Verification, compare, edited_logits
from idiolect.models import loading
from idiolect.models.edits import Edit
from idiolect.paths import expanded

try:
    import llama_cpp
except (ImportError, RuntimeError) as error:  # RuntimeError: its library was built for another machine
    raise MissingExtraError(
        "verifying a GGUF adapter needs llama-cpp-python, which is compiled at its installation: "
        "pip install 'idiolect[llamacpp]'"
    ) from error

TOLERANCES = {"F32": Tolerance(1e-3, 1e-2), "F16": Tolerance(1e-2, 5e-2)}
QUANTIZED = Tolerance(2e-1, 4e-1)
_AMPLIFIED = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
_OVER_NOISE = 5.0  # minimum ‖Δ‖ / ‖l′ − l‖ for a comparison of the shifts


def base_file(model: str) -> Path:
    """Return the GGUF file of a base model, named "embedded" or by a path.

    Raises:
        ExportError: the model is not a GGUF file, so llama.cpp cannot load it.
    """
    if model == loading.EMBEDDED:
        spec = importlib.util.find_spec(loading.EMBEDDED_PACKAGE)
        folders = (spec.submodule_search_locations if spec else None) or []
        files = [Path(folder) / loading.EMBEDDED_FILE for folder in folders]
    else:
        path = expanded(model, ExportError)
        files = sorted(path.glob("*.gguf")) if path.is_dir() else [path]
    if len(files) != 1 or files[0].suffix != ".gguf" or not files[0].is_file():
        raise ExportError(
            f"cannot verify with llama.cpp: the base model {model!r} is not a GGUF file. Learn with the GGUF file that "
            "will be served, or export without verification",
            remedy=Remedy("verify"),
        )
    return files[0]


def verify_llamacpp(adapter: Path, base: Path, network: Any, edit: Edit, prompts: Sequence[Ids]) -> Verification:
    """Compare llama.cpp's logits with those of the hooks, each with and without the adapter or edit."""
    before, held = llamacpp_logits(base, prompts)
    here = cache(partial(edited_logits, network, prompts))
    noise = float((before - here(None)).norm())
    strengths = (k for k in _AMPLIFIED if float((here(edit.scaled(k)) - here(None)).norm()) >= _OVER_NOISE * noise)
    amplified = next(strengths, _AMPLIFIED[-1])
    after, _ = llamacpp_logits(base, prompts, adapter=adapter, scale=amplified)
    return compare(
        here,
        edit.scaled(amplified),
        (before, after),
        engine=f"llama.cpp (llama-cpp-python {llama_cpp.__version__})",
        numbers=f"base in {held}",
        tolerance=TOLERANCES.get(held, QUANTIZED),
        amplified=amplified,
    )


def llamacpp_logits(
    base: Path, prompts: Sequence[Ids], *, adapter: Path | None = None, scale: float = 1.0
) -> tuple[Tensor, str]:
    """Return llama.cpp's logits at the last positions of every prompt, and the number format of the base's weights.

    Returns:
        float32 (positions, V), and a name such as "Q4_1".

    Raises:
        ExportError: llama.cpp rejects the base or the adapter.
    """
    longest = max(map(len, prompts))
    try:
        model: Any = llama_cpp.Llama(
            str(base),
            n_ctx=longest,
            n_batch=longest,
            n_threads=torch.get_num_threads(),
            n_gpu_layers=0,
            logits_all=True,
            verbose=False,
        )
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"llama.cpp cannot load {base.name}: {error}") from error
    with closing(model):
        if adapter is not None:
            _apply(model, adapter, scale)
        rows = [_last_logits(model, ids) for ids in prompts]
        return torch.from_numpy(np.concatenate(rows)), _held_in(model.metadata)


def _apply(model: Any, adapter: Path, scale: float) -> None:
    # Not by Llama(lora_path=…), which uses the null pointer of a rejected adapter and crashes the process.
    loaded = llama_cpp.llama_adapter_lora_init(model.model, str(adapter).encode())
    if not loaded:
        raise ExportError(f"llama.cpp rejected {adapter.name}: it does not fit its base")
    pointers, scales = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(loaded), (ctypes.c_float * 1)(scale)
    if llama_cpp.llama_set_adapters_lora(model.ctx, pointers, 1, scales):
        raise ExportError(f"llama.cpp cannot apply {adapter.name}")


def _last_logits(model: Any, ids: Ids) -> np.ndarray[Any, np.dtype[np.float32]]:
    model.reset()  # clears the last prompt from the cache of keys and values
    model.eval(list(ids))
    return np.array(model.scores[: len(ids)][-LAST_POSITIONS:], dtype=np.float32)


def _held_in(metadata: dict[str, str]) -> str:
    from gguf import LlamaFileType

    try:
        kind = LlamaFileType(int(metadata.get("general.file_type", "-1"))).name
    except ValueError:
        return "unknown"
    return kind.removeprefix("ALL_").removeprefix("MOSTLY_")
