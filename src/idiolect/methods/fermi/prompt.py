"""A prompt as a value: an instruction, the opinions that it shows as examples, and those that its text quotes.

This module implements leave-one-out. When scoring opinion i is asked, `render_prompt` omits every demonstration on the
same question, and `quoted_opinions` finds the opinions that a text reveals, so that a prompt is never scored on an
opinion that it quotes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from idiolect.methods.answering import AnsweringSettings, demonstration_block
from idiolect.methods.shortening import fits
from idiolect.methods.templating import inert
from idiolect.models.words import words_of
from idiolect.people.user import Opinion, Question

Origin = Literal["initial", "llm", "demonstrations"]
Identity = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Failure:
    """A mis-aligned response that a proposer saw: the index of the scoring opinion, and the model's response."""

    index: int
    response: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt of the user's set.

    Args:
        text: the instruction; may be empty if there are demonstrations.
        demonstrations: indices (into the scoring opinions) of the opinions shown as examples, in order.
        quotes: indices of the scoring opinions that `text` reveals; the prompt is never scored on these.
        origin: source of the prompt.
        driven_by: mis-aligned responses that led to it.
        seen: indices of the scoring opinions that its optimizer saw, with crossing; it is not scored on these either.
        fold: the fold that it is scored on, with crossing.
        kind: what the optimizer was asked to write about; "": nothing special.
    """

    text: str
    demonstrations: tuple[int, ...] = ()
    quotes: tuple[int, ...] = ()
    origin: Origin = "initial"
    driven_by: tuple[Failure, ...] = ()
    seen: tuple[int, ...] = ()
    fold: int | None = None
    kind: str = ""

    @property
    def revealed(self) -> frozenset[int]:
        """Indices of the scoring opinions that this prompt is not scored on, because it or its optimizer knows them."""
        return frozenset((*self.quotes, *self.seen))

    @property
    def known(self) -> frozenset[int]:
        """Indices of the scoring opinions that a reader of this prompt may learn from it."""
        return frozenset((*self.seen, *self.demonstrations))

    @property
    def identity(self) -> Identity:
        """Key that is equal for equal prompts: their words, ignoring whitespace and case, and their demonstrations."""
        return (" ".join(self.text.casefold().split()), self.demonstrations)


@dataclass(frozen=True, slots=True)
class Proposal:
    """One draw: a prompt, or the reason why there is none ("no text in square brackets")."""

    draw: int
    prompt: Prompt | None
    reason: str = ""


def render_prompt(
    prompt: Prompt,
    opinions: Sequence[Opinion],
    settings: AnsweringSettings,
    *,
    asked: Question | None = None,
    nearest: Sequence[int] = (),
    max_tokens: int | None = None,
    shuffled: random.Random | None = None,
) -> str:
    """Return the prompt's text with its demonstrations, as it precedes a question.

    Args:
        prompt: prompt to render.
        opinions: scoring opinions that `prompt.demonstrations` refers to.
        settings: form of the questions.
        asked: omit demonstrations on this question (leave-one-out); None: show all.
        nearest: indices of the opinions nearest to the question, nearest last, which stand behind the prompt's own
            demonstrations (hybrid prompts).
        max_tokens: limit on the whole prompt, estimated as 4 bytes a token; the first examples are left out until it
            fits. None: no limit.
        shuffled: puts the examples that fit into a random order; None: their order is kept.
    """
    own = [index for index in prompt.demonstrations if index not in nearest]
    shown = [opinions[index] for index in (*own, *nearest)]
    if asked is not None:
        shown = [opinion for opinion in shown if not same_question(opinion.question, asked)]

    def rendered() -> str:
        return "\n\n".join(part for part in (prompt.text, demonstration_block(shown, settings)) if part)

    if max_tokens is not None:
        while shown and not fits(rendered(), max_tokens):
            shown = shown[1:]
    if shuffled is not None:
        shown = shuffled.sample(shown, len(shown))
    return rendered()


def same_question(one: Question, other: Question) -> bool:
    """Return whether both have the same words, ignoring case, whitespace, punctuation and choices."""
    return question_key(one) == question_key(other)


def question_key(question: Question) -> str:
    """Return a key that is equal for equal questions."""
    return _key(question.text)


def quoted_opinions(text: str, opinions: Sequence[Opinion]) -> tuple[int, ...]:
    """Return the indices of opinions whose question occurs in the text, ignoring case, whitespace and punctuation.

    A very short question (under three words) only counts if its answer occurs as well.
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
    """Return the text that an optimizer sees without case, punctuation and whitespace, unless nothing else is left."""
    seen = inert(text).casefold()
    return " ".join(words_of(seen)) or seen
