"""`idiolect evaluate prism` and `personamem` from files in the published layouts to the report, against a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.evaluate.pigeonhole import resampled, resampled_difference
from tests.api_server import ApiServer
from tests.cli.learning import run
from tests.evaluate.tasks.test_personamem import personas
from tests.people.test_personamem import write as write_personamem
from tests.people.test_prism import conversation, row
from tests.people.test_prism import write as write_prism


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (resampled, resampled_difference):  # intervals are not what is tested here
        assert function.__kwdefaults__ is not None
        monkeypatch.setitem(function.__kwdefaults__, "resamples", 30)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_PRICES"):
        monkeypatch.delenv(name, raising=False)


def evaluate(task: str, data: Path, out: Path, url: str, *more: str) -> Result:
    chosen = ("--model", f"{url}#m", "--answering", "generate", "--methods", "vanilla,profile,few-shot,majority-own")
    return run("evaluate", task, "--data", data, "--out", out, *chosen, "--no-controls", *more)


def answers(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]


def test_people_of_prism_are_asked_which_response_they_chose(tmp_path: Path) -> None:
    people = ("user0", "user1", "user2")
    conversations = [conversation(10 * n + k, user) for n, user in enumerate(people) for k in range(3)]
    data = write_prism(tmp_path / "prism", conversations, [row(user) for user in people])
    with ApiServer(lambda _body, number: ("B", "(b)", "I choose Response B.")[number % 3]) as server:
        result = evaluate("prism", data, tmp_path / "out", server.url, "--train", "2")
        asked = [received.body["messages"][-1]["content"] for received in server.requests]
    assert result.exit_code == 0, result.output
    plain = next(text for text in asked if text.count("Is tea") == 1 and "Chile" not in text)
    assert "Question: Which of these responses to their own prompt did this person choose as the best?" in plain
    assert "Response A: “Yes, very.” Response B: “No.”\nChoices: Response A | Response B" in plain
    assert any("Country of residence" in text and "Chile" in text for text in asked)
    shown = [text for text in asked if text.count("Is tea") == 3]
    assert shown
    assert all(text.count("Answer: Response B") == 2 for text in shown)
    found = answers(tmp_path / "out")
    assert {line["item"] for line in found} <= {f"c{10 * n + k}" for n in range(3) for k in range(3)}
    assert all(line["values"]["accuracy"] == 1 for line in found)
    assert "my secret feedback" not in "".join(asked)


def test_prism_without_enough_conversations_names_the_option(tmp_path: Path) -> None:
    data = write_prism(tmp_path / "prism", [conversation(k) for k in range(6)])
    result = run("evaluate", "prism", "--data", data, "--out", tmp_path / "out", "--methods", "vanilla")
    assert result.exit_code == 1
    assert "nobody has more than 6 conversations" in result.stderr
    assert "--train 4" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("history", ["opinions", "texts"])
def test_personas_are_asked_which_response_fits_them(tmp_path: Path, history: str) -> None:
    data = write_personamem(tmp_path / "personamem", *personas(3, each=2))
    with ApiServer(lambda _body, _number: "(b)") as server:
        more = ("--train", "3", "--test", "2", "--history", history)
        result = evaluate("personamem", data, tmp_path / "out", server.url, *more)
        asked = [received.body["messages"][-1]["content"] for received in server.requests]
    assert result.exit_code == 0, result.output
    assert any("Question: Which of these responses to this person's message fits" in text for text in asked)
    assert any("Gender Identity" in text and "Ana Rey is a cook." in text for text in asked)
    found = answers(tmp_path / "out")
    assert all(line["values"]["accuracy"] == 1 for line in found if line["arm"]["method"] != "majority-own")
    assert len({line["item"] for line in found if line["user"] == "personamem-0"}) == 2
    learned = [text for text in asked if text.count("Answer: Response B") == 3]
    assert bool(learned) == (history == "opinions")


def test_several_sizes_of_personamem_name_the_option(tmp_path: Path) -> None:
    for size in ("32k", "1M"):
        write_personamem(tmp_path / "personamem", *personas(), size=size)
    data = tmp_path / "personamem"
    result = run("evaluate", "personamem", "--data", data, "--out", tmp_path / "out", "--methods", "vanilla")
    assert result.exit_code == 1
    assert "has several sizes: 1M, 32k; choose one" in result.stderr
    assert "--split 1M" in result.stderr
