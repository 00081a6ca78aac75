"""Changes of nested settings: paths, values of the right kind, and text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from idiolect.errors import SettingsError
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.setting_changes import changed, changed_by_text, unusual
from tests.held_out_settings import HELD_OUT


@dataclass(frozen=True)
class Inner:
    share: float = 0.5
    order: Literal["first", "last"] = "first"


@dataclass(frozen=True)
class Outer:
    count: int = 1
    name: str = "a"
    on: bool = False
    most: int | None = 3
    names: tuple[str, ...] = ("x",)
    numbers: tuple[int, ...] = (1,)
    inners: tuple[Inner, ...] = (Inner(), Inner(0.25))
    inner: Inner = field(default_factory=Inner)
    perhaps: Inner | None = None

    def __post_init__(self) -> None:
        if self.count > 99:
            raise ValueError("too many")


@dataclass(frozen=True)
class Optional:
    inner: Inner | None = None


def by_text(*overrides: tuple[str, str]) -> Outer:
    return changed_by_text(Outer(), overrides)


def test_values_take_the_type_of_their_setting() -> None:
    found = by_text(
        ("count", "7"), ("name", "7b"), ("on", "true"), ("most", "null"), ("names", "x+ y"), ("numbers", "8+4"),
        ("inner.share", "1"), ("inner.order", "last"),
    )  # fmt: skip
    assert found == Outer(7, "7b", True, None, ("x", "y"), (8, 4), inner=Inner(1.0, "last"))
    assert isinstance(found.inner.share, float)
    assert by_text(("most", "5")).most == 5


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("count", "many", "must be a whole number"),
        ("count", "1.5", "must be a whole number"),
        ("count", "true", "must be a whole number"),
        ("count", "100", "too many"),
        ("on", "1", "must be true or false"),
        ("inner.share", "half", "must be a number"),
        ("inner.order", "middle", "must be one of 'first', 'last'"),
        ("numbers", "8+x", "must be a whole number"),
        ("inner", "first", "must be a value of another type"),
        ("most", "all", "must be a whole number, or null"),
        ("count", '{"a":' * 100_000, "must be a whole number"),
        ("none", "1", "unknown setting 'none': choose one of count"),
        ("inner.none", "1", "unknown setting 'inner.none': choose one of order, share"),
        ("inners.none", "1", "unknown setting 'inners.none': choose one of order, share"),
        ("inners.share", "half", "must be a number"),
        ("numbers.share", "1", "unknown setting 'numbers.share'"),
        ("count.inner", "1", "unknown setting 'count.inner'"),
        ("most.inner", "1", "unknown setting 'most.inner'"),
        ("perhaps.none", "1", "unknown setting 'perhaps.none': choose one of order, share"),
        ("perhaps.share", "1", "perhaps.share cannot be set: perhaps is null in these settings"),
    ],
)
def test_a_value_that_makes_no_sense_is_a_message(path: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        by_text((path, value))


def test_a_path_through_a_tuple_changes_each_of_its_settings() -> None:
    assert by_text(("inners.order", "last")).inners == (Inner(0.5, "last"), Inner(0.25, "last"))
    both = changed(Outer(), {"inners": (Inner(0.1),), "inners.order": "last"})
    assert both.inners == (Inner(0.1, "last"),)


def test_a_part_that_may_be_missing_is_changed_where_it_is_there() -> None:
    there = Outer(perhaps=Inner())
    assert changed_by_text(there, (("perhaps.order", "last"),)).perhaps == Inner(order="last")
    assert changed_by_text(there, (("perhaps", "null"),)).perhaps is None


def test_settings_check_what_is_put_into_them() -> None:
    assert changed_by_text(FermiSettings(), (("proposers", "demonstrations+llm"),)).proposers == (
        "demonstrations",
        "llm",
    )
    for path, value in (("proposers", "llm+gpt"), ("iterations", "0"), ("retrieval.pool", "all")):
        with pytest.raises(SettingsError):
            changed_by_text(FermiSettings(), ((path, value),))


def test_typed_changes_reach_nested_settings_and_leave_the_others() -> None:
    api = HELD_OUT
    found = changed(
        FermiSettings(), {"answering.mode": "likelihood", "answering.max_tokens": 8, "meta_prompt": api.meta_prompt}
    )
    assert (found.answering.mode, found.answering.max_tokens) == ("likelihood", 8)
    assert found.meta_prompt == api.meta_prompt
    assert changed(found, {"answering": FermiSettings().answering, "meta_prompt.max_failures": None}) == FermiSettings()
    assert changed(api, {}) == api


def test_changes_are_made_at_once_so_that_only_their_result_has_to_make_sense() -> None:
    apart = {"scoring_share": 0.5, "evidence.share": 0.5}
    assert changed(FermiSettings(), apart) == changed(FermiSettings(), dict(reversed(apart.items())))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("iterations", "4", "iterations is '4', must be a whole number"),
        ("answering.mode", "guess", "answering.mode is 'guess', must be one of 'generate', 'likelihood'"),
        ("proposers", "llm", "proposers is 'llm', must be a value of another type"),
        ("proposers", ("llm", "gpt"), "proposers is 'gpt', must be one of"),
        ("answering", HELD_OUT, "must be a value of another type"),
        ("answering.nonsense", 1, "unknown setting 'answering.nonsense': choose one of form"),
    ],
)
def test_a_typed_value_of_another_kind_is_a_message(path: str, value: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        changed(FermiSettings(), {path: value})


def test_unusual_settings_are_those_that_differ_from_the_defaults() -> None:
    assert unusual(Outer()) == {}
    assert unusual(Outer(count=4, inner=Inner(order="last"))) == {"count": 4, "inner.order": "last"}
    assert unusual(FermiSettings()) == {}
    assert unusual(preset("demo"))["ensemble.calibrate"] is True


def test_settings_that_are_none_by_default_are_told_with_all_values_where_they_are_not() -> None:
    assert unusual(Optional()) == {}
    assert unusual(Optional(Inner())) == {"inner.share": 0.5, "inner.order": "first"}
    assert unusual(Optional(Inner(0.25))) == {"inner.share": 0.25, "inner.order": "first"}
