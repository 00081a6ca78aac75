"""One fault for a file that is no users file, with the way out; and none for a users file with faults."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from idiolect.errors import UsersFileError
from idiolect.people.file_kind import HEAD_BYTES, fault_of_file, wide_encoding
from idiolect.people.users_file import read_users

PERSON = {"id": "a", "profile": {"Lives in": "Köln"}, "opinions": [{"question": "Tea?", "answer": "Ja, für immer"}]}
PEOPLE = [PERSON | {"id": f"u{n}"} for n in range(400)]
TABLE = "id;question;answer\r\n" + "1;Où allez-vous ?;Café\r\n" * 500
LINES = "\n".join(json.dumps(person, ensure_ascii=False) for person in PEOPLE)


def fault(content: bytes) -> str | None:
    return fault_of_file(content[:HEAD_BYTES], whole=len(content) < HEAD_BYTES, path="my people.csv")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (TABLE.encode(), ["a table (CSV)", "idiolect users import 'my people.csv'", "--dry-run"]),
        (TABLE.replace(";", "\t").encode(), ["a table (CSV)"]),
        (TABLE.encode("cp1252"), ["a table (CSV)"]),
        (TABLE.encode("utf-16"), ["is UTF-16", "iconv -f UTF-16", "users import"]),
        (TABLE.encode("utf-16-le"), ["is UTF-16LE: convert it (iconv -f UTF-16LE"]),
        (TABLE.encode("utf-16-be"), ["is UTF-16BE: convert it (iconv -f UTF-16BE"]),
        (LINES.encode("utf-16"), ["is UTF-16", "iconv -f UTF-16"]),
        (LINES.encode("cp1252"), ["Windows-1252", "iconv -f WINDOWS-1252"]),
        (json.dumps(PEOPLE).encode(), ["one JSON list", "users import 'my people.csv' --out users.jsonl"]),
        (json.dumps(PEOPLE[:2]).encode(), ["one JSON list"]),
        (json.dumps(PEOPLE, indent=2).encode(), ["one JSON list"]),
        (json.dumps(PEOPLE, indent=0).encode(), ["one JSON list"]),
        (codecs.BOM_UTF8 + json.dumps(PEOPLE, indent="\t").replace("\n", "\r\n").encode(), ["one JSON list"]),
        (b"[\n" + LINES.replace("\n", ",\n").encode() + b"\n]", ["one JSON list"]),
        (json.dumps(PERSON, indent=4).encode(), ["one JSON document over several lines"]),
        (json.dumps({"users": PEOPLE}, indent=1).encode(), ["one JSON document over several lines"]),
        (b'{"users": [\n' + LINES.replace("\n", ",\n").encode() + b"\n]}", ["one JSON document over several lines"]),
        (json.dumps({"users": PEOPLE[:3]}).encode(), ["one JSON document with several people in it"]),
        (json.dumps({"ann": PERSON, "ben": PERSON}).encode(), ["one JSON document with several people in it"]),
        (b'["a", "Tea?", "Yes"]\n' * 30, ["JSON Lines of lists"]),
        ("\n".join(map(json.dumps, LINES.split("\n"))).encode(), ["encoding it twice"]),
        (LINES[: LINES.index("u3") - 8].replace("\n", ",\n").rstrip(",\n").encode(), ["end in commas; remove them"]),
        (b"id,Tea?,Which?\n" + b'1,Yes,x\n"{2}",No,y\n{3},No,z\n' * 50, ["a table (CSV)"]),
        (b"Rar!" + bytes(100), ["a RAR archive: unpack it"]),
        (b"PK\x03\x04" + bytes(5000), ["Excel workbook", "save it as CSV"]),
        (gzip.compress(LINES.encode()), ["gzip", "decompress"]),
        (b"<!DOCTYPE html>\n<html>\n<body>\n</body>\n</html>\n", ["marked-up text"]),
        (b"Dear all,\nhere are the answers.\nBest wishes\nBen\n", ["is not a users file"]),
        (b'{"messages": [{"role": "user", "content": "hi"}]}\n' * 300, ["no line has opinions or texts"]),
        (LINES.replace("\n", ",\n").encode(), ["end in commas; remove them"]),
        ("\n".join(map(str, PEOPLE)).encode(), ["Python dictionaries", "json.dumps"]),
        (b'{"id": 1, "Tea?": "Yes"}\n' * 300, ["no line has opinions or texts", "users import"]),
    ],
)
def test_file_of_another_kind_has_one_fault_with_the_way_out(content: bytes, parts: list[str], tmp_path: Path) -> None:
    message = fault(content)
    assert message is not None
    for part in parts:
        assert part in message
    path = tmp_path / "my people.csv"
    path.write_bytes(content)
    for skip_invalid in (False, True):
        with pytest.raises(UsersFileError) as caught:
            read_users(path, skip_invalid=skip_invalid)
        assert len(caught.value.faults) == 1
        assert "Tea" not in str(caught.value)
        assert "Caf" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        codecs.BOM_UTF8 + LINES.encode(),
        b'{"id": "a", "opinions": [\n' + LINES.encode(),  # a line that was cut
        b"[]\n" + LINES.encode(),
        b'["a"]',
        b"nonsense\n" + LINES.encode(),
        b"# people, 2026; wave 3\n" + LINES.encode(),
        b'{"id": "b\xfc"}\n' + LINES.encode(),
        b"",
        b"\n \n",
        b"\0\0\0\0",
        json.dumps({"id": "a", "texts": ["x" * HEAD_BYTES * 2]}).encode(),
        json.dumps({"id": "\u4e00" * 50, "texts": ["\u8336"]}, ensure_ascii=False).encode(),
    ],
)
def test_lines_are_checked_one_by_one_where_the_file_begins_like_a_users_file(content: bytes) -> None:
    assert fault(content) is None


def test_encoding_is_not_guessed_from_text_that_contains_a_few_zeros() -> None:
    assert wide_encoding(b"plain text with \0 in it, twice \0, and more") is None
