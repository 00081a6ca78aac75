"""OpinionQA: people of Pew's American Trends Panel with their answers to the questions of fifteen waves.

American_Trends_Panel_W*/{info,metadata,responses}.csv → users, one per respondent of a wave

Santurkar et al., Whose Opinions Do Language Models Reflect? (arXiv 2303.17548); data: github.com/tatsu-lab/opinions_qa,
folder `human_resp`. Each wave has a topic. `responses.csv` is read row by row, and only the requested people are kept.
`opinionqa_questions.py` reads the questions, and `opinionqa_wordings.py` finds who was asked which wording of one.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from idiolect.errors import DatasetError, SettingsError
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecords, BrokenRecordsLog
from idiolect.people.csv_file import CsvFile, opened_csv
from idiolect.people.folders import contents, entries_below
from idiolect.people.opinionqa_questions import (
    Attribute,
    WaveQuestion,
    is_no_answer,
    is_no_value,
    read_attributes,
    read_questions,
)
from idiolect.people.opinionqa_wordings import Wordings, wordings_by_group
from idiolect.people.splits import RESPONDENT, hash_rank
from idiolect.people.text_file import bare_name, present
from idiolect.people.user import Opinion, User, UserProfile, unstorable_part

TOPICS = {
    "W26": "Guns",
    "W27": "Automation and driverless vehicles",
    "W29": "Views on gender",
    "W32": "Community types & sexual harassment",
    "W34": "Biomedical & food issues",
    "W36": "Gender & Leadership",
    "W41": "America in 2050",
    "W42": "Trust in science",
    "W43": "Race",
    "W45": "Misinformation",
    "W49": "Privacy & Surveillance",
    "W50": "Family & Relationships",
    "W54": "Economic inequality",
    "W82": "Global attitudes",
    "W92": "Political views",
}
"""The topic of each wave's questions, by the wave's name."""

_WAVE = re.compile(r"^(?:Pew_)?American_Trends_Panel_(W\d+)$")
_INFO, _METADATA, _RESPONSES = "info.csv", "metadata.csv", "responses.csv"
_TABLES = (_INFO, _METADATA, _RESPONSES)


@dataclass(frozen=True, slots=True)
class OpinionQA:
    """The respondents that were read.

    Args:
        users: the respondents in the order of waves and rows; with a limit, in the order of their rank. Their ids are
            "W92-<respondent>", or "W92-row-<number>" without a column QKEY; their extra keys are "topic" and, with
            QKEY, "respondent", because a panelist may have answered several waves; an opinion's extra key "id" is the
            question's key.
        without_answer: number of cells that were blank, "nan", or an option after the scale ("Refused", "Not sure").
        other_attributes: number of attributes' values in profiles that are not among the published ones.
        other_wording: number of answers that were left out because the question was put in several wordings, and it is
            not known in which one to this person.
        broken: rows and answers that could not be read.
        replaced: number of rows with bytes that are not UTF-8.
    """

    users: tuple[User, ...]
    without_answer: int
    other_attributes: int
    broken: BrokenRecords
    replaced: int
    other_wording: int = 0


def read_opinionqa(
    path: Path, *, topics: Sequence[str] = (), min_opinions: int = 1, limit: int | None = None, seed: int = 0
) -> OpinionQA:
    """Read the respondents of one wave, or of all waves in a folder.

    Args:
        path: the folder `human_resp`, a folder that contains it, the folder of one wave, or a table in that folder.
        topics: read only these waves, named by topic or as "W92"; empty reads all.
        min_opinions: people with fewer answers are left out.
        limit: maximum number of people to keep, those with the lowest rank by a hash of seed and id.
        seed: seed of that rank.

    Raises:
        DatasetError: there is no wave with a `responses.csv`, a file is not in the published layout, or nobody is left.
        SettingsError: a topic is not that of any wave.
        ValueError: `limit` or `min_opinions` is below 1.
    """
    if min_opinions < 1 or (limit is not None and limit < 1):
        raise ValueError(f"min_opinions {min_opinions} and limit {limit} must be at least 1")
    counts = _Counts()
    waves = _of_topics(_waves(path), topics)
    rows: Iterator[User] = (user for wave in waves for user in _Wave(wave, counts, min_opinions).users())
    if limit is not None:
        rows = iter(heapq.nsmallest(limit, rows, key=lambda user: hash_rank("people", seed, user.id)))
    users = tuple(rows)
    if not users:
        raise DatasetError(
            f"{printable(str(path))}: nobody has {min_opinions} valid answers ({counts.log.count} broken records)"
        )
    return OpinionQA(
        users,
        counts.without_answer,
        counts.other_attributes,
        counts.log.records,
        counts.replaced,
        counts.other_wording,
    )


@dataclass(slots=True)
class _Counts:
    log: BrokenRecordsLog = field(default_factory=BrokenRecordsLog)
    without_answer: int = 0
    other_attributes: int = 0
    other_wording: int = 0
    replaced: int = 0


def is_table(path: Path) -> bool:
    """Return whether a file is one of the tables of a wave, by its name."""
    return bare_name(path) in _TABLES


def _waves(path: Path) -> list[Path]:
    path = path.parent if is_table(path) and path.is_file() else path
    found = [path] if present(path / _INFO) else _waves_below(path)
    if not found:
        has = contents(path) if path.is_dir() else "there is no such folder"
        raise DatasetError(
            f"{printable(str(path))}: expected OpinionQA's folders American_Trends_Panel_W… with {', '.join(_TABLES)}; "
            f"{has}"
        )
    with_people = [wave for wave in found if present(wave / _RESPONSES)]
    if not with_people:
        raise DatasetError(
            f"{printable(str(path))}: no wave has a {_RESPONSES}; it is part of OpinionQA's download, in the folder "
            "human_resp"
        )
    return with_people


def _waves_below(folder: Path) -> list[Path]:
    """Return the nearest folder of each wave in the order of their numbers; archives may nest a folder in its like."""

    def is_wave(entry: Path) -> bool:
        return _WAVE.match(entry.name) is not None and any(present(entry / name) for name in _TABLES)

    found: dict[str, Path] = {}
    for wave in entries_below(folder, is_wave):
        found.setdefault(wave_name(wave), wave)
    return sorted(found.values(), key=lambda wave: int(wave_name(wave)[1:]))


def wave_name(folder: Path) -> str:
    """Return "W92" for the folder of wave 92; for other folders, the folder's own name."""
    match = _WAVE.match(folder.name)
    return match[1] if match else folder.resolve().name


