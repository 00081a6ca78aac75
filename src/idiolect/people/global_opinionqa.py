"""GlobalOpinionQA: answers of countries' populations to international surveys, read as one user per country.

global_opinions.csv (question, selections, options, source) → one user per country

Durmus et al., Towards Measuring the Representation of Subjective Global Opinions in Language Models (arXiv 2306.16388);
data: huggingface.co/datasets/Anthropic/llm_global_opinions. A country's answer is its most frequent one; the shares of
all answers are kept beside it. Choices that are no answer ("DK/Refused") are left out, and the shares are those of the
people who answered. A country that the surveys name in several ways is one user under each name, as published, with
`RESPONDENT` in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from idiolect.errors import DatasetError
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecords, BrokenRecordsLog
from idiolect.people.countries import one_name
from idiolect.people.csv_file import opened_csv
from idiolect.people.distributions import UnusableSharesError, distribution, most_frequent
from idiolect.people.folders import contents, entries_below
from idiolect.people.python_literals import UnreadableLiteralError, python_literal, text_list
from idiolect.people.splits import RESPONDENT
from idiolect.people.survey_non_answers import NobodyAnsweredError, without_non_answers
from idiolect.people.text_file import bare_name
from idiolect.people.user import Opinion, Question, User, UserProfile

FILE_NAME = "global_opinions.csv"
COUNTRY = "Country"
"""Name of the profile's attribute with the country's name, as published."""


@dataclass(frozen=True, slots=True)
class GlobalOpinionQA:
    """The countries that were read.

    Args:
        users: the countries, in the order in which they first appear; profile {"Country": name}; extra key
            "respondent": the same for all names and samples of a country; opinions with the extra keys "distribution"
            (one share per choice, summing to 1) and "source" (the survey).
        broken: rows, and single countries' answers, that were left out.
        replaced: number of rows with bytes that are not UTF-8.
        with_non_answers: number of opinions that were published with choices that are no answer.
    """

    users: tuple[User, ...]
    broken: BrokenRecords
    replaced: int
    with_non_answers: int = 0


def read_global_opinionqa(path: Path) -> GlobalOpinionQA:
    """Read the countries of the published table.

    Args:
        path: `global_opinions.csv`, or a folder that contains it, directly or in one of its folders.

    Raises:
        DatasetError: the file is missing or not in the published layout, or no country has a valid answer.
    """
    log = BrokenRecordsLog()
    opinions: dict[str, list[Opinion]] = {}
    with_non_answers = 0
    with opened_csv(_file(path), log) as table:
        places = table.required("question", "selections", "options")
        source_place = table.column("source")
        for number, row in table.rows():
            place = f"{table.name}: row {number}"
            source = "" if source_place is None else row[source_place].strip()
            for country, opinion, published in _answers(place, [row[column] for column in places], source, log):
                opinions.setdefault(country, []).append(opinion)
                with_non_answers += opinion.question != published
    users = tuple(as_one_country(User(f"goqa-{name}", {COUNTRY: name}, answers)) for name, answers in opinions.items())
    if not users:
        raise DatasetError(f"{table.name}: no country has a valid answer ({log.count} broken records)")
    return GlobalOpinionQA(users, log.records, table.replaced, with_non_answers)


def as_one_country(user: User) -> User:
    """Return a country with a `RESPONDENT` that all its names and samples have in common; others are unchanged."""
    name = user.profile.attributes.get(COUNTRY)
    return user if name is None else replace(user, extra={**user.extra, RESPONDENT: f"goqa-{one_name(name)}"})


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = entries_below(path, lambda entry: bare_name(entry) == FILE_NAME and entry.is_file())
    if not found:
        raise DatasetError(f"{printable(str(path))}: contains no {FILE_NAME}; {contents(path)}")
    return found[0]


def _answers(
    place: str, cells: list[str], source: str, log: BrokenRecordsLog
) -> Iterator[tuple[str, Opinion, Question]]:
    """Yield the countries' opinions of a row, each with the question as published."""
    text, selections, options = cells
    try:
        question = Question(text.strip(), tuple(text_list(options)))
        by_country = _selections(selections)
    except ValueError as error:  # an unreadable literal, or text and options that do not make a valid question
        log.add(place, str(error))
        return
    if not question.choices:
        log.add(place, "has no options")
        return
    for country, shares in by_country.items():
        try:
            yield country, _opinion(question, shares, source), question
        except (UnusableSharesError, NobodyAnsweredError) as error:
            log.add(f"{place}, {printable(country)}", str(error))


def _selections(cell: str) -> dict[str, Any]:
    """Read the shares by country from "defaultdict(<class 'list'>, {…})"; a plain dict is read as well.

    The first brace is the dict's, because nothing before it can contain one.
    """
    start, end = cell.find("{"), cell.rfind("}")
    value = python_literal(cell[start : end + 1]) if 0 <= start < end else None
    if not isinstance(value, dict):
        raise UnreadableLiteralError("selections are not a dict")
    found: dict[str, Any] = {}
    for country, shares in value.items():
        if not isinstance(country, str):
            raise UnreadableLiteralError("a country is not text")
        name = country.strip()
        UserProfile({"Country": name})  # raises if no profile can contain the name, so that the row is broken
        found.setdefault(name, shares)
    return found


def _opinion(question: Question, shares: Any, source: str) -> Opinion:
    asked, exact = without_non_answers(question, distribution(shares, question.choices))
    extra: dict[str, Any] = {"distribution": list(exact)}
    if source:
        extra["source"] = source
    return Opinion(asked, most_frequent(exact, asked.choices), extra)
