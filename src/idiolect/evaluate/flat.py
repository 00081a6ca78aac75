"""All answers of an evaluation as one flat table, for spreadsheets and data frames: `results.csv`.

    AnswerRecord, Outline, questions → results_csv → CSV (RFC 4180, but with "\\n" at the end of a line)

One row is one answer. The columns before the measures are always the same, in the same order; then follows a column for
each measure of the evaluation, in its order. Text is quoted and numbers are not; an unknown value is empty. A text that
a spreadsheet would take for a formula begins with an apostrophe: people and models write these texts, and a formula can
read files and open addresses.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from idiolect.evaluate.outline import Outline
from idiolect.evaluate.records import AnswerRecord
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY

Questions = Mapping[str, tuple[str, tuple[str, ...]]]

COLUMNS = (
    VERSION_KEY, "task", "person", "arm", "method", "kind", "control", "n_train", "answered_by", "seed", "item",
    "question", "index", "status", "reason", "choice", "answer", "said", "logprob", "logprob_answer",
)  # fmt: skip
"""Columns before the measures. `choice` is what the method answered, `answer` what the person did."""


_FORMULA = re.compile(r"[=+\-@＝＋－＠\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d+(?:[.,]\d+)?")
_NUL = re.compile("\x00")  # ends a text for many readers of CSV, pandas included


def results_csv(answers: Sequence[AnswerRecord], outline: Outline, questions: Questions, *, texts: bool = True) -> str:
    """Return the table, ordered as the tables' arms, then by person, index and seed.

    Args:
        answers: the answers.
        outline: outline of the evaluation.
        questions: text and choices by key; the text of a question is a column.
        texts: whether to include questions, answers and what models said; without them, these columns are empty.
    """
    arms = {arm: place for place, arm in enumerate(outline.arms)}
    people = {user: place for place, user in enumerate(outline.people)}
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow((*COLUMNS, *outline.measures))
    for record in sorted(answers, key=lambda each: (arms[each.arm], people[each.user], each.index, each.seed)):
        row = _row(record, outline, questions if texts else None)
        writer.writerow([_plain(value) if isinstance(value, str) else value for value in row])
    return written.getvalue()


def _row(record: AnswerRecord, outline: Outline, questions: Questions | None) -> tuple[str | int | float | None, ...]:
    arm, method = record.arm, record.arm.method.partition("[")[0]
    said = record.said if record.said is not None else record.answer
    words = (record.answer, record.truth, said) if questions is not None else (None, None, None)
    question = "" if questions is None else questions.get(record.question, ("", ()))[0]
    return (
        SCHEMA_VERSION,
        outline.task,
        record.user,
        str(arm),
        arm.method,
        outline.kinds.get(method),
        arm.control,
        arm.n_train,
        arm.answered_by,
        record.seed,
        record.item or record.question,
        question,
        record.index,
        record.status,
        record.reason,
        *words,
        _logprob(record, record.answer),
        _logprob(record, record.truth),
        *(record.values.get(name) for name in outline.measures),
    )


def _plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula; a number stays as it is."""
    text = _NUL.sub("\ufffd", text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _logprob(record: AnswerRecord, choice: str | None) -> float | None:
    return None if choice is None else record.logprobs.get(choice)
