"""Questions asked with ever shorter prompts, until the model can read them; between prompted baselines and `answering`.

All questions are asked at once with their longest prompts. If the model refuses one as too long, each question is asked
by itself: with its prompt as it is, and then with the first of its shorter versions for which there is room.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from idiolect.errors import ContextLengthError
from idiolect.methods.answering import Answerer, AnsweringSettings, PromptedQuestion, Response, asked_block
from idiolect.methods.shortening import room_after, size_of

Versions: TypeAlias = Callable[[], Iterator[PromptedQuestion]]  # one question, from its longest prompt to its shortest


async def answer_shortened(answerer: Answerer, questions: Sequence[Versions]) -> list[Response]:
    """Return one response per question, in order, each to the longest version that the model can read.

    Raises:
        ContextLengthError: the shortest version of a question is too long.
        ModelError: the model could not answer.
    """
    try:
        return await answerer.answer([next(versions()) for versions in questions])
    except ContextLengthError:  # of one of them at least; the answers to the others are kept
        each = (_answer_fitting(answerer, versions()) for versions in questions)
        outcomes = await asyncio.gather(*each, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]


async def _answer_fitting(answerer: Answerer, versions: Iterator[PromptedQuestion]) -> Response:
    asked = next(versions)
    while True:
        try:
            return (await answerer.answer([asked]))[0]
        except ContextLengthError as error:
            size = _size(asked, answerer.settings)
            room = room_after(error, size, max_tokens=answerer.settings.max_tokens)
            shorter = _first_fitting(versions, room, answerer.settings)
            if shorter is None or _size(shorter, answerer.settings) >= size:
                raise
            asked = shorter


def _first_fitting(
    versions: Iterator[PromptedQuestion], room: int, settings: AnsweringSettings
) -> PromptedQuestion | None:
    """Return the first version for which there is room, or else the last one; None if no version is left."""
    found = None
    for found in versions:
        if _size(found, settings) <= room:
            break
    return found


def _size(asked: PromptedQuestion, settings: AnsweringSettings) -> int:
    return size_of(asked.prompt) + size_of(asked_block(asked.question, settings))
