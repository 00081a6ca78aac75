"""The tables of the store at the newest revision; `migrations/` brings older files there.

A change here needs a new file in `migrations/versions` and a new `REVISION`; a test compares the two.
JSON columns contain only strict JSON (`strict_json`), with keys in their given order, so a profile's order is kept.

Ids of users and groups live inside a tenant: every table that has them begins with `tenant_id`, which is part of every
key between such tables. Queries on them are made by `tenant_rows`.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

REVISION = "0007"
VERSION_TABLE = "idiolect_version"  # not Alembic's default, so that a database can be shared with other applications


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite does not store time zones, so the zone is restored when a value is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert a moment to UTC for the database."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return a moment from the database with its time zone."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# What ids are stored as. PostgreSQL sorts texts by its server's language unless it is told otherwise; "C" sorts them as
# SQLite and Python do.
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# Those whose people know nothing of each other.
tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)


def _tenant_id() -> sa.Column[str]:
    return sa.Column("tenant_id", KEY, primary_key=True)


def _belongs_to(parent: str, *columns: str, cascades: bool = True) -> sa.ForeignKeyConstraint:
    """Return the foreign key to a row of the same tenant, whose key has these columns' values."""
    named = {"user_id": "id", "group_id": "id"} if len(columns) == 1 else {}
    keys = [f"{parent}.tenant_id", *(f"{parent}.{named.get(column, column)}" for column in columns)]
    return sa.ForeignKeyConstraint(["tenant_id", *columns], keys, ondelete="CASCADE" if cascades else None)


def _of_a_tenant() -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"])


