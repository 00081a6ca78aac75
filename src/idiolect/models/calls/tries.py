"""Payment for the tries of one call; between the call's reservation and the remote model, which retries.

The cost of a try that the server may charge for is spent at once, and the next try needs room in addition. If a model
reports no tries (such as a local one), the caller decides what a failed call costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from idiolect.models.calls.budget import Cost, Reservation
from idiolect.models.remote.attempts import paid_by


class Tries:
    """The `Payer` of one call.

    Args:
        reservation: the call's reservation, which is not ended here.

    Attributes:
        cost: the cost of what was answered; the code that makes the call adds to it.
        reported: whether the model has reported any failed try.
        maybe_billed: number of failed tries that may be charged for.
    """

    def __init__(self, reservation: Reservation) -> None:
        self.cost, self.reported, self.maybe_billed = Cost(), False, 0
        self._reservation, self._failed = reservation, Cost()
        self._on_pause: Callable[[float], None] | None = None

    @contextmanager
    def paying(self, failed: Cost, *, on_pause: Callable[[float], None] | None = None) -> Iterator[None]:
        """Pay for the tries made in the context.

        Args:
            failed: the cost of a failed try that may be charged for.
            on_pause: receives the seconds for which a server asks all calls to wait.
        """
        self._failed, self._on_pause = failed, on_pause
        with paid_by(self):
            yield

    def before_retry(self) -> None:
        """Check that there is room for another try; see `Payer`."""
        self._reservation.check()

    def failed_try(self, maybe_billed: bool) -> None:
        """Spend what a failed try may have cost; see `Payer`."""
        self.reported = True
        if maybe_billed:
            self.maybe_billed += 1
            self._reservation.settle_try(self._failed)

    def pausing(self, seconds: float) -> None:
        """Report how long a server asks to wait; see `Payer`."""
        if self._on_pause is not None:
            self._on_pause(seconds)
