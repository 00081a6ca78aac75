"""`idiolect users dispositions`: what is printed of the dispositions, and of changes to them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from idiolect.methods.fermi.dispositions import Disposition, Trial
from tests.application.mimicked import ANN, FAST, opened
from tests.application.served import fit_in
from tests.application.test_persons_dispositions import STATED, held, state
from tests.cli import learning
from tests.cli.learning import record, run

TEA, IDLE = STATED[0].text, STATED[2].text


@pytest.fixture
def store(tmp_path: Path) -> Path:
    place = tmp_path / "store"
    assert asyncio.run(fit_in(opened(place), [ANN], FAST)).complete
    state(place)
    return place


def shown(store: Path, *arguments: str) -> str:
    result = run("users", "dispositions", "ann", *arguments, "--store", store)
    assert result.exit_code == 0, result.output
    return " ".join(result.stdout.split())


def test_they_are_listed_with_their_grounds(store: Path) -> None:
    text = shown(store)
    assert text.startswith(
        f"1 {TEA} stated by the optimizer; answers scored +0.75 with it, tried on 2 - Would you drink"
    )
    assert f"2 {IDLE} stated by the optimizer; answers scored +1.00 with it, tried on 1" in text
    assert "mud" not in text


def test_each_change_is_printed_and_stored(store: Path) -> None:
    assert f"2 {IDLE} struck; stated by the optimizer" in shown(store, "--strike", "2")
    assert "struck" not in shown(store, "--restore", "2")
    text = shown(store, "--reword", "1", "I drink tea", "--add", "I sleep late", "--add", "I wake early")
    assert f"1 I drink tea reworded from: {TEA}" in text
    assert "3 I sleep late the user's own words 4 I wake early the user's own words" in text
    assert [each.stated for each in held(store).dispositions if each.used][:1] == ["I drink tea"]
    printed = json.loads(run("users", "dispositions", "ann", "--strike", "4", "--json", "--store", store).stdout)
    assert [(one["number"], one["text"], one["struck"]) for one in printed["dispositions"]] == [
        (1, "I drink tea", False),
        (2, IDLE, False),
        (3, "I sleep late", False),
        (4, "I wake early", True),
    ]


def test_markup_and_control_characters_are_shown_as_they_are(store: Path) -> None:
    text = shown(store, "--add", "I like [bold]tea[/bold] \x1b[31m")
    assert "[bold]tea[/bold]" in text
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strike", "3"), "no disposition 3: the numbers are 1 to 2"),
        (("--reword", "1", " "), "a disposition needs words"),
        (("--add", "x" * 301), "at most 300 characters"),
        (("--strike", "0"), "Invalid value for '--strike'"),
    ],
)
def test_what_cannot_be_changed_is_an_error_of_one_line(store: Path, arguments: tuple[str, ...], message: str) -> None:
    before = held(store)
    result = run("users", "dispositions", "ann", *arguments, "--store", store)
    assert result.exit_code != 0
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output
    assert held(store) == before


def test_where_there_are_none_one_can_be_added(store: Path) -> None:
    state(store, ())
    assert shown(store) == "none yet; to add one: --add TEXT"
    assert shown(store, "--add", "I sleep late") == "1 I sleep late the user's own words"


def test_show_ask_and_forget_know_them(tmp_path: Path) -> None:
    model = record(tmp_path / "mimic.jsonl", [learning.ANN])
    people = learning.write_people(tmp_path / "users.jsonl", [learning.ANN])
    place = tmp_path / "store"
    assert run("fit", people, "--store", place, "--model", model, *learning.FAST).exit_code == 0
    own = Disposition("I have a zebra called Wilhelmina", origin="person", struck=True)
    state(place, (own, Disposition("This person is idle", (0,), (0,), 0, (Trial(1, 0.0, 1.0),))))
    text = " ".join(run("users", "show", "ann", "--store", place).stdout.split())
    assert "1 I have a zebra called Wilhelmina (struck) 2 This person is idle" in text
    assert "Wilhelmina" in run("users", "export", "ann", "--store", place).stdout
    forgotten = run("users", "forget", "ann", "--yes", "--store", place)
    assert forgotten.exit_code == 0, forgotten.output
    assert b"Wilhelmina" not in b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
