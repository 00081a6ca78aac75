"""DPO's pairs of a person's own words: all that they said, as it was written, beside what the model says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import PersonalizationError, SettingsError
from idiolect.evaluate.methods.bench import Bench, OpenWeights
from idiolect.evaluate.methods.pair_sources import OwnWords
from idiolect.methods.chameleon.settings import preset
from idiolect.methods.texts import PLAIN_REQUEST
from idiolect.models.doubles import FunctionModel
from tests.evaluate.small_world import bench, desk

TEXTS = tuple(f"Text {i}.\n\n- one\n- two\n\n" + f"It goes on and on, {i} times. " * 60 for i in range(18))
TOLD = tuple(Opinion(Question(f"What about bread {i}?\nSay it."), f"{i} loaves,\n  please!") for i in range(6))


def opened(name: str = "grouped", **changes: int) -> tuple[Bench, FunctionModel]:
    """A model that writes another text for every draw."""
    model = FunctionModel("double", complete=lambda request: f"Plain sentence number {request.draw}.")
    return bench(answers=model, open_weights=OpenWeights(None, "1", preset(name), **changes)), model  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["grouped", "measured", "paper"])
async def test_there_is_a_pair_for_everything_that_was_said_as_it_was_written(name: str) -> None:
    of, model = opened(name)
    pairs = await OwnWords().pairs(User("ann", opinions=TOLD, texts=TEXTS), desk(of, seed=3))
    assert [pair.personalized for pair in pairs] == [*(told.answer for told in TOLD), *TEXTS]
    assert [pair.neutral for pair in pairs] == [f"Plain sentence number {i}." for i in range(24)]
    assert pairs[0].query.startswith("What about bread 0? Say it.")
    assert {pair.query for pair in pairs[6:]} == {PLAIN_REQUEST}
    assert {(request.sampling.seed, request.thinking) for request in model.completion_requests} == {(3, False)}


async def test_the_run_limits_pairs_only_if_it_says_so() -> None:
    of, model = opened(pairs=7, pair_tokens=5)
    pairs = await OwnWords().pairs(User("ann", opinions=TOLD, texts=TEXTS), desk(of))
    assert [pair.personalized for pair in pairs] == [*(told.answer for told in TOLD), TEXTS[0]]
    assert {request.sampling.max_tokens for request in model.completion_requests} == {5}
    assert OwnWords().learning_key(of) != OwnWords().learning_key(opened()[0])


async def test_two_texts_suffice_and_one_does_not() -> None:
    of, _ = opened()
    assert len(await OwnWords().pairs(User("ann", texts=TEXTS[:2]), desk(of))) == 2
    with pytest.raises(PersonalizationError, match="2 are needed"):
        await OwnWords().pairs(User("ann", texts=TEXTS[:1]), desk(of))


def test_a_model_behind_an_api_has_no_pairs() -> None:
    with pytest.raises(SettingsError, match="gives no access to its weights"):
        OwnWords().learning_key(replace(opened()[0], open_weights=None))
