"""The files of a folder: flat answers, log-probabilities, prompts, a report without data, and damage."""

from __future__ import annotations

import csv
import errno
import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.comparing import compare_folders
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.evaluation import run_evaluation
from idiolect.evaluate.flat import COLUMNS, results_csv
from idiolect.evaluate.outline import Outline, read_outline, write_outline
from idiolect.evaluate.provenance import Invocation, read_runs
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.evaluate.report.headline import headline_of
from idiolect.evaluate.report.made import made_definitions, runs_table
from idiolect.evaluate.reporting import outline_for_report, summarize_folder, write_answers, write_report
from idiolect.evaluate.tables import table as table_of
from tests.evaluate.small_evaluation import answering, scores, small, table, users
from tests.evaluate.small_world import lines, model

# answers.jsonl


def test_each_choices_log_probability_is_kept_before_it_is_normalized(tmp_path: Path, double: Any) -> None:
    double(m=model())
    out = tmp_path / "out"
    settings: dict[str, Any] = {"methods": "uniform,vanilla", "answering": "likelihood", "normalization": "mean"}
    run_evaluation(small(users(tmp_path), **settings), out)
    questions = {line["key"]: line["choices"] for line in _lines(out / "questions.jsonl")}
    found = {arm: [line for line in lines(out) if line["arm"]["method"] == arm] for arm in ("uniform", "vanilla")}
    assert all(line["logprobs"] == {} for line in found["uniform"]), "a drawn answer has no log-probability"
    for line in found["vanilla"]:
        assert list(line["logprobs"]) == questions[line["question"]]
        assert max(line["logprobs"].values()) <= 0
        assert line["prompt"] == []


def test_prompts_are_kept_on_request_only(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data = users(tmp_path)
    run_evaluation(small(data, methods="uniform,profile,fermi"), tmp_path / "without")
    assert b"What would ann have" not in (tmp_path / "without" / "answers.jsonl").read_bytes()
    config = small(data, methods="uniform,profile,fermi")
    run_evaluation(config, tmp_path / "with", invocation=Invocation(log_prompts=True))
    for line in lines(tmp_path / "with"):
        if line["arm"]["method"] == "uniform":
            assert line["prompt"] == []
        else:
            (*_, last) = line["prompt"]
            assert last["role"] == "user"
            assert "What would" in last["content"]
    plain = [{**line, "prompt": []} for line in lines(tmp_path / "with")]

    def by_person(line: dict[str, Any]) -> str:  # whoever is done first is written first
        return json.dumps([line["arm"], line["user"], line["index"]])

    before = sorted(lines(tmp_path / "without"), key=by_person)
    assert sorted(plain, key=by_person) == before, "logging changes no answer"
    assert [run["prompts_logged"] for run in _lines(tmp_path / "with" / "runs.jsonl")] == [True]


# results.csv

HARD = 'She said "yes, no",\nthen\rleft; ='
OUTLINE = Outline(
    "users", "Users", ("accuracy", "mae"), (Arm("uniform"), Arm("fermi[a=1,b=2]")), Arm("uniform"), ("007", "b,b"),
    kinds={"uniform": "no model", "fermi": "learned"},
)  # fmt: skip


def _answer(user: str, arm: Arm, **changes: Any) -> AnswerRecord:
    return replace(AnswerRecord(arm, 0, user, "key", 0), **changes)


def test_pandas_opens_the_answers_flat(tmp_path: Path) -> None:
    fermi = Arm("fermi[a=1,b=2]", "another's", 5)
    outline = replace(OUTLINE, arms=(Arm("uniform"), fermi))
    found = [
        _answer("b,b", fermi, answer=HARD, truth="None", values={"accuracy": 0.0, "mae": 1.5}, logprobs={HARD: -0.25}),
        _answer("007", fermi, status="unparsed", said=HARD, truth="None", values={"accuracy": 0.0}),
        _answer("007", Arm("uniform"), status="not scored", reason="nothing, to learn"),
    ]
    path = tmp_path / "results.csv"
    path.write_text(results_csv(found, outline, {"key": (HARD, (HARD, "None"))}), encoding="utf-8", newline="")
    frame = pandas.read_csv(path, keep_default_na=False, na_values=[""], dtype={"person": str})
    assert list(frame.columns) == [*COLUMNS, "accuracy", "mae"]
    assert list(frame["person"]) == ["007", "007", "b,b"]
    assert list(frame["kind"]) == ["no model", "learned", "learned"]
    assert (frame["choice"][2], frame["said"][1], frame["question"][0]) == (HARD, HARD, HARD)
    assert frame["answer"][2] == "None"
    assert (frame["logprob"][2], frame["mae"][2], frame["accuracy"][1]) == (-0.25, 1.5, 0.0)
    assert frame["n_train"][2] == 5
    assert frame[["choice", "accuracy"]].isna().to_numpy()[0].all()
    assert set(frame["schema_version"]) == {2}


def test_without_texts_the_flat_answers_have_scores_only() -> None:
    found = [_answer("007", Arm("uniform"), answer="tea", truth="milk", values={"accuracy": 0.0})]
    text = results_csv(found, OUTLINE, {"key": ("Tea or milk?", ("tea", "milk"))}, texts=False)
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["choice"], row["answer"], row["said"], row["question"]) == ("", "", "", "")
    assert (row["accuracy"], row["person"]) == ("0.0", "007")


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1 to the others", "'+1 to the others"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("\t=1", "'\t=1"),
        ("-2", "-2"),
        ("+3.5", "+3.5"),
        ("a = b", "a = b"),
        ("nul\0ends", "nul\ufffdends"),
    ],
)
def test_no_text_is_a_formula_for_a_spreadsheet(said: str, written: str) -> None:
    record = _answer("007", Arm("uniform"), answer=said, truth="tea", said=said, values={"accuracy": 0.0})
    (row,) = csv.DictReader(io.StringIO(results_csv([record], OUTLINE, {"key": (said, ())})))
    assert (row["choice"], row["said"], row["question"]) == (written,) * 3


