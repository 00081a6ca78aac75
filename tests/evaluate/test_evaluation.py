"""Evaluations by call: stopped and continued, refused where they would mix, in shards, reported again, replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.application import model_pool
from idiolect.application.run import CallSettings
from idiolect.errors import IdiolectError, MissingExtraError, SettingsError
from idiolect.evaluate import preparing
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.evaluation import EvaluationEvents, EvaluationStart, ask_blocking, run_evaluation
from idiolect.evaluate.preparing import outline_of, prepare
from idiolect.evaluate.reporting import outline_for_report, summarize_folder, write_report
from idiolect.models.calls.budget import Limits
from idiolect.models.replay import RecordingModel
from tests.api_server import ApiServer, Body, Status
from tests.evaluate.small_evaluation import SMALL, answering, scores, served, small, table, users
from tests.evaluate.small_world import lines
from tests.models import tiny


def unnamed_preset(data: Path) -> EvaluationConfig:
    """The base model alone, with the preset that its name leads to."""
    named = {"task": "users", "data": data, "model": "m", "answering": "generate", "methods": "vanilla"}
    return EvaluationConfig(**{name: value for name, value in SMALL.items() if name != "preset"} | named)


def report_again(config: EvaluationConfig, out: Path, *, texts: bool = True) -> None:
    """Report what is there, and ask nothing."""
    write_report(summarize_folder(outline_for_report(out, config), out, texts=texts), out)


# Stopped, and continued


@pytest.mark.parametrize("limit", [1, 9, 25])
def test_a_budget_leaves_a_partial_report_and_the_same_call_goes_on(tmp_path: Path, limit: int) -> None:
    data, out = users(tmp_path), tmp_path / "out"
    with ApiServer(served) as server:
        config = small(data, f"{server.url}#m")
        assert run_evaluation(config, tmp_path / "undisturbed").header.status == "complete"
        before = len(server.requests)
        stopped = run_evaluation(config, out, calls=CallSettings(run=Limits(calls=limit)))
        assert len(server.requests) - before <= limit
        assert (stopped.header.status, "calls" in stopped.header.stopped_by) == ("stopped", True)
        assert scores(out)["stopped_by"] == stopped.header.stopped_by
        assert "**Partial" in (out / "table.md").read_text()
        assert "stopped" in (out / "report.html").read_text().casefold()
        assert run_evaluation(config, out).header.status == "complete"
    assert scores(out) == scores(tmp_path / "undisturbed")
    assert table(out) == table(tmp_path / "undisturbed")


def test_an_observer_may_halt_it_and_the_same_call_goes_on(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path, "ann", "bob", "cyd"), tmp_path / "out"
    begun, done = list[EvaluationStart](), list[str]()

    def finished(user: str, not_scored: int) -> None:
        assert not_scored == 0
        done.append(user)
        begun[0].run.halt("enough")

    halting = EvaluationEvents(started=begun.append, finished=finished)
    asked = ask_blocking(prepare(small(data)), out, calls=CallSettings(), events=halting)
    assert (begun[0].people, begun[0].side_by_side) == (3, False)
    assert (asked.stopped_by, asked.share_done, len(done)) == ("enough", False, 1)
    assert run_evaluation(small(data), out).header.status == "complete"
    run_evaluation(small(data), tmp_path / "undisturbed")
    assert lines(out) == lines(tmp_path / "undisturbed")


def test_a_preset_that_nobody_named_is_reported_and_kept(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    unnamed = unnamed_preset(data)
    begun = list[EvaluationStart]()
    ask_blocking(prepare(unnamed), out, calls=CallSettings(), events=EvaluationEvents(started=begun.append))
    assert begun[0].preset_line == "preset local, because the number of parameters of m is unknown"
    assert json.loads((out / "config.json").read_text())["settings"]["preset"] == "local"
    assert run_evaluation(unnamed, out).header.status == "complete"
    report_again(unnamed, out)
    named = tmp_path / "named"
    begun.clear()
    config = small(data, methods="vanilla")
    ask_blocking(prepare(config), named, calls=CallSettings(), events=EvaluationEvents(started=begun.append))
    assert begun[0].preset_line == ""


def test_a_folder_from_before_local_models_had_a_preset_of_their_own_is_not_mixed(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    unnamed = unnamed_preset(data)
    run_evaluation(unnamed, out)
    kept = json.loads((out / "config.json").read_text())
    kept["settings"]["preset"] = None
    (out / "config.json").write_text(json.dumps(kept))
    with pytest.raises(SettingsError, match="it differs in settings"):
        run_evaluation(unnamed, out)


async def test_it_works_inside_a_running_event_loop(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    assert run_evaluation(small(users(tmp_path), methods="vanilla"), tmp_path / "out").header.status == "complete"


def test_a_model_that_fails_for_somebody_is_not_scored_and_tried_again(tmp_path: Path) -> None:
    data, out = users(tmp_path), tmp_path / "out"

    def broken(body: Body, _number: int) -> str | Status:
        return Status(400, body={"error": {"message": "no"}}) if "Name: bob" in str(body) else served(body)

    with ApiServer(broken) as server:
        config = small(data, f"{server.url}#m", methods="vanilla,profile")
        run_evaluation(config, out)
        found = scores(out)
        (profile,) = [each for each in found["arms"] if each["arm"]["text"] == "profile"]
        assert (profile["answers"], sum(profile["not_scored"].values())) == (2, 2)
        report_again(config, out)
        assert scores(out) == found
        server.answer = served
        run_evaluation(config, out)
        run_evaluation(config, tmp_path / "undisturbed")
    assert scores(out) == scores(tmp_path / "undisturbed")


# One folder, one evaluation


def test_the_same_evaluation_comes_to_the_same(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data = users(tmp_path)
    for out in ("a", "b"):
        run_evaluation(small(data), tmp_path / out)
    assert lines(tmp_path / "a") == lines(tmp_path / "b")
    assert scores(tmp_path / "a") == scores(tmp_path / "b")
    run_evaluation(small(data, seeds=(1,)), tmp_path / "c")
    assert lines(tmp_path / "a") != lines(tmp_path / "c")


def test_a_folder_of_another_evaluation_is_refused(tmp_path: Path, double: Any) -> None:
    double(m=answering(), n=answering("n"))
    data, out = users(tmp_path), tmp_path / "out"
    run_evaluation(small(data), out)
    before = (out / "answers.jsonl").read_bytes(), (out / "table.md").read_bytes()
    changes: list[tuple[dict[str, Any], str]] = [
        ({"primary": ("fermi - vanilla",)}, "primary"),
        ({"baseline": "profile"}, "baseline"),
        ({"seeds": (1,)}, "seeds"),
        ({"seed": 1}, "split"),
        ({"test": 1}, "split"),
        ({"iterations": 2}, "settings"),
        ({"output_rule": False}, "settings"),
        ({"optimizer": "n"}, "models"),
        ({"model": "n"}, "models"),
    ]
    for change, other in changes:
        with pytest.raises(SettingsError, match=f"a different evaluation .*{other}"):
            run_evaluation(small(data, **change), out)
    assert ((out / "answers.jsonl").read_bytes(), (out / "table.md").read_bytes()) == before


def test_a_folder_from_before_the_output_rule_continues_without_it(tmp_path: Path, double: Any) -> None:
    model = answering()
    double(m=model)
    data, out = users(tmp_path), tmp_path / "out"
    unruled = small(data, methods="vanilla", answering="generate", output_rule=False)
    run_evaluation(unruled, out)
    assert "output_rule" not in json.loads((out / "config.json").read_text())["settings"]
    assert not any("Reply with" in request.messages[-1].content for request in model.completion_requests)
    ruled = small(data, methods="vanilla", answering="generate")
    with pytest.raises(SettingsError, match=r"a different evaluation .*settings"):
        run_evaluation(ruled, out)
    report_again(EvaluationConfig(task="users"), out)
    (out / "outline.json").unlink()
    report_again(EvaluationConfig(task="users", data=data), out)
    before = len(model.completion_requests)
    run_evaluation(ruled, tmp_path / "ruled")
    assert json.loads((tmp_path / "ruled" / "config.json").read_text())["settings"]["output_rule"] is True
    assert all("\nReply with" in request.messages[-1].content for request in model.completion_requests[before:])


def test_people_who_said_something_else_are_refused(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    run_evaluation(small(data), out)
    people = [json.loads(line) for line in data.read_text().splitlines()]
    for opinion in people[0]["opinions"]:
        opinion["answer"] = "soup"
    data.write_text("".join(json.dumps(each) + "\n" for each in people))
    for again in (run_evaluation, report_again):
        with pytest.raises(SettingsError, match="different data: 1 of its people") as caught:
            again(small(data), out)
        assert "soup" not in str(caught.value)


def test_methods_and_people_grow_and_the_report_names_them(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path, "ann", "bob", "cyd"), tmp_path / "out"
    run_evaluation(small(data, people=2, methods="vanilla,profile"), out)
    assert len(lines(out, "learning")) == 3 * 2
    grown = run_evaluation(small(data, methods="few-shot,vanilla,profile"), out)
    assert "added after the first answers: few-shot" in grown.header.notes
    undisturbed = tmp_path / "undisturbed"
    run_evaluation(small(data, methods="few-shot,vanilla,profile"), undisturbed)
    found = [each for each in lines(out) if each["arm"]["control"] == "own"]
    assert found == [each for each in lines(undisturbed) if each["arm"]["control"] == "own"]
    assert [each["arm"] for each in scores(out)["arms"]] == [each["arm"] for each in scores(undisturbed)["arms"]], (
        "tables are in the order of the configuration"
    )


def test_shards_and_a_report_are_the_unsharded_run(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path, "ann", "bob", "cyd"), tmp_path / "out"
    prepared = prepare(small(data))
    asked = ask_blocking(prepared, out, calls=CallSettings(), shard=(0, 2))
    assert (asked.share_done, asked.stopped_by) == (True, "")
    assert summarize_folder(outline_of(prepared), out).header.stopped_by.endswith("pairs of arm and person are missing")
    assert run_evaluation(small(data), out, shard=(1, 2)).header.status == "complete"
    before = {path.name: path.read_bytes() for path in (*out.glob("*.jsonl"), out / "config.json")}
    report_again(small(data), out)
    after = {path.name: path.read_bytes() for path in (*out.glob("*.jsonl"), out / "config.json")}
    assert after == before, "a report changes nothing of what is kept"
    run_evaluation(small(data), tmp_path / "undisturbed")
    assert scores(out) == scores(tmp_path / "undisturbed")
    assert table(out) == table(tmp_path / "undisturbed")


def test_a_report_needs_only_what_the_folder_does_not_hold(tmp_path: Path, double: Any) -> None:
    models = double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    run_evaluation(small(data, people=1, primary=("fermi - profile",), seeds=(0, 1)), out)
    found, asked = scores(out), len(models["m"].completion_requests)
    report_again(EvaluationConfig(task="users", data=data), out)
    assert scores(out) == found
    assert len(models["m"].completion_requests) == asked
    report_again(EvaluationConfig(task="users", data=data), out, texts=False)
    for name in ("report.html", "table.md", "scores.json"):
        assert "What would ann have" not in (out / name).read_text(encoding="utf-8"), name
    with pytest.raises(SettingsError, match="contains no evaluation"):
        report_again(EvaluationConfig(task="people"), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_the_place_of_an_evaluation_is_checked(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, broken = users(tmp_path), tmp_path / "broken"
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(SettingsError, match="cannot be used"):
            run_evaluation(small(data), out)
    assert (tmp_path / "file").read_text() == "mine"
    run_evaluation(small(data), broken)
    (broken / "config.json").write_text("{")
    for again in (run_evaluation, report_again):
        with pytest.raises(SettingsError, match="is not valid JSON"):
            again(small(data), broken)
    (broken / "config.json").write_text('{"first": 3}')
    with pytest.raises(SettingsError):
        report_again(EvaluationConfig(task="users", data=data), broken)
    (tmp_path / "empty").mkdir()
    assert run_evaluation(small(data), tmp_path / "empty").header.status == "complete"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"task": "nothing"}, SettingsError, "unknown task 'nothing'"),
        ({"methods": "vanilla,opra"}, SettingsError, "unknown method 'opra'"),
        ({"primary": ("fermi",)}, SettingsError, "expected a comparison"),
        ({"transfer": ("m",)}, SettingsError, "the model of the run"),
        ({"model": ""}, SettingsError, "name is empty"),
        ({"methods": "chameleon"}, IdiolectError, "layers"),
        ({"data": Path("nowhere.jsonl")}, IdiolectError, "nowhere.jsonl"),
    ],
)
def test_what_makes_no_sense_is_an_error_before_anything_is_asked(
    tmp_path: Path, double: Any, change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    double(m=answering())
    with pytest.raises(kind, match=message):
        run_evaluation(small(**{"data": users(tmp_path)} | change), tmp_path / "out")
    assert not (tmp_path / "out" / "answers.jsonl").exists()


def test_a_package_that_is_needed_at_the_end_is_missed_at_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preparing, "find_spec", lambda name: None if name == "statsmodels" else True)
    with pytest.raises(MissingExtraError, match=r"statsmodels: pip install 'idiolect\[evaluate\]'"):
        run_evaluation(EvaluationConfig(task="people"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_are_of_the_type_that_the_configuration_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder says so: the type of `calls` would make other numbers."""
    opened: list[str | None] = []

    def open_tiny(_name: str, *, dtype: str | None, scoring_dtype: str | None) -> object:
        assert scoring_dtype is None
        opened.append(dtype)
        return tiny.local_model()

    monkeypatch.setattr(model_pool, "open_local_model", open_tiny)
    config = small(users(tmp_path), "tiny", methods="uniform", dtype="bfloat16", answering="likelihood")
    run_evaluation(config, tmp_path / "out", calls=CallSettings(dtype="float16"))
    assert opened == ["bfloat16"]
    assert json.loads((tmp_path / "out" / "config.json").read_text())["models"]["dtype"] == "bfloat16"


