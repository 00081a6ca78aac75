"""What is chosen on people who are not reported: whom, with what, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from idiolect import User
from idiolect.errors import ModelError, PersonalizationError, SettingsError, UnusableModelError
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.others import (
    Others,
    Part,
    Sizes,
    check_others,
    chosen_on_others,
    gain_on,
    item_scores,
    parts_of_others,
    sizes_of_reported,
)
from idiolect.methods.chameleon.judging import ItemScores
from idiolect.models.language_model import Usage
from tests.evaluate.small_world import bench, case, desk, model


def writer(name: str, n: int) -> User:
    return User(name, texts=tuple(f"{name} writes text number {i}." for i in range(n)))


def world(*others: User) -> Bench:
    """Ann and Bob have 6 opinions and 5 texts."""
    reported = tuple(case(name, texts=writer(name, 5).texts) for name in ("ann", "bob"))
    return bench(Benchmark("users", reported, ("accuracy",), others=others))


def test_others_learn_from_as_much_and_what_is_held_out_is_not_learned() -> None:
    opened = world(writer("x", 40), writer("y", 3), writer("z", 1), writer("w", 10))
    x, y, w = parts_of_others(opened, Others(people=9, held_out=6), sizes=Sizes(20, 20))
    assert [part.learning.id for part in (x, y, w)] == ["x", "y", "w"], "one text is too few"
    assert (len(x.learning.texts), len(x.held_out)) == (20, 6)
    assert (len(y.learning.texts), len(y.held_out)) == (2, 1)
    for part in (x, y, w):
        assert not set(part.learning.texts) & set(part.held_out)
    assert x.learning.texts != tuple(sorted(x.learning.texts)), "they are mixed, as those of reported people are"
    assert [part.learning.id for part in parts_of_others(opened, Others(people=1), sizes=Sizes(20, 20))] == ["x"]


def test_opinions_are_left_out_where_only_texts_count() -> None:
    both = replace(case("x", train=10).user, texts=writer("x", 10).texts)
    (part,) = parts_of_others(world(both), Others(), sizes=Sizes(20, 20), only_texts=True)
    assert part.learning.opinions == ()
    assert all(isinstance(item, str) for item in part.held_out)
    assert parts_of_others(world(case("y", train=10).user), Others(), sizes=Sizes(20, 20), only_texts=True) == []


async def test_the_best_mean_gain_is_chosen_once_for_all_people() -> None:
    opened = world(writer("x", 10), writer("y", 10))
    asked: list[tuple[str, int]] = []
    gains = {"x": {1: 0.1, 2: 0.9, 4: 0.2}, "y": {1: 0.1, 2: -0.9, 4: 0.3, 8: 5.0}}

    async def gains_of(part: Part, at: Desk) -> Mapping[int, float]:
        asked.append((part.learning.id, at.seed))
        return gains[part.learning.id]

    found = await chosen_on_others("key", case("ann"), desk(opened, seed=3), Others(), gains_of)
    assert (found.best, found.people) == (4, 2)
    assert found.gains == pytest.approx({1: 0.1, 2: 0.0, 4: 0.25}), "8 was not reached by both"
    again = await chosen_on_others("key", case("bob"), desk(opened, "bob", seed=4), Others(), gains_of)
    assert again == found
    assert asked == [("x", 0), ("y", 0)]
    await chosen_on_others("another", case("bob"), desk(opened, "bob"), Others(), gains_of)
    assert len(asked) == 4
    assert found.notes()["gains"] == {"1": 0.1, "2": 0.0, "4": 0.25}


def test_others_learn_from_as_many_opinions_and_as_many_texts_as_the_reported_people() -> None:
    counts = {"ann": (30, 2), "bob": (28, 2), "cyd": (29, 3), "dan": (0, 3)}
    reported = tuple(
        case(name, train=opinions, texts=writer(name, texts).texts) for name, (opinions, texts) in counts.items()
    )
    both = replace(case("x", train=50).user, texts=writer("x", 50).texts)
    opened = bench(Benchmark("users", reported, ("accuracy",), others=(both, writer("y", 9))))
    sizes = sizes_of_reported(opened)
    assert sizes == Sizes(opinions=29, texts=2), "who has none of a kind does not count for it"
    x, y = parts_of_others(opened, Others(), sizes=sizes)
    assert [(len(part.learning.opinions), len(part.learning.texts)) for part in (x, y)] == [(29, 2), (0, 2)]
    (alone,) = parts_of_others(opened, Others(), sizes=replace(sizes, texts=0))
    assert alone.learning.id == "x", "nothing is left of the other one to learn from"


async def test_people_with_a_little_more_or_less_cause_no_other_choice_but_points_of_a_curve_do() -> None:
    counts = {"ann": 18, "bob": 19, "cyd": 20}
    reported = tuple(case(name, train=0, texts=writer(name, n).texts) for name, n in counts.items())
    opened = bench(Benchmark("users", reported, ("loglik",), others=(writer("x", 50),)))
    learned_from: list[int] = []

    async def gains_of(part: Part, _: Desk) -> Mapping[int, float]:
        learned_from.append(len(part.learning.texts))
        return {1: 0.5}

    for each in [*reported, *(each.learning_from(5) for each in reported)]:
        await chosen_on_others("key", each, desk(opened, each.user.id), Others(), gains_of)
    assert learned_from == [19, 5]


@pytest.mark.parametrize("kind", [PersonalizationError, ModelError])
async def test_who_cannot_be_learned_from_is_left_out_and_noted(kind: type[Exception]) -> None:
    opened = world(writer("x", 10), writer("y", 10))

    async def gains_of(part: Part, _: Desk) -> Mapping[int, float]:
        if part.learning.id == "x":
            raise kind("too long a text")
        return {1: 0.5}

    found = await chosen_on_others("key", case("ann"), desk(opened), Others(), gains_of)
    assert (found.best, found.people) == (1, 1)
    assert found.notes()["left_out"] == ["too long a text"]


@pytest.mark.parametrize("kind", [PersonalizationError, ModelError])
async def test_nobody_who_can_be_learned_from_is_an_error_of_the_same_kind(kind: type[Exception]) -> None:
    opened = world(writer("x", 10), writer("y", 10))

    async def nothing(_part: Part, _: Desk) -> Mapping[int, float]:
        raise kind("too few pairs")

    with pytest.raises(kind, match="cannot be chosen on other people: too few pairs"):
        await chosen_on_others("key", case("ann"), desk(opened), Others(), nothing)


async def test_a_model_of_which_no_call_can_succeed_ends_the_choice() -> None:
    async def refused(_part: Part, _: Desk) -> Mapping[int, float]:
        raise UnusableModelError("the key was refused")

    with pytest.raises(UnusableModelError, match=r"^the key was refused"):
        await chosen_on_others("key", case("ann"), desk(world(writer("x", 10), writer("y", 10))), Others(), refused)


async def test_the_likelihood_is_that_of_the_held_out_items() -> None:
    asked = model()
    opened = bench(world(writer("x", 10)).benchmark, answers=asked)
    (part,) = parts_of_others(opened, Others(held_out=2), sizes=Sizes(5, 5))
    at = desk(opened)
    found = await item_scores(part, at.model, at)
    assert [request.choices for request in asked.choice_requests] == [(text,) for text in part.held_out]
    assert max(found.scores) < 0


def test_texts_and_choices_count_alike_however_many_there_are() -> None:
    user = case("x").user
    part = Part(user, (user.opinions[0], "one text", "another text", "a third one"))
    base, learned = (ItemScores(scores, Usage()) for scores in ((-2.0, -3.0, -3.0, -3.0), (-1.0, -2.9, -2.8, -2.7)))
    assert gain_on(part, learned, base) == pytest.approx((1.0 + 0.2) / 2)


def test_nobody_to_choose_on_names_the_brackets() -> None:
    with pytest.raises(SettingsError, match=r"the number of steps is chosen on people .* fix it with max_steps=N"):
        check_others(world(writer("x", 1)), Others(), "the number of steps", "max_steps=N")


@pytest.mark.parametrize("bad", [{"people": 0}, {"held_out": 0}])
def test_impossible_settings_are_refused(bad: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=f"others.{next(iter(bad))}"):
        Others(**bad)
