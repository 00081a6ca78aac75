"""The import of a file: CSV, TSV, JSON lists and documents, and JSON Lines of rows; the result is users and a report.

The file is in memory as a whole, because the choices of a question are known only after all answers were seen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idiolect.errors import UsersFileError
from idiolect.escaping import printable
from idiolect.people.absent_values import AbsentFields, drop_absent
from idiolect.people.file_kind import is_marked_up, is_person, other_format
from idiolect.people.json_line import UnreadableLineError
from idiolect.people.newest_answers import with_newest_answers
from idiolect.people.tables.answers import Collected, collected, people_without_data
from idiolect.people.tables.building import AS_IN_TABLE, Built, built
from idiolect.people.tables.columns import Columns, check_questions, coded_names, columns_of
from idiolect.people.tables.decoding import decoded
from idiolect.people.tables.forms import AS_STATED, stated_choices
from idiolect.people.tables.options import MAX_FAULTS_KEPT, MAX_TABLE_BYTES, ImportOptions, TableFault, short
from idiolect.people.tables.report import ImportReport
from idiolect.people.tables.table import Table, table_of_csv, table_of_records
from idiolect.people.typography import folded
from idiolect.people.user import User
from idiolect.people.user_record import InvalidRecordError, user_from_record
from idiolect.people.users_source import opened_source, unreadable

_WRAPPERS = (
    *("users", "people", "participants", "respondents", "responses"),
    *("data", "records", "rows", "results", "items"),
)
_BLANK = re.compile(r"[\s,]*")  # between the values of JSON Lines; some writers end every line with a comma
_ROUNDED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)
_DEFAULTS = ImportOptions()


@dataclass(frozen=True, slots=True)
class ImportedUsers:
    """The users of an imported file, and the report. If there are faults, the users are those without them."""

    users: tuple[User, ...]
    report: ImportReport


def import_users(source: str | Path, options: ImportOptions = _DEFAULTS) -> ImportedUsers:
    """Import the people of a table or of a JSON document.

    Args:
        source: the file; "-" is standard input.
        options: how the file is to be understood; what is not set is guessed and reported.

    Returns:
        Users and the report. If the report has faults, the caller decides whether to continue without what has them.

    Raises:
        UsersFileError: the file cannot be read, is too large, or is neither a table nor people in JSON.
        SettingsError: an option names a column that the table lacks, or does not go with the table.
    """
    path, data = _read(source)
    if other := other_format(data):
        raise UsersFileError(f"{printable(path)}: is no table, but {other[0]}: {other[1]}")
    text, encoding = decoded(data, encoding=options.encoding, path=path)
    if "\0" in text[:1000]:
        raise UsersFileError(f"{printable(path)}: contains NUL characters; it is neither a table nor JSON")
    if is_marked_up(text):
        raise UsersFileError(
            f"{printable(path)}: is no table, but a page or document of marked-up text: save it as CSV"
        )
    if text.lstrip()[:1] in ("{", "["):
        values, kind = _values_of_json(text, path)
        if any({"opinions", "texts"} & value.keys() for value in values):
            return _of_records(values, path, f"{kind} of people, {encoding}")
        table = table_of_records(values, path=path, format=f"{kind} of rows, {encoding}")
    else:
        table = table_of_csv(text, path=path, encoding=encoding, delimiter=options.delimiter)
    columns = columns_of(table, options)
    found = collected(table, columns, options)
    result = built(found, options)
    check_questions([*table.columns, *(each.question for each in result.questions)], options)
    return _imported(table, columns, found, result, options)


def _read(source: str | Path) -> tuple[str, bytes]:
    with opened_source(source, whole=True) as (path, stream):
        try:
            data = stream.read(MAX_TABLE_BYTES + 1)
        except OSError as error:
            raise unreadable(path, error) from error
    if len(data) > MAX_TABLE_BYTES:
        raise UsersFileError(f"{printable(path)}: is larger than {MAX_TABLE_BYTES:,} bytes; split it")
    if not data.strip():
        raise UsersFileError(f"{printable(path)}: is empty; expected a header and rows")
    return path, data


def _values_of_json(text: str, path: str) -> tuple[list[dict[str, Any]], str]:
    """Return the objects of a JSON list, of a document that wraps a list, or of JSON Lines, and what it is."""
    try:
        value, kind = json.loads(text), "JSON"
    except (ValueError, RecursionError):
        value, kind = _values_in_a_row(text, path), "JSON Lines"
    if isinstance(value, dict):
        wrapped = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), list)), None)
        value = _alone(value) if wrapped is None else wrapped
    if not isinstance(value, list) or not value or not all(isinstance(each, dict) for each in value):
        raise UsersFileError(
            f"{printable(path)}: contains no people: expected a list of objects, one per person or row"
        )
    return value, kind


def _values_in_a_row(text: str, path: str) -> list[Any]:
    """Return the values of JSON Lines, or of documents that stand one after the other, over several lines each.

    Raises:
        UsersFileError: the text contains anything else.
    """
    decoder = json.JSONDecoder()
    values: list[Any] = []
    at = 0
    try:
        while (at := _end_of_blank(text, at)) < len(text):
            value, at = decoder.raw_decode(text, at)
            values.append(value)
    except (ValueError, RecursionError) as error:
        where = f": {error.msg} (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise UsersFileError(f"{printable(path)}: is not JSON{where}") from None
    return values


def _end_of_blank(text: str, start: int) -> int:
    found = _BLANK.match(text, start)
    return start if found is None else found.end()


def _alone(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the people of a document that has one under each id, or its only person or row; [] for other documents."""
    if value and all(is_person(each) for each in value.values()):
        return [{"id": key, **each} for key, each in value.items()]
    is_row = not any(isinstance(each, dict | list) for each in value.values())
    return [value] if is_person(value) or is_row else []


