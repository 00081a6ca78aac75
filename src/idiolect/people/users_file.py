"""The users file: JSON Lines with one user per line, streamed; `user_record.py` defines the content of a line.

There are two passes. The first reads every line and collects all faults of the file, so that no work is done for any
user while another's line may still be invalid; the second yields the users. In between, only hashes of the ids are kept
(about 130 bytes per user), and standard input is copied to a temporary file. No message repeats what a person said.
"""

from __future__ import annotations

import codecs
import json
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, cast

from idiolect.errors import UsersFileError
from idiolect.escaping import printable
from idiolect.people.absent_values import AbsentFields, drop_absent
from idiolect.people.file_kind import fault_of_file
from idiolect.people.json_line import MAX_VALUES, Problem, UnreadableLineError, object_problems, parse_object
from idiolect.people.user import User
from idiolect.people.user_record import InvalidRecordError, user_from_record, user_to_record
from idiolect.people.users_source import head_of, opened_source, unreadable

MAX_LINE_BYTES = 8 * 1024 * 1024
"""Maximum length of a line; a longer one is a fault, and is never in memory as a whole."""

MAX_FAULTS_KEPT = 1000
"""Maximum number of faults of a file that are kept, in the order of its lines; further ones are only counted."""

_ID_HASH_BYTES = 8  # among a million ids, two share a hash with a probability of 3e-8


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field of one line; printed as `file:line: field: what is wrong`.

    Args:
        path: the file as it was named, "<stdin>" for standard input.
        line: number of the line, from 1.
        field: path to the field, for example `opinions[3].answer`; "line" for a line that does not contain an object,
            "file" for the file as a whole.
        message: the fault in plain words, without anything that a person said.
    """

    path: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        return f"{printable(self.path)}:{self.line}: {self.field}: {self.message}"


@dataclass(frozen=True, slots=True)
class UsersFileReport:
    """The result of the first pass.

    Args:
        path: the file as it was named, "<stdin>" for standard input.
        users: number of valid users.
        invalid_lines: number of lines with at least one fault.
        fault_count: number of all faults.
        faults: the first `MAX_FAULTS_KEPT` faults.
        notes: fields that were taken as left out because they are null or NaN: the first place of each field.
    """

    path: str
    users: int
    invalid_lines: int
    fault_count: int
    faults: tuple[Fault, ...]
    notes: tuple[Fault, ...] = ()

    def __str__(self) -> str:
        """Return one line with the number of faults, or of users if there are no faults."""
        path = printable(self.path)
        if not self.fault_count:
            return f"{path}: {_counted(self.users, 'user')}"
        beyond = self.fault_count - len(self.faults)
        cut = f" (the first {len(self.faults):,} are shown)" if beyond else ""
        return f"{path}: {_counted(self.fault_count, 'fault')} on {_counted(self.invalid_lines, 'line')}{cut}"

    def error(self) -> UsersFileError:
        """Return the faults as an exception, which names the first and carries all that were kept."""
        faults = tuple(map(str, self.faults))
        if self.fault_count == 1:
            return UsersFileError(faults[0], faults)
        return UsersFileError(f"{self}, the first: {faults[0]}", faults)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def read_users(
    source: str | Path, *, skip_invalid: bool = False, on_report: Callable[[UsersFileReport], None] | None = None
) -> Iterator[User]:
    """Read the users of a file, one at a time; the whole file has been checked when this returns.

    Users are read as they were written, with every answer to a question that was answered more than once; the store and
    the evaluation take the newest one (`newest_answers.with_newest_answers`).

    Args:
        source: the file; "-" is standard input.
        skip_invalid: leave out every line that has a fault, instead of raising. A line that repeats the id of an
            earlier line is left out, whether the earlier line is valid or not.
        on_report: called once with the result of the check, faults included, before anything is raised or yielded.

    Raises:
        UsersFileError: the file cannot be read, has faults (all in `faults`), or has no valid user to continue with;
            while iterating, also if the file was changed after the check.
    """
    passes = _both_passes(source, skip_invalid, on_report)
    next(passes)  # the first pass: it raises here, and not at the caller's first `for`
    return cast(Iterator[User], passes)


def _both_passes(
    source: str | Path, skip_invalid: bool, on_report: Callable[[UsersFileReport], None] | None
) -> Iterator[User | None]:
    with opened_source(source) as (path, stream):
        found = _first_pass(path, stream)
        report = found.report()
        if on_report is not None:
            on_report(report)
        if report.fault_count and not (skip_invalid and report.users):
            raise report.error()
        last, invalid = found.last_line, found.invalid
        del found  # frees up to a million hashes
        yield None
        yield from _second_pass(path, stream, last, invalid)


@dataclass(slots=True)
class _Findings:
    """The findings of the first pass, collected line by line."""

    path: str
    last_line: int = 0
    users: int = 0
    invalid: array[int] = field(default_factory=lambda: array("Q"))  # numbers of lines, ascending
    faults: list[Fault] = field(default_factory=list)
    fault_count: int = 0
    line_of_id: dict[int, int] = field(default_factory=dict)
    absent: AbsentFields = field(default_factory=AbsentFields)

    def report(self) -> UsersFileReport:
        return UsersFileReport(
            path=self.path,
            users=self.users,
            invalid_lines=len(self.invalid),
            fault_count=self.fault_count,
            faults=tuple(self.faults),
            notes=tuple(Fault(self.path, line, note.field, note.message) for line, note in self.absent.notes()),
        )

    def add_faults(self, line: int, problems: Iterable[Problem]) -> None:
        self.invalid.append(line)
        for problem in problems:
            self.fault_count += 1
            if len(self.faults) < MAX_FAULTS_KEPT:
                self.faults.append(Fault(self.path, line, problem.field, problem.message))

    def repeated_id(self, line: int, user_id: object) -> list[Problem]:
        """Record the id; return the problem if an earlier line has the same one."""
        if not isinstance(user_id, str):
            return []
        digest = blake2b(user_id.encode("utf-8", "surrogatepass"), digest_size=_ID_HASH_BYTES).digest()
        first = self.line_of_id.setdefault(int.from_bytes(digest), line)
        return [] if first == line else [Problem("id", f"is the same as on line {first}")]


def _first_pass(path: str, stream: BinaryIO) -> _Findings:
    found = _Findings(path)
    head, whole = head_of(path, stream)
    if fault := fault_of_file(head, whole=whole, path=path):
        found.add_faults(1, [Problem("file", fault)])
        return found
    for number, line in _lines(path, stream):
        found.last_line = number
        _check_line(found, number, line)
    if not found.last_line:
        found.add_faults(1, [Problem("file", "is empty; expected one user per line")])
    return found


def _check_line(found: _Findings, number: int, line: bytes | None) -> None:
    if line is None:
        found.add_faults(number, [Problem("line", f"is longer than {MAX_LINE_BYTES:,} bytes")])
        return
    try:
        record = parse_object(line)
        notes = drop_absent(record)
    except UnreadableLineError as error:
        found.add_faults(number, [Problem("line", str(error))])
        return
    found.absent.add(number, notes)
    problems = found.repeated_id(number, record.get("id"))
    try:
        user_from_record(record)
    except InvalidRecordError as error:
        problems += error.problems
    if problems:
        found.add_faults(number, problems)
    else:
        found.users += 1


def _second_pass(path: str, stream: BinaryIO, last: int, invalid: array[int]) -> Iterator[User]:
    stream.seek(0)
    to_skip = iter(invalid)
    skipped = next(to_skip, 0)
    for number, line in _lines(path, stream):
        if number > last:  # appended after the first pass, so not checked
            return
        if number == skipped:
            skipped = next(to_skip, 0)
            continue
        try:
            record = parse_object(line or b"")
            drop_absent(record)
            yield user_from_record(record)
        except ValueError as error:
            raise UsersFileError(f"{printable(path)}:{number}: line: was changed while it was read") from error


def _lines(path: str, stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines that are not blank, with their numbers from 1; None stands for a line that is too long."""
    number = 0
    try:
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
                _skip_rest_of_line(stream)
                yield number, None
            elif line := line.rstrip():
                yield number, line
    except OSError as error:
        raise unreadable(path, error) from error


