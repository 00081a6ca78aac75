"""Settings from choices: what None leaves to the preset, and models whose weights cannot be edited."""

from __future__ import annotations

from typing import get_args

import pytest

from idiolect.application.chameleon_presets import chameleon_default
from idiolect.application.choices import (
    ChameleonChoices,
    FermiChoices,
    chameleon_settings,
    check_open_weights,
    fermi_settings,
)
from idiolect.application.names import CHAMELEON, FERMI, PRESETS, PresetName
from idiolect.errors import SettingsError
from idiolect.methods.chameleon import settings as chameleon
from idiolect.methods.fermi import presets as fermi
from idiolect.people.user import Opinion, Question, User

LOCAL, REMOTE = "embedded", "gpt-4o-mini"
STEPPED = ("grouped", "measured")


def test_names_of_presets_are_those_of_the_methods() -> None:
    known = {FERMI: set(fermi.PRESETS), CHAMELEON: set(chameleon.PRESETS)}
    assert {method: set(offered) for method, offered in PRESETS.items()} == known
    assert set(get_args(PresetName)) == set().union(*known.values())


@pytest.mark.parametrize(("model", "name"), [(LOCAL, "demo"), (REMOTE, "api"), ("http://127.0.0.1:9/v1#m", "api")])
def test_without_choices_the_model_decides_on_the_preset(model: str, name: str) -> None:
    assert fermi_settings(FermiChoices(), model=model) == fermi.preset(name)


def test_choices_differ_from_the_preset_and_nothing_else_does() -> None:
    choices = FermiChoices("demo", "generate", "bm25", ("llm",), 7, 5, seed=3)
    found, demo = fermi_settings(choices, model=LOCAL), fermi.preset("demo")
    assert (found.answering.mode, found.answering.max_tokens) == ("generate", 5)
    assert (found.retrieval.similarity, found.proposers, found.iterations, found.seed) == ("bm25", ("llm",), 7, 3)
    assert found.meta_prompt == demo.meta_prompt, "a proposal may have more tokens than an answer"
    assert (found.preset, found.proposals, found.evidence) == (demo.preset, demo.proposals, demo.evidence)
    more = fermi_settings(FermiChoices(max_tokens=5000), model=REMOTE)
    assert (more.answering.max_tokens, more.meta_prompt.max_tokens) == (5000, 5000)


def test_a_named_optimizer_proposes_unless_the_proposers_are_named() -> None:
    assert fermi.preset("demo").proposers == ("demonstrations",)
    named = fermi_settings(FermiChoices(), model=LOCAL, optimizer=LOCAL)
    assert named.proposers == ("llm", "demonstrations")
    both = fermi_settings(FermiChoices(proposers=("demonstrations",)), model=LOCAL, optimizer=LOCAL)
    assert both.proposers == ("demonstrations",)


def test_a_remote_optimizer_is_given_no_prefilled_text() -> None:
    assert fermi_settings(FermiChoices("demo"), model=LOCAL, optimizer=LOCAL).meta_prompt.prefill
    remote = fermi_settings(FermiChoices("demo"), model=LOCAL, optimizer=REMOTE)
    assert remote.meta_prompt == fermi.preset("api").meta_prompt


def test_pairs_may_be_fewer_than_the_preset_needs_at_least() -> None:
    paper = chameleon.preset("paper").generation
    found = chameleon_settings(ChameleonChoices("paper", pairs=2, max_tokens=6, seed=4), model=LOCAL)
    assert (found.generation.pairs, found.generation.least_pairs, found.generation.seed) == (2, 2, 4)
    assert (found.generation.max_tokens, found.answering.max_tokens) == (6, 6)
    many = chameleon_settings(ChameleonChoices("paper", pairs=paper.least_pairs + 9), model=LOCAL)
    assert many.generation.least_pairs == paper.least_pairs


