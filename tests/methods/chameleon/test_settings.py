import json
from dataclasses import replace
from typing import Any

import pytest

from idiolect.errors import SettingsError
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.chameleon.settings import (
    PRESETS,
    ChameleonSettings,
    GenerationSettings,
    SteppingSettings,
    Variant,
    preset,
)
from idiolect.methods.setting_changes import changed_by_text, unusual
from tests.methods.chameleon.planted import Letters, PlantedModel, settings, writer


@pytest.mark.parametrize(
    ("variant", "written"),
    [
        (Variant(), "literal, α 1, β 1, 6 layers"),
        (Variant(layers=None), "literal, α 1, β 1, all layers"),
        (Variant("gradient", 0.02, layers="elbow"), "gradient, α 0.02, layers by the elbow"),
    ],
)
def test_a_variant_is_written_with_its_layers(variant: Variant, written: str) -> None:
    assert str(variant) == written


@pytest.mark.parametrize("layers", [0, -1, "knee", "all"])
def test_another_number_of_layers_is_refused(layers: Any) -> None:
    with pytest.raises(SettingsError, match="must be at least 1, 'elbow', or None for all"):
        Variant(layers=layers)


def test_pairs_end_with_a_whole_sentence_and_other_presets_write_none() -> None:
    assert {name for name, made in PRESETS.items() if made.generation.whole_sentences} == {"paper"}
    assert {name for name, made in PRESETS.items() if made.stepping is None} == {"paper"}
    assert not GenerationSettings().whole_sentences, "stored settings without it are from before it"
    assert unusual(preset("paper"))["generation.whole_sentences"] is True  # other data than under the old preset


def test_brackets_reach_what_is_known_of_the_ancestors_code() -> None:
    brackets = {
        "directions.ccs.centring": "none",
        "directions.ccs.scaling": "none",
        "variants.layers": "elbow",
        "positions": "generated",
        "generation.whole_sentences": "false",
    }
    found = changed_by_text(preset("paper"), brackets.items())
    assert (found.directions.ccs.centring, found.directions.ccs.scaling) == ("none", "none")
    assert found.variants == (Variant(layers="elbow"),)
    assert (found.positions, found.generation.whole_sentences) == ("generated", False)
    with pytest.raises(SettingsError, match="must be a whole number, one of 'elbow', or null"):
        changed_by_text(preset("paper"), [("variants.layers", "knee")])


async def test_settings_before_whole_sentences_are_read_as_what_they_were() -> None:
    learned = await Chameleon(PlantedModel(), settings(), embedder=Letters()).fit(writer())
    card = json.loads(json.dumps(learned.to_json()))
    card["settings"]["generation"]["whole_sentences"] = True
    assert ChameleonPersonalization.from_parts(card, learned.tensor_bytes()).settings.generation.whole_sentences
    del card["settings"]["generation"]["whole_sentences"]
    assert not ChameleonPersonalization.from_parts(card, learned.tensor_bytes()).settings.generation.whole_sentences


@pytest.mark.parametrize(("layers", "n"), [("elbow", 1), (None, 3), (2, 2)])
async def test_every_number_of_layers_and_every_reason_to_drop_a_pair_survives(layers: Any, n: int) -> None:
    made = settings(Variant("contrastive", 0.1, 0.1, layers=layers))
    learned = await Chameleon(PlantedModel(), made, embedder=Letters()).fit(writer())
    learned = replace(learned, dropped={"cut off": 2})
    again = ChameleonPersonalization.from_parts(json.loads(json.dumps(learned.to_json())), learned.tensor_bytes())
    assert (again.variant, again.settings, again.dropped) == (learned.variant, learned.settings, {"cut off": 2})
    assert len(learned.edit.layers) == n


def test_the_rule_of_trained_edits_is_no_variant_to_choose() -> None:
    with pytest.raises(SettingsError, match="variants is 'grouped', must be another rule"):
        ChameleonSettings(variants=(Variant("grouped"),))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("step", "NaN"),
        ("step", "Infinity"),
        ("step", "1e300"),
        ("strength", "0"),
        ("learning_rate", "-1"),
        ("neutral_texts", "0"),
        ("rank", "0"),
        ("rank", "1000000000"),
    ],
)
def test_brackets_reach_a_step_and_refuse_what_has_no_result(name: str, value: str) -> None:
    assert changed_by_text(preset("grouped"), [("stepping.step", "0.25")]).stepping == SteppingSettings(step=0.25)
    with pytest.raises(SettingsError, match=f"stepping.{name} is "):
        changed_by_text(preset("grouped"), [(f"stepping.{name}", value)])
    with pytest.raises(SettingsError, match=f"stepping.{name} cannot be set: stepping is null"):
        changed_by_text(preset("paper"), [(f"stepping.{name}", value)])
