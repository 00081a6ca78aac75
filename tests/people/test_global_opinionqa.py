"""GlobalOpinionQA's published table, written here."""

from __future__ import annotations

import csv
import gzip
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.errors import DatasetError
from idiolect.people.global_opinionqa import read_global_opinionqa
from idiolect.people.survey_non_answers import is_non_answer

steady = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

HEADER = ["question", "selections", "options", "source"]


def selections(**shares: list[float]) -> str:
    return str(defaultdict(list, shares))


def write_table(folder: Path, rows: Sequence[Sequence[object]]) -> Path:
    path = folder / "global_opinions.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows])
    return path


ROWS = [
    ["Are you happy?", selections(Belgium=[0.21, 0.6, 0.19], Peru=[0.5, 0.5, 0]), "['Yes', 'No', 'Both (VOL)']", "GAS"],
    ["From 1 to 3?", selections(Belgium=[0.2, 0.2, 0.6]), "[1.0, 2, '3']", "WVS"],
]


def test_countries_become_users(tmp_path: Path) -> None:
    belgium, peru = read_global_opinionqa(write_table(tmp_path, ROWS)).users
    assert belgium.id == "goqa-Belgium"
    assert dict(belgium.profile.attributes) == {"Country": "Belgium"}
    assert [(o.question.text, o.question.choices, o.answer) for o in belgium.opinions] == [
        ("Are you happy?", ("Yes", "No", "Both (VOL)"), "No"),
        ("From 1 to 3?", ("1", "2", "3"), "3"),
    ]
    assert belgium.opinions[0].extra == {"distribution": pytest.approx([0.21, 0.6, 0.19]), "source": "GAS"}
    assert peru.opinions[0].answer == "Yes"  # of equal shares the first


def test_the_folder_may_hold_the_table(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_table(tmp_path / "data", ROWS)
    assert len(read_global_opinionqa(tmp_path).users) == 2


def test_rounded_shares_are_scaled(tmp_path: Path) -> None:
    path = write_table(tmp_path, [["Q?", selections(Peru=[0.33, 0.33, 0.33]), "['a', 'b', 'c']", ""]])
    (opinion,) = read_global_opinionqa(path).users[0].opinions
    assert opinion.extra["distribution"] == pytest.approx([1 / 3] * 3)
    assert "source" not in opinion.extra


def test_the_folder_may_be_above_a_compressed_table(tmp_path: Path) -> None:
    folder = tmp_path / "snapshots" / "abc" / "data"
    folder.mkdir(parents=True)
    path = write_table(folder, ROWS)
    expected = read_global_opinionqa(path).users
    (folder / "global_opinions.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes()))
    path.unlink()
    assert read_global_opinionqa(tmp_path).users == expected
    assert read_global_opinionqa(path).users == expected


def test_choices_that_are_no_answer_are_left_out(tmp_path: Path) -> None:
    rows = [
        ["A?", selections(Peru=[0.2, 0.3, 0.5], Mali=[0, 0, 1]), "['Yes', 'No', 'DK/Refused']", ""],
        ["B?", selections(Peru=[0.5, 0.3, 0.2]), "['Yes', 'Don’t know (DO NOT READ)', 'No answer']", ""],
        ["C?", selections(Peru=[0.25, 0.25, 0.5]), "['Yes', 'No', 'Other missing; Not asked']", ""],
    ]
    read = read_global_opinionqa(write_table(tmp_path, rows))
    (peru,) = read.users
    assert [(o.question.text, o.question.choices, o.answer) for o in peru.opinions] == [
        ("A?", ("Yes", "No"), "No"),
        ("C?", ("Yes", "No"), "Yes"),
    ]
    assert peru.opinions[0].extra["distribution"] == pytest.approx([0.4, 0.6])
    assert read.with_non_answers == 2
    assert [record.message for record in read.broken.first] == [
        "nobody gave one of the choices that are answers",
        "has fewer than two choices that are answers",
    ]


@pytest.mark.parametrize(
    ("choice", "none"),
    [
        ("Don't know/Refused", True),
        ("dk / ref", True),
        ("Refused (VOL.)", True),
        ("Missing; Unknown", True),
        ("No opinion", True),
        ("I don`t know", True),
        ("DK/NR", True),
        ("Refused [DO NOT READ]", True),
        ("Hard to say", True),
        ("No", False),
        ("None of these (VOL)", False),
        ("Neither/Both equally (VOL)", False),
        ("Know it", False),
    ],
)
def test_what_is_no_answer_to_any_question(choice: str, none: bool) -> None:
    assert is_non_answer(choice) is none


@pytest.mark.parametrize(
    "names",
    [
        ["Bosnia Herzegovina", "Bosnia & Herz.", "Bosnia and Herzegovina", "Bosnia-Herzegovina"],
        ["Britain", "Great Britain", "United Kingdom", "U.K.", "UK"],
        ["S. Korea", "South Korea", "Korea, Republic of", "South Korea (Non-national sample)"],
        ["India (Current national sample)", "India (Old national sample)", "India"],
        ["United States", "U.S.", "USA", "United States of America"],
        ["Czech Rep.", "Czechia", "Czech Republic"],
        ["Palest. ter.", "Palestinian territories"],
        ["Côte d’Ivoire", "Ivory Coast", "Ivory Coast (Non-national sample)"],
        ["Taiwan ROC", "Taiwan"],
        ["Turkey", "Türkiye"],
        ["Brunei", "Brunei Darussalam"],
        ["Timor-Leste", "East Timor"],
    ],
)
def test_names_of_one_country_are_one_person(tmp_path: Path, names: list[str]) -> None:
    rows = [[f"Q{i}?", selections(**{name: [0.5, 0.5]}), "['a', 'b']", ""] for i, name in enumerate(names)]
    users = read_global_opinionqa(write_table(tmp_path, rows)).users
    assert [user.profile.attributes["Country"] for user in users] == names  # each as it is published
    assert len({user.extra["respondent"] for user in users}) == 1


def test_different_countries_stay_different(tmp_path: Path) -> None:
    names = [
        "Great Britain",
        "Northern Ireland",
        "Ireland",
        "China",
        "Hong Kong SAR",
        "Macau SAR",
        "Taiwan ROC",
        "Mali",
    ]
    names += ["North Korea", "S. Korea", "S. Africa", "Serbia", "Slovakia", "Slovenia", "Россия", "中国"]
    rows = [["Q?", selections(**{name: [0.5, 0.5] for name in names}), "['a', 'b']", ""]]
    users = read_global_opinionqa(write_table(tmp_path, rows)).users
    assert len({user.extra["respondent"] for user in users}) == len(names)


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        ("[0.5, 0.4]", "the shares sum to 0.9, not to 1"),
        ("[1.5, -0.5]", "negative or not finite"),
        ("[1e999, 0]", "negative or not finite"),
        ("[0.5, 0.25, 0.25]", "expected 2 shares, one per choice, found 3"),
        ("[True, 0]", "not a number"),
        ("['1', '0']", "not a number"),
        ("1", "not a list"),
        ("[1e308, 1e308]", "sum to inf"),
        (f"[{'9' * 400}, 0]", "too large"),
    ],
)
def test_shares_that_are_none_are_told(tmp_path: Path, shares: str, why: str) -> None:
    rows = [*ROWS, ["Next?", f"defaultdict(<class 'list'>, {{'Peru': {shares}, 'Belgium': [1, 0]}})", "['a', 'b']", ""]]
    read = read_global_opinionqa(write_table(tmp_path, rows))
    assert [len(user.opinions) for user in read.users] == [3, 1]
    (record,) = read.broken.first
    assert record.place.endswith("global_opinions.csv: row 3, Peru")
    assert why in record.message


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("{'Peru': [nan, 1]}", "['a', 'b']"),
        ("__import__('os')", "['a', 'b']"),
        ("{'Peru': [1, 0]}", "['a', 'a']"),
        ("{'Peru': [1]}", "['a']"),
        ("{}" * 3, "['a', 'b']"),
        ("{3: [1, 0]}", "['a', 'b']"),
        ("{'': [1, 0]}", "['a', 'b']"),
        ("[" * 5000, "['a', 'b']"),
        ("{'Peru': [1, 0]}", "-" * 5000 + "1"),
        ("{'Peru': [1, 0]}", "[None, 'b']"),
        ("{'Peru': []}", "[]"),
    ],
)
def test_rows_that_are_none_are_told(tmp_path: Path, cell: str, options: str) -> None:
    read = read_global_opinionqa(write_table(tmp_path, [*ROWS, ["Next?", cell, options, ""]]))
    assert [len(user.opinions) for user in read.users] == [2, 1]
    assert read.broken.count == 1


