"""What an edit for each user costs in one batch, against the unedited model and PEFT's mixed batch.

    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/many_users.py --out table.md
    python benchmarks/many_users.py --shapes llama-8b --device cuda --dtype bfloat16 --rank 4 8 --peft

A batch of n rows is n users: each its own prompt and its own random edit in every layer. The edits are of two kinds:
"own", reads and writes of one's own; "grouped", the reads of a group to which all users belong, and as writes the mean
of the group's and of one's own. All ways run in this package's generation, greedy, without an end of turn: the network
as it is; the network with an edit a row (`models.editing`); with --peft, the first kind's edits as n LoRA adapters of
PEFT's over the same weights, chosen by `adapter_names`, which PEFT gets with every forward pass. "scoring" is a packed
pass of `PackedScorer` over --packed tokens, divided among the users.
Ways alternate within a repeat, their order turns from repeat to repeat, and a ratio is taken within a repeat. On one
thread of a CPU seconds are the process's CPU time, so that other work on the machine counts as little as it can; else
they are wall-clock time. "decode" compares the steps after the prefill, each with the same step of the unedited model
(median of a repeat's steps); "whole" is the call, with prefill and the stacking of the edits. Shapes: --model for real
weights, --shapes for random ones.
"""

from __future__ import annotations

import argparse
import copy
import gc
import itertools
import platform
import shlex
import sys
import time
from collections.abc import Sequence
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
from idiolect.models.prefix_cache import PrefixCache
from idiolect.models.scoring import EncodedChoices, PackedScorer

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
STRENGTH = 1.0  # of a random unit direction: enough to change texts
KINDS = ("own", "grouped")


class Ids:
    """A decoder that never ends a row; its texts are token ids."""

    stop_ids: frozenset[int] = frozenset()

    def decode(self, ids: Sequence[int]) -> str:
        """The ids as they are."""
        return " ".join(map(str, ids))

    def opens_thought(self, _prompt: Sequence[int]) -> bool:
        """Never."""
        return False


class Timed(Network):
    """A network that remembers when its passes were over."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.ends = list[float]()

    def logits(self, keep: Tensor | int, **inputs: Any) -> Tensor:
        """As the network's."""
        logits = super().logits(keep, **inputs)
        if logits.is_cuda:
            torch.cuda.synchronize()
        self.ends.append(self.now())
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
    """Seconds of each repeat of one way with one batch; of "decode", of each step of each repeat."""

    decode: list[list[float]] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    scoring: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured with every batch."""

    kinds: Sequence[str]
    peft: bool
    tokens: int
    prompt_tokens: int
    packed: int
    repeats: int

    @property
    def ways(self) -> list[str]:
        """The ways, the unedited model first."""
        return ["base", *self.kinds, *(["peft"] if self.peft else [])]


def edits_of(kind: str, users: int, rank: int, module: Any) -> list[Edit]:
    """Random edits in every layer; the first ones are the same for any number of users."""
    if kind == "own":
        return [_edit(_units(user, rank, module), _units(user, rank, module)) for user in range(users)]
    group = _units(10**6, rank, module)
    own = (_units(user, rank, module) for user in range(users))
    return [_edit(group, [(a + b) / 2 for a, b in zip(group, mine, strict=True)]) for mine in own]


def _units(seed: int, rank: int, module: Any) -> list[Tensor]:
    drawn, config = torch.Generator().manual_seed(seed), module.config
    shape = (config.num_hidden_layers, rank, config.hidden_size)
    return list(nn.functional.normalize(torch.randn(shape, generator=drawn), dim=2))


def _edit(reads: list[Tensor], writes: list[Tensor]) -> Edit:
    pairs = enumerate(zip(reads, writes, strict=True))
    return Edit({layer: LayerEdit(read, STRENGTH * write) for layer, (read, write) in pairs})


def mixed(module: Any, edits: Sequence[Edit]) -> Mixed:
    """PEFT over the very same weights, in modules of its own, so that the base keeps none of its wrappers."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    peft = Mixed(get_peft_model(copy.deepcopy(module, shared), _config(edits[0]), "user0"), module.config)
    for user, edit in enumerate(edits):
        peft.names.append(f"user{user}")
        load(peft, peft.names[-1], edit)
    return peft.eval()


