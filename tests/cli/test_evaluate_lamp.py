"""`idiolect evaluate lamp-…` from files in the published layout to the report, against a server that answers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.evaluate.pigeonhole import resampled, resampled_difference
from idiolect.people.lamp_forms import MOVIES, RATINGS
from tests.api_server import ApiServer, Body
from tests.cli.learning import run

TAGS = ("sci-fi", "comedy", "classic")


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for function in (resampled, resampled_difference):  # intervals are not what is tested here
        assert function.__kwdefaults__ is not None
        monkeypatch.setitem(function.__kwdefaults__, "resamples", 30)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_PRICES"):
        monkeypatch.delenv(name, raising=False)


def write_lamp(folder: Path, task: str, questions: list[dict[str, Any]], golds: list[str]) -> Path:
    folder.mkdir()
    (folder / "dev_questions.json").write_text(json.dumps(questions))
    outputs = [{"id": question["id"], "output": gold} for question, gold in zip(questions, golds, strict=True)]
    (folder / "dev_outputs.json").write_text(json.dumps({"task": task, "golds": outputs}))
    return folder


def reviews(folder: Path) -> Path:
    """Three people who give all their books one score: 5, 2 and 1."""
    scores = ["5", "2", "1"]
    questions = [
        {
            "id": str(n),
            "input": f"{RATINGS.instruction} A book that reader {n} asks about.",
            "profile": [{"id": f"{n}{i}", "text": f"Book {i} of {n}.", "score": score} for i in range(4)],
        }
        for n, score in enumerate(scores)
    ]
    return write_lamp(folder, "LaMP_3", questions, scores)


def movies(folder: Path) -> Path:
    """Three people with a tag each."""
    questions = [
        {
            "id": str(n),
            "input": f"{MOVIES.instruction} A film that viewer {n} asks about.",
            "profile": [{"id": f"{n}{i}", "description": f"Film {i} of {n}.", "tag": tag} for i in range(6)],
        }
        for n, tag in enumerate(TAGS)
    ]
    return write_lamp(folder, "LaMP_2", questions, list(TAGS))


def follower(body: Body, _number: int) -> str:
    """Says what LaMP's patterns say of the first item; without one "4.5", or a tag."""
    said = body["messages"][-1]["content"]
    if "What is the score" in said:
        return f"{said[0]}.0" if "is the score for" in said else "4.5"
    tagged = re.search(r'" is "([^"]+)"', said)
    return f"The tag is: {tagged[1]}" if tagged else "comedy"


def evaluate(task: str, data: Path, out: Path, url: str, *more: str) -> Result:
    model = ("--model", f"{url}#m", "--answering", "generate", "--set", "similarity=bm25")
    return run("evaluate", task, "--data", data, "--out", out, *model, *more)


def values(out: Path, measure: str) -> dict[str, list[float]]:
    """By arm, of the arms that are no controls; in the order of the people's ids."""
    lines = sorted(map(json.loads, (out / "answers.jsonl").read_text().splitlines()), key=lambda line: line["user"])
    found: dict[str, list[float]] = {}
    for line in lines:
        if line["arm"]["control"] == "own":
            found.setdefault(line["arm"]["method"], []).append(line["values"][measure])
    return found


def contents(server: ApiServer) -> list[str]:
    assert all(len(received.body["messages"]) == 1 for received in server.requests)
    return [received.body["messages"][0]["content"] for received in server.requests]


def test_ratings_are_asked_in_lamps_words_and_measured_as_lamp_does(tmp_path: Path) -> None:
    data, out = reviews(tmp_path / "LaMP_3"), tmp_path / "out"
    with ApiServer(follower) as server:
        result = evaluate("lamp-3", data, out, server.url, "--methods", "vanilla,lamp-rag,majority-own", "--train", "3")
        asked = contents(server)
    assert result.exit_code == 0, result.output
    plain = [text for text in asked if "is the score for" not in text]
    assert sorted(plain) == [f"{RATINGS.instruction} A book that reader {n} asks about." for n in range(3)]
    augmented = next(text for text in asked if text.startswith("5 is the score for") and "reader 0" in text)
    assert augmented.count("5 is the score for") == 3  # all that is learned from
    assert augmented.endswith(f'". {min(plain)}')
    # "4.5" is none of the scores, but its distance counts, as in LaMP's evaluation. "5.0" is 5.
    assert values(out, "mae") == {"vanilla": [0.5, 2.5, 3.5], "lamp-rag": [0.0] * 3, "majority-own": [0.0] * 3}
    config = json.loads((out / "config.json").read_text())
    assert config["settings"]["form"] == "verbatim"
    assert "lamp_asks" not in config["split"]
    table = (out / "table.md").read_text()
    assert "mean absolute error" in table
    assert "published questions about scores of reviews" in (out / "report.html").read_text()


def test_tags_are_parsed_and_macro_f1_is_told(tmp_path: Path) -> None:
    data, out = movies(tmp_path / "LaMP_2"), tmp_path / "out"
    chosen = ("--methods", "vanilla,lamp-rag", "--no-controls")
    with ApiServer(follower) as server:
        result = evaluate("lamp-2", data, out, server.url, *chosen)
        other = evaluate("lamp-2", data, out, server.url, *chosen, "--set", "form=labelled")
        assert len(server.requests) == 6
    assert result.exit_code == 0, result.output
    assert values(out, "accuracy") == {"vanilla": [0.0, 1.0, 0.0], "lamp-rag": [1.0] * 3}
    assert "macro-F1" in (out / "table.md").read_text()
    assert other.exit_code == 1
    assert "a different evaluation (it differs in settings)" in other.stderr


def test_the_form_can_be_chosen_and_fermi_learns_from_a_split_history(tmp_path: Path) -> None:
    data, out = movies(tmp_path / "LaMP_2"), tmp_path / "out"
    methods = "vanilla,few-shot-bm25,fermi[iterations=1,proposers=demonstrations]"
    chosen = ("--methods", methods, "--train", "4", "--test", "2", "--set", "lamp_asks=history", "--no-controls")
    with ApiServer(lambda _body, _number: "classic") as server:
        result = evaluate("lamp-2", data, out, server.url, *chosen)
        verbatim = contents(server)
        labelled = evaluate("lamp-2", data, tmp_path / "labelled", server.url, *chosen, "--set", "form=labelled")
        rest = contents(server)[len(verbatim) :]
    assert (result.exit_code, labelled.exit_code) == (0, 0), result.output + labelled.output
    assert all("asks about" not in text and "Question:" not in text for text in verbatim)
    assert all("Question: Which tag" in text for text in rest)
    shown = next(text for text in verbatim if text.count("of 2.") == 5)  # four examples of the third person, a question
    assert shown.count(f"\nclassic\n\n{MOVIES.instruction}") == 4
    assert values(out, "accuracy")["vanilla"] == [0.0] * 4 + [1.0] * 2
    assert json.loads((out / "config.json").read_text())["split"]["lamp_asks"] == "history"
    assert "form" not in json.loads((tmp_path / "labelled" / "config.json").read_text())["settings"]


def test_lamp_rag_is_refused_for_other_tasks_before_a_call(tmp_path: Path) -> None:
    with ApiServer() as server:
        result = run("evaluate", "people", "--methods", "lamp-rag", "--out", tmp_path, "--model", f"{server.url}#m",
                     "--set", "similarity=bm25")  # fmt: skip
        assert server.requests == []
    assert result.exit_code == 1
    assert "lamp-rag has only the prompts of LaMP's tasks, and people is not one" in result.stderr
