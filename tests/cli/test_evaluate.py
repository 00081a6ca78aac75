"""`idiolect evaluate`: stopped and gone on with, refused where it would mix evaluations, replayed; messages."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.evaluate import evaluation
from idiolect.evaluate.methods.table import METHODS
from idiolect.evaluate.tasks.table import TASKS
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from idiolect.models.replay import RecordingModel
from tests.api_server import ApiServer, Body, Status
from tests.cli.interrupting import start
from tests.cli.learning import run
from tests.cli.opened_doubles import open_models
from tests.cli.remote_world import name_of, person
from tests.evaluate.small_world import lines, said
from tests.methods.people import number

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("tea", "milk", "bread", "rice", "apples", "soup")
METHODS_ASKED = "uniform,vanilla,profile,fermi"
FEW = ("--train", "4", "--test", "2", "--preset", "api", "--set", "similarity=bm25", "--set", "iterations=1")


def users(folder: Path, *ids: str, n: int = 6) -> Path:
    path = folder / "users.jsonl"
    path.write_text("".join(json.dumps(person(user_id, n)) + "\n" for user_id in ids or ("ann", "bob")))
    return path


def served(body: Body, _number: int = 0) -> str:
    """A choice without its request's name, or a new text: the same for the same request."""
    drawn = int(name_of(body), 16)
    if "square brackets" in body["messages"][-1]["content"]:
        return f"[This person likes {WORDS[drawn % 6]}, says {drawn % 9973}.]"
    return WORDS[drawn % 6]


def told(data: Path, out: Path, model: str, *more: str, methods: str = METHODS_ASKED) -> list[str]:
    given = ["evaluate", "users", "--data", str(data), "--out", str(out), "--model", model, "--methods", methods]
    return [*given, *FEW, *more]


