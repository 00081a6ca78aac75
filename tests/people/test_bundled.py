from __future__ import annotations

import re
from importlib.resources import files

from idiolect.people.bundled import bundled_people
from idiolect.people.user import QuestionKind


def test_bundled_people_are_many_and_each_has_rated_enough() -> None:
    people = bundled_people()
    assert len(people) == 120
    assert all(30 <= len(user.opinions) <= 40 for user in people)
    assert all(opinion.question.kind is QuestionKind.ORDINAL for user in people for opinion in user.opinions)


def test_bundled_people_have_demographics_and_no_raw_number() -> None:
    for user in bundled_people():
        assert re.fullmatch("fwc-[0-9a-f]{8}", user.id)
        assert {"Gender", "Age", "Household Income", "Education", "Location (Census Region)"} <= set(
            user.profile.attributes
        )


def test_bundled_people_start_with_different_cuisines() -> None:
    assert len({user.opinions[0].question for user in bundled_people()}) > 20


def test_bundled_people_come_with_their_licence() -> None:
    attribution = (files("idiolect.people") / "data" / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert "FiveThirtyEight" in attribution
    assert "CC BY 4.0" in attribution
