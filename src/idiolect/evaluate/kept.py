"""The part of a configuration that an evaluation's folder keeps, so that a different evaluation is detected.

    EvaluationConfig, Benchmark, Bench → config.json

`evaluate.archive` compares the settings that must not change; `configuration.as_kept` reads them back for a report.
"""

from __future__ import annotations

import hashlib
import json
import platform
from typing import Any

from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.config_file import PRESETS_KEY, START_KEY
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.model_names import without_path
from idiolect.evaluate.opening import form_of
from idiolect.evaluate.provenance import library_versions
from idiolect.methods.answering import QuestionForm
from idiolect.methods.setting_changes import unusual
from idiolect.version import __version__

_HELD_OUT = "by rank"  # how what judges an edit is drawn (`chameleon.roles`); another draw needs another word here
_LOCAL = "local"  # kept although nobody named it: folders with `null` and a local model were made with `demo`


_SETTINGS = (
    "preset", "chameleon_preset", "answering", "normalization", "max_tokens", "similarity", "proposers", "iterations",
    "pairs", "pair_tokens", "calls_per_person",
)  # fmt: skip
_SPLIT = ("train", "test", "seed", "group", "topics", "split", "history")
_CURVES = ("curve_opinions", "curve_iterations", "curve_methods")


def kept_config(config: EvaluationConfig, benchmark: Benchmark, bench: Bench | None) -> dict[str, Any]:
    """Return the configuration in a folder's format: everything that affects the results, without local paths.

    Args:
        config: configuration of the evaluation.
        benchmark: benchmark of its task.
        bench: the open models; None if no questions are asked.
    """
    if bench is not None and bench.chosen is not None and bench.chosen.name == _LOCAL:
        config = config.model_copy(update={"preset": _LOCAL})
    return {
        "task": config.task,
        "data": _data_digest(benchmark, config.group),
        **kept_settings(config, form=form_of(config, benchmark)),
        "fingerprint": "" if bench is None else bench.model.fingerprint,
        PRESETS_KEY: {} if bench is None else _preset_digests(bench),
        START_KEY: None if bench is None else _start(bench),
        "versions": _versions(),
    }


def _start(bench: Bench) -> dict[str, str] | None:
    """Return what identifies the group's edit at which people's steps begin, wherever its folder is; None: no edit."""
    start = None if bench.open_weights is None else bench.open_weights.start
    return None if start is None else {"group": start.group, "digest": start.digest}


def _preset_digests(bench: Bench) -> dict[str, str]:
    """Return a hash of the settings that each method learns with, because a preset of the same name may change."""
    presets = {"fermi": _digest(bench.fermi)}
    weights = bench.open_weights
    if weights is not None:
        presets["chameleon"] = _hash(f"{_digest(weights.settings)} {_HELD_OUT}")
    if weights is not None and weights.settings_without_texts is not None:  # older folders learned the same of all
        presets["chameleon"] = _hash(f"{presets['chameleon']} {_digest(weights.settings_without_texts)}")
    return presets


def _digest(settings: Any) -> str:
    named_elsewhere = ("similarity", "retrieval.similarity")  # without its path, which may differ
    values = {path: value for path, value in unusual(settings).items() if path not in named_elsewhere}
    return _hash(repr(sorted(values.items())))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def kept_settings(config: EvaluationConfig, *, form: QuestionForm | None = None) -> dict[str, Any]:
    """Return the part of `kept_config` that depends on nothing but the configuration and the form of the questions."""
    values = config.model_dump(mode="json")
    settings = {name: values[name] for name in _SETTINGS}
    if config.similarity is not None:
        settings["similarity"] = without_path(config.similarity)
    return {
        "split": {name: values[name] for name in _SPLIT}
        | _unusual("lamp_asks", config.lamp_asks, "published")
        | _unusual("mask_names", config.mask_names, False),
        "models": {
            "model": without_path(config.model),
            "optimizer": without_path(config.optimizer or config.model),
            "transfer": [without_path(name) for name in config.transfer],
            "dtype": config.dtype or "default",
        },
        "settings": settings
        | _unusual("form", form or config.form or "labelled", "labelled")
        | _unusual("output_rule", config.output_rule, False)
        | _unusual("neutral", config.neutral, 0),
        "seeds": values["seeds"],
        "primary": values["primary"],
        "baseline": str(config.evaluation_options().baseline),
        "methods": [str(spec) for spec in config.evaluation_options().methods],
        "people": config.people,
        "controls": config.controls,
        "group_by": config.group_by,
        **_unusual("controls_by_kind", config.controls_by_kind, False),
        "curves": {name: values[name] for name in _CURVES}
        | _unusual("curve_prompt_tokens", values["curve_prompt_tokens"], []),
    }


def _unusual(name: str, value: object, usual: object) -> dict[str, object]:
    """Return a setting that older folders lack, unless its value is the one that was fixed then."""
    return {} if value == usual else {name: value}


def _data_digest(benchmark: Benchmark, group: str) -> str:
    """Return a hash of the people who are not reported, which does not depend on the number of people asked."""
    asked = {case.user.id for case in benchmark.cases} if group == "development" else set()
    ids = sorted({user.id for user in benchmark.others} | asked)
    return hashlib.sha256(json.dumps([benchmark.task, ids]).encode()).hexdigest()[:16]


def _versions() -> dict[str, str]:
    return {"idiolect": __version__, "python": platform.python_version(), **library_versions()}
