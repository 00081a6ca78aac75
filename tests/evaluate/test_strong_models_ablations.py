"""The ablations with simulated strong models, small: arms differ in one part, runs go on, intervals are by person."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import strong_models_ablations as script
from simulated_models.ablations import ARMS, COMPARISONS, Comparison
from simulated_models.arms import Result, Trial, fermi
from simulated_models.compared_settings import OLD
from simulated_models.optimizer import Optimizer
from simulated_models.people import WORLDS, person
from simulated_models.processes import at_least_one, each_done
from simulated_models.reading import read

from idiolect.evaluate.methods.fermi import FermiMethod
from idiolect.evaluate.methods.table import METHODS
from idiolect.methods.fermi.presets import preset
from idiolect.models.language_model import CompletionRequest

CHANGED = {
    "fermi-no-retrieval": {"retrieval.retrieve"},
    "fermi-no-failures": {"meta_prompt.failures", "demonstrations.prefer"},
    "fermi-paper-form": {"meta_prompt.form"},
    "fermi-symmetric": {"meta_prompt.failures"},
    "fermi-no-crossing": {"search.crossing", "evidence.by", "evidence.share", "scoring_share"},
    "fermi-no-kinds": {"meta_prompt.kinds"},
    "fermi-one-prompt": {"ensemble.prompts"},
    "fermi-no-examples": {"hybrid.examples"},
    "fermi-no-median": {"ensemble.decide"},
    "fermi-no-shrinkage": {"retrieval.shrinkage"},
    "fermi-no-pareto": {"search.parents"},
    "fermi-no-gate": {"evidence.by", "evidence.margin"},
    "fermi-no-gate-no-crossing": {"evidence.by", "evidence.margin", "search.crossing"},
    "fermi+own-answers": {"ensemble.own_answers"},
    "fermi+dispositions": {"dispositions.number"},
}


def settings_that_differ(one: Any, other: Any, path: str = "") -> set[str]:
    """Paths of the settings that differ."""
    found: set[str] = set()
    for field in fields(one):
        mine, theirs, name = getattr(one, field.name), getattr(other, field.name), f"{path}{field.name}"
        if is_dataclass(mine):
            found |= settings_that_differ(mine, theirs, f"{name}.")
        elif mine != theirs:
            found.add(name)
    return found


# --- arms


def test_each_arm_changes_its_part_alone() -> None:
    assert ARMS["fermi"] == preset("api")
    assert {name: settings_that_differ(ARMS["fermi"], ARMS[name]) for name in CHANGED} == CHANGED
    assert ARMS["old-api"] == OLD
    for name in ("old-api-symmetric", "old-api-first-only"):
        assert settings_that_differ(OLD, ARMS[name]) == {"meta_prompt.failures"}
    assert set(ARMS) == {"fermi", "old-api", "old-api-symmetric", "old-api-first-only", *CHANGED}


def test_every_arm_is_compared() -> None:
    assert {arm for one in COMPARISONS for arm in one.arms} == set(ARMS)
    assert all(ARMS[one.having] != ARMS[one.lacking] for one in COMPARISONS)


@pytest.mark.parametrize("name", sorted(set(ARMS) & set(METHODS)))
def test_an_arm_with_the_name_of_a_method_has_its_settings(name: str) -> None:
    method = METHODS[name].make(())
    assert isinstance(method, FermiMethod)
    assert method.change(preset("api")) == ARMS[name]


def requests_to_the_optimizer(arm: str) -> list[str]:
    asked: list[str] = []
    optimizer = Optimizer(0.8)

    def recording(request: CompletionRequest) -> str:
        asked.append(request.messages[-1].content)
        return optimizer(request)

    world = WORLDS["ignores examples"]
    trial = Trial(world, person(world, 1), recording, OLD, ARMS["fermi"])  # type: ignore[arg-type]
    asyncio.run(fermi(trial, ARMS[arm]))
    return asked


def test_the_asymmetry_is_without_effect_in_the_new_preset_alone() -> None:
    new = requests_to_the_optimizer("fermi")
    assert new == requests_to_the_optimizer("fermi-symmetric")
    assert len(set(new)) > 1
    old = requests_to_the_optimizer("old-api")
    assert old != requests_to_the_optimizer("old-api-symmetric")
    assert old != requests_to_the_optimizer("old-api-first-only")


def test_where_all_texts_show_failures_the_best_is_improved_by_its_own() -> None:
    def prompt(score: int, body: str) -> str:
        opening = f'<prompt number="1" score="{score}">\nAnswer.\nWith this text these answers were not it:\n'
        return f"{opening}{body}</prompt>\n"

    def failure(number: int, item: str) -> str:
        question = (
            f"Question: Do you agree that the government should expand {item}?\nPerson's answer: Strongly agree\n"
        )
        return f'<failure number="{number}">\n{question}Answer under this text: Somewhat agree\n</failure>\n'

    both = failure(1, "income tax") + failure(2, "media trust")
    content = (
        f"<memory>\n{prompt(10, both)}{prompt(60, failure(2, 'media trust'))}</memory>\nLearn from the wrong answers"
    )
    assert [shown.item for shown in read(content).shown] == ["media trust"]
    first_only = f"<memory>\n{prompt(10, both)}{prompt(60, '')}</memory>\nLearn from the wrong answers"
    assert [shown.item for shown in read(first_only).shown] == ["income tax", "media trust"]


# --- the tables


def line(hits: int, **more: Any) -> dict[str, Any]:
    return asdict(Result((1,) * hits + (0,) * (16 - hits), **more))


def lines_of(having: int, lacking: int) -> dict[str, dict[str, Any]]:
    return {"fermi": line(having), "fermi-no-gate": line(lacking)}


GATE = Comparison("gate", "fermi", "fermi-no-gate")
ONE, TWO = ("follows both", "80 % right"), ("chatty", "80 % right")


def test_a_difference_over_cells_is_clustered_by_person() -> None:
    # Each person's cells cancel out, so people do not differ, and the interval is narrow however cells differ.
    found = {
        ONE: {"a": lines_of(16, 8), "b": lines_of(8, 16), "c": lines_of(12, 4)},
        TWO: {"a": lines_of(4, 8), "b": lines_of(16, 4), "c": lines_of(4, 8)},
    }
    assert script.difference(found, GATE) == "+12.5 [+12.5, +12.5]"
    assert script.difference({ONE: found[ONE]}, GATE).startswith("+16.7 [-50.0, +50.0]")


def test_a_part_without_effect_is_named_so() -> None:
    found = {ONE: {"a": lines_of(8, 8), "b": lines_of(9, 9)}}
    assert script.without_effect(found, GATE)
    assert "no effect: the same answers right" in script.report(found, ["fermi", "fermi-no-gate"])
    found[ONE]["b"]["fermi"] = line(9, optimizing=1)
    assert not script.without_effect(found, GATE)
    assert "| `fermi` − `fermi-no-gate` | same | same |" in script.report(found, ["fermi", "fermi-no-gate"])
    found[ONE]["b"]["fermi"] = {**line(9), "hits": line(9)["hits"][::-1]}  # as many, but others
    assert script.difference(found, GATE) == "+0.0 [+0.0, +0.0]"


def test_only_people_with_all_arms_in_all_cells_are_reported() -> None:
    found = {
        ONE: {name: lines_of(1, 1) for name in "abc"},
        TWO: {name: lines_of(1, 1) for name in "bcd"} | {"a": {"fermi": line(1)}},
        ("thinks", "memorizes"): {"a": lines_of(1, 1)},  # too few for an interval
    }
    whole = script.whole(found, ["fermi", "fermi-no-gate"])
    assert {cell: set(people) for cell, people in whole.items()} == {ONE: {"b", "c"}, TWO: {"b", "c"}}


def test_calls_and_the_sides_that_answered_are_means() -> None:
    found = {
        ONE: {
            "a": {"fermi": line(8, answering=10, optimizing=2, asking=32, winner="few-shot")},
            "b": {"fermi": line(16, answering=20, optimizing=4, asking=16, winner="personalization")},
        }
    }
    assert "| fermi | 75.0 | 15.0 | 3.0 | 1.50 | 50 % | 50 % | 0 % |" in script.calls(found, ["fermi"])
    assert script.answers("personalization", line(8))  # without a gate


# --- the run


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *more: str) -> None:
    arguments = ["--people", "2", "--worlds", "follows both", "--optimizers", "80 % right", "memorizes"]
    arms = ["--arms", "fermi", "fermi-no-gate", "fermi+own-answers"]
    page = str(out.with_suffix(".md"))
    monkeypatch.setattr(sys, "argv", ["ablations", *arguments, *arms, "--out", str(out), "--page", page, *more])
    script.main()


def lines_in(out: Path) -> dict[str, list[str]]:
    return {path.name: sorted(path.read_text().splitlines()) for path in out.glob("*.jsonl")}


def test_a_run_goes_on_where_it_was_and_keeps_the_text_of_its_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, page = tmp_path / "ablations", tmp_path / "ablations.md"
    page.write_text("# Page\n\nText.\n\n## Tables\n\nold\n")
    run(monkeypatch, out)
    first, text = lines_in(out), page.read_text()
    assert set(first) == {"follows-both-80-right.jsonl", "follows-both-memorizes.jsonl"}
    assert [len(rows) for rows in first.values()] == [6, 6]
    assert text.startswith("# Page\n\nText.\n\n## Tables\n\n2 people, the same in each of 2 cells")
    assert "| gate | `fermi` − `fermi-no-gate` |" in text
    assert "| own answers, added | `fermi+own-answers` − `fermi` |" in text
    assert "kinds of texts" not in text
    path = out / "follows-both-80-right.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[2:]))  # two lines are gone: only they are made
    asked: list[tuple[str, ...]] = []
    original = script.lines_of
    monkeypatch.setattr(script, "lines_of", lambda task: asked.append(task.arms) or original(task))
    run(monkeypatch, out)
    assert asked == [("fermi", "fermi-no-gate")]
    assert (lines_in(out), page.read_text()) == (first, text)
    run(monkeypatch, out, "--report")
    assert len(asked) == 1


def test_processes_and_shards_make_the_same_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    run(monkeypatch, alone)
    with pytest.raises(SystemExit, match="does not have two people"):
        run(monkeypatch, beside, "--shard", "0/2")
    run(monkeypatch, beside, "--shard", "1/2", "--jobs", "2")
    assert "follows-both-memorizes.1-of-2.jsonl" in lines_in(beside)
    rows = [sorted(row for each in lines_in(out).values() for row in each) for out in (alone, beside)]
    assert rows[0] == rows[1]
    assert alone.with_suffix(".md").read_text() == beside.with_suffix(".md").read_text()


def test_lines_of_other_settings_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "ablations"
    run(monkeypatch, out)
    path = out / "follows-both-memorizes.jsonl"
    rows = [json.loads(row) | {"settings": "others"} for row in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert script.known_lines(out, ("follows both", "memorizes")) == {}
    assert len(script.known_lines(out, ("follows both", "80 % right"))) == 2


@pytest.mark.parametrize("text", ["2/2", "1", "-1/2", "a/b"])
def test_a_shard_is_one_of_its_number(text: str) -> None:
    with pytest.raises(script.argparse.ArgumentTypeError, match="is not I/N"):
        script.shard_of(text)
    assert script.shard_of("1/2") == (1, 2)


# --- processes


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_failed_task_is_raised(jobs: int) -> None:
    work: Callable[[str], float] = float
    assert sorted(each_done(work, ["1", "2"], jobs)) == [("1", 1.0), ("2", 2.0)]
    with pytest.raises(ValueError, match="could not convert"):
        list(each_done(work, ["1", "x"], jobs))


def test_no_process_at_all_is_an_error() -> None:
    assert at_least_one("3") == 3
    with pytest.raises(script.argparse.ArgumentTypeError, match="0 is not 1 or greater"):
        at_least_one("0")
