"""Erasure leaves nothing of the one, everything of the other, and its proof can fail."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sqlite3
import string
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.erasure import forgetting, searching
from idiolect.erasure.byte_search import search_files
from idiolect.erasure.canaries import forms
from idiolect.erasure.forgetting import artifact_folder, forget_user
from idiolect.erasure.receipt import Receipt
from idiolect.errors import StoreError, UnknownUserError
from idiolect.models.calls.cache import CallCache, entries
from idiolect.models.calls.cache.claims import Claim
from idiolect.models.calls.cache.entries import ForgottenCalls
from idiolect.people.newest_answers import with_newest_answers
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import DEFAULT_TENANT, Store
from tests.erasure.keeping import (
    ANNA,
    BORIS,
    SHARED,
    SHARED_RESULT,
    call,
    damage,
    everything,
    key_of,
    learn,
    payload_of,
)

ROOT = Path(__file__).parents[2]
ANNAS_WORDS = (
    ANNA.id,
    "Obiralovka",
    'asked\ton "the" train',
    "What is the first thing you remember?",
    "red handbag",
    "❄ – on the rails",
    "unhappy in its own way",
    "Oblonsky's house",
    f"Half-learned for {ANNA.id}",
    f"They of {ANNA.id} said",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "people"


@pytest.fixture
async def kept(folder: Path) -> Any:
    """Anna and Boris, who share a question and a call."""
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        for user in (ANNA, BORIS):
            await learn(store, cache, user)
            artifacts = artifact_folder(folder, user.id)
            artifacts.mkdir(parents=True)
            (artifacts / "directions.safetensors").write_text(f"directions of {user.id}")
        yield store, cache


def words_left(folder: Path, words: tuple[str, ...] = ANNAS_WORDS) -> list[str]:
    content = everything(folder)
    return [word for word in words if any(form in content for form in forms(word))]


def test_nothing_of_the_forgotten_is_left_in_any_byte(kept: tuple[Store, CallCache], folder: Path) -> None:
    store, cache = kept
    assert words_left(folder) == list(ANNAS_WORDS)  # the test would see them
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert words_left(folder) == []
    assert receipt.proven
    assert receipt.before.total > receipt.canaries > 20
    assert receipt.after.places == {}
    assert receipt.rows == {"users": 1, "opinions": 2, "personalizations": 1, "checkpoints": 1}
    assert (receipt.calls_deleted, receipt.calls_shared, receipt.artifacts) == (2, 1, 1)
    assert receipt.searched_files >= 3
    assert receipt.searched_bytes > 10_000
    assert not artifact_folder(folder, ANNA.id).exists()
    store.close()
    cache.close()
    assert words_left(folder) == []


async def test_the_other_is_untouched(kept: tuple[Store, CallCache], folder: Path) -> None:
    store, cache = kept
    held = (store.user(BORIS.id), store.personalizations(BORIS.id), store.checkpoints(BORIS.id))
    calls = [call.key for call in cache.calls_of(BORIS.id)]
    forget_user(store, ANNA.id, cache=cache)
    assert (store.user(BORIS.id), store.personalizations(BORIS.id), store.checkpoints(BORIS.id)) == held
    assert [call.key for call in cache.calls_of(BORIS.id)] == calls
    assert await cache.look_up([key_of("shared")], owner=BORIS.id) == [SHARED_RESULT]
    assert artifact_folder(folder, BORIS.id).exists()
    assert list(store.user_ids()) == [BORIS.id]
    await learn(store, cache, ANNA)  # and both go on working
    assert store.user(ANNA.id) == ANNA


def test_the_last_one_may_go_too(kept: tuple[Store, CallCache], folder: Path) -> None:
    store, cache = kept
    forget_user(store, ANNA.id, cache=cache)
    receipt = forget_user(store, BORIS.id, cache=cache)
    assert receipt.proven
    assert (receipt.calls_deleted, receipt.calls_shared) == (2, 0)
    assert words_left(folder, (SHARED.text, str(SHARED_RESULT["text"]), "involuntary fear")) == []


def test_what_two_share_is_no_leak(folder: Path) -> None:
    twin = dataclasses.replace(ANNA, id="the other anna")
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        store.save_users([ANNA, twin])
        store.save_personalization(twin.id, "fermi", {"prompts": [{"text": f"Unlike {ANNA.id[:4]}"}]})
        receipt = forget_user(store, ANNA.id, cache=None)
        assert receipt.canaries == 1  # the id
        assert receipt.proven
        assert store.user(twin.id) == twin


def test_one_of_whom_nothing_is_distinctive_is_forgotten_by_rows_alone(folder: Path) -> None:
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("u1", texts=("t",)), User("u12", texts=("t",))])
        receipt = forget_user(store, "u1", cache=None)
        assert (receipt.canaries, receipt.before.total, receipt.proven) == (0, 0, True)
        assert receipt.rows["users"] == 1
        assert list(store.user_ids()) == ["u12"]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE personalizations SET payload = '{}'",
        "UPDATE personalizations SET payload = '{bad', created_at = 'garbage'",
        "UPDATE personalizations SET tensors = 'text'",
        "UPDATE checkpoints SET payload = substr(payload, 1, 40)",
        "UPDATE users SET texts = '{bad ' || texts",
        "UPDATE users SET texts = CAST(CAST(texts AS BLOB) || x'ff' AS TEXT)",
        "UPDATE users SET profile = '7', extra = 'null'",
        "UPDATE users SET created_at = 'garbage', updated_at = x'ff'",
        "UPDATE opinions SET choices = '{bad', question = ''",
        "UPDATE opinions SET answer = CAST(CAST(answer AS BLOB) || x'ff' AS TEXT)",
        "UPDATE opinions SET extra = x'ff00'",
    ],
)
def test_damaged_data_goes_too_and_the_receipt_names_the_limit(
    kept: tuple[Store, CallCache], folder: Path, damage: str
) -> None:
    store, cache = kept
    with closing(sqlite3.connect(folder / "idiolect.db")) as database, database:
        assert database.execute(damage).rowcount > 1  # of both people: neither's damage keeps the other from going
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.proven
    assert receipt.rows == {"users": 1, "opinions": 2, "personalizations": 1, "checkpoints": 1}
    assert ["damaged" in limit for limit in receipt.limits].count(True) == 1
    assert words_left(folder) == []
    assert [user.id for user in store.listed()] == [BORIS.id]
    assert forget_user(store, BORIS.id, cache=cache).proven


def test_forgetting_twice_is_an_unknown_user(kept: tuple[Store, CallCache]) -> None:
    store, cache = kept
    forget_user(store, ANNA.id, cache=cache)
    with pytest.raises(UnknownUserError):
        forget_user(store, ANNA.id, cache=cache)
    with pytest.raises(UnknownUserError):
        forget_user(store, "half \ud83d", cache=cache)


HOSTILE = [
    User('"; DROP TABLE users; --', texts=('It\'s "quoted" \\ and {braced} and <tagged> ',)),
    User("line\nbreak\tand 🦊 fox", texts=("🦊" * 30 + "🐺🐻🦁", "\u2028\u202e\u0001 control characters \x7f")),
    User("日本語の長い名前です", texts=("私は午後にコーヒーを飲みません。電車の中は例外です。", "ẞẞ ünïcödé ñandú")),
    User("very long " * 1000, texts=("".join(chr(0x4E00 + i % 20_000) for i in range(100_000)),)),
    User("%_%like%", UserProfile({"A'ttribute": "v\\alue\\n"}), texts=("C:\\Users\\secret\\folder\\file.txt",)),
]


@pytest.mark.parametrize("user", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_ids_and_texts_go_without_a_trace(folder: Path, user: User) -> None:
    user = dataclasses.replace(user, opinions=(Opinion(Question(user.texts[0]), user.texts[-1]),))
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        asyncio.run(learn(store, cache, BORIS))
        asyncio.run(learn(store, cache, user))
        words = tuple(text[start : start + 24] for text in (user.id, *user.texts) for start in range(0, len(text), 997))
        receipt = forget_user(store, user.id, cache=cache)
        assert receipt.proven
        assert receipt.before.total > 0
        assert words_left(folder, tuple(word for word in words if len(word) > 5)) == []
        assert store.user(BORIS.id) == BORIS


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=60).filter(str.strip)
PLAIN = st.text(string.ascii_lowercase + ' \\"é', min_size=1, max_size=60).filter(str.strip)
EXTRA = st.dictionaries(st.text(string.ascii_letters, min_size=6), TEXT | st.lists(PLAIN, max_size=2), max_size=2)


@st.composite
def people(draw: st.DrawFn) -> list[User]:
    pool = draw(st.lists(TEXT | PLAIN, min_size=2, max_size=6))
    some = st.sampled_from(pool) | PLAIN
    ids = draw(st.lists(some, min_size=1, max_size=3, unique=True))
    opinions = st.builds(lambda text, answer: Opinion(Question(text), answer), some, some)
    return [
        User(each, UserProfile(), tuple(draw(st.lists(opinions, max_size=3))), (draw(some),), extra=draw(EXTRA))
        for each in ids
    ]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(people())
def test_any_user_is_forgotten_and_only_they(crowd: list[User]) -> None:
    place = Path(tempfile.mkdtemp())
    try:
        with Store.open(place, tenant=DEFAULT_TENANT) as store:
            store.save_users(crowd)
            for user in crowd:
                store.save_personalization(user.id, "fermi", payload_of(user))
            receipt = forget_user(store, crowd[0].id, cache=None)
            assert receipt.proven
            assert receipt.canaries == 0 or receipt.before.total > 0
            assert [store.user(user.id) for user in crowd[1:]] == [with_newest_answers(user)[0] for user in crowd[1:]]
    finally:
        shutil.rmtree(place)


def test_copy_in_the_folder_is_found(kept: tuple[Store, CallCache], folder: Path) -> None:
    store, cache = kept
    (folder / "backup").mkdir()
    with closing(sqlite3.connect(folder / "idiolect.db")) as source:
        source.execute("VACUUM INTO ?", (str(folder / "backup" / "copy.bin"),))
    (folder / "notes.txt").write_text("Anna said: unhappy in its own way.", encoding="utf-16-le")
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert set(receipt.after.places) == {str(folder / "backup" / "copy.bin"), str(folder / "notes.txt")}
    assert not receipt.proven


def skip(*_: object, **__: object) -> None:
    return None


def without_secure_delete(store: Store) -> None:
    with store.database.engine().connect() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete = OFF")


def test_erasure_without_scrubbing_is_found_out(
    kept: tuple[Store, CallCache], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    without_secure_delete(store)
    monkeypatch.setattr(forgetting, "scrub", skip)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.after.places.keys() == {str(folder / "idiolect.db")}  # the log is emptied into it
    assert not receipt.proven


def test_log_that_is_not_emptied_is_found_out(
    kept: tuple[Store, CallCache], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    monkeypatch.setattr(forgetting, "scrub", skip)
    monkeypatch.setattr(forgetting, "truncate_log", skip)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert str(folder / "idiolect.db-wal") in receipt.after.places


def test_calls_that_are_not_deleted_are_found_out(
    kept: tuple[Store, CallCache], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    monkeypatch.setattr(CallCache, "forget", lambda *_: ForgottenCalls())
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.after.places.keys() == {str(folder / "calls.db")}


def test_search_that_sees_nothing_proves_nothing(
    kept: tuple[Store, CallCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    monkeypatch.setattr(searching, "search_files", lambda _files, _patterns: [])
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert (receipt.before.total, receipt.after.total, receipt.proven) == (0, 0, False)


def test_files_that_cannot_be_read_leave_it_unproven(kept: tuple[Store, CallCache], folder: Path) -> None:
    store, cache = kept
    (folder / "circle").symlink_to("circle")
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.unreadable == (str(folder / "circle"),)
    assert not receipt.proven


def test_cache_in_use_by_another_refuses_before_anything_is_deleted(kept: tuple[Store, CallCache]) -> None:
    store, cache = kept
    with CallCache.open(cache.path), pytest.raises(StoreError, match="another process or workspace is using it"):
        forget_user(store, ANNA.id, cache=cache)
    assert store.user(ANNA.id) == ANNA
    assert len(list(cache.calls_of(ANNA.id))) == 3


def test_store_that_is_being_read_is_told_and_scrubbed_when_it_is_opened_next(folder: Path) -> None:
    with (
        Store.open(folder, lock_timeout=0.1, tenant=DEFAULT_TENANT) as store,
        closing(sqlite3.connect(folder / "idiolect.db")) as other,
    ):
        store.save_users([ANNA, BORIS])
        other.execute("BEGIN")
        other.execute("SELECT * FROM users").fetchall()
        receipt = forget_user(store, ANNA.id)
        assert receipt.unfinished[0].endswith(
            "; stop that process and open the store again, which finishes the erasure"
        )
        assert receipt.rows["users"] == 1
        assert not receipt.proven
        with Store.open(folder, lock_timeout=0.1, tenant=DEFAULT_TENANT) as still_in_use:
            assert still_in_use.finished_erasures == 0
        other.rollback()
    assert_finished_on_opening(folder)


def assert_finished_on_opening(folder: Path) -> None:
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        assert store.finished_erasures == 1
        assert words_left(folder) == []
        assert list(store.user_ids()) == [BORIS.id]
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        assert store.finished_erasures == 0


def test_store_that_cannot_be_scrubbed_is_told_and_the_cache_is_scrubbed_all_the_same(
    kept: tuple[Store, CallCache], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    without_secure_delete(store)

    def fail(_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(forgetting, "scrub", fail)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.unfinished == ("the disk is full",)
    assert not receipt.proven
    assert str(folder / "calls.db") not in receipt.after.places
    cache.close()
    store.close()
    assert_finished_on_opening(folder)


def test_search_that_fails_afterwards_is_in_the_receipt(
    kept: tuple[Store, CallCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    searches = iter([search_files])

    def fail(*arguments: Any) -> Any:
        for search in searches:
            return search(*arguments)
        raise StoreError("the files could not be searched")

    monkeypatch.setattr(searching, "search_files", fail)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.before.total > 0
    assert receipt.unfinished == ("the files could not be searched",)
    assert not receipt.proven


OPENING = """
import asyncio, sys
from idiolect.errors import CacheError
from idiolect.models.calls.cache import CallCache
from tests.erasure.keeping import ANNA, call, key_of
from pathlib import Path
try:
    with CallCache.open(Path(sys.argv[1]), lock_timeout=0.05) as cache:
        asyncio.run(call(cache, key_of("late"), {"text": "late words of hers"}, owner=ANNA.id))
