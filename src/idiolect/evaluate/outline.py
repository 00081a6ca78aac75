"""`outline.json`: everything that a report needs beside the configuration and the answers, so that it needs no data.

    Prepared → outline_of → Outline → write_outline → outline.json → read_outline → summarizing

It is written with the first answer and replaced by every run, because methods and people may be added. It contains the
ids of people, as the answers do, and nothing that they said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from idiolect.errors import SettingsError
from idiolect.evaluate.lines import replace_file
from idiolect.evaluate.measures import measure_named
from idiolect.evaluate.methods.table import METHODS, Kind
from idiolect.evaluate.model_names import without_path
from idiolect.evaluate.plan import EvaluationOptions, PlannedArm
from idiolect.evaluate.records import Arm
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY, check_version, read_json

_NAME = "outline.json"


@dataclass(frozen=True, slots=True)
class Outline:
    """An evaluation without its answers.

    Args:
        task, title: the task's name, and its name for display.
        measures: names of the measures; the first is the main one.
        labels: all possible answers, for macro-F1.
        arms: all arms, in the order of the tables.
        baseline: baseline for gains.
        primary: comparisons that were named beforehand.
        people: ids of the people who are asked.
        groups: group of each person who is in one, such as a topic, by id.
        seed, seeds: seed of people and questions, and of resampling; seeds of the methods.
        kinds: kind of each method, by its name without brackets.
        learned_with: name of the model that each arm learned with, by the arm's text; only for transfer.
        replayed: names of models that are recordings.
        broken_count, broken: records of the data that were left out, and the first of them.
        notes: information about the data.
    """

    task: str
    title: str
    measures: tuple[str, ...]
    arms: tuple[Arm, ...]
    baseline: Arm
    people: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    primary: tuple[tuple[Arm, Arm], ...] = ()
    seed: int = 0
    seeds: tuple[int, ...] = (0,)
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    learned_with: Mapping[str, str] = field(default_factory=dict)
    replayed: tuple[str, ...] = ()
    broken_count: int = 0
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {VERSION_KEY: SCHEMA_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Outline:
        """Return the outline from which `to_json` made the values; raise KeyError, TypeError or ValueError if none."""
        found = _outlines().validate_python(values)
        if not found.measures:
            raise ValueError("not an outline")
        for name in found.measures:
            measure_named(name)
        return found


@cache
def _outlines() -> TypeAdapter[Outline]:
    return TypeAdapter(Outline)


def kinds_of(arms: tuple[Arm, ...]) -> dict[str, Kind]:
    """Return the kind of each method that has an arm, by its name without brackets."""
    names = dict.fromkeys(arm.method.partition("[")[0] for arm in arms)
    return {name: METHODS[name].kind for name in names if name in METHODS}


def learned_with(arms: list[PlannedArm], options: EvaluationOptions) -> dict[str, str]:
    """Return the model that each arm learned with, by the arm's text, if prompts are transferred."""
    if not options.transfer:
        return {}
    return {str(arm.arm): without_path(arm.learns_with or options.model) for arm in arms}


def write_outline(folder: Path, outline: Outline) -> None:
    """Write the outline of the evaluation in a folder.

    Raises:
        OSError: the folder cannot be written.
    """
    replace_file(folder / _NAME, json.dumps(outline.to_json(), indent=1, ensure_ascii=False) + "\n")


def read_outline(folder: Path) -> Outline | None:
    """Return the outline of the evaluation in a folder; None if an earlier version made it, which wrote none.

    Raises:
        SettingsError: the file cannot be read, or is no outline.
    """
    path = folder / _NAME
    values = read_json(path)
    if values is None:
        return None
    check_version(path, values)
    try:
        return Outline.from_json(values)
    except (KeyError, TypeError, ValueError):
        raise SettingsError(f"{path} is not the outline of an evaluation: it was changed by hand") from None
