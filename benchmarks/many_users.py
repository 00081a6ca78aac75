"""What an edit for each user costs in one batch: decode throughput against the unedited model and PEFT's mixed batch.

    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/many_users.py --out docs/results/many-users-edits.md
    python benchmarks/many_users.py --shapes llama-8b --device cuda --dtype bfloat16 --users 1 8 32 64 256

A batch of n rows is n users: each its own prompt and its own random edit of rank 2 in every layer. All three ways run
in this package's generation, greedy, with no end of turn: the network as it is; the network with an edit a row
(`models.editing`); the same edits as n LoRA adapters of PEFT's over the same weights, chosen by `adapter_names`, which
PEFT gets with every forward pass. Ways alternate within a repeat, their order turns from repeat to repeat, and a ratio
is taken within a repeat. On one thread of a CPU seconds are the process's CPU time, so that other work on the machine
counts as little as it can; else they are wall-clock time. "decode" is from the end of the prefill on; "whole" is the
call, with prefill and the stacking of the edits. Shapes: --model for real weights, --shapes for random ones.
"""

from __future__ import annotations

import argparse
import copy
import gc
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.generation import EncodedPrompt, generate
from idiolect.models.language_model import SamplingParams
from idiolect.models.loading import load_network
from idiolect.models.mlp import mlp_ends
from idiolect.models.network import Network

SHAPES: dict[str, dict[str, int]] = {
    "tiny": {
        "vocab_size": 320,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "llama-8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
    },
}
PROMPT_TOKENS = 8
STRENGTH = 1.0  # of a random unit direction: enough to change texts
WAYS = ("base", "edits", "peft")


class Ids:
    """A decoder that never ends a row; its texts are token ids."""

    stop_ids: frozenset[int] = frozenset()

    def decode(self, ids: Sequence[int]) -> str:
        """The ids as they are."""
        return " ".join(map(str, ids))


class Timed(Network):
    """A network that remembers when its first pass since `started` was over."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.first: float | None = None

    def logits(self, keep: Tensor | int, **inputs: Any) -> Tensor:
        """As the network's."""
        logits = super().logits(keep, **inputs)
        if self.first is None:
            if logits.is_cuda:
                torch.cuda.synchronize()
            self.first = self.now()
        return logits

    def now(self) -> float:
        """Seconds: of CPU time on one thread of a CPU, else on the wall."""
        alone = self.device.type == "cpu" and torch.get_num_threads() == 1
        return time.process_time() if alone else time.perf_counter()


class Mixed(nn.Module):
    """PEFT's model with the adapters of the rows of the batch."""

    def __init__(self, wrapped: Any, config: Any) -> None:
        super().__init__()
        self.wrapped, self.config, self.names = wrapped, config, list[str]()

    def forward(self, *, logits_to_keep: Any = 0, **inputs: Any) -> Any:
        """One pass; each row through its own adapter."""
        return self.wrapped(**inputs, logits_to_keep=logits_to_keep, adapter_names=self.names)


@dataclass(slots=True)
class Times:
    """Seconds of each repeat of one way with one batch."""

    decode: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def edit_of(seed: int, module: Any) -> Edit:
    """A random edit of rank 2 in every layer."""
    drawn, width = torch.Generator().manual_seed(seed), module.config.hidden_size
    layers = {}
    for layer in range(module.config.num_hidden_layers):
        units = nn.functional.normalize(torch.randn(2, width, generator=drawn), dim=1)
        layers[layer] = LayerEdit(units, STRENGTH * units)
    return Edit(layers)