except CacheError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("at", ["_canaries", "_delete", "_scrub_all", "_searched_again"])
def test_process_that_starts_meanwhile_can_keep_no_calls(
    kept: tuple[Store, CallCache], folder: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    store, cache = kept
    step, told = getattr(forgetting, at), []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        command = [sys.executable, "-c", OPENING, str(cache.path)]
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True, text=True)
        told.append((done.returncode, done.stderr))
        return step(*arguments, **named)

    monkeypatch.setattr(forgetting, at, interrupted)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert told == [(1, f"cache {cache.path}: a user is being forgotten; try again after that\n")]
    assert receipt.proven
    assert not cache.holds(ANNA.id)
    assert words_left(folder, ("late words",)) == []


async def test_call_that_ends_during_the_erasure_goes_too(
    kept: tuple[Store, CallCache], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cache = kept
    delete = forgetting._delete

    def delete_then_another(*arguments: Any, **named: Any) -> Any:
        deleted = delete(*arguments, **named)
        late = b'{"text":"late words of hers"}'
        entries.add(cache._database, b"k" * 32, late, claim=Claim("complete", "m", ANNA.id), kept_at=0.0)
        return deleted

    monkeypatch.setattr(forgetting, "_delete", delete_then_another)
    assert forget_user(store, ANNA.id, cache=cache).proven
    assert not cache.holds(ANNA.id)
    assert words_left(folder, ("late words",)) == []


@pytest.mark.parametrize("what", ["calls", "a claim", "artifacts"])
async def test_one_who_is_not_in_the_store_is_forgotten(folder: Path, what: str) -> None:
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        await learn(store, cache, BORIS)
        if what == "calls":
            await call(cache, key_of("hers"), {"text": "They of her said: a red handbag"}, owner=ANNA.id)
        elif what == "a claim":
            await cache.begin([key_of("hers")], operation="complete", model="m", owner=ANNA.id)
        else:
            artifacts = artifact_folder(folder, ANNA.id)
            artifacts.mkdir(parents=True)
            (artifacts / "directions").write_text(ANNA.id)
        receipt = forget_user(store, ANNA.id, cache=cache)
        assert not receipt.in_store
        assert receipt.proven
        assert receipt.canaries > 0
        assert receipt.rows["users"] == 0
        assert receipt.calls_deleted == (what == "calls")
        assert words_left(folder, (ANNA.id, "red handbag")) == []
        assert list(store.user_ids()) == [BORIS.id]
        with pytest.raises(UnknownUserError):
            forget_user(store, ANNA.id, cache=cache)


async def test_answers_that_cannot_be_read_are_forgotten(kept: tuple[Store, CallCache], folder: Path) -> None:
    store, cache = kept
    damage(folder)
    receipt = forget_user(store, ANNA.id, cache=cache)
    assert receipt.calls_deleted == 2
    assert receipt.proven
    assert words_left(folder) == []


KILLED = """
import asyncio, os, sys
from idiolect.models.calls.cache import CallCache
from idiolect.erasure import forgetting, searching
from idiolect.store import DEFAULT_TENANT, Store
from tests.erasure.keeping import ANNA, BORIS, learn
with Store.open(sys.argv[1], tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
    for user in (ANNA, BORIS):
        asyncio.run(learn(store, cache, user))
    if sys.argv[2] == "scrub the cache":
        cache.scrub = lambda: os._exit(9)
    else:
        setattr(forgetting, sys.argv[2], lambda *_, **__: os._exit(9))
    forgetting.forget_user(store, ANNA.id, cache=cache)
"""


@pytest.mark.parametrize("at", ["scrub the cache", "scrub", "unmark"])
def test_erasure_killed_after_the_deletion_is_finished_by_whoever_opens_the_store(folder: Path, at: str) -> None:
    assert kill(folder, at) == 9
    if at != "unmark":
        assert words_left(folder) != []  # there is something to finish
    assert_finished_on_opening(folder)


def test_erasure_killed_before_the_deletion_of_rows_can_be_repeated(folder: Path) -> None:
    assert kill(folder, "_delete_rows") == 9
    with Store.open(folder, tenant=DEFAULT_TENANT) as store, CallCache.open(store.cache_path) as cache:
        assert store.finished_erasures == 0
        assert list(cache.calls_of(ANNA.id)) == []
        assert forget_user(store, ANNA.id, cache=cache).proven
    assert words_left(folder) == []


def kill(folder: Path, at: str) -> int:
    command = [sys.executable, "-c", KILLED, str(folder), at]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=60).returncode


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "caches"))
    return tmp_path / "caches"


