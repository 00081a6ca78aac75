"""What is spent on each user in a day and in a month (UTC), for budgets with windows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from idiolect.people.user import unstorable_part
from idiolect.store.schema import spending, users
from idiolect.store.tenant_rows import TenantConnection, TenantDatabase

Window = Literal["day", "month"]
_FORMS: dict[Window, str] = {"day": "%Y-%m-%d", "month": "%Y-%m"}
_NANO = Decimal(10**9)


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent on a user in a window: calls of models, and dollars."""

    calls: int = 0
    money: Decimal = Decimal(0)


def period_of(window: Window, now: datetime) -> str:
    """Return the name of the day or month of a moment."""
    return now.astimezone(UTC).strftime(_FORMS[window])


def add_spending(
    connection: TenantConnection, user_id: str, *, calls: int, money: Decimal | None, now: datetime
) -> None:
    """Count what was spent on a user in the day and the month of a moment; nothing if the user was forgotten.

    Args:
        connection: a transaction that writes.
        user_id: the user's id.
        calls: number of calls.
        money: what they cost, in dollars; None: unknown, which counts as nothing.
        now: the moment.
    """
    if not connection.count(users, users.c.id == user_id):
        return
    nanodollars = 0 if money is None else int((money * _NANO).to_integral_value())
    periods = [period_of(window, now) for window in _FORMS]
    empty = [{"user_id": user_id, "period": period, "calls": 0, "nanodollars": 0} for period in periods]
    connection.insert_missing(spending, empty, spending.c.period)
    theirs = connection.update(spending).where(spending.c.user_id == user_id, spending.c.period.in_(periods))
    more = {"calls": spending.c.calls + calls, "nanodollars": spending.c.nanodollars + nanodollars}
    connection.execute(theirs.values(more))


def spent_by(rows: TenantDatabase, user_id: str, window: Window, now: datetime) -> Spent:
    """Return what was spent on a user in the window of a moment.

    Raises:
        StoreError: the store cannot be read.
    """
    if unstorable_part(user_id) is not None:
        return Spent()
    with rows.reading() as connection:
        columns = (spending.c.calls, spending.c.nanodollars)
        named = (spending.c.user_id == user_id, spending.c.period == period_of(window, now))
        row = connection.execute(connection.select(spending, *columns).where(*named)).first()
    return Spent() if row is None else Spent(row[0], Decimal(row[1]) / _NANO)
