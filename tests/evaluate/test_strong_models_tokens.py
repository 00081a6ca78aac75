"""What learning and answering cost with simulated strong models, small: counts, limits, and the page."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import strong_models_tokens as script
from strong_models_tokens import NEW, SHOTS, Counted, Task, lines_of

from idiolect.models.language_model import CompletionRequest, Message, SamplingParams, Usage


def request(text: str) -> CompletionRequest:
    return CompletionRequest((Message("system", "1234"), Message("user", text)), SamplingParams(max_tokens=9))


async def test_each_different_request_is_counted_once() -> None:
    model = Counted("m", lambda _: "abcde")
    first, again, other = await model.complete([request("12345"), request("12345"), request("1")])
    assert first == again != other
    assert first.usage == Usage(1, 1 + 2, 2, 1 + 2)
    assert model.usage == first.usage + other.usage


def test_a_limit_shortens_what_answers_and_leaves_learning_as_it_was() -> None:
    lines = lines_of(Task("scale in the text", "80 % right", 1000, (100, 300)))
    whole, narrow, wide = lines[NEW], lines[f"{NEW}, at most 100"], lines[f"{NEW}, at most 300"]
    assert narrow.asking.prompt_tokens < wide.asking.prompt_tokens < whole.asking.prompt_tokens
    assert (narrow.learning, narrow.optimizing) == (whole.learning, whole.optimizing)
    assert whole.learning.calls > whole.optimizing.calls > 0
    assert whole.asking.calls >= whole.answers == 16
    shots = lines[f"{SHOTS}, at most 100"]
    assert shots.asking.prompt_tokens < lines[SHOTS].asking.prompt_tokens
    assert shots.asking.calls == 16
    assert lines[SHOTS].learning == Usage()
    assert lines["old api"].optimizing.calls > whole.optimizing.calls


def test_the_tables_replace_those_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Costs\n\nText.\n\n## Tables\n\nold\n")
    arguments = ["--people", "2", "--worlds", "chatty", "--limits", "200", "--page", str(page)]
    monkeypatch.setattr(sys, "argv", ["strong_models_tokens.py", *arguments])
    script.main()
    shown = capsys.readouterr().out
    assert page.read_text().startswith("# Costs\n\nText.\n\n## Tables\n")
    assert "old\n" not in page.read_text()
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert [row.split(" | ")[0].strip("| ") for row in rows[2:]] == [
        NEW,
        "old api",
        SHOTS,
        script.EVERYTHING,
        f"{NEW}, at most 200",
        f"{SHOTS}, at most 200",
    ]
    assert "2 people, 16 answers of each." in shown
