"""The task `users`: the people in a users file, with their opinions, their texts or both.

users file → valid users (faults are reported) → names masked, if asked for → groups → cases
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from idiolect.errors import DatasetError, SettingsError
from idiolect.escaping import printable
from idiolect.evaluate.benchmark import DISTRIBUTION, Benchmark
from idiolect.evaluate.tasks.cases import People, benchmark_of, partition
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.people.broken_records import BrokenRecord, BrokenRecords, BrokenRecordsLog
from idiolect.people.distributions import UnusableSharesError, distribution, most_frequent
from idiolect.people.global_opinionqa import as_one_country
from idiolect.people.masked_names import MASK, MaskedNames, mask_names
from idiolect.people.survey_non_answers import NobodyAnsweredError, without_non_answers
from idiolect.people.user import Opinion, User
from idiolect.people.users_file import UsersFileReport, read_users

_TOPIC = "topic"


def load_users(options: TaskOptions) -> Benchmark:
    """Load the benchmark of a users file; see `Task.load`."""
    return users_benchmark("users", options)


def users_benchmark(task: str, options: TaskOptions, *, needs_distribution: bool = False) -> Benchmark:
    """Load the benchmark of any task whose data is a users file.

    Args:
        task: name of the task.
        options: options of the task; `data` is the file.
        needs_distribution: leave out opinions without a distribution over their choices, and choices that are no
            answer.

    Raises:
        UsersFileError: the file cannot be read or has no valid line.
        DatasetError: nobody is left.
        SettingsError: nobody has the attribute to group by, or nobody has one of the topics.
    """
    path = data_of(task, options)
    reports: list[UsersFileReport] = []
    checked = _Distributions(path.name, needs_distribution)
    users = tuple(checked.users(read_users(path, skip_invalid=True, on_report=reports.append)))
    broken = _broken_lines(path, reports[0]) + checked.log.records
    notes = (*_notes(path, reports[0]), *non_answers_note(checked.with_non_answers))
    if options.mask_names:
        masked = mask_names(users)
        users, notes = masked.users, (*notes, _mask_note(masked))
    return grouped_benchmark(task, users, options, broken=broken, notes=notes)


def grouped_benchmark(
    task: str, users: tuple[User, ...], options: TaskOptions, *, broken: BrokenRecords, notes: tuple[str, ...] = ()
) -> Benchmark:
    """Create the benchmark of users, grouped and restricted to topics according to the options.

    Raises:
        DatasetError: nobody is left.
        SettingsError: nobody has the attribute to group by, or nobody has one of the topics.
    """
    group_of = grouping(users, options.group_by)
    people = partition(users, seed=options.seed)
    if options.topics:
        wanted = _wanted(options.topics, {group_of(user) for user in users})
        people = People(
            tuple(user for user in people.reported if group_of(user) in wanted),
            tuple(user for user in people.development if group_of(user) in wanted),
        )
    return benchmark_of(task, people, options, group_of=group_of, broken=broken, notes=notes)


def data_of(task: str, options: TaskOptions) -> Path:
    """Return the path of a task's data.

    Raises:
        DatasetError: the options contain no path.
    """
    if options.data is None:
        raise DatasetError(f"{task}: this task needs data: give the path of your file or folder")
    return options.data


def replaced_note(rows: int) -> tuple[str, ...]:
    """Return a note on rows with bytes that are not UTF-8, if there are any."""
    return (f"{rows} rows contain bytes that are not UTF-8, which were replaced by a mark.",) if rows else ()


def non_answers_note(opinions: int) -> tuple[str, ...]:
    """Return a note on opinions that were published with choices that are no answer, if there are any."""
    note = 'Choices that are no answer, such as "DK/Refused", were left out of'
    return (f"{note} {opinions} opinions; shares are those of the people who answered.",) if opinions else ()


def _mask_note(masked: MaskedNames) -> str:
    """Return a note on the names that were masked."""
    counts = f"{masked.masked:,} of {masked.words:,} words, {100 * masked.share:.1f} %"
    return f"Names in people's texts were replaced by {MASK}: {counts}."


def _broken_lines(path: Path, report: UsersFileReport) -> BrokenRecords:
    first_of_line = {fault.line: fault for fault in reversed(report.faults)}
    kept = [
        BrokenRecord(f"{printable(path.name)}:{line}", f"{fault.field}: {fault.message}")
        for line, fault in sorted(first_of_line.items())
    ]
    return BrokenRecords(report.invalid_lines, tuple(kept))


def _notes(path: Path, report: UsersFileReport) -> tuple[str, ...]:
    return tuple(f"{printable(path.name)}:{note.line}: {note.field}: {note.message}." for note in report.notes)


@dataclass(slots=True)
class _Distributions:
    """Filter that removes opinions whose distribution does not fit their choices, and users with nothing else.

    If distributions are needed, users are countries: choices that are no answer are left out, and all names of a
    country have the same `RESPONDENT`.
    """

    file: str
    needed: bool
    log: BrokenRecordsLog = field(default_factory=BrokenRecordsLog)
    with_non_answers: int = 0

    def users(self, users: Iterable[User]) -> Iterable[User]:
        for user in users:
            kept = tuple(self._opinions(user))
            if kept or user.texts:
                found = replace(user, opinions=kept)
                yield as_one_country(found) if self.needed else found

    def _opinions(self, user: User) -> Iterable[Opinion]:
        for index, opinion in enumerate(user.opinions):
            if DISTRIBUTION not in opinion.extra and not self.needed:
                yield opinion
                continue
            try:
                yield self._checked(opinion)
            except (UnusableSharesError, NobodyAnsweredError) as error:
                self.log.add(f"{printable(self.file)}: {printable(user.id)}: opinions[{index}]", str(error))

    def _checked(self, opinion: Opinion) -> Opinion:
        question, answer = opinion.question, opinion.answer
        shares = distribution(opinion.extra.get(DISTRIBUTION), question.choices)
        if self.needed:
            question, shares = without_non_answers(question, shares)
            self.with_non_answers += question != opinion.question
            answer = answer if answer in question.choices else most_frequent(shares, question.choices)
        return Opinion(question, answer, {**opinion.extra, DISTRIBUTION: list(shares)})


def grouping(users: Iterable[User], group_by: str) -> Callable[[User], str]:
    """Return a function that returns a user's group: the value of a profile attribute or unknown key; "" without one.

    Raises:
        SettingsError: nobody has the attribute or key.
    """

    def group_of(user: User) -> str:
        value = user.profile.attributes.get(group_by, user.extra.get(group_by))
        return "" if value is None or isinstance(value, list | dict) else str(value)

    if not group_by:
        group_by = _TOPIC
    elif not any(map(group_of, users)):
        raise SettingsError(f"none of these people has {printable(group_by)!r} to group by")
    return group_of


def _wanted(topics: Iterable[str], groups: Iterable[str]) -> frozenset[str]:
    by_name = {group.strip().casefold(): group for group in groups if group}
    for topic in topics:
        if topic.strip().casefold() not in by_name:
            some = ", ".join(sorted(by_name.values())[:20]) or "none"
            raise SettingsError(f"nobody has the topic {printable(topic)!r}; the topics are: {printable(some)}")
    return frozenset(by_name[topic.strip().casefold()] for topic in topics)


USERS = Task(
    "users",
    "People of a users file",
    "Users file (JSON Lines) with opinions, texts or both.",
    load_users,
)
