"""What exact racing, lazy retrieval scoring and prefix reuse save, against the literal algorithm, in one run.

    python benchmarks/fermi_cost.py --out docs/results/fermi-cost            # calls (seconds) and time (minutes)
    python benchmarks/fermi_cost.py --out … --people 0                       # calls only

Calls: the paper's loop (N = 20, T = 10, K = 4, L = 5) on simulated answering models of nine accuracy levels, where
prompts and opinions differ in difficulty or don't. The literal algorithm and ours must end with the identical memory
and the identical answers to 30 questions. Time: literal (padded batches, no reuse) against ours on the embedded model
and bundled development people; there, answers that flip because batches differ are counted.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from idiolect import Opinion, Question, User
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings, ProposerName
from idiolect.methods.personalization import Answer
from idiolect.models.catalog import open_similarity
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from idiolect.models.similarity import Bm25Similarity
from idiolect.people.bundled import bundled_groups
from idiolect.people.splits import split_opinions

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
SEEDS = range(5)
ASKED = (1, 10, 30)  # questions asked of what was learned; the lazy pool is scored only as far as they need


def uniform(*key: object) -> float:
    """A number in (0, 1), the same on every machine."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**64


def normal(*key: object) -> float:
    """A standard normal number, the same on every machine (Box-Muller)."""
    return math.sqrt(-2 * math.log(uniform(*key, 1))) * math.cos(2 * math.pi * uniform(*key, 2))


@dataclass(frozen=True)
class Simulated:
    """An answering model that is right with probability σ(logit(level) + spread·(z_prompt + z_opinion))."""

    level: float
    spread: float
    seed: int

    name = "simulated"

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """ "yes" is what everybody said."""
        return [Completion(self._answer(r.messages[-1].content), "stop", Usage(1)) for r in requests]

    def _answer(self, content: str) -> str:
        prompt, _, question = content.partition("Question:")
        logit = math.log(self.level / (1 - self.level))
        logit += self.spread * (normal(self.seed, "prompt", prompt) + normal(self.seed, "opinion", question))
        return "yes" if uniform(self.seed, prompt, question) < 1 / (1 + math.exp(-logit)) else "no"


class Writer:
    """An optimizer whose every draw is a new text."""

    name = "writer"

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """A numbered text in brackets."""
        return [Completion(f"[Text number {r.sampling.seed}.]", "stop", Usage(1)) for r in requests]


def simulated_user(seed: int) -> tuple[User, tuple[Question, ...]]:
    """20 opinions, and 30 questions to ask."""
    rng = random.Random(seed)
    words = [f"w{n}" for n in range(40)]

    def question(number: int) -> Question:
        return Question(f"Case {number}: {' '.join(rng.sample(words, 4))}?", ("no", "yes"))

    opinions = tuple(Opinion(question(n), "yes") for n in range(20))
    return User(f"simulated-{seed}", opinions=opinions), tuple(question(n) for n in range(20, 50))


def literal(settings: FermiSettings) -> FermiSettings:
    """The paper's accounting: everything scored in full, the pool at once. (Ties are completed in both.)"""
    return replace(settings, pruning=False, retrieval=replace(settings.retrieval, lazy=False, tie_break="complete"))


def ours(settings: FermiSettings, wave: int) -> FermiSettings:
    """Racing and the lazy pool."""
    return replace(
        settings, pruning=True, wave=wave, retrieval=replace(settings.retrieval, lazy=True, tie_break="complete")
    )


def same_memory(a: FermiPersonalization, b: FermiPersonalization) -> bool:
    """The same prompts in the same order with the same cells, and the same pool."""
    rows = [[(e.prompt, e.born, e.cells) for e in p.memory] for p in (a, b)]
    pools = [[e.prompt for e in p.prompts] for p in (a, b)]
    return rows[0] == rows[1] and pools[0] == pools[1]


async def calls(level: float, spread: float, seed: int, settings: FermiSettings) -> tuple[
    FermiPersonalization, list[Answer], list[int]
]:  # fmt: skip
    """Learn, then ask; scoring calls after 0 questions and after each count of `ASKED`."""
    user, questions = simulated_user(seed)
    answerer = Answerer(Simulated(level, spread, seed), settings.answering)
    learned = await Fermi(answerer, settings, optimizer=Writer()).fit(user)
    rop = RetrievalOfPrompt(learned, answerer, Bm25Similarity())
    counts, answers = [learned.answering.calls], []
    for start, stop in zip((0, *ASKED), ASKED, strict=False):
        answers += await rop.answer(questions[start:stop])
        counts.append(rop.personalization.answering.calls)
    return learned, answers, counts


