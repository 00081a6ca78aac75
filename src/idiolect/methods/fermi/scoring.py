"""Scoring new prompts on the user's opinions: `s_k = (1/N) Σ s(a_i, M(q_i; p_k))`, literally or as an exact race.

The race (ours): opinions are asked in waves, those that most prompts failed so far first. A prompt whose *upper*
bound can't beat L prompts that are certain to rank ahead of it (fully scored ones, or by their *lower* bound) is
dropped. Ranking is (score, older first), bounds are monotone, so the memory is exactly that of literal scoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.fermi.memory import Memory, ScoredPrompt, judge
from idiolect.methods.fermi.prompt import Prompt, render_prompt
from idiolect.models.language_model import Usage
from idiolect.people.user import Opinion

Cell = tuple[int, int]  # (index of the prompt in a batch, index of the opinion)


@dataclass(slots=True)
class FailureCounts:
    """How often each scoring opinion was asked and how much alignment was lost on it, over all prompts so far."""

    asked: list[int]
    lost: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, n: int) -> FailureCounts:
        """Return counts for n opinions, nothing asked yet."""
        return cls([0] * n, [0.0] * n)

    def copy(self) -> FailureCounts:
        """Return a copy of the counts."""
        return FailureCounts(list(self.asked), list(self.lost))

    def add(self, index: int, score: float) -> None:
        """Count one judged response."""
        self.asked[index] += 1
        self.lost[index] += 1.0 - score

    def hardest_first(self) -> list[int]:
        """Return opinion indices by mean loss, greatest first; ties in their order. Unasked ones count as a half."""
        mean = [lost / asked if asked else 0.5 for lost, asked in zip(self.lost, self.asked, strict=True)]
        return sorted(range(len(mean)), key=lambda index: (-mean[index], index))


class Scorer:
    """Asks opinions under prompts and keeps the account of what that cost.

    Attributes:
        usage: all answering calls made through this scorer, and what it was started with.
    """

    def __init__(self, opinions: Sequence[Opinion], answerer: Answerer, *, usage: Usage = Usage()) -> None:
        self.opinions = tuple(opinions)
        self._answerer = answerer
        self.usage = usage

    async def fill(self, prompts: Sequence[ScoredPrompt], cells: Iterable[Cell]) -> list[ScoredPrompt]:
        """Ask the cells that are neither known nor quoted; leave-one-out is applied to every one of them.

        Returns:
            The prompts, in order, with these cells judged.
        """
        open_cells = [
            (k, i) for k, i in dict.fromkeys(cells) if prompts[k].cells[i] is None and i not in prompts[k].prompt.quotes
        ]
        asked = [self._prompted(prompts[k].prompt, i) for k, i in open_cells]
        rows = [list(prompt.cells) for prompt in prompts]
        for (k, i), response in zip(open_cells, await self._answerer.answer(asked), strict=True):
            rows[k][i] = judge(self.opinions[i], response)
            self.usage += response.usage
        return [ScoredPrompt(p.prompt, p.born, tuple(row)) for p, row in zip(prompts, rows, strict=True)]

    async def complete(self, prompts: Sequence[ScoredPrompt]) -> list[ScoredPrompt]:
        """Ask everything that is still open, one call to the model: literal scoring."""
        return await self.fill(prompts, [(k, i) for k, prompt in enumerate(prompts) for i in prompt.scoreable])

    def _prompted(self, prompt: Prompt, index: int) -> PromptedQuestion:
        question = self.opinions[index].question
        text = render_prompt(prompt, self.opinions, self._answerer.settings, asked=question)
        return PromptedQuestion(text, question)


async def race(
    scorer: Scorer, new: Sequence[ScoredPrompt], memory: Memory, *, counts: FailureCounts, wave: int
) -> list[ScoredPrompt]:
    """Score new prompts just as far as needed to know which of them enter the memory.

    Args:
        scorer: asks.
        new: prompts with nothing asked, oldest first.
        memory: the memory they compete for.
        counts: failures so far; fixes the order in which opinions are asked. Not changed here.
        wave: opinions per prompt between two looks at the bounds.

    Returns:
        The prompts in order; those that can't enter the memory may be incomplete, all others are complete.
    """
    order = counts.hardest_first()
    kept = [(entry.score, entry.born) for entry in memory.entries]
    racing = list(new)
    alive = [k for k, prompt in enumerate(racing) if not prompt.complete]
    while alive:
        cells = []
        for k in alive:
            still_open = [i for i in order if racing[k].cells[i] is None and i not in racing[k].prompt.quotes]
            cells += [(k, i) for i in still_open[:wave]]
        racing = await scorer.fill(racing, cells)
        alive = [k for k in alive if not racing[k].complete]
        # From the least promising down: each drop is certain on its own, whatever happens to the others.
        certain = kept + [(prompt.bound(0.0), prompt.born) for prompt in racing]
        alive = [k for k in alive if not _beaten(racing[k], certain, memory.size)]
    return racing


def _beaten(candidate: ScoredPrompt, certain: Sequence[tuple[float, int]], size: int) -> bool:
    """Return whether at least `size` rivals are certain to rank ahead of the candidate.

    Args:
        candidate: not fully scored, so its own lower bound is never ahead of its upper one, nor older than itself.
        certain: per rival, its lower bound and when it was born.
        size: L.
    """
    upper = candidate.bound(1.0)
    return sum(lower > upper or (lower == upper and born < candidate.born) for lower, born in certain) >= size


def count_failures(counts: FailureCounts, prompts: Iterable[ScoredPrompt]) -> None:
    """Add all judged cells of newly scored prompts to the counts."""
    for prompt in prompts:
        for index, cell in enumerate(prompt.cells):
            if cell is not None:
                counts.add(index, cell.score)
