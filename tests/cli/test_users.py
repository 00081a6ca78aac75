"""`idiolect users`: what the store holds, for people and for machines."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from idiolect.cli.app import app
from idiolect.errors import StoreError
from idiolect.methods.answering import Answerer
from idiolect.methods.evidence import Evidence
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.people.user_record import user_from_record
from idiolect.store import DEFAULT_TENANT, Store
from tests.cli.learning import ANN, mimic, settings

EVIL = "evil\x1b[31m[bold]\x1b]0;title\x07"
LIKES = Question("Do you like [red]ramen[/red]?", ("yes", "no"))
DAMAGED = {"prompts": [{"text": "Answer as [a] student\nwould.", "score": 0.75}]}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    opinions = tuple(Opinion(Question(f"Question {i}"), f"answer {i}") for i in range(4))
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        store.save_users(
            [
                User("u1", UserProfile({"Age": "18-29", "Likes": "[/] markup"}), opinions, ("t",), extra={"wave": 92}),
                User(EVIL, UserProfile({"\x1b[2JName": "\x1b[31m[blink]x"}), (Opinion(LIKES, "no"),)),
                User("用户/一", texts=("t",)),
            ]
        )
        store.save_personalization("u1", "fermi", DAMAGED)
        store.save_personalization("u1", "chameleon", {"prompts": "none", "layers": [1]})
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["users", *map(str, arguments)])


def shown(*arguments: str | Path) -> Any:
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_list_shows_a_table(people: Path) -> None:
    result = run("list", "--store", people)
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["ID", "OPINIONS", "TEXTS", "LEARNED", "BY"],
        ["evil\\x1b[31m[bold]\\x1b]0;title\\x07", "1", "0", "-"],
        ["u1", "4", "1", "chameleon,", "fermi"],
        ["用户/一", "0", "1", "-"],
    ]


def test_list_prints_one_object_a_line(people: Path) -> None:
    result = run("list", "--store", people, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["id"] for line in lines] == [EVIL, "u1", "用户/一"]
    assert {name: lines[1][name] for name in ("opinions", "texts", "methods")} == {
        "opinions": 4,
        "texts": 1,
        "methods": ["chameleon", "fermi"],
    }
    assert "\x1b" not in result.stdout


SECRET = "my private words"
DAMAGES = (
    "UPDATE users SET texts = '{bad my private words' WHERE id = 'u1'",
    "UPDATE users SET texts = '{\"a\": 1}' WHERE id = 'u1'",
    "UPDATE users SET profile = 'bad' WHERE id = 'u1'",
    "UPDATE users SET created_at = 'my private words' WHERE id = 'u1'",
    "UPDATE users SET updated_at = CAST(x'ff00' AS TEXT) WHERE id = 'u1'",
    "UPDATE personalizations SET method = x'ff00' WHERE user_id = 'u1' AND method = 'fermi'",
)


def harm(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / "idiolect.db")) as database, database:
        assert database.execute(statement).rowcount > 0


@pytest.mark.parametrize("damage", DAMAGES)
def test_list_marks_a_damaged_user_and_goes_on(people: Path, damage: str) -> None:
    harm(people, damage)
    result = run("list", "--store", people)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()][1:] == [
        ["evil\\x1b[31m[bold]\\x1b]0;title\\x07", "1", "0", "-"],
        ["u1", "damaged", "damaged", "-"],
        ["用户/一", "0", "1", "-"],
    ]
    advice = "fit the user again, or forget the user"
    assert result.stderr == f"warning: the data of user 'u1' is damaged; {advice}\n"
    documents = [json.loads(line) for line in run("list", "--store", people, "--json").stdout.splitlines()]
    assert [document.get("damaged") for document in documents] == [None, True, None]
    with Store.open(people, tenant=DEFAULT_TENANT) as store, pytest.raises(StoreError, match="user 'u1' is damaged"):
        list(store.users())


@pytest.mark.parametrize("stored", ["x'75ff'", "CAST(x'75ff' AS TEXT)"])
def test_list_shows_an_id_that_is_no_text(people: Path, stored: str) -> None:
    harm(people, f"UPDATE users SET id = {stored} WHERE id = 'u1'")
    result = run("list", "--store", people)
    assert result.exit_code == 0
    assert sorted(line.split()[1] for line in result.stdout.splitlines()) == ["0", "1", "OPINIONS", "damaged"]
    assert result.stderr == "warning: the data of user 'u\\\\xff' is damaged; restore a backup of the store\n"
    result = run("add-opinion", "u2", "Why?", "--answer", "so", "--store", people)
    assert (result.exit_code, result.stderr) == (1, "error: the store has no user 'u2'\n")


@pytest.mark.parametrize("command", ["show", "export", "add-opinion", "remove-opinion"])
@pytest.mark.parametrize("damage", DAMAGES[:4])
def test_a_damaged_user_is_an_error_that_names_the_remedy(people: Path, command: str, damage: str) -> None:
    harm(people, damage)
    arguments = {"add-opinion": ["Why?", "--answer", "so"], "remove-opinion": ["Question 0"]}.get(command, [])
    result = run(command, "u1", *arguments, "--store", people)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the data of user 'u1' is damaged (")
    assert result.stderr.endswith("; fit the user again, or forget the user\n")
    assert SECRET not in result.output


@pytest.mark.parametrize("damage", DAMAGES[:5])
def test_saving_a_damaged_user_again_mends_them(people: Path, damage: str) -> None:
    harm(people, damage)
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("u1", texts=("t",)), User("用户/一", texts=("t",))])
        assert store.user("u1").texts == ("t",)
        assert len(list(store.users())) == 3


def test_damaged_learned_data_is_an_error_that_names_the_remedy(people: Path) -> None:
    harm(people, "UPDATE personalizations SET payload = '{}' WHERE method = 'fermi'")
    for command in ("show", "export"):
        result = run(command, "u1", "--store", people)
        assert result.exit_code == 1
        assert "its digest is wrong; fit the user again, or forget the user" in result.stderr


def test_list_reads_the_store_of_the_environment(people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_STORE", str(people))
    assert "u1" in run("list").stdout


def test_show_tells_what_is_known_and_learned(people: Path) -> None:
    result = run("show", "u1", "--store", people)
    assert (result.exit_code, result.stderr) == (0, "")
    for part in (
        "profile   Age: 18-29",
        "profile   Likes: [/] markup",
        "opinions  4",
        "Question 0 → answer 0",
        "and 1 more",
        "texts     1",
        "learned   chameleon",
        "learned   fermi",
        "cannot be read: not a Fermi personalization of format 4 or older",
    ):
        assert part in result.stdout
    assert "Question 3" not in result.stdout


def test_show_prints_json(people: Path) -> None:
    user = shown("show", "u1", "--store", people, "--json")
    assert user["profile"] == {"Age": "18-29", "Likes": "[/] markup"}
    assert (user["opinions"], user["texts"]) == (4, 1)
    chameleon, fermi = user["learned"]
    assert "not a CHAMELEON personalization of format 3 or older" in chameleon["error"]
    assert fermi["error"].startswith("not a Fermi personalization of format 4 or older")
    assert len(fermi["digest"]) == 64


@pytest.mark.parametrize("command", ["list", "show"])
def test_peoples_texts_cannot_draw_on_the_terminal(people: Path, command: str) -> None:
    result = run(command, *([EVIL] if command == "show" else []), "--store", people)
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "\x07" not in result.output
    assert "evil\\x1b[31m[bold]" in result.output
    if command == "show":
        assert "profile   Name: [blink]x" in result.output
        assert "Do you like [red]ramen[/red]? → no" in result.output
        assert "learned   nothing yet" in result.output


@pytest.mark.parametrize("method", ["fermi", "chameleon", "other"])
@pytest.mark.parametrize(
    "payload",
    [{}, {"prompts": []}, {"prompts": {"text": "x"}}, {"prompts": ["x", 3, {"text": 5}]}, {"format": 10**400}],
)
def test_show_tolerates_any_payload(people: Path, method: str, payload: dict[str, Any]) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.save_personalization("用户/一", method, payload)
    text = run("show", "用户/一", "--store", people)
    assert text.exit_code == 0
    (learned,) = shown("show", "用户/一", "--store", people, "--json")["learned"]
    assert learned["method"] == method
    assert ("cannot be read" in text.stdout) == ("error" in learned) == (method != "other")


@pytest.mark.parametrize(
    ("finished", "evidence", "lines"),
    [
        (True, None, ()),
        (False, None, ("learning was stopped early",)),
        (
            False,
            Evidence((1.0, 0.5), (0.5, 0.5)),
            (Evidence((1.0, 0.5), (0.5, 0.5)).reason, "learning was stopped early"),
        ),
    ],
)
async def test_show_tells_the_evidence_and_an_early_stop(
    people: Path, finished: bool, evidence: Evidence | None, lines: tuple[str, ...]
) -> None:
    model = mimic()
    learned = await Fermi(Answerer(model, settings().answering), settings(), optimizer=model).fit(user_from_record(ANN))
    learned = dataclasses.replace(learned, finished=finished, evidence=evidence)
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.save_users([user_from_record(ANN)])
        store.save_personalization("ann", "fermi", learned.to_json())
    told = [line.strip() for line in run("show", "ann", "--store", people).stdout.splitlines()]
    assert tuple(line for line in told if "held-out" in line or "early" in line) == lines
    (record,) = shown("show", "ann", "--store", people, "--json")["learned"]
    assert record["finished"] is finished
    expected = evidence and {"n": 2, "difference": 0.25, "used": True, "reason": evidence.reason}
    assert record["evidence"] == expected


def test_show_marks_what_was_entered(people: Path) -> None:
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.put_opinion("u1", Opinion(Question("Question 1"), "changed"))
        for i in range(5):
            store.put_opinion("u1", Opinion(Question(f"New {i}"), "said"))
    told = run("show", "u1", "--store", people).stdout
    assert "opinions  9, 6 of them entered" in told
    lines = [line.strip() for line in told.splitlines() if "→" in line]
    assert lines == [
        "Question 0 → answer 0",
        "Question 1 → changed (entered)",
        "Question 2 → answer 2",
        *(f"New {i} → said (entered)" for i in (2, 3, 4)),
    ]
    assert "and 3 more" in told
    entered = shown("show", "u1", "--store", people, "--json")["entered"]
    assert entered[0] == {"question": "Question 1", "choices": [], "answer": "changed"}
    assert len(entered) == 6


def test_remove_opinion_takes_it_back(people: Path) -> None:
    result = run("remove-opinion", "u1", "Question 1", "--store", people)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "u1, who has 3 now" in result.stdout
    assert "add-opinion" in result.stdout
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        store.put_opinion(EVIL, Opinion(Question(LIKES.text), "soup"))
    removed = shown("remove-opinion", EVIL, LIKES.text, "--choices", "yes| no", "--store", people, "--json")
    assert removed == {"user": EVIL, "removed": True, "opinions": 1}


def test_export_holds_everything(people: Path) -> None:
    document = shown("export", "u1", "--store", people)
    with Store.open(people, tenant=DEFAULT_TENANT) as store:
        assert user_from_record(document["user"]) == store.user("u1")
        records = store.personalizations("u1")
    assert [record["payload"] for record in document["personalizations"]] == [record.payload for record in records]
    assert [record["digest"] for record in document["personalizations"]] == [record.digest for record in records]
    assert document["created_at"] <= document["updated_at"]
    assert document["user"]["wave"] == 92


def test_export_file_is_private_and_not_overwritten_unasked(people: Path, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    result = run("export", "u1", "--out", file, "--store", people)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "exported user 'u1' to" in result.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())["user"]["id"] == "u1"

    again = run("export", "用户/一", "--out", file, "--store", people)
    assert again.exit_code == 1
    assert "already exists; --force replaces it" in again.stderr
    assert json.loads(file.read_text())["user"]["id"] == "u1"

    assert run("export", "用户/一", "--out", file, "--force", "--store", people).exit_code == 0
    assert json.loads(file.read_text())["user"]["id"] == "用户/一"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "people"]


def test_export_into_a_place_that_is_none(people: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "nowhere" / "x.json", tmp_path / "file" / "x.json"):
        result = run("export", "u1", "--out", place, "--store", people)
        assert result.exit_code == 1
        assert "error: cannot write" in result.stderr
    assert "is a folder" in run("export", "u1", "--out", tmp_path, "--force", "--store", people).stderr
    assert "is a folder" in run("export", "u1", "--out", "", "--store", people).stderr


def test_export_puts_no_file_in_place_of_a_link_or_device(people: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/null")
    for place in (link, Path("/dev/null")):
        result = run("export", "u1", "--out", place, "--force", "--store", people)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"{place} is a link or a device, not a file" in result.stderr
    assert link.is_symlink()
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("command", ["show", "export", "forget"])
def test_unknown_user_is_an_error(people: Path, command: str) -> None:
    result = run(command, "u2", "--store", people, "--json", *(["--yes"] if command == "forget" else []))
    assert result.exit_code == 1
    assert result.stderr == "error: the store has no user 'u2'; did you mean 'u1'?\n"
    assert json.loads(result.stdout)["error"]["type"] == "UnknownUserError"


def test_no_store_is_an_error_and_makes_none(tmp_path: Path) -> None:
    result = run("list", "--store", tmp_path / "typo")
    assert result.exit_code == 1
    assert "there is no store at" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [(), ("list",), ("show",), ("export",), ("forget",), ("remove-opinion",)])
def test_help_shows_an_example(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--help")
    assert result.exit_code == 0
    assert "  idiolect users " in result.stdout
