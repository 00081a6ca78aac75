"""A personalization that an older version stored still loads, and answers as it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import PersonalizationError
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.personalization import FORMAT, FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from tests.methods.people import TableSimilarity, learn, number, paper, random_answers, rater

# Settings since format 2, with the defaults that they have in what was stored before.
NEW_SETTINGS = {
    "search": {"crossing": 1, "parents": "memory", "plateau": None, "stop_when_perfect": False},
    "hybrid": {"examples": 0, "max_prompt_tokens": None},
    "ensemble": {
        "prompts": 1,
        "tolerance": 1.0,
        "orders": 1,
        "calibrate": False,
        "sharpness": 1.0,
        "own_answers": 0.0,
        "own_nearness": None,
        "decide": "mode",
    },
    "meta_prompt.form": "paper",
    "meta_prompt.successes": 4,
    "meta_prompt.keeps_profile": False,
    "meta_prompt.kinds": [],
    "retrieval.shrinkage": 0.0,
    "evidence.by": "held_out",
    "evidence.fold_back": False,
}
STORED = Path(__file__).with_name("format-1.json")


def stored() -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))
    return payload


def test_format_1_is_read_and_written_in_the_format_of_now() -> None:
    payload = stored()
    assert payload["format"] == 1
    learned = FermiPersonalization.from_json(payload)
    assert learned.format == FORMAT == 4
    assert (learned.finished, learned.held_out, learned.evidence) == (True, (), None)
    assert (learned.used, learned.gate, learned.settings.evidence.share) == (True, "", 0.0)
    now = learned.to_json()
    assert FermiPersonalization.from_json(now) == learned
    known = {key: now[key] for key in payload}
    known["settings"] = {key: now["settings"][key] for key in payload["settings"]}
    assert known["settings"]["demonstrations"].pop("prefer") == "misaligned"  # a setting since then, with its default
    assert known["settings"]["answering"].pop("form") == "labelled"  # another
    for name, default in NEW_SETTINGS.items():
        owner, _, key = name.rpartition(".")
        assert (now["settings"][owner] if owner else now["settings"]).pop(key) == default
    assert known["settings"]["answering"].pop("output_rule") is False  # it was learned without
    for prompt in (known["initial"], *known["prompts"], *known["memory"]):
        assert [prompt["prompt"].pop(key) for key in ("seen", "fold", "kind")] == [[], None, ""]
        for cell in prompt["cells"]:
            later = ("logprobs", "messages", "cut_off", "filtered")
            assert [cell["response"].pop(key) for key in later] == [[], [], False, False]
    assert known == {**payload, "format": FORMAT}


def test_format_2_is_read_and_written_in_the_format_of_now() -> None:
    """Format 2 is that of now without what crossing, hybrid prompts and ensembles need."""
    now = FermiPersonalization.from_json(stored()).to_json()
    evidence = {"personalized": [1.0], "base": [0.0], "margin": 0.0, "learned_from": None, "kind": "opinions"}
    before = json.loads(json.dumps({**now, "format": 2, "evidence": evidence, "made_with": "abc"}))
    del before["folds"]
    for name in NEW_SETTINGS:
        owner, _, key = name.rpartition(".")
        del (before["settings"][owner] if owner else before["settings"])[key]
    for prompt in (before["initial"], *before["prompts"], *before["memory"]):
        for key in ("seen", "fold", "kind"):
            del prompt["prompt"][key]
    learned = FermiPersonalization.from_json(before)
    assert (learned.format, learned.folds, learned.used) == (FORMAT, (), True)
    evidence_now = {**evidence, "few_shot": []}
    assert learned.to_json() == {**now, "evidence": evidence_now, "made_with": "abc"}


def test_format_3_is_read_and_written_in_the_format_of_now() -> None:
    """Format 3 is that of now without calibration, own answers by nearness, and the limit that was found."""
    now = FermiPersonalization.from_json(stored()).to_json()
    before = json.loads(json.dumps({**now, "format": 3}))
    del before["max_prompt_tokens"]
    for key in ("calibrate", "sharpness", "own_nearness"):
        del before["settings"]["ensemble"][key]
    assert FermiPersonalization.from_json(before).to_json() == now


@pytest.mark.parametrize("format", [0, FORMAT + 1, None, "3"])
def test_another_format_is_refused(format: object) -> None:
    with pytest.raises(PersonalizationError, match="not a Fermi personalization of format 4 or older"):
        FermiPersonalization.from_json({**stored(), "format": format})


def test_folds_that_do_not_fit_are_refused() -> None:
    now = FermiPersonalization.from_json(stored()).to_json()
    with pytest.raises(PersonalizationError, match="damaged at folds"):
        FermiPersonalization.from_json({**now, "folds": [0]})


async def test_a_personalization_of_format_1_answers() -> None:
    learned = FermiPersonalization.from_json(stored())
    near = TableSimilarity(lambda q, d: number(q + d) % 7)
    model = random_answers()
    answerer = Answerer(model, learned.settings.answering)
    answers = await RetrievalOfPrompt(learned, answerer, near).answer([o.question for o in rater(3).opinions])
    assert model.completion_requests
    assert not any("Reply with" in request.messages[-1].content for request in model.completion_requests)
    assert [answer.response.answer for answer in answers] == [answer.response.text for answer in answers]


async def test_what_was_stored_before_the_output_rule_is_asked_without() -> None:
    learned = await learn(rater(6), paper(iterations=1, answering=AnsweringSettings(output_rule=False)))
    payload = learned.to_json()
    assert FermiPersonalization.from_json(payload) == learned
    del payload["settings"]["answering"]["output_rule"]
    for older in (payload | {"format": 2}, payload):
        assert FermiPersonalization.from_json(older) == learned
    now = await learn(rater(6), paper(iterations=1))
    assert FermiPersonalization.from_json(now.to_json()).settings.answering.output_rule


@pytest.mark.parametrize("damaged", [None, [], "x", {"answering": None}, {"answering": []}])
async def test_damaged_settings_are_an_error(damaged: Any) -> None:
    payload = (await learn(rater(6), paper(iterations=1))).to_json()
    with pytest.raises(PersonalizationError, match="damaged at settings"):
        FermiPersonalization.from_json(payload | {"settings": damaged})
