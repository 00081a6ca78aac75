"""OpinionQA in its published layout, written here; no file of theirs."""

from __future__ import annotations

import csv
import gzip
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

Rows = list[list[object]]

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
    info: Rows = [["", "Unnamed: 0", "key", "option_mapping", "question", "references", "option_ordinal"]]
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
    assert dict(bob.profile.attributes) == {"Region": "Atlantis"}  # not published, but what the file has
    assert (read.without_answer, read.other_attributes, read.broken.count) == (2, 1, 0)


@pytest.mark.parametrize("place", [".", "human_resp", "data/human_resp", "opinions_qa-main/data/human_resp"])
def test_the_folder_may_be_any_above_the_waves(tmp_path: Path, place: str) -> None:
    write_wave(tmp_path / place / "American_Trends_Panel_W26", [ANN])
    write_wave(tmp_path / place / "American_Trends_Panel_W92", [ANN])
    users = read_opinionqa(tmp_path).users
    assert [user.id for user in users] == ["W26-100197", "W92-100197"]
    assert [user.id for user in read_opinionqa(tmp_path, topics=["political VIEWS"]).users] == ["W92-100197"]
    assert [user.id for user in read_opinionqa(tmp_path, topics=["w26", "W92"]).users] == [user.id for user in users]
    with pytest.raises(SettingsError, match="'W27'; choose from: Guns"):
        read_opinionqa(tmp_path, topics=["W27"])


def test_an_archive_may_nest_a_folder_in_its_like(tmp_path: Path) -> None:
    for wave in ("American_Trends_Panel_W26", "American_Trends_Panel_W92"):
        write_wave(tmp_path / "human_resp" / wave / wave, [ANN])
        write_wave(tmp_path / "copies" / "of" / "human_resp" / wave, [ANN, BOB])
    assert [user.id for user in read_opinionqa(tmp_path).users] == ["W26-100197", "W92-100197"]
    assert len(read_opinionqa(tmp_path / "copies").users) == 4


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


@pytest.mark.parametrize("name", ["info.csv", "metadata.csv", "responses.csv"])
def test_tables_may_be_compressed_or_of_another_system(tmp_path: Path, name: str) -> None:
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [ANN, BOB])
    expected = read_opinionqa(wave)
    text = (wave / name).read_text(encoding="utf-8")
    (wave / name).write_text(text.replace("\r\n", "\n").replace("\n", "\r\n"), encoding="utf-16", newline="")
    assert read_opinionqa(wave) == expected
    (wave / f"{name}.gz").write_bytes(gzip.compress(text.encode("utf-8-sig")))
    (wave / name).unlink()
    assert read_opinionqa(wave) == expected
    (wave / f"{name}.gz").rename(wave / name)  # gzip under a name that does not show it
    assert read_opinionqa(wave / "responses.csv") == expected
    (wave / name).write_bytes(gzip.compress(text.encode())[:-20])
    with pytest.raises(DatasetError, match="not a whole gzip file"):
        read_opinionqa(wave)
    (wave / name).write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(DatasetError, match="is a zip archive; unpack it"):
        read_opinionqa(wave)


def test_messages_list_what_is_there_instead(tmp_path: Path) -> None:
    (tmp_path / "human_resp.zip").write_bytes(b"PK")
    with pytest.raises(DatasetError, match=r"it contains human_resp\.zip; unpack the archives first"):
        read_opinionqa(tmp_path)
    wave = write_wave(tmp_path / "American_Trends_Panel_W26", [ANN])
    (wave / "metadata.csv").write_text("code;options\n")
    with pytest.raises(DatasetError, match=r"has no column key, options; .* Its columns are: code;options"):
        read_opinionqa(wave)


