"""Plans: from the methods that are named to arms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.spec import MethodSpec, parse_spec, parse_specs
from idiolect.evaluate.plan import EvaluationOptions, parse_primary, planned
from idiolect.evaluate.records import Arm
from tests.evaluate.small_world import SETTINGS, bench


def options(methods: str, **changes: Any) -> EvaluationOptions:
    specs = parse_specs(methods)
    return EvaluationOptions(specs, **{"baseline": specs[0], **changes})


def named(methods: str, **changes: Any) -> list[str]:
    return [str(each.arm) for each in planned(options(methods, **changes))]


def test_arms_are_methods_with_their_controls() -> None:
    assert named("vanilla,few-shot,majority-own") == [
        "vanilla",
        "few-shot",
        "few-shot · another's",
        "majority-own",
        "majority-own · another's",
    ]
    assert named("vanilla,few-shot", controls=False) == ["vanilla", "few-shot"]


def test_controls_by_kind_take_the_place_of_the_next_person() -> None:
    assert named("vanilla,few-shot", controls_by_kind=True) == [
        "vanilla",
        "few-shot",
        "few-shot · another's of the same kind",
        "few-shot · another's of another kind",
    ]
    assert named("vanilla,few-shot", controls_by_kind=True, controls=False) == ["vanilla", "few-shot"]


def test_curves_are_of_what_has_one() -> None:
    curves: dict[str, Any] = {"sizes": (2, 4), "iterations": (1, 3), "controls": False}
    assert named("vanilla,few-shot,fermi", **curves) == [
        "vanilla",
        "few-shot",
        "few-shot · 2 opinions",
        "few-shot · 4 opinions",
        "fermi",
        "fermi · 2 opinions",
        "fermi · 4 opinions",
        "fermi[iterations=1]",
        "fermi[iterations=3]",
    ]
    only = named("few-shot,fermi", **curves, curves=(parse_spec("few-shot"),))
    assert only == ["few-shot", "few-shot · 2 opinions", "few-shot · 4 opinions", "fermi"]


def test_a_curve_over_prompt_tokens_is_of_what_shows_examples() -> None:
    curve: dict[str, Any] = {"prompt_tokens": (200, 50), "controls": False}
    assert named("vanilla,few-shot[k=4],rag,opro,fermi", **curve) == [
        "vanilla",
        "few-shot[k=4]",
        "few-shot[k=4,at most 200 prompt tokens]",
        "few-shot[k=4,at most 50 prompt tokens]",
        "rag",
        "opro",
        "fermi",
        "fermi[at most 200 prompt tokens]",
        "fermi[at most 50 prompt tokens]",
    ]
    only = named("few-shot,fermi", **curve, curves=(parse_spec("few-shot"),))
    assert only == ["few-shot", "few-shot[at most 200 prompt tokens]", "few-shot[at most 50 prompt tokens]", "fermi"]


def test_a_limit_on_answers_learns_what_the_method_learns_and_a_limit_in_brackets_does_not() -> None:
    limit = "fermi[hybrid.max_prompt_tokens=50]"
    found = planned(options(f"fermi,few-shot,{limit}", prompt_tokens=(50,), controls=False))
    keys = {str(each.arm): each.learning_key(bench()) for each in found}
    assert keys["fermi[at most 50 prompt tokens]"] == keys["fermi"] != keys[limit]
    assert keys["few-shot[at most 50 prompt tokens]"] == keys["few-shot"]
    assert len(found) == 6, "learning under a limit, and answering under one, are different arms"


def test_an_arm_is_planned_once() -> None:
    assert named("fermi,fermi[iterations=3]", iterations=(3,), controls=False) == ["fermi", "fermi[iterations=3]"]


def test_transfer_names_who_learned_and_who_answers() -> None:
    found = planned(options("vanilla,fermi[iterations=2]", transfer=("B",), model="A", controls=False))
    assert [(each.arm, each.learns_with) for each in found] == [
        (Arm("vanilla"), None),
        (Arm("fermi[iterations=2]"), None),
        (Arm("fermi[iterations=2]", answered_by="B"), None),
        (Arm("fermi[iterations=2,learned with B]", answered_by="A"), "B"),
        (Arm("fermi[iterations=2,learned with B]", answered_by="B"), "B"),
    ]


def test_arms_that_learn_the_same_have_the_same_key() -> None:
    found = planned(options("few-shot,few-shot[k=2],fermi,fermi[iterations=2]", transfer=("B",), sizes=(2,)))
    by_key: dict[object, list[str]] = {}
    for each in found:
        by_key.setdefault(each.learning_key(bench()), []).append(str(each.arm))
    assert SETTINGS.iterations == 2
    both, with_b = ("fermi", "fermi[iterations=2]"), ("fermi[learned with B]", "fermi[iterations=2,learned with B]")
    assert sorted(by_key.values()) == [
        [f"{name}{how}" for name in both for how in ("", " · another's", " · answered by B")],
        [f"{name} · 2 opinions" for name in both],
        [f"{name} · answered by {who}" for name in with_b for who in ("the model of the run", "B")],
        ["few-shot", "few-shot · another's"],
        ["few-shot · 2 opinions"],
        ["few-shot[k=2]", "few-shot[k=2] · another's"],
        ["few-shot[k=2] · 2 opinions"],
    ]


@pytest.mark.parametrize(
    ("methods", "changes", "message"),
    [
        ("vanilla,opra", {}, "unknown method 'opra': choose one of uniform, "),
        ("vanilla", {"seeds": ()}, "needs a method and a seed"),
        ("vanilla", {"baseline": MethodSpec("fermi")}, "fermi is not among the methods"),
        ("vanilla", {"primary": parse_primary(["fermi - vanilla"])}, "fermi is not among the methods"),
        ("vanilla", {"primary": parse_primary(["vanilla - vanilla"])}, "compared with itself"),
        ("vanilla", {"curves": parse_specs("fermi")}, "fermi is not among the methods"),
        ("vanilla", {"sizes": (3, 0)}, "curve_opinions contains 0"),
        ("vanilla", {"iterations": (-1,)}, "curve_iterations contains -1"),
        ("fermi", {"prompt_tokens": (100, 0)}, "curve_prompt_tokens contains 0, must be at least 1"),
        ("fermi", {"prompt_tokens": (-5,)}, "curve_prompt_tokens contains -5, must be at least 1"),
        ("fermi", {"prompt_tokens": (100, 50, 100)}, "curve_prompt_tokens contains 100 twice"),
        (
            "vanilla,opro",
            {"prompt_tokens": (100,)},
            "up to a limit: add one of few-shot, few-shot-bm25, all-info, fermi",
        ),
        ("vanilla,fermi", {"prompt_tokens": (9,), "curves": parse_specs("fermi,vanilla")}, "and vanilla is none"),
        (
            "fermi,opro",
            {"prompt_tokens": (9,), "iterations": (1,), "curves": parse_specs("opro")},
            "needs a method whose prompts show examples",
        ),
        ("vanilla", {"transfer": ("B",)}, "a method that learns prompts"),
        ("fermi", {"transfer": ("A",), "model": "A"}, "which is the model of the run"),
    ],
)
def test_options_that_make_no_sense_are_refused(methods: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        options(methods, **changes)


def test_comparisons_are_read() -> None:
    pairs = parse_primary(["fermi[a=1] - few-shot", "fermi[a=1] - few-shot", "fermi-llm - opro"])
    assert [tuple(map(str, pair)) for pair in pairs] == [("fermi[a=1]", "few-shot"), ("fermi-llm", "opro")]
    for text in ("fermi", "fermi-vanilla", "a - b - c", " - fermi"):
        with pytest.raises(SettingsError):
            parse_primary([text])


def test_controls_can_be_compared() -> None:
    texts = ["few-shot[k=2] - few-shot[k=2] · another's of the same kind", "few-shot - few-shot: another’s"]
    (first, second) = parse_primary(texts)
    assert [each.arm for each in first] == [
        Arm("few-shot[k=2]"),
        Arm("few-shot[k=2]", "another's of the same kind"),
    ]
    assert second[1].arm == Arm("few-shot", "another's")
    assert str(first[1]) == "few-shot[k=2] · another's of the same kind"
    with pytest.raises(SettingsError, match="unknown control \"another's of my kind\": choose one of another's, "):
        parse_primary(["few-shot - few-shot · another's of my kind"])


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("few-shot - few-shot: another's", {"controls_by_kind": True}, "leave controls_by_kind out"),
        ("few-shot - few-shot: another's of another kind", {}, "its controls are another's; set controls_by_kind"),
        ("few-shot - few-shot: another's", {"controls": False}, "the controls are left out"),
        ("few-shot - vanilla: another's", {}, "the method depends on nobody"),
    ],
)
def test_a_control_that_no_arm_has_cannot_be_compared(text: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        options("vanilla,few-shot", primary=parse_primary([text]), **changes)


def test_arms_name_a_local_model_without_its_folder(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    found = planned(options("fermi", transfer=(str(tmp_path / "b"),), model="A", controls=False))
    assert [str(each.arm) for each in found] == [
        "fermi",
        "fermi · answered by b",
        "fermi[learned with b] · answered by A",
        "fermi[learned with b] · answered by b",
    ]
    (tmp_path / "c" / "b").mkdir(parents=True)
    with pytest.raises(SettingsError, match="two models are named 'b'"):
        options("fermi", transfer=(str(tmp_path / "b"), str(tmp_path / "c" / "b")))
