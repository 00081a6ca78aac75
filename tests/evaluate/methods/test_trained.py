"""The trained methods and StyleVector in an evaluation, with a tiny network: what they choose, and what they note."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import HaltedError, SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.methods.bench import OpenWeights
from idiolect.evaluate.methods.style_vector import StyleVectorChoice
from idiolect.evaluate.methods.trained import LongDpoMethod, SftMethod
from idiolect.evaluate.running import Runner
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.chameleon.settings import preset
from tests.evaluate.methods.every_prompt import Shown, on_weights, writers
from tests.evaluate.small_world import CONFIG, arms, bench, desk

FEW = "others.people=2,counts=1+2,rank=2,alpha=4,batch_size=2,learning_rate=0.005"


async def notes_of(folder: Path, methods: str) -> list[list[dict[str, Any]]]:
    """Notes on Ann and Bob, for each method."""
    archive = Archive.open(folder / "out", CONFIG)
    opened = on_weights(writers("ann", "bob"), folder / "weights")
    await Runner(opened, arms(methods, controls=False), (0,), archive).run()
    assert not {each.reason for each in archive.answers if each.reason}
    found: dict[str, list[dict[str, Any]]] = {}
    for record in archive.learning:
        found.setdefault(record.arm.method, []).append(dict(record.notes))
    return list(found.values())


async def test_steps_are_chosen_on_others_once_and_nothing_that_is_asked_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown(monkeypatch)
    methods = f"sft[{FEW}],dpo-own-long[{FEW},beta=0.2],sft[max_steps=3,seconds=500]"
    *stepwise, (fixed, _) = await notes_of(tmp_path, methods)
    assert len(stepwise) == 2
    for first, second in stepwise:
        chosen = first["chosen"]
        assert chosen == second["chosen"], "it is chosen once"
        assert list(chosen["gains"]) == ["1", "2"]
        assert chosen["people"] in (1, 2), "the tiny network may write too few pairs for one of them"
        best = int(max(chosen["gains"], key=chosen["gains"].__getitem__))
        assert [each["steps"] for each in (first, second)] == [best, best]
        assert len(first["losses"]) == best
        assert first["seconds_trained"] > 0
        assert first["cpu_seconds_trained"] > 0
    assert (fixed["steps"], fixed["seconds_allowed"], "chosen" in fixed) == (3, 500.0, False)
    assert not [text for text in shown.messages if "-asked" in text]


async def test_style_vector_chooses_layer_and_strength_on_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown(monkeypatch)
    few = "vector.max_tokens=6,others.people=2"
    spec = f"style-vector[{few},depths=0+1,alphas=0.1+5],style-vector[{few},layer=1,alpha=0.5]"
    (first, second), fixed = await notes_of(tmp_path, spec)
    gains = first["chosen"]["gains"]
    assert list(gains) == [f"({layer}, {alpha})" for layer in (0, 2) for alpha in (0.1, 5.0)]
    best = max(gains, key=gains.__getitem__)
    assert str((first["layer"], first["alpha"])) == str((second["layer"], second["alpha"])) == best
    assert {(each["layer"], each["alpha"], each.get("chosen")) for each in fixed} == {(1, 0.5, None)}
    assert not [text for text in shown.messages if "-asked" in text]
    assert any("plain, neutral words" in text and "other" in text for text in shown.messages)


@pytest.mark.parametrize("name", ["sft", "dpo-long", "dpo-own-long", "style-vector"])
def test_nobody_to_choose_on_is_said_before_anything_is_learned(name: str) -> None:
    alone = bench(open_weights=OpenWeights(None, "1", preset("measured")))  # type: ignore[arg-type]
    alone = replace(alone, benchmark=replace(alone.benchmark, others=()))
    fixed = "layer=1,alpha=2" if name == "style-vector" else "max_steps=3"
    named = "layer=L,alpha=A" if name == "style-vector" else "max_steps=N"
    with pytest.raises(SettingsError, match=named):
        arms(name)[0].learning_key(alone)
    arms(f"{name}[{fixed}]")[0].learning_key(alone)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sft[max_steps=0]", "max_steps is 0, must be at least 1"),
        ("sft[counts=0+2]", "counts is"),
        ("dpo-long[rank=0]", "rank is 0"),
        ("sft[beta=0.1]", "unknown setting 'beta'"),
        ("style-vector[depths=2.0]", "depths is"),
        ("style-vector[layer=-1]", "layer is -1"),
        ("style-vector[alpha=NaN]", "alpha is nan"),
        ("style-vector[alpha=Infinity]", "alpha is inf"),
        ("style-vector[alphas=1+NaN]", "alphas is"),
        ("style-vector[vector.temperature=Infinity]", "vector.temperature is inf"),
        ("sft[learning_rate=Infinity]", "learning_rate is inf"),
        ("sft[rank=1000000000]", "rank is 1000000000, must be at most"),
        ("sft[counts=99999999999999999999]", "counts is"),
        ("dpo-own-long[beta=NaN]", "dpo.beta is nan"),
        ("dpo-long[beta=0]", "dpo.beta is 0"),
    ],
)
def test_wrong_settings_are_found_at_once(spec: str, message: str) -> None:
    opened = bench(open_weights=OpenWeights(None, "1", preset("measured")))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=message):
        arms(spec)[0].learning_key(opened)


def test_a_layer_that_the_model_does_not_have_is_told() -> None:
    assert StyleVectorChoice(layer=2, alpha=1.0).candidates(3) == [(2, 1.0)]
    with pytest.raises(SettingsError, match="layer is 3, must be less than 3"):
        StyleVectorChoice(layer=3, alpha=1.0).candidates(3)


class _TwoPairs:
    """Pairs for which no model writes."""

    async def pairs(self, *_: object) -> tuple[Pair, ...]:
        return Pair("Do you agree?", "I agree.", "Perhaps."), Pair("Should we help?", "People help.", "It depends.")

    def learning_key(self, *_: object) -> str:
        return "two"


@pytest.mark.parametrize("kind", ["sft", "dpo"])
async def test_a_halt_ends_a_training_at_its_next_step(kind: str, tmp_path: Path) -> None:
    of, limits = on_weights(writers("ann", "bob"), tmp_path / "weights"), (("max_steps", "30"),)
    method = SftMethod(limits) if kind == "sft" else LongDpoMethod(_TwoPairs(), limits)
    of.calls.budget.halt("stopped by hand")
    with pytest.raises(HaltedError, match="stopped by hand"):
        await method.learn(of.benchmark.cases[0], desk(of))
