"""Steps in an evaluation: the group's edit alone, steps from it, and both under examples."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from idiolect.errors import HaltedError, SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.chameleon import ChameleonMethod, StartMethod
from idiolect.evaluate.records import Arm
from idiolect.evaluate.running import Runner
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, StartedFrom
from idiolect.methods.chameleon.settings import ChameleonSettings, preset
from idiolect.methods.chameleon.start import Start, plain_start
from idiolect.models.edit_training import OnStep
from idiolect.models.local import LocalModel
from tests.evaluate.methods.every_prompt import on_weights, writers
from tests.evaluate.small_world import CONFIG, arms, desk

UNGATED = "[evidence.share=0.0,max_fluency_cost=null]"


def opened(folder: Path, **changes: Any) -> Bench:
    """Tiny weights with a group's edit, and the preset that begins there."""
    found = on_weights(writers("ann", "bob"), folder)
    assert found.open_weights is not None
    named: dict[str, Any] = {"settings": preset("grouped"), **changes}
    return replace(found, open_weights=replace(found.open_weights, **named))


async def test_steps_begin_at_the_groups_edit_and_answer_with_and_without_examples(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path / "out", CONFIG)
    methods = ["vanilla", "chameleon-start", f"chameleon{UNGATED}", f"few-shot+chameleon{UNGATED}"]
    await Runner(opened(tmp_path / "weights"), arms(",".join(methods)), (0,), archive).run()
    assert not {each.reason for each in archive.answers if each.reason}
    values = {method: [str(each.values) for each in archive.answers if each.arm == Arm(method)] for method in methods}
    assert len({str(each) for each in values.values()}) == 4, "every method has scores of its own"
    by_arm = {(each.arm, each.user): each for each in archive.learning}
    alone, both = (by_arm[Arm(method), "ann"] for method in methods[2:])
    assert alone.notes["variant"].startswith("grouped")
    assert alone.notes["pairs"] == 0
    assert both.learning == alone.learning, "it is learned once"


async def test_a_step_begins_where_the_bench_says(tmp_path: Path) -> None:
    of = opened(tmp_path / "weights")
    (case, _), start = of.benchmark.cases, of.weights().start
    assert start is not None
    learned = await ChameleonMethod().learn(case, desk(of))
    value: ChameleonPersonalization = learned.value
    assert value.started_from == StartedFrom("critics", start.digest)
    assert value.read is not None
    found = await StartMethod().learn(case, desk(of))
    assert found.value == start.edit
    plain = replace(of, open_weights=replace(of.weights(), settings=preset("measured")))
    assert (await ChameleonMethod().learn(case, desk(plain))).value.started_from is None


async def test_who_has_no_texts_learns_with_the_preset_for_such_people(tmp_path: Path) -> None:
    of = opened(tmp_path / "weights", settings_without_texts=preset("measured"))
    (case, other) = of.benchmark.cases
    rater = replace(other, user=replace(other.user, texts=()))
    method = ChameleonMethod()
    learned = [await method.learn(each, desk(of, each.user.id)) for each in (case, rater)]
    assert [each.notes["preset"] for each in learned] == ["grouped", "measured"]
    assert [each.value.started_from is None for each in learned] == [False, True]
    timed = await method.fit_timed(rater.user, desk(of, "bob"))
    assert (timed.notes["preset"], timed.value.edit) == ("measured", learned[1].value.edit)
    same = replace(of, open_weights=replace(of.weights(), settings_without_texts=None))
    assert method.learning_key(of) != method.learning_key(same)
    for shared in (ChameleonMethod("literal"), ChameleonMethod(pooled="group")):
        assert shared.learning_key(of) == shared.learning_key(same)


