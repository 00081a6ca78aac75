"""The table of cases in docs/reading-answers.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from idiolect import Question
from idiolect.methods.reading.reader import read_choice

PAGE = Path(__file__).parents[3] / "docs/reading-answers.md"
UNREADABLE = "–"


def cases() -> list[tuple[tuple[str, ...], str, str | None]]:
    """Return the rows as (choices, reply, choice)."""
    table = PAGE.read_text(encoding="utf-8").split("| choices | reply | read as |\n|---|---|---|\n")[1].split("\n\n")[0]
    rows = [line.replace("\\|", "\0").strip("|").split("|") for line in table.splitlines()]
    read = []
    for choices, reply, choice in ([cell.strip().replace("\0", "|") for cell in row] for row in rows):
        said = reply.removeprefix("`").removesuffix("`").replace("⏎", "\n")
        read.append((tuple(choices.split(" / ")), said, None if choice == UNREADABLE else choice))
    return read


@pytest.mark.parametrize(("choices", "reply", "choice"), cases())
def test_documented_reply_is_read_as_documented(choices: tuple[str, ...], reply: str, choice: str | None) -> None:
    assert choice is None or choice in choices
    assert read_choice(reply, Question("What do you say to this?", choices)) == choice


def test_the_page_has_cases_of_every_kind() -> None:
    assert len(cases()) >= 50
    assert sum(choice is None for _, _, choice in cases()) >= 20
