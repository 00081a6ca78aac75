"""An adapter as a named set of files, and writing it to the disk; between the formats and the command.

The name is a hash of the content, so the same name always means the same numbers. This matters because vLLM's prefix
cache is keyed by name and path alone, and would serve one user's keys and values to another if a name were used twice.
A folder appears whole or not at all. It is readable for the user who runs the engine, regardless of the umask and of
safetensors' own mode 0600.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from idiolect.errors import ExportError

Format = Literal["peft", "gguf"]
CARD = "idiolect.json"
README = "README.md"
VERIFICATION = "verification.json"

_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
_HEX = 12


@dataclass(frozen=True, slots=True)
class AdapterFiles:
    """The content of an adapter's folder, before it is written.

    Args:
        name: the folder's name, from `content_name`.
        files: contents of the files, by name.
        main: the name of the file that engines load; "" if they load the folder itself.
    """

    name: str
    files: Mapping[str, bytes]
    main: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """An adapter on the disk.

    Args:
        folder: the adapter's folder.
        path: the path that engines load, which is the folder or a file in it.
        new: False if the same adapter was there already.
    """

    folder: Path
    path: Path
    new: bool


def content_name(*parts: bytes) -> str:
    """Return `idiolect-` and 12 hex digits of the hash of all parts, in this order."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return f"idiolect-{total.hexdigest()[:_HEX]}"


def json_bytes(value: Any) -> bytes:
    """Return the value as strict, indented JSON, the same bytes for equal values."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def publish(
    adapter: AdapterFiles, directory: Path, *, verify: Callable[[Path], Mapping[str, Any]] | None = None
) -> Published:
    """Write the adapter to its own folder in `directory`, which is created if it does not exist.

    Args:
        adapter: the adapter's files.
        directory: the parent folder.
        verify: called with the folder while it still has a temporary name. Its result is stored beside the adapter as
            `verification.json`; if it raises, nothing is left behind.

    Raises:
        ExportError: the adapter cannot be written, or there is other content under its name.
    """
    try:
        _make(directory)
        temporary = Path(tempfile.mkdtemp(prefix=".idiolect-", dir=directory))
        try:
            return _publish(adapter, temporary, directory / adapter.name, verify)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ExportError(f"cannot write the adapter to {directory}: {error.strerror or error}") from error


def _publish(
    adapter: AdapterFiles, temporary: Path, folder: Path, verify: Callable[[Path], Mapping[str, Any]] | None
) -> Published:
    for name, content in adapter.files.items():
        _write(temporary / name, content)
    if verify is not None:
        _write(temporary / VERIFICATION, json_bytes(verify(temporary)))
    temporary.chmod(_FOLDER_MODE)
    new = not os.path.lexists(folder)
    if new:
        temporary.rename(folder)
    else:
        _check_same(adapter, folder)
        if verify is not None:
            (temporary / VERIFICATION).replace(folder / VERIFICATION)
    return Published(folder, folder / adapter.main, new)


def _make(directory: Path) -> None:
    """Create the folder and its parents if they do not exist; make the new ones readable for other users."""
    for each in reversed([directory, *directory.parents]):
        if not each.exists():
            each.mkdir(exist_ok=True)
            each.chmod(_FOLDER_MODE)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(_FILE_MODE)


def _check_same(adapter: AdapterFiles, folder: Path) -> None:
    for name, content in adapter.files.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            raise ExportError(
                f"{folder} already exists, but its {name} differs from this adapter's; remove that folder, or export "
                "to another one (an engine may have cached its content under this name)"
            )
