from __future__ import annotations

import codecs
import io
import json
import os
import tempfile
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from idiolect.errors import UsersFileError
from idiolect.people import users_file
from idiolect.people.user import User
from idiolect.people.users_file import Fault, UsersFileReport, read_users, write_users
from tests.people.strategies import any_json, users


def line(user_id: object, **changes: object) -> bytes:
    return json.dumps({"id": user_id, "texts": ["Hello."]} | changes).encode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "people.jsonl"


def ids(users: Iterator[User]) -> list[str]:
    return [user.id for user in users]


def check_users_file(source: str | Path) -> UsersFileReport:
    """The report on a file, whether or not it has faults; what cannot be read at all raises."""
    reports: list[UsersFileReport] = []
    try:
        read_users(source, on_report=reports.append)
    except UsersFileError:
        if not reports:
            raise
    return reports[0]


def faults_of(path: Path, content: bytes) -> list[str]:
    path.write_bytes(content)
    return [f"{fault.line}: {fault.field}: {fault.message}" for fault in check_users_file(path).faults]


def test_fault_prints_on_one_line_as_file_line_field_and_message() -> None:
    assert str(Fault("people.jsonl", 3, "opinions[0].answer", "is blank")) == (
        "people.jsonl:3: opinions[0].answer: is blank"
    )
    assert str(Fault("a\nb\udcff", 1, "id", "is missing")) == r"a\nb\udcff:1: id: is missing"


def test_users_are_read_in_the_order_of_the_file(path: Path) -> None:
    path.write_bytes(b"\n".join(line(f"u{number}") for number in (3, 1, 2)))
    assert ids(read_users(path)) == ids(read_users(str(path))) == ["u3", "u1", "u2"]


