"""The folder of an evaluation: its configuration and every answer, so that a stopped evaluation can continue.

    config.json     the configuration, see `config_file`; outline.json: what a report needs beside it, see `outline`
    runs*.jsonl     one line per run: models, versions, times, command; see `provenance`
    answers*.jsonl  one line per answer; learning*.jsonl: one line per arm and person, written after its answers
    questions.jsonl the questions by key
    people.jsonl    a hash of each person's data, so that answers about different data are never mixed

An arm of a person counts once its line in `learning*.jsonl` is there, with the stated number of answers. Other lines,
left by a killed run, are removed at the next start. Several processes can share a folder; each has its own files
(shards).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case, question_key, text_key
from idiolect.evaluate.config_file import check_config, keep_config, read_config_of
from idiolect.evaluate.lines import Damage, append, json_lines, replace_file
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY
from idiolect.people.user import Opinion

Record = TypeVar("Record", AnswerRecord, LearningRecord)
Unit = tuple[Arm, int, str]
"""(arm, seed, user)."""

_PEOPLE, _QUESTIONS = "people.jsonl", "questions.jsonl"
_OTHERS = ""  # key for all people who are not reported, since nobody has this id


@dataclass(slots=True)
class Archive:
    """An open folder, created by `Archive.open`.

    Attributes:
        folder: path of the folder.
        shard: (i, n): index of this process among n, from 0; (0, 1) for a single process. Its own files are repaired
            when the archive is opened; other processes may be writing to theirs.
        answers, learning: records of all shards, for complete arms only.
        damage: sentences on lines that cannot be read.
    """

    folder: Path
    shard: tuple[int, int] = (0, 1)
    answers: list[AnswerRecord] = field(default_factory=list)
    learning: list[LearningRecord] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    _done: set[Unit] = field(default_factory=set)
    _failed: set[Unit] = field(default_factory=set)

    @classmethod
    def open(cls, folder: Path, config: Mapping[str, Any], *, shard: tuple[int, int] = (0, 1)) -> Archive:
        """Open the folder, create it if necessary, and read its records.

        Args:
            folder: path of the folder.
            config: configuration of this evaluation, JSON values; only its fixed keys must stay the same between runs.
            shard: shard of this process.

        Raises:
            SettingsError: the folder contains a different evaluation, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            keep_config(folder, config, alone=shard[1] == 1)
            archive = cls(folder, shard)
            archive._read(repairing=True)
        except OSError as error:
            raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
        return archive

    @classmethod
    def read(cls, folder: Path, config: Mapping[str, Any] | None = None) -> Archive:
        """Read a folder without changing it, because another process may be writing there.

        Args:
            folder: folder of the evaluation.
            config: expected configuration; None: any.

        Raises:
            SettingsError: the folder contains no evaluation, or a different one.
        """
        held = read_config_of(folder)
        if config is not None:
            check_config(folder, held, config)
        archive = cls(folder)
        try:
            archive._read(repairing=False)
        except OSError as error:
            raise SettingsError(f"{folder} cannot be used: {error.strerror}") from error
        return archive

    def done(self, unit: Unit) -> bool:
        """Return whether all answers of an arm, seed and person exist."""
        return unit in self._done

    def tried(self, unit: Unit) -> bool:
        """Return whether all these answers exist or the model failed, in which case the next run tries again."""
        return unit in self._done or unit in self._failed

    def add(self, answers: Sequence[AnswerRecord], learning: LearningRecord) -> None:
        """Save one arm of one person, which is durable when this returns.

        Raises:
            OSError: the files cannot be written.
        """
        append(self.path("answers"), "".join(map(_line, answers)))
        append(self.path("learning"), _line(learning))
        self._count(answers, learning)

    def add_questions(self, benchmark: Benchmark) -> None:
        """Save the questions, for readers of the answers."""
        asked = {question_key(o.question): o.question for case in benchmark.cases for o in case.asked}
        lines = [
            {VERSION_KEY: SCHEMA_VERSION, "key": key, "question": q.text, "choices": list(q.choices)}
            for key, q in sorted(asked.items())
        ]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        replace_file(self.folder / _QUESTIONS, text)

    @property
    def has_questions(self) -> bool:
        """Whether questions were saved."""
        return (self.folder / _QUESTIONS).exists()

    def questions(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """Return text and choices of each question that was saved, by key."""
        found: dict[str, tuple[str, tuple[str, ...]]] = {}
        for _, line in json_lines(self.folder / _QUESTIONS):
            with suppress(KeyError, TypeError):
                found[str(line["key"])] = str(line["question"]), tuple(map(str, line["choices"]))
        return found

    def keep_people(self, benchmark: Benchmark) -> None:
        """Save hashes of people's data, after `check_people`."""
        self.check_people(benchmark)
        path = self.folder / _PEOPLE
        known = _digests(path)
        digests = {case.user.id: _digest(case) for case in benchmark.cases} | {_OTHERS: _digest_of_others(benchmark)}
        new = {user: digest for user, digest in digests.items() if known.get(user) != digest}
        if new:
            lines = [{VERSION_KEY: SCHEMA_VERSION, "user": user, "said": digest} for user, digest in new.items()]
            append(path, "".join(json.dumps(line) + "\n" for line in lines))

    def check_people(self, benchmark: Benchmark) -> None:
        """Check that the answers in the folder are about the current data.

        Raises:
            SettingsError: the folder contains answers about different data.
        """
        cases = {case.user.id: case for case in benchmark.cases}
        known = _digests(self.folder / _PEOPLE)
        answered = {answer.user for answer in self.answers} & cases.keys()
        changed = {user for user in answered if known.get(user) not in (None, _digest(cases[user]))}
        changed |= {a.user for a in self.answers if a.user in cases and not _is_about(a, cases[a.user])}
        if changed:
            raise SettingsError(
                f"{self.folder} contains answers about different data: {len(changed)} of its people had other answers, "
                "texts or questions. Name another folder, or give the same data to continue"
            )
        others = _digest_of_others(benchmark)
        if self.answers and known.get(_OTHERS, others) != others:
            raise SettingsError(
                f"{self.folder} contains answers that used different data: the people who are not reported, whom "
                "methods count and learn from, have changed. Name another folder, or give the same data to continue"
            )

    def path(self, kind: str) -> Path:
        """Return this shard's file of a kind of records."""
        place, shards = self.shard
        return self.folder / (f"{kind}.jsonl" if shards == 1 else f"{kind}.{place}-of-{shards}.jsonl")

    def _read(self, *, repairing: bool) -> None:
        """Read the files of all shards; if `repairing`, rewrite those of this shard without incomplete records."""
        own = self.path("learning")  # may be missing although there are answers, if a run was killed early
        if not repairing and not any(self.folder.glob("learning*.jsonl")) and any(self.folder.glob("answers*.jsonl")):
            self.damage.append("learning.jsonl is missing: it states which answers are complete, so none counts")
        for path in sorted({*self.folder.glob("learning*.jsonl"), own}):
            answers_path = path.with_name(path.name.replace("learning", "answers", 1))
            repaired = repairing and path == own
            learning = self._lines(path, LearningRecord)
            if repaired:  # failed arms are tried again, by their own shard
                learning = [record for record in learning if not record.failed]
            complete = _complete(learning, self._lines(answers_path, AnswerRecord))
            if repaired and answers_path.exists():
                replace_file(path, "".join(_line(record) for record, _ in complete))
                replace_file(answers_path, "".join(_line(answer) for _, answers in complete for answer in answers))
            for record, answers in complete:
                if _unit(record) not in self._done:
                    self._count(answers, record)

    def _lines(self, path: Path, kind: type[Record]) -> list[Record]:
        """Return the records of a file, without lines that are cut off; other lines that are none are counted."""
        damage, records = Damage(path), list[Record]()
        for number, line in json_lines(path, damage):
            try:
                records.append(kind.from_json(line))
            except (ValueError, KeyError, TypeError):
                damage.lines.append(number)
        if damage.lines:
            damage.lines.sort()
            self.damage.append(str(damage))
        return records

    def _count(self, answers: Iterable[AnswerRecord], learning: LearningRecord) -> None:
        self.answers += answers
        self.learning.append(learning)
        (self._failed if learning.failed else self._done).add(_unit(learning))


@contextmanager
def writing_alone(folder: Path, shard: tuple[int, int]) -> Iterator[None]:
    """Lock the files of a shard against other processes; the lock ends with the process, even if it is killed.

    Raises:
        SettingsError: another process has the lock, or the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f".writing.{shard[0]}-of-{shard[1]}.lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise SettingsError(
            f"another process is using {folder}; wait until it has ended, or share the work", remedy=Remedy("shard")
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
    """Return the record and the answers of each complete unit.

    A unit that was tried again occurs twice; then its last record and its last answers count.
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


def _line(record: AnswerRecord | LearningRecord) -> str:
    return json.dumps(_finite(record.to_json()), ensure_ascii=False, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Return the value for JSON, with NaN and infinity as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _is_about(answer: AnswerRecord, case: Case) -> bool:
    """Return whether the answer belongs to the person's current question and true answer at this index."""
    asked, place = case.asked, answer.index - len(case.asked)
    if place >= 0:
        return place >= len(case.texts) or answer.question == text_key(case.texts[place])
    truth = asked[answer.index].answer
    return answer.question == question_key(asked[answer.index].question) and answer.truth in (None, truth)


def _digest_of_others(benchmark: Benchmark) -> str:
    """Return a hash of the data of people who are not reported; of no data if they depend on the number reported."""
    total = hashlib.sha256()
    for user in benchmark.others if benchmark.others_are_fixed else ():
        parts = [user.id, [(o.question.text, o.question.choices, o.answer) for o in user.opinions], user.texts]
        total.update(json.dumps(parts).encode())
    return total.hexdigest()[:16]


def _digest(case: Case) -> str:
    """Return a hash of all data that a person's results depend on."""
    user = case.user
    learned_from = [dict(user.profile.attributes), _as_json(user.opinions), user.texts]
    parts = [*learned_from, _as_json(case.asked), case.texts, case.group]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _as_json(opinions: Iterable[Opinion]) -> list[list[Any]]:
    return [[o.question.text, o.question.choices, o.question.ordinal, o.answer, dict(o.extra)] for o in opinions]


def _digests(path: Path) -> dict[str, str]:
    """Return the hashes in a file by person; the last line of each person counts."""
    found: dict[str, str] = {}
    for _, line in json_lines(path):
        with suppress(KeyError, TypeError):
            found[str(line["user"])] = str(line["said"])
    return found
