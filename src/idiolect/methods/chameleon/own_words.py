"""A person's own words as answers to learn from: every opinion and text, as it was written.

    text                      answers a plain request                          long ones in windows, none is cut off
    opinion with choices      one of the choices, on the request with which the question is really asked
    opinion without choices   answers the same request, in windows like a text

Nothing is flattened, shortened or left out: line breaks and lists are part of how somebody writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from idiolect.methods.answering import AnsweringSettings, asked_block, choice_request
from idiolect.methods.chameleon.roles import Item
from idiolect.methods.texts import MAX_CHARS, PLAIN_REQUEST
from idiolect.models.language_model import ChoiceRequest, ChosenAnswer, Message
from idiolect.people.user import Opinion

_PARAGRAPH, _LINE, _WORD = re.compile(r"(?=\n\s*\n)"), re.compile(r"(?=\n)"), re.compile(r"(?=\s)")
_SENTENCE = re.compile(r"[.!?…]['\"”’)\]]*(?=\s)|[。！？]['\"”’）」』]*")


def own_answers(items: Sequence[Item], settings: AnsweringSettings) -> list[ChosenAnswer]:
    """Return all that the items say, in order; a long text gives several answers.

    Args:
        items: opinions and texts.
        settings: form in which questions are asked.
    """
    return [answer for item in items for answer in _answers(item, settings)]


def windows(text: str, *, max_chars: int = MAX_CHARS) -> list[str]:
    """Return the text in consecutive pieces without whitespace around them; nothing else is lost.

    A piece ends at the last paragraph's end that fits, or else at the last line's, sentence's or word's end, or else
    after `max_chars` characters. None is returned for a blank text.

    Args:
        text: any text.
        max_chars: maximum number of characters in a piece, at least 1.
    """
    found = []
    rest = text.strip()
    while len(rest) > max_chars:
        end = _end_of_window(rest, max_chars)
        found.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*found, rest] if rest else found


def _answers(item: Item, settings: AnsweringSettings) -> Iterator[ChosenAnswer]:
    if not isinstance(item, str) and item.question.choices:
        yield chosen_answer(item, settings)
        return
    request = PLAIN_REQUEST if isinstance(item, str) else asked_block(item.question, settings)
    for piece in windows(item if isinstance(item, str) else item.answer):
        yield ChosenAnswer(ChoiceRequest((Message("user", request),), (piece,)))


def chosen_answer(opinion: Opinion, settings: AnsweringSettings) -> ChosenAnswer:
    """Return an opinion's choice, on the request with which its question is asked; the question has choices."""
    question = opinion.question
    chat, chosen = (Message("user", asked_block(question, settings)),), question.choices.index(opinion.answer)
    if settings.mode == "generate":  # the model writes the choice itself, so nothing is prefilled
        return ChosenAnswer(ChoiceRequest(chat, question.choices), chosen)
    return ChosenAnswer(choice_request(chat, question, settings), chosen)


def _end_of_window(text: str, max_chars: int) -> int:
    """Return where the first window ends; a window shorter than half of the limit is worse than a rougher break."""
    for ends in (_PARAGRAPH, _LINE, _SENTENCE, _WORD):
        found = [match.end() for match in ends.finditer(text, 0, max_chars + 1) if match.end() <= max_chars]
        if found and found[-1] >= max_chars // 2:
            return found[-1]
    return max_chars