@pytest.mark.parametrize(
    "content",
    [
        codecs.BOM_UTF8 + line("a") + b"\n" + line("b") + b"\n",
        line("a") + b"\r\n" + line("b") + b"\r\n",
        b"\n  \n" + line("a") + b"\n\t\r\n\n" + line("b") + b"\n\n",
        line("a") + b"\n" + line("b"),
        b"  " + line("a") + b"  \n" + line("b", x="\u2028\u0085") + b"\n",
    ],
    ids=["byte order mark", "CRLF", "blank lines", "no last line end", "blanks and Unicode line ends"],
)
def test_harmless_variants_are_accepted(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert ids(read_users(path)) == ["a", "b"]


def test_report_counts_users_opinions_and_texts(path: Path) -> None:
    path.write_bytes(b"\n".join([line("a"), line("b", opinions=[{"question": "Q", "answer": "A"}] * 2), b"{}"]))
    report = check_users_file(path)
    assert (report.users, report.invalid_lines) == (2, 1)
    assert str(report) == f"{path}: 2 faults on 1 line"


def test_report_without_faults_says_how_many_users(path: Path) -> None:
    path.write_bytes(line("a"))
    assert str(check_users_file(path)) == f"{path}: 1 user"


def test_all_faults_of_a_file_are_raised_before_any_user(path: Path) -> None:
    path.write_bytes(b"\n".join([line("a"), b"{", line("b", texts=[1, ""]), line("a"), line("c", note="\ud800")]))
    with pytest.raises(UsersFileError) as caught:
        read_users(path)
    assert caught.value.faults == (
        f"{path}:2: line: is not JSON: Expecting property name enclosed in double quotes (character 2 of the line)"
        "; expected one whole object {…} per line",
        f'{path}:3: texts[0]: must be text, but is a number; write it in quotes, such as "1"',
        f"{path}:3: texts[1]: is blank",
        f"{path}:4: id: is the same as on line 1",
        f"{path}:5: note: contains a lone surrogate (half a character)",
    )
    assert str(caught.value) == f"{path}: 5 faults on 4 lines, the first: {caught.value.faults[0]}"


def test_invalid_lines_are_left_out_on_request_and_reported(path: Path) -> None:
    path.write_bytes(b"\n".join([b"[]", line("a"), b"{", b"", line("b"), line("a"), line("c"), b"nonsense"]))
    reports: list[UsersFileReport] = []
    assert ids(read_users(path, skip_invalid=True, on_report=reports.append)) == ["a", "b", "c"]
    assert [fault.line for fault in reports[0].faults] == [1, 3, 6, 8]
    assert (reports[0].users, reports[0].invalid_lines) == (3, 4)


def test_report_is_handed_over_before_faults_are_raised(path: Path) -> None:
    path.write_bytes(b"{")
    reports: list[UsersFileReport] = []
    with pytest.raises(UsersFileError):
        read_users(path, on_report=reports.append)
    assert len(reports) == 1


@pytest.mark.parametrize("content", [b"", b"{\n[]", line("a").decode().encode("utf-16")])
def test_file_without_a_valid_user_is_an_error_even_when_invalid_lines_are_skipped(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UsersFileError):
        read_users(path, skip_invalid=True)


def test_repeated_id_names_the_line_of_the_first_even_if_that_is_invalid(path: Path) -> None:
    content = b"\n".join([line("a", texts=7), line("b"), b"", line("a"), line("a")])
    assert faults_of(path, content)[1:] == ["4: id: is the same as on line 1", "5: id: is the same as on line 1"]


@pytest.mark.parametrize("content", [b"", b"\n \r\n", codecs.BOM_UTF8])
def test_empty_file_is_a_fault(path: Path, content: bytes) -> None:
    assert faults_of(path, content) == ["1: file: is empty; expected one user per line"]


def test_broken_utf8_is_a_fault_of_its_line_only(path: Path) -> None:
    content = b"\n".join([line("a"), b'{"id": "b\xff"}', line("c"), b'{"id": "\xc3'])
    assert faults_of(path, content) == [
        "2: line: is not UTF-8 at byte 10 of the line",
        "4: line: is not UTF-8 at byte 9 of the line",
    ]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-16", "UTF-16"), ("utf-16-be", "UTF-16"), ("utf-32", "UTF-32"), ("utf-32-be", "UTF-32")],
)
def test_wide_encoding_is_one_clear_fault(path: Path, encoding: str, name: str) -> None:
    content = ("\ufeff" if encoding.endswith("be") else "") + "\n".join([line("a").decode(), line("b").decode()])
    (fault,) = faults_of(path, content.encode(encoding))
    assert fault.startswith(f"1: file: must be UTF-8, but is {name}: convert it (iconv -f {name} -t UTF-8 ")


def test_byte_order_mark_after_the_first_line_is_a_fault(path: Path) -> None:
    content = line("a") + b"\n" + codecs.BOM_UTF8 + line("b")
    assert faults_of(path, content) == [
        "2: line: starts with a byte order mark, which is allowed only in a file's first line"
    ]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"{'id': 'a'}", "1: line: is not JSON"),
        (b'{"id": "a", "texts": ["b", NaN]}', "1: line: is not JSON: NaN at texts[1] is not a JSON number"),
        (b'{"id": "a", "texts": ["b"], "profile": {"Age": NaN}}', "1: line: is not JSON: NaN at profile.Age is not"),
        (b'{"id": "a", "texts": ["b"], "x": {"y": [NaN]}}', "1: line: is not JSON: NaN at x.y[0] is not"),
        (b'{"id": NaN, "texts": ["b"]}', "1: line: is not JSON: NaN at id is not"),
        (b'{"id": "a", "texts": ["b"], "x": Infinity}', "1: line: is not JSON: Infinity"),
        (b'{"id": "a", "texts": ["b"], "id": "a"}', "1: id: is given more than once"),
        (b'{"id": "a", "texts": ["b"], "x": ' + b"[" * 70 + b"]" * 70 + b"}", "1: x[0]"),
        (b'{"x": ' * 50_000, "1: line: is nested more than 64 levels deep"),
        (b'{"id": "a", "texts": ["\\ud800"]}', "1: texts[0]: contains a lone surrogate"),
        (b'{"id": "a", "texts": ["\\u0000"]}', "1: texts[0]: contains a NUL character"),
        (b"\0\0\0\0", "1: line: contains a NUL byte"),
        (b'["a"]', "1: line: must be an object {…}, but is a list"),
        (b'{"texts": ["b"]}', "1: id: is missing"),
        (b'{"id": 1, "texts": ["b"]}', "1: id: must be text, but is a number"),
    ],
)
def test_fault_of_a_line_is_reported_with_its_field(path: Path, content: bytes, fault: str) -> None:
    (found,) = faults_of(path, content)
    assert found.startswith(fault)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_line_as_long_as_the_limit_is_read(path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes) -> None:
    monkeypatch.setattr(users_file, "MAX_LINE_BYTES", len(line("a") + end.strip(b"\n")))
    path.write_bytes(line("a") + end + line("b"))
    assert ids(read_users(path)) == ["a", "b"]


