"""`idiolect groups`: made, listed, changed and forgotten, for people and for machines."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from idiolect.cli.app import app
from idiolect.erasure.forgetting import forget_user
from idiolect.errors import StoreError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store, scrubbing

EVIL = "evil\x1b[31m[bold]"
PEOPLE = [User(each, texts=(f"what {each!r} wrote",)) for each in ("u1", "u2", "u3", EVIL)]
TENSORS = bytes(range(256)) * 10


@pytest.fixture
def people(tmp_path: Path) -> Path:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users(PEOPLE)
        store.groups.create("readers", ["u1", "u2"])
        members = store.groups.read_members("readers")
        store.groups.save_personalization("readers", "chameleon", {"n": 1}, TENSORS, fitted_on=members)
    return tmp_path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["groups", *map(str, arguments)])


def done(*arguments: str | Path) -> str:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def shown(*arguments: str | Path) -> Any:
    return json.loads(done(*arguments, "--json"))


def test_create_takes_named_users_or_all(people: Path) -> None:
    assert done("create", "new", "--members", "u3, u1,u3", "--members", "u2", "--store", people) == (
        "created group 'new' of 3 people\n"
    )
    assert shown("show", "new", "--store", people)["members"] == ["u1", "u2", "u3"]
    town = shown("create", "town", "--all", "--store", people)
    assert (town["members"], town["state"], town["learned"]) == ([EVIL, "u1", "u2", "u3"], "never fitted", [])


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("create", "g"), 2, "--members is required"),
        (("create", "g", "--members", " , "), 2, "--members contains no id"),
        (("create", "g", "--members", "u1", "--all"), 2, "use either --members or --all, not both"),
        (("create", " ", "--all"), 2, "name is blank"),
        (("create", "readers", "--all"), 1, "error: the store already has a group 'readers'"),
        (("create", "g", "--members", "u1,u9"), 1, "error: the store has no user 'u9'; did you mean"),
        (("add", "writers", "--members", "u1"), 1, "error: the store has no group 'writers'"),
        (("remove", "readers", "--members", "u3"), 1, "error: group 'readers' has no member 'u3'"),
        (("remove", "readers"), 2, "--members is required"),
        (("show", "raeders"), 1, "did you mean 'readers'?"),
        (("forget", "raeders", "--yes"), 1, "did you mean 'readers'?"),
        (("forget", "raeders"), 1, "did you mean 'readers'?"),
        (("forget", "readers"), 2, "--yes is required when there is no terminal for the confirmation"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(
    people: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    before = done("list", "--json", "--store", people)
    result = run(*arguments, "--store", people)
    assert result.exit_code == status
    assert message in " ".join(result.stderr.split())
    assert done("list", "--json", "--store", people) == before


def test_list_shows_a_table_and_one_object_a_line(people: Path) -> None:
    done("create", EVIL, "--members", EVIL, "--store", people)
    table = done("list", "--store", people)
    assert [line.split() for line in table.splitlines()] == [
        ["GROUP", "MEMBERS", "LEARNED", "BY", "STATE"],
        ["evil\\x1b[31m[bold]", "1", "-", "never", "fitted"],
        ["readers", "2", "chameleon", "fitted"],
    ]
    lines = [json.loads(line) for line in done("list", "--json", "--store", people).splitlines()]
    assert [(line["id"], line["state"]) for line in lines] == [(EVIL, "never fitted"), ("readers", "fitted")]
    assert "\x1b" not in done("show", EVIL, "--store", people) + table


def test_show_tells_who_it_was_learned_from_and_what_changed(people: Path) -> None:
    assert "from 2 people\n" in done("show", "readers", "--store", people)
    assert done("add", "readers", "--members", "u2,u3", "--store", people) == (
        "added 1 person to group 'readers', which has 3 people now\n"
    )
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("u1", texts=("another text",))])
    told = done("show", "readers", "--store", people)
    for part in (
        "members   3: u1, u2, u3",
        "1 person joined since: u3",
        "the history of 1 person has changed since: u1",
        "fit the group again to include this",
    ):
        assert part in told
    assert "another text" not in told
    (fit,) = shown("show", "readers", "--store", people)["learned"]
    assert (fit["state"], fit["sources"], fit["added"], fit["changed"]) == ("stale", ["u1", "u2"], ["u3"], ["u1"])
    assert len(fit["digest"]) == 64


def test_remove_says_that_the_group_has_to_be_fitted_again(people: Path) -> None:
    told = done("remove", "readers", "--members", "u2", "--store", people)
    assert told == (
        "removed 1 person from group 'readers'; 1 person left\n"
        "deleted what chameleon had learned from them; fit the group again\n"
    )
    assert "fit the group again before using it" in done("show", "readers", "--store", people)
    removed = shown("remove", "readers", "--members", "u1", "--store", people)
    assert (removed["members"], removed["refit"], removed["state"]) == ([], [], "needs refit")
    assert "members   none" in done("show", "readers", "--store", people)


def test_forgotten_user_leaves_a_group_that_needs_a_refit(people: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        forget_user(store, "u1")
    group = shown("show", "readers", "--store", people)
    assert (group["members"], group["state"]) == (["u2"], "needs refit")
    assert group["learned"][0]["digest"] is None


def test_forget_deletes_the_group_and_its_bytes(people: Path) -> None:
    told = done("forget", "readers", "--yes", "--store", people)
    assert "rows deleted  1 groups, 2 group_members, 1 group_personalizations, 2 group_sources, 0 group_refits" in told
    assert TENSORS[:500] not in (people / "idiolect.db").read_bytes()
    assert done("list", "--json", "--store", people) == ""
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        assert len(list(store.user_ids())) == 4


@pytest.fixture
def stepped(people: Path) -> Path:
    """The edit of somebody outside the group, which began at the group's."""
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        members = store.groups.read_members("readers")
        store.groups.save_personalization("readers", "chameleon", {"edit": "ab"}, TENSORS, fitted_on=members)
        started = {"group": "readers", "digest": "ab", "origin": "store"}
        store.save_personalization(EVIL, "chameleon", {"started_from": started}, TENSORS)
    return people


