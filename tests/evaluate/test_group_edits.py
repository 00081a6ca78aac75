"""A note on the group's edit at which steps begin, because its members must not be evaluated with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.group_edits import check_start_is_used, edit_notes, edit_presets
from idiolect.evaluate.preparing import outline_of, prepare
from tests.evaluate.small_world import arms, case

PACKAGED = "CHAMELEON's steps begin at the edit of the group 'public-domain writers', which has learned from 640 texts."


WRITER, RATER = case("ann", texts=("I write.",)), case("bob")


def notes_on(methods: str, *cases: Case, **changes: Any) -> tuple[str, ...]:
    """Notes on these people; without any, on one who writes."""
    config = EvaluationConfig(task="users", methods=methods, **changes)
    return edit_notes(config, arms(methods), cases or (WRITER,))


def folder(at: Path, **card: Any) -> Path:
    (at / "edit.json").write_text(json.dumps(card))
    return at


@pytest.mark.parametrize(
    "methods", ["chameleon", "vanilla,chameleon-start", "few-shot+chameleon[texts=3]", "fermi+chameleon"]
)
def test_methods_that_begin_at_a_groups_edit_have_one_note(methods: str) -> None:
    (note,) = notes_on(methods)
    assert note.startswith(PACKAGED)
    assert "Whoever is a member of this group must not be evaluated with it" in note


@pytest.mark.parametrize(
    ("methods", "changes"),
    [
        ("vanilla,few-shot,fermi", {}),
        ("chameleon-paper,chameleon-group,style-vector", {}),
        ("chameleon", {"chameleon_preset": "measured"}),
        ("chameleon", {"chameleon_preset": "nonsense"}),
        ("chameleon", {"model": "some/model"}),
        ("chameleon", {"from_group": "there is no such folder"}),
    ],
)
def test_others_have_none(methods: str, changes: dict[str, Any]) -> None:
    assert notes_on(methods, **changes) == ()


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"read": {"opinions": 0, "texts": 12}}, "12 texts"),
        ({"read": {"opinions": 3, "texts": 12}}, "3 opinions and 12 texts"),
        ({"read": None, "n_learned": 7}, "7 opinions and texts"),
        ({}, "an unknown number of texts"),
    ],
)
def test_a_folder_that_is_named_tells_whose_edit_it_is(tmp_path: Path, card: dict[str, Any], words: str) -> None:
    named = str(folder(tmp_path, user_id="walkers", **card))
    (note,) = notes_on("chameleon", model="some/model", from_group=named)
    assert f"the edit of the group 'walkers', which has learned from {words}." in note


def test_a_card_that_cannot_be_read_is_left_to_opening(tmp_path: Path) -> None:
    for damaged in ("{", "[" * 100_000, "[]"):
        (tmp_path / "edit.json").write_text(damaged)
        assert notes_on("chameleon", from_group=str(tmp_path)) == ()


def test_the_note_is_one_of_the_screen_and_of_the_report() -> None:
    prepared = prepare(EvaluationConfig(task="people", methods="vanilla,chameleon-start", people=2))
    (note,) = prepared.notes
    assert note.startswith(PACKAGED)
    assert note in outline_of(prepared).notes


@pytest.mark.parametrize(
    ("methods", "changes"),
    [("vanilla,few-shot", {}), ("chameleon-paper", {}), ("chameleon", {"chameleon_preset": "measured"})],
)
def test_an_edit_that_no_method_begins_at_is_refused(methods: str, changes: dict[str, Any]) -> None:
    named = EvaluationConfig(task="users", methods=methods, from_group="somewhere", **changes)
    with pytest.raises(SettingsError, match="none of the methods begins at one"):
        check_start_is_used(arms(methods), named)
    with pytest.raises(SettingsError, match="none of the methods begins at one"):  # before data or models are opened
        prepare(named.model_copy(update={"data": Path("there is no such file"), "model": "nobody/nothing"}))


def test_an_edit_that_a_method_begins_at_is_not_refused() -> None:
    named = EvaluationConfig(task="users", methods="vanilla,chameleon", from_group="somewhere")
    check_start_is_used(arms("vanilla,chameleon"), named)
    check_start_is_used(arms("vanilla"), EvaluationConfig(task="users", methods="vanilla"))


BY_PERSON = (
    "CHAMELEON learns with the preset measured from {} people, who have no texts to learn from: no preset is named "
    "(chameleon_preset), and where only choices are known, a step from nothing gained more."
)


@pytest.mark.parametrize("methods", ["chameleon", "few-shot+chameleon", "fermi+chameleon", "chameleon-random"])
def test_who_has_no_texts_begins_at_nothing_and_a_note_tells_it(methods: str) -> None:
    group, person = notes_on(methods, WRITER, RATER)
    assert group.startswith(PACKAGED)
    assert person == BY_PERSON.format("1 of 2")
    assert notes_on(methods, RATER, RATER) == (BY_PERSON.format("2 of 2"),), "nobody begins at the group's edit"
    assert len(notes_on(methods, WRITER, WRITER)) == 1


@pytest.mark.parametrize(
    ("methods", "changes"),
    [
        ("chameleon", {"chameleon_preset": "grouped"}),
        ("chameleon", {"chameleon_preset": "measured"}),
        ("chameleon", {"model": "some/model"}),
        ("chameleon-start,chameleon-paper,chameleon-group,sft", {}),
    ],
)
def test_where_the_preset_is_one_for_all_no_note_tells_of_people(methods: str, changes: dict[str, Any]) -> None:
    assert not [note for note in notes_on(methods, WRITER, RATER, **changes) if "no texts to learn from" in note]


@pytest.mark.parametrize(
    ("changes", "presets"),
    [
        ({}, ("grouped", "measured")),
        ({"from_group": "somewhere"}, ("grouped", "grouped")),
        ({"model": "some/model"}, ("measured", "measured")),
        ({"chameleon_preset": "grouped"}, ("grouped", "grouped")),
    ],
)
def test_presets_are_those_of_fit(changes: dict[str, Any], presets: tuple[str, str]) -> None:
    assert edit_presets(EvaluationConfig(task="users", **changes)) == presets
