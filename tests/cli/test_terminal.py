"""People's texts cannot draw on the terminal, and stay readable."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import time

import pytest
from rich.console import Console

from idiolect.cli.terminal import json_text, one_line, print_json, print_table, printable, safe

ATTACKS = {
    "\x1b[31mred\x1b[0m": "red",
    "\x1b[2J\x1b[Hgone": "gone",
    "\x9b31mred": "red",
    "\x1b]0;title\x07after": "after",
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\": "link",
    "\x1b]never closed": "never closed",
    "\x1bP1;2|device\x1b\\x": "x",
    "\x1b(0line": "line",
    "\x1bc": "",
    "over\rwrite\x08\x7f": "overwrite",
    "bell\x07 nul\x00": "bell nul",
    "left\u202eright\u2066": "leftright",
    "mojibake \x9d quote \x93": "mojibake  quote ",
    "half \ud83d": "half ",
    "two\nlines\tand a tab": "two\nlines\tand a tab",
    "日本 é 👩‍🚀 نیم‌فاصله": "日本 é 👩‍🚀 نیم‌فاصله",
}


@pytest.mark.parametrize(("text", "clean"), ATTACKS.items())
def test_printable_strips_what_controls_a_terminal(text: str, clean: str) -> None:
    assert printable(text) == clean


@pytest.mark.parametrize(
    "text", ["[bold]x[/bold]", "[/]", "[link=http://evil]x", "\\[red]", ":smile:", "a\\", "[@click=x]"]
)
def test_safe_text_comes_out_of_rich_as_it_went_in(text: str) -> None:
    screen = io.StringIO()
    Console(file=screen, emoji=False, highlight=False).print(f"[bold]{safe(text)}[/bold]!")
    assert screen.getvalue() == f"{text}!\n"


def test_printable_takes_linear_time() -> None:
    start = time.perf_counter()
    for evil in ("\x1b]", "\x90", "\x1b[", "\x1b[0;", "\x9d\x9d"):
        printable(evil * 100_000)
    assert time.perf_counter() - start < 5


def test_one_line_joins_and_cuts() -> None:
    assert one_line("a\n\n b\tc\r\n") == "a b c"
    assert one_line("abcdefgh", limit=5) == "abcd…"
    assert one_line("abcde", limit=5) == "abcde"


def test_json_text_is_the_same_value_without_controls() -> None:
    value = {"é": "\x1b[31m \x9b31m \u202e 日本 \x7f\u2028"}
    text = json_text(value)
    assert json.loads(text) == value
    assert text.isprintable()
    assert "日本" in text
    with pytest.raises(ValueError, match="JSON"):
        json_text(float("nan"))


def test_print_json_is_ascii_where_the_output_is(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    stream = io.TextIOWrapper(output, encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", stream)
    print_json({"a": "日本 é"})
    stream.flush()
    assert json.loads(output.getvalue().decode("ascii")) == {"a": "日本 é"}


def test_table_aligns_wide_characters_and_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "N"), [("日本", "1"), ("[bold]a\x1b[31m", "2"), ("x" * 200, "3")])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header == "ID" + " " * 200 + "N"
    assert lines == ["日本" + " " * 198 + "1", "[bold]a" + " " * 195 + "2", "x" * 200 + "  3"]


def test_table_of_nobody_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("ID", "N"), [])
    assert capsys.readouterr().out == "ID  N\n"


QUIET = """
import logging, os, sys, warnings
from idiolect.cli.terminal import quiet_libraries
quiet_libraries()
warnings.warn("noise")
logging.getLogger("transformers").warning("noise")
print(os.environ["TOKENIZERS_PARALLELISM"], os.environ["TRANSFORMERS_VERBOSITY"], os.environ.get("HF_HUB_OFFLINE"))
print("torch" in sys.modules, "transformers" in sys.modules, logging.getLogger("transformers").level)
"""


def test_quiet_libraries_keeps_what_the_caller_set() -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_", "PYTHONWARN", "IDIOLECT"))}
    env |= {"TRANSFORMERS_VERBOSITY": "debug"}
    done = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True, env=env)
    assert done.stdout == f"false debug None\nFalse False {logging.ERROR}\n"
    assert done.stderr == ""
