"""Answering models that follow texts and examples as far as their abilities go."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeVar

from idiolect.models.language_model import CompletionRequest
from simulated_models.language import (
    CHOICES,
    Statement,
    choice_of,
    items_in,
    most_common,
    share,
    side_of,
    statements,
    topic_of,
)

T = TypeVar("T")

Manner = Literal["terse", "chatty", "refuses", "thinks"]

REFUSAL = "As an AI language model, I don't have personal opinions on this. There are arguments on both sides."
_EXAMPLE = re.compile(
    r"Question: [^\n]*should expand (?P<item>[a-z -]+)\?\n(?:Choices: [^\n]*\n)?"
    rf"Answer: (?P<answer>{'|'.join(CHOICES)})"
)
_TOLD_TO_BE_SOMEBODY = re.compile(r"\byou are a respondent\b|\banswer\b[^.\n]*\bas\b[^.\n]*\bperson\b", re.IGNORECASE)
_REFUSED_WITH_EXAMPLES = 0.3
_OBEYS = 0.85


@dataclass(frozen=True)
class Responder:
    """One answering model.

    Args:
        keeps: number of a text's statements that it follows, the last ones; None: all.
        examples: number of examples that it heeds, the last ones; None: all.
        examples_win: whether examples on a topic count more than a rule about it.
        scale_by_text: it takes the side of an answer from the topic's examples alone, and how far to go from
            statements about the use of the scale alone; without one it stays in the middle.
        manner: how it replies. "chatty": in sentences; if the question demands a choice only, mostly not. "refuses":
            unless it is told to answer as a person or respondent; with examples it refuses 30 % of the questions only.
            "thinks": after a thought.
    """

    keeps: int | None = None
    examples: int | None = None
    examples_win: bool = False
    scale_by_text: bool = False
    manner: Manner = "terse"

    def __call__(self, request: CompletionRequest) -> str:
        """The reply to a request."""
        content = "\n\n".join(message.content for message in request.messages)
        start = content.rindex("Question:")
        prompt, asked = content[:start], content[start:]
        (item,) = items_in(asked)
        shown = [(match["item"], CHOICES.index(match["answer"])) for match in _EXAMPLE.finditer(prompt)]
        spoken_to_as_an_assistant = self.manner == "refuses" and not _TOLD_TO_BE_SOMEBODY.search(prompt)
        if spoken_to_as_an_assistant and (not shown or share("refuses", content) < _REFUSED_WITH_EXAMPLES):
            return REFUSAL
        return self._said(self.choice(item, prompt, shown), content, asked)

    def choice(self, item: str, prompt: str, shown: list[tuple[str, int]]) -> int:
        """The choice for an item."""
        known = _last(statements(prompt), self.keeps)
        memorized = [each.value for each in known if each.kind == "item" and each.about == item]
        rules = [each.value for each in known if each.kind == "topic" and each.about == topic_of(item)]
        same = [answer for each, answer in _last(shown, self.examples) if topic_of(each) == topic_of(item)]
        if memorized:
            return memorized[-1]
        prior = 1 + int(share("prior", item) > 0.5)
        if self.scale_by_text:
            return _scaled(side_of(most_common(same)) if same else side_of(prior), known)
        if same and (self.examples_win or not rules):
            return most_common(same)
        return rules[-1] if rules else prior

    def _said(self, choice: int, content: str, asked: str) -> str:
        said, other = CHOICES[choice], CHOICES[(choice + 1 + int(3 * share("other", content))) % 4]
        if self.manner == "thinks":
            return f"<think>They might say {other}, but what I know of them points elsewhere.</think>\n{said}"
        if self.manner != "chatty" or ("one of the choices only" in asked and share("obeys", content) < _OBEYS):
            return said
        u = share("manner", content)
        if u < 0.55:
            return said
        if u < 0.75:
            return f"This person would most likely answer: **{said}**."
        if u < 0.88:
            return f'{said} - this fits their views; they would not say "{other}".'
        return f"Given their views, {said.lower()} seems more likely than {other.lower()}."


def _last(found: list[T], most: int | None) -> list[T]:
    return found if most is None else found[max(0, len(found) - most) :]


def _scaled(side: str, known: list[Statement]) -> int:
    extents = [each.value for each in known if each.kind == "scale" and each.about == side]
    return choice_of(side, extents[-1] if extents else 1)
