"""0007: receipts of erasures, for those who have to ask for them again, and what workers note with jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create the table and the column, which are empty."""
    op.add_column("jobs", sa.Column("begun", sa.JSON, nullable=True))
    op.create_table(
        "receipts",
        sa.Column("tenant_id", _ID, nullable=False),
        sa.Column("request", _ID, nullable=False),
        sa.Column("finished", sa.Boolean, nullable=False),
        sa.Column("receipt", sa.JSON, nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "request", name="pk_receipts"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name="fk_receipts_tenant_id_tenants"),
    )
