"""A prompt as a value: an instruction, the opinions it shows as examples, and those that its text quotes.

Leave-one-out lives here. When scoring opinion i is asked, `render` leaves out every demonstration whose question is
that of i, and `quoted_opinions` finds the opinions that a free text gives away, so that a prompt is never scored on
what it quotes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from idiolect.methods.answering import AnsweringSettings, demonstration_block
from idiolect.methods.templating import inert
from idiolect.models.words import words_of
from idiolect.people.user import Opinion, Question

Origin = Literal["initial", "llm", "demonstrations"]
Identity = tuple[str, tuple[int, ...]]


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
    def identity(self) -> Identity:
        """What makes two prompts the same: their words, blank space and case aside, and their demonstrations."""
        return (" ".join(self.text.casefold().split()), self.demonstrations)


def render_prompt(
    prompt: Prompt, opinions: Sequence[Opinion], settings: AnsweringSettings, *, asked: Question | None = None
) -> str:
    """Return the prompt's text with its demonstrations, as it stands before a question.

    Args:
        prompt: what to render.
        opinions: the scoring opinions that `prompt.demonstrations` points into.
        settings: how questions are shown.
        asked: leave out demonstrations of this question (leave-one-out); None shows all.
    """
    shown = [opinions[index] for index in prompt.demonstrations]
    if asked is not None:
        shown = [opinion for opinion in shown if not same_question(opinion.question, asked)]
    return "\n\n".join(part for part in (prompt.text, demonstration_block(shown, settings)) if part)


def same_question(one: Question, other: Question) -> bool:
    """Return whether both ask the same words (case, blanks and punctuation aside), whatever the choices."""
    return question_key(one) == question_key(other)


def question_key(question: Question) -> str:
    """Return a key that is equal for the same question."""
    return _key(question.text)


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


@lru_cache(maxsize=8192)
def _key(text: str) -> str:
    """Text as an optimizer sees it, without case, punctuation and blank space (unless there is nothing else)."""
    seen = inert(text).casefold()
    return " ".join(words_of(seen)) or seen
