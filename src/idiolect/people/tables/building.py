"""Users from the answers of a table: questions get their forms, answers their choices, the newest counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from idiolect.people.newest_answers import with_newest_answers
from idiolect.people.tables.answers import Collected, Given
from idiolect.people.tables.forms import Form, KnownScales, form_of, form_of_choices
from idiolect.people.tables.options import ImportOptions, TableFault
from idiolect.people.tables.ranges import ranges
from idiolect.people.tables.report import QuestionReport
from idiolect.people.typography import folded
from idiolect.people.user import Opinion, Question, User
from idiolect.people.users_file import is_too_large

AS_IN_TABLE = "as in the table"
TOO_LARGE = "this person has more than one line of a users file can have"


@dataclass(slots=True)
class Built:
    """The users of a table.

    Args:
        users: users with opinions, texts or both, in the order of the table.
        questions: how each question was understood.
        superseded: number of older answers to questions answered again, by the person's id.
        respelled: number of answers that were spelled as their choice.
        faults: answers that are none of their question's choices.
    """

    users: list[User] = field(default_factory=list)
    questions: list[QuestionReport] = field(default_factory=list)
    superseded: dict[str, int] = field(default_factory=dict)
    respelled: int = 0
    faults: list[TableFault] = field(default_factory=list)


def built(found: Collected, options: ImportOptions) -> Built:
    """Return the users of a table, and how their questions were understood."""
    result = Built()
    of_question: dict[str, list[Given]] = {}
    for given in found.answers:
        of_question.setdefault(given.question, []).append(given)
    guessed = {
        question: [given.answer for given in answers if not given.choices] for question, answers in of_question.items()
    }
    scales = KnownScales.of([set(map(folded, answers)) for answers in guessed.values()])
    others = ranges(guessed)
    forms = {
        question: form_of(question, answers, options, scales, others.get(question))
        for question, answers in guessed.items()
        if answers
    }
    opinions: dict[str, list[Opinion]] = {}
    imported: dict[str, int] = dict.fromkeys(of_question, 0)
    for given in found.answers:
        form = _stated(given, options) if given.choices else forms[given.question]
        opinion = _opinion(given, form, result) if form.usable else None
        if opinion is not None:
            opinions.setdefault(given.user_id, []).append(opinion)
            imported[given.question] += 1
    for question, answers in of_question.items():
        form = forms[question] if question in forms else _stated(answers[0], options)
        result.questions.append(_report(question, form, imported[question]))
    _add_users(result, found, opinions)
    return result


def _stated(given: Given, options: ImportOptions) -> Form:
    """Return the form with the choices that the table states for an answer."""
    scale = any(set(map(folded, given.choices)) == set(map(folded, each)) for each in options.scales)
    ordinal = (bool(given.ordinal) or scale or given.question in options.ordinal) and (
        given.question not in options.nominal
    )
    return form_of_choices(given.choices, ordinal=ordinal, why=AS_IN_TABLE)


def _opinion(given: Given, form: Form, result: Built) -> Opinion | None:
    """Return the opinion of an answer; None, and add a fault, if it is none of the choices."""
    answer = form.choice(given.answer)
    if answer is None:
        n = len(form.choices)
        hint = "; if it stands for no answer, state it as missing" if form.why == "as stated" else ""
        if given.answer.isdecimal() or (len(given.answer) == 1 and given.answer.isalpha()):
            hint = "; it seems to be the code of a choice: the table must have the choice's text"
        result.faults.append(TableFault(given.row, given.column, f"is not one of the {n} choices{hint}"))
        return None
    result.respelled += bool(form.choices) and answer != given.answer and folded(answer) == folded(given.answer)
    return Opinion(Question(given.question, form.choices, form.ordinal), answer)


def _report(question: str, form: Form, answers: int) -> QuestionReport:
    kind = "scale" if form.ordinal else "choices" if form.choices else "free text" if form.usable else "left out"
    return QuestionReport(question, kind, form.choices, form.why, answers)


def _add_users(result: Built, found: Collected, opinions: dict[str, list[Opinion]]) -> None:
    for user_id, person in found.people.items():
        said: Sequence[Opinion] = opinions.get(user_id, ())
        if said or person.texts:
            user, older = with_newest_answers(User(user_id, person.profile, said, person.texts))
            if is_too_large(user):
                fault = f"{TOO_LARGE}; split their texts, or leave questions out"
                result.faults.append(TableFault(person.first_row, "", fault))
                continue
            result.users.append(user)
            if older:
                result.superseded[user_id] = older
