"""The folder of an evaluation: its configuration, and every answer, so that it goes on where it was stopped.

    config.json     what is evaluated; written before the first answer, and never another evaluation's
    answers*.jsonl  a line an answer; learning*.jsonl: a line an arm and person, written after its answers
    questions.jsonl what the keys of questions stand for
    people.jsonl    a hash of what each person said: answers about other data are never mixed with these

An arm of a person counts once its line of `learning*.jsonl` is there, with as many answers as it says; what a killed
run left besides is taken out at the next start. Several processes share a folder by files of their own (shards).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case, question_key, text_key
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord
from idiolect.people.user import Opinion

Record = TypeVar("Record", AnswerRecord, LearningRecord)
Unit = tuple[Arm, int, str]
"""(arm, seed, user)."""

FORMAT = 1
_FIXED = ("format", "task", "data", "split", "models", "settings", "seeds", "primary", "baseline")
_GROWING = ("methods", "people", "curves")
_PEOPLE = "people.jsonl"
_OTHERS = ""  # nobody's id: all people who are not reported


@dataclass(slots=True)
class Archive:
    """An open folder. Made by `Archive.open`.

    Attributes:
        folder: where.
        shard: which of how many processes writes, from 0; (0, 1) for one alone. Its own files are put in order when
            the archive is opened; those of others may be written to at this moment.
        answers, learning: of all shards, complete arms only.
    """

    folder: Path
    shard: tuple[int, int] = (0, 1)
    answers: list[AnswerRecord] = field(default_factory=list)
    learning: list[LearningRecord] = field(default_factory=list)
    _done: set[Unit] = field(default_factory=set)
    _failed: set[Unit] = field(default_factory=set)

    @classmethod
    def open(cls, folder: Path, config: Mapping[str, Any], *, shard: tuple[int, int] = (0, 1)) -> Archive:
        """Open the folder, which is made if there is none, and read what it holds.

        Args:
            folder: where to.
            config: of this evaluation, JSON values; what is not among its fixed keys may grow from run to run.
            shard: of this process.

        Raises:
            SettingsError: the folder holds another evaluation, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _keep_config(folder, {"format": FORMAT, **config}, alone=shard[1] == 1)
            archive = cls(folder, shard)
            archive._read(repairing=True)
        except OSError as error:
            raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
        return archive

    @classmethod
    def read(cls, folder: Path, config: Mapping[str, Any] | None = None) -> Archive:
        """Read a folder, which is left as it is: another process may be writing there.

        Args:
            folder: of the evaluation.
            config: of this evaluation; None: whatever the folder holds.

        Raises:
            SettingsError: there is no evaluation, or another one.
        """
        held = read_config_of(folder)
        if config is not None:
            _check_config(folder, held, {"format": FORMAT, **config})
        archive = cls(folder)
        try:
            archive._read(repairing=False)
        except OSError as error:
            raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
        return archive

    def done(self, unit: Unit) -> bool:
        """Return whether all answers of an arm, seed and person are there."""
        return unit in self._done

    def tried(self, unit: Unit) -> bool:
        """Return whether they are there, or the model failed; then the next run tries again."""
        return unit in self._done or unit in self._failed

    def add(self, answers: Sequence[AnswerRecord], learning: LearningRecord) -> None:
        """Keep one arm of one person; durable when it returns.

        Raises:
            OSError: the files cannot be written.
        """
        _append(self._path("answers"), "".join(map(_line, answers)))
        _append(self._path("learning"), _line(learning))
        self._count(answers, learning)

    def add_questions(self, benchmark: Benchmark) -> None:
        """Write down what is asked, for whoever reads answers."""
        asked = {question_key(o.question): o.question for case in benchmark.cases for o in case.asked}
        lines = [{"key": key, "question": q.text, "choices": list(q.choices)} for key, q in sorted(asked.items())]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        _replace(self.folder / "questions.jsonl", text)

    def keep_people(self, benchmark: Benchmark) -> None:
        """Write down what people said, as hashes, after `check_people`."""
        self.check_people(benchmark)
        path = self.folder / _PEOPLE
        known = _digests(path)
        digests = {case.user.id: _digest(case) for case in benchmark.cases} | {_OTHERS: _digest_of_others(benchmark)}
        new = {user: digest for user, digest in digests.items() if known.get(user) != digest}
        if new:
            text = "".join(json.dumps({"user": user, "said": digest}) + "\n" for user, digest in new.items())
            _append(path, text)

    def check_people(self, benchmark: Benchmark) -> None:
        """Check that answers are about what people say now.

        Raises:
            SettingsError: the folder holds answers about people who had said something else.
        """
        cases = {case.user.id: case for case in benchmark.cases}
        known = _digests(self.folder / _PEOPLE)
        answered = {answer.user for answer in self.answers} & cases.keys()
        changed = {user for user in answered if known.get(user) not in (None, _digest(cases[user]))}
        changed |= {a.user for a in self.answers if a.user in cases and not _is_about(a, cases[a.user])}
        if changed:
            raise SettingsError(
                f"{self.folder} holds answers about other data: {len(changed)} of its people had said, or were asked, "
                "something else. Name another folder, or the same data to go on"
            )
        others = _digest_of_others(benchmark)
        if self.answers and known.get(_OTHERS, others) != others:
            raise SettingsError(
                f"{self.folder} holds answers beside other data: people who are not reported, whom methods count and "
                "learn from, had said something else, or were others. Name another folder, or the same data to go on"
            )

    def _path(self, kind: str) -> Path:
        place, shards = self.shard
        return self.folder / (f"{kind}.jsonl" if shards == 1 else f"{kind}.{place}-of-{shards}.jsonl")

    def _read(self, *, repairing: bool) -> None:
        """Read the files of all shards, and where `repairing` write back those of this one without what is cut off."""
        own = self._path("learning")  # may be missing beside answers, where a run was killed at once
        for path in sorted({*self.folder.glob("learning*.jsonl"), own}):
            answers_path = path.with_name(path.name.replace("learning", "answers", 1))
            repaired = repairing and path == own
            learning = _lines(path, LearningRecord)
            if repaired:  # what failed is tried again, by the shard that it belongs to
                learning = [record for record in learning if not record.failed]
            complete = _complete(learning, _lines(answers_path, AnswerRecord))
            if repaired and answers_path.exists():
                _replace(path, "".join(_line(record) for record, _ in complete))
                _replace(answers_path, "".join(_line(answer) for _, answers in complete for answer in answers))
            for record, answers in complete:
                if _unit(record) not in self._done:
                    self._count(answers, record)

    def _count(self, answers: Iterable[AnswerRecord], learning: LearningRecord) -> None:
        self.answers += answers
        self.learning.append(learning)
        (self._failed if learning.failed else self._done).add(_unit(learning))


