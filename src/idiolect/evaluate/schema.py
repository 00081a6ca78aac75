"""The version of an evaluation's files, which every file and every line states; see docs/results-files.md.

    2   schema_version instead of format; outline.json, runs.jsonl and results.csv; log-probabilities and prompts
    1   the first; stated as "format" in config.json, and nowhere else

A folder of version 1 is read, reported and continued. A folder of a later version is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idiolect.errors import SettingsError

SCHEMA_VERSION = 2
VERSION_KEY = "schema_version"
_FIRST_KEY = "format"  # of version 1


def version_of(document: Mapping[str, Any]) -> int | None:
    """Return the version that a configuration states; None if it states none."""
    found = document.get(VERSION_KEY, document.get(_FIRST_KEY))
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def check_version(path: Path, document: Mapping[str, Any]) -> None:
    """Check that this program can read a file.

    Raises:
        SettingsError: the file states no version, or one that this program does not know.
    """
    found = version_of(document)
    if found is None:
        raise SettingsError(f"{path} states no version: it is not a file of an evaluation, or was changed by hand")
    if not 1 <= found <= SCHEMA_VERSION:
        raise SettingsError(
            f"{path} has version {found}, and this Idiolect reads versions 1 to {SCHEMA_VERSION}: it was written by a "
            "newer Idiolect, so read it with that one"
        )


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file; None if there is no file.

    Raises:
        SettingsError: the file cannot be read, or contains no JSON object; NaN and Infinity are no JSON.
    """
    try:
        found = json.loads(path.read_bytes().decode("utf-8"), parse_constant=refuse_constant)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path} cannot be used: {error.strerror}") from error
    except (ValueError, RecursionError):
        raise SettingsError(f"{path} is not valid JSON: it was cut off, or changed by hand") from None
    if not isinstance(found, dict):
        raise SettingsError(f"{path} is not a file of an evaluation")
    return found


def refuse_constant(name: str) -> float:
    """Refuse NaN and Infinity, which Python reads and JSON does not know.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON")
