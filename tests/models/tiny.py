"""Random-weight networks and a tokenizer of a few hundred tokens, made in memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast

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
    torch.manual_seed(0)
    network: Any = LlamaForCausalLM(LlamaConfig(**SIZES))
    return network.eval()


@cache
def mistral(window: int = 8) -> Any:
    """Attention over the last `window` tokens."""
    torch.manual_seed(0)
    network: Any = MistralForCausalLM(MistralConfig(**SIZES, sliding_window=window))
    return network.eval()


def local_model(network: Any = None, settings: LocalSettings | None = None) -> LocalModel:
    """A tiny model behind the product's own interface."""
    return LocalModel(network or llama(), tokenizer(), name="tiny", settings=settings)


def ask(text: str) -> tuple[Message, ...]:
    """One user message."""
    return (Message("user", text),)


@torch.inference_mode()
def reference_logprobs(network: Any, item: EncodedChoices) -> list[float]:
    """Each choice on its own: one sequence, no padding, no cache, transformers' plain forward."""
    module = network.module if isinstance(network, Network) else network
    totals = []
    for choice in item.choices:
        ids = torch.tensor([[*item.prompt, *choice]], device=module.device)  # (1, L)
        logprobs = module(ids).logits[0].float().log_softmax(-1)  # (L, V)
        start = len(item.prompt) - 1
        totals.append(sum(float(logprobs[start + i, token]) for i, token in enumerate(choice)))
    return totals