def test_line_that_is_too_long_is_a_fault_and_never_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_file, "MAX_LINE_BYTES", 100_000)
    path.write_bytes(line("a") + b"\n" + b"x" * 20_000_000 + b"\n" + line("b") + b"\n" + b"[" * 100_001)
    tracemalloc.start()
    report = check_users_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    message = "line: is longer than 100,000 bytes"
    assert [str(fault) for fault in report.faults] == [f"{path}:2: {message}", f"{path}:4: {message}"]
    assert ids(read_users(path, skip_invalid=True)) == ["a", "b"]
    assert peak < 2_000_000


def test_faults_beyond_the_limit_are_counted(path: Path) -> None:
    path.write_bytes(b"{\n" * (users_file.MAX_FAULTS_KEPT + 5))
    report = check_users_file(path)
    assert (len(report.faults), report.fault_count) == (1000, 1005)
    assert str(report) == f"{path}: 1,005 faults on 1,005 lines (the first 1,000 are shown)"


def test_memory_is_a_few_bytes_for_each_user(path: Path) -> None:
    count = 50_000
    with path.open("wb") as stream:
        stream.writelines(line(f"user-{number}") + b"\n" for number in range(count))
    tracemalloc.start()
    assert check_users_file(path).users == count
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / count < 200  # 300 MB for a million users leaves 200 bytes each beside Python and its modules


@pytest.mark.parametrize(
    ("name", "reason"), [("missing.jsonl", "there is no such file"), (".", "it is a folder"), ("a\0b", "null")]
)
def test_file_that_cannot_be_opened_is_named_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(UsersFileError, match=reason) as caught:
        check_users_file(str(tmp_path / name))
    assert caught.value.faults == ()
    assert str(caught.value).isprintable()


def test_file_without_permission_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, who may read everything
    with pytest.raises(UsersFileError, match="cannot be read: permission denied"):
        read_users(path)


class BrokenDisk(io.BytesIO):
    def readline(self, size: int | None = -1) -> bytes:  # noqa: ARG002
        raise OSError(5, "Input/output error")


def test_error_while_reading_is_reported_with_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", lambda *_: BrokenDisk())
    with pytest.raises(UsersFileError, match="cannot be read: Input/output error"):
        check_users_file(path)


def test_device_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsersFileError, match="/dev/zero: cannot be read: it is a device"):
        check_users_file("/dev/zero")
    with Path("/dev/zero").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        with pytest.raises(UsersFileError, match="<stdin>: cannot be read: it is a device"):
            check_users_file("-")
    assert "is empty" in str(check_users_file("/dev/null").faults[0])


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
def test_error_at_the_first_byte_is_reported_with_the_file() -> None:
    with pytest.raises(UsersFileError, match="/proc/self/mem: cannot be read"):
        check_users_file("/proc/self/mem")


def test_empty_name_is_an_error() -> None:
    with pytest.raises(UsersFileError, match="name of the users file is empty"):
        check_users_file("")


