"""0006: jobs of a server, the responses and comments that people learn from, and what is spent on them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_MOMENT = sa.DateTime(timezone=True)


def _column(name: str, kind: object, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, kind, nullable=nullable)  # type: ignore[arg-type]


def _create(table: str, key: tuple[str, ...], *columns: sa.Column[object], parent: str = "users") -> None:
    own, keys = (["tenant_id", "user_id"], ["users.tenant_id", "users.id"])
    if parent == "tenants":
        own, keys = ["tenant_id"], ["tenants.id"]
    op.create_table(
        table,
        _column("tenant_id", _ID),
        *columns,
        sa.PrimaryKeyConstraint("tenant_id", *key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            own, keys, name=f"fk_{table}_tenant_id_{parent}", ondelete="CASCADE" if parent == "users" else None
        ),
    )


def upgrade() -> None:
    """Create the tables, which are empty."""
    _create(
        "jobs",
        ("id",),
        *(_column(name, _ID) for name in ("id", "user_id")),
        _column("method", sa.Text),
        _column("options", sa.JSON),
        _column("state", _ID),
        _column("cancelling", sa.Boolean),
        _column("attempts", sa.Integer),
        *(_column(name, sa.JSON) for name in ("progress", "result")),
        _column("error", sa.Text, nullable=True),
        _column("lease_owner", _ID, nullable=True),
        _column("lease_until", _MOMENT, nullable=True),
        _column("created_at", _MOMENT),
        *(_column(name, _MOMENT, nullable=True) for name in ("started_at", "finished_at")),
    )
    op.create_index("ix_jobs_user_id", "jobs", ["tenant_id", "user_id", "created_at"])
    op.create_index("ix_jobs_state", "jobs", ["state", "created_at"])
    active = sa.column("state").in_(("queued", "running"))
    op.create_index(
        "ix_jobs_active", "jobs", ["tenant_id", "user_id"], unique=True, sqlite_where=active, postgresql_where=active
    )
    _create("job_pauses", ("token",), _column("token", _ID), _column("until", _MOMENT), parent="tenants")
    _create(
        "responses",
        ("id",),
        *(_column(name, _ID) for name in ("id", "user_id")),
        *(_column(name, sa.Text) for name in ("question", "answer")),
        _column("created_at", _MOMENT),
    )
    op.create_index("ix_responses_user_id", "responses", ["tenant_id", "user_id", "created_at"])
    _create(
        "feedback",
        ("response_id", "kind"),
        *(_column(name, _ID) for name in ("response_id", "kind", "user_id")),
        _column("given", sa.JSON),
        _column("opinion", sa.Text, nullable=True),
        _column("job_id", _ID, nullable=True),
        _column("created_at", _MOMENT),
    )
    op.create_index("ix_feedback_user_id", "feedback", ["tenant_id", "user_id"])
    _create(
        "spending",
        ("user_id", "period"),
        *(_column(name, _ID) for name in ("user_id", "period")),
        *(_column(name, sa.BigInteger) for name in ("calls", "nanodollars")),
    )