def mixed(module: Any) -> Mixed:
    """PEFT over the very same weights, in modules of its own, so that the base keeps none of its wrappers."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return Mixed(get_peft_model(copy.deepcopy(module, shared), _config(), "user0"), module.config)


def _config() -> LoraConfig:
    return LoraConfig(r=2, lora_alpha=2, target_modules=["down_proj"], bias="none", task_type="CAUSAL_LM")


@torch.no_grad()
def load(peft: Mixed, name: str, edit: Edit) -> None:
    """Puts an edit into PEFT as an adapter: A = read W, B = writeᵀ."""
    if name not in peft.wrapped.peft_config:
        peft.wrapped.add_adapter(name, _config())
    for end in mlp_ends(peft.wrapped.get_base_model()):
        down: Any = end.down
        layer, weight = edit.layers[end.layer], down.base_layer.weight
        down.lora_A[name].to(weight.dtype).weight.copy_(layer.read.to(weight.device) @ weight.float())
        down.lora_B[name].to(weight.dtype).weight.copy_(layer.write.T)


@torch.inference_mode()
def timed(network: Timed, items: list[EncodedPrompt]) -> tuple[float, float, list[str]]:
    """Seconds of decoding, seconds of the whole call, and what was written."""
    network.first = None
    start = network.now()
    rows = generate(items, network=network, decoder=Ids(), batch_size=len(items))
    end = network.now()
    assert network.first is not None
    return end - network.first, end - start, [row.text for row in rows]


def measure(module: Any, users: Sequence[int], tokens: int, repeats: int) -> dict[int, dict[str, Times]]:
    """The times of every way with every number of users."""
    base, peft = Timed(module), mixed(module)
    rival = Timed(peft)
    edits: list[Edit] = []
    found: dict[int, dict[str, Times]] = {}
    for n in users:
        for seed in range(len(edits), n):
            edits.append(edit_of(seed, module))
            load(peft, f"user{seed}", edits[seed])
        peft.eval()
        peft.names = [f"user{i}" for i in range(n)]
        found[n] = _measure_batch(base, rival, edits[:n], tokens, repeats)
        print(*row_of(n, tokens, found[n]), sep=" | ", flush=True)
    return found


def _measure_batch(base: Timed, rival: Timed, edits: list[Edit], tokens: int, repeats: int) -> dict[str, Times]:
    sampling = SamplingParams(max_tokens=tokens)
    vocabulary, last = base.config.vocab_size, len(edits)
    prompts = [
        (2 + i, *((7 * i + 11 * t) % (vocabulary - last - 2) + 2 for t in range(1, PROMPT_TOKENS))) for i in range(last)
    ]  # in the order that generation sorts them into, as the adapters' names are
    plain = [EncodedPrompt(prompt, sampling) for prompt in prompts]
    edited = [EncodedPrompt(prompt, sampling, edit=edit) for prompt, edit in zip(prompts, edits, strict=True)]
    work: dict[str, Callable[[], tuple[float, float, list[str]]]] = {
        "base": lambda: timed(base, plain),
        "edits": lambda: timed(base, edited),
        "peft": lambda: timed(rival, plain),
    }
    times = {way: Times() for way in WAYS}
    for way in WAYS:  # once to warm up
        work[way]()
    for repeat in range(repeats):
        gc.collect()
        for way in (*WAYS[repeat % 3 :], *WAYS[: repeat % 3]):
            decode, whole, texts = work[way]()
            times[way].decode.append(decode)
            times[way].whole.append(whole)
            times[way].texts = texts
    return times


def ratio(some: list[float], base: list[float]) -> str:
    """Median over repeats of some / base, with a bootstrapped 95 % interval of that median."""
    ratios = np.array(some) / np.array(base)
    drawn = np.random.default_rng(0).choice(ratios, size=(9999, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]"


def row_of(n: int, tokens: int, times: dict[str, Times]) -> list[str]:
    """A row of the table."""
    rate = [f"{n * (tokens - 1) / float(np.median(times[way].decode)):.1f}" for way in WAYS]
    base, edits, peft = (times[way] for way in WAYS)
    same = sum(a == b for a, b in zip(edits.texts, peft.texts, strict=True))
    changed = sum(a != b for a, b in zip(edits.texts, base.texts, strict=True))
    decode = [ratio(way.decode, base.decode) for way in (edits, peft)]
    return [str(n), *rate, *decode, ratio(edits.whole, base.whole), f"{same}/{n}", f"{changed}/{n}"]


def report(arguments: argparse.Namespace, found: dict[int, dict[str, Times]], module: Any) -> str:
    """The results as a page."""
    import peft
    import transformers

    config, parameter = module.config, next(module.parameters())
    alone = not parameter.is_cuda and torch.get_num_threads() == 1
    where = torch.cuda.get_device_name() if parameter.is_cuda else f"{torch.get_num_threads()} thread(s) of a CPU"
    head = [
        "users", "base tokens/s", "edits tokens/s", "PEFT tokens/s", "edits / base", "PEFT / base",
        "edits / base, whole call", "same text as PEFT", "other text than base",
    ]  # fmt: skip
    rows = [row_of(n, arguments.tokens, times) for n, times in found.items()]
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["--:"] * len(head), *rows])
    return f"""# One batch, many users: what an edit for each row costs

    {arguments.command}

{arguments.shapes or arguments.model}: {config.num_hidden_layers} layers of width {config.hidden_size}, \
{str(parameter.dtype).removeprefix("torch.")}, {where}; torch {torch.__version__}, transformers \
{transformers.__version__}, PEFT {peft.__version__}, Python {platform.python_version()}.
{arguments.repeats} repeats of {arguments.tokens} tokens a row after prompts of {PROMPT_TOKENS} tokens; every row has \
its own rank-2 edit in every layer.
Ratios compare seconds{" of CPU time" if alone else ""} (below 1: faster than the unedited model). They are medians
over paired repeats, with 95 % intervals. Tokens/s are per second of {"CPU" if alone else "wall-clock"} time, from the
end of the prefill on.

{table}
"""


def shaped(name: str, device: str, dtype: str) -> Any:
    """A Llama of that shape with random weights, made on the device."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))
    try:
        with torch.device(device):
            torch.manual_seed(0)
            return LlamaForCausalLM(LlamaConfig(**SHAPES[name], max_position_embeddings=4096))
    finally:
        torch.set_default_dtype(before)


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--shapes", choices=sorted(SHAPES), help="random weights of this shape in place of a model")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 32, 64])
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.shapes:
        module = shaped(arguments.shapes, arguments.device, arguments.dtype)
        chosen = f"--shapes {arguments.shapes} --device {arguments.device} --dtype {arguments.dtype}"
    else:
        module = load_network(arguments.model, device=arguments.device, dtype=arguments.dtype).network
        chosen = f"--model {arguments.model}"
    users = " ".join(map(str, arguments.users))
    arguments.command = (
        f"python benchmarks/many_users.py {chosen} --users {users} --tokens {arguments.tokens} "
        f"--repeats {arguments.repeats}"
    )
    page = report(arguments, measure(module, arguments.users, arguments.tokens, arguments.repeats), module)
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