users = sa.Table(
    "users",
    metadata,
    _tenant_id(),
    sa.Column("id", KEY, primary_key=True),
    sa.Column("profile", sa.JSON, nullable=False),
    sa.Column("texts", sa.JSON, nullable=False),
    sa.Column("extra", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    _of_a_tenant(),
)

opinions = sa.Table(
    "opinions",
    metadata,
    _tenant_id(),
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("choices", sa.JSON, nullable=False),
    sa.Column("ordinal", sa.Boolean, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("extra", sa.JSON, nullable=False),
    # True for an opinion that was entered by itself, not with a users file; saving that file again must not lose it.
    sa.Column("entered", sa.Boolean, nullable=False, server_default=sa.false()),
    _belongs_to("users", "user_id"),
)

personalizations = sa.Table(
    "personalizations",
    metadata,
    _tenant_id(),
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("method", KEY, primary_key=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("tensors", sa.LargeBinary),  # a safetensors file; last, so that SQLite reads it only when needed
    _belongs_to("users", "user_id"),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    _tenant_id(),
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("method", KEY, primary_key=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    _belongs_to("users", "user_id"),
)

# Erasures whose rows are deleted, but whose bytes may still be in the files; contains nothing about the person.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("begun_at", UtcDateTime, nullable=False),
)

# Receipts of erasures, for those who gave a key of their own with which to ask for them again; they name nobody.
receipts = sa.Table(
    "receipts",
    metadata,
    _tenant_id(),
    sa.Column("request", KEY, primary_key=True),  # hash of the person's id and that key, which is stored nowhere
    sa.Column("finished", sa.Boolean, nullable=False),  # false: the search after the deletion is not over
    sa.Column("receipt", sa.JSON, nullable=False),
    sa.Column("erased_at", UtcDateTime, nullable=False),
    _of_a_tenant(),
)

# Caches of calls that were used with this store outside its folder; an erasure has to reach them.
companions = sa.Table(
    "companions", metadata, _tenant_id(), sa.Column("path", sa.Text, primary_key=True), _of_a_tenant()
)

groups = sa.Table(
    "groups",
    metadata,
    _tenant_id(),
    sa.Column("id", KEY, primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    _of_a_tenant(),
)

group_members = sa.Table(
    "group_members",
    metadata,
    _tenant_id(),
    sa.Column("group_id", KEY, primary_key=True),
    sa.Column("user_id", KEY, primary_key=True),
    # Drawn at random whenever someone joins; it identifies a member who left and came back, whatever the clocks show.
    sa.Column("token", sa.Text, nullable=False),
    _belongs_to("groups", "group_id"),
    _belongs_to("users", "user_id"),
    sa.Index("ix_group_members_user_id", "tenant_id", "user_id"),
)

group_personalizations = sa.Table(
    "group_personalizations",
    metadata,
    _tenant_id(),
    sa.Column("group_id", KEY, primary_key=True),
    sa.Column("method", KEY, primary_key=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("tensors", sa.LargeBinary),
    _belongs_to("groups", "group_id"),
)

# The users from whose data a group's row was learned. Not cascading from `users`: no user can be deleted while data
# learned from them is left.
group_sources = sa.Table(
    "group_sources",
    metadata,
    _tenant_id(),
    sa.Column("group_id", KEY, primary_key=True),
    sa.Column("method", KEY, primary_key=True),
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("data_digest", sa.Text, nullable=False),
    _belongs_to("users", "user_id", cascades=False),
    _belongs_to("group_personalizations", "group_id", "method"),
    sa.Index("ix_group_sources_user_id", "tenant_id", "user_id"),
)

# Groups and methods whose learned data was deleted because a member it was learned from is gone; does not name them.
group_refits = sa.Table(
    "group_refits",
    metadata,
    _tenant_id(),
    sa.Column("group_id", KEY, primary_key=True),
    sa.Column("method", KEY, primary_key=True),
    sa.Column("since", UtcDateTime, nullable=False),
    _belongs_to("groups", "group_id"),
)

# The group at whose edit a person's edit was begun. That edit contains what the group's had learned from its members,
# so it goes with them. Not referring to `groups`, because the group may be one of another store.
personalization_groups = sa.Table(
    "personalization_groups",
    metadata,
    _tenant_id(),
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("method", KEY, primary_key=True),
    sa.Column("group_id", KEY, nullable=False),
    _belongs_to("personalizations", "user_id", "method"),
    sa.Index("ix_personalization_groups_group_id", "tenant_id", "group_id"),
)

# Keys with which programs identify themselves to a server. A key may be bound to a user whom the store does not have
# yet, so it does not refer to `users`; the erasure of that id deletes it.
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", KEY, primary_key=True),
    sa.Column("tenant_id", KEY, nullable=False),
    sa.Column("user_id", KEY),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("secret_sha256", KEY, nullable=False),  # in hex; the secret itself is stored nowhere
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("per_minute", sa.Integer),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("revoked_at", UtcDateTime),
    _of_a_tenant(),
    sa.Index("ix_api_keys_secret_sha256", "secret_sha256", unique=True),
    sa.Index("ix_api_keys_user_id", "tenant_id", "user_id"),
)

# Fits that a server is asked for: a queue, and what became of them. At most one of a user's is active.
jobs = sa.Table(
    "jobs",
    metadata,
    _tenant_id(),
    sa.Column("id", KEY, primary_key=True),
    sa.Column("user_id", KEY, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("options", sa.JSON, nullable=False),
    sa.Column("state", KEY, nullable=False),
    sa.Column("cancelling", sa.Boolean, nullable=False),  # asked to end, while a worker has it
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("progress", sa.JSON, nullable=False),
    sa.Column("begun", sa.JSON),  # what its workers noted for those after them
    sa.Column("result", sa.JSON, nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("lease_owner", KEY),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("finished_at", UtcDateTime),
    _belongs_to("users", "user_id"),
    sa.Index("ix_jobs_user_id", "tenant_id", "user_id", "created_at"),
    sa.Index("ix_jobs_state", "state", "created_at"),
)
_active = jobs.c.state.in_(("queued", "running"))
sa.Index(
    "ix_jobs_active", jobs.c.tenant_id, jobs.c.user_id, unique=True, sqlite_where=_active, postgresql_where=_active
)

# Tenants of which no job may run for a while, because an erasure needs their caches of calls; names nobody.
job_pauses = sa.Table(
    "job_pauses",
    metadata,
    _tenant_id(),
    sa.Column("token", KEY, primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
    _of_a_tenant(),
)

# What a person was asked last and what was answered, for a while, so that they can comment on it.
responses = sa.Table(
    "responses",
    metadata,
    _tenant_id(),
    sa.Column("id", KEY, primary_key=True),
    sa.Column("user_id", KEY, nullable=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    _belongs_to("users", "user_id"),
    sa.Index("ix_responses_user_id", "tenant_id", "user_id", "created_at"),
)

# Comments on responses, which outlive these; one of a kind for each.
feedback = sa.Table(
    "feedback",
    metadata,
    _tenant_id(),
    sa.Column("response_id", KEY, primary_key=True),
    sa.Column("kind", KEY, primary_key=True),
    sa.Column("user_id", KEY, nullable=False),
    sa.Column("given", sa.JSON, nullable=False),
    sa.Column("opinion", sa.Text),  # "added" or "replaced", if it became one
    sa.Column("job_id", KEY),  # the fit that learned from it
    sa.Column("created_at", UtcDateTime, nullable=False),
    _belongs_to("users", "user_id"),
    sa.Index("ix_feedback_user_id", "tenant_id", "user_id"),
)

# What was spent on a user in a day or a month, named as in 2026-11-28 and 2026-11.
spending = sa.Table(
    "spending",
    metadata,
    _tenant_id(),
    sa.Column("user_id", KEY, primary_key=True),
    sa.Column("period", KEY, primary_key=True),
    sa.Column("calls", sa.BigInteger, nullable=False),
    sa.Column("nanodollars", sa.BigInteger, nullable=False),  # whole numbers, which every database adds up exactly
    _belongs_to("users", "user_id"),
)
