"""Methods as they are written: names, brackets, and values of the right kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.spec import MethodSpec, parse_spec, parse_specs, with_overrides
from idiolect.methods.fermi.settings import FermiSettings


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
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        if self.count > 99:
            raise ValueError("too many")


def changed(*overrides: tuple[str, str]) -> Outer:
    return with_overrides(Outer(), overrides)


def test_specs_are_read_and_print_as_they_are_written() -> None:
    found = parse_specs(" vanilla, fermi[iterations=2,proposers=llm+demonstrations] ,fermi+chameleon, vanilla")
    assert list(map(str, found)) == [
        "vanilla",
        "fermi[iterations=2,proposers=llm+demonstrations]",
        "fermi+chameleon",
    ]
    assert found[1].overrides == (("iterations", "2"), ("proposers", "llm+demonstrations"))
    assert all(parse_spec(str(spec)) == spec for spec in found)
    assert parse_spec("fermi[ iterations = 2 ]") == MethodSpec("fermi", (("iterations", "2"),))
    assert str(parse_spec("fermi[a=1,b=2]").overriding("a", 3)) == "fermi[b=2,a=3]"


@pytest.mark.parametrize(
    "text", ["", " , ", "fermi[", "fermi]", "Fermi!", "fermi[[a=1]]", "fermi[a=1]x", "fermi[a]", "fermi[a=]", "[a=1]",
             "fermi[a==1]", "fermi[=1]", "fermi vanilla"],
)  # fmt: skip
def test_a_spec_of_another_form_is_a_message(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_specs(text)


def test_values_take_the_type_of_their_setting() -> None:
    found = changed(
        ("count", "7"), ("name", "7b"), ("on", "true"), ("most", "null"), ("names", "x+ y"), ("numbers", "8+4"),
        ("inner.share", "1"), ("inner.order", "last"),
    )  # fmt: skip
    assert found == Outer(7, "7b", True, None, ("x", "y"), (8, 4), Inner(1.0, "last"))
    assert isinstance(found.inner.share, float)
    assert changed(("most", "5")).most == 5


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
        ("inner", "first", "must be another kind of value"),
        ("most", "all", "must be"),
        ("none", "1", "no setting 'none'; there are count"),
        ("inner.none", "1", "no setting 'inner.none'; there are order, share"),
        ("count.inner", "1", "no setting 'count.inner'"),
    ],
)
def test_a_value_that_makes_no_sense_is_a_message(path: str, value: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        changed((path, value))


def test_settings_check_what_is_put_into_them() -> None:
    assert with_overrides(FermiSettings(), (("proposers", "demonstrations+llm"),)).proposers == (
        "demonstrations",
        "llm",
    )
    for path, value in (("proposers", "llm+gpt"), ("iterations", "0"), ("retrieval.pool", "all")):
        with pytest.raises(SettingsError):
            with_overrides(FermiSettings(), ((path, value),))
