from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from idiolect.people.users_file import read_users
from scripts.build_bundled_people import DEMOGRAPHICS, ENCODING, build

COUNTRIES = [
    " Algeria:",
    "\u00a0Australia.",
    " the Netherlands.",
    " United States.",
    *(f" Land {i}." for i in range(30)),
]
HEADER = [
    "RespondentID",
    "Generally speaking, how would you rate your level of knowledge\u00a0of cuisines from different parts?",
    "How much, if at all, are you interested in cuisines from different parts of the world?",
    *(f"Please rate how much you like the traditional cuisine of{country}" for country in COUNTRIES),
    *DEMOGRAPHICS,
]
WHO = ["Female", "> 60", "$25,000 - $49,999", "Graduate degree", "Pacific"]


def row(number: str, ratings: int, who: list[str] = WHO) -> list[str]:
    rated = [str(index % 5 + 1) if index < ratings else ("N/A", "")[index % 2] for index in range(len(COUNTRIES))]
    return [number, "Novice", "Not much\u00a0", *rated, *who]


def survey(folder: Path, *rows: list[str]) -> Path:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([HEADER, *rows])
    path = folder / "survey.csv"
    path.write_bytes(text.getvalue().encode(ENCODING))
    return path


def test_person_who_rated_enough_becomes_a_user(tmp_path: Path) -> None:
    source = survey(tmp_path, row("3308895255", 34), row("2", 29), row("3", 34, [*WHO[:2], "", *WHO[3:]]))
    assert build(source, tmp_path / "people.jsonl") == (1, 1)
    (user,) = read_users(tmp_path / "people.jsonl")
    answers = {opinion.question.text: opinion.answer for opinion in user.opinions}
    asked = "On a scale from 1 (hate it) to 5 (love it), how much do you like the traditional cuisine of "
    assert user.id == "fwc-a91f670a"
    assert len(answers) == 34
    assert [
        answers[f"{asked}{name}?"] for name in ("Algeria", "Australia", "the Netherlands", "the United States")
    ] == [*"1234"]
    assert dict(user.profile.attributes) == dict(zip(DEMOGRAPHICS, WHO, strict=True)) | {
        "Knowledge of cuisines": "Novice",
        "Interest in cuisines": "Not much",
    }


def test_build_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    rows = [row(str(number), 30 + number % 5) for number in range(130)]
    for name, order in (("one", rows), ("two", rows), ("three", rows[::-1])):
        assert build(survey(tmp_path, *order), tmp_path / name) == (120, 130)
    one = (tmp_path / "one").read_bytes()
    assert one == (tmp_path / "two").read_bytes() == (tmp_path / "three").read_bytes()


def test_orders_of_two_people_differ(tmp_path: Path) -> None:
    build(survey(tmp_path, row("1", 34), row("2", 34)), tmp_path / "people.jsonl")
    one, other = read_users(tmp_path / "people.jsonl")
    assert one.opinions != other.opinions
    assert set(one.opinions) == set(other.opinions)


def test_respondent_twice_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="share an id"):
        build(survey(tmp_path, row("1", 34), row("1", 34)), tmp_path / "people.jsonl")
