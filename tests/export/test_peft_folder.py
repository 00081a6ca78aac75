from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from idiolect.export.peft_folder import CONFIG, WEIGHTS
from idiolect.export.verify_peft import verify_peft
from tests.export.adapters import FAMILIES, IDS, family, published
from tests.models import tiny


@pytest.mark.parametrize("name", FAMILIES)
def test_peft_does_what_the_hooks_do_in_every_family(tmp_path: Path, name: str) -> None:
    network, edit = family(name), tiny.edit(2)
    folder = published(edit, network, "peft", tmp_path).folder
    checked = verify_peft(folder, network, edit, IDS, dtype=torch.float32)
    assert checked.difference * checked.scale <= 1e-4
    assert checked.shift > 100 * 1e-4
    assert checked.passed


def test_config_is_what_all_three_engines_read(tmp_path: Path) -> None:
    folder = published(tiny.edit(0, layers=(0, 2)), tiny.llama(), "peft", tmp_path).folder
    config = json.loads((folder / CONFIG).read_text())
    told = {name: config[name] for name in ("r", "lora_alpha", "target_modules", "layers_to_transform", "bias")}
    assert told == {
        "r": 2,
        "lora_alpha": 2,
        "target_modules": ["down_proj"],
        "layers_to_transform": [0, 2],
        "bias": "none",
    }
    assert (config["task_type"], config["peft_type"]) == ("CAUSAL_LM", "LORA")
    assert "rank_pattern" not in config  # SGLang ignores it
    assert not config["use_rslora"]


def test_tensors_have_pefts_names_and_shapes_for_exactly_the_edited_layers(tmp_path: Path) -> None:
    folder = published(tiny.edit(0, layers=(0, 2)), tiny.llama(), "peft", tmp_path).folder
    stem = "base_model.model.model.layers.{}.mlp.down_proj.lora_{}.weight"
    shapes = {name: tuple(tensor.shape) for name, tensor in load_file(folder / WEIGHTS).items()}
    assert shapes == {
        stem.format(layer, side): (2, 48) if side == "A" else (32, 2) for layer in (0, 2) for side in "AB"
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tensors_are_held_in_the_wanted_dtype(tmp_path: Path, dtype: torch.dtype) -> None:
    network, edit = tiny.llama(), tiny.edit(0)
    folder = published(edit, network, "peft", tmp_path, dtype).folder
    assert {tensor.dtype for tensor in load_file(folder / WEIGHTS).values()} == {dtype}
    assert verify_peft(folder, network, edit, IDS, dtype=dtype).passed
