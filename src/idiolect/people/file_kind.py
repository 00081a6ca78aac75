"""What a file is that should be a users file, from its beginning: one clear fault instead of one for every line.

Before the lines are read. Each kind has a message with the way out; a file that begins like JSON Lines has none, and
its lines are checked one by one.
"""

from __future__ import annotations

import codecs
import json
import re
import shlex
from collections import Counter

from idiolect.escaping import printable

HEAD_BYTES = 256 * 1024
"""Number of bytes at the beginning of a file that decide what it is."""

_LINES = 20  # first lines that are looked at
_FEW = 3  # lines from which on a pattern is no accident
DELIMITERS = ",;\t|"
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, because it starts with UTF-16's mark
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_UNPACK, _DECOMPRESS, _SAVE_AS_CSV = "unpack it", "decompress it", "save it as CSV"
_SIGNATURES = {
    b"PK\x03\x04": ("a zip archive or an Excel workbook", f"{_UNPACK}, or {_SAVE_AS_CSV}"),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", _SAVE_AS_CSV),
    b"\x1f\x8b": ("compressed with gzip", _DECOMPRESS),
    b"BZh": ("compressed with bzip2", _DECOMPRESS),
    b"\xfd7zXZ": ("compressed with xz", _DECOMPRESS),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", _DECOMPRESS),
    b"7z\xbc\xaf": ("a 7z archive", _UNPACK),
    b"Rar!": ("a RAR archive", _UNPACK),
    b"PAR1": ("a Parquet file", _SAVE_AS_CSV),
    b"SQLite format 3\0": ("a SQLite database", _SAVE_AS_CSV),
    b"%PDF": ("a PDF document", _SAVE_AS_CSV),
    b"{\\rtf": ("a text of a word processor", _SAVE_AS_CSV),
    b"$FL2": ("an SPSS file", _SAVE_AS_CSV),
    b"$FL3": ("an SPSS file", _SAVE_AS_CSV),
    b"<stata_dta>": ("a Stata file", _SAVE_AS_CSV),
}
_PYTHON_DICT = re.compile(r"\{\s*'\w*'\s*:")
_IS_NOT = "is not a users file, which has one JSON object per line (JSON Lines, UTF-8)"


def wide_encoding(head: bytes) -> str | None:
    """Return UTF-16 or UTF-32 if the file is encoded so, with or without a byte order mark; None otherwise."""
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if head.startswith(mark)), None)
    if marked is not None or len(head) < 8:
        return marked
    even, odd = (
        head[0:4096:2],
        head[1:4096:2],
    )  # in most scripts, one byte in two of UTF-16 is 0 at line ends and blanks
    for zeros, others in ((even, odd), (odd, even)):
        if zeros.count(0) > 0.4 * len(zeros) and others.count(0) < 0.1 * len(others):
            return "UTF-16"
    return None


def other_format(head: bytes) -> tuple[str, str] | None:
    """Return what a file is that contains no text, such as "an Excel workbook", and the way out; None otherwise."""
    return next((found for mark, found in _SIGNATURES.items() if head.startswith(mark)), None)


def is_marked_up(text: str) -> bool:
    """Return whether a text is HTML or XML, such as the page of a log-in in place of a download."""
    return re.match(r"\s*<(?:!doctype|\?xml|html|head|body|table)\b", text, re.IGNORECASE) is not None


def fault_of_file(head: bytes, *, whole: bool, path: str) -> str | None:
    """Return why a file is no users file, and the way out; None if its lines have to be checked one by one.

    Args:
        head: the first `HEAD_BYTES` of the file.
        whole: whether this is the whole file.
        path: the name of the file, for commands in the message.
    """
    name = shlex.quote(printable(path)) if path and not path.startswith("<") else "FILE"
    if encoding := wide_encoding(head):
        if encoding == "UTF-16" and head[:2] not in _BYTE_ORDER_MARKS:  # iconv has to be told the order of the bytes
            encoding = "UTF-16LE" if head[1:2] == b"\0" else "UTF-16BE"
        other = f"convert it (iconv -f {encoding} -t UTF-8 {name})"
        table = f", or, if it is a table, use idiolect users import {name}" if not _begins_like_json(head) else ""
        return f"must be UTF-8, but is {encoding}: {other}{table}"
    if found := other_format(head):
        kind, way_out = found
        then = ", then use idiolect users import" if _SAVE_AS_CSV in way_out else ""
        return f"{_IS_NOT}, but {kind}: {way_out}{then}"
    lines = _first_lines(head, whole=whole)
    if not lines or b"\0" in head:
        return None
    fault = (
        _of_documents(lines, whole=whole, name=name)
        or _of_other_values(lines)
        or _of_tables(lines, name=name)
        or _of_almost_json(lines)
    )
    return fault or _of_other_encodings(head, name=name) or _of_other_objects(lines, name=name)


def _begins_like_json(head: bytes) -> bool:
    return head.removeprefix(codecs.BOM_UTF16_LE).removeprefix(codecs.BOM_UTF16_BE).strip(b"\0 \r\n")[:1] in b"{["