def _of_topics(waves: list[Path], topics: Sequence[str]) -> list[Path]:
    if not topics:
        return waves
    by_name = {name.casefold(): wave for wave in waves for name in (wave_name(wave), topic_of(wave_name(wave)))}
    for topic in topics:
        if topic.strip().casefold() not in by_name:
            known = ", ".join(f"{topic_of(wave_name(wave))} ({wave_name(wave)})" for wave in waves)
            raise SettingsError(f"no wave is about {printable(topic)!r}; choose from: {printable(known)}")
    wanted = {by_name[topic.strip().casefold()] for topic in topics}
    return [wave for wave in waves if wave in wanted]


def topic_of(wave: str) -> str:
    """Return the topic of a wave; its name if the topic is unknown."""
    return TOPICS.get(wave, wave)


@dataclass(slots=True)
class _Wave:
    """A reader of the people of one wave."""

    folder: Path
    counts: _Counts
    min_opinions: int

    def users(self) -> Iterator[User]:
        log = self.counts.log
        questions = read_questions(self.folder / _INFO, log)
        attributes = read_attributes(self.folder / _METADATA, log)
        with opened_csv(self.folder / _RESPONSES, log) as table:
            layout = _Layout.of(table, questions, attributes)
            yield from self._people(table, layout)
            self.counts.replaced += table.replaced

    def _people(self, table: CsvFile, layout: _Layout) -> Iterator[User]:
        name = wave_name(self.folder)
        seen: set[str] = set()
        for number, row in table.rows():
            place = f"{table.name}: row {number}"
            respondent = layout.respondent(row)
            if respondent in seen or unstorable_part(respondent):
                self.counts.log.add(place, "its QKEY is that of an earlier row, or cannot be stored")
                continue
            if respondent:
                seen.add(respondent)
            opinions = tuple(self._opinions(place, row, layout))
            if len(opinions) >= self.min_opinions:
                extra = {"topic": topic_of(name)} | ({RESPONDENT: respondent} if respondent else {})
                user_id = f"{name}-{respondent or f'row-{number}'}"
                yield User(user_id, self._profile(place, row, layout), opinions, extra=extra)

    def _opinions(self, place: str, row: list[str], layout: _Layout) -> Iterator[Opinion]:
        for column in layout.questions:
            cell = row[column.at]
            question = column.asked_of(row)
            if is_no_answer(cell):
                self.counts.without_answer += 1
            elif question is None:
                self.counts.other_wording += 1
            elif opinion := question.opinion(cell):
                yield opinion
            elif question.is_refusal(cell):
                self.counts.without_answer += 1
            else:
                self.counts.log.add(f"{place}, {printable(column.key)}", "the answer is not one of the options")

    def _profile(self, place: str, row: list[str], layout: _Layout) -> UserProfile:
        profile = {}
        for at, attribute in layout.attributes:
            value = row[at].strip()
            if is_no_value(value):
                continue
            if unstorable_part(value):
                self.counts.log.add(f"{place}, {printable(attribute.name)}", "the value cannot be stored")
                continue
            profile[attribute.name] = value
            self.counts.other_attributes += value not in attribute.values
        return UserProfile(profile)


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of answers: its key and index, and the question, or its wordings and the column that decides."""

    at: int
    key: str
    question: WaveQuestion | None = None
    wordings: Wordings | None = None
    decided_at: int | None = None

    def asked_of(self, row: list[str]) -> WaveQuestion | None:
        """Return the question as the person of a row was asked it; None if that is not known."""
        if self.wordings is None or self.decided_at is None:
            return self.question
        return self.wordings.asked_of(row[self.decided_at])


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of `responses.csv`: those of questions and of attributes, and that of the respondent."""

    questions: tuple[_Column, ...]
    attributes: tuple[tuple[int, Attribute], ...]
    respondent_at: int | None

    @classmethod
    def of(
        cls, table: CsvFile, questions: dict[str, tuple[WaveQuestion, ...]], attributes: dict[str, Attribute]
    ) -> _Layout:
        asked = tuple(
            _column(table, at, key, wordings, attributes)
            for key, wordings in questions.items()
            if (at := table.column(key)) is not None
        )
        known = tuple((at, attribute) for key, attribute in attributes.items() if (at := table.column(key)) is not None)
        if not asked:
            raise DatasetError(f"{table.name}: none of its columns is a question of the info.csv in the same folder")
        return cls(asked, known, table.column("QKEY"))

    def respondent(self, row: list[str]) -> str:
        """Return the panelist's key; "" if there is none."""
        if self.respondent_at is None:
            return ""
        return row[self.respondent_at].strip().removesuffix(".0")


def _column(
    table: CsvFile, at: int, key: str, questions: tuple[WaveQuestion, ...], attributes: dict[str, Attribute]
) -> _Column:
    """Return the column of a question; without a question in it if it is not known who was asked which wording."""
    if len(questions) == 1:
        return _Column(at, key, questions[0])
    wordings = wordings_by_group(questions, attributes)
    decided_at = None if wordings is None else table.column(wordings.attribute)
    if wordings is None or decided_at is None:
        why = "cannot be told from them" if wordings is None else f"depends on {wordings.attribute}, which is no column"
        message = f"has {len(questions)} wordings, and who was asked which one {printable(why)}; it is left out"
        table.log.add(f"{table.name}: {printable(key)}", message)
        return _Column(at, key)
    return _Column(at, key, wordings=wordings, decided_at=decided_at)
