"""Every family that is said to be edited, as a tiny network of random weights: the edit equals a LoRA run by PEFT, and
generation and likelihood equal plain passes over whole sequences."""

from __future__ import annotations

import copy
import random
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model

from idiolect.models.activations import EncodedText, capture
from idiolect.models.chat_format import ChatFormat
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.generation import EncodedPrompt, generate
from idiolect.models.language_model import SamplingParams
from idiolect.models.local import LocalModel
from idiolect.models.mlp import mlp_ends
from idiolect.models.network import Network
from idiolect.models.scoring import EncodedChoices, PaddedScorer
from tests.models import tiny

# PEFT asks transformers in the old way.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

SLIDING: dict[str, Any] = {"sliding_window": 8, "head_dim": 8, "query_pre_attn_scalar": 8}
EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2}
DENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", {}),
    "mistral": ("Mistral", {"sliding_window": 8}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", {"head_dim": 8}),
    "phi3": ("Phi3", {}),
    "gemma2": ("Gemma2", SLIDING),
    "gemma3": ("Gemma3", SLIDING),
}
MIXTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "mixtral": ("Mixtral", {"num_local_experts": 4, **EXPERTS}),
    "qwen2_moe": (
        "Qwen2Moe",
        {"num_experts": 4, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24, **EXPERTS},
    ),
}
WINDOWED = ("mistral", "gemma2", "gemma3")


@cache
def network(family: str) -> Any:
    """A random network of the family; its windows are shorter than the texts here."""
    name, sizes = (DENSE | MIXTURES)[family]
    text = "TextConfig" if name == "Gemma3" else "Config"
    config = getattr(transformers, name + text)(**{**tiny.SIZES, **sizes})
    torch.manual_seed(1)
    return getattr(transformers, f"{name}ForCausalLM")(config).eval()


def ids(seed: int, length: int) -> tuple[int, ...]:
    rng = random.Random(seed)
    return tuple(rng.randrange(2, 300) for _ in range(length))


def edit_of(module: Any, seed: int = 0) -> Edit:
    """A random edit with strengths of 0.8 and −0.6, as the two-step rule gives."""
    drawn = torch.Generator().manual_seed(seed)
    layers = {}
    for end in mlp_ends(module):
        units = torch.nn.functional.normalize(torch.randn(2, 32, generator=drawn), dim=1)
        layers[end.layer] = LayerEdit(units, torch.tensor([[0.8], [-0.6]]) * units)
    return Edit(layers)


@torch.inference_mode()
def edited_logits(module: Any, rows: list[tuple[int, ...]], edits: list[Edit | None]) -> torch.Tensor:
    """Logits (B, T, V) of rows of equal length."""
    network = Network(module)
    with network.editing(network.editor.rows(edits)):
        return network.logits(len(rows[0]), input_ids=torch.tensor(rows), use_cache=False)


@torch.inference_mode()
def plain_logits(module: Any, row: tuple[int, ...]) -> torch.Tensor:
    logits: torch.Tensor = module(torch.tensor([row]), use_cache=False).logits[0]
    return logits


def lora(module: Any, edit: Edit) -> Any:
    """The edit as a LoRA of PEFT's on a copy: A = read W, B = writeᵀ."""
    config = LoraConfig(r=2, lora_alpha=2, target_modules=["down_proj"], bias="none", task_type="CAUSAL_LM")
    wrapped: Any = get_peft_model(copy.deepcopy(module), config).eval()
    with torch.no_grad():
        for end in mlp_ends(wrapped.get_base_model()):
            down: Any = end.down
            layer = edit.layers[end.layer]
            down.lora_A["default"].weight.copy_(layer.read @ down.base_layer.weight)
            down.lora_B["default"].weight.copy_(layer.write.T)
    return wrapped


@pytest.mark.parametrize("family", DENSE)
def test_the_edit_equals_a_lora_run_by_peft(family: str) -> None:
    module, row = network(family), ids(0, 20)
    edit = edit_of(module)
    (edited,) = edited_logits(module, [row], [edit])
    assert float((edited - plain_logits(module, row)).abs().max()) > 0.1
    assert float((edited - plain_logits(lora(module, edit), row)).abs().max()) <= 1e-4


