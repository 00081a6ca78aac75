"""Budgets with windows: the smaller of what a day and a month have left."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.models.calls.budget import Limits
from idiolect.people.user import User
from idiolect.serve.budgets import Budgets
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.spending import add_spending

TODAY, YESTERDAY, LAST_MONTH = (datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 2), (3, 1), (2, 28)))


@pytest.mark.parametrize(
    ("budgets", "left"),
    [
        (Budgets(), Limits()),
        (Budgets(calls_per_day=10), Limits(calls=8)),
        (Budgets(calls_per_day=10, calls_per_month=8), Limits(calls=3)),
        (Budgets(calls_per_day=2), None),
        (Budgets(calls_per_day=10, calls_per_month=5), None),
        (Budgets(money_per_day=Decimal(1)), Limits(money=Decimal("0.8"))),
        (Budgets(calls_per_day=10, money_per_month=Decimal("0.6")), Limits(calls=8, money=Decimal("0.1"))),
        (Budgets(calls_per_day=10, money_per_month=Decimal("0.5")), None),
    ],
)
def test_what_is_left(tmp_path: Path, budgets: Budgets, left: Limits | None) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("ann", texts=["I walk."]), User("bob", texts=["I sing."])])
        with store.rows.writing() as connection:
            for now, calls, money in ((TODAY, 2, "0.2"), (YESTERDAY, 3, "0.3"), (LAST_MONTH, 100, "100")):
                add_spending(connection, "ann", calls=calls, money=Decimal(money), now=now)
            add_spending(connection, "bob", calls=100, money=None, now=TODAY)
        assert budgets.left(store, "ann", now=TODAY) == left
