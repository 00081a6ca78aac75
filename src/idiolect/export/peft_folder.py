"""A LoRA as the folder that PEFT, vLLM and SGLang load: adapter_config.json and adapter_model.safetensors.

lora_alpha = r, so that the engine's factor lora_alpha / r is 1 and the strength stays in B. All layers have one rank,
and there is no rank_pattern, because SGLang ignores that. Tensor names are PEFT's:
`base_model.model.model.layers.{i}.mlp.down_proj.lora_{A,B}.weight`, A (r, f) and B (d, r).
"""

from __future__ import annotations

from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from idiolect.export.adapter import CARD, README, AdapterFiles, content_name, json_bytes
from idiolect.export.card import Origin, card, page
from idiolect.export.lora import Lora

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"

_SERVING = """
With PEFT: `PeftModel.from_pretrained(base, "{name}")`. With vLLM: `--enable-lora --max-lora-rank 8
--lora-target-modules down_proj --lora-modules {name}=PATH`, then `model="{name}"`. With SGLang:
`--lora-target-modules down_proj --max-lora-rank {rank} --lora-paths {name}=PATH`, then `model="BASE:{name}"`.
"""


def peft_files(lora: Lora, origin: Origin, *, dtype: torch.dtype = torch.float32) -> AdapterFiles:
    """Return the files of the adapter's folder.

    Args:
        lora: the LoRA to write.
        origin: the origin of the edit.
        dtype: dtype of the tensors; the strengths and directions themselves were computed in float64.
    """
    config = json_bytes(peft_config(lora, origin))
    weights = save(peft_tensors(lora, dtype), metadata={"format": "pt"})
    card_bytes = json_bytes({**card(lora, origin, dtype=str(dtype).removeprefix("torch.")), "format": "peft"})
    name = content_name(b"peft", config, weights, card_bytes)
    serving = _SERVING.format(name=name, rank=lora.rank)
    readme = page(name, lora, origin, serving=serving).encode()
    return AdapterFiles(name, {CONFIG: config, WEIGHTS: weights, CARD: card_bytes, README: readme})


def peft_config(lora: Lora, origin: Origin) -> dict[str, Any]:
    """Return the content of adapter_config.json: exactly the edited layers, one rank, no bias."""
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": origin.base,
        "r": lora.rank,
        "lora_alpha": lora.rank,
        "lora_dropout": 0.0,
        "target_modules": sorted({layer.module.rpartition(".")[2] for layer in lora.layers.values()}),
        "layers_to_transform": list(lora.layers),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }


def peft_tensors(lora: Lora, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors, by their names in PEFT."""
    named = {}
    for layer in lora.layers.values():
        stem = f"base_model.model.{layer.module}"
        named[f"{stem}.lora_A.weight"] = layer.a.to(dtype)  # (r, f)
        named[f"{stem}.lora_B.weight"] = layer.b.to(dtype)  # (d, r)
    return named
