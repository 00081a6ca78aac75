"""Methods as they are written: names and brackets."""

from __future__ import annotations

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.spec import MethodSpec, parse_spec, parse_specs


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


def test_a_setting_cannot_be_set_twice() -> None:
    with pytest.raises(SettingsError, match=r"a is set twice in 'fermi\[a=1,b=2,a=1\]': set it once"):
        parse_specs("vanilla,fermi[a=1,b=2,a=1]")
