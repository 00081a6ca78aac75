"""Migrating a store to the newest revision when it is opened, with the migrations in the package.

A store that is up to date costs one query and no import of Alembic. Otherwise the migration takes the database's write
lock and reads the revision again under it, so that two processes may open a fresh store at the same moment.
"""

from __future__ import annotations

import re
import sqlite3

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import OperationalError

from idiolect.errors import StoreError
from idiolect.sqlite import primary_code
from idiolect.store.schema import REVISION, VERSION_TABLE, metadata

_FIRST_REVISIONS = {  # of the tables that the first revision, "0001", did not have
    "checkpoints": "0002",
    "companions": "0002",
    "erasures": "0002",
    "groups": "0003",
    "group_members": "0003",
    "group_personalizations": "0003",
    "group_refits": "0003",
    "group_sources": "0003",
    "personalization_groups": "0004",
    "tenants": "0005",
    "api_keys": "0005",
    **dict.fromkeys(("jobs", "job_pauses", "responses", "feedback", "spending"), "0006"),
    "receipts": "0007",
}
_POSTGRESQL_LOCK = 0x1D101EC7  # any number that all versions of Idiolect agree on


def migrate(engine: Engine, where: str, *, create: bool) -> None:
    """Bring the store to the newest revision.

    Raises:
        StoreError: there is no store and `create` is false, a newer Idiolect made it, or its tables do not fit its
            revision.
    """
    with engine.begin() as connection:
        revision = stored_revision(connection, where)
    if revision is None and not create:
        raise StoreError(f"there is no store at {where}; fitting a user creates one")
    if revision != REVISION:
        try:
            with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
                _upgrade(connection, where)
        except OperationalError as error:
            if isinstance(error.orig, sqlite3.Error) and primary_code(error.orig) == sqlite3.SQLITE_ERROR:
                raise _misfit(where) from error  # SQLite understood no statement: the columns are other ones
            raise


def stored_revision(connection: Connection, where: str) -> str | None:
    """Return the store's revision; None if there is no store yet.

    Raises:
        StoreError: the tables are not those of the revision.
    """
    tables = set(sa.inspect(connection).get_table_names())
    ours = tables & metadata.tables.keys()
    if VERSION_TABLE not in tables:
        if ours:
            raise StoreError(
                f"store {where}: its revision and its tables do not fit together: a table named {min(ours)} already"
                " exists, but no record of the revision; restore a backup of it, or name another database"
            )
        return None
    version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    found = connection.scalars(sa.select(version.c.version_num)).all()
    revision = found[0] if len(found) == 1 else None
    if not isinstance(revision, str) or not re.fullmatch("[0-9]{4}", revision) or revision < "0001":
        raise _misfit(where)
    expected = {name for name in metadata.tables if _FIRST_REVISIONS.get(name, "") <= revision}
    if revision <= REVISION and ours != expected:
        raise _misfit(where)
    return revision


def _misfit(where: str) -> StoreError:
    return StoreError(f"store {where}: its revision and its tables do not fit together; restore a backup of it")


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRESQL_LOCK)))
    config = Config()
    config.set_main_option("script_location", "idiolect.store:migrations")
    config.attributes["connection"] = connection
    revision = stored_revision(connection, where)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(
            f"store {where}: made by a newer Idiolect (revision {revision!r}, this one reads up to {REVISION!r});"
            " upgrade Idiolect to open it"
        )
    command.upgrade(config, "head")