def _config(edit: Edit) -> LoraConfig:
    return LoraConfig(
        r=edit.rank, lora_alpha=edit.rank, target_modules=["down_proj"], bias="none", task_type="CAUSAL_LM"
    )


@torch.no_grad()
def load(peft: Mixed, name: str, edit: Edit) -> None:
    """Puts an edit into PEFT as an adapter: A = read W, B = writeᵀ."""
    if name not in peft.wrapped.peft_config:
        peft.wrapped.add_adapter(name, _config(edit))
    for end in mlp_ends(peft.wrapped.get_base_model()):
        down: Any = end.down
        layer, weight = edit.layers[end.layer], down.base_layer.weight
        down.lora_A[name].to(weight.dtype).weight.copy_(layer.read.to(weight.device) @ weight.float())
        down.lora_B[name].to(weight.dtype).weight.copy_(layer.write.T)


@torch.inference_mode()
def timed(network: Timed, items: list[EncodedPrompt]) -> tuple[list[float], float, list[str]]:
    """Seconds of each step after the prefill, seconds of the whole call, and what was written."""
    network.ends.clear()
    start = network.now()
    rows = generate(items, network=network, decoder=Ids(), batch_size=len(items))
    whole = network.now() - start
    return np.diff(network.ends).tolist(), whole, [row.text for row in rows]


@torch.inference_mode()
def scored(network: Timed, items: list[EncodedChoices], packed: int) -> float:
    """Seconds of one packed pass."""
    network.ends.clear()
    scorer = PackedScorer(network, cache=PrefixCache(0), max_pass_tokens=2 * packed)  # room for choices, too
    start = network.now()
    scorer.score(items)
    assert len(network.ends) == 1
    return network.now() - start


