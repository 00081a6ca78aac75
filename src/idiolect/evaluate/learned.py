"""Facts about what was learned: training, CHAMELEON's layers, and the transfer of prompts to other models.

LearningRecord → training_notes, layers_of → notes, LayerProfile;  arms → transfer_of → Transfer
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from idiolect.evaluate.records import Arm, LearningRecord
from idiolect.evaluate.summary import Estimate, LayerProfile, Transfer


def last_lines(learning: Sequence[LearningRecord]) -> list[LearningRecord]:
    """Return one record for each arm, seed and person: the last one, if a run was resumed."""
    return list({(record.arm, record.seed, record.user): record for record in learning}.values())


def training_notes(learning: Sequence[LearningRecord]) -> list[str]:
    """Return a sentence for each arm that trained, with its numbers of steps and what limited them."""
    notes_of: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in last_lines(learning):
        if _is_number(record.notes.get("steps")):
            limit = "chosen" if isinstance(record.notes.get("chosen"), Mapping) else "seconds_allowed"
            if limit == "chosen" or _is_number(record.notes.get(limit)):
                notes_of.setdefault((str(record.arm), limit), []).append(record.notes)
    notes = []
    for (arm, limit), found in notes_of.items():
        steps = [int(each["steps"]) for each in found]
        made = f"{arm} made {min(steps)} to {max(steps)} steps per person"
        if limit == "chosen":
            notes.append(f"{made}, a number chosen on people who are not reported")
            continue
        seconds = [float(each["seconds_allowed"]) for each in found]
        notes.append(f"{made}, in the {min(seconds):.0f} to {max(seconds):.0f} seconds allowed")
    return notes


def layers_of(learning: Iterable[LearningRecord]) -> dict[str, tuple[LayerProfile, ...]]:
    """Return the mean diagnostics of each layer, by arm; each person and seed counts once, arms without are omitted."""
    numbers: dict[str, dict[int, dict[str, list[float]]]] = {}
    for record in sorted(learning, key=lambda record: (record.user, record.seed)):
        layers = record.notes.get("layers")
        for layer in layers if isinstance(layers, list) else ():
            if not isinstance(layer, Mapping) or not _is_number(layer.get("layer")):
                continue
            values_of = numbers.setdefault(str(record.arm), {}).setdefault(int(layer["layer"]), {})
            for name, value in layer.items():
                if name != "layer" and _is_number(value):
                    values_of.setdefault(name, []).append(float(value))
    return {
        arm: tuple(
            LayerProfile(layer, {name: fmean(values) for name, values in values_of.items()})
            for layer, values_of in sorted(of_layer.items())
        )
        for arm, of_layer in numbers.items()
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def transfer_of(
    estimates: Mapping[Arm, Estimate], learned_with: Mapping[Arm, str], replayed: Sequence[str] = ()
) -> Transfer | None:
    """Return the matrix of the first method that answers with a different model than it learned with; None without one.

    Args:
        estimates: estimates of the main measure, by arm.
        learned_with: name of the model that each arm learned with.
        replayed: names of models that are recordings.
    """
    crossed = next((arm for arm in estimates if arm.answered_by and arm.control == "own"), None)
    if crossed is None:
        return None
    method = _base_name(crossed.method)
    cells: dict[tuple[str, str], Estimate] = {}
    for arm, estimate in estimates.items():
        if _base_name(arm.method) == method and (arm.control, arm.n_train) == ("own", crossed.n_train):
            cells.setdefault((learned_with[arm], arm.answered_by or learned_with[arm]), estimate)
    models = tuple(dict.fromkeys([*(row for row, _ in cells), *(column for _, column in cells)]))
    return Transfer(method, models, cells, tuple(name for name in replayed if name in models))


def _base_name(method: str) -> str:
    return method.partition("[")[0]
