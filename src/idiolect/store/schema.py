"""The tables of the store at the newest revision; `migrations/` brings older files there.

A change here needs a new file in `migrations/versions` and a new `REVISION`; a test compares the two.
JSON columns contain only strict JSON (`strict_json`), with keys in their given order, so a profile's order is kept.
"""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

REVISION = "0004"
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


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("profile", sa.JSON, nullable=False),
    sa.Column("texts", sa.JSON, nullable=False),
    sa.Column("extra", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

opinions = sa.Table(
    "opinions",
    metadata,
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("question", sa.Text, nullable=False),
    sa.Column("choices", sa.JSON, nullable=False),
    sa.Column("ordinal", sa.Boolean, nullable=False),
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("extra", sa.JSON, nullable=False),
    # True for an opinion that was entered by itself, not with a users file; saving that file again must not lose it.
    sa.Column("entered", sa.Boolean, nullable=False, server_default=sa.false()),
)

personalizations = sa.Table(
    "personalizations",
    metadata,
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("tensors", sa.LargeBinary),  # a safetensors file; last, so that SQLite reads it only when needed
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

# Erasures whose rows are deleted, but whose bytes may still be in the files; contains nothing about the person.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("begun_at", UtcDateTime, nullable=False),
)

# Caches of calls that were used with this store outside its folder; an erasure has to reach them.
companions = sa.Table("companions", metadata, sa.Column("path", sa.Text, primary_key=True))

groups = sa.Table(
    "groups",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

group_members = sa.Table(
    "group_members",
    metadata,
    sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, index=True),
    # Drawn at random whenever someone joins; it identifies a member who left and came back, whatever the clocks show.
    sa.Column("token", sa.Text, nullable=False),
)

group_personalizations = sa.Table(
    "group_personalizations",
    metadata,
    sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("payload", sa.JSON, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("tensors", sa.LargeBinary),
)

# The users from whose data a group's row was learned. Not cascading from `users`: no user can be deleted while data
# learned from them is left.
group_sources = sa.Table(
    "group_sources",
    metadata,
    sa.Column("group_id", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("user_id", sa.Text, sa.ForeignKey("users.id"), primary_key=True, index=True),
    sa.Column("data_digest", sa.Text, nullable=False),
    sa.ForeignKeyConstraint(
        ["group_id", "method"],
        ["group_personalizations.group_id", "group_personalizations.method"],
        ondelete="CASCADE",
    ),
)

# Groups and methods whose learned data was deleted because a member it was learned from is gone; does not name them.
group_refits = sa.Table(
    "group_refits",
    metadata,
    sa.Column("group_id", sa.Text, sa.ForeignKey("groups.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("since", UtcDateTime, nullable=False),
)

# The group at whose edit a person's edit was begun. That edit contains what the group's had learned from its members,
# so it goes with them. Not referring to `groups`, because the group may be one of another store.
personalization_groups = sa.Table(
    "personalization_groups",
    metadata,
    sa.Column("user_id", sa.Text, primary_key=True),
    sa.Column("method", sa.Text, primary_key=True),
    sa.Column("group_id", sa.Text, nullable=False, index=True),
    sa.ForeignKeyConstraint(
        ["user_id", "method"], ["personalizations.user_id", "personalizations.method"], ondelete="CASCADE"
    ),
)
