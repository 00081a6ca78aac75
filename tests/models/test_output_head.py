import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from idiolect.models import output_head
from idiolect.models.network import Network
from idiolect.models.output_head import hidden_for_logits, plain_output_weight, token_logprobs
from tests.models import tiny

IDS = torch.tensor([[5, 6, 7, 8, 9], [20, 21, 22, 23, 24]])
KEEP = torch.tensor([1, 2, 4])
AT, TOKENS = [0, 0, 4, 5, 2], [9, 319, 3, 3, 0]  # two tokens at one prediction, one prediction left out


def logprobs_of(network: Network) -> torch.Tensor:
    return token_logprobs(network, KEEP, AT, TOKENS, input_ids=IDS, use_cache=False)


def expected_of(network: Network) -> torch.Tensor:
    logits = network.logits(KEEP, input_ids=IDS, use_cache=False).flatten(0, 1)
    return logits.log_softmax(dim=1)[AT, TOKENS]


def gradient(found: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    (slope,) = torch.autograd.grad((found * torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0])).sum(), weight)
    return slope


@pytest.mark.parametrize("tile", [64, 100, 320, 1000])
def test_logprobs_and_gradients_are_those_of_the_logits(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_head, "_TILE", tile)
    network = Network(tiny.llama())
    inner = network.module.model.layers[1].mlp.down_proj.weight
    assert network.output_weight is not None
    found, expected = logprobs_of(network), expected_of(network)
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(gradient(found, inner), gradient(expected, inner), atol=1e-5)


def test_the_greatest_logit_may_be_in_any_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output_head, "_TILE", 64)
    network = Network(tiny.llama())
    weight = network.output_weight
    assert weight is not None
    for row in (0, 70, 319):
        hidden = (50 * weight[row] / weight[row].norm())[None].requires_grad_()
        found = output_head._LogNormalizers.apply(hidden, weight)
        expected = (hidden @ weight.T).logsumexp(dim=1)
        assert torch.allclose(found, expected, atol=1e-4)
        (one,), (other,) = torch.autograd.grad(found, hidden), torch.autograd.grad(expected, hidden)
        assert torch.allclose(one, other, atol=1e-4)


def test_without_gradients_none_are_kept() -> None:
    network = Network(tiny.llama())
    with torch.inference_mode():
        found = logprobs_of(network)
        assert not found.requires_grad
        assert torch.allclose(found, expected_of(network), atol=1e-5)


def test_networks_whose_logits_are_something_else_compute_them() -> None:
    config = Gemma2Config(**tiny.SIZES, head_dim=8, final_logit_softcapping=0.5, attn_implementation="eager")
    network = Network(Gemma2ForCausalLM(config))
    assert network.output_weight is None
    assert torch.allclose(logprobs_of(network), expected_of(network), atol=1e-5)


def test_heads_with_a_bias_and_in_half_precision_are_not_plain() -> None:
    module = tiny.llama()
    assert plain_output_weight(module) is module.lm_head.weight
    half = Network(type(module)(module.config).to(torch.bfloat16))
    assert half.output_weight is None
    biased = type(module)(module.config)
    biased.lm_head.bias = torch.nn.Parameter(torch.ones(module.config.vocab_size))
    assert plain_output_weight(biased) is None


def test_the_head_is_back_after_an_error() -> None:
    module = tiny.llama()
    before = module(input_ids=IDS).logits
    with pytest.raises(ValueError, match="input_ids"), hidden_for_logits(module):
        module()
    assert torch.equal(module(input_ids=IDS).logits, before)
    with hidden_for_logits(module):
        assert module(input_ids=IDS).logits.shape[-1] == module.config.hidden_size
