"""Arguments of a wrong type: an error that names the argument, before anything is opened or written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from idiolect import AsyncWorkspace, CallSettings, FermiChoices, Limits, Owner, Question, Workspace, ask
from idiolect.errors import SettingsError
from idiolect.export.exporting import ExportOptions
from tests.application.mimicked import ANN
from tests.cli.learning import mimic

MISTAKES: list[tuple[Callable[[Any], object], str]] = [
    (lambda space: space.fit("users.jsonl"), "a user is of type str, must be User: .*reads a file"),
    (lambda space: space.fit([{"id": "a"}]), "a user is of type dict, must be User"),
    (lambda space: space.fit([ANN], "fermi"), "choices is of type str, must be FermiChoices or ChameleonChoices"),
    (lambda space: space.fit([ANN], FermiChoices), "choices is the class FermiChoices, must be"),
    (lambda space: space.ask(None, "Tea?"), "owner is of type NoneType, must be Owner"),
    (lambda space: space.ask(ANN, "Tea?"), "owner is of type User, must be Owner"),
    (lambda space: space.ask("ann", None), "question is of type NoneType, must be Question"),
    (lambda space: space.add_opinion("ann", "Tea"), "opinion is of type str, must be Opinion"),
    (lambda space: space.call(lambda inner: ask(inner, "ann", Question("Tea?"))), "owner is of type str, must be"),
    (lambda space: space.call(lambda inner: ask(inner, Owner.user("ann"), "Tea?")), "question is of type str, must be"),
]


@pytest.mark.parametrize(("use", "message"), MISTAKES)
def test_a_use_case_names_an_argument_of_a_wrong_type(
    use: Callable[[Any], object], message: str, tmp_path: Path
) -> None:
    with Workspace.open(tmp_path, model=mimic()) as space:
        with pytest.raises(TypeError, match=message):
            use(space)
        assert list(space.store.users()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Workspace.open(3), "target is of type int, must be str or Path or None"),
        (lambda: Workspace.open(calls=Limits(calls=1)), "calls is of type Limits, must be CallSettings"),
        (lambda: AsyncWorkspace("./people"), "settings is of type str, must be WorkspaceSettings"),
    ],
)
def test_a_workspace_is_not_made_with_arguments_of_a_wrong_type(make: Callable[[], object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


def test_a_limit_has_to_be_a_number() -> None:
    with pytest.raises(SettingsError, match="the limit on calls is 10, must be a finite number"):
        CallSettings(run=Limits(calls="10"))  # type: ignore[arg-type]


def test_export_options_take_a_path_as_text_and_refuse_formats_that_there_are_not(tmp_path: Path) -> None:
    assert ExportOptions("peft", str(tmp_path)).directory == tmp_path
    with pytest.raises(ValueError, match="format is 'pfet', must be one of peft, gguf"):
        ExportOptions("pfet", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dtype is 'int8', must be one of float32"):
        ExportOptions("gguf", tmp_path, dtype="int8")  # type: ignore[arg-type]
