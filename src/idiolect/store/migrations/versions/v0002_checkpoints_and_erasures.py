"""0002: checkpoints of learning, unfinished erasures, paths of caches, and opinions that were entered one by one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables and the column; no opinion had been entered by itself before."""
    op.add_column("opinions", sa.Column("entered", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_table(
        "checkpoints",
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("payload", sa.JSON, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "method", name="pk_checkpoints"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_checkpoints_user_id_users", ondelete="CASCADE"),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("begun_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_table(
        "companions",
        sa.Column("path", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("path", name="pk_companions"),
    )
