"""`fit` with a model whose answers name no choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

from tests.api_server import Answer, ApiServer, Body, Status
from tests.cli.learning import run
from tests.cli.remote_world import answer, arguments, person

FILTERED = Status(400, body={"error": {"message": "filtered", "code": "content_filter"}})
THOUGHT = "<think>Tea? Or rather milk, because"
REMARK = "Ann loves a quiet hour, whatever she has."


def fit(tmp_path: Path, server: ApiServer, *more: str, opinions: int = 10) -> Result:
    """Learn from one person with ten opinions, six of which score prompts."""
    (users := tmp_path / "users.jsonl").write_text(json.dumps(person("ann", opinions)) + "\n")
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
    with ApiServer(lambda *_: THOUGHT) as server:
        result = fit(tmp_path, server)
    assert result.exit_code == 1
    assert "most of them were empty; --max-tokens with thousands of tokens" in result.stderr
    assert result.stderr.count("answers were still empty when their tokens were used up") == 1


def test_empty_answers_to_the_first_prompt_end_the_person_before_the_next_one_is_asked(tmp_path: Path) -> None:
    def thinking(body: Body, number: int) -> Answer:
        return answer(body, number) if "square brackets" in str(body) else THOUGHT

    with ApiServer(thinking) as server:
        result = fit(tmp_path, server, "--json")
        asked = [str(received.body["messages"]) for received in server.requests]
        again = fit(tmp_path, server, "--max-tokens", "2000", "--resume")
    assert (result.exit_code, again.exit_code) == (1, 1)
    (line,) = map(json.loads, result.stdout.splitlines())
    assert line["state"] == "failed"
    assert line["error"]["type"] == "UnreadAnswersError"
    assert "most of them were empty; --max-tokens" in again.stderr
    questions = [text for text in asked if "o'clock" in text]
    assert 3 <= len(questions) == len(set(questions)) <= 10, "one question each, under one prompt"
    assert not any("square brackets" in text for text in asked)


def test_a_person_whose_first_answers_were_empty_is_asked_again_with_resume(tmp_path: Path) -> None:
    with ApiServer(lambda *_: FILTERED) as server:
        assert fit(tmp_path, server).exit_code == 1
        server.answer = answer
        again = fit(tmp_path, server, "--resume")
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize("opinions", [3, 6, 10])
def test_a_filter_that_refuses_everything_fails_the_person_and_is_no_lack_of_tokens(
    tmp_path: Path, opinions: int
) -> None:
    with ApiServer(lambda *_: FILTERED) as server:
        result = fit(tmp_path, server, opinions=opinions)
    assert result.exit_code == 1
    assert "as if a content filter had refused them; --model can name another one" in result.stderr
    assert "--max-tokens" not in result.stderr


def test_refusals_of_few_questions_fail_the_person(tmp_path: Path) -> None:
    with ApiServer(lambda *_: "I cannot help with that.") as server:
        result = fit(tmp_path, server, opinions=6)
    assert result.exit_code == 1
    assert "6 of 6 answers of the model named none of the choices; --answering likelihood" in result.stderr


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
