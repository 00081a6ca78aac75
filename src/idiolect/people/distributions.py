"""Shares of a population's answers to one question: finite, not negative, one per choice, summing to 1.

Between the readers of GlobalOpinionQA (and users files that contain distributions) and the values of `user.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

_TOLERANCE = 0.02  # published shares are rounded to whole percents, and the errors of several can add up


class UnusableSharesError(ValueError):
    """Shares that are not a distribution over the choices; the message gives the reason."""


def distribution(shares: Any, choices: Sequence[str]) -> tuple[float, ...]:
    """Return the shares of the choices, in order, scaled to sum to 1.

    Args:
        shares: the shares as read; a sum within 0.02 of 1 is taken as a result of rounding.
        choices: the question's choices.

    Raises:
        UnusableSharesError: the shares are not a list of one finite number ≥ 0 per choice, or their sum is far from 1.
    """
    if not isinstance(shares, list | tuple):
        raise UnusableSharesError("the shares are not a list")
    if len(shares) != len(choices):
        raise UnusableSharesError(f"expected {len(choices)} shares, one per choice, found {len(shares)}")
    if any(isinstance(share, bool) or not isinstance(share, int | float) for share in shares):
        raise UnusableSharesError("a share is not a number")
    try:
        numbers = [float(share) for share in shares]
    except OverflowError:
        raise UnusableSharesError("a share is too large") from None
    if not all(map(math.isfinite, numbers)) or min(numbers, default=0.0) < 0:
        raise UnusableSharesError("a share is negative or not finite")
    try:
        total = math.fsum(numbers)
    except OverflowError:
        total = math.inf
    if not abs(total - 1) <= _TOLERANCE:
        raise UnusableSharesError(f"the shares sum to {total:.3g}, not to 1")
    return tuple(number / total for number in numbers)


def most_frequent(shares: Sequence[float], choices: Sequence[str]) -> str:
    """Return the choice with the largest share, the first of equal ones."""
    return choices[max(range(len(choices)), key=lambda index: shares[index])]