async def test_store_of_a_url_is_searched_with_its_cache(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "unrelated.txt").write_text(ANNA.texts[0])  # in a folder that is not the store's own
    (tmp_path / "a.db-journal.bak").write_text(ANNA.texts[0])
    with (
        Store.open(f"sqlite:///{tmp_path}/a.db", tenant=DEFAULT_TENANT) as store,
        CallCache.open(store.cache_path) as cache,
    ):
        await learn(store, cache, ANNA)
        await learn(store, cache, BORIS)
        receipt = forget_user(store, ANNA.id, cache=cache)
    assert any(Path(place).is_relative_to(elsewhere) for place in receipt.before.places)
    assert receipt.after.places.keys() == {str(tmp_path / "a.db-journal.bak")}


async def test_rows_are_searched_where_there_are_no_files(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open("sqlite://", tenant=DEFAULT_TENANT) as store:
        store.save_users([ANNA, BORIS])
        receipt: Receipt = forget_user(store, ANNA.id, cache=None)
        assert receipt.before.places.keys() == {"rows of the database"}
        assert receipt.proven
        store.save_users([ANNA])
        monkeypatch.setattr(forgetting, "_delete_rows", lambda _store, draft, _name: (draft, "no mark"))
        assert not forget_user(store, ANNA.id, cache=None).proven
    assert not elsewhere.exists()
