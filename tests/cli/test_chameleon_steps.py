"""A group's edit and people's steps from it on the command line: learned, saved, named, shown, and refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.methods.chameleon.personalization import StartedFrom
from idiolect.people.user_record import user_from_record
from idiolect.store import DEFAULT_TENANT, Store
from tests.cli.learning import run, write_people
from tests.cli.open_weights import learned, weights, writer

CHAMELEON = ("--method", "chameleon")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def grouped_once(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with an edit of the group "readers", and a folder in which it is saved; tests copy both."""
    folder = tmp_path_factory.mktemp("grouped")
    store = folder / "store"
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        opened.save_users(map(user_from_record, (writer("m1"), writer("m2"))))
    for command in (
        ("groups", "create", "readers", "--members", "m1,m2"),
        ("groups", "fit", "readers", "--model", model),
        ("groups", "save", "readers", folder / "saved"),
    ):
        result = run(*command, "--store", store)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def folder(grouped_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(grouped_once, tmp_path / "grouped")
    write_people(tmp_path / "grouped" / "users.jsonl", [writer("u1")])
    return tmp_path / "grouped"


def test_a_person_steps_from_the_group_in_the_store_or_in_a_folder(folder: Path, model: str) -> None:
    found = []
    for store, name in ((folder / "store", "readers"), (folder / "elsewhere", folder / "saved")):
        result = run(
            "fit", folder / "users.jsonl", *CHAMELEON, "--model", model, "--from-group", name, "--store", store
        )
        assert result.exit_code == 0, result.output
        told = result.stdout + result.stderr
        assert "preset grouped" in told
        assert "of 1 user: 1 learned; no cost, the model runs on this machine, " in told
        found.append(learned(store, "u1"))
    first, second = found
    assert first.edit == second.edit
    assert isinstance(first.started_from, StartedFrom)
    assert (first.started_from.group, first.started_from.origin) == ("readers", "store")
    assert second.started_from == replace(first.started_from, origin="folder")
    shown = " ".join(run("users", "show", "u1", "--store", folder / "store").stdout.split())
    assert "one step from the edit of the group 'readers'" in shown
    assert "read in full: " in shown
    assert "variant: grouped, " in shown
    asked = run(
        "ask", "How often do you drink tea?", "--choices", "always|never", "--user", "u1", "--store", folder / "store"
    )
    assert asked.exit_code == 0, asked.output


def test_what_is_saved_names_and_quotes_no_member(folder: Path) -> None:
    written = {path.name: path.read_bytes() for path in (folder / "saved").iterdir()}
    assert set(written) == {"edit.json", "edit.safetensors"}
    assert json.loads(written["edit.json"])["members"] == []
    for user in (writer("m1"), writer("m2")):
        for said in (*user["texts"], *(each["question"] for each in user["opinions"]), json.dumps(user["id"])):
            assert not [name for name, content in written.items() if said.encode() in content]


def test_saving_tells_where_and_refuses_what_there_is_not(folder: Path) -> None:
    store = ("--store", folder / "store")
    told = json.loads(run("groups", "save", "readers", folder / "again", *store, "--json").stdout)
    assert told == {"group": "readers", "folder": str(folder / "again")}
    assert (folder / "again" / "edit.json").read_bytes() == (folder / "saved" / "edit.json").read_bytes()
    missing = run("groups", "save", "writers", folder / "none", *store)
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "writers" in missing.stderr
    assert not (folder / "none").exists()
    (folder / "file").write_text("in the way")
    blocked = run("groups", "save", "readers", folder / "file", *store)
    assert (blocked.exit_code, "cannot write the edit" in blocked.stderr) == (1, True)


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        (("--from-group", "writers"), 1, "writers"),
        (("--from-group", ""), 1, "no group ''"),
        (("--from-group", "."), 1, "there is no edit.json in this folder"),
        (("--preset", "grouped"), 1, "none is packaged for"),
        (("--preset", "grouped", "--pairs", "6"), 1, "writes no pairs"),
        (("--preset", "measured", "--pairs", "6"), 1, "writes no pairs"),
        (("--preset", "measured", "--from-group", "readers"), 1, "does not begin at a group's edit"),
        (("--preset", "paper", "--from-group", "readers"), 1, "does not begin at a group's edit"),
        (("--method", "fermi", "--from-group", "readers"), 2, "--from-group cannot be used with --method fermi"),
    ],
)
def test_wrong_starts_are_refused_in_words(
    folder: Path, model: str, given: tuple[str, ...], code: int, message: str
) -> None:
    common = ("--model", model, "--store", folder / "store")
    result = run("fit", folder / "users.jsonl", *CHAMELEON, *given, *common)
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    assert message in " ".join(result.stderr.split())


def test_a_start_of_other_weights_is_refused_and_what_to_fit_is_told(folder: Path) -> None:
    other = weights(folder / "other", seed=1)
    common = ("--model", other, "--store", folder / "store")
    result = run("fit", folder / "users.jsonl", *CHAMELEON, "--from-group", "readers", *common)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "learned on other weights" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("given", "counts"),
    [(("--preset", "grouped"), ("14", "0", "0")), (("--preset", "measured"), ("14", "8", "512"))],
)
def test_a_dry_run_counts_the_models_own_texts_only(
    folder: Path, given: tuple[str, ...], counts: tuple[str, ...]
) -> None:
    result = run("fit", folder / "users.jsonl", *CHAMELEON, *given, "--model", "tiny", "--dry-run")
    assert result.exit_code == 0, result.output
    assert f"1 user, preset {given[1]}: no cost" in result.stdout
    header, row = (line.split() for line in result.stdout.splitlines()[:2])
    assert header[:3] == ["MODEL", "QUERIES", "ANSWERS"]
    assert tuple(row) == ("tiny", *counts)
    fails = "note: without --dry-run, this command fails here: the preset grouped begins at a group's edit, and none is"
    assert (fails in " ".join(result.stderr.split())) == (given[1] == "grouped")


def test_a_dry_run_tells_the_preset_of_each_person_and_why(tmp_path: Path) -> None:
    raters = [{**writer(f"r{n}"), "texts": []} for n in range(2)]
    people = write_people(tmp_path / "users.jsonl", [writer("u1"), *raters])
    shown = run("fit", people, *CHAMELEON, "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert "3 users, preset grouped for 1 and measured for 2: no cost" in shown.stdout
    told = " ".join(shown.stderr.split())
    assert "preset grouped for people with texts, because" in told
    assert "; preset measured for people without texts, because" in told
    document = json.loads(run("fit", people, *CHAMELEON, "--dry-run", "--json").stdout)
    assert document["presets"] == {"grouped": 1, "measured": 2}
    assert document["preset_reasons"].keys() == {"grouped", "measured"}
    assert "missing" not in document
    group = run("fit", people, *CHAMELEON, "--dry-run", "--from-group", "readers")
    assert "The edit of readers was not looked at" in " ".join(group.stdout.split())
    assert "was not looked at" not in shown.stdout
    alone = run("fit", people, *CHAMELEON, "--dry-run", "--user", "r1")
    assert "1 user, preset measured: no cost" in alone.stdout
