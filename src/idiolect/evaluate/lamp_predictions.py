"""The answers of a LaMP task in LaMP's own format, for its evaluation script.

    answers.jsonl → lamp/golds.json, lamp/<arm>.json: {"task": "LaMP_3", "golds": [{"id": …, "output": …}]}

`eval/eval_task.py` of github.com/LaMP-Benchmark/LaMP takes one file of golds and one of predictions, and wants the same
ids in both. An output is the answer as it was read; what the model wrote if nothing could be read; "" if there is no
answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from idiolect.evaluate.arm_answers import answers_by_arm
from idiolect.evaluate.lines import replace_file
from idiolect.evaluate.records import AnswerRecord

FOLDER = "lamp"
_TASK = re.compile(r"lamp-(\d)")


def write_lamp_predictions(out: Path, config: Mapping[str, Any], answers: Sequence[AnswerRecord]) -> tuple[Path, ...]:
    """Write the golds, and the predictions of each arm and seed, if an evaluation asks LaMP's published questions.

    Args:
        out: folder of the evaluation.
        config: its configuration, as in `config.json`.
        answers: the answers that its tables contain.

    Returns:
        The written files; () for other evaluations.

    Raises:
        OSError: a file cannot be written.
    """
    task = _TASK.fullmatch(str(config.get("task", "")))
    if task is None or config.get("split", {}).get("lamp_asks", "published") != "published":
        return ()
    arms = answers_by_arm(answers)
    records = [(str(arm), r) for arm, found in arms.items() for r in (*found.records, *found.left_out) if r.item]
    golds = {record.item: record.truth for _, record in records if record.truth is not None}
    if not golds:
        return ()
    sides: dict[tuple[str, int], dict[str, str]] = {}
    for arm, record in records:
        outputs = sides.setdefault((arm, record.seed), dict.fromkeys(golds, ""))
        if record.item in golds:
            outputs[record.item] = _output(record)
    folder = out / FOLDER
    folder.mkdir(exist_ok=True)
    name = f"LaMP_{task[1]}"
    written = [_write(folder / "golds.json", name, golds.items())]
    several = len({seed for _, seed in sides}) > 1
    taken: set[str] = {"golds"}
    for (arm, seed), outputs in sides.items():
        of_side = _file_name(arm, seed if several else None, taken)
        written.append(_write(folder / f"{of_side}.json", name, outputs.items()))
    return tuple(written)


def _output(record: AnswerRecord) -> str:
    return record.answer if record.answer is not None else record.said or ""


def _file_name(arm: str, seed: int | None, taken: set[str]) -> str:
    """Return a name of a file for an arm and a seed, which is not taken yet, and take it."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", arm if seed is None else f"{arm} seed {seed}").strip("-").lower()[:80]
    name, n = plain, 1
    while name in taken:
        n += 1
        name = f"{plain}-{n}"
    taken.add(name)
    return name


def _write(path: Path, task: str, outputs: Iterable[tuple[str, str]]) -> Path:
    golds = [{"id": key, "output": output} for key, output in outputs]
    text = json.dumps({"task": task, "golds": golds}, ensure_ascii=False, indent=1) + "\n"
    replace_file(path, text)
    return path