def measure(module: Any, users: int, rank: int, plan: Plan) -> dict[str, Times]:
    """The times of every way."""
    base = Timed(module)
    edits = {kind: edits_of(kind, users, rank, module) for kind in plan.kinds}
    prompts, shorter = _prompts(users, plan.prompt_tokens, base), _prompts(users, plan.packed // users, base)
    sampling = SamplingParams(max_tokens=plan.tokens)
    choices = ((2,), (3,))
    rows: dict[str, list[EncodedPrompt]] = {"base": [EncodedPrompt(prompt, sampling) for prompt in prompts]}
    asked: dict[str, list[EncodedChoices]] = {"base": [EncodedChoices(prompt, choices) for prompt in shorter]}
    for kind, all_edits in edits.items():
        pairs = list(zip(prompts, shorter, all_edits, strict=True))
        rows[kind] = [EncodedPrompt(prompt, sampling, edit=edit) for prompt, _, edit in pairs]
        asked[kind] = [EncodedChoices(prompt, choices, edit) for _, prompt, edit in pairs]
    networks = dict.fromkeys(plan.ways, base)
    if plan.peft:
        networks["peft"], rows["peft"] = Timed(mixed(module, edits[plan.kinds[0]])), rows["base"]
    times = {way: Times() for way in plan.ways}
    for repeat in range(-1, plan.repeats):  # once to warm up
        gc.collect()
        turn = repeat % len(plan.ways)
        for way in (*plan.ways[turn:], *plan.ways[:turn]):
            decode, whole, texts = timed(networks[way], rows[way])
            scoring = scored(base, asked[way], plan.packed) if way in asked else 0.0
            if repeat >= 0:
                times[way].decode.append(decode)
                times[way].whole.append(whole)
                times[way].scoring.append(scoring)
                times[way].texts = texts
    return times


def _prompts(users: int, length: int, network: Network) -> list[tuple[int, ...]]:
    """Prompts in the order that generation sorts them into, as the adapters' names are."""
    rest = network.config.vocab_size - users - 2
    return [(2 + i, *((7 * i + 11 * t) % rest + 2 for t in range(1, length))) for i in range(users)]


def ratio(some: Sequence[float], base: Sequence[float]) -> str:
    """Median over repeats of some / base, with a bootstrapped 95 % interval of that median."""
    return _median(np.array(some) / np.array(base))


def step_ratio(some: Times, base: Times) -> str:
    """The same of the decoding steps: of each repeat, the median over its steps counts."""
    return _median(np.median(np.array(some.decode) / np.array(base.decode), axis=1))


def _median(ratios: Any) -> str:
    drawn = np.random.default_rng(0).choice(ratios, size=(9999, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return f"{np.median(ratios):.3f} [{low:.3f}, {high:.3f}]"


def head_of(plan: Plan) -> list[str]:
    """The names of the columns."""
    decode = [f"{way} / base" for way in plan.ways[1:]]
    more = [f"{kind} / base, {part}" for part in ("whole call", "scoring") for kind in plan.kinds]
    same = ["same text as PEFT"] if plan.peft else []
    return ["users", "rank", "base tokens/s", *decode, *more, *same, "other text than base"]


def row_of(users: int, rank: int, times: dict[str, Times], plan: Plan) -> list[str]:
    """A row of the table."""
    base, edited = times["base"], [times[kind] for kind in plan.kinds]
    rate = users / float(np.median(base.decode))
    decode = [step_ratio(times[way], base) for way in plan.ways[1:]]
    whole = [ratio(kind.whole, base.whole) for kind in edited]
    scoring = [ratio(kind.scoring, base.scoring) for kind in edited]
    others = [base.texts, *([times["peft"].texts] if plan.peft else [])]
    differ, *differ_from_peft = (sum(a != b for a, b in zip(edited[0].texts, other, strict=True)) for other in others)
    same = [f"{users - number}/{users}" for number in differ_from_peft]
    return [str(users), str(rank), f"{rate:.1f}", *decode, *whole, *scoring, *same, f"{differ}/{users}"]


def report(command: str, name: str, rows: Sequence[Sequence[str]], plan: Plan, module: Any) -> str:
    """The results as a page."""
    import peft
    import transformers

    config, parameter = module.config, next(module.parameters())
    alone = not parameter.is_cuda and torch.get_num_threads() == 1
    where = torch.cuda.get_device_name() if parameter.is_cuda else f"{torch.get_num_threads()} thread(s) of a CPU"
    head = head_of(plan)
    table = "\n".join("| " + " | ".join(row) + " |" for row in [head, ["--:"] * len(head), *rows])
    return f"""# One batch, many users: what an edit for each row costs

    {command}

{name}: {config.num_hidden_layers} layers of width {config.hidden_size}, \
{str(parameter.dtype).removeprefix("torch.")}, {where}; torch {torch.__version__}, transformers \
{transformers.__version__}, PEFT {peft.__version__}, Python {platform.python_version()}.
{plan.repeats} repeats of {plan.tokens} tokens a row after prompts of {plan.prompt_tokens} tokens; scoring: one packed \
pass of {plan.packed} tokens. Every row has its own edit in every layer.
Ratios compare seconds{" of CPU time" if alone else ""} (below 1: faster than the unedited model). They are medians
over paired repeats, with 95 % intervals. Without more words they compare the steps after the prefill, and so do the
tokens per second of {"CPU" if alone else "wall-clock"} time.

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
    parser.add_argument("--users", type=int, nargs="+", default=[1, 8, 32, 64, 256])
    parser.add_argument("--rank", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--peft", action="store_true", help="measure PEFT with the edits of the first kind as well")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--prompt", type=int, default=4, help="tokens of a prompt")
    parser.add_argument("--packed", type=int, default=512, help="tokens of a scoring pass")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    plan = Plan(arguments.kind, arguments.peft, arguments.tokens, arguments.prompt, arguments.packed, arguments.repeats)
    if arguments.shapes:
        module = shaped(arguments.shapes, arguments.device, arguments.dtype)
    else:
        module = load_network(arguments.model, device=arguments.device, dtype=arguments.dtype).network
    print(*head_of(plan), sep=" | ", flush=True)
    rows = []
    for users, rank in itertools.product(arguments.users, arguments.rank):
        rows.append(row_of(users, rank, measure(module, users, rank, plan), plan))
        print(*rows[-1], sep=" | ", flush=True)
    command = shlex.join(["python", "benchmarks/many_users.py", *sys.argv[1:]])
    page = report(command, arguments.shapes or arguments.model, rows, plan, module)
    print(page)
    if arguments.out:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