def test_standard_input_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(line("a") + b"\n{\n" + line("b"))))
    reports: list[UsersFileReport] = []
    assert ids(read_users("-", skip_invalid=True, on_report=reports.append)) == ["a", "b"]
    assert str(reports[0].faults[0]).startswith("<stdin>:2: line: is not JSON")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_read_twice(path: Path) -> None:
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(line("a") + b"\n" + line("b"),))
    writer.start()
    assert ids(read_users(path)) == ["a", "b"]
    writer.join()


def test_line_that_changed_between_the_passes_is_an_error(path: Path) -> None:
    path.write_bytes(line("a") + b"\n" + b" " * 100_000 + b"\n" + line("b"))
    found = read_users(path)
    assert next(found).id == "a"
    with path.open("r+b") as stream:
        stream.seek(-5, io.SEEK_END)
        stream.write(b"*****")
    with pytest.raises(UsersFileError, match=r":3: line: was changed while it was read"):
        next(found)


def test_lines_added_after_the_check_are_not_read(path: Path) -> None:
    path.write_bytes(line("a") + b"\n")
    found = read_users(path)
    with path.open("ab") as stream:
        stream.write(line("a") + b"\n")
    assert ids(found) == ["a"]


def test_abandoned_reading_closes_the_file(path: Path) -> None:
    path.write_bytes(line("a") + b"\n" + line("b"))
    read_users(path)  # an unclosed file would warn here, and warnings are errors
    next(read_users(path))


def test_written_users_are_utf8_lines() -> None:
    stream = io.BytesIO()
    assert write_users([User("ü", texts=("Tee\nund 茶",))], stream) == 1
    assert stream.getvalue() == '{"id": "ü", "profile": {}, "texts": ["Tee\\nund 茶"]}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, "\0", {1: "a"}])
def test_user_whose_extra_is_no_json_is_not_written(value: object) -> None:
    with pytest.raises(ValueError, match="user 'u1' cannot be written: x"):
        write_users([User("u1", texts=("Hello.",), extra={"x": value})], io.BytesIO())


def test_user_too_large_for_a_line_is_not_written() -> None:
    with pytest.raises(ValueError, match="longer than 8,388,608 bytes"):
        write_users([User("u1", texts=("x" * users_file.MAX_LINE_BYTES,))], io.BytesIO())


@settings(deadline=None, max_examples=40)
@given(st.lists(users(), max_size=3, min_size=1, unique_by=lambda user: user.id))
def test_any_users_survive_writing_and_reading(people: list[User]) -> None:
    first, second = io.BytesIO(), io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.jsonl"
        write_users(people, first)
        path.write_bytes(first.getvalue())
        assert list(read_users(path)) == people
        write_users(read_users(path), second)
    assert first.getvalue() == second.getvalue()  # 1, 1.0 and true are equal to Python, but not here


def lines_of_json() -> st.SearchStrategy[bytes]:
    field = st.sampled_from(["id", "profile", "opinions", "texts", "question", "answer"])
    record: st.SearchStrategy[Any] = st.dictionaries(field, any_json()) | any_json()
    return st.lists(record.map(json.dumps), max_size=5).map(lambda lines: "\n".join(lines).encode())


@settings(deadline=None)
@example(content=b"\x1f", skip_invalid=False)  # blank as a text, and not as bytes
@given(content=st.binary() | lines_of_json(), skip_invalid=st.booleans())
def test_any_bytes_are_users_or_a_users_file_error(content: bytes, skip_invalid: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.jsonl"
        path.write_bytes(content)
        report = check_users_file(path)
        if report.fault_count and not (skip_invalid and report.users):
            with pytest.raises(UsersFileError) as caught:
                read_users(path, skip_invalid=skip_invalid)
            assert len(caught.value.faults) == report.fault_count
            assert all(fault.isprintable() for fault in caught.value.faults)
        else:
            assert len(list(read_users(path, skip_invalid=skip_invalid))) == report.users