def scores(out: Path) -> Any:
    """What an evaluation came to, without what differs between runs."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            dropped = ("seconds", "calls_made", "money", "first", "fingerprint", "versions")
            return {name: plain(each) for name, each in value.items() if name not in dropped}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(json.loads((out / "scores.json").read_text(encoding="utf-8")))


def table(out: Path) -> str:
    """The table without what it cost in time, money and calls made."""
    text = (out / "table.md").read_text(encoding="utf-8")
    costs = text.index("## What it rests on")
    rest = text.index("\n## ", costs + 1)
    rows = [row.split(" | ") for row in text[costs:rest].splitlines() if row.startswith("| ")]
    return text[:costs] + "\n".join(" | ".join(row[:6]) for row in rows) + text[rest:]


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, FunctionModel]]:
    """Models that are functions, by name; a real name opens what it means."""

    def install(**models: FunctionModel) -> dict[str, FunctionModel]:
        open_models(monkeypatch, models.get)
        return models

    return install


def answering(salt: str = "") -> FunctionModel:
    """Answers with one of the choices that are listed last; as an optimizer it writes texts."""

    def complete(request: CompletionRequest) -> str:
        content = "\n".join(message.content for message in request.messages)
        if "square brackets" in content:
            return said(request)
        return WORDS[number(salt + content) % 6]

    return FunctionModel(f"double{salt}", complete=complete)


def ends_well(result: Result) -> None:
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output


# Stopped, and gone on with


def test_an_evaluation_killed_at_any_moment_ends_with_the_same_numbers(tmp_path: Path) -> None:
    data, rng = users(tmp_path, *(f"u{i}" for i in range(6))), random.Random(5)
    command = [sys.executable, "-m", "idiolect.cli.app"]
    with ApiServer(served) as server:
        model = f"{server.url}#m"
        ends_well(run(*told(data, tmp_path / "undisturbed", model)))
        needed, out = len(server.requests), tmp_path / "out"
        server.log.clear()
        server.latency = 0.08
        seen = []
        for kill in range(3):
            before = len(server.requests)
            process = subprocess.Popen(
                [*command, *told(data, out, model, "--concurrency", "2")],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            while len(server.requests) < before + 3 + kill and process.poll() is None:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
            assert process.wait() == -9, "the run ended before it was killed: give it more people"
            seen.append(len(lines(out)))
        server.latency = 0.0
        ends_well(run(*told(data, out, model)))
        assert len(server.requests) <= needed + 3 * 2, "answers that were kept were asked for again"
    assert seen[-1] > 0
    undisturbed = tmp_path / "undisturbed"
    assert lines(out) == lines(undisturbed)
    assert lines(out, "learning") == lines(undisturbed, "learning")
    assert scores(out) == scores(undisturbed)
    assert table(out) == table(undisturbed)


def test_a_budget_leaves_a_partial_report_and_is_gone_on_from(tmp_path: Path) -> None:
    data = users(tmp_path)
    with ApiServer(served) as server:
        model = f"{server.url}#m"
        ends_well(run(*told(data, tmp_path / "undisturbed", model)))
        for calls in (1, 9, 25):
            out = tmp_path / str(calls)
            before = len(server.requests)
            stopped = run(*told(data, out, model, "--budget-calls", str(calls)))
            assert stopped.exit_code == 1, stopped.output
            assert len(server.requests) - before <= calls
            assert "stopped: " in stopped.stderr
            assert "the same command goes on" in stopped.stderr
            partial = scores(out)
            assert partial["status"] == "stopped"
            assert "calls" in partial["stopped_by"]
            assert "**Partial" in (out / "table.md").read_text()
            assert "stopped" in (out / "report.html").read_text().casefold()
            ends_well(run(*told(data, out, model)))
            assert scores(out) == scores(tmp_path / "undisturbed")
            assert table(out) == table(tmp_path / "undisturbed")


def test_ctrl_c_leaves_a_partial_report(tmp_path: Path) -> None:
    data, out = users(tmp_path), tmp_path / "out"
    with ApiServer(served, latency=0.1) as server:
        arguments = told(data, out, f"{server.url}#m", "--concurrency", "1")
        process = start([sys.executable, "-m", "idiolect.cli.app", *arguments], cwd=ROOT)
        while len(server.requests) < 8 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert process.returncode == 130, stderr
        assert "Traceback" not in stderr
        partial = scores(out)
        assert (partial["status"], partial["stopped_by"]) == ("stopped", "stopped by hand")
        assert (out / "report.html").exists()
        server.latency = 0.0
        ends_well(run(*arguments))
        ends_well(run(*told(data, tmp_path / "undisturbed", f"{server.url}#m")))
    assert scores(out) == scores(tmp_path / "undisturbed")


def test_a_model_that_fails_for_somebody_is_told_and_tried_again(tmp_path: Path) -> None:
    data, out = users(tmp_path), tmp_path / "out"

    def broken(body: Body, _number: int) -> str | Status:
        return Status(400, body={"error": {"message": "no"}}) if "Name: bob" in str(body) else served(body)

    with ApiServer(broken) as server:
        model = f"{server.url}#m"
        ends_well(run(*told(data, out, model, methods="vanilla,profile")))
        found = scores(out)
        (profile,) = [each for each in found["arms"] if each["arm"]["text"] == "profile"]
        assert (profile["answers"], sum(profile["not_scored"].values())) == (2, 2)
        report_only = run(*told(data, out, model, "--report-only", methods="vanilla,profile"))
        ends_well(report_only)
        assert scores(out) == found
        server.answer = served
        ends_well(run(*told(data, out, model, methods="vanilla,profile")))
        ends_well(run(*told(data, tmp_path / "undisturbed", model, methods="vanilla,profile")))
    assert scores(out) == scores(tmp_path / "undisturbed")


def test_a_refused_key_is_a_message(tmp_path: Path) -> None:
    with ApiServer(lambda *_: Status(401, body={"error": {"message": "bad key"}})) as server:
        result = run(*told(users(tmp_path), tmp_path / "out", f"{server.url}#m"))
    assert result.exit_code == 1
    assert "error: " in result.stderr
    assert "Traceback" not in result.output


# One folder, one evaluation


def test_the_same_evaluation_comes_to_the_same(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data = users(tmp_path)
    for out in ("a", "b"):
        ends_well(run(*told(data, tmp_path / out, "m")))
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    ends_well(run(*told(data, tmp_path / "c", "m", "--set", "seeds=1")))
    assert lines(tmp_path / "a") != lines(tmp_path / "c")


def test_a_folder_of_another_evaluation_is_refused(tmp_path: Path, double: Any) -> None:
    double(m=answering(), n=answering("n"))
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m")))
    before = (out / "answers.jsonl").read_bytes(), (out / "table.md").read_bytes()
    for more, other in (
        (("--primary", "fermi - vanilla"), "primary"),
        (("--baseline", "profile"), "baseline"),
        (("--set", "seeds=1"), "seeds"),
        (("--seed", "1"), "split"),
        (("--test", "1"), "split"),
        (("--set", "iterations=2"), "settings"),
        (("--optimizer", "n"), "models"),
    ):
        result = run(*told(data, out, "m", *more))
        assert result.exit_code == 1, more
        assert re.search(f"another evaluation .*{other}", " ".join(result.stderr.split())), result.stderr
    assert run(*told(data, out, "n")).exit_code == 1
    assert ((out / "answers.jsonl").read_bytes(), (out / "table.md").read_bytes()) == before


def test_people_who_said_something_else_are_refused(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m")))
    people = [json.loads(line) for line in data.read_text().splitlines()]
    for opinion in people[0]["opinions"]:
        opinion["answer"] = "soup"
    data.write_text("".join(json.dumps(each) + "\n" for each in people))
    for more in ((), ("--report-only",)):
        result = run(*told(data, out, "m", *more))
        assert result.exit_code == 1
        assert "other data: 1 of its people" in " ".join(result.stderr.split())
        assert "soup" not in result.stderr


def test_methods_and_people_grow_and_the_report_says_so(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path, "ann", "bob", "cyd"), tmp_path / "out"
    ends_well(run(*told(data, out, "m", "--people", "2", methods="vanilla,profile")))
    assert len(lines(out, "learning")) == 3 * 2
    ends_well(run(*told(data, out, "m", methods="few-shot,vanilla,profile")))
    assert "added after the first answers: few-shot" in (out / "table.md").read_text()
    ends_well(run(*told(data, tmp_path / "undisturbed", "m", methods="few-shot,vanilla,profile")))
    found = [each for each in lines(out) if each["arm"]["control"] == "own"]
    assert found == [each for each in lines(tmp_path / "undisturbed") if each["arm"]["control"] == "own"]
    assert [each["arm"] for each in scores(out)["arms"]] == [
        each["arm"] for each in scores(tmp_path / "undisturbed")["arms"]
    ], "tables are in the order that was asked for"


def test_shards_and_a_report_are_the_unsharded_run(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path, "ann", "bob", "cyd"), tmp_path / "out"
    first = run(*told(data, out, "m", "--shard", "0/2"))
    assert first.exit_code == 0
    assert "this share is done; of all of them, " in first.stderr
    assert "are not done" in (out / "table.md").read_text().splitlines()[0]
    ends_well(run(*told(data, out, "m", "--shard", "1/2")))
    before = {path.name: path.read_bytes() for path in out.glob("*.jsonl")} | {"c": (out / "config.json").read_bytes()}
    ends_well(run(*told(data, out, "m", "--report-only")))
    after = {path.name: path.read_bytes() for path in out.glob("*.jsonl")} | {"c": (out / "config.json").read_bytes()}
    assert after == before, "a report changes nothing of what is kept"
    ends_well(run(*told(data, tmp_path / "undisturbed", "m")))
    assert scores(out) == scores(tmp_path / "undisturbed")
    assert table(out) == table(tmp_path / "undisturbed")


def test_a_report_needs_only_what_the_folder_does_not_say(tmp_path: Path, double: Any) -> None:
    models = double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m", "--people", "1", "--primary", "fermi - profile", "--set", "seeds=0,1")))
    found, asked = scores(out), len(models["m"].completion_requests)
    ends_well(run("evaluate", "users", "--data", data, "--out", out, "--report-only"))
    assert scores(out) == found
    assert len(models["m"].completion_requests) == asked
    nothing = run("evaluate", "people", "--out", tmp_path / "new", "--report-only")
    assert nothing.exit_code == 1
    assert "holds no evaluation" in nothing.stderr
    assert not (tmp_path / "new").exists()


def test_a_report_without_texts_shows_none(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m")))
    ends_well(run(*told(data, out, "m", "--report-only", "--no-texts")))
    for name in ("report.html", "table.md", "scores.json"):
        assert "What would ann have" not in (out / name).read_text(encoding="utf-8"), name


# Transfer


def test_transfer_by_replay_comes_to_the_live_matrix(tmp_path: Path, double: Any) -> None:
    a, b = (RecordingModel(answering(name), tmp_path / f"{name}.jsonl") for name in ("a", "b"))
    double(a=a, b=b)
    data = users(tmp_path)
    live = tmp_path / "live"
    ungated = ("--preset", "paper-offline")  # so that the prompts are what answers
    ends_well(run(*told(data, live, "a", "--transfer", "b", *ungated, methods="vanilla,fermi")))
    names = [f"replay:{tmp_path / name}.jsonl" for name in ("a", "b")]
    out = tmp_path / "replayed"
    ends_well(run(*told(data, out, names[0], "--transfer", names[1], *ungated, methods="vanilla,fermi")))

    def matrix(folder: Path, models: list[str]) -> dict[tuple[int, int], Any]:
        transfer = scores(folder)["transfer"]
        assert (transfer["method"], transfer["models"]) == ("fermi", models)
        places = {name: place for place, name in enumerate(models)}
        return {(places[c["learned_with"]], places[c["answered_by"]]): c["score"] for c in transfer["cells"]}

    found = matrix(live, ["a", "b"])
    assert set(found) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert matrix(out, names) == found
    assert len({json.dumps(line["answer"]) for line in lines(live)}) > 1
    assert scores(live)["transfer"]["replayed"] == []
    assert scores(out)["transfer"]["replayed"] == names
    assert "Recordings, not live models" in (out / "table.md").read_text()
    answers = {arm: [x["answer"] for x in lines(live) if _column(x) == arm] for arm in map(_column, lines(live))}
    assert answers[("fermi", "")] != answers[("fermi", "b")], "the two models are different"
    rivals = {gain["arm"]["text"] for gain in scores(live)["gains"]}
    assert not [arm for arm in rivals if "answered by b" in arm], "another model is not measured against this baseline"


def _column(line: dict[str, Any]) -> tuple[str, str]:
    return line["arm"]["method"], line["arm"]["answered_by"]


# Messages


def test_all_tasks_and_methods_are_listed() -> None:
    ends_well(result := run("evaluate", "--list"))
    assert all(name in result.stdout for name in (*TASKS, *METHODS))
    found = json.loads(run("evaluate", "--list", "--json").stdout)
    assert (set(found["tasks"]), set(found["methods"])) == (set(TASKS), set(METHODS))


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--methods", "vanilla,opra"], 1, "no method 'opra'"),
        (["--methods", "fermi[iterations=x]"], 1, "iterations is 'x', must be a whole number"),
        (["--methods", "fermi["], 1, "names no method"),
        (["--methods", "few-shot[k=0]"], 1, "k is 0"),
        (["--methods", "fermi-symmetric[proposers=demonstrations]"], 1, "or name an optimizer: see --optimizer"),
        (["--methods", "chameleon"], 1, "layers"),
        (["--primary", "fermi"], 1, "is no comparison"),
        (["--primary", "fermi - chameleon"], 1, "not among the methods"),
        (["--set", "pairs"], 1, "sets nothing"),
        (["--set", "pears=8"], 1, "pears: Extra inputs"),
        (["--set", "pairs=many"], 1, "pairs: "),
        (["--set", "seeds=1,x"], 1, "seeds"),
        (["--set", "seeds=[]"], 1, "seeds"),
        (["--set", "topics=[1]"], 1, "topics"),
        (["--curve-opinions", "0"], 1, "sizes holds 0"),
        (["--people", "0"], 1, "people: "),
        (["--group", "everybody"], 1, "group: "),
        (["--preset", "none"], 1, "no preset"),
        (["--model", ""], 1, "name is empty"),
        (["--transfer", "m"], 1, "the model of the run"),
        (["--shard", "2/2"], 2, "no shard"),
        (["--shard", "one"], 2, "no shard"),
        (["--no-such-option"], 2, "No such option"),
        (["--prices", "nowhere.toml", "--budget-money", "1"], None, ""),
    ],
)
def test_a_wrong_use_is_a_message(
    tmp_path: Path, double: Any, more: list[str], status: int | None, message: str
) -> None:
    double(m=answering())
    out = tmp_path / "out"
    result = run(*told(users(tmp_path), out, "m"), *more)
    assert "Traceback" not in result.output
    assert "internal error" not in result.output
    if status is not None:
        assert result.exit_code == status, result.output
        assert message in " ".join(re.sub(r"[│╭╮╰╯─]", " ", result.stderr).split())
        assert not (out / "answers.jsonl").exists(), "nothing was asked"


def test_the_place_of_an_evaluation_is_checked(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data = users(tmp_path)
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        result = run(*told(data, out, "m"))
        assert (result.exit_code, "cannot be used" in " ".join(result.stderr.split())) == (1, True)
    assert (tmp_path / "file").read_text() == "mine"
    without = run("evaluate", "users", "--data", data)
    assert (without.exit_code, "--out DIR" in without.stderr) == (2, True)
    broken = tmp_path / "broken"
    ends_well(run(*told(data, broken, "m")))
    (broken / "config.json").write_text("{")
    for more in ((), ("--report-only",)):
        result = run(*told(data, broken, "m", *more))
        assert (result.exit_code, "is no JSON" in " ".join(result.stderr.split())) == (1, True)
    (broken / "config.json").write_text('{"first": 3}')
    assert run("evaluate", "users", "--data", data, "--out", broken, "--report-only").exit_code == 1
    (tmp_path / "empty").mkdir()
    ends_well(run(*told(data, tmp_path / "empty", "m")))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"task = \"users\"\npears = 8\n", "pears: Extra inputs"),
        (b"task = \"users\"\ntrain = \"many\"\n", "train: "),
        (b"task = \"users\"\nseeds = [\"a\"]\n", "seeds"),
        (b"task = \"users\"\nprimary = \"a - b\"\n", "primary: "),
        (b"task = \"users\"\nmethods = []\n", "no method is named"),
        (b"methods = \"vanilla\"\n", "task: Field required"),
        (b"task = \"nothing\"\n", "no task 'nothing'"),
        (b"task = \n", "is no TOML"),
        (b"\xff\xfe", "is no TOML"),
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_a_message(tmp_path: Path, written: bytes, message: str) -> None:
    path = tmp_path / "evaluation.toml"
    path.write_bytes(written)
    result = run("evaluate", "--config", path, "--out", tmp_path / "out", "--model", "m")
    assert result.exit_code == 1, result.output
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    missing = run("evaluate", "--config", tmp_path / "none.toml", "--out", tmp_path / "out")
    assert (missing.exit_code, "cannot be read" in " ".join(missing.stderr.split())) == (1, True)


def test_options_win_over_the_file_and_settings_take_every_form(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    path, out = tmp_path / "evaluation.toml", tmp_path / "out"
    path.write_text('task = "people"\nmethods = ["vanilla", "few-shot[k=2,nearness=bm25]"]\ntrain = 3\nseeds = 5\n')
    data = users(tmp_path)
    given = ("--data", data, "--model", "m", "--train", "4", "--test", "2", "--preset", "api")
    more = ("--set", "similarity=bm25", "--set", 'dtype="float32"', "--set", "controls=false")
    ends_well(run("evaluate", "users", "--config", path, "--out", out, *given, *more))
    config = json.loads((out / "config.json").read_text())
    assert (config["task"], config["split"]["train"], config["seeds"]) == ("users", 4, [5])
    assert config["methods"] == ["vanilla", "few-shot[k=2,nearness=bm25]"]
    assert (config["models"]["dtype"], config["settings"]["similarity"]) == ("float32", "bm25")
    assert {each["arm"]["control"] for each in lines(out)} == {"own"}
    shutil.rmtree(out)


def test_a_package_that_is_needed_at_the_end_is_missed_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "find_spec", lambda name: None if name == "statsmodels" else True)
    done = run("evaluate", "people", "--out", str(tmp_path / "out"))
    assert done.exit_code == 1
    assert "statsmodels: pip install 'idiolect[evaluate]'" in done.stderr
    assert not (tmp_path / "out").exists()
