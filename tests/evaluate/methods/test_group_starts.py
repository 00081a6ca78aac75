"""Where steps begin in an evaluation: at a group's edit, which is there before anything is asked, or at nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from idiolect.errors import SettingsError
from idiolect.evaluate.methods.bench import Bench, OpenWeights
from idiolect.evaluate.methods.open_weights import plain_start_of
from idiolect.evaluate.methods.table import METHODS
from idiolect.methods.chameleon.settings import ChameleonSettings, preset
from idiolect.methods.chameleon.start import Start, edit_of_factors
from tests.evaluate.small_world import arms, bench, desk
from tests.methods.chameleon.starts import random_start


def unopened(start: Start | None = None) -> Bench:
    """Settings without weights, for what is known before anything is learned."""
    return bench(open_weights=OpenWeights(None, "1", preset("grouped"), start))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("chameleon-start", "there is no group's edit for this model"),
        *[
            (name, r"begins at a group's edit, and none is packaged .* or choose .* measured")
            for name in ("chameleon", "few-shot+chameleon", "fermi+chameleon", "chameleon-random", "dpo-own")
        ],
    ],
)
def test_without_a_groups_edit_nothing_is_begun(methods: str, message: str) -> None:
    for arm in arms(methods, controls=False):
        with pytest.raises(SettingsError, match=message):
            arm.learning_key(unopened())


@pytest.mark.parametrize(
    "method",
    ["chameleon-paper", "chameleon-group", "dpo[max_steps=2]", "dpo-own-long[max_steps=2]"],
)
def test_methods_that_begin_elsewhere_need_no_groups_edit(method: str) -> None:
    assert arms(method)[0].learning_key(unopened())


def test_the_groups_edit_is_what_is_learned_with_it() -> None:
    of = unopened(random_start(2, 8))
    other = unopened(replace(random_start(2, 8), digest="another"))
    arm = arms("chameleon-start")[0]
    assert arm.learning_key(of) != arm.learning_key(other)
    assert not METHODS["chameleon-start"].personal


async def test_the_groups_edit_can_be_as_strong_as_in_a_persons_edit() -> None:
    start = random_start(2, 8)
    of, method = unopened(start), METHODS["chameleon-start"]
    case = of.benchmark.cases[0]
    usual, weaker = [
        (await method.make(brackets).learn(case, desk(of))).value for brackets in ((), (("strength", "0.75"),))
    ]
    assert usual == start.edit
    assert weaker == edit_of_factors(start.factors, 0.75) != usual
    keys = {arm.learning_key(of) for arm in arms("chameleon-start,chameleon-start[strength=0.75]")}
    assert len(keys) == 2
    for bad in ("0", "-1", "NaN"):
        with pytest.raises(SettingsError, match=r"strength is .* must be greater than 0"):
            arms(f"chameleon-start[strength={bad}]")[0].learning_key(of)


async def test_the_model_is_measured_once_for_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[ChameleonSettings] = []

    async def measure(_model: Any, _writer: Any, settings: ChameleonSettings) -> Any:
        measured.append(settings)
        return len(measured)

    monkeypatch.setattr("idiolect.evaluate.methods.open_weights.plain_start", measure)
    usual, at = preset("measured"), desk(bench())
    smaller = replace(usual, directions=replace(usual.directions, sample=64))
    found: list[Any] = [await plain_start_of(at, settings) for settings in (usual, smaller, usual, smaller)]
    assert found == [1, 2, 1, 2]
    assert measured == [usual, smaller]
