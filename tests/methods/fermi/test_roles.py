"""Roles of opinions: a seeded draw, at least one scores, and what is held out has its question for itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from idiolect import Opinion, Question, User
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.prompt import question_key
from idiolect.methods.fermi.roles import considered, deal_roles
from idiolect.methods.fermi.settings import FermiSettings
from tests.held_out_settings import HELD_OUT
from tests.methods.people import rater

GATED = FermiSettings(scoring_share=0.6, evidence=EvidenceSettings(0.2))


def test_twenty_opinions_are_split_sixteen_to_four() -> None:
    user = rater(20)
    roles = deal_roles(user, FermiSettings())
    assert (len(roles.scoring), len(roles.examples), roles.held_out) == (16, 4, ())
    every = (*roles.scoring, *roles.examples)
    assert sorted(o.question.text for o in every) == sorted(o.question.text for o in user.opinions)
    assert [o for o in user.opinions if o in roles.scoring] == list(roles.scoring)
    assert deal_roles(user, FermiSettings()) == roles
    assert deal_roles(user, FermiSettings(seed=1)) != roles
    assert deal_roles(replace(user, id="another"), FermiSettings()) != roles


def test_who_scores_without_evidence_is_as_it_always_was() -> None:
    """Stored personalizations and reported results were made with this very draw."""
    roles = deal_roles(rater(10), FermiSettings())
    assert [int(o.question.text.split()[-1].rstrip("?")) for o in roles.examples] == [5, 8]


@pytest.mark.parametrize(
    ("n", "share", "scoring"), [(1, 0.8, 1), (2, 0.8, 2), (3, 0.8, 2), (5, 0.8, 4), (3, 0.01, 1), (7, 1.0, 7)]
)
def test_at_least_one_opinion_scores(n: int, share: float, scoring: int) -> None:
    roles = deal_roles(rater(n), FermiSettings(scoring_share=share))
    assert [len(roles.scoring), len(roles.examples), len(roles.held_out)] == [scoring, n - scoring, 0]


@pytest.mark.parametrize(
    ("n", "sizes"),
    [(20, (12, 4, 4)), (10, (6, 2, 2)), (5, (3, 1, 1)), (3, (2, 0, 1)), (2, (1, 1, 0)), (1, (1, 0, 0))],
)
def test_a_share_is_held_out(n: int, sizes: tuple[int, int, int]) -> None:
    user = rater(n)
    for settings in (GATED, HELD_OUT):
        roles = deal_roles(user, settings)
        assert (len(roles.scoring), len(roles.examples), len(roles.held_out)) == sizes
        assert {*roles.scoring, *roles.examples, *roles.held_out} == set(user.opinions)


def test_all_but_one_opinion_can_be_held_out() -> None:
    roles = deal_roles(rater(3), FermiSettings(scoring_share=0.01, evidence=EvidenceSettings(0.99)))
    assert (len(roles.scoring), len(roles.held_out)) == (1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_a_question_that_was_asked_twice_is_not_held_out(seed: int) -> None:
    questions = [Question("What now?"), Question("WHAT now"), Question("What now?", ("a", "b"))]
    twice = [Opinion(question, "a") for question in questions]
    user = User("ann", opinions=(*twice, *rater(5).opinions))
    roles = deal_roles(user, replace(GATED, seed=seed, evidence=EvidenceSettings(0.4)))
    assert len(roles.held_out) == 3
    learned = {question_key(o.question) for o in (*roles.scoring, *roles.examples)}
    assert learned.isdisjoint(question_key(o.question) for o in roles.held_out)


def test_nobody_who_answers_one_question_only_is_judged() -> None:
    user = User("ann", opinions=tuple(Opinion(Question("Tea?"), f"answer {n}") for n in range(10)))
    assert deal_roles(user, GATED).held_out == ()


# Thousands of opinions

CAPPED = FermiSettings(max_opinions=40)


def test_all_opinions_are_considered_up_to_the_limit() -> None:
    for n, settings in ((40, CAPPED), (100, FermiSettings())):
        assert considered(rater(n), settings) == rater(n)


def test_of_many_opinions_the_newest_and_a_choice_of_the_older_are_considered() -> None:
    user = rater(3000)
    seen = considered(user, CAPPED)
    assert len(seen.opinions) == 40
    assert seen.opinions[-10:] == user.opinions[-10:]
    places = [user.opinions.index(opinion) for opinion in seen.opinions]
    assert places == sorted(places)
    assert max(b - a for a, b in pairwise(places)) < 1000, "some part of the answers is missing"
    assert considered(user, CAPPED) == seen
    assert considered(user, replace(CAPPED, seed=1)) != seen


def test_one_more_opinion_is_considered_and_moves_few_others() -> None:
    user = rater(300)
    new = Opinion(Question("Is this the newest question?"), "Yes")
    more = replace(user, opinions=(*user.opinions, new))
    before, after = (considered(each, CAPPED).opinions for each in (user, more))
    assert new in after
    assert len(set(before) - set(after)) <= 2


def test_presets_for_practice_limit_the_opinions() -> None:
    assert [preset(name).max_opinions for name in ("paper", "paper-offline", "demo", "api")] == [None, None, 400, 400]
