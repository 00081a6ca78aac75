"""A prompt as a value: an instruction, the opinions it shows as examples, and those that its text quotes.

Leave-one-out lives here. When scoring opinion i is asked, `render` leaves out every demonstration whose question is
that of i, and `quoted_opinions` finds the opinions that a free text gives away, so that a prompt is never scored on
what it quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect.methods.answering import AnsweringSettings, demonstration_block
from idiolect.people.user import Opinion, Question

Origin = Literal["initial", "llm", "demonstrations"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A mis-aligned response that a proposer saw: index of the scoring opinion, and what the model said."""

    index: int
    response: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of the user's set.

    Args:
        text: the instruction; may be empty where demonstrations speak for themselves.
        demonstrations: indices (into the scoring opinions) of the opinions shown as examples, in order.
        quotes: indices of the scoring opinions that `text` gives away; never scored on.
        origin: who wrote it.
        driven_by: the mis-aligned responses that led to it.
    """

    text: str
    demonstrations: tuple[int, ...] = ()
    quotes: tuple[int, ...] = ()
    origin: Origin = "initial"
    driven_by: tuple[Failure, ...] = ()

    @property
    def identity(self) -> tuple[str, tuple[int, ...]]:
        """What makes two prompts the same: their words, blank space and case aside, and their demonstrations."""
        return (" ".join(self.text.casefold().split()), self.demonstrations)


def render_prompt(
    prompt: Prompt, opinions: Sequence[Opinion], settings: AnsweringSettings, *, asked: Question | None = None
) -> str:
    """The prompt's text with its demonstrations, as it stands before a question.

    Args:
        prompt: what to render.
        opinions: the scoring opinions that `prompt.demonstrations` points into.
        settings: how questions are shown.
        asked: leave out demonstrations of this question (leave-one-out); None shows all.
    """
    shown = [opinions[index] for index in prompt.demonstrations]
    if asked is not None:
        key = _key(asked.text)
        shown = [opinion for opinion in shown if _key(opinion.question.text) != key]
    return "\n\n".join(part for part in (prompt.text, demonstration_block(shown, settings)) if part)


def quoted_opinions(text: str, opinions: Sequence[Opinion]) -> tuple[int, ...]:
    """Indices of the opinions whose question occurs, word for word (case, blanks and punctuation aside), in the text.

    Very short questions (under three words) only count where the answer occurs as well.
    """
    words = f" {_key(text)} "
    found = []
    for index, opinion in enumerate(opinions):
        question = _key(opinion.question.text)
        if not question or f" {question} " not in words:
            continue
        if len(question.split()) >= 3 or f" {_key(opinion.answer)} " in words:
            found.append(index)
    return tuple(found)


def _key(text: str) -> str:
    """Text without case, punctuation and runs of blank space."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())
