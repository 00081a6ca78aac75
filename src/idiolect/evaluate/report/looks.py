"""Colour and shape of an arm in the plots, and the legend that explains them.

Arm, Header → look_of → plots;  arms → legend_of_arms → Plot.legend

Methods that ask no model, methods that only prompt one, and methods that learn differ in colour and in shape, so that
they can be told apart in print and without colours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.cells import Meaning
from idiolect.evaluate.report.drawing import ANOTHER, INK, MUTED, OWN, SERIES
from idiolect.evaluate.report.wording import is_control
from idiolect.evaluate.summary import Header


@dataclass(frozen=True, slots=True)
class Look:
    """How an arm is drawn: a placeholder for its colour, matplotlib's marker, whether it is hollow; and its meaning."""

    colour: str
    marker: str
    hollow: bool
    meaning: Meaning


_KINDS = {
    "no model": Look(MUTED, "s", False, Meaning("muted", "no model: answers are counted or drawn", "square")),
    "prompted": Look(SERIES[2], "^", False, Meaning("series-3", "a model with a prompt, nothing learned", "triangle")),
    "learned": Look(OWN, "o", False, Meaning("own", "learned from the person", "circle")),
}
_UNKNOWN = Look(OWN, "o", False, Meaning("own", "from the person’s own data", "circle"))
_HOLLOW = Meaning("another", "hollow: from another person’s data", "circle", hollow=True)
_BASELINE = Look(INK, "D", False, Meaning("ink", "the baseline", "diamond"))


def kind_of(arm: Arm, header: Header) -> str:
    """Return the kind of an arm's method; "" if it is unknown."""
    return header.kinds.get(arm.method.partition("[")[0], "")


def look_of(arm: Arm, header: Header) -> Look:
    """Return how an arm is drawn. A control is hollow, and has the shape of its method."""
    look = _KINDS.get(kind_of(arm, header), _UNKNOWN)
    if arm == header.baseline:
        return _BASELINE
    if is_control(arm):
        return Look(ANOTHER, look.marker, True, _HOLLOW)
    return look


def legend_of_arms(arms: Iterable[Arm], header: Header) -> tuple[Meaning, ...]:
    """Return the meanings of the arms' looks; none if all look alike. Hollow marks are explained once."""
    found: dict[str, Meaning] = {}
    for arm in arms:
        meaning = look_of(arm, header).meaning
        found.setdefault(meaning.text, meaning)
    order = [each.meaning.text for each in (*_KINDS.values(), _UNKNOWN)]
    rest = sorted(found, key=lambda text: order.index(text) if text in order else len(order))
    return tuple(found[text] for text in rest) if len(found) > 1 else ()