def wave_of(folder: Path, info: Rows, people: Rows, attributes: dict[str, list[str]]) -> Path:
    """A wave from rows of `info.csv` (key, text, options, places) and people (answers by key, attributes)."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [["key", "question", "references", "option_ordinal", "option_mapping"]]
    for key, text, options, places in info:
        assert isinstance(options, list)
        codes = {float(n): option for n, option in enumerate(options, start=1)}
        rows.append([str(key), str(text), str(options), str(places), str(codes)])
    write_csv(folder / "info.csv", rows)
    write_csv(folder / "metadata.csv", [["key", "options"], *([key, str(o)] for key, o in attributes.items())])
    keys = list(dict.fromkeys(str(row[0]) for row in info))
    write_csv(folder / "responses.csv", [["QKEY", *keys, *attributes], *people])
    return folder


ORIGINS = {"ORIGIN": ["Hill", "Coast", "Other"], "SEX": ["Male", "Female"]}
YES_NO = ["Yes", "No", "Refused"]


def test_a_question_is_put_in_the_wording_of_the_persons_group(tmp_path: Path) -> None:
    info: Rows = [
        ["ROOTS", "Does being from the coast matter to you?", YES_NO, [1.0, 2.0]],
        ["ROOTS", "Does being from the hills matter to you?", YES_NO, [1.0, 2.0]],
        ["ROOTS", "Does your origin matter to you?", YES_NO, [1.0, 2.0]],
        ["PAY", "As a woman, are you paid well?", YES_NO, [1.0, 2.0]],
        ["PAY", "As a man, are you paid well?", YES_NO, [1.0, 2.0]],
        ["TEA", "Do you like tea?", YES_NO, [1.0, 2.0]],
    ]
    people: Rows = [
        ["1", "Yes", "No", "Yes", "Hill", "Female"],
        ["2", "Yes", "No", "Yes", "coast", "Male"],
        ["3", "Yes", "No", "Yes", "Other", ""],
        ["4", "Yes", "2.0", "Yes", "Abroad", "Male"],
        ["5", "Refused", "", "Yes", "", ""],
    ]
    read = read_opinionqa(wave_of(tmp_path / "American_Trends_Panel_W43", info, people, ORIGINS))
    asked = [[opinion.question.text for opinion in user.opinions] for user in read.users]
    tea = "Do you like tea?"
    assert asked == [
        ["Does being from the hills matter to you?", "As a woman, are you paid well?", tea],
        ["Does being from the coast matter to you?", "As a man, are you paid well?", tea],
        ["Does your origin matter to you?", tea],  # the sex is not known
        ["As a man, are you paid well?", tea],  # "Abroad" is not published: who knows which wording they got?
        [tea],
    ]
    assert (read.other_wording, read.without_answer, read.broken.count) == (2, 2, 0)


@pytest.mark.parametrize(
    "wordings",
    [
        ["Is life on the coast good?", "Is living on the coast good?"],  # both name the coast
        ["Is life good?", "Is life bad?"],  # none names anybody
        ["Do men on the coast work?", "Do women in the hills work?"],  # two attributes fit equally well
    ],
)
def test_wordings_that_cannot_be_attributed_are_left_out(tmp_path: Path, wordings: list[str]) -> None:
    info: Rows = [["LIFE", text, YES_NO, [1.0, 2.0]] for text in wordings]
    info.append(["TEA", "Do you like tea?", YES_NO, [1.0, 2.0]])
    people: Rows = [["1", "Yes", "No", "Coast", "Female"], ["2", "Yes", "No", "Hill", "Male"]]
    read = read_opinionqa(wave_of(tmp_path / "W43", info, people, ORIGINS))
    assert [[o.question.text for o in user.opinions] for user in read.users] == [["Do you like tea?"]] * 2
    assert read.broken.count == 1
    assert "has 2 wordings, and who was asked which one cannot be told from them" in str(read.broken.first[0])


def test_the_longer_value_is_the_one_that_is_named(tmp_path: Path) -> None:
    views = {"VIEWS": ["Very bold", "Bold", "Shy"]}
    info: Rows = [["V", f"Do people call you {word}?", YES_NO, [1.0, 2.0]] for word in ("bold", "very bold", "shy")]
    people: Rows = [[str(n), "Yes", view] for n, view in enumerate(views["VIEWS"])]
    read = read_opinionqa(wave_of(tmp_path / "W43", info, people, views))
    assert [user.opinions[0].question.text for user in read.users] == [
        "Do people call you very bold?",
        "Do people call you bold?",
        "Do people call you shy?",
    ]


def test_wordings_need_the_column_that_decides(tmp_path: Path) -> None:
    info: Rows = [
        ["PAY", "As a woman, are you paid well?", YES_NO, [1.0, 2.0]],
        ["PAY", "As a man, are you paid well?", YES_NO, [1.0, 2.0]],
        ["PAY", "As a man, are you paid well?", YES_NO, [1.0, 2.0]],
        ["TEA", "Do you like tea?", YES_NO, [1.0, 2.0]],
    ]
    wave = wave_of(tmp_path / "W43", info, [["1", "Yes", "No", "Hill", "Male"]], ORIGINS)
    assert len(read_opinionqa(wave).users[0].opinions) == 2
    write_csv(wave / "responses.csv", [["QKEY", "PAY", "TEA"], ["1", "Yes", "No"]])
    read = read_opinionqa(wave)
    assert [o.extra["id"] for o in read.users[0].opinions] == ["TEA"]
    assert [record.message for record in read.broken.first] == [
        "repeats an earlier row",
        "has 2 wordings, and who was asked which one depends on SEX, which is no column; it is left out",
    ]


def test_options_after_the_scale_are_refusals(tmp_path: Path) -> None:
    unsure = ["Well", "So so", "Badly", "Not sure", "Refused"]
    info: Rows = [
        ["A", "How do you sleep?", unsure, [1.0, 2.0, 3.0]],
        ["B", "How do you eat?", unsure, [1.0, 3.0, 2.0]],
        ["C", "How do you walk?", unsure, "nan"],
    ]
    people: Rows = [
        ["1", "Well", "Badly", "Not sure", "Hill", "Male"],
        ["2", "Not sure", "4.0", "So so", "Hill", "Male"],
        ["3", "5.0", "2", "Lost", "Hill", "Male"],
    ]
    read = read_opinionqa(wave_of(tmp_path / "W43", info, people, ORIGINS))
    sleep, eat, walk = read.users[0].opinions
    assert (sleep.question.choices, sleep.question.ordinal) == (("Well", "So so", "Badly"), True)
    assert dict(sleep.extra) == {"id": "A"}
    assert (eat.question.choices, eat.question.ordinal) == (("Well", "So so", "Badly"), False)
    assert dict(eat.extra) == {"id": "B", "places": [1.0, 3.0, 2.0]}
    assert walk.question.choices == ("Well", "So so", "Badly", "Not sure")  # without places nothing is known of it
    assert [[o.answer for o in user.opinions] for user in read.users[1:]] == [["So so"], ["So so"]]
    assert (read.without_answer, read.broken.count) == (3, 1)


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