@contextmanager
def writing_alone(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Keep other processes from writing the same files meanwhile; the lock ends with the process, however that ends.

    Raises:
        SettingsError: one does, or the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".writing.{shard[0]}-of-{shard[1]}.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"another process is at work in {folder}; wait for it, or share the work", remedy=Remedy("shard")
        ) from None
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
    try:
        yield
    finally:
        lock.release()


def _unit(record: AnswerRecord | LearningRecord) -> Unit:
    return record.arm, record.seed, record.user


def _complete(
    learning: Iterable[LearningRecord], answers: Iterable[AnswerRecord]
) -> list[tuple[LearningRecord, list[AnswerRecord]]]:
    """Return the units whose answers are all there: the record of each, with its answers.

    A unit that was tried again is there twice; then its last record and its last answers count.
    """
    answers_of: dict[Unit, list[AnswerRecord]] = {}
    for answer in answers:
        answers_of.setdefault(_unit(answer), []).append(answer)
    last = {_unit(record): record for record in learning}
    complete = []
    for unit, record in last.items():
        found = answers_of.get(unit, [])
        if len(found) >= record.answers:
            complete.append((record, found[len(found) - record.answers :]))
    return complete


def _lines(path: Path, kind: type[Record]) -> Iterable[Record]:
    """Yield the records of a file; a line that was cut off is left out."""
    for line in _json_lines(path):
        with suppress(ValueError, KeyError, TypeError):
            yield kind.from_json(line)


