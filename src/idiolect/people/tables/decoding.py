"""The text of a table: the bytes of a file, decoded with the encoding that it is in."""

from __future__ import annotations

import codecs

from idiolect.errors import Remedy, SettingsError, UsersFileError
from idiolect.escaping import printable
from idiolect.people.file_kind import wide_encoding


def decoded(data: bytes, *, encoding: str | None, path: str) -> tuple[str, str]:
    """Return the text of a file and the name of its encoding: the given one, UTF-8, UTF-16, UTF-32 or Windows-1252.

    Raises:
        SettingsError: there is no such encoding.
        UsersFileError: the file is not in the encoding.
    """
    name = encoding or _guess(data)
    if name == "windows-1252" and encoding is None:
        _check_not_damaged(data, path)
    try:
        text = data.decode(name)
    except LookupError:
        raise SettingsError(f"there is no encoding {name!r}; use, for example, utf-8 or windows-1252") from None
    except UnicodeError as error:
        at = f" at byte {error.start + 1:,}" if isinstance(error, UnicodeDecodeError) else ""
        remedy = Remedy("encoding", effect="names the encoding") if encoding is None else None
        raise UsersFileError(f"{printable(path)}: is not {name}{at}", remedy=remedy) from None
    if not isinstance(text, str):
        raise SettingsError(f"{name!r} is no encoding of text")
    return text.removeprefix("\ufeff"), name


def _guess(data: bytes) -> str:
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    wide = wide_encoding(data[:4096])
    if wide is not None:
        marked = data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or wide == "UTF-32"
        unmarked = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        return wide.lower() if marked else unmarked
    try:
        data.decode()
    except UnicodeDecodeError:
        return "windows-1252"
    return "utf-8"


def _check_not_damaged(data: bytes, path: str) -> None:
    """Raise UsersFileError for a file that is UTF-8 but for a few bytes, whose other letters would all be garbled.

    Letters beyond ASCII in another encoding are hardly ever UTF-8 by accident.
    """
    text = data.decode("utf-8", "replace")
    damaged = text.count("\ufffd")
    whole = len(text) - damaged - sum(map(text.count, map(chr, range(128))))
    if whole > damaged:
        at = len(text[: text.index("\ufffd")].encode()) + 1
        remedy = Remedy("encoding", effect="names the encoding")
        raise UsersFileError(f"{printable(path)}: is utf-8, but not at byte {at:,}", remedy=remedy)