def _skip_rest_of_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(64 * 1024)) and not rest.endswith(b"\n"):
        pass


def write_users(users: Iterable[User], stream: BinaryIO) -> int:
    """Write users as a users file that `read_users` reads back as equal users; return their number.

    Args:
        users: the users; the caller must ensure that their ids are unique.
        stream: a binary stream, because the file is UTF-8 with "\\n" on every system.

    Raises:
        ValueError: a user's `extra` contains values that JSON cannot represent, or the user is too large for one line.
    """
    count = 0
    for user in users:
        stream.write(_line(user))
        count += 1
    return count


def is_too_large(user: User) -> bool:
    """Return whether a user has more values or longer texts than one line of a users file can have."""
    opinions = user.opinions
    values = 5 + len(user.profile.attributes) + len(user.texts) + sum(5 + len(o.question.choices) for o in opinions)
    length = sum(map(len, user.texts)) + sum(
        len(o.question.text) + len(o.answer) + sum(map(len, o.question.choices)) for o in opinions
    )
    if values * 2 < MAX_VALUES and (length + 30 * values) * 6 < MAX_LINE_BYTES:  # 6: the longest escape in JSON
        return False
    try:
        _line(user)
    except ValueError:
        return True
    return False


def _line(user: User) -> bytes:
    record = user_to_record(user)
    if problems := object_problems(record):
        raise ValueError(f"user {user.id!r} cannot be written: {'; '.join(map(str, problems))}")
    line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"user {user.id!r} cannot be written: longer than {MAX_LINE_BYTES:,} bytes")
    return line
