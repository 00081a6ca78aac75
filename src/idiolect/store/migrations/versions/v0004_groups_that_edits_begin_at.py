"""0004: the groups at whose edits people's edits were begun."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; no edit before was begun at a group's."""
    op.create_table(
        "personalization_groups",
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("group_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "method", name="pk_personalization_groups"),
        sa.ForeignKeyConstraint(
            ["user_id", "method"],
            ["personalizations.user_id", "personalizations.method"],
            name="fk_personalization_groups_user_id_personalizations",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_personalization_groups_group_id", "personalization_groups", ["group_id"])
