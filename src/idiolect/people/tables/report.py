"""The report on an import: how every column and question was understood, what was left out, and every fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from idiolect.errors import UsersFileError
from idiolect.escaping import printable
from idiolect.people.tables.options import MAX_FAULTS_KEPT, Layout, TableFault


@dataclass(frozen=True, slots=True)
class QuestionReport:
    """How a question was understood.

    Args:
        question: its text.
        kind: "scale", "choices" or "free text"; "left out" if it was not imported.
        choices: its choices.
        why: how this is known, or why it was left out.
        answers: number of answers that were imported.
    """

    question: str
    kind: str
    choices: tuple[str, ...]
    why: str
    answers: int


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The report on an import.

    Args:
        path: the file as it was named.
        format: its format in words.
        layout: one row per person ("wide") or one row per answer ("long"); None: the file had users already.
        rows: number of rows, without headers.
        roles: the role of every column that is not left out and no question, such as {"age": "profile"}.
        guessed: the columns among `roles` whose role is guessed.
        questions: the questions, in the order of the table.
        left_out: reason for every column that was left out.
        users, opinions, texts: numbers of what was imported.
        no_answers: number of entries that stand for no answer, by entry; "" is a blank one.
        superseded: number of older answers to questions answered again, by the person's id.
        respelled: number of answers that were spelled as their choice.
        notes: everything else to know.
        fault_count: number of all faults.
        faults: the first `MAX_FAULTS_KEPT` faults.
    """

    path: str
    format: str
    layout: Layout | None
    rows: int
    roles: Mapping[str, str]
    guessed: frozenset[str]
    questions: tuple[QuestionReport, ...]
    left_out: Mapping[str, str]
    users: int
    opinions: int
    texts: int
    no_answers: Mapping[str, int]
    superseded: Mapping[str, int]
    respelled: int
    notes: tuple[str, ...]
    fault_count: int
    faults: tuple[TableFault, ...]

    def error(self) -> UsersFileError:
        """Return the faults as an exception, which names the first and carries all that were kept."""
        path = printable(self.path)
        faults = tuple(f"{path}: {fault}" for fault in self.faults)
        if self.fault_count == 1:
            return UsersFileError(faults[0], faults)
        count = "1 fault" if self.fault_count == 1 else f"{self.fault_count:,} faults"
        kept = f" (the first {MAX_FAULTS_KEPT:,} are shown)" if self.fault_count > len(faults) else ""
        return UsersFileError(f"{path}: {count}{kept}, the first: {self.faults[0]}", faults)
