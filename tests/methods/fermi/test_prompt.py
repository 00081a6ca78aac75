"""Leave-one-out: what a prompt shows when an opinion is asked, and what its text gives away."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Opinion, Question
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.fermi.prompt import Prompt, quoted_opinions, render_prompt, same_question
from tests.methods.people import steady

YES_NO = ("yes", "no")
OPINIONS = (
    Opinion(Question("Do you like green tea?", YES_NO), "yes"),
    Opinion(Question("Do you like trains?", YES_NO), "no"),
    Opinion(Question("do you  like GREEN tea", ("never", "often")), "often"),  # the same question, put again
)
SETTINGS = AnsweringSettings()


def test_all_demonstrations_are_shown_where_nothing_is_asked() -> None:
    rendered = render_prompt(Prompt("Go.", (0, 1)), OPINIONS, SETTINGS)
    assert rendered == (
        "Go.\n\nQuestion: Do you like green tea?\nChoices: yes | no\nAnswer: yes\n\n"
        "Question: Do you like trains?\nChoices: yes | no\nAnswer: no"
    )


@pytest.mark.parametrize("asked", [0, 2])
def test_the_asked_opinion_is_left_out_with_all_on_its_question(asked: int) -> None:
    rendered = render_prompt(Prompt("Go.", (0, 1, 2)), OPINIONS, SETTINGS, asked=OPINIONS[asked].question)
    assert rendered == "Go.\n\nQuestion: Do you like trains?\nChoices: yes | no\nAnswer: no"


def test_other_questions_leave_nothing_out() -> None:
    prompt = Prompt("", (0, 1, 2))
    asked = Question("Do you like trams?", YES_NO)
    assert render_prompt(prompt, OPINIONS, SETTINGS, asked=asked) == render_prompt(prompt, OPINIONS, SETTINGS)


def test_the_last_demonstration_left_out_leaves_the_text() -> None:
    assert render_prompt(Prompt("Go.", (1,)), OPINIONS, SETTINGS, asked=OPINIONS[1].question) == "Go."
    assert render_prompt(Prompt("", (1,)), OPINIONS, SETTINGS, asked=OPINIONS[1].question) == ""


@steady
@given(st.lists(st.integers(0, 2), unique=True), st.integers(0, 2))
def test_no_answer_to_the_asked_question_is_ever_shown(shown: list[int], asked: int) -> None:
    rendered = render_prompt(Prompt("Go.", tuple(shown)), OPINIONS, SETTINGS, asked=OPINIONS[asked].question)
    assert " ".join(OPINIONS[asked].question.text.casefold().rstrip("?").split()) not in rendered.casefold()


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("They like green tea.", ()),
        ("Asked “DO you like -- green\ntea?”, they say yes.", (0, 2)),
        ("do you like trains do you like green tea", (0, 1, 2)),
        ("Do you like green teapots?", ()),
        ("", ()),
    ],
)
def test_quotes_are_found_whatever_their_case_and_punctuation(text: str, quoted: tuple[int, ...]) -> None:
    assert quoted_opinions(text, OPINIONS) == quoted


def test_a_short_question_counts_only_with_its_answer() -> None:
    opinions = [Opinion(Question("Tea?", YES_NO), "yes"), Opinion(Question("Green tea?", YES_NO), "no")]
    assert quoted_opinions("This person says yes to tea.", opinions) == (0,)
    assert quoted_opinions("They love green tea.", opinions) == ()


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("你喜欢喝茶吗？", "他对“你喜欢喝茶吗”的回答是肯定的"),
        ("お茶は好きですか？", "質問お茶は好きですかには、はい"),
        ("Любите ли вы чай?", "На вопрос «любите ли вы чай» ответ да"),
        ("Do you like cafe\u0301 au lait?", "do you like caf\u00e9 au lait: yes"),
        ("Do you like\x07 <INS> tea?", "do you like ‹INS› tea"),  # as the meta-prompt shows it
    ],
)
def test_quotes_are_found_in_every_script(question: str, text: str) -> None:
    assert quoted_opinions(text, [Opinion(Question(question), "да")]) == (0,)


def test_a_question_of_symbols_is_the_same_as_itself_only() -> None:
    happy, sad = Question("🙂?"), Question("🙁?")
    assert same_question(happy, happy)
    assert not same_question(happy, sad)


def test_identity_is_words_and_demonstrations() -> None:
    assert Prompt("A  text\n").identity == Prompt("a TEXT", origin="llm").identity
    assert Prompt("a text").identity != Prompt("a text", (1,)).identity