@pytest.mark.parametrize("command", ["remove", "forget"])
def test_deleted_edits_of_people_are_named(stepped: Path, command: str) -> None:
    arguments = ("--members", "u1") if command == "remove" else ("--yes",)
    told = " ".join(done(command, "readers", *arguments, "--store", stepped).split())
    assert "1 person to fit again: evil[bold]" in told
    if command == "remove":
        assert "deleted the edits of people that began at it: 1 person" in told
    else:
        assert "1 personalizations, 1 personalization_groups begun edits deleted: 1 person" in told
    assert "edits of people that began at it (fit --from-group)" in " ".join(done(command, "--help").split())


@pytest.mark.parametrize("command", ["remove", "forget"])
def test_deleted_edits_of_people_are_in_the_document(stepped: Path, command: str) -> None:
    done("add", "readers", "--members", "u3", "--store", stepped)
    assert shown("remove", "readers", "--members", "u3", "--store", stepped)["begun_edits"] == []
    arguments = ("--members", "u1") if command == "remove" else ("--yes",)
    told = shown(command, "readers", *arguments, "--store", stepped)
    assert (told["begun_edits"], told["rows"]["personalizations"]) == ([EVIL], 1)


def test_what_could_not_be_scrubbed_is_an_error(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_: object) -> None:
        raise StoreError("the store is being read")

    with monkeypatch.context() as patched:
        patched.setattr(scrubbing, "scrub", busy)
        result = run("forget", "readers", "--yes", "--json", "--store", people)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["unfinished"] == ["the store is being read"]
    assert "deleted, but not scrubbed from the files yet: the store is being read" in result.stderr
    assert run("list", "--store", people).stderr == "completed 1 erasure that had been interrupted\n"


@pytest.mark.parametrize(("answer", "status", "left"), [("n\n", 1, 1), ("y\n", 0, 0)])
def test_terminal_is_asked(stepped: Path, answer: str, status: int, left: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    command = [sys.executable, "-m", "idiolect.cli.app", "groups", "forget", "readers", "--store", str(stepped)]
    result = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60, check=False)
    os.close(theirs)
    os.close(ours)
    assert result.returncode == status
    told = " ".join(result.stderr.split())
    assert "members 2 (they stay); learned by chameleon; edits of people that began at it 1" in told
    with Store.open(stepped, tenant=DEFAULT_TENANT) as store:
        assert len(list(store.groups.list())) == left


@pytest.mark.parametrize("command", ["create", "list", "show", "add", "remove", "forget"])
def test_help_shows_an_example(command: str) -> None:
    assert f"  idiolect groups {command}" in done(command, "--help")
