import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.personalization import FORMAT, ChameleonPersonalization
from tests.methods.chameleon.planted import Letters, PlantedModel, settings, writer


@pytest.fixture
async def learned() -> ChameleonPersonalization:
    return await Chameleon(PlantedModel(), settings(), embedder=Letters()).fit(writer())


async def test_personalization_survives_json_and_safetensors(learned: ChameleonPersonalization) -> None:
    card = json.loads(json.dumps(learned.to_json()))
    again = ChameleonPersonalization.from_parts(card, learned.tensor_bytes())
    assert again.edit == learned.edit
    assert again.to_json() == learned.to_json()
    assert (again.variant, again.pairs, again.evidence) == (learned.variant, learned.pairs, learned.evidence)
    assert again.gate == learned.gate


async def test_what_was_stored_before_the_output_rule_is_asked_without(learned: ChameleonPersonalization) -> None:
    card = json.loads(json.dumps(learned.to_json())) | {"format": 1}
    assert card["settings"]["answering"].pop("output_rule") is True
    older = ChameleonPersonalization.from_parts(card, learned.tensor_bytes())
    assert older.settings.answering == replace(learned.settings.answering, output_rule=False)
    assert older.format == FORMAT == 2
    again = ChameleonPersonalization.from_parts(older.to_json(), learned.tensor_bytes())
    assert again.settings == older.settings


async def test_personalization_without_its_directions_is_an_error(learned: ChameleonPersonalization) -> None:
    with pytest.raises(PersonalizationError, match="lost its directions"):
        ChameleonPersonalization.from_parts(learned.to_json(), None)


async def test_personalization_with_other_directions_is_an_error(learned: ChameleonPersonalization) -> None:
    tensors = load(learned.tensor_bytes())
    tensors["layers.0.read"] = tensors["layers.0.read"] + 1e-3
    with pytest.raises(PersonalizationError, match="not those on the card"):
        ChameleonPersonalization.from_parts(learned.to_json(), save(tensors))


@pytest.mark.parametrize("junk", [b"", b"\x00" * 64, b"{}" * 40, save({"x": torch.ones(2)})])
async def test_personalization_of_damaged_tensors_is_an_error(learned: ChameleonPersonalization, junk: bytes) -> None:
    with pytest.raises(PersonalizationError, match="damaged"):
        ChameleonPersonalization.from_parts(learned.to_json(), junk)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "fermi"}, "not a CHAMELEON personalization"),
        ({"format": 99}, "not a CHAMELEON personalization"),
        ({"variant": {"rule": "magic"}}, "damaged at"),
        ({"pairs": "none"}, "damaged at pairs"),
        ({"n_judged": "many"}, "damaged at n_judged"),
    ],
)
async def test_personalization_of_a_damaged_card_is_an_error(
    learned: ChameleonPersonalization, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(PersonalizationError, match=message):
        ChameleonPersonalization.from_parts(learned.to_json() | change, learned.tensor_bytes())
