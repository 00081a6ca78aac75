"""Optimizers that infer statements from what a request shows, and from nothing else.

A request is Fermi's meta-prompt in either form, OPRO's, GEPA's reflection prompt, or one of LangMem's prompts.
`reading.read` takes from it the text to improve and the answers shown. From these an optimizer infers at most a few
statements, each right with some probability, and writes them behind those of the text. A memorizing one restates the
answers instead.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from idiolect.models.language_model import CompletionRequest
from simulated_models.language import (
    SIDES,
    TOPICS,
    Statement,
    extent_of,
    merged,
    most_common,
    named_choice,
    side_of,
    statements,
    topic_of,
)
from simulated_models.reading import Seen, Shown, read
from simulated_models.responder import REFUSAL

INSTRUCTION = "Answer as this person would."
_DESCRIPTION = "This person has clear views."


@dataclass(frozen=True)
class Optimizer:
    """One optimizer.

    Args:
        right: probability that an inferred statement is what the answers shown say; otherwise it is another one.
        memorizes: it restates every answer that it is shown, and infers nothing.
        most: number of statements inferred in one text.
    """

    right: float
    memorizes: bool = False
    most: int = 4

    def __call__(self, request: CompletionRequest) -> str:
        """The reply to a meta-prompt or a reflection prompt."""
        content = request.messages[-1].content
        seen = read(content)
        if seen.dispositions:
            return self.dispositions(seen, random.Random(f"{request.sampling.seed}:{request.draw}"))
        text = self.text(seen, random.Random(f"{request.sampling.seed}:{request.draw}"))
        said = "The wrong answers have a pattern, which the text has to state."
        return f"{said}\n```\n{text}\n```" if seen.fenced else f"{said} [{text}]"

    def text(self, seen: Seen, rng: random.Random) -> str:
        """The new text."""
        told = merged(statements(seen.text), self.found(seen, rng))
        refused = any(shown.response and REFUSAL[:20] in shown.response for shown in seen.shown)
        instructs = INSTRUCTION in seen.text or refused or rng.random() < 0.5
        return " ".join((INSTRUCTION if instructs else _DESCRIPTION, *map(str, told)))

    def dispositions(self, seen: Seen, rng: random.Random) -> str:
        """A line for each statement, with the numbers of the answers that it rests on."""
        lines = []
        for told in self.found(seen, rng)[: seen.dispositions]:
            rests = [str(shown.number) for shown in seen.shown if _bears(told, shown)]
            lines.append(f"[This person has a view. {told} | {', '.join(rests)}]")
        return "\n".join(lines)

    def found(self, seen: Seen, rng: random.Random) -> list[Statement]:
        """What the request lets it state."""
        if self.memorizes:
            return [Statement("item", shown.item, shown.answer) for shown in seen.shown]
        failures = [shown for shown in seen.shown if shown.wrong]
        wanted = list(dict.fromkeys(topic_of(shown.item) for shown in failures or seen.shown))
        rng.shuffle(wanted)
        scale = _scale(failures, seen.shown)
        found = [Statement("scale", side, extent) for side, extent in scale]
        rules = [Statement("topic", topic, _stance(topic, seen.shown)) for topic in wanted]
        found = [*found, *rules] if seen.about_scale else rng.sample([*found, *rules], len(found) + len(rules))
        found = [self._perhaps_wrong(each, rng) for each in found[: self.most]]
        if seen.scores_only:  # nothing says what is wrong: it tries something
            found.append(Statement("topic", rng.choice(list(TOPICS)), rng.randrange(4)))
        return found

    def _perhaps_wrong(self, statement: Statement, rng: random.Random) -> Statement:
        if rng.random() < self.right:
            return statement
        values = range(2 if statement.kind == "scale" else 4)
        return Statement(
            statement.kind, statement.about, rng.choice([value for value in values if value != statement.value])
        )


def _bears(told: Statement, shown: Shown) -> bool:
    """Whether an answer is one that a statement comes from."""
    about = {"topic": topic_of(shown.item), "item": shown.item, "scale": side_of(shown.answer)}
    return about[told.kind] == told.about


def _stance(topic: str, shown: Sequence[Shown]) -> int:
    return most_common([each.answer for each in shown if topic_of(each.item) == topic])


def _scale(failures: Sequence[Shown], shown: Sequence[Shown]) -> list[tuple[str, int]]:
    """For each side on which two answers or more are right but for how far they go: how far the person goes there."""
    found = []
    for side in SIDES:
        near = [
            each
            for each in failures
            if side_of(each.answer) == side
            and (said := named_choice(each.response or "")) is not None
            and side_of(said) == side
        ]
        if len(near) >= 2:
            there = [extent_of(each.answer) for each in shown if side_of(each.answer) == side]
            found.append((side, most_common(there)))
    return found


OPTIMIZERS = {
    "60 % right": Optimizer(0.6),
    "80 % right": Optimizer(0.8),
    "95 % right": Optimizer(0.95),
    "memorizes": Optimizer(1.0, memorizes=True),
}
"""By name."""
