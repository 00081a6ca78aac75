"""Questions whose choices are whole responses of an assistant: "which of these responses …?"

    instruction, what the person wrote, responses → Question("… Response A: “…” Response B: “…”", ("Response A", …))

Below the readers of PRISM and PersonaMem. The responses stand in the question, and its choices are their labels. Whole
responses as choices would have to be repeated by a model that generates its answer, and their likelihoods would measure
their lengths. Line ends and repeated blanks become one blank, as in every prompt, so that quotation marks have to show
where a text ends. Long texts are cut, so that several questions fit into a prompt.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

from idiolect.people.user import Question

MOST_CHARACTERS = 1000
"""Maximum length of a response, or of what the person wrote, in a question."""

MOST_RESPONSES = len(string.ascii_uppercase)


@dataclass(frozen=True, slots=True)
class ResponseQuestion:
    """A question about responses.

    Args:
        question: the question, whose choices are labels in the order of the responses.
        cut: number of its texts that were cut.
    """

    question: Question
    cut: int = 0


def label(index: int) -> str:
    """Return the label of the response at an index, from 0: "Response A"."""
    return f"Response {string.ascii_uppercase[index]}"


def question_about(instruction: str, name: str, wrote: str, responses: Sequence[str]) -> ResponseQuestion:
    """Return the question which of the responses is the right one.

    Args:
        instruction: what is asked, in one sentence.
        name: name of what the person wrote: "Prompt".
        wrote: what the person wrote.
        responses: the responses, in the order of their labels.

    Raises:
        ValueError: a text is blank or cannot be stored, or there are fewer than two or too many responses.
    """
    if not 2 <= len(responses) <= MOST_RESPONSES:
        raise ValueError(f"has {len(responses)} responses to choose from")
    labels = tuple(map(label, range(len(responses))))
    texts = [one_line(text) for text in (wrote, *responses)]
    if not all(texts):
        raise ValueError(f"its {name.lower()} or one of its responses is blank")
    shown = [cut(text) for text in texts]
    quoted = (f"{name}: “{text}”" for name, text in zip((name, *labels), shown, strict=True))
    question = Question(" ".join((instruction, *quoted)), labels)
    return ResponseQuestion(question, sum(a != b for a, b in zip(texts, shown, strict=True)))


def one_line(text: str) -> str:
    """Return a text with one blank between its words, and no line ends."""
    return " ".join(text.split())


def cut(text: str) -> str:
    """Return the beginning of a text, between words where it has blanks, with "…" if it is too long."""
    if len(text) <= MOST_CHARACTERS:
        return text
    beginning = text[:MOST_CHARACTERS]
    words, blank, _ = beginning.rpartition(" ")
    return f"{words if blank and len(words) > MOST_CHARACTERS // 2 else beginning} …"


def cut_note(texts: int) -> tuple[str, ...]:
    """Return a note on texts that were cut, if there are any."""
    return (f"{texts} prompts and responses were cut to {MOST_CHARACTERS:,} characters.",) if texts else ()
