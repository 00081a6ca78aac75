from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idiolect.people.json_line import MAX_VALUES
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.people.user_record import MAX_FAULTS, InvalidRecordError, user_from_record, user_to_record
from tests.people.strategies import any_json, users

NOT_ONE = "opinions[0].answer: is not one of the"
IN_QUOTES = 'must be text, but is a number; write it in quotes, such as "1"'
OPINION: dict[str, Any] = {"question": "Tea?", "choices": ["yes", "no"], "answer": "yes"}


def problems_of(record: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidRecordError) as caught:
        user_from_record(record)
    return [str(problem) for problem in caught.value.problems]


def opinion_problems(**changes: object) -> list[str]:
    opinion = {key: value for key, value in (OPINION | changes).items() if value is not ...}
    return problems_of({"id": "u1", "opinions": [opinion]})


def test_record_with_every_field_becomes_a_user() -> None:
    record = {
        "id": "u1",
        "profile": {"Age": "18-29", "Children": 2, "Weight": 61.5},
        "opinions": [OPINION, OPINION | {"ordinal": True, "weight": 0.5}, {"question": "Why?", "answer": "Habit."}],
        "texts": ["I drink tea."],
        "topic": {"name": "tea"},
    }
    tea = Question("Tea?", ("yes", "no"))
    scale = Question("Tea?", ("yes", "no"), ordinal=True)
    assert user_from_record(record) == User(
        id="u1",
        profile=UserProfile({"Age": "18-29", "Children": "2", "Weight": "61.5"}),
        opinions=(Opinion(tea, "yes"), Opinion(scale, "yes", {"weight": 0.5}), Opinion(Question("Why?"), "Habit.")),
        texts=("I drink tea.",),
        extra={"topic": {"name": "tea"}},
    )


def test_user_with_texts_only_is_valid() -> None:
    assert user_from_record({"id": "u1", "texts": ["Hello."]}).opinions == ()


@pytest.mark.parametrize("silent", [{}, {"opinions": []}, {"opinions": [], "texts": []}])
def test_user_with_neither_opinions_nor_texts_is_refused(silent: dict[str, Any]) -> None:
    message = "opinions: is empty, and there are no texts; a user must have opinions, texts or both"
    assert problems_of({"id": "u1", **silent}) == [message]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"question": ...}, "opinions[0].question: is missing"),
        ({"answer": ...}, "opinions[0].answer: is missing"),
        ({"question": " "}, "opinions[0].question: is blank"),
        ({"answer": ""}, "opinions[0].answer: is blank"),
        ({"answer": True}, "opinions[0].answer: must be text, but is true or false"),
        ({"answer": 1}, 'opinions[0].answer: must be text, but is a number; write it in quotes, such as "1"'),
        (
            {"answer": None},
            "opinions[0].answer: must be text, but is null; leave the opinion out if there was no answer",
        ),
        ({"answer": ["yes"]}, "opinions[0].answer: must be text, but is a list; an opinion has one answer"),
        ({"answer": "maybe"}, "opinions[0].answer: is not one of the 2 choices"),
        (
            {"answer": "2"},
            f"{NOT_ONE} 2 choices, but a number: write the choice's text instead of its code",
        ),
        (
            {"answer": "2.0"},
            f"{NOT_ONE} 2 choices, but a number: write the choice's text instead of its code",
        ),
        ({"answer": "yes;no"}, f"{NOT_ONE} 2 choices, but several of them: an opinion has one answer"),
        ({"answer": "No, Yes"}, f"{NOT_ONE} 2 choices, but several of them: an opinion has one answer"),
        ({"answer": "(prefer not to answer)"}, f"{NOT_ONE} 2 choices, but no answer: leave the opinion out"),
        (
            {"answer": "B"},
            f"{NOT_ONE} 2 choices, but a letter: write the choice's text instead",
        ),
        (
            {"answer": "Refused"},
            f"{NOT_ONE} 2 choices, but no answer: leave the opinion out",
        ),
        (
            {"answer": "NO "},
            f"{NOT_ONE} choices: number 2 differs in blanks and case; write it as in choices",
        ),
        (
            {"choices": ["Yes", "Don\u2019t know"], "answer": "Don't know"},
            f"{NOT_ONE} choices: number 2 differs in the apostrophe (\u2019 U+2019, here ' U+0027)"
            "; write it as in choices",
        ),
        (
            {"choices": ["18\u201329", "30+"], "answer": "18-29"},
            f"{NOT_ONE} choices: number 1 differs in the dash (\u2013 U+2013, here - U+002D); write it as in choices",
        ),
        (
            {"choices": ["Not\u00a0sure", "Yes"], "answer": "Not sure"},
            f"{NOT_ONE} choices: number 1 differs in blanks; write it as in choices",
        ),
        (
            {"choices": ["yes"]},
            "opinions[0].choices: contains a single choice; list all that the person could choose from",
        ),
        (
            {"choices": []},
            "opinions[0].choices: contains no choice; list all that the person could choose from",
        ),
        ({"choices": None}, "opinions[0].choices: must be a list, but is null; leave the field out for free text"),
        (
            {"choices": "yes|no"},
            'opinions[0].choices: must be a list, but is text; write every choice as a text of its own: ["…", "…"]',
        ),
        (
            {"choices": {"1": "yes", "2": "no"}},
            "opinions[0].choices: must be a list, but is an object; write the texts of the object as a list, in order, "
            "and the answer as one of these texts",
        ),
        ({"choices": ["yes", "no", "yes "]}, "opinions[0].choices: contains equal choices: numbers 1 and 3"),
        (
            {"choices": ["yes", 2]},
            f"opinions[0].choices[1]: {IN_QUOTES}",
        ),
        ({"choices": ["yes", ""]}, "opinions[0].choices[1]: is blank"),
        ({"ordinal": "true"}, "opinions[0].ordinal: must be true or false, but is text"),
        ({"ordinal": 1}, "opinions[0].ordinal: must be true or false, but is a number"),
        (
            {"ordinal": True, "choices": ...},
            "opinions[0].ordinal: is true, but there are no choices to form a scale",
        ),
    ],
)
def test_opinion_with_a_fault_is_refused_by_field(changes: dict[str, object], problem: str) -> None:
    assert opinion_problems(**changes) == [problem]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": ...}, "id: is missing"),
        ({"id": 7}, 'id: must be text, but is a number; write it as text: "7"'),
        ({"id": 3.0}, 'id: must be text, but is a number; write it as text: "3"'),
        ({"id": 1e300}, 'id: must be text, but is a number; write it in quotes, such as "1"'),
        ({"id": True}, "id: must be text, but is true or false"),
        ({"id": ""}, "id: is blank"),
        ({"profile": None}, "profile: must be an object {…}, but is null"),
        ({"profile": ["Age"]}, "profile: must be an object {…}, but is a list"),
        ({"profile": {"Age": ""}}, "profile.Age: is blank"),
        ({"profile": {" ": "18-29"}}, 'profile[" "]: has a blank name'),
        ({"profile": {"Is Vegan": True}}, 'profile["Is Vegan"]: must be text or a number, but is true or false'),
        ({"profile": {"Age": None}}, "profile.Age: must be text or a number, but is null"),
        ({"profile": {"Age": ["18"]}}, "profile.Age: must be text or a number, but is a list"),
        ({"profile": {7: "x"}}, 'profile["7"]: has a name that is a number, must be text'),
        ({"opinions": {}}, "opinions: must be a list, but is an object"),
        ({"opinions": [OPINION, "yes"]}, "opinions[1]: must be an object {…}, but is text"),
        ({"texts": "Hello."}, "texts: must be a list, but is text"),
        ({"texts": ["Hello.", 7]}, 'texts[1]: must be text, but is a number; write it in quotes, such as "1"'),
        ({"texts": ["\n"]}, "texts[0]: is blank"),
        ({"texts": ["a", None]}, "texts[1]: must be text, but is null; leave it out"),
        ({"note": "\ud800"}, "note: contains a lone surrogate (half a character)"),
        ({"\ud800": 1}, r'["\ud800"]: has a name that contains a lone surrogate (half a character)'),
        ({"texts": ["a\0"]}, "texts[0]: contains a NUL character"),
        ({"note": [0] * MAX_VALUES}, "line: contains more than 250,000 values"),
    ],
)
def test_user_with_a_fault_is_refused_by_field(changes: dict[str, object], problem: str) -> None:
    record = {"id": "u1", "profile": {}, "opinions": [OPINION]} | changes
    assert problems_of({key: value for key, value in record.items() if value is not ...}) == [problem]


