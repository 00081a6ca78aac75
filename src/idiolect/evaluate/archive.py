"""The folder of an evaluation: what it was told to do, and every answer, so that it goes on where it was stopped.

    config.json     what is evaluated; written before the first answer, and never another evaluation's
    answers*.jsonl  a line an answer; learning*.jsonl: a line an arm and person, written after its answers
    questions.jsonl what the keys of questions stand for

An arm of a person counts once its line of `learning*.jsonl` is there, with as many answers as it says; what a killed
run left besides is taken out at the next start. Several processes share a folder by files of their own (shards).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Benchmark, question_key
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord

Record = TypeVar("Record", AnswerRecord, LearningRecord)
Unit = tuple[Arm, int, str]
"""(arm, seed, user)."""

FORMAT = 1
_FIXED = ("format", "task", "data", "split", "models", "settings", "seeds", "primary", "baseline")
_GROWING = ("methods", "people", "curves")


@dataclass(slots=True)
class Archive:
    """An open folder. Made by `Archive.open`.

    Attributes:
        folder: where.
        shard: which of how many processes writes, from 0; (0, 1) for one alone.
        answers, learning: of all shards, complete arms only.
    """

    folder: Path
    shard: tuple[int, int] = (0, 1)
    answers: list[AnswerRecord] = field(default_factory=list)
    learning: list[LearningRecord] = field(default_factory=list)
    _done: set[Unit] = field(default_factory=set)

    @classmethod
    def open(cls, folder: Path, config: Mapping[str, Any], *, shard: tuple[int, int] = (0, 1)) -> Archive:
        """The folder, made if there is none, with what was found in it.

        Args:
            folder: where to.
            config: of this evaluation, JSON values; what is not among its fixed keys may grow from run to run.
            shard: of this process.

        Raises:
            SettingsError: the folder holds another evaluation, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _keep_config(folder / "config.json", {"format": FORMAT, **config})
            archive = cls(folder, shard)
            archive._read()
        except OSError as error:
            raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
        return archive

    def done(self, unit: Unit) -> bool:
        """Whether all answers of an arm, seed and person are there."""
        return unit in self._done

    def add(self, answers: Sequence[AnswerRecord], learning: LearningRecord) -> None:
        """Keep one arm of one person; durable when it returns.

        Raises:
            OSError: the files cannot be written.
        """
        _append(self._path("answers"), answers)
        _append(self._path("learning"), [learning])
        self._count(answers, learning)

    def add_questions(self, benchmark: Benchmark) -> None:
        """Write down what is asked, for whoever reads answers."""
        asked = {question_key(o.question): o.question for case in benchmark.cases for o in case.asked}
        lines = [{"key": key, "question": q.text, "choices": list(q.choices)} for key, q in sorted(asked.items())]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        _replace(self.folder / "questions.jsonl", text)

    def _path(self, kind: str) -> Path:
        place, shards = self.shard
        return self.folder / (f"{kind}.jsonl" if shards == 1 else f"{kind}.{place}-of-{shards}.jsonl")

    def _read(self) -> None:
        for path in sorted(self.folder.glob("learning*.jsonl")):
            answers_path = path.with_name(path.name.replace("learning", "answers", 1))
            learning = [each for each in _lines(path, LearningRecord) if not each.notes.get("failed")]
            complete = _complete(learning, list(_lines(answers_path, AnswerRecord)))
            kept = [each for each in learning if _unit(each) in complete]
            answers = [answer for unit in dict.fromkeys(map(_unit, kept)) for answer in complete[unit]]
            if path == self._path("learning"):  # only of its own files: another process may be writing the others
                _rewrite(path, kept)
                _rewrite(answers_path, answers)
            new = [each for each in kept if _unit(each) not in self._done]
            for each in new:
                self._count(complete[_unit(each)], each)

    def _count(self, answers: Iterable[AnswerRecord], learning: LearningRecord) -> None:
        self.answers += answers
        self.learning.append(learning)
        if not learning.notes.get("failed"):
            self._done.add(_unit(learning))


def _unit(record: AnswerRecord | LearningRecord) -> Unit:
    return record.arm, record.seed, record.user


def _complete(learning: Sequence[LearningRecord], answers: Sequence[AnswerRecord]) -> dict[Unit, list[AnswerRecord]]:
    """The answers of the arms of which none is missing."""
    by_unit: dict[Unit, list[AnswerRecord]] = {}
    for answer in answers:
        by_unit.setdefault(_unit(answer), []).append(answer)
    told = {_unit(each): each.answers for each in learning}
    found = {unit: by_unit.get(unit, [])[-n:] if n else [] for unit, n in told.items()}  # the last: an arm tried again
    counts = Counter({unit: len(each) for unit, each in found.items()})
    return {unit: each for unit, each in found.items() if counts[unit] == told[unit]}


def _lines(path: Path, kind: type[Record]) -> Iterable[Record]:
    """The records of a file; a line that was cut off is left out."""
    with suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError, KeyError, TypeError):
                yield kind.from_json(json.loads(line))


def _append(path: Path, records: Sequence[AnswerRecord | LearningRecord]) -> None:
    text = "".join(json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _rewrite(path: Path, records: Sequence[AnswerRecord | LearningRecord]) -> None:
    lines = (json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False) + "\n" for record in records)
    _replace(path, "".join(lines))


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    part.replace(path)


def _keep_config(path: Path, config: dict[str, Any]) -> None:
    """Write what is evaluated, or see that it is the same."""
    plain = json.loads(json.dumps(config))
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(path.parent.glob("answers*.jsonl")):
            raise SettingsError(f"{path.parent} holds answers, but no config.json that says of what") from None
        _replace(path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")
        return
    except ValueError:
        raise SettingsError(f"{path} is no JSON") from None
    if not isinstance(held, dict):
        raise SettingsError(f"{path} is no configuration of an evaluation")
    other = [key for key in _FIXED if held.get(key) != plain.get(key)]
    if other:
        raise SettingsError(
            f"{path.parent} holds another evaluation (of another {' and '.join(other)}): its comparisons are fixed "
            "once it has begun. Name another folder, or the same settings to go on"
        )
    first = held.get("first") or {key: held.get(key) for key in _GROWING}
    _replace(path, json.dumps({**plain, "first": first}, indent=1, ensure_ascii=False) + "\n")
