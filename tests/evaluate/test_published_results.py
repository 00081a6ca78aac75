"""What an evaluation of published data leaves in its folder: published ids, LaMP's own format, scores by topic."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks.published_metrics import (
    EQUAL,
    Rows,
    compare_globalopinionqa,
    compare_labels,
    compare_opinionqa,
    compare_rouge,
    compare_stars,
    lamp_stars,
    page,
    reading,
)
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.evaluation import run_evaluation
from idiolect.evaluate.group_scores import scores_by_group
from idiolect.evaluate.methods.bench import next_case
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.models.doubles import FunctionModel
from idiolect.people.lamp_forms import RATINGS
from idiolect.people.user import Opinion, User
from tests.cli.opened_doubles import open_models

REPLIES = ("4", "The score is 2.", "4.5", "", "none of them")


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> str:
    """A model whose reply depends on the number in the question."""
    double = FunctionModel("m", complete=lambda r: REPLIES[int(r.messages[-1].content.split()[-1]) % len(REPLIES)])
    open_models(monkeypatch, {"m": double}.get)
    return "m"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def lamp3(folder: Path, people: int) -> Path:
    folder.mkdir(parents=True)
    profile = [{"id": "i", "text": "Bad.", "score": "1"}]
    asked = [f"{RATINGS.instruction} Item {n}" for n in range(people)]
    questions = [{"id": str(70 + n), "input": text, "profile": profile} for n, text in enumerate(asked)]
    golds = [{"id": str(70 + n), "output": str(1 + n % 5)} for n in range(people)]
    (folder / "dev_questions.json").write_text(json.dumps(questions))
    (folder / "dev_outputs.json").write_text(json.dumps({"task": "LaMP_3", "golds": golds}))
    return folder


def test_lamp_predictions_are_written_for_its_own_script(tmp_path: Path, model: str) -> None:
    data = lamp3(tmp_path / "LaMP_3" / "dev", 9)
    config = EvaluationConfig(
        task="lamp-3", data=data.parent, model=model, methods="vanilla,majority-own", controls=False, preset="api"
    )
    out = tmp_path / "out"
    summary = run_evaluation(config, out)
    answers = lines(out / "answers.jsonl")
    assert {answer["item"] for answer in answers} == {str(70 + n) for n in range(9)}
    golds, vanilla, own = (
        json.loads((out / "lamp" / f"{name}.json").read_text()) for name in ("golds", "vanilla", "majority-own")
    )
    assert golds["task"] == vanilla["task"] == own["task"] == "LaMP_3"
    by_id = {each["id"]: each["output"] for each in golds["golds"]}
    assert by_id == {str(70 + n): str(1 + n % 5) for n in range(9)}
    outputs = {each["id"]: each["output"] for each in vanilla["golds"]}
    assert outputs.keys() == by_id.keys() == {each["id"] for each in own["golds"]}
    assert (outputs["70"], outputs["71"], outputs["72"]) == ("4", "2", "4.5")
    # LaMP's evaluation of these files comes to our scores.
    theirs = lamp_stars([outputs[key] for key in by_id], list(by_id.values()))
    (arm,) = (arm for arm in summary.arms if arm.arm == Arm("vanilla"))
    assert {name: arm.scores[name].value for name in theirs} == pytest.approx(theirs)


def test_lamp_predictions_are_of_the_people_in_the_tables(tmp_path: Path, model: str) -> None:
    data, out = lamp3(tmp_path / "LaMP_3", 5), tmp_path / "out"
    for people in (None, 2):
        config = EvaluationConfig(
            task="lamp-3", data=data, model=model, methods="vanilla", controls=False, preset="api", people=people
        )
        summary = run_evaluation(config, out)
    assert summary.people == 2
    for name in ("golds", "vanilla"):
        assert len(json.loads((out / "lamp" / f"{name}.json").read_text())["golds"]) == 2


def test_only_published_questions_of_lamp_become_predictions(tmp_path: Path, model: str) -> None:
    data = lamp3(tmp_path / "LaMP_3", 3)
    questions = json.loads((data / "dev_questions.json").read_text())
    for question in questions:
        question["profile"] = [{"id": f"i{n}", "text": f"Item {n}", "score": "1"} for n in range(5)]
    (data / "dev_questions.json").write_text(json.dumps(questions))
    config = EvaluationConfig(
        task="lamp-3", data=data, model=model, methods="majority-own", baseline="majority-own", controls=False,
        train=3, lamp_asks="history",
    )  # fmt: skip
    run_evaluation(config, tmp_path / "out")
    assert {answer["item"][0] for answer in lines(tmp_path / "out" / "answers.jsonl")} == {"i"}
    assert not (tmp_path / "out" / "lamp").exists()


def wave(folder: Path, number: int) -> None:
    folder = folder / f"American_Trends_Panel_W{number}"
    folder.mkdir(parents=True)
    keys = [f"Q{n}_W{number}" for n in range(4)]
    options = "['A lot', 'None', 'Some', 'Not sure', 'Refused']"
    tables: dict[str, list[list[str]]] = {
        "info": [["key", "question", "references", "option_ordinal"]],
        "metadata": [["key", "options"], ["SEX", "['Male', 'Female']"]],
        "responses": [["QKEY", "SEX", *keys]],
    }
    tables["info"] += [[key, f"How much is {key}?", options, "[1.0, 2.0, 1.5]"] for key in keys]
    tables["responses"] += [[str(n), "Male", "A lot", "Some", "None", "Not sure"] for n in range(4)]
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as stream:
            csv.writer(stream).writerows(rows)


def test_opinionqa_has_ids_topics_and_an_error_on_the_published_scale(tmp_path: Path) -> None:
    for number in (26, 92):
        wave(tmp_path / "human_resp", number)
    config = EvaluationConfig(
        task="opinionqa", data=tmp_path, methods="majority-own,uniform", baseline="uniform", train=1, controls=False
    )
    out = tmp_path / "out"
    summary = run_evaluation(config, out)
    assert summary.header.measures == ("accuracy", "normalized_error")  # the order shown is no scale: no mae
    for answer in lines(out / "answers.jsonl"):
        assert answer["item"].startswith("Q")
        assert answer["values"]["normalized_error"] in (0.0, 0.5, 1.0)
    by_topic = {(each.group, str(each.arm)): each.scores for each in summary.by_group}
    assert by_topic.keys() == {(t, a) for t in ("Guns", "Political views") for a in ("majority-own", "uniform")}
    assert {scores["accuracy"].people for scores in by_topic.values()} == {4}
    table = (out / "table.md").read_text()
    assert "## Scores by topic" in table
    assert "| Political views | uniform |" in table
    report = (out / "report.html").read_text()
    assert "<h2>Scores by topic</h2>" in report
    assert "<bdi>Political views</bdi>" in report
    kept = json.loads((out / "scores.json").read_text())["by_group"]
    assert [each["group"] for each in kept] == ["Guns", "Guns", "Political views", "Political views"]
    assert "normalized_error" in kept[0]["scores"]


def test_groups_have_their_own_means() -> None:
    arm = Arm("a")
    answers = [
        AnswerRecord(arm, 0, user, "q", 0, values={"accuracy": value})
        for user, value in (("ann", 1.0), ("bob", 0.0), ("cyd", 1.0), ("dan", 0.0))
    ]
    groups = {"ann": "x", "bob": "x", "cyd": "y", "dan": ""}
    found = scores_by_group(answers, ["accuracy", "rmse"], groups)
    assert [(each.group, {name: e.value for name, e in each.scores.items()}) for each in found] == [
        ("x", {"accuracy": 0.5}),
        ("y", {"accuracy": 1.0}),
    ]
    assert scores_by_group(answers, ["accuracy"], dict.fromkeys(groups, "x")) == ()


def test_a_person_is_no_control_for_themselves() -> None:
    asked = (Opinion("Q?", "tea"),)
    users = [("W26-1", "1"), ("W92-1", "1"), ("W26-2", "2"), ("plain", "")]
    cases = tuple(Case(User(n, opinions=asked, extra={"respondent": r} if r else {}), asked) for n, r in users)
    benchmark = Benchmark("t", cases, ("rouge1",))
    controls = [next_case(benchmark, case) for case in cases]
    assert [control.user.id for control in controls if control] == ["W26-2", "W26-2", "plain", "W26-1"]
    assert next_case(Benchmark("t", cases[:2], ("rouge1",)), cases[0]) is None


def test_measures_are_those_of_the_authors() -> None:
    rng, rows = random.Random(1), Rows()
    compare_labels(rows, rng, 4)
    compare_stars(rows, rng, 4)
    farthest = compare_rouge(rows, rng, 4)
    compare_opinionqa(rows, rng, 6)
    compare_globalopinionqa(rows, rng, 6)
    assert {row.task for row in rows.values()} == {
        "LaMP-1", "LaMP-2", "LaMP-3", "LaMP-4, 5, 7", "OpinionQA", "GlobalOpinionQA"
    }  # fmt: skip
    assert all(row.largest < EQUAL for row in rows.values())
    text = page(rows, farthest, reading(), 1)
    assert "**different**" not in text
    assert "| 4.5 | no label | no label | the same |" in text
