"""An edit under the prompt of few-shot: what is shown, who is asked, and that nothing is learned twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.evaluate.archive import Archive
from idiolect.evaluate.methods.chameleon import ChameleonMethod, UnderExamples
from idiolect.evaluate.methods.method import Learned
from idiolect.evaluate.methods.prompting import Prompting, texts_prompt
from idiolect.evaluate.methods.table import METHODS
from idiolect.evaluate.records import Arm
from idiolect.evaluate.running import Runner
from idiolect.methods.texts import text_log_likelihoods
from tests.evaluate.methods.every_prompt import Shown, on_weights, writers
from tests.evaluate.small_world import CONFIG, arms, desk

EDIT = "chameleon[evidence.share=0.0,max_fluency_cost=null]"


def test_every_edit_has_its_method_and_brackets_reach_both_parts() -> None:
    edits = {name for name in METHODS if name.startswith("chameleon") and name != "chameleon-start"}
    assert {f"few-shot+{name}" for name in edits} <= set(METHODS)
    overrides = (("k", "3"), ("generation.pairs", "5"), ("texts", "2"))
    made = METHODS["few-shot+chameleon-paper"].make(overrides)
    assert made == UnderExamples(
        ChameleonMethod("literal", overrides=(("generation.pairs", "5"),)), Prompting("few-shot", k=3, texts=2)
    )
    assert METHODS["few-shot+chameleon-group"].personal, "the examples are a person's, although the edit is a group's"


async def test_the_edited_model_answers_under_the_prompt_of_who_was_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown(monkeypatch)
    opened = on_weights(writers("ann", "bob"), tmp_path / "weights")
    archive = Archive.open(tmp_path / "out", CONFIG)
    found = arms(f"vanilla,few-shot,{EDIT},few-shot+{EDIT}")
    await Runner(opened, found, (0,), archive).run()
    assert not {each.reason for each in archive.answers if each.reason}
    by_arm = {(each.arm, each.user): each for each in archive.learning}
    both, alone = Arm(f"few-shot+{EDIT}"), Arm(EDIT)
    assert by_arm[both, "ann"].learning == by_arm[alone, "ann"].learning, "learned once, and billed to both"
    values = {arm: [each.values for each in archive.answers if each.arm == arm] for arm in (both, alone)}
    plain = [each.values for each in archive.answers if each.arm == Arm("few-shot")]
    assert len({str(each) for each in (values[both], values[alone], plain)}) == 3
    asked = [text for text in shown.messages if "What about people, asked 0?" in text]
    assert any("ann-train-0" in text and "bob-train-0" not in text for text in asked), "examples near to the question"


async def test_texts_are_scored_by_the_edited_model_after_five_texts(tmp_path: Path) -> None:
    opened = on_weights(writers("ann", "bob"), tmp_path / "weights")
    of = opened.benchmark.cases[0]
    user = replace(of.user, opinions=())
    at = desk(opened)
    method = METHODS["few-shot+chameleon"].make((("evidence.share", "0.0"), ("max_fluency_cost", "null")))
    assert isinstance(method, UnderExamples)
    learned = await method.learn(replace(of, user=user), at)
    learned = replace(learned, source=user)
    edited = method.edit.model(learned, at)
    prompt = f"{Prompting('few-shot').prompted(edited, user, at).log_likelihoods.keywords['prompt']}"  # type: ignore[union-attr]
    assert texts_prompt(user, most=5) in prompt
    scores = method.examinee(learned, at).log_likelihoods
    assert scores is not None
    expected = await text_log_likelihoods(of.texts, edited, prompt=prompt)
    assert await scores(of.texts) == pytest.approx(expected)
    unprompted = await text_log_likelihoods(of.texts, edited)
    base = await text_log_likelihoods(of.texts, at.model, prompt=prompt)
    assert expected != pytest.approx(unprompted)
    assert expected != pytest.approx(base)
    rejected = method.examinee(Learned(learned.value, used=False, source=user), at).log_likelihoods
    assert rejected is not None
    assert await rejected(of.texts) == pytest.approx(base), "without the edit, the prompt answers alone"