@pytest.mark.parametrize("choices", [ChameleonChoices(pairs=6), *(ChameleonChoices(p, pairs=6) for p in STEPPED)])
def test_a_number_of_pairs_is_refused_where_none_are_written(choices: ChameleonChoices) -> None:
    with pytest.raises(SettingsError, match="writes no pairs: leave out the number of pairs, or choose the preset pap"):
        chameleon_settings(choices, model=LOCAL)


@pytest.mark.parametrize("name", [None, *STEPPED])
def test_a_similarity_is_refused_where_no_history_is_selected(name: str | None) -> None:
    with pytest.raises(SettingsError, match=r"leave out the similarity, by which .*, or choose the preset paper"):
        chameleon_settings(ChameleonChoices(name, similarity="minilm"), model=LOCAL)
    assert chameleon_settings(ChameleonChoices("paper", similarity="minilm"), model=LOCAL).similarity == "minilm"


@pytest.mark.parametrize("name", ["measured", "paper"])
def test_a_group_is_refused_where_no_step_begins_at_it(name: str) -> None:
    with pytest.raises(SettingsError, match=f"preset {name} does not begin at a group's edit: choose the preset group"):
        chameleon_settings(ChameleonChoices(name, from_group="readers"), model=LOCAL)


@pytest.mark.parametrize(
    ("choices", "model", "name", "why"),
    [
        (ChameleonChoices(), "embedded", "grouped", "an edit of a group of writers is packaged for embedded"),
        (ChameleonChoices(), "some/model", "measured", "none is packaged for the model"),
        (ChameleonChoices(from_group="readers"), "some/model", "grouped", "begins at the edit of readers"),
        (ChameleonChoices(from_group="readers"), "embedded", "grouped", "begins at the edit of readers"),
    ],
)
def test_the_edit_at_hand_decides_on_the_preset(choices: ChameleonChoices, model: str, name: str, why: str) -> None:
    found = chameleon_default(model=model, from_group=choices.from_group)
    writes = found.of(User("ann", texts=("I write.",)))
    assert (writes.name, why in writes.line) == (name, True)
    assert chameleon_settings(choices, model=model).preset == name


def test_who_has_no_texts_has_another_preset_only_where_the_edit_is_the_packaged_one() -> None:
    rater = User("bob", opinions=(Opinion(Question("Tea?", ("yes", "no")), "yes"), Opinion("And why?", "It is warm.")))
    packaged = chameleon_default(model="embedded")
    assert (packaged.by_person, packaged.of(rater).name) == (True, "measured")
    assert packaged.line == f"{packaged.with_texts.line}; {packaged.without_texts.line}"
    assert packaged.reasons.keys() == {"grouped", "measured"}
    for model, group in (("some/model", None), ("some/model", "readers"), ("embedded", "readers")):
        found = chameleon_default(model=model, from_group=group)
        assert (found.by_person, found.of(rater)) == (False, found.with_texts)
        assert found.line == found.with_texts.line


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("gpt-4o-mini", "a model behind an API"),
        ("http://127.0.0.1:9/v1#x", "a model behind an API"),
        ("replay:answers.jsonl", "replay:…"),
    ],
)
def test_a_model_without_open_weights_is_refused_and_fermi_named(name: str, what: str) -> None:
    for check in (check_open_weights, lambda model: chameleon_settings(ChameleonChoices(), model=model)):
        with pytest.raises(SettingsError, match=f"needs open weights, which {what}") as caught:
            check(name)
        assert caught.value.remedy is not None
        assert (caught.value.remedy.setting, caught.value.remedy.value) == ("method", "fermi")
        assert "from answers" in caught.value.remedy.effect, "it does nothing for people who have texts only"


@pytest.mark.parametrize("choices", [FermiChoices(preset="bold"), FermiChoices(iterations=0)])
def test_settings_that_make_no_sense_are_errors(choices: FermiChoices) -> None:
    with pytest.raises(SettingsError):
        fermi_settings(choices, model=LOCAL)
