"""An adapter as a named set of files, and how it reaches the disk: between the formats and the command.

Its name is a hash of all that it holds, so the same name always means the same numbers: vLLM's prefix cache goes by
name and path alone, and would serve one user's keys and values to another if a name were used twice. A folder appears
whole or not at all, readable for whoever runs the engine, whatever the umask and safetensors' own 0600 say.
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
    """What an adapter's folder will hold.

    Args:
        name: of the folder, from `content_name`.
        files: by name; `main` is one of them.
        main: what engines are given: the file's name, or "" for the folder itself.
    """

    name: str
    files: Mapping[str, bytes]
    main: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """An adapter on the disk.

    Args:
        folder: where it is.
        path: what engines are given: the folder, or the file in it.
        new: False where the very same adapter was there already.
    """

    folder: Path
    path: Path
    new: bool


def content_name(*parts: bytes) -> str:
    """`idiolect-` and 12 hex digits of the hash of all parts, in this order."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return f"idiolect-{total.hexdigest()[:_HEX]}"


def json_bytes(value: Any) -> bytes:
    """Strict, indented JSON, the same bytes for the same value."""
    return (json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n").encode()


def publish(
    adapter: AdapterFiles, directory: Path, *, verify: Callable[[Path], Mapping[str, Any]] | None = None
) -> Published:
    """Writes the adapter to its own folder in `directory`, which is made if it is not there.

    Args:
        verify: is given the folder while it still has a temporary name; what it returns is kept beside the adapter as
            `verification.json`, what it raises leaves nothing behind.

    Raises:
        ExportError: it cannot be written, or another content is there under this name.
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
    """The folder, and those above it, each readable for other users if it is made here."""
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
                f"{folder} is there already, and its {name} is not what this name stands for: remove that folder, or "
                "export to another one; an engine may have cached it under this name"
            )
