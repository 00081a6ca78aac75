"""Opening: fresh, shared, foreign, damaged and unreachable stores."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import traceback
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from idiolect.errors import CacheError, StoreError
from idiolect.people.user import Opinion, User
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.opening import locate, refuse_in_memory
from idiolect.store.schema import REVISION, VERSION_TABLE, metadata

SECRET = "the user's most private words"


def sql(folder: Path, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(folder / "idiolect.db")) as connection, connection:
        return connection.execute(statement, parameters).fetchall()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_fresh_store_has_the_tables_of_the_schema(tmp_path: Path) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'idiolect.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
        assert sa.inspect(connection).get_foreign_keys("opinions")[0]["options"] == {"ondelete": "CASCADE"}
        assert context.get_current_revision() == REVISION
    engine.dispose()


def test_revision_of_the_schema_is_the_newest_migration() -> None:
    migrations = Path(sys.modules["idiolect.store.schema"].__file__ or "").parent / "migrations"
    assert ScriptDirectory(str(migrations)).get_heads() == [REVISION]


def test_folder_and_file_are_for_the_owner_only(tmp_path: Path) -> None:
    Store.open(tmp_path / "a" / "people", tenant=DEFAULT_TENANT).close()
    assert mode(tmp_path / "a" / "people") == 0o700
    assert mode(tmp_path / "a" / "people" / "idiolect.db") == 0o600


def test_pragmas_hold_on_every_connection(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        for _ in range(2):
            with store.database.reading() as connection:
                read = {
                    name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                    for name in ("foreign_keys", "secure_delete", "journal_mode", "busy_timeout")
                }
            store.database.engine().dispose()
            assert read == {"foreign_keys": 1, "secure_delete": 1, "journal_mode": "wal", "busy_timeout": 10_000}


def test_deleting_a_user_deletes_all_about_them(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=(SECRET,))])
        store.save_personalization("a", "fermi", {})
        with store.database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM users")
    assert sql(tmp_path, "SELECT count(*) FROM personalizations") == [(0,)]


def test_target_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_STORE", str(tmp_path / "from env"))
    with Store.open(tenant=DEFAULT_TENANT) as store:
        assert store.where == str(tmp_path / "from env")
    monkeypatch.setenv("IDIOLECT_STORE", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with Store.open(tenant=DEFAULT_TENANT) as store:
        assert store.where.startswith(str(tmp_path))
        assert "idiolect" in Path(store.where).name.lower()


def test_home_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Store.open("~/people?100%", tenant=DEFAULT_TENANT) as store:
        assert store.where == str(tmp_path / "people?100%")
    assert (tmp_path / "people?100%" / "idiolect.db").exists()


def test_url_targets(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/other.db", tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=("t",))])
    assert mode(tmp_path / "other.db") == 0o600
    with Store.open("sqlite://", tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=("t",))])
        assert [user.id for user in store.users()] == ["a"]


@pytest.mark.parametrize(
    "url",
    [
        "nosuch://x",
        "sqlite+nosuch:///x.db",
        "://",
        "postgresql://u:hunter2@h:notaport/x",
        "mssql+nodriver://u:hunter2@h/x",
    ],
)
def test_impossible_url_is_refused_without_its_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError) as caught:
        Store.open(url, tenant=DEFAULT_TENANT)
    assert "hunter2" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "target",
    [
        "postgresql:/user:s3cr3t@h/y",
        "postgresql:user:s3cr3t@h/y",
        "user:s3cr3t@h/x",
        "user:s3/cr3t@h/x",
        "//user:s3cr3t@h/x",
        "user:s3cr3t@postgresql://h/x",
        "postgresql://user:s3c@r3t@h/x",
        "postgresql://user:s3c@a/r3t@h/x",
        Path("postgresql://user:s3cr3t@h/y"),
    ],
)
def test_a_mistyped_url_is_refused_without_its_password(
    target: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreError, match="URL") as caught:
        Store.open(target, tenant=DEFAULT_TENANT)
    printed = "".join(traceback.format_exception(caught.value)).split("idiolect.errors.StoreError")[-1]
    assert not [part for part in ("s3", "r3t") if part in printed + str(caught.value.__cause__)]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_have_any_name_after_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Store.open("./me:and@you", tenant=DEFAULT_TENANT).close()
    assert (tmp_path / "me:and@you" / "idiolect.db").exists()


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql+nodriver://ann:hunter2@db.example:5432/people?password=hunter2", "postgresql://db.example/people"),
        ("postgres://ann:hunter2@db.example/people", "postgresql://db.example/people"),
        ("sqlite:///people.db?mode=rw", "sqlite:///people.db"),
    ],
)
def test_the_name_of_a_url_has_neither_user_nor_password(url: str, name: str) -> None:
    assert locate(url).name == name


def test_both_names_of_postgresql_are_the_same() -> None:
    assert locate("postgres://ann@db.example/people").url == locate("postgresql://ann@db.example/people").url


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "sqlite:///file:x?mode=memory&uri=true",
    ],
)
def test_memory_is_no_store_to_come_back_to(url: str) -> None:
    for act in (lambda: Store.open(url, create=False, tenant=DEFAULT_TENANT), lambda: refuse_in_memory(locate(url))):
        with pytest.raises(StoreError, match="is in memory and would be lost"):
            act()
    refuse_in_memory(locate("sqlite:///file:x?uri=true"))


@pytest.mark.parametrize("target", ["~nobody-of-that-name/x", "a\0b", Path("~nobody-of-that-name/x")])
def test_a_folder_that_cannot_exist_is_named(target: str | Path) -> None:
    with pytest.raises(StoreError, match=r"nobody-of-that-name/x|a\\x00b"):
        Store.open(target, tenant=DEFAULT_TENANT)


def test_a_cache_folder_of_nobody_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDIOLECT_CACHE", "~nobody-of-that-name/x")
    with (
        Store.open(f"sqlite:///{tmp_path}/x.db", tenant=DEFAULT_TENANT) as store,
        pytest.raises(CacheError, match="IDIOLECT_CACHE=~nobody"),
    ):
        _ = store.cache_path


def test_bytes_and_controls_of_a_path_are_escaped_in_its_name(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a\\udcffb\\x1bc") as caught:
        Store.open(tmp_path / "a\udcffb\x1bc", create=False, tenant=DEFAULT_TENANT)
    assert str(caught.value).isprintable()


def test_wrong_option_of_a_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="invalid option") as caught:
        Store.open(f"sqlite:///{tmp_path}/x.db?timeout=hunter2", tenant=DEFAULT_TENANT)
    assert "hunter2" not in str(caught.value)


def test_no_store_is_made_when_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store at"):
        Store.open(tmp_path / "typo", create=False, tenant=DEFAULT_TENANT)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "idiolect.db").touch()
    with pytest.raises(StoreError, match="there is no store at"):
        Store.open(tmp_path, create=False, tenant=DEFAULT_TENANT)


def test_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be created: Not a directory"):
        Store.open(tmp_path / "file" / "people", tenant=DEFAULT_TENANT)
    for create in (True, False):
        with pytest.raises(StoreError, match="is a file; name a folder"):
            Store.open(tmp_path / "file", create=create, tenant=DEFAULT_TENANT)
    with pytest.raises(StoreError, match=r"no store|cannot be opened"):
        Store.open(tmp_path / "file" / "people", create=False, tenant=DEFAULT_TENANT)


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "idiolect.db").write_bytes(b"these are my notes, not a database\n" * 100)
    with pytest.raises(StoreError, match="the file is not a database"):
        Store.open(tmp_path, tenant=DEFAULT_TENANT)
    assert (tmp_path / "idiolect.db").read_bytes().startswith(b"these are my notes")


def test_damaged_database_is_told(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users(User(f"u{i}", texts=("t" * 500,)) for i in range(500))
    file = tmp_path / "idiolect.db"
    whole = file.read_bytes()
    file.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    with (
        pytest.raises(StoreError, match=r"damaged|not a database"),
        Store.open(tmp_path, tenant=DEFAULT_TENANT) as store,
    ):
        list(store.users())


def test_damaged_name_of_a_table_is_told(tmp_path: Path) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    file = tmp_path / "idiolect.db"
    damaged = file.read_bytes().replace(b"tableopinionsopinions", b"table\xc9pinionsopinions")
    file.write_bytes(damaged.replace(b"CREATE TABLE opinions", b"CREATE..ABLE opinions"))
    with pytest.raises(StoreError, match="the database file is damaged; restore a backup of it"):
        Store.open(tmp_path, tenant=DEFAULT_TENANT)


def test_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    sql(tmp_path, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"made by a newer Idiolect .*'9999'"):
        Store.open(tmp_path, tenant=DEFAULT_TENANT)
    assert sql(tmp_path, f"SELECT version_num FROM {VERSION_TABLE}") == [("9999",)]


@pytest.mark.parametrize(
    "damage",
    [
        f"DELETE FROM {VERSION_TABLE}",
        f"UPDATE {VERSION_TABLE} SET version_num = '0001'",
        f"UPDATE {VERSION_TABLE} SET version_num = '0002'",
        f"UPDATE {VERSION_TABLE} SET version_num = 'my private words'",
        f"UPDATE {VERSION_TABLE} SET version_num = x'ff00'",
        f"INSERT INTO {VERSION_TABLE} VALUES ('0002')",
        "DROP TABLE opinions",
        "DROP TABLE group_refits",
        "ALTER TABLE opinions DROP COLUMN entered",
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_tables_that_do_not_fit_the_revision_are_told(tmp_path: Path, damage: str, create: bool) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    sql(tmp_path, damage)
    with (
        pytest.raises(StoreError, match="revision and its tables do not fit together; restore a backup") as caught,
        Store.open(tmp_path, create=create, tenant=DEFAULT_TENANT) as store,
    ):
        store.save_users([User("a", opinions=(Opinion("Why?", "so"),))])
    assert "private" not in str(caught.value)


def test_a_store_without_its_revision_is_not_called_missing(tmp_path: Path) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    sql(tmp_path, f"DROP TABLE {VERSION_TABLE}")
    for create in (True, False):
        with pytest.raises(StoreError, match="already exists, but no record of the revision"):
            Store.open(tmp_path, create=create, tenant=DEFAULT_TENANT)


def test_failed_migration_leaves_nothing_behind(tmp_path: Path) -> None:
    sql(tmp_path, "CREATE TABLE opinions (mine TEXT)")
    with pytest.raises(StoreError, match="opinions already exists"):
        Store.open(tmp_path, tenant=DEFAULT_TENANT)
    assert sql(tmp_path, "SELECT name FROM sqlite_master WHERE type = 'table'") == [("opinions",)]


def test_locked_store_is_told_after_the_timeout(tmp_path: Path) -> None:
    with (
        Store.open(tmp_path, lock_timeout=0.05, tenant=DEFAULT_TENANT) as store,
        closing(sqlite3.connect(tmp_path / "idiolect.db")) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked: another process") as caught:
            store.save_users([User("a", texts=(SECRET,))])
        assert SECRET not in str(caught.value)
        assert list(store.users()) == []  # who reads need not wait
        other.rollback()
        assert store.save_users([User("a", texts=(SECRET,))]).new == 1


def test_read_only_and_full_stores_are_told_without_texts(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        with store.database.engine().connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(StoreError, match="it is read-only") as read_only:
            store.save_users([User("a", texts=(SECRET,))])
        with store.database.engine().connect() as connection:
            connection.exec_driver_sql("PRAGMA query_only = OFF")
            connection.exec_driver_sql("PRAGMA max_page_count = 20")
        with pytest.raises(StoreError, match="the disk is full") as full:
            store.save_users(User(f"u{i}", texts=(SECRET * 100,)) for i in range(1000))
        assert list(store.users()) == []
    assert SECRET not in str(read_only.value) + str(full.value)
    assert SECRET not in str(full.value.__cause__)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE users SET texts = '[not json'",
        "UPDATE users SET texts = '[]'",
        "UPDATE users SET profile = '{\"Age\": 3}'",
        "UPDATE users SET profile = '7'",
    ],
)
def test_rows_that_make_no_user_are_damage(tmp_path: Path, damage: str) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=(SECRET,))])
    sql(tmp_path, damage)
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store, pytest.raises(StoreError, match="damaged") as caught:
        store.user("a")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("column", ["answer", "question", "extra", "choices"])
def test_text_that_is_not_utf_8_is_damage_and_not_repeated(tmp_path: Path, column: str) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", opinions=(Opinion("Why?", "so"),))])
    sql(tmp_path, f"UPDATE opinions SET {column} = CAST(? AS TEXT)", SECRET.encode() + b"\xff")
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store, pytest.raises(StoreError, match="damaged") as caught:
        store.user("a")
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_payload_changed_behind_the_store_is_damage(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("a", texts=("t",))])
        store.save_personalization("a", "fermi", {"prompts": []})
    sql(tmp_path, "UPDATE personalizations SET payload = ?", '{"prompts":[1]}')
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store, pytest.raises(StoreError, match="digest is wrong"):
        store.personalization("a", "fermi")


@pytest.mark.parametrize("damage", ["payload = '{bad'", "created_at = 'garbage'", "digest = ''", "tensors = 'text'"])
def test_damaged_learned_data_is_mended_by_saving_it_again(tmp_path: Path, damage: str) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        members = [User("a", texts=("t",))]
        store.save_users(members)
        store.groups.create("g", ["a"])
        sources = store.groups.read_members("g")
        for _ in range(2):
            store.save_personalization("a", "fermi", {"prompts": []})
            store.groups.save_personalization("g", "fermi", {"prompts": []}, fitted_on=sources)
            assert store.personalization("a", "fermi") == store.groups.personalization("g", "fermi").payload
            for table in ("personalizations", "group_personalizations"):
                sql(tmp_path, f"UPDATE {table} SET {damage}")


OPEN_AND_WRITE = """
import sys
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
sys.stdin.readline()
with Store.open(sys.argv[1], tenant=DEFAULT_TENANT) as store:
    store.save_users([User(sys.argv[2], texts=("t",))])
"""


def test_processes_may_open_a_fresh_store_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    commands = [[sys.executable, "-W", "error", "-c", OPEN_AND_WRITE, str(folder), f"u{i}"] for i in range(4)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for command in commands
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 4
    with Store.open(folder, tenant=DEFAULT_TENANT) as store:
        assert [user.id for user in store.users()] == ["u0", "u1", "u2", "u3"]


def test_store_needs_no_torch_and_an_up_to_date_one_no_alembic(tmp_path: Path) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    code = (
        "import sys; from idiolect.store import Store; Store.open(sys.argv[1], tenant='default').close();"
        "print(sorted({'torch', 'transformers', 'numpy', 'alembic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=os.environ)
    assert (done.stdout, done.stderr) == ("[]\n", "")
