"""A store in PostgreSQL: several processes at once, ids in the order of their bytes, and faults of the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from idiolect.erasure.forgetting import forget_user
from idiolect.errors import StoreError
from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.opening import locate
from tests.postgresql import PostgresqlServer

ROOT = Path(__file__).parents[2]
SECRET = "the user's most private words"
WRITER = """
import sys
from idiolect.errors import UnknownUserError
from idiolect.erasure.forgetting import forget_user
from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store
url, me = sys.argv[1:]
sys.stdin.readline()
with Store.open(url, tenant=DEFAULT_TENANT) as store:
    store.save_users(User(f"u{n}", texts=("t",)) for n in range(30))
    for n in range(10):
        store.put_opinion("u0", Opinion(Question(f"Question {n} of {me}?"), me))
        store.save_users([User("u0", opinions=[Opinion(Question("From the file?"), me)])])
        store.save_checkpoint("u0", "fermi", {"by": me, "n": n})
        store.save_personalization("u0", "fermi", {"by": me, "n": n})
        store.groups.create(f"{me}{n}", ["u2", "u3"])
    for n in range(20, 30):
        try:
            forget_user(store, f"u{n}")
        except UnknownUserError:
            pass  # the other process was quicker
"""


def run_at_once(script: str, *arguments: tuple[str, ...]) -> list[str]:
    """Run the script once for each tuple of arguments, at the same time; return what each wrote to stderr."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script, *each],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [process.communicate(timeout=120)[1] for process in processes]


def test_processes_write_at_once_and_lose_nothing(postgresql_url: str) -> None:
    """From an empty database on: both migrate it, and then write, save and forget the same users."""
    assert run_at_once(WRITER, (postgresql_url, "a"), (postgresql_url, "b")) == ["", ""]
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT) as store:
        assert len(list(store.user_ids())) == 20
        asked = [opinion.question.text for opinion in store.user("u0").opinions]
        assert sorted(asked) == sorted(
            ["From the file?", *(f"Question {n} of {me}?" for n in range(10) for me in "ab")]
        )
        assert store.personalization("u0", "fermi")["n"] == 9
        assert store.checkpoints("u0")[0].payload["n"] == 9
        assert len(list(store.groups.list())) == 20
        assert store.groups.get("a7").members == ("u2", "u3")


def test_one_of_two_processes_saves_over_what_both_have_seen(postgresql_url: str) -> None:
    script = (
        "import sys; from idiolect.store import Store; sys.stdin.readline()\n"
        "with Store.open(sys.argv[1], tenant='default') as store:\n"
        "    won = sum(store.compare_and_save_personalization('anna', f'm{n}', {}, expected_digest=None)"
        " for n in range(40))\n"
        "print(won, end='', file=sys.stderr)"
    )
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("anna", texts=("t",))])
    assert sum(map(int, run_at_once(script, (postgresql_url,), (postgresql_url,)))) == 40


def test_ids_have_the_order_of_their_bytes_on_any_server(postgresql_server: PostgresqlServer) -> None:
    url = postgresql_server.create_database(locale="LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C'")
    ids = ["b", "a", "B", "é", "_", "a b", "A", "ab"]
    with Store.open(url, tenant=DEFAULT_TENANT) as store:
        store.save_users(User(each, texts=("t",)) for each in ids)
        store.groups.create("g", ids)
        assert [*store.user_ids()] == [*store.groups.get("g").members] == sorted(ids)


def test_order_of_keys_and_texts_come_back_as_they_were(postgresql_url: str) -> None:
    texts = ("a\\u0000b", "é", "e\u0301", "❄", '{"a": 1, "a": 2}', "a\u2028", "x" * 100_000)
    extra = {"z": 1, "a": {"y": 0.1, "b": 10**30}, "": None}
    user = User("anna", opinions=(Opinion(Question("Why?"), "so", extra=extra),), texts=texts, extra=extra)
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT) as store:
        store.save_users([user])
        found = store.user("anna")
        assert found == user
        assert list(found.extra) == ["z", "a", ""]
        assert store.put_opinion("anna", Opinion(Question("A or B?", ("A", "B")), "B")) == "added"
        assert store.put_opinion("anna", Opinion(Question("A or B?", ("B", "A")), "B")) == "added"


def test_erasure_searches_every_row_and_names_what_it_cannot_search(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgresql_server: PostgresqlServer
) -> None:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path))
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("anna.karenina", texts=(SECRET,)), User("boris", texts=("My soul is sad.",))])
        store.save_personalization("anna.karenina", "chameleon", {"prompt": SECRET[4:]}, bytes(range(256)) * 20)
        receipt = forget_user(store, "anna.karenina")
        assert receipt.proven
        assert receipt.before.places["rows of the database"] > receipt.canaries > 5
        assert receipt.after.places == {}
        assert receipt.rows == {"users": 1, "opinions": 0, "personalizations": 1, "checkpoints": 0}
        assert any("write-ahead log" in limit for limit in receipt.limits)
        assert [user.id for user in store.users()] == ["boris"]
    for name in ("users", "personalizations"):
        counts = f"SELECT last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = '{name}'"
        assert postgresql_server.sql(postgresql_url, counts) == [(True,)]


def test_trace_in_any_row_is_found(postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path))
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("anna", texts=(SECRET,))])
        with store.database.writing() as connection:
            connection.exec_driver_sql("INSERT INTO erasures VALUES (%s, now())", (SECRET,))
        receipt = forget_user(store, "anna")
        assert receipt.after.total > 0
        assert not receipt.proven


def test_locked_row_is_named_after_the_timeout(postgresql_url: str, postgresql_server: PostgresqlServer) -> None:
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT, lock_timeout=0.1) as store:
        store.save_users([User("anna", texts=(SECRET,))])
        with postgresql_server.connect(locate(postgresql_url).url.database or "") as other, other.transaction():
            other.execute("UPDATE users SET extra = '{}'")
            with pytest.raises(StoreError, match="it is locked: another process is writing to it") as caught:
                store.save_checkpoint("anna", "fermi", {"memory": SECRET})
            assert store.user("anna").texts == (SECRET,)  # who reads need not wait
        assert SECRET not in str(caught.value)
        store.save_checkpoint("anna", "fermi", {})


def test_server_that_cannot_be_reached_is_named_without_the_login(
    postgresql_url: str, postgresql_server: PostgresqlServer
) -> None:
    for url in ("postgresql://ann:hunter2@127.0.0.1:1/people", postgresql_server.url("missing")):
        with pytest.raises(StoreError, match="the server cannot be reached, or refused the login") as caught:
            Store.open(url, tenant=DEFAULT_TENANT)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreError, match="there is no store at postgresql:///people"):
        Store.open(postgresql_url, tenant=DEFAULT_TENANT, create=False)


def test_store_outlives_a_lost_connection(postgresql_url: str, postgresql_server: PostgresqlServer) -> None:
    with Store.open(postgresql_url, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("anna", texts=("t",))])
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
        postgresql_server.sql(postgresql_url, ended + " AND datname = current_database()")
        assert store.user("anna").texts == ("t",)


def test_other_kinds_of_databases_are_refused() -> None:
    with pytest.raises(StoreError, match="another kind of database than sqlite and postgresql"):
        locate("mysql://user:hunter2@h/x")
