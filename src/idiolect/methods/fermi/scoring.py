"""Scoring new prompts on the user's opinions: `s_k = (1/N) Σ s(a_i, M(q_i; p_k))`, literally or as an exact race.

The race (ours): opinions are asked in waves, starting with those on which most alignment was lost so far. A prompt is
dropped if L others are certain to rank ahead of its *upper* bound, by their score or their *lower* bound. Prompts are
ranked by (score, older first) and bounds are monotone, so the memory is exactly that of literal scoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from idiolect.errors import ContextLengthError
from idiolect.methods.answering import Answerer, PromptedQuestion, Response, asked_block
from idiolect.methods.fermi.memory import Memory, ScoredPrompt, judge
from idiolect.methods.fermi.prompt import Prompt, render_prompt
from idiolect.methods.shortening import BYTES_PER_TOKEN, room_after, size_of
from idiolect.models.language_model import Usage
from idiolect.people.user import Opinion

Cell = tuple[int, int]  # (index of the prompt in a batch, index of the opinion)


@dataclass(slots=True)
class FailureCounts:
    """Number of times each scoring opinion was asked, and alignment lost on it, over all prompts so far."""

    asked: list[int]
    lost: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, n: int) -> FailureCounts:
        """Return empty counts for n opinions."""
        return cls([0] * n, [0.0] * n)

    def copy(self) -> FailureCounts:
        """Return a copy of the counts."""
        return FailureCounts(list(self.asked), list(self.lost))

    def add(self, index: int, score: float) -> None:
        """Count one judged response."""
        self.asked[index] += 1
        self.lost[index] += 1.0 - score

    def hardest_first(self) -> list[int]:
        """Return opinion indices by mean loss, greatest first, then by index. An unasked opinion has a loss of 0.5."""
        mean = [lost / asked if asked else 0.5 for lost, asked in zip(self.lost, self.asked, strict=True)]
        return sorted(range(len(mean)), key=lambda index: (-mean[index], index))


@dataclass(frozen=True, slots=True)
class Room:
    """What is known of how long a prompt the model can read.

    Args:
        max_tokens: limit on a prompt's length; see `render_prompt`. None: no limit is known.
        confirmed: whether a prompt with examples was short enough.
    """

    max_tokens: int | None = None
    confirmed: bool = False

    def within(self, limit: int | None) -> Room:
        """Return the same with a limit that is at most `limit`; None does not limit it."""
        known = [each for each in (self.max_tokens, limit) if each is not None]
        return replace(self, max_tokens=min(known, default=None))


NO_LIMIT = Room()
"""Nothing is known of how long a prompt the model can read."""


class Scorer:
    """Scorer of prompts on a user's opinions, which counts the cost.

    Attributes:
        opinions: the scoring opinions.
        neighbours: for each opinion, the indices of those that stand behind each prompt that is scored on it (hybrid
            prompts); None: no opinions.
        room: how long a prompt may be; it shrinks when the model refuses one.
        usage: cost of all answering calls of this scorer, added to the initial value.
    """

    def __init__(
        self,
        opinions: Sequence[Opinion],
        answerer: Answerer,
        *,
        usage: Usage = Usage(),
        neighbours: Sequence[Sequence[int]] | None = None,
        room: Room = NO_LIMIT,
    ) -> None:
        self.opinions = tuple(opinions)
        self._answerer = answerer
        self._neighbours = neighbours
        self._left_out: frozenset[int] = frozenset()
        self.room = room
        self.usage = usage

    async def fill(
        self, prompts: Sequence[ScoredPrompt], cells: Iterable[Cell], *, known: bool = False
    ) -> list[ScoredPrompt]:
        """Ask the cells that are neither asked yet nor revealed, each leave-one-out.

        Args:
            prompts: the prompts.
            cells: the cells.
            known: whether to ask opinions that the prompt's optimizer saw as well, which shows it their failures.

        Returns:
            The prompts, in order, with these cells judged.
        """
        open_cells = [
            (k, i)
            for k, i in dict.fromkeys(cells)
            if prompts[k].cells[i] is None
            and i not in (prompts[k].prompt.quotes if known else prompts[k].prompt.revealed)
        ]
        responses = await self._answered([(prompts[k].prompt, i) for k, i in open_cells])
        rows = [list(prompt.cells) for prompt in prompts]
        for (k, i), response in zip(open_cells, responses, strict=True):
            rows[k][i] = judge(self.opinions[i], response)
            self.usage += response.usage
        return [ScoredPrompt(p.prompt, p.born, tuple(row)) for p, row in zip(prompts, rows, strict=True)]

    @property
    def shows_examples(self) -> bool:
        """Whether opinions stand behind the prompts that are scored."""
        return any(self._neighbours or ())

    def leave_out(self, indices: Iterable[int]) -> None:
        """Leave further opinions out of the examples behind prompts."""
        self._left_out |= frozenset(indices)

    async def without_examples(self, prompt: Prompt, indices: Sequence[int]) -> list[Response]:
        """Ask opinions with a prompt's text alone, and count the cost."""
        asked = [PromptedQuestion(prompt.text, self.opinions[index].question) for index in indices]
        responses = await self._answerer.answer(asked)
        self.usage = sum((response.usage for response in responses), self.usage)
        return responses

    async def complete(self, prompts: Sequence[ScoredPrompt]) -> list[ScoredPrompt]:
        """Ask all open cells in one call to the model: literal scoring."""
        return await self.fill(prompts, [(k, i) for k, prompt in enumerate(prompts) for i in prompt.scoreable])

    async def _answered(self, cells: Sequence[tuple[Prompt, int]]) -> list[Response]:
        """Ask opinions under prompts; if a prompt is too long for the model, all are asked with fewer examples.

        With examples, the longest prompt is asked first and alone, so that a model with a small context refuses one
        request, and not all of them.

        Raises:
            ContextLengthError: a prompt without examples is too long.
        """
        responses: dict[int, Response] = {}
        while len(responses) < len(cells):
            asked = [self._prompted(*cell) for cell in cells]
            rest = [k for k in range(len(cells)) if k not in responses]
            longest = max(rest, key=lambda k: size_of(asked[k].prompt) + size_of(asked[k].question.text))
            now = rest if self.room.confirmed or not self.shows_examples else [longest]
            try:
                responses |= zip(now, await self._answerer.answer([asked[k] for k in now]), strict=True)
                self.room = replace(self.room, confirmed=True)
            except ContextLengthError as error:
                if asked[longest].prompt == self._text(*cells[longest], nearest=()):
                    raise
                self.room = replace(self.room, max_tokens=self._shorter(error, asked[longest]))
        return [responses[k] for k in range(len(cells))]

    def _shorter(self, error: ContextLengthError, refused: PromptedQuestion) -> int:
        """Return the limit on a prompt's length, in tokens, after a prompt was refused."""
        settings = self._answerer.settings
        block = size_of(asked_block(refused.question, settings))
        room = room_after(error, size_of(refused.prompt) + block, max_tokens=settings.max_tokens)
        return max(min(room - block, size_of(refused.prompt) * 2 // 3) // BYTES_PER_TOKEN, 1)

    def _prompted(self, prompt: Prompt, index: int) -> PromptedQuestion:
        question = self.opinions[index].question
        nearest = self._neighbours[index] if self._neighbours is not None else ()
        nearest = [each for each in nearest if each not in self._left_out]
        return PromptedQuestion(self._text(prompt, index, nearest=nearest), question)

    def _text(self, prompt: Prompt, index: int, *, nearest: Sequence[int]) -> str:
        return render_prompt(
            prompt,
            self.opinions,
            self._answerer.settings,
            asked=self.opinions[index].question,
            nearest=nearest,
            max_tokens=self.room.max_tokens,
        )


async def race(
    scorer: Scorer, new: Sequence[ScoredPrompt], memory: Memory, *, counts: FailureCounts, wave: int
) -> list[ScoredPrompt]:
    """Score new prompts only as far as needed to know which of them enter the memory.

    Args:
        scorer: asks the model.
        new: new prompts, oldest first.
        memory: the memory they compete for.
        counts: failures so far, which set the order of the opinions; not changed here.
        wave: number of opinions asked per prompt between comparisons of the bounds.

    Returns:
        The prompts in order; those that cannot enter the memory may be incomplete, all others are complete.
    """
    order = counts.hardest_first()
    kept = [(entry.score, entry.born) for entry in memory.entries]
    racing = list(new)
    alive = [k for k, prompt in enumerate(racing) if not prompt.complete]
    while alive:
        cells = []
        for k in alive:
            still_open = [i for i in order if racing[k].cells[i] is None and i not in racing[k].prompt.revealed]
            cells += [(k, i) for i in still_open[:wave]]
        racing = await scorer.fill(racing, cells)
        alive = [k for k in alive if not racing[k].complete]
        # Each drop is certain on its own, whatever happens to the other prompts.
        certain = kept + [(prompt.bound(0.0), prompt.born) for prompt in racing]
        alive = [k for k in alive if not _beaten(racing[k], certain, memory.size)]
    return racing


def _beaten(candidate: ScoredPrompt, certain: Sequence[tuple[float, int]], size: int) -> bool:
    """Return whether at least `size` rivals are certain to rank ahead of the candidate.

    Args:
        candidate: an incompletely scored prompt. It is among `certain` itself, but never counts as its own rival.
        certain: lower bound of each rival, and its place in the order of proposals.
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
