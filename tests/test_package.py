"""`import idiolect`: its public names, each imported when it is first used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import idiolect

CHEAP = """
import sys
import idiolect
heavy = {"sqlalchemy", "torch", "numpy", "pydantic", "anyio", "aiohttp", "typer", "rich"}
print(*sorted(heavy & set(sys.modules)))
"""


def test_public_names_are_listed_and_nothing_else() -> None:
    assert dir(idiolect) == sorted(idiolect.__all__)
    assert len(set(idiolect.__all__)) == len(idiolect.__all__)


@pytest.mark.parametrize("name", idiolect.__all__)
def test_public_name_is_the_one_that_its_module_defines(name: str) -> None:
    found = getattr(idiolect, name)
    if isinstance(found, type):
        assert found.__name__ == name
    if callable(found):
        assert found.__module__.startswith("idiolect.")
        assert found.__doc__


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'idiolect' has no attribute 'Store'"):
        _ = idiolect.Store


def test_citation_states_the_version() -> None:
    citation = (Path(__file__).resolve().parents[1] / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {idiolect.__version__}\n" in citation


def test_importing_the_package_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", CHEAP], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "\n"
