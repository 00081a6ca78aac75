"""0003: tensors of learned data, and groups: their members, the data learned for them, and its sources."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the column and the tables; no data learned before has tensors."""
    op.add_column("personalizations", sa.Column("tensors", sa.LargeBinary, nullable=True))
    _make_groups()
    _make_learned()


def _make_groups() -> None:
    op.create_table(
        "groups",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_groups"),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "user_id", name="pk_group_members"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name="fk_group_members_group_id_groups", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_group_members_user_id_users", ondelete="CASCADE"),
    )
    op.create_index("ix_group_members_user_id", "group_members", ["user_id"])


def _make_learned() -> None:
    op.create_table(
        "group_personalizations",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tensors", sa.LargeBinary, nullable=True),
        sa.PrimaryKeyConstraint("group_id", "method", name="pk_group_personalizations"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name="fk_group_personalizations_group_id_groups", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "group_sources",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("data_digest", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("group_id", "method", "user_id", name="pk_group_sources"),
        sa.ForeignKeyConstraint(
            ["group_id", "method"],
            ["group_personalizations.group_id", "group_personalizations.method"],
            name="fk_group_sources_group_id_group_personalizations",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_group_sources_user_id_users"),
    )
    op.create_index("ix_group_sources_user_id", "group_sources", ["user_id"])
    op.create_table(
        "group_refits",
        sa.Column("group_id", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("group_id", "method", name="pk_group_refits"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name="fk_group_refits_group_id_groups", ondelete="CASCADE"
        ),
    )
