"""The prompt that Retrieval-of-Prompt chooses for a question, as text, with its shorter versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain

from idiolect.methods.answering import PromptedQuestion
from idiolect.methods.fermi.grounds import Grounds
from idiolect.methods.personalization import Explanation
from idiolect.people.user import Question


@dataclass(frozen=True, slots=True)
class PromptVersions:
    """A prompt that answers, from its whole text to ever shorter ones, with fewer of the nearest examples.

    Args:
        place: index of the prompt in the pool.
        text: the whole text, with all examples.
        shorter: returns the shorter texts, longest first; empty without examples behind the prompt.
    """

    place: int
    text: str
    shorter: Callable[[], Iterator[str]] = field(compare=False, repr=False)

    def versions(self) -> Iterator[str]:
        """Yield the texts, longest first."""
        return chain((self.text,), self.shorter())

    def asked(self, question: Question) -> Iterator[PromptedQuestion]:
        """Yield a question with each of the texts, longest first."""
        return (PromptedQuestion(text, question) for text in self.versions())


@dataclass(frozen=True, slots=True)
class ChosenPrompt:
    """The prompt that is chosen for a question.

    Args:
        explanation: the choice, with its inputs.
        grounds: what the choice rests on.
        answering: the prompts that answer together, the chosen one first; in free text, the chosen one alone.
    """

    explanation: Explanation
    grounds: Grounds
    answering: tuple[PromptVersions, ...]

    @property
    def text(self) -> str:
        """Whole text of the chosen prompt, as it precedes a question or a conversation."""
        return self.answering[0].text

    def versions(self) -> Iterator[str]:
        """Yield the texts of the chosen prompt, longest first, for models that cannot read the whole."""
        return self.answering[0].versions()