def _first_lines(head: bytes, *, whole: bool) -> list[str]:
    """Return the first lines that are not blank, decoded; the last one is whole, unless it is the only one."""
    lines = head.removeprefix(codecs.BOM_UTF8).splitlines()
    if not whole and len(lines) > 1:
        del lines[-1]
    texts = (line.decode("utf-8", "replace").strip() for line in lines)
    return [text for text in texts if text][:_LINES]  # of text, more is blank than of bytes, such as \x1f


def _of_documents(lines: list[str], *, whole: bool, name: str) -> str | None:
    """Return the fault of a JSON document that spans lines, or of a list of objects."""
    convert = f"convert it with idiolect users import {name} --out users.jsonl"
    first, alone = lines[0], whole and len(lines) == 1
    if first.startswith("["):
        items = _decoded(first)
        of_objects = isinstance(items, list) and bool(items) and all(isinstance(each, dict) for each in items)
        if (items is None and not alone) or (alone and of_objects):
            return f"{_IS_NOT}, but one JSON list: {convert}"
    if alone and _wraps_people(_decoded(first)):
        return f"{_IS_NOT}, but one JSON document with several people in it: {convert}"
    opens = len(lines) > 1 and (lines[1][0] in '"}],' or (first.endswith("[") and lines[1].endswith(("},", "{"))))
    if first.startswith("{") and opens and _decoded(first) is None:
        return f"{_IS_NOT}, but one JSON document over several lines: {convert}"
    return None


def _wraps_people(value: object) -> bool:
    """Return whether an object is no person, but has people: {"users": [{…}, {…}]} or {"ann": {…}, "ben": {…}}."""
    if not isinstance(value, dict) or {"opinions", "texts"} & value.keys():
        return False
    if value and all(is_person(each) for each in value.values()):
        return True
    lists = [each for each in value.values() if isinstance(each, list) and each]
    return any(isinstance(item, dict) for each in lists for item in each[:1])


def is_person(value: object) -> bool:
    """Return whether a value is an object with a person's opinions or texts."""
    return isinstance(value, dict) and bool({"opinions", "texts"} & value.keys())


def _decoded(text: str) -> object:
    """Return the value of a text that is whole JSON; None if it is not."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_tables(lines: list[str], *, name: str) -> str | None:
    """Return the fault of a file without a single JSON object in its first lines."""
    if lines[0][0] in "{[" or any(isinstance(_decoded(line), dict) for line in lines):
        return None
    if lines[0].startswith("<"):
        return f"{_IS_NOT}, but a page or document of marked-up text"
    if looks_like_table(lines):
        make = f"make a users file of it with idiolect users import {name} (--dry-run shows how it is understood)"
        return f"{_IS_NOT}, but looks like a table (CSV): {make}"
    return _IS_NOT if len(lines) >= _FEW else None


def _of_other_values(lines: list[str]) -> str | None:
    """Return the fault of JSON Lines that are all lists, or all texts, such as objects that were encoded twice."""
    if len(lines) < _FEW:
        return None
    kinds = {type(_decoded(line)) for line in lines}
    if kinds == {list}:
        return f"{_IS_NOT}, but JSON Lines of lists: write each person as an object with named fields"
    if kinds == {str} and all(isinstance(_decoded(str(_decoded(line))), dict) for line in lines):
        return f"{_IS_NOT}, but its lines are texts that contain JSON: write each object without encoding it twice"
    return None


def _of_almost_json(lines: list[str]) -> str | None:
    """Return the fault of lines that are all objects of something close to JSON."""
    if len(lines) < _FEW or not all(line.startswith("{") for line in lines):
        return None
    if all(line.endswith("},") and isinstance(_decoded(line[:-1]), dict) for line in lines[: _FEW - 1]):
        return f"{_IS_NOT}: its lines end in commas; remove them"
    if all(_PYTHON_DICT.match(line) for line in lines):
        return f"{_IS_NOT}, but Python dictionaries: write each line with json.dumps(…)"
    return None


def looks_like_table(lines: list[str]) -> bool:
    """Return whether the lines share a delimiter, as the header and rows of a CSV file do."""
    if len(lines) < 2:
        return False
    return any(
        lines[0].count(each) and sum(line.count(each) >= lines[0].count(each) for line in lines) * 2 > len(lines)
        for each in DELIMITERS
    )


def _of_other_encodings(head: bytes, *, name: str) -> str | None:
    """Return the fault of a file whose letters beyond ASCII are never UTF-8."""
    beyond = [line for line in head.splitlines()[:-1] if not line.isascii()]
    kinds = Counter(_is_utf8(line) for line in beyond)
    if kinds[True] or kinds[False] < _FEW:
        return None
    convert = f"convert it (iconv -f WINDOWS-1252 -t UTF-8 {name})"
    return f"must be UTF-8, but seems to be Windows-1252 or another encoding with one byte per letter: {convert}"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _of_other_objects(lines: list[str], *, name: str) -> str | None:
    """Return the fault of JSON Lines whose objects are not people: none has opinions or texts."""
    objects = [value for value in map(_decoded, lines) if isinstance(value, dict)]
    if len(objects) < max(_FEW, len(lines)) or any({"opinions", "texts"} & value.keys() for value in objects):
        return None
    table = ""
    if all(not isinstance(value, dict | list) for each in objects for value in each.values()):
        table = f": if each line is a row of a table, use idiolect users import {name}"
    return f"is JSON Lines, but not a users file: no line has opinions or texts{table}"
