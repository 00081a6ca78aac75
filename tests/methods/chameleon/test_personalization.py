import json
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.evidence import ChameleonEvidence, TextEvidence
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.personalization import FORMAT, ChameleonPersonalization
from idiolect.methods.evidence import Evidence
from idiolect.models.language_model import Usage
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
    assert older.format == FORMAT == 3
    again = ChameleonPersonalization.from_parts(older.to_json(), learned.tensor_bytes())
    assert again.settings == older.settings


@pytest.mark.parametrize(("edited", "used"), [((0.02, 1.0), True), ((0.01, 0.0), False)])
async def test_what_was_judged_by_probabilities_of_tokens_keeps_its_evidence_and_decision(
    learned: ChameleonPersonalization, edited: tuple[float, ...], used: bool
) -> None:
    card = json.loads(json.dumps(learned.to_json())) | {"format": 2}
    del card["settings"]["judging"]
    mixed = Evidence(edited, (0.01, 0.5), kind="opinions and texts", learned_from=(0.3, 0.2))
    older = ChameleonPersonalization.from_parts(card | {"evidence": asdict(mixed)}, learned.tensor_bytes())
    assert (older.evidence, older.used, older.gate) == (mixed, used, mixed.reason)
    again = ChameleonPersonalization.from_parts(older.to_json(), learned.tensor_bytes())
    assert (again.evidence, again.settings) == (mixed, learned.settings)


async def test_evidence_on_both_kinds_survives_json(learned: ChameleonPersonalization) -> None:
    opinions = Evidence((0.5,), (0.5,), 0.1)
    known = ChameleonEvidence(TextEvidence((-3.8,), (-4.0,), (7,)), opinions, learned.settings.judging)
    for evidence in (known, ChameleonEvidence(None, opinions, learned.settings.judging, known)):
        judged = learned.judged(evidence, n=evidence.n, usage=Usage())
        card = json.loads(json.dumps(judged.to_json()))
        again = ChameleonPersonalization.from_parts(card, learned.tensor_bytes())
        assert (again.evidence, again.gate) == (evidence, evidence.reason)


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
        ({"evidence": {"texts": None, "opinions": None, "settings": {}}}, "damaged at evidence"),
    ],
)
async def test_personalization_of_a_damaged_card_is_an_error(
    learned: ChameleonPersonalization, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(PersonalizationError, match=message):
        ChameleonPersonalization.from_parts(learned.to_json() | change, learned.tensor_bytes())
