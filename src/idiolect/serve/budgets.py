"""What fits may spend on each user in a day and in a month: checked before a fit, and its limits while it runs.

settings − spent in the window (store.spending) → the smallest of both windows → Limits of the fit | none left
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from idiolect.models.calls.budget import Limits
from idiolect.store import Store
from idiolect.store.spending import Window, spent_by


@dataclass(frozen=True, slots=True)
class Budgets:
    """Budgets of every user; None: no limit.

    Args:
        calls_per_day, calls_per_month: calls of models.
        money_per_day, money_per_month: dollars.
    """

    calls_per_day: int | None = None
    calls_per_month: int | None = None
    money_per_day: Decimal | None = None
    money_per_month: Decimal | None = None

    @property
    def message(self) -> str:
        """What to report when nothing is left."""
        return "the user's budget of this day or month is spent"

    def left(self, store: Store, user_id: str, *, now: datetime | None = None) -> Limits | None:
        """Return what may still be spent on a user now; None: nothing.

        Args:
            store: the store of the user's tenant.
            user_id: the user's id.
            now: the moment; None: the present one.

        Raises:
            StoreError: the store cannot be read.
        """
        now = now or datetime.now(UTC)
        calls: list[int] = []
        money: list[Decimal] = []
        windows: tuple[tuple[Window, int | None, Decimal | None], ...] = (
            ("day", self.calls_per_day, self.money_per_day),
            ("month", self.calls_per_month, self.money_per_month),
        )
        for window, most_calls, most_money in windows:
            if most_calls is None and most_money is None:
                continue
            spent = spent_by(store.rows, user_id, window, now)
            calls += [] if most_calls is None else [most_calls - spent.calls]
            money += [] if most_money is None else [most_money - spent.money]
        if min(calls, default=1) <= 0 or min(money, default=Decimal(1)) <= 0:
            return None
        return Limits(calls=min(calls, default=None), money=min(money, default=None))
