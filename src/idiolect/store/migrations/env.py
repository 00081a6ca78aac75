"""The script that Alembic runs (never imported); it migrates in the connection and transaction of `revisions.py`."""

from __future__ import annotations

from alembic import context

from idiolect.store.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
