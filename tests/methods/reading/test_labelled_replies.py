"""Labelled replies, which the rules know by now: only named ones are read wrongly, and most choices are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect import Question
from idiolect.methods.reading.reader import read_choice
from idiolect.models.thoughts import after_thoughts

DATA = Path(__file__).parents[1] / "data"
LEAST_RECALL = {"a": 0.97, "b": 0.89, "c": 0.95, "d": 0.95, "e": 0.92, "f": 0.85}
LISTS = tuple(LEAST_RECALL)
# Each needs to know what a word means in its sentence: a verb "train", a band named "Yes".
READ_WRONGLY = {"I train every morning before work.", "Yes, I do like bands from that era!"}


def lines(name: str) -> list[dict[str, Any]]:
    """Return the labelled replies of a file."""
    return [json.loads(line) for line in (DATA / f"replies_{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def read(line: dict[str, Any]) -> str | None:
    """Read one reply as the product does."""
    question = Question(line["question"], line["choices"], bool(line.get("ordinal")))
    return read_choice(after_thoughts(line["reply"]).text.strip(), question)


@pytest.mark.parametrize("name", LISTS)
def test_hardly_any_labelled_reply_is_read_wrongly(name: str) -> None:
    wrong = [line["reply"] for line in lines(name) if read(line) not in (None, line["choice"])]
    assert set(wrong) <= READ_WRONGLY


@pytest.mark.parametrize(("name", "least"), LEAST_RECALL.items())
def test_most_of_their_choices_are_read(name: str, least: float) -> None:
    labelled = [line for line in lines(name) if line["choice"] is not None and not line.get("inferred")]
    assert sum(read(line) == line["choice"] for line in labelled) >= least * len(labelled)


@pytest.mark.parametrize("name", LISTS)
def test_labels_are_choices_and_styles_are_several(name: str) -> None:
    read_lines = lines(name)
    assert all(line["choice"] is None or line["choice"] in line["choices"] for line in read_lines)
    assert len({line["style"] for line in read_lines}) >= 12