@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
def test_rows_of_other_edits_and_none_are_those_of_each_alone(family: str) -> None:
    module, rows = network(family), [ids(seed, 14) for seed in range(4)]
    edits = [edit_of(module, 1), None, edit_of(module, 2), None]
    together = edited_logits(module, rows, edits)
    for row, edit, found in zip(rows, edits, together, strict=True):
        alone = plain_logits(module, row) if edit is None else edited_logits(module, [row], [edit])[0]
        torch.testing.assert_close(found, alone, atol=1e-4, rtol=0)
    assert float((together[2] - plain_logits(module, rows[2])).abs().max()) > 0.1


def greedy(module: Any, item: EncodedPrompt) -> str:
    """One token after the other, each from a whole pass over everything before it."""
    form, new = ChatFormat(tiny.tokenizer()), list[int]()
    while len(new) < item.sampling.max_tokens:
        row = (*item.prompt, *new)
        logits = plain_logits(module, row) if item.edit is None else edited_logits(module, [row], [item.edit])[0]
        new.append(int(logits[-1].argmax()))
        if new[-1] in form.stop_ids:
            return form.decode(new[:-1])
    return form.decode(new)


@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
def test_generation_is_edited(family: str) -> None:
    module, sampling = network(family), SamplingParams(max_tokens=10)
    edits = [edit_of(module, 1), None, edit_of(module, 2)]
    items = [EncodedPrompt(ids(seed, 5 + 4 * seed), sampling, edit=edit) for seed, edit in enumerate(edits)]
    with torch.inference_mode():
        rows = generate(items, network=Network(module), decoder=ChatFormat(tiny.tokenizer()), batch_size=8)
    assert [row.text for row in rows] == [greedy(module, item) for item in items]


@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
@torch.inference_mode()
def test_likelihood_is_edited(family: str) -> None:
    model = LocalModel(network(family), tiny.tokenizer(), name=family)
    edits = [edit_of(model.network.module, 1), None, edit_of(model.network.module, 2)]
    items = [EncodedChoices(ids(seed, 10), (ids(7, 3), ids(8, 1)), edit) for seed, edit in enumerate(edits)]
    assert isinstance(model._scorer(items), PaddedScorer) == (family in WINDOWED)
    for item, score in zip(items, model._score(items), strict=True):
        for choice, found in zip(item.choices, score.logprobs, strict=True):
            row = (*item.prompt, *choice)
            (logits,) = edited_logits(model.network.module, [row], [item.edit])
            logprobs = logits.log_softmax(-1)[len(item.prompt) - 1 : -1]
            assert found == pytest.approx(float(logprobs[range(len(choice)), choice].sum()), abs=2e-4)
    model.close()


@pytest.mark.parametrize("family", [*DENSE, *MIXTURES])
def test_activations_are_what_comes_out_at_the_ends(family: str) -> None:
    module, rows = network(family), [ids(3, 9), ids(4, 6)]
    found = capture(Network(module), [EncodedText(row, 2) for row in rows], batch_size=2)
    for i, row in enumerate(rows):
        last = torch.stack([x.view(len(row), 32)[-1] for x in outputs(module, row)])  # (L, d)
        torch.testing.assert_close(found.last[i], last, atol=1e-4, rtol=1e-4)


def outputs(module: Any, row: tuple[int, ...]) -> list[torch.Tensor]:
    """What came out at the end of each layer's MLP."""
    seen: list[torch.Tensor] = []
    handles = [end.module.register_forward_hook(lambda _m, _i, x: seen.append(x)) for end in mlp_ends(module)]
    plain_logits(module, row)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("family", DENSE)
def test_every_layer_has_one_down_projection(family: str) -> None:
    ends = mlp_ends(network(family))
    assert len(ends) == 3
    assert all(end.down is end.module for end in ends)


@pytest.mark.parametrize("family", MIXTURES)
def test_a_mixture_of_experts_has_no_one_down_projection(family: str) -> None:
    ends = mlp_ends(network(family))
    assert len(ends) == 3
    assert all(end.down is None for end in ends)