async def test_what_is_measured_once_is_in_nobodys_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DPO may train as long as a person's step takes, without the texts that the model writes once for all people."""
    of = opened(tmp_path / "weights", settings=replace(preset("measured"), max_fluency_cost=None), start=None)
    seconds, measured = [0.0], list[str]()

    async def slow_start(model: Any, writer: Any, settings: ChameleonSettings) -> Start:
        measured.append(settings.preset)
        seconds[0] += 1000
        return await plain_start(model, writer, settings)

    monkeypatch.setattr("idiolect.evaluate.methods.open_weights.plain_start", slow_start)
    monkeypatch.setattr("idiolect.evaluate.methods.chameleon.time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    calls = []
    for case in of.benchmark.cases:
        at = desk(of, case.user.id)
        learned = await ChameleonMethod().fit_timed(case.user, at)
        assert learned.notes["seconds_without_writing"] == 0
        calls.append(at.meter.calls)
    assert measured == ["measured"]
    texts = of.weights().settings.stepping
    assert texts is not None
    assert calls[0] - calls[1] == 2 * texts.neutral_texts, "whose turn comes first bears the cost: written and scored"


async def test_without_a_groups_edit_nothing_is_learned_silently(tmp_path: Path) -> None:
    of = opened(tmp_path / "weights", start=None)
    for arm in arms("chameleon-start,chameleon", controls=False):
        with pytest.raises(SettingsError, match="group's edit"):
            arm.learning_key(of)


@pytest.mark.parametrize(("method", "work"), [("chameleon", "write_gradient"), ("chameleon-group", "train_edit")])
async def test_a_halt_ends_learning_at_its_next_step(
    method: str, work: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, steps, loop = opened(tmp_path / "weights"), list[int](), asyncio.get_running_loop()
    original = getattr(LocalModel, work)

    async def slow(model: LocalModel, *asked: Any, on_step: OnStep, **named: Any) -> Any:
        def step(done: int, total: int) -> None:  # in the model's thread
            steps.append(done)
            if done == 1:
                loop.call_soon_threadsafe(of.calls.budget.halt, "stopped by hand")
            on_step(done, total)
            told = threading.Event()
            loop.call_soon_threadsafe(told.set)
            told.wait(10)

        return await original(model, *asked, on_step=step, **named)

    monkeypatch.setattr(LocalModel, work, slow)
    case = of.benchmark.cases[0]
    with pytest.raises(HaltedError, match="stopped by hand"):
        await arms(method)[0].method.learn(case, desk(of))
    assert steps == [1, 2]


@pytest.mark.parametrize(
    ("method", "preset_name", "message"),
    [
        ("chameleon[stepping.rank=4]", "grouped", "stepping.rank changes nothing .* comes with the group's edit"),
        ("few-shot+chameleon[stepping.rank=4]", "grouped", "stepping.rank changes nothing"),
        ("chameleon[stepping.neutral_texts=4]", "grouped", "comes with the group's edit"),
        ("chameleon[directions.sample=64]", "grouped", "comes with the group's edit"),
        ("chameleon[stepping.epochs=4]", "grouped", "a group's edit is trained with it"),
        ("chameleon[stepping.epochs=4]", "measured", "a group's edit is trained with it"),
        ("chameleon-group[stepping.step=0.1]", "grouped", "one of a person's step"),
        ("chameleon-unseen[stepping.from_group=false]", "grouped", "one of a person's step"),
        ("chameleon[generation.pairs=8]", "grouped", "methods that learn from pairs, such as chameleon-paper"),
        ("chameleon[generation.temperature=0]", "measured", "methods that learn from pairs"),
        ("chameleon[variants.alpha=2]", "measured", "methods that learn from pairs"),
        ("chameleon[directions.ccs.epochs=2]", "measured", "methods that learn from pairs"),
        ("chameleon[choosing_share=0.2]", "measured", "methods that learn from pairs"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(
    method: str, preset_name: str, message: str, tmp_path: Path
) -> None:
    of = opened(tmp_path / "weights", settings=preset(preset_name))
    with pytest.raises(SettingsError, match=message) as refused:
        arms(method)[0].learning_key(of)
    assert f" changes nothing with the preset {preset_name}: " in str(refused.value)


@pytest.mark.parametrize(
    ("method", "preset_name"),
    [
        ("chameleon[stepping.step=0.01,stepping.strength=0.5,stepping.refit=false]", "grouped"),
        ("chameleon[stepping.rank=4,stepping.neutral_texts=4,directions.sample=64]", "measured"),
        ("chameleon[generation.least_pairs=2,evidence.share=0,max_fluency_cost=null]", "grouped"),
        ("chameleon-group[stepping.rank=4,stepping.epochs=1,stepping.group_strength=0.5]", "grouped"),
        ("chameleon-paper[generation.pairs=8,variants.alpha=2,choosing_share=0.1]", "grouped"),
        ("chameleon[stepping=null,variants.rule=gradient,generation.pairs=8]", "measured"),
    ],
)
def test_a_setting_with_an_effect_is_not_refused(method: str, preset_name: str, tmp_path: Path) -> None:
    assert arms(method)[0].learning_key(opened(tmp_path / "weights", settings=preset(preset_name)))


async def test_why_nothing_was_learned_names_nobody(tmp_path: Path) -> None:
    of = opened(tmp_path / "weights")
    brief = [
        replace(each, user=replace(each.user, opinions=(), texts=each.user.texts[:2])) for each in of.benchmark.cases
    ]
    of = replace(of, benchmark=replace(of.benchmark, cases=tuple(brief)))
    archive = Archive.open(tmp_path / "out", CONFIG)
    await Runner(of, arms("chameleon"), (0,), archive).run()
    reasons = {each.reason for each in archive.answers}
    assert reasons == {"learning needs 4 different opinions and texts, but this person has 2: give a longer history"}, (
        "one for all people, and for the control"
    )
