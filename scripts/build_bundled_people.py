"""Builds the bundled people, `src/idiolect/people/data/food-world-cup.jsonl`, from FiveThirtyEight's raw survey.

    python scripts/build_bundled_people.py food-world-cup-data.csv

Who is in: everyone who rated at least 30 of the 40 cuisines and answered all five demographic questions, without any
other selection; of these, the first 120 of a shuffle with a fixed key. Each person's opinions are shuffled likewise,
so that "the first 20" is no alphabetic choice. The same input gives the same bytes. `ATTRIBUTION.md`, next to the
output, lists what is changed against the source.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from idiolect.people.splits import shuffled
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.people.users_file import write_users

MIN_RATINGS = 30
MAX_PEOPLE = 120
SEED = 0
OUTPUT = Path(__file__).parent.parent / "src" / "idiolect" / "people" / "data" / "food-world-cup.jsonl"

ENCODING = "mac_roman"  # of the raw file: its byte 0xCA is a no-break space
RATINGS = ("1", "2", "3", "4", "5")
DEMOGRAPHICS = ("Gender", "Age", "Household Income", "Education", "Location (Census Region)")
SELF_RATINGS = {  # name in the profile: how the column's name starts
    "Knowledge of cuisines": "Generally speaking, how would you rate your level of knowledge",
    "Interest in cuisines": "How much, if at all, are you interested in cuisines",
}
COUNTRY = re.compile(r"Please rate how much you like the traditional cuisine of (.+?)[.:]?")
ARTICLES = {"United States": "the United States"}
QUESTION = "On a scale from 1 (hate it) to 5 (love it), how much do you like the traditional cuisine of {country}?"

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The survey's rows by column name, every no-break space a plain one, every value stripped."""
    text = path.read_bytes().decode(ENCODING).replace("\u00a0", " ")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [{name.strip(): value.strip() for name, value in row.items()} for row in reader]


def countries(columns: Sequence[str]) -> dict[str, str]:
    """The column of each country, by the country's name as a sentence has it."""
    found = {match[1]: column for column in columns if (match := COUNTRY.fullmatch(column))}
    return {ARTICLES.get(country, country): column for country, column in found.items()}


def person(row: Row) -> User | None:
    """The user of a row; None if demographics are missing or the ratings are too few."""
    respondent = hashlib.sha256(row["RespondentID"].encode()).hexdigest()[:8]
    opinions = [
        Opinion(Question(QUESTION.format(country=country), RATINGS, ordinal=True), row[column])
        for country, column in countries(list(row)).items()
        if row[column] in RATINGS
    ]
    if len(opinions) < MIN_RATINGS or not all(row[name] for name in DEMOGRAPHICS):
        return None
    attributes = {name: row[name] for name in DEMOGRAPHICS} | self_ratings(row)
    user_id = f"fwc-{respondent}"
    return User(user_id, UserProfile(attributes), shuffled(opinions, "fwc opinions", SEED, user_id))


def self_ratings(row: Row) -> Row:
    """What the person said about their own knowledge of and interest in cuisines, where they did."""
    columns = {name: next(column for column in row if column.startswith(start)) for name, start in SELF_RATINGS.items()}
    return {name: row[column] for name, column in columns.items() if row[column]}


def build(source: Path, output: Path) -> tuple[int, int]:
    """Writes the users file; returns how many people are in it and how many fulfil the conditions.

    Raises:
        ValueError: two people share an id.
    """
    people = [user for row in read_rows(source) if (user := person(row)) is not None]
    if len({user.id for user in people}) != len(people):
        raise ValueError("two people share an id: use more digits of the hash")
    people.sort(key=lambda user: user.id)
    chosen = shuffled(people, "fwc people", SEED)[:MAX_PEOPLE]
    with output.open("wb") as stream:
        return write_users(chosen, stream), len(people)


def main() -> None:
    """Reads the command line, builds, and says how many people there are."""
    parser = argparse.ArgumentParser(description="Builds the bundled people from food-world-cup-data.csv.")
    parser.add_argument("source", type=Path, help="FiveThirtyEight's food-world-cup-data.csv")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    arguments = parser.parse_args()
    written, eligible = build(arguments.source, arguments.output)
    sys.stderr.write(f"{arguments.output}: {written} of {eligible} people\n")


if __name__ == "__main__":
    main()
