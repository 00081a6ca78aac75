import pytest
import torch

from idiolect.models.activations import EncodedText
from idiolect.models.gradients import likelihood_gradients
from idiolect.models.mlp import mlp_ends
from idiolect.models.network import Network
from tests.models import tiny

TEXTS = [
    EncodedText((5, 9, 40, 41, 42, 60), 3),
    EncodedText((5, 9, 40, 7), 2),
    EncodedText((8, 30, 31, 32, 33, 34, 35), 1),
]


def mean_logprob(text: EncodedText, layer: int, push: torch.Tensor) -> float:
    module = tiny.llama()
    end = mlp_ends(module)[layer].module
    handle = end.register_forward_hook(lambda _module, _inputs, output: output + push)
    try:
        with torch.inference_mode():
            logits = module(input_ids=torch.tensor([text.ids])).logits[0].double()
    finally:
        handle.remove()
    told = logits.log_softmax(dim=-1)
    answer = range(text.start, len(text.ids))
    return sum(float(told[at - 1, text.ids[at]]) for at in answer) / len(answer)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_gradients_are_the_slopes_of_the_likelihood(layer: int) -> None:
    found = likelihood_gradients(Network(tiny.llama()), TEXTS, batch_size=2)
    assert found.shape == (3, 3, 32)
    direction = torch.randn(32, generator=torch.Generator().manual_seed(layer))
    for text, gradient in zip(TEXTS, found, strict=True):
        step = 1e-3 * direction
        slope = (mean_logprob(text, layer, step) - mean_logprob(text, layer, -step)) / 2e-3
        assert slope == pytest.approx(float(gradient[layer] @ direction), rel=0.02, abs=1e-3)


def test_gradients_of_a_text_do_not_depend_on_its_batch() -> None:
    network = Network(tiny.llama())
    together = likelihood_gradients(network, TEXTS, batch_size=3)
    alone = torch.cat([likelihood_gradients(network, [text], batch_size=1) for text in TEXTS])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-3)


def test_gradients_leave_weights_and_hooks_as_they_were() -> None:
    network = Network(tiny.llama())
    wanted = [parameter.requires_grad for parameter in network.module.parameters()]
    likelihood_gradients(network, TEXTS[:1], batch_size=1)
    assert [parameter.requires_grad for parameter in network.module.parameters()] == wanted
    assert all(parameter.grad is None for parameter in network.module.parameters())
    assert not any(end.module._forward_hooks for end in mlp_ends(network.module))


async def test_a_local_model_gives_gradients_of_chats() -> None:
    model = tiny.local_model()
    found = await model.likelihood_gradients([(tiny.ask("Do you agree?"), "agree"), (tiny.ask("Do you?"), "disagree")])
    assert found.shape == (2, 3, 32)
    assert bool(found.isfinite().all())
    assert float(found.norm()) > 0
    with pytest.raises(ValueError, match="no texts"):
        await model.likelihood_gradients([])
    model.close()
