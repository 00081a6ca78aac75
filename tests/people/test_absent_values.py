from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import UsersFileError
from idiolect.people.absent_values import MAX_FIELDS_NOTED, drop_absent
from idiolect.people.json_line import MAX_DEPTH, UnreadableLineError
from idiolect.people.users_file import UsersFileReport, read_users

NAN = float("nan")
TEA = {"question": "Tea?", "answer": "Yes"}


def dropped(record: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    notes = drop_absent(record)
    return record, [note.field for note in notes]


@pytest.mark.parametrize("nothing", [None, NAN])
def test_optional_fields_without_a_value_are_left_out(nothing: object) -> None:
    opinion = TEA | {"choices": nothing, "ordinal": nothing}
    record = {"id": "a", "profile": nothing, "texts": nothing, "opinions": [opinion]}
    fields = ["profile", "texts", "opinions[0].choices", "opinions[0].ordinal"]
    assert dropped(record) == ({"id": "a", "opinions": [TEA]}, fields)


def test_attributes_that_are_null_are_left_out() -> None:
    record = {"id": "a", "profile": {"Age": None, "Lives in": "a town"}}
    assert dropped(record) == ({"id": "a", "profile": {"Lives in": "a town"}}, ["profile.Age"])


def test_unknown_keys_keep_null_and_lose_nan() -> None:
    record = {"id": "a", "wave": None, "weight": NAN, "opinions": [TEA | {"at": None, "note": NAN}]}
    assert dropped(record) == (
        {"id": "a", "wave": None, "opinions": [TEA | {"at": None}]},
        ["weight", "opinions[0].note"],
    )


@pytest.mark.parametrize(
    "record",
    [{"id": NAN}, {"opinions": [{"answer": NAN}]}, {"x": {"y": NAN}}, {"profile": {"Age": NAN}}, {"texts": [NAN]}],
)
def test_nan_elsewhere_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(UnreadableLineError, match=r"NaN at .* is not a JSON number"):
        drop_absent(record)


def test_records_of_the_wrong_shape_and_deep_ones_are_left_to_the_check() -> None:
    deep: Any = NAN
    for _ in range(MAX_DEPTH * 2):
        deep = [deep]
    for record in ({"profile": [], "opinions": "none"}, {"opinions": [None, 7, []]}, {"x": deep}):
        assert dropped(dict(record)) == (record, [])


def test_file_with_empty_columns_is_read_and_each_column_is_noted_once(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    record = {"profile": None, "opinions": [TEA | {"choices": None}, TEA | {"question": "Milk?", "choices": None}]}
    path.write_text("\n".join(json.dumps(record | {"id": f"u{n}"}) for n in range(30)))
    reports: list[UsersFileReport] = []
    users = list(read_users(path, on_report=reports.append))
    assert [opinion.question.choices for opinion in users[29].opinions] == [(), ()]
    assert list(map(str, reports[0].notes)) == [
        f"{path}:1: profile: is null, and was taken as left out, and on 29 more lines",
        f"{path}:1: opinions[0].choices: is null, and was taken as left out, and on 29 more lines",
    ]
    assert reports[0].fault_count == 0


def test_notes_of_many_attributes_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(json.dumps({"id": "a", "texts": ["b"], "profile": {f"a{n}": None for n in range(500)}}))
    reports: list[UsersFileReport] = []
    (user,) = read_users(path, on_report=reports.append)
    assert (len(reports[0].notes), dict(user.profile.attributes)) == (MAX_FIELDS_NOTED, {})


def test_null_in_a_required_field_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(json.dumps({"id": None, "opinions": [{"question": None, "answer": None}]}))
    with pytest.raises(UsersFileError) as caught:
        read_users(path)
    assert [fault.split(": ")[1] for fault in caught.value.faults] == [
        "id",
        "opinions[0].question",
        "opinions[0].answer",
    ]
