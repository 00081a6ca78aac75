"""0005: tenants, in which users and groups live, and API keys; whoever was there before is in the tenant `default`.

PostgreSQL changes its tables in place. SQLite cannot change a key, so its tables are made anew and their rows copied,
as they are stored: damaged values stay as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TENANT = "default"
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_MOMENT = sa.DateTime(timezone=True)


class _Parent(NamedTuple):
    """The columns, beside the tenant's, that refer to those of another table's key; `old` names that constraint."""

    table: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    old: str | None
    cascades: bool = True


class _Table(NamedTuple):
    """A table of users or groups: key, other columns, parents, and the column that has an index."""

    name: str
    key: tuple[str, ...]
    columns: Sequence[sa.Column[object]]
    parents: tuple[_Parent, ...]
    indexed: str | None = None


def _of_tenants() -> _Parent:
    return _Parent("tenants", (), (), None, cascades=False)


def _of_users(table: str, *, cascades: bool = True) -> _Parent:
    return _Parent("users", ("user_id",), ("id",), f"fk_{table}_user_id_users", cascades)


def _of_groups(table: str) -> _Parent:
    return _Parent("groups", ("group_id",), ("id",), f"fk_{table}_group_id_groups")


def _of_learned(table: str, parent: str, owner: str) -> _Parent:
    return _Parent(parent, (owner, "method"), (owner, "method"), f"fk_{table}_{owner}_{parent}")


def _column(name: str, kind: object, *, nullable: bool = False, default: object = None) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=nullable, server_default=default)  # type: ignore[arg-type]


def _ids(*names: str) -> list[sa.Column[object]]:
    return [_column(name, _ID) for name in names]


def _json(*names: str) -> list[sa.Column[object]]:
    return [_column(name, sa.JSON) for name in names]


def _texts(*names: str) -> list[sa.Column[object]]:
    return [_column(name, sa.Text) for name in names]


def _moments(*names: str) -> list[sa.Column[object]]:
    return [_column(name, _MOMENT) for name in names]


def _tables() -> list[_Table]:
    """Return the tables at this revision, parents before their children."""
    return [
        *_tables_of_users(),
        _Table("companions", ("path",), _texts("path"), (_of_tenants(),)),
        *_tables_of_groups(),
    ]


def _tables_of_users() -> list[_Table]:
    users = [*_ids("id"), *_json("profile", "texts", "extra"), *_moments("created_at", "updated_at")]
    opinions = [
        *_ids("user_id"),
        _column("position", sa.Integer),
        *_texts("question"),
        *_json("choices"),
        _column("ordinal", sa.Boolean),
        *_texts("answer"),
        *_json("extra"),
        _column("entered", sa.Boolean, default=sa.false()),
    ]
    checkpoints = [*_ids("user_id", "method"), *_json("payload"), *_texts("digest"), *_moments("updated_at")]
    by_method = ("user_id", "method")
    return [
        _Table("users", ("id",), users, (_of_tenants(),)),
        _Table("opinions", ("user_id", "position"), opinions, (_of_users("opinions"),)),
        _Table("personalizations", by_method, _learned("user_id"), (_of_users("personalizations"),)),
        _Table("checkpoints", by_method, checkpoints, (_of_users("checkpoints"),)),
    ]


def _tables_of_groups() -> list[_Table]:
    members = [*_ids("group_id", "user_id"), *_texts("token")]
    sources = [*_ids("group_id", "method", "user_id"), *_texts("data_digest")]
    refits = [*_ids("group_id", "method"), *_moments("since")]
    by_method = ("group_id", "method")
    of_source = (
        _of_users("group_sources", cascades=False),
        _of_learned("group_sources", "group_personalizations", "group_id"),
    )
    of_member = (_of_groups("group_members"), _of_users("group_members"))
    of_begun = (_of_learned("personalization_groups", "personalizations", "user_id"),)
    begun = _ids("user_id", "method", "group_id")
    return [
        _Table("groups", ("id",), [*_ids("id"), *_moments("created_at", "updated_at")], (_of_tenants(),)),
        _Table("group_members", ("group_id", "user_id"), members, of_member, indexed="user_id"),
        _Table("group_personalizations", by_method, _learned("group_id"), (_of_groups("group_personalizations"),)),
        _Table("group_sources", (*by_method, "user_id"), sources, of_source, indexed="user_id"),
        _Table("group_refits", by_method, refits, (_of_groups("group_refits"),)),
        _Table("personalization_groups", ("user_id", "method"), begun, of_begun, indexed="group_id"),
    ]


def _learned(owner: str) -> list[sa.Column[object]]:
    tensors = _column("tensors", sa.LargeBinary, nullable=True)
    moments = _moments("created_at", "updated_at")
    return [*_ids(owner, "method"), *_json("payload"), *_texts("digest"), *moments, tensors]


def upgrade() -> None:
    """Create the tenant `default` and move all rows into it; create the table of keys."""
    made = op.create_table(
        "tenants",
        sa.Column("id", _ID, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    op.bulk_insert(made, [{"id": _TENANT, "created_at": datetime.now(UTC)}])
    tables = _tables()
    if op.get_bind().dialect.name == "sqlite":
        _copy(tables)
    else:
        _alter(tables)
    for table in tables:
        if table.indexed is not None:
            op.create_index(_index(table), table.name, ["tenant_id", table.indexed])
    _create_keys()


def _index(table: _Table) -> str:
    return f"ix_{table.name}_{table.indexed}"


def _copy(tables: Sequence[_Table]) -> None:
    """Make every table anew; the old ones are renamed first, whereby what refers to them follows."""
    for table in tables:
        if table.indexed is not None:
            op.drop_index(_index(table), table.name)
        op.rename_table(table.name, f"old_{table.name}")
    for table in tables:
        key = sa.PrimaryKeyConstraint("tenant_id", *table.key, name=f"pk_{table.name}")
        references = [
            sa.ForeignKeyConstraint(*_reference(parent), name=_name(table, parent), ondelete=_rule(parent))
            for parent in table.parents
        ]
        op.create_table(table.name, _column("tenant_id", _ID), *table.columns, key, *references)
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        op.execute(
            f'INSERT INTO "{table.name}" (tenant_id, {names}) SELECT \'{_TENANT}\', {names} FROM "old_{table.name}"'
        )
    for table in reversed(tables):
        op.drop_table(f"old_{table.name}")


def _alter(tables: Sequence[_Table]) -> None:
    """Add the column to every table, and to its keys."""
    for table in reversed(tables):
        if table.indexed is not None:
            op.drop_index(_index(table), table.name)
        for parent in table.parents:
            if parent.old is not None:
                op.drop_constraint(parent.old, table.name, type_="foreignkey")
    for table in tables:
        op.add_column(table.name, sa.Column("tenant_id", _ID, nullable=False, server_default=_TENANT))
        op.alter_column(table.name, "tenant_id", server_default=None)
        for column in table.columns:
            if column.type is _ID:  # what was sorted by the server's language
                op.alter_column(table.name, column.name, type_=_ID)
        op.drop_constraint(f"pk_{table.name}", table.name, type_="primary")
        op.create_primary_key(f"pk_{table.name}", table.name, ["tenant_id", *table.key])
        for parent in table.parents:
            own, keys = _reference(parent)
            referred = [key.split(".")[1] for key in keys]
            op.create_foreign_key(_name(table, parent), table.name, parent.table, own, referred, ondelete=_rule(parent))


def _reference(parent: _Parent) -> tuple[list[str], list[str]]:
    if parent.table == "tenants":
        return ["tenant_id"], ["tenants.id"]
    keys = ("tenant_id", *parent.keys)
    return ["tenant_id", *parent.columns], [f"{parent.table}.{key}" for key in keys]


def _name(table: _Table, parent: _Parent) -> str:
    return f"fk_{table.name}_tenant_id_{parent.table}"


def _rule(parent: _Parent) -> str | None:
    return "CASCADE" if parent.cascades else None


def _create_keys() -> None:
    op.create_table(
        "api_keys",
        *_ids("id", "tenant_id"),
        _column("user_id", _ID, nullable=True),
        *_texts("name"),
        *_ids("secret_sha256"),
        *_json("scopes"),
        _column("per_minute", sa.Integer, nullable=True),
        *_moments("created_at"),
        _column("revoked_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_api_keys_tenant_id_tenants"),
    )
    op.create_index("ix_api_keys_secret_sha256", "api_keys", ["secret_sha256"], unique=True)
    op.create_index("ix_api_keys_user_id", "api_keys", ["tenant_id", "user_id"])