def test_a_cell_beyond_the_limit_is_told(tmp_path: Path) -> None:
    read = read_global_opinionqa(write_table(tmp_path, [*ROWS, ["x" * 200_000, "{}", "[]", ""]]))
    assert len(read.users) == 2
    assert "field larger than field limit" in read.broken.first[0].message


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file"):
        read_global_opinionqa(tmp_path / "nothing.csv")
    with pytest.raises(DatasetError, match=r"contains no global_opinions\.csv"):
        read_global_opinionqa(tmp_path)
    with pytest.raises(DatasetError, match="no country has a valid answer"):
        read_global_opinionqa(write_table(tmp_path, []))
    with pytest.raises(DatasetError, match="cannot be read"):
        read_global_opinionqa(Path("a\0b"))


COUNTRIES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8).map(str.strip).filter(bool)


@steady
@given(st.dictionaries(COUNTRIES, st.lists(st.integers(0, 9), min_size=3, max_size=3).filter(any), min_size=1))
def test_countries_to_the_layout_and_back(
    tmp_path_factory: pytest.TempPathFactory, counts: dict[str, list[int]]
) -> None:
    shares = {country: [n / sum(ns) for n in ns] for country, ns in counts.items()}
    folder = tmp_path_factory.mktemp("goqa")
    first = read_global_opinionqa(write_table(folder, [["Q?", str(defaultdict(list, shares)), "['a', 'b', 'c']", "s"]]))
    assert {user.profile.attributes["Country"] for user in first.users} == set(counts)
    kept = {user.profile.attributes["Country"]: user.opinions[0].extra["distribution"] for user in first.users}
    again = read_global_opinionqa(write_table(folder, [["Q?", str(defaultdict(list, kept)), "['a', 'b', 'c']", "s"]]))
    for user in again.users:
        assert user.opinions[0].extra["distribution"] == pytest.approx(shares[user.profile.attributes["Country"]])


@steady
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=20), st.binary(max_size=30))
def test_any_cells_give_users_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, cell: str, options: str, question: str, noise: bytes
) -> None:
    folder = tmp_path_factory.mktemp("goqa")
    path = folder / "global_opinions.csv"
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *ROWS, [question, cell, options, ""]])
    path.write_bytes(path.read_bytes() + noise)
    assert len(read_global_opinionqa(path).users) >= 2
    path.write_bytes(noise + path.read_bytes())
    with suppress(DatasetError):
        assert read_global_opinionqa(path).users
