"""Reading a JSON Lines file of a published data set object by object; whatever its bytes, the result is objects or a
`DatasetError`.

Below the readers of PRISM and PersonaMem. `text_file` opens it, unpacks gzip and drops a byte order mark. Lines that
are no JSON object, such as the last one of a file that was cut off, are logged. A users file has a stricter reader of
its own (`json_line`), because its lines are checked by field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from idiolect.errors import DatasetError
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecordsLog
from idiolect.people.text_file import DAMAGED, opened_text

_SHOWN = 12  # keys in a message


def read_objects(path: Path, log: BrokenRecordsLog, *required: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place ("survey.jsonl: line 3") and the value of every readable line.

    Args:
        path: the file.
        log: the log of broken lines.
        required: keys that the first object must have; a later one without them is for the caller to judge.

    Raises:
        DatasetError: the file cannot be opened or read, has no object, or is not in its layout; also while reading.
    """
    name = printable(path.name)
    first = True
    try:
        with opened_text(path) as stream:
            for number, line in enumerate(stream, start=1):
                if not line.strip():
                    continue
                place = f"{name}: line {number}"
                value = _object(line)
                if value is None:
                    log.add(place, "is not a whole JSON object")
                    continue
                if first:
                    _check_layout(name, value, required)
                    first = False
                yield place, value
    except FileNotFoundError:
        raise DatasetError(f"{printable(str(path))}: there is no such file") from None
    except DAMAGED:
        raise DatasetError(f"{name}: is not a whole gzip file; download it again") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the file's name
        raise DatasetError(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if first:
        raise DatasetError(f"{name}: has no JSON object; expected JSON Lines, one object per line, as published")


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):  # ValueError: also a number with too many digits
        return None
    return value if isinstance(value, dict) else None


def _check_layout(name: str, value: dict[str, Any], required: tuple[str, ...]) -> None:
    if missing := [key for key in required if key not in value]:
        keys = list(value)
        has = ", ".join(printable(key[:40]) for key in keys[:_SHOWN]) or "none"
        more = ", …" if len(keys) > _SHOWN else ""
        raise DatasetError(
            f"{name}: its first object has no {', '.join(missing)}; expected the published layout. Its keys are: "
            f"{has}{more}"
        )
