"""Facts about what was learned, for the report."""

from __future__ import annotations

from typing import Any

from idiolect.evaluate.learned import training_notes
from idiolect.evaluate.records import Arm, LearningRecord


def record(method: str, user: str, **notes: Any) -> LearningRecord:
    return LearningRecord(Arm(method), 0, user, notes=notes)


def test_the_report_says_how_many_steps_were_made_and_what_limited_them() -> None:
    found = [
        record("dpo", "ann", steps=3, seconds_allowed=10.2),
        record("dpo", "bob", steps=5, seconds_allowed=12.0),
        record("sft", "ann", steps=8, chosen={"people": 4}),
        record("sft[max_steps=2]", "ann", steps=2),
        record("chameleon", "ann", variant="gradient"),
    ]
    assert training_notes(found) == [
        "dpo made 3 to 5 steps per person, in the 10 to 12 seconds allowed",
        "sft made 8 to 8 steps per person, a number chosen on people who are not reported",
    ]
