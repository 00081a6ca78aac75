"""`fit` with a model whose answers name no choice."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import Result

from tests.api_server import Answer, ApiServer, Body
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, person

REMARK = "Ann loves a quiet hour, whatever she has."


def fit(tmp_path: Path, server: ApiServer, *more: str) -> Result:
    """Learn from one person with ten opinions, six of which score prompts."""
    (users := tmp_path / "users.jsonl").write_text(json.dumps(person("ann", 10)) + "\n")
    return run(*arguments(users, tmp_path / "store", server.url, *more))


def silent(body: Body, number: int) -> Answer:
    """Answer a question with a remark that names no choice."""
    return answer(body, number) if "square brackets" in str(body) else REMARK


def test_answers_that_name_no_choice_fail_the_person_with_what_helps(tmp_path: Path) -> None:
    with ApiServer(silent) as server:
        result = fit(tmp_path, server)
    assert result.exit_code == 1
    assert "answers of the model named none of the choices; --answering likelihood" in result.stderr
    assert REMARK not in result.output


def test_empty_answers_are_thoughts_that_need_more_tokens(tmp_path: Path) -> None:
    with ApiServer(lambda *_: "<think>Tea? Or rather milk, because") as server:
        result = fit(tmp_path, server)
    assert result.exit_code == 1
    assert "most of them were empty; --max-tokens with thousands of tokens" in result.stderr
    assert result.stderr.count("answers were still empty when their tokens were used up") == 1


def test_many_unread_answers_are_a_warning_with_examples_on_the_screen_only(tmp_path: Path) -> None:
    def half(body: Body, number: int) -> Answer:
        asked = str(body["messages"][-1]["content"])
        remarks = any(asked.rfind(f"at {hour} o'clock?") == asked.rfind("at ") for hour in (1, 2, 6, 8))
        return silent(body, number) if remarks else answer(body)

    with ApiServer(half) as server:
        shown = fit(tmp_path, server)
        plain = fit(tmp_path, server, "--json")
    assert (shown.exit_code, plain.exit_code) == (0, 0), shown.output
    assert "answers named no choice; they count as wrong" in shown.stderr
    assert REMARK in shown.stdout
    assert REMARK not in shown.stderr + plain.output
    (learned,) = map(json.loads, plain.stdout.splitlines())
    assert 3 <= learned["unread"] < learned["answers"]
