"""What an evaluation's folder keeps of its configuration: settings behind a preset's name are told apart."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.kept import kept_config
from idiolect.evaluate.methods.bench import OpenWeights
from idiolect.methods.chameleon.settings import ChameleonSettings, preset
from idiolect.methods.setting_changes import unusual
from tests.evaluate.small_world import bench, benchmark


def kept(settings: ChameleonSettings, of: Benchmark, without_texts: ChameleonSettings | None = None) -> Any:
    weights = OpenWeights(None, "1", settings, settings_without_texts=without_texts)  # type: ignore[arg-type]
    opened = bench(of, open_weights=weights)
    return kept_config(EvaluationConfig(task="users"), of, opened)["presets"]["chameleon"]


def test_other_steps_are_other_settings_even_if_a_default_changes() -> None:
    of, grouped = benchmark(), preset("grouped")
    stepping = grouped.stepping
    assert stepping is not None
    found = {
        kept(made, of)
        for made in (grouped, replace(grouped, stepping=None), replace(grouped, stepping=replace(stepping, rank=2)))
    }
    assert len(found) == 3
    names = {path for path in unusual(grouped) if path.startswith("stepping.")}
    assert names == {f"stepping.{each.name}" for each in fields(stepping)}, "another default has another hash"


def test_a_preset_for_each_person_is_another_than_one_for_all() -> None:
    of, grouped, measured = benchmark(), preset("grouped"), preset("measured")
    found = {kept(grouped, of), kept(grouped, of, measured), kept(grouped, of, preset("paper")), kept(measured, of)}
    assert len(found) == 4
