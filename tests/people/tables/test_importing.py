"""From the bytes of a table to users: both layouts, every guess, and every fault with its row and column."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiolect.errors import IdiolectError, SettingsError, UsersFileError
from idiolect.people.tables.importing import ImportedUsers, import_users
from idiolect.people.tables.options import ImportOptions
from idiolect.people.user import Question, User

SURVEY = """id,Age,Email,Do you like rain?,How spicy?,Rate soup,Best season?,Anything else?
1,18-29,a@b.example,Yes,Mild,4,Autumn,I walk.
2,30-44,b@b.example,No,hot,5,Spring,
3,,c@b.example,Prefer not to say,Medium,99,Autumn,"Rain, mostly"
4,45-60,d@b.example,Yes,Hot,2,Spring,Nothing at all
"""


def imported(text: str | bytes, tmp_path: Path, **options: Any) -> ImportedUsers:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return import_users(path, ImportOptions(**options))


def answers_of(user: User) -> dict[str, str]:
    return {opinion.question.text: opinion.answer for opinion in user.opinions}


def faults_of(result: ImportedUsers) -> list[str]:
    return [str(fault) for fault in result.report.faults]


def question_of(result: ImportedUsers, text: str) -> Question:
    return next(o.question for user in result.users for o in user.opinions if o.question.text == text)


def kinds(result: ImportedUsers) -> dict[str, str]:
    return {each.question: each.kind for each in result.report.questions}


def test_wide_table_becomes_one_user_per_row(tmp_path: Path) -> None:
    result = imported(SURVEY, tmp_path)
    assert [user.id for user in result.users] == ["1", "2", "3", "4"]
    assert dict(result.users[0].profile.attributes) == {"Age": "18-29"}
    assert answers_of(result.users[1]) == {
        "Do you like rain?": "No",
        "How spicy?": "Hot",
        "Rate soup": "5",
        "Best season?": "Spring",
    }
    assert kinds(result) == {
        "Do you like rain?": "choices",
        "How spicy?": "scale",
        "Rate soup": "scale",
        "Best season?": "choices",
        "Anything else?": "free text",
    }
    assert question_of(result, "How spicy?").choices == ("Mild", "Medium", "Hot")
    assert question_of(result, "Rate soup").choices == ("1", "2", "3", "4", "5")
    report = result.report
    assert (report.layout, report.rows, report.users, report.opinions) == ("wide", 4, 4, 17)
    assert report.roles == {"id": "id", "Age": "profile"} | {}
    assert report.left_out == {"Email": "identifies the person"}
    assert report.no_answers == {"Prefer not to say": 1, "99": 1, "": 1}
    assert report.respelled == 1
    assert faults_of(result) == []


def test_options_override_every_guess(tmp_path: Path) -> None:
    result = imported(
        SURVEY,
        tmp_path,
        id="Email",
        profile=("Best season?",),
        question=("Rate soup", "How spicy?", "Do you like rain?"),
        texts=("Anything else?",),
        nominal=("How spicy?",),
        scales=(("1", "2", "3", "4", "5", "6", "7"),),
        sets=(("Yes", "No", "Prefer not to say"),),
        missing=("99",),
    )
    assert result.users[0].id == "a@b.example"
    assert dict(result.users[1].profile.attributes) == {"Best season?": "Spring"}
    assert result.users[2].texts == ("Rain, mostly",)
    assert kinds(result) == {"Rate soup": "scale", "How spicy?": "choices", "Do you like rain?": "choices"}
    assert question_of(result, "Rate soup").choices[-1] == "7"
    assert answers_of(result.users[2])["Do you like rain?"] == "Prefer not to say"
    assert result.report.left_out == {"id": "not stated", "Age": "not stated"}


def test_codes_become_the_stated_texts(tmp_path: Path) -> None:
    table = "id,How often?,Rain?\n1,1,2\n2,3,1\n3,2,1\n"
    stated = ("1=Never", "2=Sometimes", "3=Often")
    result = imported(table, tmp_path, scales=(stated,), sets=(("1=Yes", "2=No"),))
    assert question_of(result, "How often?") == Question("How often?", ("Never", "Sometimes", "Often"), ordinal=True)
    assert [answers_of(user)["How often?"] for user in result.users] == ["Never", "Often", "Sometimes"]


LONG = """person,question,answer,choices,ordinal,Gender,date
ann,Tea or coffee?,Tea,Tea|Coffee,0,f,2026-01-02
ann,Tea or coffee?,Coffee,Tea|Coffee,0,f,2025-01-02
ben,Tea or coffee?,tea,"['Tea', 'Coffee']",0,m,2026-01-02
ben,How sure?,very,not|rather|very,1,m,2026-01-02
ben,Really?,Don't know,Yes;No;Don\u2019t know,,m,2026-01-03
"""


def test_long_table_becomes_users_with_the_newest_answers_by_date(tmp_path: Path) -> None:
    result = imported(LONG, tmp_path)
    ann, ben = result.users
    assert (answers_of(ann), dict(ann.profile.attributes)) == ({"Tea or coffee?": "Tea"}, {"Gender": "f"})
    assert answers_of(ben) == {"Tea or coffee?": "Tea", "How sure?": "very", "Really?": "Don\u2019t know"}
    assert question_of(result, "How sure?").ordinal
    assert (result.report.layout, result.report.superseded, result.report.respelled) == ("long", {"ann": 1}, 2)
    assert any('decided by the column "date"' in note for note in result.report.notes)


def test_without_dates_the_later_row_counts(tmp_path: Path) -> None:
    result = imported("id,question,answer\n1,Tea?,Yes\n2,Tea?,No\n1,Tea?,No\n", tmp_path)
    assert answers_of(result.users[0]) == {"Tea?": "No"}
    assert any("decided by the order of the rows" in note for note in result.report.notes)
    wide = imported("id,Tea?,Milk?\n1,Yes,No\n2,No,Yes\n1,No,\n", tmp_path)
    assert answers_of(wide.users[0]) == {"Tea?": "No", "Milk?": "No"}
    assert wide.report.superseded == {"1": 1}


def test_all_faults_are_reported_with_row_and_column(tmp_path: Path) -> None:
    table = (
        "id,question,answer,choices,date\n"
        ",Tea?,Yes,Yes|No,2026-01-01\n"
        "1,Tea?,Maybe,Yes|No,2026-01-01\n"
        "1,Tea?,2,Yes|No,2026-01-01\n"
        "1,Tea?,Yes,Yes,2026-01-01\n"
        "1,,Yes,Yes|No,2026-01-01\n"
        "1,Tea?,Yes,Yes|YES,2026-01-01\n"
        "1,Tea?,Yes,Yes|No,soon\n"
        "1,Tea?,Yes,Yes|No,2026-01-01,more\n"
    )
    result = imported(table, tmp_path, date="date")
    assert [fault.split(": ", 1)[0] for fault in faults_of(result)] == [
        'row 2, column "id"',
        'row 3, column "answer"',
        'row 4, column "answer"',
        'row 5, column "choices"',
        'row 6, column "question"',
        'row 7, column "choices"',
        'row 8, column "date"',
        "row 9",
    ]
    assert "code of a choice" in faults_of(result)[2]
    assert "Maybe" not in "".join(faults_of(result))
    assert str(result.report.error()).startswith(f"{tmp_path / 'table.csv'}: 8 faults, the first: row 2")


def test_columns_with_the_same_name_are_a_fault(tmp_path: Path) -> None:
    result = imported("id,Tea?,Tea?\n1,Yes,No\n2,No,No\n", tmp_path)
    assert faults_of(result) == ['row 1, column "Tea?": is in column 2 and again in column 3; rename one of them']


def test_quote_that_is_never_closed_is_one_fault(tmp_path: Path) -> None:
    result = imported('id,Tea?\n1,Yes\n2,"No\n3,Yes\n4,No\n', tmp_path)
    assert faults_of(result) == ["row 3: cannot be read as CSV: a quotation mark is opened and never closed"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "windows-1252"]
)
@pytest.mark.parametrize(("delimiter", "end"), [(",", "\n"), (";", "\r\n"), ("\t", "\n"), ("|", "\r")])
def test_encoding_delimiter_and_line_ends_are_found(tmp_path: Path, encoding: str, delimiter: str, end: str) -> None:
    rows = [["id", "Où allez-vous ?", "Thé?"], ["1", "Café, bar", "Oui"], ["2", "Café, bar", "Non"]]
    text = end.join(delimiter.join(f'"{cell}"' for cell in row) for row in rows * 1) + end
    result = imported(text.encode(encoding), tmp_path)
    assert answers_of(result.users[0]) == {"Où allez-vous ?": "Café, bar", "Thé?": "Oui"} or (
        answers_of(result.users[0]) == {"Thé?": "Oui"}
    )
    assert [each.question for each in result.report.questions] == ["Où allez-vous ?", "Thé?"]


def test_line_breaks_inside_cells_do_not_change_the_numbers_of_rows(tmp_path: Path) -> None:
    table = 'id,question,answer,choices\n1,"Tea\nor\ncoffee?",Tea,Tea|Coffee\n2,"Tea\nor\ncoffee?",Milk,Tea|Coffee\n'
    result = imported(table, tmp_path)
    assert faults_of(result)[0].startswith('row 3, column "answer"')


def test_numbers_that_pandas_made_floats_are_whole_again(tmp_path: Path) -> None:
    result = imported("id,Rate\n1.0,3.0\n2.0,5.0\n", tmp_path)
    assert [(user.id, user.opinions[0].answer) for user in result.users] == [("1", "3"), ("2", "5")]
    assert question_of(result, "Rate").choices == ("1", "2", "3", "4", "5")


def test_scales_are_completed_and_dont_know_makes_them_choices(tmp_path: Path) -> None:
    table = "id,Parks?,Roads?\n1,Agree,Agree\n2,Strongly disagree,Don't know\n3,Disagree,Disagree\n4,agree,Agree\n"
    result = imported(table, tmp_path)
    assert question_of(result, "Parks?") == Question(
        "Parks?", ("Strongly disagree", "Disagree", "Agree", "Strongly agree"), ordinal=True
    )
    roads = question_of(result, "Roads?")
    assert (roads.choices[-1], roads.ordinal) == ("Don't know", False)
    again = imported(table, tmp_path, missing=("Don't know",))
    assert question_of(again, "Roads?").ordinal


def test_question_that_everybody_answered_alike_is_left_out_with_the_way_out(tmp_path: Path) -> None:
    table = "id,Tea?,Milk?\n1,Yes,Oat\n2,No,Oat\n"
    result = imported(table, tmp_path)
    assert kinds(result) == {"Tea?": "choices", "Milk?": "left out"}
    assert "state the choices" in result.report.questions[1].why
    assert kinds(imported(table, tmp_path, sets=(("Oat", "Cow"),)))["Milk?"] == "choices"


def test_scale_of_unknown_order_needs_its_order(tmp_path: Path) -> None:
    table = "id,Size?\n" + "".join(f"{n},{'SML'[n % 3]}\n" for n in range(9))
    result = imported(table, tmp_path, ordinal=("Size?",))
    assert kinds(result) == {"Size?": "left out"}
    assert kinds(imported(table, tmp_path, scales=(("S", "M", "L"),))) == {"Size?": "scale"}


def test_answers_outside_of_stated_choices_are_faults(tmp_path: Path) -> None:
    result = imported("id,Size?\n1,S\n2,M\n3,Huge\n", tmp_path, scales=(("S", "M", "L"),))
    assert faults_of(result) == [
        'row 4, column "Size?": is not one of the 3 choices; if it stands for no answer, state it as missing'
    ]


def test_second_headers_of_survey_tools_are_understood(tmp_path: Path) -> None:
    qualtrics = (
        'StartDate,ResponseId,Q1,Q2\nStart Date,Response ID,Tea or coffee?,Milk?\n"{""ImportId"":""startDate""}",'
        '"{""ImportId"":""_recordId""}","{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"\n'
        "2026-01-01,R_1,Tea,Yes\n2026-01-02,R_2,Coffee,No\n2026-01-02,R_3,Tea,No\n"
    )
    result = imported(qualtrics, tmp_path)
    assert [user.id for user in result.users] == ["R_1", "R_2", "R_3"]
    assert answers_of(result.users[0]) == {"Tea or coffee?": "Tea", "Milk?": "Yes"}
    monkey = (
        "Respondent ID,Tea or coffee?,Why?\n,Response,Open-Ended Response\n1,Tea,Habit\n2,Coffee,It is strong\n3,Tea,\n"
    )
    assert [user.id for user in imported(monkey, tmp_path).users] == ["1", "2", "3"]


def test_headers_that_are_codes_are_noted(tmp_path: Path) -> None:
    result = imported("id,Q1,Q2\n1,Yes,No\n2,No,No\n", tmp_path)
    assert any("look like codes" in note for note in result.report.notes)


def test_rows_without_ids_are_named_by_their_number(tmp_path: Path) -> None:
    result = imported("Tea?,Milk?\nYes,No\nNo,Yes\n", tmp_path)
    assert [user.id for user in result.users] == ["row-2", "row-3"]


@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"users": v}])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_lists_of_people_are_converted(tmp_path: Path, wrap: Any, indent: int | None) -> None:
    people = [{"id": "a", "profile": None, "texts": ["Hello."], "x": float("nan")}, {"id": "b", "texts": ["Bye."]}]
    result = imported(json.dumps(wrap(people), indent=indent), tmp_path)
    assert result.users == (User("a", texts=("Hello.",)), User("b", texts=("Bye.",)))
    assert len(result.report.notes) == 2


def test_faults_of_people_in_json_are_named(tmp_path: Path) -> None:
    result = imported(
        json.dumps([{"id": "a", "texts": ["b"]}, {"id": 7, "texts": [1]}, {"id": "a", "texts": ["c"]}]), tmp_path
    )
    assert [fault.split(": ")[0] for fault in faults_of(result)] == [
        'row 2, column "id"',
        'row 2, column "texts[0]"',
        'row 3, column "id"',
    ]


def test_json_rows_are_a_table(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "Tea?": "Yes", "Rate": 3.0},
        {"id": 2, "Tea?": None, "Rate": float("nan")},
        {"id": 3, "Tea?": "No"},
    ]
    for text in (json.dumps(rows), "\n".join(map(json.dumps, rows))):
        result = imported(text, tmp_path)
        assert [(user.id, answers_of(user)) for user in result.users] == [
            ("1", {"Tea?": "Yes", "Rate": "3"}),
            ("3", {"Tea?": "No"}),
        ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"only one column\nYes\nNo\n", "single column"),
        (b"{broken", "is not JSON"),
        (b"[1, 2]", "no people"),
        (b"\0\1\0\2" * 1000, "single column"),
        (b"id,a\x81\n1,2\n", "is not windows-1252 at byte 5"),
    ],
)
def test_file_without_a_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsersFileError, match=message):
        imported(content, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "Ag"}, 'no column "Ag"; it has, for example, "Age"'),
        ({"answer": "Rate soup"}, "no column is named like questions"),
        ({"layout": "wide", "date": "Age"}, "date names a column"),
        ({"layout": "long"}, "no column is named like questions"),
        ({"encoding": "utf-9"}, "no encoding 'utf-9'"),
        ({"delimiter": ",,"}, "must be a single character"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        imported(SURVEY, tmp_path, **options)


def test_cells_of_a_hundred_thousand_characters_are_read(tmp_path: Path) -> None:
    result = imported(f"id,Tea?,essay\n1,Yes,{'word ' * 60_000}\n2,No,short\n", tmp_path, texts=("essay",))
    assert len(result.users[0].texts[0]) > 250_000


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300) | st.text(alphabet='ab19,;\t|"\n\r?={}[]:', max_size=200).map(str.encode))
def test_any_bytes_are_imported_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table"
        path.write_bytes(content)
        try:
            result = import_users(path)
        except IdiolectError:
            return
        assert result.users or result.report.faults
