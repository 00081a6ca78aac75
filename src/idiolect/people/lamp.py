"""LaMP: people with a history, and questions of the same kind, from the files that its authors publish.

<split>_questions.json ([{"id", "input", "profile": [items]}]), <split>_outputs.json ({"task", "golds"}) → people

Salemi et al. (arXiv 2304.11406). User-based splits have one question per person; in time-based ones questions may
contain their `user_id`, and items have a `date`. The questions are hundreds of megabytes. They are read twice, record
by record: first to find the people, then to build values for the requested ones only. `lamp_forms.py` has the tasks,
and `lamp_files.py` finds the files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from idiolect.errors import DatasetError, SettingsError
from idiolect.escaping import printable
from idiolect.people.broken_records import BrokenRecords, BrokenRecordsLog
from idiolect.people.csv_file import REPLACEMENT
from idiolect.people.json_list import read_json, read_json_list
from idiolect.people.lamp_files import split_files
from idiolect.people.lamp_forms import MOVIES, HistoryItem, LampForm, flat, forms_of, label_text
from idiolect.people.splits import shuffled
from idiolect.people.typography import folded
from idiolect.people.user import Opinion, User


@dataclass(frozen=True, slots=True)
class LampPerson:
    """One person of LaMP.

    Args:
        history: a user with the opinions or texts that may be learned from, in a seeded order.
        asked: the published questions with their golds.
    """

    history: User
    asked: tuple[Opinion, ...]


@dataclass(frozen=True, slots=True)
class LampFile:
    """An opened split of a task; its people are known, but none of them is built yet.

    Args:
        form: the form of its questions.
        people: ids of everybody with a valid question and a history, such as "LaMP-2-110", in the order of the file.
        broken: records and history items that were left out.
        replaced: number of questions that contain U+FFFD, which stands for bytes that are not UTF-8.
    """

    form: LampForm
    people: tuple[str, ...]
    broken: BrokenRecords
    replaced: int
    _path: Path
    _golds: Mapping[str, str] = field(repr=False)
    _questions_of: Mapping[str, int] = field(repr=False)
    _items_of: Mapping[str, int] = field(repr=False)

    def with_history(self, n: int) -> frozenset[str]:
        """Return those of `people` whose histories have at least n different items, including any that are asked."""
        return frozenset(person for person in self.people if self._items_of[person] >= n)

    def read(
        self,
        people: Collection[str],
        *,
        history: Literal["opinions", "texts"] = "opinions",
        limit: int | None = None,
        seed: int = 0,
        repeats: bool = True,
    ) -> tuple[LampPerson, ...]:
        """Build these people, in the order of their last questions; leave out people without any other history.

        An item that is itself asked about (the same id, or the same text without regard to case and blanks) does not
        count as history. If a person has several questions, the shortest
        history counts; in time-based splits that is the history before all of them.

        Args:
            people: ids from `people`.
            history: build opinions (the task's question about the item, and the person's label for it) or texts;
                LaMP-1 and 7 have texts only.
            limit: maximum number of items, taken after shuffling.
            seed: seed of the shuffling.
            repeats: False keeps only the first of items with the same text.

        Raises:
            DatasetError: the file can no longer be read.
            SettingsError: texts were requested for LaMP-2's movies, whose texts the people did not write.
        """
        if history == "texts" and self.form is MOVIES:
            raise SettingsError("LaMP-2 has no texts of people: movies are not described by the people who tag them")
        made = _Making(self.form, history if self.form.asks_of_history else "texts", limit, seed, repeats)
        return tuple(person for records in self._complete(frozenset(people)) if (person := made.person(records)))

    def _complete(self, wanted: frozenset[str]) -> Iterator[list[_Record]]:
        """Yield the questions of each person as soon as all of them are read, because whole histories are large."""
        waiting: dict[str, list[_Record]] = {}
        for record in _records(self._path, self.form, self._golds, BrokenRecordsLog()):
            if record.person in wanted:
                waiting.setdefault(record.person, []).append(record)
                if len(waiting[record.person]) == self._questions_of[record.person]:
                    yield waiting.pop(record.person)


def open_lamp(path: Path, *, task: str, split: str = "dev") -> LampFile:
    """Open a split and find the people in it.

    Args:
        path: a questions file, the task's folder, or a folder above or below it; see `lamp_files.split_files`.
        task: "LaMP-1" … "LaMP-5", "LaMP-7".
        split: name of the split, if `path` is a folder.

    Raises:
        DatasetError: a file is missing or not in the published layout, or nobody is left.
        ValueError: there is no such task.
    """
    forms = forms_of(task)
    files = split_files(path, task=task, split=split)
    questions = files.questions
    log = BrokenRecordsLog()
    golds = _golds(files.outputs, task, log)
    form = max(forms, key=lambda form: sum(form.label_of(gold) in form.labels for gold in golds.values()))
    records = _records(questions, form, golds, log)
    replaced = 0
    seen: Counter[str] = Counter()
    items: dict[str, int] = {}
    for record in records:
        seen[record.person] += 1
        n = len(_different(record.items))
        items[record.person] = min(n, items.get(record.person, n))
        replaced += REPLACEMENT in record.text
    people = tuple(seen)
    if not people:
        raise DatasetError(f"{printable(str(questions))}: has no valid question of {task} ({log.count} are broken)")
    return LampFile(form, people, log.records, replaced, questions, golds, seen, items)


def _golds(path: Path, task: str, log: BrokenRecordsLog) -> dict[str, str]:
    value = read_json(path)
    if not isinstance(value, dict) or not isinstance(value.get("golds"), list):
        raise DatasetError(f'{printable(str(path))}: expected the form {{"task": …, "golds": […]}}')
    named = value.get("task", task)
    if not isinstance(named, str) or not named.replace("_", "-").startswith(task):
        other = f"for {printable(named[:40])}, not" if isinstance(named, str) else "not"
        raise DatasetError(f"{printable(str(path))}: its answers are {other} for {task}: name the folder of {task}")
    found: dict[str, str] = {}
    for number, gold in enumerate(value["golds"], start=1):
        key, text = (label_text(gold.get("id")), label_text(gold.get("output"))) if isinstance(gold, dict) else ("", "")
        if not key or not text or found.setdefault(key, text) != text:
            log.add(f"{path.name}: gold {number}", "lacks its id or output, or contradicts an earlier one")
    return found


@dataclass(frozen=True, slots=True)
class _Record:
    """A valid question, as plain values."""

    person: str
    key: str
    text: str
    gold: str
    asked: str
    items: tuple[HistoryItem, ...]


def _records(path: Path, form: LampForm, golds: Mapping[str, str], log: BrokenRecordsLog) -> Iterator[_Record]:
    """Yield the valid questions of a file; the others go to the log."""
    keys: Counter[str] = Counter()
    for number, value in enumerate(read_json_list(path), start=1):
        key = label_text(value.get("id")) if isinstance(value, dict) else ""
        place = f"{printable(path.name)}: question {printable(key[:40]) if key else f'number {number}'}"
        try:
            if not key:
                raise ValueError("has no id")
            keys[key] += 1
            if keys[key] > 1:
                raise ValueError("its id is that of an earlier question")
            yield _record(place, key, value, form, golds, log)
        except ValueError as error:
            log.add(place, str(error))


def _record(
    place: str, key: str, value: Mapping[str, Any], form: LampForm, golds: Mapping[str, str], log: BrokenRecordsLog
) -> _Record:
    text, profile, gold = value.get("input"), value.get("profile"), golds.get(key)
    gold = None if gold is None else form.label_of(gold)
    if not isinstance(text, str) or not isinstance(profile, list):
        raise ValueError("lacks its input or its profile")
    if contradiction := form.contradiction(text):
        raise ValueError(contradiction)
    if gold is None:
        raise ValueError("has no gold")
    if form.labels and gold not in form.labels:
        raise ValueError(f"its gold is not one of the {len(form.labels)} labels")
    Opinion(form.question(text), gold)  # raises if it cannot be stored
    items = tuple(item for item in map(form.item, profile) if item is not None and _can_be_kept(form, item))
    if not items:
        raise ValueError("has no valid item in its profile")
    if len(items) < len(profile):
        log.add(f"{place}, profile", f"{len(profile) - len(items)} items are incomplete, or have an invalid label")
    person = label_text(value.get("user_id")) or key
    record = _Record(f"{form.task}-{person}", key, text, gold, form.asked_item(text), items)
    User(record.person, opinions=(Opinion(form.question(text), gold),))
    return record


def _can_be_kept(form: LampForm, item: HistoryItem) -> bool:
    try:
        User("item", texts=(form.written(item), item.label or item.text))
    except ValueError:
        return False
    return True


def _different(items: Iterable[HistoryItem]) -> list[HistoryItem]:
    """Return the first item with each text, without regard to case and blanks."""
    first: dict[str, HistoryItem] = {}
    for item in items:
        first.setdefault(flat(item.text), item)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class _Making:
    """A builder of people from records."""

    form: LampForm
    history: Literal["opinions", "texts"]
    limit: int | None
    seed: int
    repeats: bool

    def person(self, records: list[_Record]) -> LampPerson | None:
        """Build one person from all their questions; None if the history consists only of what is asked."""
        asked = tuple(Opinion(self.form.question(r.text), r.gold, {"id": r.key}) for r in records)
        first = min(records, key=lambda record: len(record.items))
        items = [item for item in first.items if not any(self._is_asked(item, r) for r in records)]
        if not items:
            return None
        items = items if self.repeats else _different(items)
        taken = shuffled(items, "history", self.seed, first.person)[: self.limit]
        if self.history == "texts":
            return LampPerson(User(first.person, texts=tuple(map(self.form.written, taken))), asked)
        opinions = tuple(self._opinion(item) for item in taken)
        return LampPerson(User(first.person, opinions=opinions), asked)

    def _opinion(self, item: HistoryItem) -> Opinion:
        return Opinion(self.form.asking_about(item.text), item.label, {"id": item.id} if item.id else {})

    def _is_asked(self, item: HistoryItem, record: _Record) -> bool:
        """Return whether an item is what a question asks about, or contains its gold: a title, or a tweet."""
        if item.id == record.key:
            return True
        texts = {folded(item.text), folded(item.label)} if self.form.label_key == "title" else {folded(item.text)}
        asked = {folded(record.asked)} if self.form.labels else {folded(record.asked), folded(record.gold)}
        return not texts.isdisjoint(asked)
