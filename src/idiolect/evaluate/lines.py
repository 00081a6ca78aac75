"""Files of an evaluation's folder: written so that they are whole or absent, and read although a line may be cut off.

archive, outline, provenance → lines → the file system
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idiolect.evaluate.schema import refuse_constant


@dataclass(slots=True)
class Damage:
    """Lines of a file that could not be read, apart from a last one that was cut off, which a killed run leaves.

    Args:
        path: the file.
        lines: their numbers, from 1.
    """

    path: Path
    lines: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        n = len(self.lines)
        were, first = ("line", "it is") if n == 1 else ("lines", "the first is")
        return (
            f"{self.path.name}: {n:,} {were} cannot be read ({first} line {self.lines[0]:,}); the answers of that arm "
            "and person are left out"
        )


def json_lines(path: Path, damage: Damage | None = None) -> Iterator[tuple[int, Any]]:
    """Yield the number, from 1, and the value of each line that is JSON; a file that is not there has none."""
    with suppress(FileNotFoundError):
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, 1):
            try:
                yield number, json.loads(line, parse_constant=refuse_constant)
            except (ValueError, RecursionError):
                if damage is not None and line.strip() and number < len(lines):
                    damage.lines.append(number)


def append(path: Path, text: str) -> None:
    """Append text, which is durable when this returns."""
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def replace_file(path: Path, text: str) -> None:
    """Write a file that others see whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