def test_all_faults_of_a_record_are_reported_at_once() -> None:
    record = {"profile": {"Age": True}, "texts": [1], "opinions": [{"choices": ["a"], "answer": 2}, None], "x": "\0"}
    assert [problem.split(":")[0] for problem in problems_of(record)] == [
        "x",
        "id",
        "profile.Age",
        "texts[0]",
        "opinions[0].question",
        "opinions[0].choices",
        "opinions[0].answer",
        "opinions[1]",
    ]


def test_very_many_faults_are_counted_and_not_listed() -> None:
    assert problems_of({"id": "u", "texts": [1] * MAX_FAULTS})[-1].startswith(f"texts[{MAX_FAULTS - 1}]: must be text")
    assert problems_of({"id": "u", "texts": [1] * (MAX_FAULTS + 1)}) == [
        "line: has 10,001 faults, too many to list them"
    ]


def test_fault_never_repeats_what_a_person_said() -> None:
    secret = "Private words " * 20
    record = {
        "id": "u1",
        "texts": [secret + "\0"],
        "profile": {"A": [secret]},
        "opinions": [OPINION | {"answer": secret}, OPINION | {"choices": [secret, secret]}, secret],
    }
    assert len(problems := problems_of(record)) == 5
    assert "Private" not in "".join(problems)


def test_unknown_keys_with_odd_names_are_kept() -> None:
    extra = {"model_config": 1, "__class__": {"self": None}, "choices_": [], "copy": 1.5}
    record = {"id": "u1", "opinions": [OPINION | extra], **extra}
    user = user_from_record(record)
    assert dict(user.extra) == dict(user.opinions[0].extra) == extra
    assert user_to_record(user) == record | {"profile": {}}


@settings(deadline=None)
@given(users())
def test_any_user_survives_the_way_to_a_record_and_back(user: User) -> None:
    assert user_from_record(json.loads(json.dumps(user_to_record(user)))) == user


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "profile", "opinions", "texts", "x"]), any_json()))
def test_any_record_is_a_user_or_invalid(record: dict[str, Any]) -> None:
    with suppress(InvalidRecordError):
        user = user_from_record(record)
        assert user_from_record(user_to_record(user)) == user
