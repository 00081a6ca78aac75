"""Two folders side by side: what is paired, what is counted, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.comparing import compare_folders, comparison_to_json
from idiolect.evaluate.outline import Outline, write_outline
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord
from idiolect.evaluate.statistics import paired_difference

ARMS = (Arm("vanilla"), Arm("fermi"))
OUTLINE = Outline("users", "Users", ("accuracy", "mae"), ARMS, ARMS[0], ())
CONFIG: dict[str, Any] = {
    "task": "users",
    "methods": ["vanilla"],
    "people": None,
    "seeds": [0],
    "models": {"model": "m"},
}
People = Mapping[str, Mapping[str, float]]


def kept(
    folder: Path, people: People, *, arms: tuple[Arm, ...] = ARMS, outline: Outline | None = OUTLINE, **changes: Any
) -> Path:
    """A folder with a value for every arm, person and question."""
    archive = Archive.open(folder, CONFIG | changes)
    if outline is not None:
        planned = {"arms": arms, "people": tuple(people)} if outline is OUTLINE else {}
        write_outline(folder, replace(outline, **planned))
    for arm in arms:
        for user, values in people.items():
            answers = [
                AnswerRecord(arm, 0, user, question, n, "scored", {"accuracy": value, "mae": 1 - value}, truth="a")
                for n, (question, value) in enumerate(values.items())
            ]
            archive.add(answers, LearningRecord(arm, 0, user, answers=len(answers)))
    return folder


def drawn(seed: int, people: int = 8, questions: int = 5) -> dict[str, dict[str, float]]:
    rng = random.Random(seed)
    return {f"u{u}": {f"q{q}": float(rng.random() < 0.5) for q in range(questions)} for u in range(people)}


def test_a_difference_is_paired_by_person_and_question(tmp_path: Path) -> None:
    first, second = drawn(1), drawn(2)
    found = compare_folders(kept(tmp_path / "a", first), kept(tmp_path / "b", second))
    flat = [{(u, q, 0): v for u, values in each.items() for q, v in values.items()} for each in (first, second)]
    expected = paired_difference(flat[1], flat[0])
    (vanilla, fermi) = found.arms
    assert (vanilla.arm, fermi.arm) == ARMS
    assert (vanilla.difference, vanilla.p) == (expected.difference, expected.p)
    assert vanilla.difference.low is not None
    assert vanilla.difference.interval.endswith("clustered by person and question")
    assert vanilla.b.value - vanilla.a.value == pytest.approx(vanilla.difference.value)
    assert (vanilla.only_a, vanilla.only_b, found.people) == (0, 0, 8)


def test_the_order_of_questions_does_not_matter(tmp_path: Path) -> None:
    first = drawn(1)
    turned = {u: dict(reversed(values.items())) for u, values in reversed(first.items())}
    found = compare_folders(kept(tmp_path / "a", first), kept(tmp_path / "b", turned))
    assert [each.difference.value for each in found.arms] == [0.0, 0.0]
    assert found.arms[0].difference.answers == 40


def test_what_only_one_has_is_counted_and_left_out(tmp_path: Path) -> None:
    first, second = drawn(1), drawn(2, questions=6)
    del second["u0"], first["u1"]["q0"]
    first["u9"] = {"q0": 1.0}
    other = kept(tmp_path / "b", second, arms=(ARMS[1], Arm("opro")))
    found = compare_folders(kept(tmp_path / "a", first), other)
    (fermi,) = found.arms
    assert (fermi.only_a, fermi.only_b, fermi.difference.answers) == (5 + 1, 7 + 1, 34)
    assert (found.people, found.people_only_a, found.people_only_b) == (7, 2, 0)
    assert (found.arms_only_a, found.arms_only_b) == ((ARMS[0],), (Arm("opro"),))


def test_answers_to_other_data_are_left_out(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2))
    path = b / "answers.jsonl"
    path.write_text(path.read_text().replace('"truth": "a"', '"truth": "b"', 3))
    found = compare_folders(a, b)
    assert [each.other_truth for each in found.arms] == [3, 0]
    assert found.arms[0].difference.answers == 37
    assert any("different data" in note for note in found.notes)


def test_few_people_have_no_interval(tmp_path: Path) -> None:
    found = compare_folders(kept(tmp_path / "a", drawn(1, 5)), kept(tmp_path / "b", drawn(2, 5)))
    assert {(each.difference.low, each.p) for each in found.arms} == {(None, None)}
    assert any("needs 6 people" in note for note in found.notes)


def test_settings_that_differ_are_listed(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2), models={"model": "n"}, seeds=[1])
    assert dict(compare_folders(a, b).differs) == {"seeds": ([0], [1]), "models.model": ("m", "n")}


def test_another_measure_may_be_named(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2))
    one, other = compare_folders(a, b), compare_folders(a, b, measure="mae")
    assert other.arms[0].difference.value == pytest.approx(-one.arms[0].difference.value)
    with pytest.raises(SettingsError, match="not a measure of both: choose one of accuracy, mae"):
        compare_folders(a, b, measure="rmse")


def test_the_measures_of_version_1_are_those_of_its_scores(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1), outline=None), kept(tmp_path / "b", drawn(2))
    assert compare_folders(a, b).measure == "accuracy", "without scores.json, those of its answers"
    (a / "scores.json").write_text('{"measures": ["mae"]}')
    assert compare_folders(a, b).measure == "mae"
    (a / "scores.json").write_text('{"measures": ["macro_f1"]}')
    (b / "scores.json").write_text('{"measures": ["macro_f1"]}')
    (b / "outline.json").unlink()
    with pytest.raises(SettingsError, match="no measure in common"):
        compare_folders(a, b)  # its labels are not known


def test_only_what_the_tables_contain_is_compared(tmp_path: Path) -> None:
    fewer = replace(OUTLINE, people=tuple(f"u{n}" for n in range(7)), arms=ARMS[:1])
    found = compare_folders(kept(tmp_path / "a", drawn(1), outline=fewer), kept(tmp_path / "b", drawn(2)))
    assert (found.people, found.people_only_b, [each.arm for each in found.arms]) == (7, 1, [ARMS[0]])


def test_a_folder_compared_with_itself_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a = kept(tmp_path / "a", drawn(1))
    monkeypatch.chdir(a)
    found = compare_folders(a, ".")
    assert found.notes[0] == "A and B are the same folder, so nothing differs."
    assert comparison_to_json(found)["b"]["folder"] == "a"
    assert "same folder" not in " ".join(compare_folders(a, kept(tmp_path / "b", drawn(1))).notes)


def test_a_folder_with_tables_only_is_refused_as_such(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2))
    (b / "answers.jsonl").unlink()
    with pytest.raises(SettingsError, match=r"has no answers\.jsonl, so its answers cannot be paired"):
        compare_folders(a, b)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "people"}, "only evaluations on the same task"),
        ({"arms": (Arm("opro"),)}, "no arm in common"),
        ({"outline": replace(OUTLINE, measures=("loglik",), people=("u0",))}, "no measure in common"),
        ({"people": {f"other{n}": {"q0": 1.0} for n in range(8)}}, "no answer in common"),
        ({"people": {f"u{n}": {"other": 1.0} for n in range(8)}}, "no answer in common"),
        ({"people": {}}, "has no answers.jsonl"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    a = kept(tmp_path / "a", drawn(1))
    b = kept(tmp_path / "b", **{"people": drawn(2)} | changes)
    with pytest.raises(SettingsError, match=message):
        compare_folders(a, b)


def test_what_is_no_evaluation_is_refused(tmp_path: Path) -> None:
    a, empty, file = kept(tmp_path / "a", drawn(1)), tmp_path / "empty", tmp_path / "file"
    empty.mkdir()
    file.write_text("")
    for other in (empty, file, tmp_path / "nowhere"):
        for pair in ((a, other), (other, a)):
            with pytest.raises(SettingsError, match=str(other)):
                compare_folders(*pair)


def test_lines_that_cannot_be_read_are_stated(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2))
    path = b / "answers.jsonl"
    path.write_text(path.read_text().replace('"accuracy": ', '"accuracy": NaN, "x": ', 1))
    found = compare_folders(a, b)
    assert found.notes[0].startswith("B: answers.jsonl: 1 line cannot be read (it is line 1)")
    assert found.arms[0].only_a == 5


def test_a_comparison_is_strict_json(tmp_path: Path) -> None:
    found = compare_folders(kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2), seeds=[1]))
    plain = json.loads(json.dumps(comparison_to_json(found), allow_nan=False))
    assert (plain["schema_version"], plain["task"], plain["measure"]) == (2, "users", "accuracy")
    assert plain["differs"] == {"seeds": {"a": [0], "b": [1]}}
    assert plain["arms"][0]["arm"]["text"] == "vanilla"
    assert plain["arms"][0]["difference"]["people"] == 8
