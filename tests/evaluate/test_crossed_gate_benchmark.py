"""The benchmark of the gate on crossed scores: what it counts as harm, as missed, and as bias."""

from __future__ import annotations

import pytest
from crossed_gate import ASKED, Judged, Scores, judged, row
from simulated_models.compared_settings import OLD
from simulated_models.people import WORLDS, person

from idiolect.errors import SettingsError
from idiolect.methods.evidence import Side
from idiolect.methods.fermi.presets import preset


def one(chosen: Side, own: float, few_shot: float, base: float, seen: float = 0.0) -> Judged:
    scores: Scores = {"personalization": own, "few-shot": few_shot, "base": base}
    return Judged(chosen, scores, scores, seen)


def test_harm_and_missed_are_counted_where_they_are_possible() -> None:
    found = [
        one("personalization", 0.5, 0.6, 0.4),  # harm
        one("few-shot", 0.5, 0.6, 0.4),
        one("base", 0.5, 0.4, 0.4),  # missed
        one("personalization", 0.5, 0.4, 0.4, seen=0.5),
        one("personalization", 0.5, 0.5, 0.4),  # neither
    ]
    assert row("w", "o", found)[2:5] == ("3 / 1 / 1", "1 of 2", "1 of 2")
    assert found[3].bias == pytest.approx(0.4)
    assert row("w", "o", found[:1])[5:] == ("+10.0", "50.0", "60.0")


async def test_all_sides_answer_whatever_the_gate_chose() -> None:
    assert len(person(WORLDS["follows both"], 1000, asked=ASKED).asked) == ASKED
    found = await judged("scale in the text", "80 % right", 1001, preset("api"))
    assert set(found.alignment) == set(found.accuracy) == {"personalization", "few-shot", "base"}
    assert found.accuracy["base"] < found.accuracy["few-shot"] < found.accuracy["personalization"]
    assert found.chosen == "personalization"
    with pytest.raises(SettingsError, match="no gate that compares few-shot"):
        await judged("follows both", "80 % right", 1001, OLD)
