"""How fast the embedded model scores and generates here, against the usual ways of doing it.

    python benchmarks/local_throughput.py [--model embedded] [--device cpu] [--repeats 3]

Scoring: 16 questions with 5 choices each under one system prompt of about 60 and about 400 tokens. The work is the
same in each row, so compare seconds; "tokens/s" counts the prompt and choice tokens that were asked about, each
question's prompt once, whether or not they had to be computed.
Generation: the same questions, greedy, with no end of turn, so that every row writes all its tokens; against
transformers' own `generate` with the same left-padded batch.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import torch

from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message, SamplingParams
from idiolect.models.local import LocalModel, LocalSettings, load_local_model

TOPICS = """taxes on fuel; rules for owning guns; help for people without work; how schools are paid for; trade with
other countries; the number of immigrants; the price of housing; drug laws; the death penalty; nuclear power; working
from home; public transport; the voting age; privacy on the internet; meat in school meals; the length of holidays"""
CHOICES = ("Strongly agree", "Somewhat agree", "Neither agree nor disagree", "Somewhat disagree", "Strongly disagree")
SENTENCE = "You are a careful person who has lived in a small town all your life and who speaks plainly. "
NEW_TOKENS = 48
Work = Callable[[], Awaitable[Any]]


def questions(prompt_tokens: int) -> list[ChoiceRequest]:
    """16 questions under a system prompt of about that many tokens."""
    system = Message("system", (SENTENCE * (prompt_tokens // 19 + 1)).strip())
    return [
        ChoiceRequest(
            (system, Message("user", f"How far do you agree that the government does enough about {topic.strip()}?")),
            CHOICES,
            prefill="Answer: ",
        )
        for topic in TOPICS.replace("\n", " ").split(";")
    ]


async def median_seconds(work: Work, repeats: int, before: Work | None = None) -> float:
    """Median wall-clock time of `work`, with `before` run (untimed) ahead of each repeat."""
    times = []
    for _ in range(repeats):
        if before is not None:
            await before()
        start = time.perf_counter()
        await work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


async def scoring(packed: LocalModel, padded: LocalModel, repeats: int) -> None:
    """Padded without reuse; packed from an empty cache; packed after other questions under the same prompt."""
    print(f"{'scoring 16 questions x 5 choices':44} {'seconds':>8} {'tokens/s':>9} {'computed':>9}")
    for prompt_tokens in (60, 400):
        requests = questions(prompt_tokens)

        async def other_question(requests: list[ChoiceRequest] = requests) -> None:
            await packed.forget_prefixes()
            system = requests[0].messages[0]
            await packed.choice_logprobs([ChoiceRequest((system, Message("user", "Do you vote?")), ("Yes", "No"))])

        ways: dict[str, tuple[LocalModel, Work]] = {
            "padded, no reuse": (padded, padded.forget_prefixes),
            "packed, cold": (packed, packed.forget_prefixes),
            "packed, warm prompt": (packed, other_question),
        }
        for way, (model, before) in ways.items():
            await before()
            usage = [answer.usage for answer in await model.choice_logprobs(requests)]
            seconds = await median_seconds(partial(model.choice_logprobs, requests), repeats, before)
            tokens, computed = sum(u.prompt_tokens for u in usage), sum(u.computed_tokens for u in usage)
            label = f"{prompt_tokens}-token prompt, {way}"
            print(f"{label:44} {seconds:8.2f} {tokens / seconds:9.0f} {computed:9}")


async def generation(model: LocalModel, repeats: int) -> None:
    """Our loop against transformers' generate, at several batch sizes."""
    print(f"\n{f'generating {NEW_TOKENS} tokens a row':44} {'seconds':>8} {'tokens/s':>9} {'of generate':>11}")
    model.format.stop_ids = frozenset()
    prompts = [request.messages for request in questions(60)] * 2
    for batch in (1, 4, 16, 32):
        requests = [CompletionRequest(m, SamplingParams(max_tokens=NEW_TOKENS)) for m in prompts[:batch]]
        ids = [model.format.prompt_ids(request.messages) for request in requests]

        ours = await median_seconds(partial(model.complete, requests), repeats)
        theirs = await median_seconds(partial(model.run, partial(rival, model, ids)), repeats)
        for way, seconds in (("this package", ours), ("transformers generate", theirs)):
            label = f"batch {batch}, {way}"
            print(f"{label:44} {seconds:8.2f} {batch * NEW_TOKENS / seconds:9.0f} {theirs / seconds:10.2f}x")


@torch.inference_mode()
def rival(model: LocalModel, prompts: list[tuple[int, ...]]) -> None:
    """transformers' own greedy generation of the same batch."""
    width = max(map(len, prompts))
    ids = model.network.tensor([(*[0] * (width - len(p)), *p) for p in prompts])  # (B, L)
    mask = model.network.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])  # (B, L)
    model.network.module.generate(
        ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, do_sample=False
    )


async def measure(arguments: argparse.Namespace) -> None:
    """Loads, measures, prints."""
    start = time.perf_counter()
    packed = load_local_model(arguments.model, device=arguments.device)
    where = f"{packed.network.device}, {packed.network.dtype}, {torch.get_num_threads()} threads"
    print(
        f"{arguments.model} on {where}; loaded in {time.perf_counter() - start:.1f} s; medians of {arguments.repeats}\n"
    )
    literal = LocalSettings(prefix_reuse=False)
    padded = LocalModel(packed.network.module, packed.tokenizer, name="padded", settings=literal)
    async with packed, padded:
        await scoring(packed, padded, arguments.repeats)
        await generation(packed, arguments.repeats)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--device")
    parser.add_argument("--repeats", type=int, default=3)
    asyncio.run(measure(parser.parse_args()))
