"""Random-weight networks and a tokenizer of a few hundred tokens, made in memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

from idiolect.models.edits import Edit, Gate, LayerEdit, Positions
from idiolect.models.language_model import Message
from idiolect.models.local import LocalModel, LocalSettings
from idiolect.models.network import Network
from idiolect.models.scoring import EncodedChoices

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = "Do you agree that the government should help people who cannot find work? Strongly agree, agree, disagree."
SIZES: dict[str, Any] = {
    "vocab_size": 320,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 1,
}


@cache
def tokenizer() -> Any:
    """Byte-level BPE with a ChatML template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator([WORDS] * 4, trainer)
    wrapper: Any = PreTrainedTokenizerFast
    return wrapper(tokenizer_object=bpe, bos_token=special[0], eos_token=special[1], chat_template=CHATML)


@cache
def llama() -> Any:
    """Attention over everything."""
    return _random(LlamaForCausalLM, LlamaConfig(**SIZES))


@cache
def mistral(window: int = 8) -> Any:
    """Attention over the last `window` tokens."""
    return _random(MistralForCausalLM, MistralConfig(**SIZES, sliding_window=window))


@torch.inference_mode(False)  # the test that happens to be first may be in that mode, and others need gradients
def _random(kind: Any, config: Any) -> Any:
    torch.manual_seed(0)
    return kind(config).eval()


def local_model(network: Any = None, settings: LocalSettings | None = None) -> LocalModel:
    """A tiny model behind the product's own interface."""
    return LocalModel(network or llama(), tokenizer(), name="tiny", settings=settings)


def ask(text: str) -> tuple[Message, ...]:
    """One user message."""
    return (Message("user", text),)


def edit(
    seed: int = 0,
    *,
    layers: Sequence[int] = (0, 1, 2),
    strength: float = 0.7,
    positions: Positions = "all",
    gate: Gate = "none",
    width: int = 32,
) -> Edit:
    """A random edit of rank 2, strong enough that the tiny models answer something else."""
    drawn = torch.Generator().manual_seed(seed)

    def units() -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(2, width, generator=drawn), dim=1)

    found = {layer: LayerEdit(3 * units(), strength * units()) for layer in layers}
    return Edit(found, positions=positions, gate=gate)


@torch.inference_mode()
def reference_logits(module: Any, ids: Sequence[int], edit: Edit | None = None, start: int = 0) -> torch.Tensor:
    """Logits (L, V) of one sequence by transformers' plain forward; the edit term by term, token by token.

    Args:
        module: of a family with `model.layers[i].mlp.down_proj`.
        ids: L tokens.
        edit: None: as it is.
        start: from which token on an edit for generated positions acts.
    """

    def hook(layer: LayerEdit) -> Any:
        def change(_module: Any, _inputs: Any, output: torch.Tensor) -> torch.Tensor:
            changed = output.clone()  # (1, L, d)
            for t in range(start if edit and edit.positions == "generated" else 0, output.shape[1]):
                for read, write in zip(layer.read, layer.write, strict=True):
                    amount = float(output[0, t].double() @ read.double())
                    changed[0, t] += write * (max(amount, 0.0) if edit and edit.gate == "positive" else amount)
            return changed

        return change

    layers = edit.layers if edit else {}
    handles = [module.model.layers[i].mlp.down_proj.register_forward_hook(hook(layers[i])) for i in layers]
    try:
        logits: torch.Tensor = module(torch.tensor([list(ids)], device=module.device), use_cache=False).logits[0]
        return logits.float()
    finally:
        for handle in handles:
            handle.remove()


def reference_logprobs(network: Any, item: EncodedChoices) -> list[float]:
    """Each choice on its own: one sequence, no padding, no cache, transformers' plain forward."""
    module = network.module if isinstance(network, Network) else network
    totals, start = [], len(item.prompt) - 1
    for choice in item.choices:
        logits = reference_logits(module, [*item.prompt, *choice], item.edit, start)
        logprobs = logits.log_softmax(-1)  # (L, V)
        totals.append(sum(float(logprobs[start + i, token]) for i, token in enumerate(choice)))
    return totals