def test_an_evaluation_has_a_row_for_every_answer(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform,vanilla,profile"), out)
    rows = list(csv.DictReader(io.StringIO((out / "results.csv").read_bytes().decode())))
    assert len(rows) == len(lines(out))
    assert [row["arm"] for row in rows[:4]] == ["uniform"] * 4, "rows are in the order of the tables"
    run_evaluation(small(users(tmp_path), methods="uniform,vanilla,profile"), out, texts=False)
    assert "What would ann have" not in (out / "results.csv").read_text(encoding="utf-8")


# A report without data


def test_a_report_needs_the_folder_only(tmp_path: Path, double: Any) -> None:
    models = double(m=answering())
    data, out = users(tmp_path, "ann", "bob", "cyd"), tmp_path / "out"
    run_evaluation(small(data, primary=("fermi - profile",)), out)
    before, asked = _outputs(out), len(models["m"].completion_requests)
    data.unlink()
    moved = tmp_path / "elsewhere"
    shutil.move(out, moved)
    shutil.rmtree(moved / "cache")
    for name in ("report.html", "table.md", "scores.json"):
        (moved / name).unlink()
    outline = outline_for_report(moved)
    write_report(summarize_folder(outline, moved), moved)
    assert _outputs(moved) == before
    assert len(models["m"].completion_requests) == asked


def test_a_report_without_data_is_of_the_same_settings(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform,vanilla"), out)
    assert outline_for_report(out, EvaluationConfig(task="users", model="m")).task == "users"
    changes: dict[str, dict[str, Any]] = {
        "a different evaluation .*seeds": {"seeds": (3,)},
        "a different evaluation .*task": {"task": "people"},
        "has other people": {"people": 1},
        "has other methods": {"methods": "vanilla"},
    }
    for message, change in changes.items():
        with pytest.raises(SettingsError, match=message):
            outline_for_report(out, EvaluationConfig(**{"task": "users"} | change))


# Folders of other versions, and damage


def as_version_1(out: Path) -> None:
    """Take from a folder what version 2 added."""
    for name in ("outline.json", "runs.jsonl", "results.csv"):
        (out / name).unlink()
    config = json.loads((out / "config.json").read_text())
    del config["schema_version"]
    (out / "config.json").write_text(json.dumps({"format": 1, **config}))
    for path in out.glob("*.jsonl"):
        found = _lines(path)
        for line in found:
            for name in ("schema_version", "logprobs", "prompt"):
                line.pop(name, None)
        path.write_text("".join(json.dumps(line) + "\n" for line in found))


def test_a_folder_of_version_1_is_reported_with_its_data_and_continued(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    data, out = users(tmp_path), tmp_path / "out"
    run_evaluation(small(data, methods="vanilla"), out)
    expected = scores(out)["arms"]
    as_version_1(out)
    with pytest.raises(SettingsError, match="needs the data once more"):
        outline_for_report(out)
    write_report(summarize_folder(outline_for_report(out, small(data, methods="vanilla")), out), out)
    assert scores(out)["arms"] == expected
    assert run_evaluation(small(data, methods="vanilla,profile"), out).header.status == "complete"
    assert json.loads((out / "config.json").read_text())["schema_version"] == 2
    assert outline_for_report(out).measures


@pytest.mark.parametrize("name", ["config.json", "outline.json"])
@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('{"schema_version": 3, "task": "users"}', "written by a newer Idiolect"),
        ('{"schema_version": "2", "task": "users"}', "states no version|not the configuration"),
        ('{"schema_version": 2, "task": NaN}', "not valid JSON"),
        ('{"schema_version": 2, "task"', "not valid JSON"),
        ("[1]", "not the configuration|not a file"),
    ],
)
def test_a_document_that_cannot_be_read_is_refused(
    tmp_path: Path, double: Any, name: str, written: str, message: str
) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform"), out)
    (out / name).write_text(written)
    with pytest.raises(SettingsError, match=message):
        outline_for_report(out)


def test_an_outline_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_outline(tmp_path, OUTLINE)
    assert read_outline(tmp_path) == OUTLINE
    values = json.loads((tmp_path / "outline.json").read_text())
    for change in ({"arms": 3}, {"measures": []}, {"measures": ["praise"]}, {"people": [1]}, {"primary": [["a"]]}):
        (tmp_path / "outline.json").write_text(json.dumps(values | change))
        with pytest.raises(SettingsError, match="changed by hand"):
            read_outline(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace('"accuracy": ', '"accuracy": NaN, "x": '),
        lambda line: line.replace('"accuracy": ', '"accuracy": 1e999, "x": '),
        lambda line: line[: len(line) // 2],
        lambda _line: "[]",
        lambda line: line.replace('"scored"', '"perfect"').replace('"unparsed"', '"perfect"'),
    ],
)
def test_a_line_that_cannot_be_read_is_stated_and_its_person_left_out(
    tmp_path: Path, double: Any, damage: Callable[[str], str]
) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform,vanilla"), out)
    found = (out / "answers.jsonl").read_text().splitlines()
    found[1] = damage(found[1])
    (out / "answers.jsonl").write_text("\n".join(found) + "\n")
    summary = summarize_folder(outline_for_report(out), out)
    assert summary.header.notes[0].startswith("answers.jsonl: 1 line cannot be read (it is line 2)")
    assert summary.header.stopped_by == "1 of 4 pairs of arm and person are missing"
    assert run_evaluation(small(users(tmp_path), methods="uniform,vanilla"), out).header.notes == ()


WRONG = (None, True, "text", [[]], {"a": []}, -1e999)


@pytest.mark.parametrize("name", ["config.json", "outline.json", "runs.jsonl", "answers.jsonl", "learning.jsonl"])
def test_a_field_of_another_shape_is_a_message_or_left_out(tmp_path: Path, double: Any, name: str) -> None:
    """Files that another program wrote, or that were edited, are never an error of this program."""
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="vanilla"), out)
    whole = (out / name).read_text()
    first = json.loads(whole if name.endswith("json") else whole.splitlines()[0])
    for field in first:
        for wrong in WRONG:
            line = json.dumps(first | {field: wrong}).replace("-Infinity", "-1e999")
            (out / name).write_text(line + "\n" + "\n".join(whole.splitlines()[1:]) * name.endswith("l"))
            with suppress(SettingsError):
                outline = outline_for_report(out)
                summary = summarize_folder(outline, out)
                table_of(summary)
                headline_of(summary)
                runs_table(summary.header.runs)
                made_definitions(summary.header.runs)
                write_answers(outline, out)
                compare_folders(out, out)


