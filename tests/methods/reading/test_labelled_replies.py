"""Labelled replies: none of those that the rules were made with may be read wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect import Question
from idiolect.methods.reading.reader import read_choice
from idiolect.models.thoughts import after_thoughts

DATA = Path(__file__).parents[1] / "data"
LEAST_RECALL = 0.95


def lines(name: str) -> list[dict[str, Any]]:
    """Return the labelled replies of a file."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def read(line: dict[str, Any]) -> str | None:
    """Read one reply as the product does."""
    question = Question(line["question"], line["choices"], bool(line.get("ordinal")))
    return read_choice(after_thoughts(line["reply"]).text.strip(), question)


def test_no_reply_that_the_rules_were_made_with_is_read_wrongly() -> None:
    wrong = [
        (line["reply"], found)
        for line in lines("replies_dev.jsonl")
        if (found := read(line)) not in (None, line["choice"])
    ]
    assert wrong == []


def test_most_of_their_choices_are_read() -> None:
    labelled = [line for line in lines("replies_dev.jsonl") if line["choice"] is not None and not line.get("inferred")]
    assert sum(read(line) == line["choice"] for line in labelled) >= LEAST_RECALL * len(labelled)


@pytest.mark.parametrize("name", ["replies_dev.jsonl", "replies_held_out.jsonl"])
def test_labels_are_choices_and_styles_are_several(name: str) -> None:
    read_lines = lines(name)
    assert all(line["choice"] is None or line["choice"] in line["choices"] for line in read_lines)
    assert len({line["style"] for line in read_lines}) >= 12
