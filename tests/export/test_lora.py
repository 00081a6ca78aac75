from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from idiolect.errors import ExportError, ModelError
from idiolect.export.lora import check_same_weights, lora_of
from idiolect.models.edits import Edit, LayerEdit
from tests.export.adapters import FAMILIES, family
from tests.models import tiny


def down(network: Any, layer: int) -> nn.Linear:
    projection: nn.Linear = network.model.layers[layer].mlp.down_proj
    return projection


@pytest.mark.parametrize("name", FAMILIES)
def test_lora_adds_to_the_projection_what_the_edit_adds_to_its_output(name: str) -> None:
    network, edit = family(name), tiny.edit(3, layers=(0, 2))
    lora = lora_of(edit, network)
    assert list(lora.layers) == [0, 2]
    for index, layer in lora.layers.items():
        weight = down(network, index).weight.detach().double()  # (d, f)
        h = torch.randn(7, weight.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(index))
        x, rule = h @ weight.T, edit.layers[index]
        edited = x + (x @ rule.read.double().T) @ rule.write.double()
        by_lora = h @ (weight + layer.b.double() @ layer.a.double()).T
        assert float((edited - by_lora).abs().max()) < 1e-5
        assert float((edited - x).abs().max()) > 0.1
        assert layer.module == f"model.layers.{index}.mlp.down_proj"


def test_lora_of_half_precision_weights_is_computed_in_full_precision() -> None:
    network = family("llama").to(torch.bfloat16)
    try:
        edit = tiny.edit(0)
        layer = lora_of(edit, network).layers[1]
        exact = edit.layers[1].read.double() @ down(network, 1).weight.detach().double()
        assert layer.a.dtype == torch.float32
        assert float((layer.a.double() - exact).abs().max()) < 1e-6
    finally:
        family.cache_clear()


def test_layers_of_lower_rank_are_padded_to_one_rank_that_does_the_same() -> None:
    one = LayerEdit(torch.ones(1, 32), torch.full((1, 32), 0.1))
    edit = Edit({0: one, 1: tiny.edit(4).layers[1]})
    lora = lora_of(edit, tiny.llama())
    assert lora.rank == 2
    assert {(layer.a.shape, layer.b.shape) for layer in lora.layers.values()} == {((2, 48), (32, 2))}
    alone = lora_of(Edit({0: one}), tiny.llama()).layers[0]
    padded = lora.layers[0]
    assert torch.equal(padded.b @ padded.a, alone.b @ alone.a)


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"positions": "generated"}, "only on generated positions"), ({"gate": "positive"}, "not linear")],
)
def test_edits_that_no_lora_does_are_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ExportError, match=reason):
        lora_of(tiny.edit(0, **change), tiny.llama())


def test_a_biased_down_projection_is_refused() -> None:
    with pytest.raises(ExportError, match="layer 1: the down projection has a bias"):
        lora_of(tiny.edit(0, layers=(1,)), family("llama", bias=True))


def test_a_mixture_of_experts_is_refused() -> None:
    from transformers import MixtralConfig, MixtralForCausalLM

    network: Any = MixtralForCausalLM(MixtralConfig(**tiny.SIZES, num_local_experts=2))
    with pytest.raises(ExportError, match="layer 0 is a mixture of experts"):
        lora_of(tiny.edit(0), network)


class Quantized(nn.Linear):
    """As quantizers make them: a Linear by inheritance, with weights that are no matrix of floats."""


@pytest.mark.parametrize("fault", ["subclass", "float8", "another module"])
def test_a_projection_that_is_no_plain_matrix_is_refused(fault: str) -> None:
    network = family("qwen2")
    mlp = network.model.layers[0].mlp
    plain = mlp.down_proj
    other: nn.Module = Quantized(48, 32, bias=False)
    if fault == "float8":
        other = nn.Linear(48, 32, bias=False)
        other.weight = nn.Parameter(other.weight.detach().to(torch.float8_e4m3fn), requires_grad=False)
    if fault == "another module":
        other = nn.Identity()
    mlp.down_proj = other
    try:
        with pytest.raises(ExportError, match="layer 0: expected a plain matrix of floats as the down projection"):
            lora_of(tiny.edit(0), network)
        assert list(lora_of(tiny.edit(0, layers=(1, 2)), network).layers) == [1, 2]  # only what is edited matters
    finally:
        mlp.down_proj = plain


def test_an_edit_of_another_shape_of_model_is_refused() -> None:
    with pytest.raises(ModelError, match="layer 7"):
        lora_of(tiny.edit(0, layers=(7,)), tiny.llama())


@pytest.mark.parametrize("fitted_on", ["b" * 64, ""])
def test_other_weights_than_those_it_was_learned_on_are_refused(fitted_on: str) -> None:
    check_same_weights(fitted_on="a" * 64, served="a" * 64)
    with pytest.raises(ExportError, match="learned on other weights"):
        check_same_weights(fitted_on=fitted_on, served="a" * 64)


def test_a_lora_is_a_value() -> None:
    lora = lora_of(tiny.edit(0), tiny.llama())
    with pytest.raises(dataclasses.FrozenInstanceError):
        lora.model_type = "other"  # type: ignore[misc]
    assert lora.edit_digest == tiny.edit(0).digest
