"""Output of `idiolect users import`: how a file was understood, what was left out, and its faults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from idiolect.cli.terminal import err, listed, one_line, out
from idiolect.errors import error_kind

if TYPE_CHECKING:
    from rich.console import Console

    from idiolect.errors import UsersFileError
    from idiolect.people.tables.report import ImportReport, QuestionReport

_SHOWN_QUESTIONS = 40
_SHOWN_COLUMNS = 20
_SHOWN_USERS = 10
_QUESTION, _CHOICES = 70, 100  # characters of a line
_LAYOUTS = {"wide": "one row per person", "long": "one row per answer", None: "one object per person"}


def print_import(report: ImportReport, *, on_stderr: bool) -> None:
    """Print how a file was understood, on stdout or stderr."""
    console = err() if on_stderr else out()
    _line(console, "file", f"{report.format}; {counted(report.rows, 'row')}; {_LAYOUTS[report.layout]}")
    _print_roles(console, report)
    _print_questions(console, report.questions)
    for name, reason in list(report.left_out.items())[:_SHOWN_COLUMNS]:
        _line(console, "left out", f"column {one_line(name, limit=_QUESTION)}: {reason}")
    _print_more(console, len(report.left_out) - _SHOWN_COLUMNS, "columns were left out")
    _print_no_answers(console, report.no_answers)
    if report.respelled:
        _line(console, "spelling", f"{report.respelled:,} answers differ from their choice in marks, blanks or case")
    _print_superseded(console, report.superseded)
    for note in report.notes:
        _line(console, "note", note)
    opinions, texts = counted(report.opinions, "opinion"), counted(report.texts, "text")
    _line(console, "users", f"{report.users:,}, with {opinions} and {texts}")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _line(console: Console, name: str, text: str) -> None:
    indent = len(text) - len(text.lstrip())
    console.print(f"{name:<10}{' ' * indent}{one_line(text)}", markup=False)


def _print_more(console: Console, more: int, what: str) -> None:
    if more > 0:
        _line(console, "", f"{more:,} more {what}; --json lists all")


def _print_roles(console: Console, report: ImportReport) -> None:
    by_role: dict[str, list[str]] = {}
    for name, role in report.roles.items():
        by_role.setdefault(role, []).append(name)
    for role, names in by_role.items():
        guessed = " (guessed)" if any(name in report.guessed for name in names) else ""
        _line(console, role, f"{listed(names, most=_SHOWN_COLUMNS)}{guessed}")


def _print_questions(console: Console, questions: Iterable[QuestionReport]) -> None:
    every = list(questions)
    if every:
        _line(console, "questions", f"{sum(each.kind != 'left out' for each in every):,}")
    for each in every[:_SHOWN_QUESTIONS]:
        _line(console, "", f"{one_line(each.question, limit=_QUESTION)} ({counted(each.answers, 'answer')})")
        arrow = " < " if each.kind == "scale" else " | "
        choices = one_line(arrow.join(each.choices), limit=_CHOICES)
        why = "" if each.why == each.kind else f" ({each.why})"
        _line(console, "", f"  {each.kind}{f': {choices}' if choices else ''}{why}")
    _print_more(console, len(every) - _SHOWN_QUESTIONS, "questions")


def _print_no_answers(console: Console, no_answers: Mapping[str, int]) -> None:
    if no_answers:
        counts = [f"{count:,} {one_line(repr(entry)) if entry else 'blank'}" for entry, count in no_answers.items()]
        _line(console, "no answer", f"{listed(counts, most=_SHOWN_COLUMNS)} (left out)")


def _print_superseded(console: Console, superseded: Mapping[str, int]) -> None:
    for user_id, n in list(superseded.items())[:_SHOWN_USERS]:
        answers = "1 older answer to a question" if n == 1 else f"{n:,} older answers to questions"
        _line(console, "repeated", f"{one_line(user_id)}: {answers} answered again; the newest answer counts")
    _print_more(console, len(superseded) - _SHOWN_USERS, "users answered questions again")


def print_faults(report: ImportReport, *, skipped: bool) -> None:
    """Print the faults on stderr, and whether what has them was skipped."""
    if not report.fault_count:
        return
    count = counted(report.fault_count, "fault")
    err().print(f"{count}{'; skipped what has them' if skipped else ''}:", markup=False)
    for fault in report.faults:
        err().print(one_line(str(fault)), markup=False)


def import_document(report: ImportReport, refused: UsersFileError | None = None) -> dict[str, Any]:
    """Return the document for the report on an import, with the error if it was refused."""
    document = {
        "file": report.path,
        "format": report.format,
        "layout": report.layout,
        "rows": report.rows,
        "columns": {name: {"role": role, "guessed": name in report.guessed} for name, role in report.roles.items()},
        "questions": [
            {
                "question": each.question,
                "kind": each.kind,
                "choices": list(each.choices),
                "why": each.why,
                "answers": each.answers,
            }
            for each in report.questions
        ],
        "left_out": dict(report.left_out),
        "users": report.users,
        "opinions": report.opinions,
        "texts": report.texts,
        "no_answers": dict(report.no_answers),
        "superseded": dict(report.superseded),
        "respelled": report.respelled,
        "notes": list(report.notes),
        "fault_count": report.fault_count,
        "faults": [{"row": each.row, "column": each.column, "message": each.message} for each in report.faults],
    }
    if refused is not None:
        document["error"] = {"type": error_kind(refused), "message": str(refused)}
    return document
