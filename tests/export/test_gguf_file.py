from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader

from idiolect.errors import ExportError, Remedy
from idiolect.export.gguf_file import gguf_files
from idiolect.export.lora import lora_of
from tests.export.adapters import FAMILIES, ORIGIN, family, published
from tests.models import tiny


def field(reader: GGUFReader, name: str) -> Any:
    found = reader.get_field(name)
    assert found is not None, name
    return found.contents()


def test_file_says_what_llama_cpp_looks_for(tmp_path: Path) -> None:
    path = published(tiny.edit(0), tiny.llama(), "gguf", tmp_path).path
    reader = GGUFReader(path)
    names = ("general.type", "general.architecture", "adapter.type", "adapter.lora.alpha", "general.name")
    assert [field(reader, name) for name in names] == ["adapter", "llama", "lora", 2.0, path.stem]


def test_tensors_have_llama_cpps_names_shapes_and_values(tmp_path: Path) -> None:
    edit, network = tiny.edit(0, layers=(0, 2)), tiny.llama()
    tensors = {tensor.name: tensor for tensor in GGUFReader(published(edit, network, "gguf", tmp_path).path).tensors}
    lora = lora_of(edit, network)
    assert len(tensors) == 4
    for layer in (0, 2):
        a, b = (tensors[f"blk.{layer}.ffn_down.weight.lora_{side}"] for side in "ab")
        # ggml counts dimensions from the fastest: (f, r) and (r, d), whereas the weight is (f, d).
        assert (list(a.shape), list(b.shape)) == ([48, 2], [2, 32])
        np.testing.assert_array_equal(a.data, lora.layers[layer].a.numpy())
        np.testing.assert_array_equal(b.data, lora.layers[layer].b.numpy())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_name_in_llama_cpp(name: str) -> None:
    files = gguf_files(lora_of(tiny.edit(0), family(name)), ORIGIN, dtype=torch.float16)
    wanted = {"mistral": "llama", "gemma3_text": "gemma3"}.get(name, name)
    assert f'"architecture": "{wanted}"'.encode() in files.files["idiolect.json"]
    assert files.files[files.main].startswith(b"GGUF")


def test_architectures_that_are_not_known_are_refused() -> None:
    network = family("llama")
    lora = lora_of(tiny.edit(0), network)
    object.__setattr__(lora, "model_type", "olmo2")
    with pytest.raises(ExportError, match="'olmo2' is not supported") as caught:
        gguf_files(lora, ORIGIN)
    assert caught.value.remedy == Remedy("format", "peft")


def test_bfloat16_is_refused() -> None:
    with pytest.raises(ExportError, match="float32 or float16, not bfloat16"):
        gguf_files(lora_of(tiny.edit(0), tiny.llama()), ORIGIN, dtype=torch.bfloat16)