def test_fields_of_a_later_version_are_ignored(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="vanilla,profile"), out)
    expected, runs = scores(out), len(read_runs(out))
    for path in out.glob("*.jsonl"):
        path.write_text("".join(json.dumps(line | {"new": [1]}) + "\n" for line in _lines(path)))
    outline = json.loads((out / "outline.json").read_text())
    (out / "outline.json").write_text(json.dumps(outline | {"new": [1]}))
    write_report(summarize_folder(outline_for_report(out), out), out)
    assert scores(out) == expected
    assert len(read_runs(out)) == runs


def test_a_report_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, double: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform,vanilla"), out)
    before, outline = _outputs(out), outline_for_report(out)
    summary, write_text = summarize_folder(outline, out), Path.write_text

    def full(path: Path, text: str, *more: Any, **others: Any) -> int:
        write_text(path, text[: len(text) // 2], *more, **others)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SettingsError, match="cannot be written: No space left"):
        write_report(summary, out)
    monkeypatch.undo()
    assert _outputs(out) == before
    assert not list(out.glob("*.part"))


def test_a_lost_outline_is_stated_as_such(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform"), out)
    (out / "outline.json").unlink()
    with pytest.raises(SettingsError, match=r"has lost its outline\.json, .* name them with --data"):
        outline_for_report(out)


def test_a_missing_file_of_learning_is_stated(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform"), out)
    (out / "learning.jsonl").unlink()
    summary = summarize_folder(outline_for_report(out), out)
    assert summary.header.notes[0].startswith("learning.jsonl is missing")


def test_missing_questions_are_stated_where_they_would_be_shown(tmp_path: Path, double: Any) -> None:
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform"), out)
    (out / "questions.jsonl").unlink()
    outline = outline_for_report(out)
    assert summarize_folder(outline, out).header.notes[0].startswith("questions.jsonl is missing")
    assert summarize_folder(outline, out, texts=False).header.notes == ()


def test_a_folder_without_answers_is_not_reported(tmp_path: Path, double: Any) -> None:
    """Its published report would be replaced by an empty one."""
    double(m=answering())
    out = tmp_path / "out"
    run_evaluation(small(users(tmp_path), methods="uniform"), out)
    (out / "answers.jsonl").unlink()
    with pytest.raises(SettingsError, match="its tables and its report are left as they are"):
        outline_for_report(out)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _outputs(out: Path) -> tuple[Any, str, str]:
    return scores(out), table(out), (out / "report.html").read_text(encoding="utf-8")
