"""Migrating a store to the newest revision when it is opened, with the migrations in the package.

A store that is up to date costs one query and no import of Alembic. Otherwise the migration takes the database's write
lock and reads the revision again under it, so that two processes may open a fresh store at the same moment.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from idiolect.errors import StoreError
from idiolect.store.schema import REVISION, VERSION_TABLE

_POSTGRESQL_LOCK = 0x1D101EC7  # any number that all versions of Idiolect agree on


def migrate(engine: Engine, where: str, *, create: bool) -> None:
    """Bring the store to the newest revision.

    Raises:
        StoreError: there is no store and `create` is false, or a newer Idiolect made it.
    """
    with engine.begin() as connection:
        revision = stored_revision(connection)
    if revision is None and not create:
        raise StoreError(f"there is no store at {where}; fitting a user creates one")
    if revision != REVISION:
        with engine.execution_options(sqlite_begin="IMMEDIATE").begin() as connection:
            _upgrade(connection, where)


def stored_revision(connection: Connection) -> str | None:
    """Return the store's revision; None if there is no store yet."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.scalar(sa.select(version.c.version_num))


def _upgrade(connection: Connection, where: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_POSTGRESQL_LOCK)))
    config = Config()
    config.set_main_option("script_location", "idiolect.store:migrations")
    config.attributes["connection"] = connection
    revision = stored_revision(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise StoreError(
            f"store {where}: made by a newer Idiolect (revision {revision!r}, this one reads up to {REVISION!r});"
            " upgrade Idiolect to open it"
        )
    command.upgrade(config, "head")
