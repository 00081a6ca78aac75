"""Terminal output: results go to stdout, progress and messages to stderr, and people's texts cannot draw on either.

Text that a person wrote passes `printable` (plain) or `safe` (inside rich markup) first: it may contain escape
sequences that recolour, retitle or overwrite a terminal, and square brackets that rich would read as markup.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from idiolect import escaping

if TYPE_CHECKING:
    from rich.console import Console

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC …: titles, links
    r"|\x1b[ -/]*[0-~]?"  # the rest
)
_UNFINISHED = re.compile(
    r"(?:(?:\x1b\[|\x9b)[0-?]{0,40}[ -/]*"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]{0,200}\x1b?"
    r"|\x1b[ -/]*)$"
)
_INVISIBLE = "\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069\ufeff\ud800-\udfff"
_CONTROLS = re.compile(f"[\x00-\x08\x0b-\x1f{_INVISIBLE}]")  # all but tab and newline
_BREAKS = re.compile(r"\s*[\t\n]\s*")
_JSON_CONTROLS = re.compile(f"[{_INVISIBLE}]")
_WIDEST, _NARROWEST = 100, 20  # columns of running text
_ALIGNED = 200  # rows that set the widths of columns; later rows are printed as they come

_QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
_NOISY = (
    "accelerate",
    "alembic",
    "bm25s",
    "httpx",
    "huggingface_hub",
    "sentence_transformers",
    "torch",
    "transformers",
)


def quiet_libraries() -> None:
    """Keep libraries' progress bars, warnings and logs off the screen, unless the environment turns them on."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if debugging():
        return
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)


def open_closed_streams() -> None:
    """Discard output to a stdout or stderr that the caller has closed: Python sets a closed one to None."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  stays open until the process ends


def debugging() -> bool:
    """Return whether `IDIOLECT_DEBUG` turns on tracebacks and warnings."""
    return os.environ.get("IDIOLECT_DEBUG", "") not in ("", "0")


def out() -> Console:
    """Return a console on stdout, for results. It is plain if stdout is no terminal or `NO_COLOR` is set."""
    return _console(stderr=False)


def err() -> Console:
    """Return a console on stderr, for progress and messages; plain if stderr is no terminal or `NO_COLOR` is set."""
    return _console(stderr=True)


def live_err() -> Console:
    """Return a console on stderr for live displays, which cuts lines at the screen's edge so as to redraw them."""
    return _console(stderr=True, soft_wrap=False)


def _console(*, stderr: bool, soft_wrap: bool = True) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, emoji=False, soft_wrap=soft_wrap)


def printable(text: str) -> str:
    """Return the text without escape sequences, control and direction-changing characters; tabs and newlines stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def finished(text: str) -> tuple[str, str]:
    """Return the beginning of a text that comes in pieces, and its end, in which an escape sequence is not complete."""
    found = _UNFINISHED.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.start() :])


def one_line(text: str, *, limit: int | None = None) -> str:
    """Return the `printable` text on a single line, cut after `limit` characters."""
    line = _BREAKS.sub(" ", printable(text)).strip()
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def visible(text: str, *, limit: int | None = None) -> str:
    """Return a name on a single line, with escapes for all characters that cannot be seen.

    For ids, which must not look equal if they differ ("ann" and "ann" followed by a zero-width space).
    """
    shown = escaping.printable(text)
    return shown if limit is None or len(shown) <= limit else shown[: limit - 1] + "…"


def safe(text: str) -> str:
    """Return the `printable` text, escaped for rich markup."""
    from rich.markup import escape

    return escape(printable(text))


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print a strict JSON document on stdout, on one line or indented, without characters that affect a terminal.

    Raises:
        ValueError: `value` contains NaN or infinity.
    """
    sys.stdout.write(json_text(value, indent=indent, ascii_only=not _speaks_unicode(sys.stdout)) + "\n")


def json_text(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return strict JSON, with escapes for characters that could affect a terminal.

    Raises:
        ValueError: `value` contains NaN or infinity.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=ascii_only, indent=indent)
    return _JSON_CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _speaks_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("_", "-").startswith("utf")


def print_wrapped(text: str, *, indent: int = 0, style: str | None = None) -> None:
    """Print any text on stdout, made `printable`, indented, and wrapped to the screen's width (at most 100)."""
    from rich.text import Text

    console = out()
    width = max(min(console.width, _WIDEST) - indent, _NARROWEST)
    for line in Text(printable(text)).wrap(console, width):
        console.print((" " * indent + line.plain).rstrip(), style=style, markup=False)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Container[str] = ()) -> None:
    """Print rows in columns on stdout as they arrive. The first rows set the widths; nothing is cut or wrapped.

    Args:
        header: names of the columns.
        rows: one text per column in each row.
        numbers: names of the right-aligned columns.
    """
    from rich.cells import cell_len

    clean: Iterator[list[str]] = ([one_line(cell) for cell in row] for row in rows)
    first = list(islice(clean, _ALIGNED))
    widths = [max(map(cell_len, column)) for column in zip(header, *first, strict=True)]
    console = out()
    for i, row in enumerate(chain([list(header)], first, clean)):
        blanks = (" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        padded = (
            blank + cell if name in numbers else cell + blank
            for name, cell, blank in zip(header, row, blanks, strict=True)
        )
        console.print("  ".join(padded).rstrip(), style="bold" if i == 0 else None, markup=False)


def confirm_deletion(what: str) -> None:
    """Print on stderr what is about to be deleted, and ask for confirmation.

    Raises:
        typer.Abort: the answer is no.
        typer.BadParameter: there is no terminal to ask at.
    """
    import typer

    if not sys.stdin.isatty():
        raise typer.BadParameter("--yes is required when there is no terminal for the confirmation")
    err().print(safe(what))
    typer.confirm("Delete all of it?", abort=True, err=True)


def listed(ids: Sequence[str], *, most: int = 10) -> str:
    """Return the first `most` ids, separated by commas, and the number of the others."""
    shown = ", ".join(one_line(each, limit=40) for each in ids[:most])
    return shown + (f" and {len(ids) - most} more" if len(ids) > most else "")


def print_finished_erasures(count: int) -> None:
    """Print on stderr how many interrupted erasures were completed when the store was opened, if any."""
    if count:
        err().print(f"completed {'1 erasure' if count == 1 else f'{count} erasures'} that had been interrupted")