async def table_of_calls(wave: int) -> list[str]:
    """One row a level and spread."""
    paper = preset("paper-offline")
    lines = [
        "| level | prompts, opinions differ | literal | ours, learning | + 1 question | + 10 | + 30 | identical |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for spread in (1.0, 0.0):
        for level in LEVELS:
            sums, literal_calls, identical = [0] * (len(ASKED) + 1), 0, True
            for seed in SEEDS:
                a = await calls(level, spread, seed, literal(paper))
                b = await calls(level, spread, seed, ours(paper, wave))
                identical &= same_memory(a[0], b[0]) and [x.response for x in a[1]] == [x.response for x in b[1]]
                literal_calls += a[2][-1]
                sums = [total + n for total, n in zip(sums, b[2], strict=True)]
            shares = " | ".join(f"{total / literal_calls:.0%}" for total in sums)
            cells = (f"{level:.1f}", "yes" if spread else "no", f"{literal_calls / len(SEEDS):.0f}", shares)
            lines.append("| " + " | ".join(cells) + f" | {'yes' if identical else 'NO'} |")
    return lines


async def table_of_time(people: Sequence[tuple[ProposerName, User]], dtype: str, wave: int) -> list[str]:
    """Literal against ours on the embedded model, person by person, both in this run."""
    from idiolect.models.local import LocalSettings, load_local_model

    slow = load_local_model("embedded", dtype=dtype, settings=LocalSettings(prefix_reuse=False, prefix_cache_tokens=0))
    fast = load_local_model("embedded", dtype=dtype)
    similarity = open_similarity(preset("demo").retrieval.similarity)
    lines = [
        "| person, proposer | literal calls | ours | literal scoring s | ours | ratio | same memory | flips |",
        "|---|---|---|---|---|---|---|---|",
    ]
    total = [0.0, 0.0]
    for proposer, user in people:
        demo = replace(preset("demo"), proposers=(proposer,))
        split = split_opinions(user, n_train=20)
        asked = [o.question for o in split.test[:10]]
        found = []
        for model, settings in ((slow, literal(demo)), (fast, ours(demo, wave))):
            timed = TimedAnswerer(Answerer(model, settings.answering))
            fermi = Fermi(timed, settings, optimizer=fast)  # type: ignore[arg-type]
            learned = await fermi.fit(replace(user, opinions=split.train))
            rop = RetrievalOfPrompt(learned, timed, similarity)  # type: ignore[arg-type]
            found.append((learned, await rop.answer(asked), rop.personalization.answering.calls, timed.seconds))
        (la, aa, ca, sa), (lb, ab, cb, sb) = found
        total = [total[0] + sa, total[1] + sb]
        differ = sum(x.response.answer != y.response.answer for x, y in zip(aa, ab, strict=True))
        same = [e.prompt for e in la.memory] == [e.prompt for e in lb.memory]
        lines.append(f"| {user.id}, {proposer} | {ca} | {cb} | {sa:.0f} | {sb:.0f} | {sb / sa:.0%} | "
                     f"{'yes' if same else 'no'} | {differ} of {len(asked)} |")  # fmt: skip
    return [*lines, "", f"All together: {total[0]:.0f} s literal, {total[1]:.0f} s ours = {total[1] / total[0]:.0%}."]


class TimedAnswerer:
    """An answerer that adds up the time its model takes."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self.settings = answerer.settings
        self.model_name = answerer.model_name
        self.seconds = 0.0

    async def answer(self, asked):  # type: ignore[no-untyped-def]
        """Answer, timed."""
        started = time.perf_counter()
        try:
            return await self._answerer.answer(asked)
        finally:
            self.seconds += time.perf_counter() - started


def main() -> None:
    """Print and write OUT.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--people", type=int, default=2, help="people for the time part; 0 leaves it out")
    parser.add_argument("--long", action="store_true", help="time the demonstration proposer, too")
    parser.add_argument("--dtype", default="float32", help="of the embedded model in the time part")
    parser.add_argument("--wave", type=int, default=preset("demo").wave)
    arguments = parser.parse_args()
    wave = arguments.wave
    lines = ["# Fermi's cost: literal against racing + lazy pool + prefix reuse", "",
             f"The paper's loop on simulated models, {len(SEEDS)} seeds a row, waves of {wave}. Percentages are shares "
             "of the literal algorithm's answering calls (592 for the memory, 64 for the pool). `+ n` includes the "
             "pool scoring that n questions needed. *Identical* compares the memory, the pool and 30 answers.", "",
             *asyncio.run(table_of_calls(wave)), ""]  # fmt: skip
    if arguments.people:
        chosen = bundled_groups().development[-arguments.people :]
        people: list[tuple[ProposerName, User]] = [("llm", user) for user in chosen]
        if arguments.long:  # with examples in the prompts, literal scoring takes a quarter of an hour
            people.append(("demonstrations", chosen[0]))
        lines += [f"The embedded model in {arguments.dtype}, preset `demo`, 20 opinions, 10 questions:",
                  "", *asyncio.run(table_of_time(people, arguments.dtype, wave)), ""]  # fmt: skip
    arguments.out.with_suffix(".md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
