"""OpinionQA in its published layout, written here; no file of theirs."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.errors import DatasetError, SettingsError
from idiolect.people.opinionqa import TOPICS, read_opinionqa
from idiolect.people.user import User

steady = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

SCALE = ["A lot", "A little", "Not at all"]
QUESTIONS = {
    "WORRY_W26": ("How much do you worry?", SCALE, [1.0, 2.0, 3.0]),
    "LIFE_W26": ("Is life better or worse?", ["Better", "Worse", "About the same"], [1.0, 2.0, 1.5]),
    "GUN_W26": ("Do you own a gun?", ["Yes, I own a gun", "No, I don't own any guns"], [1.0, 2.0]),
}
ATTRIBUTES = {"CREGION": ["Northeast", "South"], "POLPARTY": ["Republican", "Democrat"], "HOBBY": ["Chess"]}


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def write_wave(folder: Path, people: Sequence[Sequence[object]], *, header: Sequence[str] | None = None) -> Path:
    """A wave with QUESTIONS and ATTRIBUTES; a person is QKEY, answers, attributes."""
    folder.mkdir(parents=True, exist_ok=True)
    info: list[list[object]] = [["", "Unnamed: 0", "key", "option_mapping", "question", "references", "option_ordinal"]]
    for number, (key, (text, options, ordinal)) in enumerate(QUESTIONS.items()):
        shown = [*options, "Refused"]
        codes = dict(zip([*map(float, range(1, len(options) + 1)), 99.0], shown, strict=True))
        info.append([number, number, key, str(codes), text, str(shown), str(ordinal)])
    write_csv(folder / "info.csv", info)
    write_csv(folder / "metadata.csv", [["", "key", "options"], *([0, k, str(o)] for k, o in ATTRIBUTES.items())])
    write_csv(folder / "responses.csv", [header or ["", "QKEY", *QUESTIONS, *ATTRIBUTES], *([0, *p] for p in people)])
    return folder


ANN = ["100197.0", "A lot", "About the same", "Yes, I own a gun", "South", "Democrat", "Chess"]
BOB = ["100260.0", "3.0", "nan", "Refused", "Atlantis", "Refused", ""]


def test_respondents_become_users(tmp_path: Path) -> None:
    write_wave(tmp_path / "human_resp" / "American_Trends_Panel_W26", [ANN, BOB])
    read = read_opinionqa(tmp_path)
    ann, bob = read.users
    assert ann.id == "W26-100197"
    assert dict(ann.profile.attributes) == {"Region": "South", "Political party": "Democrat", "HOBBY": "Chess"}
    assert dict(ann.extra) == {"topic": "Guns", "respondent": "100197"}
    assert [(o.extra["id"], o.answer, o.question.ordinal) for o in ann.opinions] == [
        ("WORRY_W26", "A lot", True),
        ("LIFE_W26", "About the same", False),  # the middle option is shown last: no scale in the order shown
        ("GUN_W26", "Yes, I own a gun", True),
    ]
    assert ann.opinions[1].question.choices == ("Better", "Worse", "About the same")
    assert [o.answer for o in bob.opinions] == ["Not at all"]  # a numeric code
    assert not bob.profile
    assert (read.without_answer, read.other_attributes, read.broken.count) == (2, 1, 0)


@pytest.mark.parametrize("place", [".", "human_resp", "data/human_resp"])
def test_the_folder_may_be_any_above_the_waves(tmp_path: Path, place: str) -> None:
    write_wave(tmp_path / place / "American_Trends_Panel_W26", [ANN])
    write_wave(tmp_path / place / "American_Trends_Panel_W92", [ANN])
    users = read_opinionqa(tmp_path).users
    assert [user.id for user in users] == ["W26-100197", "W92-100197"]
    assert [user.id for user in read_opinionqa(tmp_path, topics=["political VIEWS"]).users] == ["W92-100197"]
    assert [user.id for user in read_opinionqa(tmp_path, topics=["w26", "W92"]).users] == [user.id for user in users]
    with pytest.raises(SettingsError, match="'W27'; choose from: Guns"):
        read_opinionqa(tmp_path, topics=["W27"])


def test_rows_have_numbers_where_respondents_have_none(tmp_path: Path) -> None:
    header = ["", *QUESTIONS, *ATTRIBUTES]
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [ANN[1:], ANN[1:]], header=header)
    users = read_opinionqa(wave).users
    assert [user.id for user in users] == ["W26-row-1", "W26-row-2"]
    assert dict(users[0].extra) == {"topic": "Guns"}


def test_equal_answers_are_one_object(tmp_path: Path) -> None:
    ann, other = read_opinionqa(write_wave(tmp_path / "American_Trends_Panel_W26", [ANN, ["7", *ANN[1:]]])).users
    assert all(a is b for a, b in zip(ann.opinions, other.opinions, strict=True))


def test_a_limit_keeps_the_same_people_in_every_order(tmp_path: Path) -> None:
    people = [[str(i), *ANN[1:]] for i in range(40)]
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [*people, BOB])
    kept = {user.id for user in read_opinionqa(wave, limit=7, min_opinions=2).users}
    write_wave(wave, people[::-1])
    assert {user.id for user in read_opinionqa(wave, limit=7).users} == kept
    assert len(kept) == 7
    assert {user.id for user in read_opinionqa(wave, limit=7, seed=1).users} != kept
    assert kept < {user.id for user in read_opinionqa(wave, limit=8).users}


def test_broken_rows_are_told_without_what_people_said(tmp_path: Path) -> None:
    secret = "my own words"
    wave = write_wave(
        tmp_path / "American_Trends_Panel_W26", [ANN, ANN, ["8", secret, *ANN[2:]], ["9", *ANN[1:], "a cell too much"]]
    )
    read = read_opinionqa(wave)
    assert [user.id for user in read.users] == ["W26-100197", "W26-8"]
    told = [str(record) for record in read.broken.first]
    assert told == [
        "American_Trends_Panel_W26/responses.csv: row 2: its QKEY is that of an earlier row, or cannot be stored",
        "American_Trends_Panel_W26/responses.csv: row 3, WORRY_W26: the answer is not one of the options",
        "American_Trends_Panel_W26/responses.csv: row 4: has 9 cells for 8 columns",
    ]
    assert secret not in "".join(told)


def test_bytes_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [ANN, BOB])
    for name in ("info.csv", "responses.csv"):
        path = wave / name
        path.write_bytes(
            b"\xef\xbb\xbf" + path.read_bytes().replace(b"I don't", b"I don\x92t").replace(b"A lot", b"A l\xf6t")
        )
    read = read_opinionqa(wave)
    assert read.users[0].opinions[0].answer == "A l\ufffdt"
    assert read.replaced == 1


@pytest.mark.parametrize(
    "cell",
    ["", "['One']", "['A', 'A']", "__import__('os').system('false')", "[" * 9000, "['A', {}]", "3", "['A', '\0']"],
)
def test_a_question_that_is_none_is_left_out(tmp_path: Path, cell: str) -> None:
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [ANN])
    lines = (wave / "info.csv").read_text().splitlines()
    write_csv(tmp_path / "more.csv", [[9, 9, "NEW_W26", "{}", "New?", cell, "[1.0, 2.0]"]])
    (wave / "info.csv").write_text("\n".join([*lines, (tmp_path / "more.csv").read_text()]))
    read = read_opinionqa(wave)
    assert len(read.users[0].opinions) == 3
    assert read.broken.count == 1


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such folder"):
        read_opinionqa(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="expected OpinionQA's folders American_Trends_Panel_W"):
        read_opinionqa(tmp_path)
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [BOB])
    with pytest.raises(DatasetError, match="nobody has 2 valid answers"):
        read_opinionqa(tmp_path, min_opinions=2)
    (wave / "info.csv").write_text("key,question\n")
    with pytest.raises(DatasetError, match=r"W26/info\.csv: has no column references"):
        read_opinionqa(tmp_path)
    (wave / "info.csv").write_text("")
    with pytest.raises(DatasetError, match="is empty"):
        read_opinionqa(tmp_path)
    (wave / "responses.csv").unlink()
    with pytest.raises(DatasetError, match=r"no wave has a responses\.csv"):
        read_opinionqa(tmp_path)


def test_every_wave_has_a_topic_of_its_own() -> None:
    assert len(TOPICS) == len(set(TOPICS.values())) == 15


CHOICES = [[*options] for _, options, _ in QUESTIONS.values()]


@steady
@given(
    st.lists(
        st.tuples(*(st.sampled_from([*options, "Refused", ""]) for options in CHOICES)).filter(
            lambda row: any(cell not in ("", "Refused") for cell in row)
        ),
        min_size=1,
        max_size=5,
    )
)
def test_users_to_the_layout_and_back(tmp_path_factory: pytest.TempPathFactory, answers: list[tuple[str, ...]]) -> None:
    people = [[str(number), *row, "South", "Democrat", ""] for number, row in enumerate(answers)]
    first = read_opinionqa(write_wave(tmp_path_factory.mktemp("a") / "American_Trends_Panel_W26", people)).users
    again = read_opinionqa(
        write_wave(tmp_path_factory.mktemp("b") / "American_Trends_Panel_W26", [_row(user) for user in first])
    ).users
    assert again == first
    said = [[cell for cell in row if cell not in ("", "Refused")] for row in answers]
    assert [[opinion.answer for opinion in user.opinions] for user in first] == said


def _row(user: User) -> list[str]:
    by_key = {opinion.extra["id"]: opinion.answer for opinion in user.opinions}
    attributes = user.profile.attributes
    return [
        user.extra["respondent"],
        *(by_key.get(key, "") for key in QUESTIONS),
        attributes["Region"],
        attributes["Political party"],
        "",
    ]


@steady
@given(st.sampled_from(["info.csv", "metadata.csv", "responses.csv"]), st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_give_users_or_an_error_of_ours(
    tmp_path_factory: pytest.TempPathFactory, name: str, noise: bytes, at: int
) -> None:
    wave = write_wave(tmp_path_factory.mktemp("w") / "American_Trends_Panel_W26", [ANN, BOB])
    whole = (wave / name).read_bytes()
    (wave / name).write_bytes(whole[:at] + noise + whole[at:])
    with suppress(DatasetError):
        assert read_opinionqa(wave).users
