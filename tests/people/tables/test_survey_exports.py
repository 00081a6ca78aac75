"""Exports as survey tools and spreadsheets write them: headers, answers, codes, encodings, and what is no table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import SettingsError, UsersFileError
from idiolect.people.tables.importing import ImportedUsers, import_users
from idiolect.people.tables.options import ImportOptions
from idiolect.people.user import Question


def imported(text: str | bytes, tmp_path: Path, **options: Any) -> ImportedUsers:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return import_users(path, ImportOptions(**options))


def column(answers: list[str], tmp_path: Path, **options: Any) -> ImportedUsers:
    """Return the import of a table with one question, "How?"."""
    rows = "".join(f'{n},"{answer}"\n' for n, answer in enumerate(answers))
    return imported(f"id,How?\n{rows}", tmp_path, **options)


def asked(result: ImportedUsers) -> Question:
    return next(o.question for user in result.users for o in user.opinions)


def answers(result: ImportedUsers) -> list[str]:
    return [opinion.answer for user in result.users for opinion in user.opinions]


def faults(result: ImportedUsers) -> list[str]:
    return [str(fault) for fault in result.report.faults]


def test_items_of_surveymonkey_have_the_question_before_them(tmp_path: Path) -> None:
    table = (
        "Respondent ID,How do you like these?,,,Why?\n,Food,Service,Other (please specify),Open-Ended Response\n"
        "1,Good,Poor,,Taste\n2,Poor,Good,,Price\n3,Good,Good,,\n"
    )
    assert [each.question for each in imported(table, tmp_path).report.questions] == [
        "How do you like these?: Food",
        "How do you like these?: Service",
        "Why?",
    ]


def test_equal_questions_of_qualtrics_have_their_codes(tmp_path: Path) -> None:
    table = (
        'ResponseId,Q1,Q2\nResponse ID,Do you agree?,Do you agree?\n"{""ImportId"":""_recordId""}",'
        '"{""ImportId"":""QID1""}","{""ImportId"":""QID2""}"\nR_1,Yes,No\nR_2,No,Yes\n'
    )
    result = imported(table, tmp_path)
    assert [each.question for each in result.report.questions] == ["Do you agree? (Q1)", "Do you agree? (Q2)"]
    assert not result.report.faults


def test_data_of_limesurvey_typeform_and_forms_is_no_question(tmp_path: Path) -> None:
    names = ["Date submitted", "Last page", "Start language", "Seed", "Network ID", "Stage Date (UTC)", "Start time"]
    table = ",".join(["#", *names, "Tea?"]) + "\n" + "".join(f"{n},{'a,' * len(names)}Yes\n" for n in "12")
    result = imported(table + "3" + ",b" * len(names) + ",No\n", tmp_path)
    assert set(result.report.left_out) == set(names)
    assert [user.id for user in result.users] == ["1", "2", "3"]


def test_questions_about_attributes_are_the_profile(tmp_path: Path) -> None:
    result = imported("id,What is your age?,Your gender,Tea?\n1,30,f,Yes\n2,40,m,No\n", tmp_path)
    assert dict(result.users[0].profile.attributes) == {"What is your age?": "30", "Your gender": "f"}


def test_title_above_the_header_is_left_out(tmp_path: Path) -> None:
    result = imported("Survey of 2026;;\n;;\nid;Tea?;Milk?\n1;Yes;No\n2;No;Maybe\n,3\n", tmp_path)
    assert [each.question for each in result.report.questions] == ["Tea?", "Milk?"]
    assert any("row 3 is the header" in note for note in result.report.notes)


def test_columns_without_a_name_are_noted(tmp_path: Path) -> None:
    result = imported(",Tea?,Milk?,\n0,Yes,No,\n1,No,Yes,\n", tmp_path)
    assert "columns without a name were left out: 1" in result.report.notes


def test_decimal_commas_are_no_delimiters(tmp_path: Path) -> None:
    result = imported("id;q1;q2\n" + "".join(f"{n};3,5;4,{n % 2}\n" for n in range(5)), tmp_path)
    assert "separated by ;" in result.report.format
    assert asked(column(["4,00", "5,0", "1", "2.0"], tmp_path)).choices == ("1", "2", "3", "4", "5")


@pytest.mark.parametrize(
    ("given", "choices"),
    [
        (["1 - Not at all", "3", "5 - Very much"], ("1 - Not at all", "2", "3", "4", "5 - Very much")),
        (["1 Not at all", "2", "4 Very much"], ("1 Not at all", "2", "3", "4 Very much")),
        (["0", "1", "2", "3 or more"], ("0", "1", "2", "3 or more")),
        (["60+", "18-29", "30-44"], ("18-29", "30-44", "60+")),
        (["-2", "0", "2", "1"], ("-2", "-1", "0", "1", "2")),
        (["-5", "-4", "-2", "0", "2", "5"], tuple(map(str, range(-5, 6)))),
    ],
)
def test_scales_of_numbers_are_in_their_order(given: list[str], choices: tuple[str, ...], tmp_path: Path) -> None:
    assert asked(column(given, tmp_path)) == Question("How?", choices, ordinal=True)


def test_negative_codes_beside_answers_are_no_answers(tmp_path: Path) -> None:
    assert answers(column(["-1", "1", "2", "3", "-9"], tmp_path)) == ["1", "2", "3"]
    assert answers(column(["-1", "1", "0"], tmp_path)) == ["1", "0"]


def test_dont_know_behind_a_code_makes_no_scale(tmp_path: Path) -> None:
    given = ["1 = Never", "2 = Often", "9 = Don't know", "99 = Refused"]
    result = column(given, tmp_path)
    assert (asked(result).ordinal, answers(result)) == (False, given[:3])
    assert asked(column(given, tmp_path, missing=("9 = Don't know", "99 = Refused"))).ordinal


@pytest.mark.parametrize(
    "entry",
    [
        "Prefer not to answer.",
        "(Refused)",
        "#NULL!",
        "#N/A",
        "<NA>",
        ".",
        "--",
        "k. A.",
        "I\u2019d rather not say",
        "n.a.",
    ],
)
def test_entries_that_are_no_answer_in_any_spelling(entry: str, tmp_path: Path) -> None:
    assert column(["Yes", "No", entry], tmp_path).report.no_answers == {entry: 1}


@pytest.mark.parametrize("entry", ["Don't know", "None", "Not sure", "Nothing."])
def test_entries_that_are_answers(entry: str, tmp_path: Path) -> None:
    assert entry in answers(column(["Yes", "No", entry, entry], tmp_path))


@pytest.mark.parametrize(
    "given",
    [
        ["Tea;Coffee", "Tea", "Coffee;Milk", "Milk", "Tea;Coffee", "Tea"],
        ["Tea, Coffee", "Tea", "Coffee, Milk", "Milk", "Tea, Coffee", "Tea"],
        ["Tea\nMilk", "Tea", "Milk", "Tea\nMilk"],
    ],
)
def test_several_answers_in_one_cell_are_free_text(given: list[str], tmp_path: Path) -> None:
    result = column(given, tmp_path)
    assert asked(result).choices == ()
    assert "several answers in one cell" in result.report.questions[0].why


def test_commas_inside_of_choices_are_no_separators(tmp_path: Path) -> None:
    given = ["Yes, a lot", "Yes, a little", "No, a lot", "No, a little"]
    assert asked(column(given * 2, tmp_path)).choices == tuple(given)


def test_stated_codes_fit_floats_and_the_best_set_counts(tmp_path: Path) -> None:
    options = {"scales": (("1=Never", "2=Sometimes", "3=Often"),), "sets": (("1=Yes", "2=No"),)}
    table = "id,Often?,Rain?\n1,1.0,1.0\n2,3.0,2.0\n3,2.0,\n"
    result = imported(table, tmp_path, **options)
    assert [each.choices for each in result.report.questions] == [("Never", "Sometimes", "Often"), ("Yes", "No")]
    assert answers(result) == ["Never", "Yes", "Often", "No", "Sometimes"]
    assert result.report.respelled == 0


def test_stated_choices_that_fit_no_question_are_noted(tmp_path: Path) -> None:
    result = column(["Never", "Often"], tmp_path, scales=(("Nvr", "Oftn"), ("Never", "Often")))
    assert result.report.notes == ('the stated choices "Nvr|Oftn" fit no question',)


@pytest.mark.parametrize("option", ["ordinal", "nominal"])
def test_scales_of_unknown_questions_are_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(SettingsError, match='no question "Hwo\\?"; it has, for example, "How\\?"'):
        column(["a", "b"], tmp_path, **{option: ("Hwo?",)})


def test_ids_that_look_alike_or_are_rounded_are_noted(tmp_path: Path) -> None:
    result = imported("id,Tea?\nAnn,Yes\nann,No\n1.23E+11,No\n", tmp_path)
    assert len(result.users) == 3
    assert any('such as "Ann" and "ann": different people' in note for note in result.report.notes)
    assert any(note.startswith("1 id is a rounded number") for note in result.report.notes)


def test_one_damaged_letter_does_not_change_the_encoding_of_all_others(tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match="is utf-8, but not at byte 25") as caught:
        imported("id,Möchten Sie Tee?\n1,n".encode() + b"\xe9\n2,h\xc3\xa4ufig\n", tmp_path)
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "encoding"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(100), "no table, but a zip archive or an Excel workbook: unpack it, or save it as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "an Excel workbook: save it as CSV"),
        (b"\x1f\x8b\x08" + bytes(100), "compressed with gzip: decompress it"),
        (b"$FL2@(#) SPSS" + bytes(100), "an SPSS file"),
        (b"\n<!DOCTYPE html><html>, </html>\n", "a page or document of marked-up text"),
        (("id," + "x" * 1200 + "\0y\n1,a\n2,b\n").encode(), "the name of a column contains a NUL character"),
        (b'[{"id": 1, "T\\ud800": "a"}, {"id": 2}]', "the name of a column contains a lone surrogate"),
        (b'{"id": {"0": "a"}, "Tea?": {"0": "Yes"}}', "contains no people"),
        (b'{"ann": {"answers": []}}', "contains no people"),
        (b'{"id": "a"}\n{"id": \n', r"is not JSON: Expecting value \(line 3\)"),
    ],
)
def test_files_of_other_kinds_have_one_message(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match=message):
        imported(content, tmp_path)


def test_rows_of_json_that_cannot_be_used_are_faults(tmp_path: Path) -> None:
    rows = [{"id": "a", "Tea?": {"x": 1}}, {"id": "b", "Tea?": "Yes\ud800"}, {"id": "c", "Tea?": "No"}]
    assert faults(imported(json.dumps(rows), tmp_path)) == [
        'row 2, column "Tea?": is an object; a row has only texts and numbers',
        "row 3: contains a lone surrogate (half a character)",
    ]


def test_people_under_their_ids_are_read(tmp_path: Path) -> None:
    people = {"ann": {"texts": ["One."]}, "ben": {"id": "b", "texts": ["Two."]}}
    assert [user.id for user in imported(json.dumps(people), tmp_path).users] == ["ann", "b"]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("between", ["\n", ",\n", "\n\n"])
def test_json_documents_in_a_row_are_read(tmp_path: Path, indent: int | None, between: str) -> None:
    people = [{"id": f"p{n}", "texts": ["One\u2028two."]} for n in range(3)]
    text = between.join(json.dumps(each, indent=indent, ensure_ascii=False) for each in people)
    assert [user.id for user in imported(text, tmp_path).users] == ["p0", "p1", "p2"]


def test_person_who_is_too_large_for_a_users_file_is_a_fault(tmp_path: Path) -> None:
    essay = "word " * 1_000_000
    result = imported(f"id,Tea?,one,two\n1,Yes,{essay},and {essay}\n2,No,a,b\n", tmp_path, texts=("one", "two"))
    assert [user.id for user in result.users] == ["2"]
    assert "row 2: this person has more than one line of a users file can have" in faults(result)[0]


def test_dates_that_are_no_numbers_do_not_decide(tmp_path: Path) -> None:
    table = "id,question,answer,date\n1,Tea?,Yes,nan\n1,Tea?,No,1\n2,Tea?,No,2\n"
    notes = imported(table, tmp_path).report.notes
    assert any('the column "date" does not count' in note for note in notes)
    assert any("decided by the order of the rows" in note for note in notes)


def test_items_of_one_question_have_one_range(tmp_path: Path) -> None:
    rows = "".join(f"{n},{1 + n % 5},{1 + n % 3},{n % 2}\n" for n in range(10))
    result = imported(f"id,Rate [Food],Rate [Price],Member\n{rows}", tmp_path)
    food, price, member = result.report.questions
    assert food.choices == price.choices == ("1", "2", "3", "4", "5")
    assert (price.why, member.choices) == ("numbers from 1 to 5, as in other questions", ("0", "1"))


def test_ratings_of_one_person_show_the_range_together(tmp_path: Path) -> None:
    rows = "".join(f"ann,Dish {n}?,{1 + n % 5}\n" for n in range(10))
    result = imported(f"id,question,answer\n{rows}", tmp_path)
    assert {each.choices for each in result.report.questions} == {("1", "2", "3", "4", "5")}
    assert len(answers(result)) == 10


def test_empty_column_with_the_name_of_another_is_no_fault(tmp_path: Path) -> None:
    result = imported("id,Tea?,Why?,Why?\n1,Yes,a,\n2,No,b,\n", tmp_path)
    assert not faults(result)
    assert [each.question for each in result.report.questions] == ["Tea?", "Why?"]


def test_further_ids_are_no_questions(tmp_path: Path) -> None:
    table = "Respondent ID,Session ID,Tea?\n1,a7,Yes\n2,b8,No\n"
    assert imported(table, tmp_path).report.left_out == {"Session ID": "another id"}
    assert [user.id for user in imported(table, tmp_path, id="Session ID").users] == ["a7", "b8"]


def test_row_with_the_texts_of_codes_is_a_header(tmp_path: Path) -> None:
    header = "CASE,A101,A102,A103\nInterview number,How is the food?,How is the price?,What else is there?\n"
    rows = "".join(f"{n},{1 + n % 5},{'Yes' if n % 2 else 'No'},It is {n} o'clock now\n" for n in range(6))
    result = imported(header + rows, tmp_path)
    assert [(each.question, each.kind) for each in result.report.questions] == [
        ("How is the food?", "scale"),
        ("How is the price?", "choices"),
        ("What else is there?", "free text"),
    ]
    assert [user.id for user in result.users] == list("012345")
    assert any("row 2 has the texts of the header's codes" in note for note in result.report.notes)


@pytest.mark.parametrize(
    "second", ["I like it,I do not,I never would", "4,Yes,It is late now", "Yes it is,No thanks,It is"]
)
def test_first_person_is_no_header(tmp_path: Path, second: str) -> None:
    rows = "".join(f"{n},It is {n} here,There are {n},I have {n}\n" for n in range(5))
    assert len(imported(f"id,A101,A102,A103\n9,{second}\n{rows}", tmp_path).users) == 6
