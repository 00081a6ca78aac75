"""What a step starts from: the model's own texts and what is measured on them, or a group's edit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.judging import fluency
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.chameleon.start import edit_of_factors, plain_start, remeasured, start_of
from idiolect.models.edits import Edit
from idiolect.models.language_model import CompletionRequest, Usage
from tests.methods.chameleon.planted import COMMON, LAYERS, WIDTH, Letters, PlantedModel, settings, stepping, writer


async def test_the_models_own_texts_are_drawn_freely_and_without_guidance() -> None:
    model, writing = PlantedModel(), PlantedModel()
    made = stepping(neutral_texts=5, neutral_tokens=40)
    made = replace(made, generation=replace(made.generation, seed=3))
    start = await plain_start(model, writing, made)
    assert (len(writing.requests), model.requests) == (5, [])
    for at, request in enumerate(writing.requests):
        assert (request.sampling.temperature, request.sampling.max_tokens, request.sampling.seed) == (1.0, 40, 3)
        assert (request.thinking, request.draw, len(request.messages)) == (False, at, 1)
        assert request.messages[0].role == "user"
    assert len({request.messages for request in writing.requests}) == 5
    assert [messages for messages, _ in start.neutral] == [request.messages for request in writing.requests]
    assert start.fluency.scores == (await fluency(start.neutral, PlantedModel())).scores
    assert start.usage.calls >= 5
    assert (start.group, start.digest) == ("", "")


async def test_a_plain_start_changes_nothing_and_its_first_read_is_constant() -> None:
    start = await plain_start(PlantedModel(), PlantedModel(), stepping(rank=3))
    assert start.factors.reads.shape == (LAYERS, 3, WIDTH)
    assert not start.factors.writes.any()
    assert torch.allclose(start.factors.reads[:, 0] @ COMMON, torch.ones(LAYERS), atol=0.05)
    lengths = start.factors.reads[:, 1:].norm(dim=2) * start.scale[:, None]
    assert torch.allclose(lengths, torch.ones(LAYERS, 2), atol=1e-5)
    assert torch.allclose(start.scale, COMMON.norm().expand(LAYERS), rtol=0.05)


async def test_texts_that_are_empty_are_left_out_and_a_silent_model_is_an_error() -> None:
    start = await plain_start(
        PlantedModel(), PlantedModel(lambda request: "" if request.draw % 2 else " plain\x00 "), stepping()
    )
    assert len(start.measures.neutral) == 4
    with pytest.raises(PersonalizationError, match="the model writes nothing"):
        await plain_start(PlantedModel(), PlantedModel(lambda _: " \n"), stepping())


async def test_thoughts_are_no_part_of_the_models_own_texts() -> None:
    def write(request: CompletionRequest) -> str:
        return "<think>hm" if request.draw % 2 else f"<think>let me see</think>\n\nplain {request.draw}"

    start = await plain_start(PlantedModel(), PlantedModel(write), stepping())
    assert {each.text for each in start.measures.neutral} == {f"plain {draw}" for draw in range(0, 8, 2)}


async def test_a_groups_edit_is_a_start_and_survives_the_store() -> None:
    learned = await GroupedChameleon(PlantedModel(), stepping(rank=2)).fit_group("readers", [writer()])
    kept = ChameleonPersonalization.from_parts(json.loads(json.dumps(learned.to_json())), learned.tensor_bytes())
    start = start_of(kept)
    assert (start.group, start.digest, start.measures) == ("readers", learned.edit.digest, learned.start)
    assert start.edit == learned.edit
    assert start.usage.calls == 0, "the group paid for it"
    half = edit_of_factors(start.factors, 0.5).layers[0].write
    assert torch.equal(half, 0.5 * learned.edit.layers[0].write)


async def test_a_start_is_remeasured_on_the_same_weights_in_another_dtype() -> None:
    start = await plain_start(PlantedModel(), PlantedModel(), stepping())
    texts = tuple(replace(each, logprob=-99.0) for each in start.measures.neutral)
    other = replace(start, measures=replace(start.measures, neutral=texts), usage=Usage())
    again = await remeasured(other, PlantedModel())
    assert (again.measures, again.factors) == (start.measures, other.factors)
    assert again.usage.calls == len(texts)


async def test_an_edit_that_is_no_start_is_refused() -> None:
    pairs = await Chameleon(PlantedModel(), settings(), embedder=Letters()).fit(writer())
    person = await GroupedChameleon(PlantedModel(), stepping()).fit(writer())
    group = await GroupedChameleon(PlantedModel(), stepping()).fit_group("w", [writer()])
    part = replace(group, edit=Edit({at: layer for at, layer in group.edit.layers.items() if at}))
    for learned in (pairs, person, part):
        with pytest.raises(PersonalizationError, match="'w' was not learned as a start for people: fit the group with"):
            start_of(learned)


async def test_a_groups_edit_that_does_not_answer_is_no_start() -> None:
    members = [replace(writer(20), id="ann")]
    learned = await GroupedChameleon(PlantedModel(taste=-1.0), stepping()).fit_group("critics", members)
    assert not learned.used
    with pytest.raises(PersonalizationError, match="no step can begin at the edit of 'critics', which does not answer"):
        start_of(learned)