def _of_records(values: list[dict[str, Any]], path: str, format: str) -> ImportedUsers:
    """Return the users of objects that are already in the form of a users file's lines."""
    users: dict[str, User] = {}
    faults: list[TableFault] = []
    absent = AbsentFields()
    superseded: dict[str, int] = {}
    for number, value in enumerate(values, start=1):
        try:
            absent.add(number, drop_absent(value))
            user, older = with_newest_answers(user_from_record(value))
        except UnreadableLineError as error:
            faults.append(TableFault(number, "", str(error)))
            continue
        except InvalidRecordError as error:
            faults += [TableFault(number, problem.field, problem.message) for problem in error.problems]
            continue
        if user.id in users:
            faults.append(TableFault(number, "id", "is the same as that of an earlier object"))
            continue
        users[user.id] = user
        superseded |= {user.id: older} if older else {}
    notes = tuple(f"object {line}: {note.field}: {note.message}" for line, note in absent.notes())
    imported = tuple(users.values())
    return ImportedUsers(
        imported,
        ImportReport(
            path=path,
            format=format,
            layout=None,
            rows=len(values),
            roles={},
            guessed=frozenset(),
            questions=(),
            left_out={},
            users=len(imported),
            opinions=sum(len(user.opinions) for user in imported),
            texts=sum(len(user.texts) for user in imported),
            no_answers={},
            superseded=superseded,
            respelled=0,
            notes=notes,
            fault_count=len(faults),
            faults=tuple(faults[:MAX_FAULTS_KEPT]),
        ),
    )


def _imported(table: Table, columns: Columns, found: Collected, result: Built, options: ImportOptions) -> ImportedUsers:
    faults = sorted([*table.faults, *found.faults, *result.faults], key=lambda fault: fault.row)
    if not result.users and not faults:
        faults = [TableFault(0, "", "contains no answers and no texts; see how its columns were understood")]
    users = tuple(result.users)
    report = ImportReport(
        path=table.path,
        format=table.format,
        layout=columns.layout,
        rows=len(table.rows),
        roles=_roles(columns),
        guessed=columns.guessed,
        questions=tuple(result.questions),
        left_out=columns.left_out,
        users=len(users),
        opinions=sum(len(user.opinions) for user in users),
        texts=sum(len(user.texts) for user in users),
        no_answers=dict(found.no_answers.most_common()),
        superseded=result.superseded,
        respelled=result.respelled,
        notes=(*_notes(table, columns, found, result), *_notes_on_options(result, options)),
        fault_count=len(faults),
        faults=tuple(faults[:MAX_FAULTS_KEPT]),
    )
    return ImportedUsers(users, report)


def _roles(columns: Columns) -> Mapping[str, str]:
    roles = {
        name: role
        for role in ("id", "question", "answer", "choices", "ordinal", "date")
        if (name := getattr(columns, role)) is not None
    }
    return roles | dict.fromkeys(columns.profile, "profile") | dict.fromkeys(columns.texts, "texts")


def _notes(table: Table, columns: Columns, found: Collected, result: Built) -> Iterable[str]:
    yield from table.notes
    if columns.id is None:
        yield "no column is named or stated as id: the ids are row-2, row-3, …"
    if codes := coded_names(report.question for report in result.questions):
        some = ", ".join(f'"{short(name)}"' for name in codes[:3])
        look = _counted(len(codes), "question looks like a code", "questions look like codes")
        yield f"{look} ({some}): put the questions' texts into the header"
    yield from _notes_on_ids(found.people)
    if columns.date is not None and not found.dated:
        yield f'the column "{short(columns.date)}" does not count: not all of its dates are like 2026-05-31T10:00:00'
    if found.changed:
        differ = _counted(found.changed, "attribute of a person differs", "attributes of people differ")
        yield f"{differ} between rows; the later row counts"
    if nobody := people_without_data(found):
        yield f"left out: {_counted(len(nobody), 'person', 'people')} with neither answers nor texts"
    if result.superseded:
        order = f'the column "{short(columns.date)}"' if columns.date and found.dated else "the order of the rows"
        yield f"which answer is the newest is decided by {order}"


def _notes_on_ids(ids: Iterable[str]) -> Iterable[str]:
    """Note ids that look alike, and ids that a spreadsheet has rounded."""
    alike: dict[str, list[str]] = {}
    rounded = 0
    for user_id in ids:
        alike.setdefault(folded(user_id), []).append(user_id)
        rounded += _ROUNDED.fullmatch(user_id) is not None
    if same := [each for each in alike.values() if len(each) > 1]:
        first = " and ".join(f'"{short(user_id)}"' for user_id in same[0][:2])
        count = sum(map(len, same))
        yield f"{count} ids differ from another only in case, blanks or marks, such as {first}: different people"
    if rounded:
        are = _counted(rounded, "id is a rounded number", "ids are rounded numbers")
        yield f'{are} such as "1.2E+11", which a spreadsheet makes equal for different people'


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _notes_on_options(result: Built, options: ImportOptions) -> Iterable[str]:
    """Note stated choices that no question has."""
    used = {each.choices for each in result.questions if each.why.startswith(AS_STATED)}
    used |= {each.choices for each in result.questions if each.why == AS_IN_TABLE}
    for choices in (*options.scales, *options.sets):
        if stated_choices(choices) not in used:
            yield f'the stated choices "{short("|".join(choices))}" fit no question'
