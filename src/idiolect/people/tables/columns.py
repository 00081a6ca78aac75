"""The roles of a table's columns, stated or guessed from their names: id, profile, questions, answers, texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from idiolect.errors import Remedy, SettingsError
from idiolect.escaping import printable
from idiolect.people.tables.known_words import (
    ANSWERS,
    CHOICES,
    DATES,
    IDS,
    ORDINALS,
    QUESTIONS,
    bare,
    is_id,
    is_profile,
    named,
    why_left_out,
)
from idiolect.people.tables.options import ImportOptions, Layout, short
from idiolect.people.tables.table import Table


@dataclass(frozen=True, slots=True)
class Columns:
    """The roles of the columns of a table; every column has one, or is left out for a reason.

    Args:
        layout: one row per person, or one row per answer.
        id: the column with ids; None: the rows have none, so that a row's number is the id.
        profile, texts: columns with attributes and with texts of people.
        questions: wide: the columns that are questions.
        question, answer, choices, ordinal, date: long: the columns of these; None where there is none.
        left_out: reason for each column that is left out.
        guessed: the columns whose role is guessed.
    """

    layout: Layout
    id: str | None
    profile: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    question: str | None = None
    answer: str | None = None
    choices: str | None = None
    ordinal: str | None = None
    date: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    guessed: frozenset[str] = frozenset()


def columns_of(table: Table, options: ImportOptions) -> Columns:
    """Return the roles of a table's columns.

    Raises:
        SettingsError: an option names a column that the table lacks, or an option does not go with the layout.
    """
    names = [name for name in table.columns if name]
    stated = [options.id, options.answer, options.choices, options.date, *(options.profile or ())]
    stated += [*(options.question or ()), *options.texts, *options.ignored]
    _check_known(names, [name for name in stated if name is not None])
    layout = options.layout or _layout(names, options)
    _check_options(layout, options)
    return _long(table, options) if layout == "long" else _wide(table, options)


def check_questions(questions: Sequence[str], options: ImportOptions) -> None:
    """Check that the questions that are stated to be scales or not exist.

    Raises:
        SettingsError: one does not.
    """
    _check_known(
        [name for name in dict.fromkeys(questions) if name], (*options.ordinal, *options.nominal), kind="question"
    )


def _check_known(names: list[str], stated: Iterable[str], *, kind: str = "column") -> None:
    known = set(names)
    for name in stated:
        if name not in known:
            near = get_close_matches(name, names, n=3, cutoff=0.4) or names[:10]
            some = ", ".join(f'"{short(each)}"' for each in near)
            raise SettingsError(f'the table has no {kind} "{printable(name)}"; it has, for example, {some}')


def _layout(names: list[str], options: ImportOptions) -> Layout:
    """Return the layout: long if an answer column is stated, or columns are named like questions and answers."""
    if options.answer is not None or options.choices is not None:
        return "long"
    if options.question is not None and len(options.question) > 1:
        return "wide"
    question = options.question[0] if options.question else named(names, QUESTIONS)
    answer = named((name for name in names if name != question), ANSWERS)
    return "long" if question is not None and answer is not None else "wide"


def _check_options(layout: Layout, options: ImportOptions) -> None:
    """Raise SettingsError for an option that the layout does not have."""
    if layout == "wide":
        for option, value in (("answer", options.answer), ("choices", options.choices), ("date", options.date)):
            if value is not None:
                remedy = Remedy("layout", "long", "reads one row per answer")
                raise SettingsError(f"{option} names a column, but the table has one row per person", remedy=remedy)
    elif options.question is not None and len(options.question) > 1:
        remedy = Remedy("layout", "wide", "reads one row per person")
        raise SettingsError("a table with one row per answer has one column of questions", remedy=remedy)


def _id(names: list[str], options: ImportOptions) -> str | None:
    return options.id or named((name for name in names if name not in options.ignored), IDS)


def _long(table: Table, options: ImportOptions) -> Columns:
    names = [name for name in table.columns if name]
    question = options.question[0] if options.question else named(names, QUESTIONS)
    free = [name for name in names if name != question and name not in options.ignored]
    answer = options.answer or named(free, ANSWERS)
    for role, column in (("question", question), ("answer", answer)):
        if column is None:
            raise SettingsError(f"no column is named like {role}s", remedy=Remedy(role, effect="names it"))
    user_id = _id(free, options)
    if user_id is None:
        raise SettingsError("no column is named like ids of people", remedy=Remedy("id", effect="names it"))
    choices = options.choices or named(free, CHOICES)
    ordinal, date = named(free, ORDINALS), options.date or named(free, DATES)
    used = {user_id, question, answer, choices, ordinal, date, *options.texts}
    rest = [name for name in names if name not in used]
    profile = tuple(name for name in rest if is_profile(name)) if options.profile is None else options.profile
    profile = tuple(name for name in profile if name not in options.ignored)
    return Columns(
        layout="long",
        id=user_id,
        profile=profile,
        texts=options.texts,
        question=question,
        answer=answer,
        choices=choices if choices not in profile else None,
        ordinal=ordinal if ordinal not in profile else None,
        date=date if date not in profile else None,
        left_out={name: _reason(name, options) for name in rest if name not in profile},
        guessed=_guessed(names, options),
    )


def _wide(table: Table, options: ImportOptions) -> Columns:
    names = [name for name in table.columns if name]
    user_id = _id(names, options)
    taken = {user_id, *options.texts, *options.ignored, *(options.profile or ()), *(options.question or ())}
    rest = [name for name in names if name not in taken]
    empty = _empty(table)
    left_out = dict.fromkeys(options.ignored, "left out as stated")
    profile, questions = list(options.profile or ()), list(options.question or ())
    for name in rest:
        if reason := ("empty" if name in empty else why_left_out(name)):
            left_out[name] = reason
        elif options.profile is None and is_profile(name):
            profile.append(name)
        elif options.question is None and is_id(name):
            left_out[name] = "another id"
        elif options.question is None:
            questions.append(name)
        else:
            left_out[name] = "not stated"
    return Columns(
        layout="wide",
        id=user_id,
        profile=_in_order(profile, names),
        texts=options.texts,
        questions=_in_order(questions, names),
        left_out=left_out,
        guessed=_guessed(names, options),
    )


def _reason(name: str, options: ImportOptions) -> str:
    return "left out as stated" if name in options.ignored else why_left_out(name) or "no known role"


def _guessed(names: list[str], options: ImportOptions) -> frozenset[str]:
    stated = {options.id, options.answer, options.choices, options.date, *options.texts, *options.ignored}
    return frozenset(set(names) - stated - set(options.profile or ()) - set(options.question or ()))


def _in_order(chosen: Iterable[str], names: list[str]) -> tuple[str, ...]:
    wanted = set(chosen)
    return tuple(name for name in names if name in wanted)


def _empty(table: Table) -> set[str]:
    return {name for place, name in enumerate(table.columns) if not any(row.cells[place] for row in table.rows)}


def coded_names(questions: Iterable[str]) -> list[str]:
    """Return the questions whose names are codes, such as Q12 or VAR_3: a model cannot know what they ask."""
    return [name for name in questions if len(bare(name)) <= 8 and not name.endswith("?") and _has_digit(name)]


def _has_digit(name: str) -> bool:
    return " " not in name and any(character.isdigit() for character in name)
