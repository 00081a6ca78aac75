"""Long and repetitive replies, and many choices: reading stays fast, and never guesses."""

from __future__ import annotations

import time

import pytest

from idiolect import Question
from idiolect.methods.reading.reader import read_choice

WORRY = Question("How worried are you?", ("Very worried", "Not worried", "No opinion"))
MANY = Question("Which one?", tuple(f"choice number {number} of very many, in so many words" for number in range(200)))
SECONDS = 6  # most take a tenth; a rule of quadratic cost takes minutes
PIECES = (
    "a ", "( ", "{", "[", "*", "_a", '"', "very ", "very worried ", "not very worried, ", "\n", "final answer: ",
    "answer is ", "```", "|", "- ", "不", "n't ", "no ", "$", "A. ", "option ", "[x] a\n", "1 ", "1/", "***a", "(A) ",
    "if very worried then ", "<answer>", "\\boxed{", "<|im_end|>", '{"answer":', "&lt;", "Question: ",
)  # fmt: skip


@pytest.mark.parametrize("length", [7_900, 100_000])
@pytest.mark.parametrize("piece", PIECES)
def test_a_repetitive_reply_is_read_at_once(piece: str, length: int) -> None:
    reply = piece * (length // len(piece))
    start = time.perf_counter()
    for question in (WORRY, MANY):
        read_choice(reply, question)
    assert time.perf_counter() - start < SECONDS


def test_a_very_long_reply_is_read_at_its_marked_end_only() -> None:
    talk = "They read the news and sleep well. " * 1_000
    assert read_choice(f"{talk}\n\nFinal answer: Not worried", WORRY) == "Not worried"
    assert read_choice(f"{talk}\n\nI'd say not worried.", WORRY) is None


def test_one_of_two_hundred_choices_is_read() -> None:
    assert read_choice(f"I'd say {MANY.choices[137]}.", MANY) == MANY.choices[137]
    assert read_choice("choice number", MANY) is None
