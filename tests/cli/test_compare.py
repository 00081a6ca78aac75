"""`idiolect compare`: what is printed, and what is wrong use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.learning import run
from tests.evaluate.test_comparing import drawn, kept


def test_two_folders_are_printed_side_by_side(tmp_path: Path) -> None:
    a, b = kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2), models={"model": "n"})
    result = run("compare", a, b)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "ARM A B B − A INTERVAL P PEOPLE ANSWERS ONLY A ONLY B" in text
    assert re.search(r"vanilla \d+\.\d \d+\.\d [+-]?\d+\.\d \[.*?\] \d\.\d{3} 8 40 0 0", text), text
    assert "8 people in both, 0 only in A, 0 only in B." in text
    assert "models.model m n" in text


def test_two_folders_are_printed_as_json(tmp_path: Path) -> None:
    result = run(
        "compare", kept(tmp_path / "a", drawn(1)), kept(tmp_path / "b", drawn(2)), "--measure", "mae", "--json"
    )
    found = json.loads(result.stdout)
    assert (found["measure"], found["people"], len(found["arms"])) == ("mae", 8, 2)
    assert found["a"]["folder"] == "a"


def test_the_help_has_an_example() -> None:
    assert "idiolect compare before after" in run("compare", "--help").stdout


@pytest.mark.parametrize("other", ["nowhere", "empty", "file", "another"])
def test_a_wrong_folder_is_wrong_use(tmp_path: Path, other: str) -> None:
    a = kept(tmp_path / "a", drawn(1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("{}")
    kept(tmp_path / "another", drawn(1), task="people")
    result = run("compare", a, tmp_path / other, "--json")
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert json.loads(result.stdout)["error"]["type"] == "UsageError"


def test_one_folder_alone_is_wrong_use(tmp_path: Path) -> None:
    assert run("compare", tmp_path).exit_code == 2
