"""Controls by kind: of the right kind, everybody about equally often, and the same each time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.control_cases import ControlCases
from idiolect.evaluate.preparing import outline_of, prepare
from idiolect.evaluate.records import Arm, Control
from idiolect.evaluate.tasks import table
from idiolect.evaluate.tasks.task import Task
from idiolect.people.splits import RESPONDENT
from tests.evaluate.small_world import case

SAME: Control = "another's of the same kind"
OTHER: Control = "another's of another kind"


def cases(kinds: str) -> tuple[Case, ...]:
    """Somebody of each kind, "a" to "z"; "-" has none."""
    return tuple(replace(case(f"u{n}"), group=kind.strip("-")) for n, kind in enumerate(kinds))


def benchmark(kinds: str) -> Benchmark:
    return Benchmark("users", cases(kinds), ("accuracy",))


@pytest.mark.parametrize(
    ("kinds", "most"),
    [("aabb", 1), ("abcabcabc", 1), ("aaabbbc", 2), ("abbcccdddd", 2), ("abcdef", 1), ("aaaab", 4)],
)
def test_controls_are_of_their_kind_and_used_about_equally_often(kinds: str, most: int) -> None:
    """`most` is how often somebody is the control of another kind; where one kind has most people, it must be often."""
    of = benchmark(kinds)
    sources, sizes = ControlCases(of), Counter(kinds)
    for control in (SAME, OTHER):
        pairs = [(each, sources.of(each, control)) for each in of.cases]
        found = [(each, source) for each, source in pairs if source is not None]
        assert all((each.group == source.group) == (control == SAME) for each, source in found)
        assert all(each.user.id != source.user.id for each, source in found)
        expected = sum(n for n in sizes.values() if n > 1) if control == SAME else len(kinds)
        assert len(found) == expected
        uses = Counter(source.user.id for _, source in found)
        assert max(uses.values(), default=0) <= (1 if control == SAME else most)
        assert pairs == [(each, ControlCases(of).of(each, control)) for each in of.cases], "nothing is drawn"


def test_who_has_no_kind_has_no_control_by_kind() -> None:
    of = benchmark("a-ab")
    sources = ControlCases(of)
    assert [each.user.id for each in sources.without(SAME)] == ["u1", "u3"]
    assert [each.user.id for each in sources.without(OTHER)] == ["u1"]
    assert sources.without("another's") == sources.without("own") == []


def test_another_case_of_the_same_person_is_no_control() -> None:
    first, second, third = cases("aaa")
    twice = replace(second, user=replace(second.user, extra={RESPONDENT: "p"}))
    again = replace(third, user=replace(third.user, extra={RESPONDENT: "p"}))
    sources = ControlCases(Benchmark("users", (twice, again, first), ("accuracy",)))
    assert [source.user.id for each in (twice, again) if (source := sources.of(each, SAME))] == ["u0", "u0"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of the people in the task `kinds`, which a test sets."""
    kinds = ["aabb"]
    task = Task("kinds", "Kinds", "none", lambda _: benchmark(kinds[0]))
    monkeypatch.setitem(table.TASKS, "kinds", task)
    return kinds


def config(**changes: object) -> EvaluationConfig:
    values = {"task": "kinds", "methods": "vanilla,profile", "controls_by_kind": True} | changes
    return EvaluationConfig.model_validate(values)


def test_controls_that_nobody_has_are_left_out_with_a_note(asked: list[str]) -> None:
    for kinds, left, note in (
        ("aabb", (SAME, OTHER), ""),
        ("aabc", (SAME, OTHER), "2 of 4 people have no control (another's of the same kind)"),
        ("abcd", (OTHER,), "No two people are of one kind"),
        ("aaaa", (SAME,), "All people are of one kind"),
    ):
        asked[0] = kinds
        prepared = prepare(config())
        assert [each.arm.control for each in prepared.arms] == ["own", "own", *left]
        assert [text for text in prepared.notes if not text.startswith(note)] == []
        assert bool(prepared.notes) == bool(note)
    asked[0] = "----"
    with pytest.raises(SettingsError, match="name their attribute with group_by"):
        prepare(config())


@pytest.mark.usefixtures("asked")
def test_a_primary_comparison_with_a_control_is_in_the_outline() -> None:
    outline = outline_of(prepare(config(primary=(f"profile - profile · {SAME}",))))
    assert outline.primary == ((Arm("profile"), Arm("profile", SAME)),)
