"""Checkpoints, single opinions, guarded saving, the cache's place; stores of the first revision are upgraded."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from idiolect.errors import StoreError, UnknownUserError
from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, SavedUsers, Store
from idiolect.store.strict_json import digest

TEA = Question("Tea or coffee?", ("tea", "coffee"))
WHY = Question("Why?")
ANNA = User("anna", opinions=(Opinion(TEA, "tea"), Opinion(WHY, "habit", extra={"wave": 1})))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "people", tenant=DEFAULT_TENANT) as opened:
        opened.save_users([ANNA, User("bob", texts=("t",))])
        yield opened


def test_checkpoint_comes_back_and_replaces_the_earlier_one(store: Store) -> None:
    assert store.checkpoint("anna", "fermi") is None
    store.save_checkpoint("anna", "fermi", {"iteration": 1})
    first = store.checkpoints("anna")[0]
    store.save_checkpoint("anna", "fermi", {"iteration": 2, "memory": ("a",)})
    store.save_checkpoint("anna", "chameleon", {})
    chameleon, fermi = store.checkpoints("anna")
    assert store.checkpoint("anna", "fermi") == {"iteration": 2, "memory": ["a"]} == fermi.payload
    assert (chameleon.method, fermi.method) == ("chameleon", "fermi")
    assert fermi.digest == digest(fermi.payload)
    assert fermi.updated_at > first.updated_at
    assert store.checkpoints("bob") == []


def test_checkpoint_is_no_personalization(store: Store) -> None:
    store.save_checkpoint("anna", "fermi", {"iteration": 1})
    assert store.personalizations("anna") == []
    assert store.summary("anna").methods == ()


def test_dropped_checkpoint_is_gone_and_only_that_one(store: Store) -> None:
    for user_id in ("anna", "bob"):
        store.save_checkpoint(user_id, "fermi", {})
    store.save_checkpoint("anna", "chameleon", {})
    store.drop_checkpoint("anna", "fermi")
    store.drop_checkpoint("anna", "fermi")
    store.drop_checkpoint("nobody", "fermi")
    store.drop_checkpoint("half \ud83d", "fermi")
    assert [record.method for record in store.checkpoints("anna")] == ["chameleon"]
    assert store.checkpoint("bob", "fermi") == {}


@pytest.mark.parametrize("user_id", ["nobody", "half \ud83d"])
def test_checkpoints_of_an_unknown_user_are_refused(store: Store, user_id: str) -> None:
    with pytest.raises(UnknownUserError):
        store.save_checkpoint(user_id, "fermi", {})
    with pytest.raises(UnknownUserError):
        store.checkpoint(user_id, "fermi")
    with pytest.raises(UnknownUserError):
        store.checkpoints(user_id)


def test_checkpoint_must_be_strict_json(store: Store) -> None:
    with pytest.raises(StoreError, match="nan is not a JSON number"):
        store.save_checkpoint("anna", "fermi", {"score": float("nan")})
    with pytest.raises(ValueError, match="method is blank"):
        store.save_checkpoint("anna", "", {})
    assert store.checkpoint("anna", "\0") is None


def test_damaged_checkpoint_is_told(store: Store, tmp_path: Path) -> None:
    store.save_checkpoint("anna", "fermi", {"secret": "words"})
    with closing(sqlite3.connect(tmp_path / "people" / "idiolect.db")) as connection, connection:
        connection.execute("UPDATE checkpoints SET payload = '{}'")
    with pytest.raises(StoreError, match="damaged: its digest is wrong") as caught:
        store.checkpoint("anna", "fermi")
    assert "words" not in str(caught.value)


def test_deleting_a_user_deletes_their_checkpoints(store: Store) -> None:
    store.save_checkpoint("anna", "fermi", {})
    with store.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM users WHERE id = 'anna'")
    with store.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM checkpoints").scalar() == 0


def test_personalization_is_saved_only_over_what_was_seen(store: Store) -> None:
    assert store.compare_and_save_personalization("anna", "fermi", {"v": 1}, expected_digest=None)
    assert not store.compare_and_save_personalization("anna", "fermi", {"v": 2}, expected_digest=None)
    assert not store.compare_and_save_personalization("anna", "fermi", {"v": 2}, expected_digest=digest({"v": 0}))
    assert store.personalization("anna", "fermi") == {"v": 1}
    assert store.compare_and_save_personalization("anna", "fermi", {"v": 2}, expected_digest=digest({"v": 1}))
    assert store.personalization("anna", "fermi") == {"v": 2}
    with pytest.raises(UnknownUserError):
        store.compare_and_save_personalization("nobody", "fermi", {}, expected_digest=None)


def test_put_opinion_adds_at_the_end(store: Store) -> None:
    before = store.summary("anna")
    added = Opinion(Question("Tea or coffee? ", ("tea", "coffee")), "coffee", extra={"wave": 2})
    assert store.put_opinion("anna", added) == "added"
    assert store.user("anna").opinions == (*ANNA.opinions, added)
    assert store.summary("anna").updated_at > before.updated_at
    assert store.put_opinion("bob", added) == "added"
    assert store.user("bob").opinions == (added,)


def test_put_opinion_replaces_the_answer_in_its_place(store: Store) -> None:
    changed = Opinion(dataclasses.replace(TEA, ordinal=True), "coffee", extra={"new": True})
    assert store.put_opinion("anna", changed) == "replaced"
    assert store.user("anna").opinions == (changed, ANNA.opinions[1])


@pytest.mark.parametrize("question", [Question("Tea or coffee?"), Question("Tea or coffee?", ("coffee", "tea"))])
def test_put_opinion_takes_other_choices_for_another_question(store: Store, question: Question) -> None:
    assert store.put_opinion("anna", Opinion(question, "tea")) == "added"
    assert len(store.user("anna").opinions) == 3


def test_put_opinion_of_an_unknown_user_is_refused(store: Store) -> None:
    with pytest.raises(UnknownUserError, match="did you mean 'anna'"):
        store.put_opinion("ann", Opinion(WHY, "because"))


def test_user_ids_stream_in_order(store: Store) -> None:
    store.save_users(User(f"u{i:04}", texts=("t",)) for i in range(1100))
    assert list(store.user_ids()) == ["anna", "bob", *(f"u{i:04}" for i in range(1100))]


def test_cache_lies_in_the_folder_of_the_store(store: Store, tmp_path: Path) -> None:
    assert store.folder == tmp_path / "people"
    assert store.cache_path == tmp_path / "people" / "calls.db"


def test_cache_of_a_url_lies_below_the_folder_for_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "caches"))
    monkeypatch.chdir(tmp_path)
    places = []
    for name in ("a.db", f"{tmp_path}/a.db", "b.db"):
        with Store.open(f"sqlite:///{name}", tenant=DEFAULT_TENANT) as store:
            assert store.folder is None
            places.append(store.cache_path)
    assert places[0] == places[1] != places[2]
    assert places[0].parent.parent == tmp_path / "caches"
    assert places[0].name == "calls.db"
    monkeypatch.delenv("IDIOLECT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with Store.open("sqlite:///a.db", tenant=DEFAULT_TENANT) as store:
        assert store.cache_path.is_relative_to(tmp_path)
        assert store.cache_path.parent.name == places[0].parent.name
    assert not (tmp_path / "caches").exists()


def first_revision(folder: Path) -> None:
    """A store as the first revision left it, with one person in it."""
    folder.mkdir()
    engine = sa.create_engine(f"sqlite:///{folder / 'idiolect.db'}")
    config = Config()
    config.set_main_option("script_location", "idiolect.store:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        now = "2025-01-02 03:04:05.000000"
        connection.exec_driver_sql(
            "INSERT INTO users VALUES (?, ?, ?, ?, ?, ?)", ("anna", '{"Age":"20"}', '["é"]', '{"wave":3}', now, now)
        )
        row = ("anna", 0, TEA.text, json.dumps(TEA.choices), False, "tea", "{}")
        connection.exec_driver_sql("INSERT INTO opinions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        learned = ("anna", "fermi", '{"prompts":[]}', digest({"prompts": []}), now, now)
        connection.exec_driver_sql("INSERT INTO personalizations VALUES (?, ?, ?, ?, ?, ?)", learned)
    engine.dispose()


def test_store_of_the_first_revision_is_upgraded_with_its_data(tmp_path: Path) -> None:
    first_revision(tmp_path / "people")
    with Store.open(tmp_path / "people", create=False, tenant=DEFAULT_TENANT) as store:
        user = store.user("anna")
        assert (dict(user.profile.attributes), user.texts, dict(user.extra)) == ({"Age": "20"}, ("é",), {"wave": 3})
        assert user.opinions == (Opinion(TEA, "tea"),)
        assert store.personalization("anna", "fermi") == {"prompts": []}
        assert store.summary("anna").created_at.year == 2025
        store.save_checkpoint("anna", "fermi", {"iteration": 1})
        assert store.checkpoint("anna", "fermi") == {"iteration": 1}


def test_what_was_entered_outlives_a_new_saving_of_the_users_file(store: Store) -> None:
    from_file = store.user("anna")
    new, changed = (
        Opinion(Question("Fish?", ("yes", "no")), "yes"),
        dataclasses.replace(from_file.opinions[0], answer="coffee"),
    )
    store.put_opinion("anna", new)
    store.put_opinion("anna", changed)
    for _ in range(2):  # also the second time
        store.save_users([from_file, store.user("bob")])
        assert store.user("anna").opinions == (changed, *from_file.opinions[1:], new)
    fewer = dataclasses.replace(from_file, opinions=(), texts=("only a text",))
    store.save_users([fewer])
    assert set(store.user("anna").opinions) == {changed, new}
    again = dataclasses.replace(changed, answer=from_file.opinions[0].answer)
    store.put_opinion("anna", again)
    store.save_users([from_file])
    assert store.user("anna").opinions == (again, *from_file.opinions[1:], new)


def test_saving_counts_entered_opinions_that_the_users_file_does_not_say(store: Store) -> None:
    assert store.save_users([ANNA]).entered == 0
    store.put_opinion("anna", Opinion(TEA, ANNA.opinions[0].answer))  # as in the file
    assert store.save_users([ANNA]) == SavedUsers(updated=1)
    store.put_opinion("anna", Opinion(TEA, "coffee"))
    store.put_opinion("anna", Opinion(Question("And at noon?"), "water"))
    assert store.user_and_entered("anna")[1] == (0, 2)
    assert store.save_users([ANNA, User("new", texts=("t",))]) == SavedUsers(new=1, updated=1, entered=2)
    assert store.user_and_entered("anna")[1] == (0, 2)
    assert store.user_and_entered("new")[1] == ()


def test_remove_opinion_takes_one_away(store: Store) -> None:
    water = Opinion(Question("And at noon?"), "water")
    store.put_opinion("anna", water)
    before = store.summary("anna").updated_at
    assert not store.remove_opinion("anna", TEA.text, ("other", "choices"))
    assert not store.remove_opinion("anna", "And at")
    assert store.summary("anna").updated_at == before
    assert store.remove_opinion("anna", TEA.text)
    assert store.user("anna").opinions == (ANNA.opinions[1], water)
    assert store.user_and_entered("anna")[1] == (1,)
    assert store.put_opinion("anna", Opinion(TEA, "coffee")) == "added"
    assert store.remove_opinion("anna", "And at noon?", ())
    assert [opinion.question for opinion in store.user("anna").opinions] == [ANNA.opinions[1].question, TEA]
    assert store.summary("anna").updated_at > before
    with pytest.raises(UnknownUserError):
        store.remove_opinion("nobody", TEA.text)


def test_remove_opinion_of_two_needs_the_choices(store: Store) -> None:
    store.put_opinion("anna", Opinion(Question(TEA.text), "tea, but late"))
    with pytest.raises(StoreError, match="2 opinions on that question; name the choices"):
        store.remove_opinion("anna", TEA.text)
    assert store.remove_opinion("anna", TEA.text, ())
    assert store.user("anna") == ANNA


def test_the_last_opinion_of_one_without_texts_stays(store: Store) -> None:
    store.remove_opinion("anna", TEA.text)
    with pytest.raises(StoreError, match="it is the last opinion"):
        store.remove_opinion("anna", "Why?")
    store.put_opinion("bob", Opinion(WHY, "habit"))
    assert store.remove_opinion("bob", "Why?")
    assert store.user("bob").opinions == ()