def _json_lines(path: Path) -> Iterator[Any]:
    with suppress(FileNotFoundError):
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                yield json.loads(line)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _line(record: AnswerRecord | LearningRecord) -> str:
    return json.dumps(_finite(record.to_json()), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Return the value for JSON, which has no NaN: a number that is none becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _is_about(answer: AnswerRecord, case: Case) -> bool:
    """Return whether it answers what the person is asked in this place, and is judged by what they say there."""
    asked, place = case.asked, answer.index - len(case.asked)
    if place >= 0:
        return place >= len(case.texts) or answer.question == text_key(case.texts[place])
    truth = asked[answer.index].answer
    return answer.question == question_key(asked[answer.index].question) and answer.truth in (None, truth)


def _digest_of_others(benchmark: Benchmark) -> str:
    """Return a hash of what people said who are not reported; of nothing where these shrink as more are reported."""
    total = hashlib.sha256()
    for user in benchmark.others if benchmark.others_are_fixed else ():
        parts = [user.id, [(o.question.text, o.question.choices, o.answer) for o in user.opinions], user.texts]
        total.update(json.dumps(parts).encode())
    return total.hexdigest()[:16]


def _digest(case: Case) -> str:
    """Return a hash of all that a person's numbers depend on."""
    user = case.user
    learned_from = [dict(user.profile.attributes), _as_json(user.opinions), user.texts]
    parts = [*learned_from, _as_json(case.asked), case.texts, case.group]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _as_json(opinions: Iterable[Opinion]) -> list[list[Any]]:
    return [[o.question.text, o.question.choices, o.question.ordinal, o.answer, dict(o.extra)] for o in opinions]


def _digests(path: Path) -> dict[str, str]:
    """Return the hashes in a file by person; the last line of each counts."""
    found: dict[str, str] = {}
    for line in _json_lines(path):
        with suppress(KeyError, TypeError):
            found[str(line["user"])] = str(line["said"])
    return found


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8", errors="backslashreplace")
    part.replace(path)


def read_config_of(folder: Path) -> dict[str, Any]:
    """Return the configuration that a folder holds.

    Raises:
        SettingsError: it holds none.
    """
    path = folder / "config.json"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{folder} holds no evaluation") from None
    except OSError as error:
        raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
    except ValueError:
        raise SettingsError(f"{path} is no JSON") from None
    if not isinstance(held, dict):
        raise SettingsError(f"{path} is no configuration of an evaluation")
    return held


def _keep_config(folder: Path, config: dict[str, Any], *, alone: bool) -> None:
    """Write what is evaluated, or check that it is the same; nothing is fixed before one process' first answer."""
    path, new = folder / "config.json", json.loads(json.dumps(config))
    begun = any(each.stat().st_size for each in folder.glob("answers*.jsonl"))
    foreign = [name for name in ("report.html", "table.md", "scores.json") if (folder / name).exists()]
    if foreign and not path.exists():
        raise SettingsError(f"{folder} holds a {foreign[0]} of something else: name another folder")
    if not path.exists():
        if begun:
            raise SettingsError(f"{folder} holds answers, but no config.json that says of what")
        _replace(path, json.dumps(new, indent=1, ensure_ascii=False) + "\n")
        return
    held = read_config_of(folder)
    if "format" not in held or "task" not in held:
        raise SettingsError(f"{path} is of something else, and no evaluation's: name another folder")
    begun = begun or not alone
    if begun:
        _check_config(folder, held, new)
        new["fingerprint"] = new.get("fingerprint") or held.get("fingerprint", "")
    first = held.get("first") if begun else None
    if not isinstance(first, dict):
        first = {key: (held if begun else new).get(key) for key in _GROWING}
    _replace(path, json.dumps({**new, "first": first}, indent=1, ensure_ascii=False) + "\n")


def _check_config(folder: Path, held: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    new = json.loads(json.dumps(config))
    other = [key for key in _FIXED if held.get(key) != new.get(key)]
    if held.get("fingerprint") and new.get("fingerprint") and held["fingerprint"] != new["fingerprint"]:
        other.append("fingerprint of the model")
    if other:
        raise SettingsError(
            f"{folder} holds another evaluation (of another {' and '.join(other)}): its comparisons are fixed "
            "once it has begun. Name another folder, or the same settings to go on"
        )