# Transfer


def test_transfer_by_replay_comes_to_the_live_matrix(tmp_path: Path, double: Any) -> None:
    a, b = (RecordingModel(answering(name), tmp_path / f"{name}.jsonl") for name in ("a", "b"))
    double(a=a, b=b)
    data, live, out = users(tmp_path), tmp_path / "live", tmp_path / "replayed"
    ungated: dict[str, Any] = {"methods": "vanilla,fermi", "preset": "paper-offline"}  # the prompts are what answers
    run_evaluation(small(data, "a", transfer=("b",), **ungated), live)
    names = [f"replay:{tmp_path / name}.jsonl" for name in ("a", "b")]
    run_evaluation(small(data, names[0], transfer=(names[1],), **ungated), out)

    def matrix(folder: Path, models: list[str]) -> dict[tuple[int, int], Any]:
        transfer = scores(folder)["transfer"]
        assert (transfer["method"], transfer["models"]) == ("fermi", models)
        places = {name: place for place, name in enumerate(models)}
        return {(places[c["learned_with"]], places[c["answered_by"]]): c["score"] for c in transfer["cells"]}

    found = matrix(live, ["a", "b"])
    assert set(found) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert matrix(out, ["replay:a.jsonl", "replay:b.jsonl"]) == found
    assert len({json.dumps(line["answer"]) for line in lines(live)}) > 1
    assert scores(live)["transfer"]["replayed"] == []
    assert scores(out)["transfer"]["replayed"] == ["replay:a.jsonl", "replay:b.jsonl"]
    assert "Recordings, not live models" in (out / "table.md").read_text()
    answers = {arm: [x["answer"] for x in lines(live) if _column(x) == arm] for arm in map(_column, lines(live))}
    assert answers[("fermi", "")] != answers[("fermi", "b")], "the two models are different"
    rivals = {gain["arm"]["text"] for gain in scores(live)["gains"]}
    assert not [arm for arm in rivals if "answered by b" in arm], "another model is not measured against this baseline"


def _column(line: dict[str, Any]) -> tuple[str, str]:
    return line["arm"]["method"], line["arm"]["answered_by"]
