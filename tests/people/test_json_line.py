from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.people.json_line import (
    MAX_DEPTH,
    MAX_VALUES,
    TOO_MANY_VALUES,
    UnreadableLineError,
    field_path,
    object_problems,
    parse_object,
    printable,
)
from tests.people.strategies import storable_json


def problems_of(line: str) -> list[str]:
    return [str(problem) for problem in object_problems(parse_object(line.encode()))]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "is not JSON: Expecting property name"),
        (b'{"a": 1} {"b": 2}', "is not JSON: Extra data"),
        (b'{"id": "a",', "; expected one whole object {…} per line"),
        (b"id,question,answer", "; expected one whole object {…} per line"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "a number is too large"),
        (b'{"a": ' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a": "\xff"}', "is not UTF-8 at byte 8 of the line"),
        (b'{"a": "\xed\xa0\x80"}', "is not UTF-8 at byte 8"),
        (b'{"a": "\0"}', "contains a NUL byte"),
        (b'{"a": "\t"}', "Invalid control character"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        (b"[1]", "must be an object {…}, but is a list"),
        (b'"text"', "but is text"),
        (b"null", "but is null"),
        (b"true", "but is true or false"),
        (b"7", "but is a number"),
        (b'{"a": ' + b"[" * 100_000, f"more than {MAX_DEPTH} levels deep"),
        (b'{"a":' * 100_000, f"more than {MAX_DEPTH} levels deep"),
    ],
)
def test_line_that_holds_no_object_is_refused_in_plain_words(line: bytes, message: str) -> None:
    with pytest.raises(UnreadableLineError) as caught:
        parse_object(line)
    assert message in str(caught.value)


def test_repeated_key_is_named_at_any_depth() -> None:
    line = '{"id": "u", "id": "v", "opinions": [{"answer": "a"}, {"answer": "a", "answer": "b", "answer": "c"}]}'
    assert problems_of(line) == ["id: is given more than once", "opinions[1].answer: is given more than once"]


def test_nul_and_lone_surrogates_are_found_in_values_and_names() -> None:
    line = r'{"a": ["\u0000", "\ud83d"], "b\u0000": {"\udc00": 1}, "fine": "\ud83d\ude00"}'
    assert problems_of(line) == [
        r'["b\x00"]: has a name that contains a NUL character',
        "a[0]: contains a NUL character",
        "a[1]: contains a lone surrogate (half a character)",
        r'["b\x00"]["\udc00"]: has a name that contains a lone surrogate (half a character)',
    ]


@pytest.mark.parametrize(("levels", "faults"), [(MAX_DEPTH - 1, 0), (MAX_DEPTH, 1), (MAX_DEPTH + 100, 1)])
def test_depth_is_limited(levels: int, faults: int) -> None:
    assert len(problems_of('{"a": ' + "[" * levels + "]" * levels + "}")) == faults


def test_number_of_values_is_limited() -> None:
    assert object_problems({"a": [1] * (MAX_VALUES - 1)}) == []
    assert object_problems({"a": [1] * MAX_VALUES}) == [TOO_MANY_VALUES]


@pytest.mark.parametrize("part", ["1", "{}", '"a,\\",[\\\\"'])
def test_more_values_than_a_record_may_have_are_not_parsed(part: str) -> None:
    line = f'{{"a": [{",".join([part] * (MAX_VALUES + 1))}]}}'
    with pytest.raises(UnreadableLineError, match="contains more than 250,000 values"):
        parse_object(line.encode())
    assert len(parse_object(line.replace(f"{part},", "", 1).encode())["a"]) == MAX_VALUES


@pytest.mark.parametrize(
    "text", ["," * MAX_VALUES, '\\"' * MAX_VALUES + "," * MAX_VALUES, "\\\\" * MAX_VALUES + "," * MAX_VALUES]
)
def test_commas_in_texts_are_no_values(text: str) -> None:
    assert set(parse_object(f'{{"a": "{text}", "b": 1}}'.encode())) == {"a", "b"}


@pytest.mark.parametrize("line", ['{"a": "%s', '{"a": "%s\\', '{"a": [%s', '"' * 3 * MAX_VALUES + "%s"])
def test_commas_of_a_line_that_does_not_end_are_counted_quickly(line: str) -> None:
    with pytest.raises(UnreadableLineError):
        parse_object((line % ("," * MAX_VALUES)).encode())


def test_values_that_json_does_not_know_are_found() -> None:
    record = {"a": {1, 2}, "b": float("nan"), 3: "x", "c": {"d": (1,)}}
    assert [str(problem) for problem in object_problems(record)] == [  # type: ignore[arg-type]
        '["3"]: has a name that is a number, must be text',
        "a: is of the type set, which JSON does not support",
        "b: is not a finite number",
        "c.d: is of the type tuple, which JSON does not support",
    ]


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ((), "line"),
        (("opinions", 3, "answer"), "opinions[3].answer"),
        (("profile", "Household Income"), 'profile["Household Income"]'),
        (("a\nb",), r'["a\nb"]'),
        (("x" * 500,), '["' + "x" * 39 + '…"]'),
    ],
)
def test_field_path_is_short_and_on_one_line(steps: tuple[str | int, ...], path: str) -> None:
    assert field_path(steps) == path


@given(st.text(st.characters()))
def test_printable_text_is_printable(text: str) -> None:
    assert printable(text).isprintable()


@given(st.dictionaries(st.text(max_size=5).filter(lambda key: "\0" not in key), storable_json(), max_size=3))
def test_any_json_object_is_read_as_json_reads_it(record: dict[str, object]) -> None:
    assert parse_object(json.dumps(record).encode()) == record
    assert object_problems(record) == []
