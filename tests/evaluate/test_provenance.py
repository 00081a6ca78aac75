"""How a folder's results were made: what a run's line states, and what it must not contain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.application.run import CallSettings
from idiolect.evaluate.evaluation import ask_blocking, run_evaluation
from idiolect.evaluate.preparing import prepare
from idiolect.evaluate.provenance import Invocation, begin_run, begun_now, command_line, read_runs
from idiolect.evaluate.report.made import dates_text, made_line, models_text, seconds_text
from idiolect.models.calls.budget import Limits
from tests.api_server import ApiServer, Body
from tests.evaluate.small_evaluation import served, small, users

HOME = "/".join(("", "home", "ann"))


@pytest.mark.parametrize(
    ("argument", "published"),
    [
        ("out/food", "out/food"),
        ("./users.jsonl", "./users.jsonl"),
        (HOME + "/study/users.jsonl", "users.jsonl"),
        ("~/study/users.jsonl", "users.jsonl"),
        ("~ann/study/users.jsonl", "users.jsonl"),
        ("../ann/users.jsonl", "users.jsonl"),
        ("C:\\Users\\ann\\users.jsonl", "users.jsonl"),
        (f"--data={HOME}/users.jsonl", "--data=users.jsonl"),
        (f"similarity={HOME}/model", "similarity=model"),
        (f"replay:{HOME}/recording.jsonl", "replay:recording.jsonl"),
        (f"fermi[retrieval.similarity={HOME}/m,iterations=2]", "fermi[retrieval.similarity=m,iterations=2]"),
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B"),
        ("fermi - few-shot", "fermi - few-shot"),
        ("https://ann:secret@host:8000/v1?key=secret&api-version=1#m", "https://host:8000/v1?api-version=1#m"),
        ("sk-proj-abcdef1234567890XYZ", "…"),
        ("few-shot-bm25,majority-population", "few-shot-bm25,majority-population"),
    ],
)
def test_a_command_line_holds_no_folder_of_a_home_and_no_key(argument: str, published: str) -> None:
    assert command_line("idiolect", ["evaluate", argument]) == command_line("idiolect", ["evaluate", published])
    assert "ann" not in command_line("idiolect", [argument])
    assert "secret" not in command_line("idiolect", [argument])


def test_runs_are_kept_in_order_and_a_killed_one_has_no_end(tmp_path: Path) -> None:
    begin_run(tmp_path / "runs.jsonl", begun_now(Invocation("idiolect one"), []))
    log = begin_run(tmp_path / "runs.jsonl", begun_now(Invocation("idiolect two"), []))
    log.end([], ended_by="the limit")
    with (tmp_path / "runs.jsonl").open("a") as stream:
        stream.write('{"started": "2026')
    first, second = read_runs(tmp_path)
    assert (first.command, first.ended, first.seconds) == ("idiolect one", None, None)
    assert (second.command, second.ended_by, second.ended is None) == ("idiolect two", "the limit", False)


def test_a_remote_run_names_its_server_and_what_the_server_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDIOLECT_API_KEY", "sk-never-to-be-kept-123456")
    out = tmp_path / "out"

    def answer(body: Body, number: int) -> Any:
        return {
            "model": "m-2026-05-01",
            "system_fingerprint": "fp_44",
            "choices": [{"message": {"content": served(body, number)}, "finish_reason": "stop"}],
        }

    with ApiServer(answer) as server:
        config = small(users(tmp_path), f"{server.url}#m", methods="vanilla")
        run_evaluation(config, out, invocation=Invocation("idiolect evaluate users"))
    (run,) = read_runs(out)
    (model,) = run.models
    assert model["roles"] == ["answers", "writes prompts"]
    assert (model["name"], model["kind"], model["endpoint"]) == ("m", "remote", server.url)
    assert (model["reported"], model["reported_fingerprints"]) == (["m-2026-05-01"], ["fp_44"])
    assert (run.command, run.seed, run.seeds, run.ended_by) == ("idiolect evaluate users", 0, (0,), "")
    assert run.seconds is not None
    assert run.ended is not None
    assert run.started <= run.ended
    assert "reported as m-2026-05-01" in made_line([run])
    assert dates_text([run]) == run.started[:10]
    kept = b"".join(path.read_bytes() for path in out.iterdir() if path.is_file())
    assert b"never-to-be-kept" not in kept
    assert str(tmp_path).encode() not in kept


def test_a_run_that_is_stopped_says_why_and_the_next_one_has_its_own_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ApiServer(served) as server:
        prepared = prepare(small(users(tmp_path), f"{server.url}#m", methods="vanilla,profile"))
        ask_blocking(prepared, out, calls=CallSettings(run=Limits(calls=2)))
        ask_blocking(prepared, out, calls=CallSettings())
    first, second = read_runs(out)
    assert "2 calls" in first.ended_by or "calls" in first.ended_by
    assert second.ended_by == ""


def test_a_run_that_fails_is_recorded_by_the_kind_of_its_error(tmp_path: Path) -> None:
    from idiolect.errors import ModelError
    from tests.api_server import Status

    def refuse(*_: object) -> Status:
        return Status(401, body={"error": {"message": "my words"}})

    out = tmp_path / "out"
    with ApiServer(refuse) as server, pytest.raises(ModelError):
        run_evaluation(small(users(tmp_path), f"{server.url}#m", methods="vanilla"), out)
    assert "my words" not in "".join(path.read_text() for path in out.glob("runs*.jsonl"))


def test_earlier_lines_stay_as_they_are(tmp_path: Path) -> None:
    """Those of a later version, too, and those that cannot be read."""
    path = tmp_path / "runs.jsonl"
    begin_run(path, begun_now(Invocation("one"), [])).end([])
    later = json.dumps(json.loads(path.read_text()) | {"command": "two", "cooling": "water"})
    path.write_text(f"{later}\nno line of ours")
    begin_run(path, begun_now(Invocation("three"), [])).end([])
    assert path.read_text().splitlines()[:2] == [later, "no line of ours"]
    assert [run.command for run in read_runs(tmp_path)] == ["two", "three"]


def test_what_a_line_does_not_state_is_not_taken_from_this_process(tmp_path: Path) -> None:
    line = begun_now(Invocation("one"), []).to_json()
    del line["idiolect"]
    (tmp_path / "runs.jsonl").write_text(json.dumps(line) + "\n")
    assert read_runs(tmp_path) == ()


def test_models_of_several_roles_are_told_apart() -> None:
    local = {"roles": ["answers"], "name": "SmolLM2", "kind": "local", "file": "s.gguf", "quantization": "Q4_1"}
    local |= {"device": "cpu", "device_name": "x86_64", "dtype": "float32", "scoring_dtype": "bfloat16"}
    remote = {"roles": ["writes prompts"], "name": "big", "kind": "remote", "endpoint": "https://host/v1"}
    run = begun_now(Invocation(), [])
    made = models_text([_with(run, local, remote)])
    assert made == (
        "answers: SmolLM2 (s.gguf, Q4_1), float32 and bfloat16 on cpu (x86_64); writes prompts: big at https://host/v1"
    )
    assert models_text([]) == ""


def _with(run: Any, *models: dict[str, Any]) -> Any:
    from dataclasses import replace

    return replace(run, models=models)


@pytest.mark.parametrize(("seconds", "text"), [(0.24, "0.2 s"), (59.4, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_durations_are_told_in_the_units_of_people(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_lines_state_their_version(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with ApiServer(served) as server:
        run_evaluation(small(users(tmp_path), f"{server.url}#m", methods="vanilla"), out)
    for path in out.glob("*.jsonl"):
        assert all(json.loads(line)["schema_version"] == 2 for line in path.read_text().splitlines()), path.name
    for path in out.glob("*.json"):
        assert json.loads(path.read_text())["schema_version"] == 2, path.name
