"""`idiolect evaluate`: killed and interrupted, what is printed, and how settings and wrong use are read."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.evaluate.methods.table import METHODS
from idiolect.evaluate.tasks.table import TASKS
from idiolect.models.doubles import FunctionModel
from tests.api_server import ApiServer, Status
from tests.cli.interrupting import start
from tests.cli.learning import run
from tests.evaluate.small_evaluation import answering, scores, served, table, told, users
from tests.evaluate.small_world import lines

ROOT = Path(__file__).resolve().parents[2]


def ends_well(result: Result) -> None:
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output


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


def test_what_is_stopped_is_printed_and_what_is_there_reported(tmp_path: Path) -> None:
    data, out = users(tmp_path), tmp_path / "out"
    with ApiServer(served) as server:
        model = f"{server.url}#m"
        stopped = run(*told(data, out, model, "--budget-calls", "9"))
        assert stopped.exit_code == 1, stopped.output
        assert "stopped: " in stopped.stderr
        assert "to continue, run the same command" in stopped.stderr
        ends_well(run(*told(data, out, model)))
        asked = len(server.requests)
        reported = run("evaluate", "users", "--data", data, "--out", out, "--report-only", "--no-texts", "--json")
        ends_well(reported)
        assert len(server.requests) == asked
    assert json.loads(reported.stdout)["status"] == "complete"
    assert "What would ann have" not in (out / "report.html").read_text(encoding="utf-8")


def test_a_share_that_is_done_is_told_from_all_of_them(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    first = run(*told(users(tmp_path), tmp_path / "out", "m", "--shard", "0/2", methods="vanilla"))
    assert first.exit_code == 0
    assert "this share is done; of all shares, " in first.stderr
    assert "pairs of arm and person are missing" in first.stderr


def test_a_refused_key_is_a_message(tmp_path: Path) -> None:
    with ApiServer(lambda *_: Status(401, body={"error": {"message": "bad key"}})) as server:
        result = run(*told(users(tmp_path), tmp_path / "out", f"{server.url}#m"))
    assert result.exit_code == 1
    assert "error: " in result.stderr
    assert "Traceback" not in result.output


def test_all_tasks_and_methods_are_listed() -> None:
    ends_well(result := run("evaluate", "--list"))
    assert all(name in result.stdout for name in (*TASKS, *METHODS))
    found = json.loads(run("evaluate", "--list", "--json").stdout)
    assert (set(found["tasks"]), set(found["methods"])) == (set(TASKS), set(METHODS))


@pytest.mark.parametrize(
    ("more", "status", "message"),
    [
        (["--methods", "vanilla,opra"], 1, "unknown method 'opra'"),
        (["--methods", "fermi[iterations=x]"], 1, "iterations is 'x', must be a whole number"),
        (["--methods", "fermi["], 1, "expected a method such as fermi"),
        (["--methods", "few-shot[k=0]"], 1, "k is 0"),
        (["--methods", "fermi,fermi-no-kinds", "--preset", "paper-offline"], 1, "fermi-no-kinds: this ablation takes"),
        (["--methods", "fermi-symmetric[proposers=demonstrations]"], 1, "or name an optimizer: see --optimizer"),
        (["--methods", "chameleon"], 1, "layers"),
        (["--primary", "fermi"], 1, "expected a comparison"),
        (["--primary", "fermi - chameleon"], 1, "not among the methods"),
        (["--set", "pairs"], 1, "expected NAME=VALUE"),
        (["--set", "pears=8"], 1, "pears: there is no such setting"),
        (["--set", "form_group=./g"], 1, "form_group: there is no such setting; did you mean from_group?"),
        (["--set", "pairs=many"], 1, "pairs: must be a whole number"),
        (["--set", "pairs=1"], 1, "pairs: must be at least 2"),
        (["--set", "controls=7"], 1, "controls: must be true or false"),
        (["--set", "answering=aloud"], 1, "answering: must be 'generate' or 'likelihood'"),
        (["--set", f"pairs={'[' * 5000}"], 1, "pairs: "),
        (["--set", "seeds=1,x"], 1, "seeds"),
        (["--set", "seeds=[]"], 1, "seeds"),
        (["--set", "topics=[1]"], 1, "topics"),
        (["--curve-opinions", "0"], 1, "curve_opinions contains 0"),
        (["--curve-prompt-tokens", "100,0"], 1, "curve_prompt_tokens contains 0"),
        (["--curve-prompt-tokens", "-1"], 1, "curve_prompt_tokens contains -1"),
        (["--curve-prompt-tokens", "9,9"], 1, "curve_prompt_tokens contains 9 twice"),
        (["--curve-prompt-tokens", "9,many"], 1, "curve_prompt_tokens.1: "),
        (["--curve-prompt-tokens", "9", "--methods", "vanilla"], 1, "add one of few-shot"),
        (["--curve-prompt-tokens", "9", "--set", "curve_methods=vanilla"], 1, "and vanilla is none"),
        (
            ["--curve-prompt-tokens", "9", "--methods", "few-shot,fermi", "--preset", "paper-offline"],
            1,
            "fermi: with these settings no prompt shows examples",
        ),
        (["--people", "0"], 1, "people: "),
        (["--group", "everybody"], 1, "group: "),
        (["--preset", "none"], 1, "no preset"),
        (["--model", ""], 1, "name is empty"),
        (["--transfer", "m"], 1, "the model of the run"),
        (["--shard", "2/2"], 2, "expected I/N"),
        (["--shard", "one"], 2, "expected I/N"),
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


def test_limit_is_another_name_of_people(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    ends_well(run(*told(users(tmp_path), tmp_path / "out", "m", "--limit", "1", methods="uniform")))
    assert {line["user"] for line in lines(tmp_path / "out")} < {"ann", "bob"}


def test_a_report_needs_no_task_no_data_and_no_model(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m", methods="uniform,vanilla")))
    before = scores(out)
    data.unlink()
    (out / "report.html").unlink()
    reported = run("evaluate", "--out", out, "--report-only", "--json")
    ends_well(reported)
    assert scores(out) == before
    assert json.loads(reported.stdout)["task"] == "users"
    assert (out / "report.html").exists()


def test_the_folder_to_report_may_be_the_working_folder(
    tmp_path: Path, double: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m", methods="uniform")))
    monkeypatch.chdir(out)
    ends_well(run("evaluate", "--out", ".", "--report-only"))
    assert run(*told(data, Path(), "m", methods="uniform")).exit_code == 2


def test_one_person_alone_has_no_controls_and_that_is_noted_once(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path, "ann", "bob"), tmp_path / "out"
    command = told(data, out, "m", methods="vanilla,profile")
    ends_well(one := run(*command, "--people", "1"))
    assert one.stderr.count("the controls (another's) are left out") == 1
    assert "not scored" not in one.output.casefold().replace("not scored  calls", "")
    assert "Only one person is asked" in (out / "report.html").read_text()
    assert {line["arm"]["control"] for line in lines(out)} == {"own"}
    ends_well(two := run(*command))
    assert "left out" not in two.stderr
    assert sorted((a["user"], a["status"]) for a in lines(out) if a["arm"]["control"] != "own") == [
        (user, "scored") for user in ("ann", "ann", "bob", "bob")
    ], "with a second person, both have a control"


def test_writers_are_compared_with_their_kind_and_without_names(tmp_path: Path, double: Any) -> None:
    double(m=FunctionModel("m", complete=lambda _: "said", choice_logprobs=lambda r: [-float(len(r.choices[0]))]))
    kinds = {"ann": "letters", "bob": "letters", "cyd": "speeches"}
    data, out = tmp_path / "users.jsonl", tmp_path / "out"
    texts = [f"text {n} of Turner and Mill" for n in range(4)]
    people = [{"id": name, "profile": {"Kind": kind}, "texts": texts} for name, kind in kinds.items()]
    data.write_text("".join(json.dumps(each) + "\n" for each in people))
    command = ["evaluate", "users", "--data", str(data), "--out", str(out), "--model", "m", "--train", "2"]
    command += ["--methods", "vanilla,few-shot", "--set=similarity=bm25", "--neutral", "2", "--mask-names"]
    command += ["--group-by", "Kind", "--controls-by-kind"]
    command += ["--primary", "few-shot - few-shot · another's of the same kind"]
    ends_well(first := run(*command))
    assert "1 of 3 people have no control (another's of the same kind)" in " ".join(first.stderr.split())
    found = json.loads((out / "scores.json").read_text())
    assert found["measures"] == ["loglik", "neutral"]
    compared = {each["b"]["control"]: each["difference"]["people"] for each in found["comparisons"] if each["primary"]}
    assert compared == {"another's of the same kind": 2}
    assert "Names in people's texts were replaced by NAME: 24 of 60 words, 40.0 %." in found["notes"]
    assert len(found["text_gains"]) == 3
    before = table(out)
    ends_well(run("evaluate", "--out", out, "--report-only"))
    ends_well(run("evaluate", "users", "--out", out, "--report-only", "--data", data))
    assert table(out) == before
    reason = "mask_names is for the task users"
    assert reason in run("evaluate", "people", "--out", tmp_path / "people", "--mask-names").stderr


def test_an_evaluation_without_a_scored_answer_fails(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ApiServer(lambda *_: Status(400, body={"error": {"message": "no"}})) as server:
        result = run(*told(users(tmp_path), out, f"{server.url}#m", methods="vanilla"))
    assert result.exit_code == 1
    assert "no answer was scored; the report states why" in result.stderr
    assert "the model failed" in (out / "report.html").read_text()
    assert run("evaluate", "--out", out, "--report-only").exit_code == 1


@pytest.mark.parametrize("more", [[], ["users"], ["people"], ["--data", "users.jsonl"]])
def test_a_report_of_nothing_is_wrong_use(tmp_path: Path, more: list[str]) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        result = run("evaluate", *more, "--out", place, "--report-only")
        assert result.exit_code == 2, result.output
        assert "contains no evaluation" in " ".join(result.stderr.split())


def test_a_run_keeps_its_command_and_prompts_on_request(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    ends_well(run(*told(data, out, "m", "--log-prompts", methods="uniform,profile")))
    (made,) = lines(out, "runs")
    assert made["command"].startswith("idiolect evaluate users --data users.jsonl --out out --model m ")
    assert made["command"].endswith("--log-prompts")
    assert made["prompts_logged"] is True
    assert {bool(line["prompt"]) for line in lines(out) if line["arm"]["method"] == "profile"} == {True}


def test_without_a_folder_is_wrong_use(tmp_path: Path) -> None:
    without = run("evaluate", "users", "--data", users(tmp_path))
    assert (without.exit_code, "--out DIR" in without.stderr) == (2, True)


def test_without_a_task_is_wrong_use(tmp_path: Path) -> None:
    without = run("evaluate", "--out", tmp_path / "out")
    assert (without.exit_code, "name a TASK" in without.stderr) == (2, True)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"task = \"users\"\npears = 8\n", "pears: there is no such setting"),
        (b"task = \"users\"\ntrain = \"many\"\n", "train: "),
        (b"task = \"users\"\nseeds = [\"a\"]\n", "seeds"),
        (b"task = \"users\"\nprimary = \"a - b\"\n", "primary: "),
        (b"task = \"users\"\nmethods = []\n", "no method is named"),
        (b"methods = \"vanilla\"\n", "task: is missing"),
        (b"task = \"nothing\"\n", "unknown task 'nothing'"),
        (b"task = \n", "is not valid TOML"),
        (b"\xff\xfe", "is not valid TOML"),
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
    double(m=answering(), n=answering("n"))
    path, out = tmp_path / "evaluation.toml", tmp_path / "out"
    path.write_text('task = "people"\nmethods = ["vanilla", "few-shot[k=2,nearness=bm25]"]\ntrain = 3\nseeds = 5\n')
    data = users(tmp_path)
    given = ("--data", data, "--model", "m", "--train", "4", "--test", "2", "--preset", "api")
    more = ("--set", "similarity=bm25", "--set", 'dtype="float32"', "--set", "controls=false")
    others = ("--seed", "1", "--people", "1", "--optimizer", "n", "--baseline", "vanilla")
    compared = ("--primary", "few-shot[k=2,nearness=bm25] - vanilla")
    ends_well(run("evaluate", "users", "--config", path, "--out", out, *given, *more, *others, *compared))
    config = json.loads((out / "config.json").read_text())
    assert (config["split"]["seed"], config["people"], config["baseline"]) == (1, 1, "vanilla")
    assert config["models"]["optimizer"] == "n"
    assert config["primary"] == ["few-shot[k=2,nearness=bm25] - vanilla"]
    assert (config["task"], config["split"]["train"], config["seeds"]) == ("users", 4, [5])
    assert config["methods"] == ["vanilla", "few-shot[k=2,nearness=bm25]"]
    assert (config["models"]["dtype"], config["settings"]["similarity"]) == ("float32", "bm25")
    assert {each["arm"]["control"] for each in lines(out)} == {"own"}
    shutil.rmtree(out)
