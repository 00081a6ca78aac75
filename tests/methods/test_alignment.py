"""Parsing of replies, and `s(a, â)`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from idiolect import Question
from idiolect.errors import SettingsError
from idiolect.methods.alignment import AlignmentThresholds, alignment_score, parse_choice, rouge_l
from idiolect.people.lamp_forms import CITATIONS, MOVIE_TAGS
from idiolect.people.user import QuestionKind
from tests.methods.people import SCALE, steady
from tests.people.strategies import texts

SATISFIED = ("Satisfied", "Not satisfied", "No opinion")


def parsed(text: str, *choices: str) -> str | None:
    return parse_choice(text, Question("What do you say?", choices))


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("Satisfied", "Satisfied"),
        ("satisfied.", "Satisfied"),
        ("Answer: Not satisfied", "Not satisfied"),
        ("The answer is: Not Satisfied.", "Not satisfied"),
        ("the ANSWER is satisfied", "Satisfied"),
        ("\n\n  “No opinion”\nbecause I said so", "No opinion"),
        ("I would say this person is not satisfied, on the whole.", "Not satisfied"),
        ("B", "Not satisfied"),
        ("(b) ", "Not satisfied"),
        ("c. whatever", "No opinion"),
        ("A) No opinion", "No opinion"),  # letters were never shown: words win
        ("Let me think.\nThey are satisfied.", "Satisfied"),
        ("Satisfied or not satisfied", None),
        ("Satisfied\nNot satisfied", "Satisfied"),
        ("D", None),
        ("dissatisfied", None),
        ("", None),
        ("   \n ", None),
        ("Answer:", None),
        ("Maybe", None),
    ],
)
def test_parse_choice_reads_words_and_letters(reply: str, choice: str | None) -> None:
    assert parsed(reply, *SATISFIED) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("4", "4"), ("4.", "4"), ("Answer: 4", "4"), ("I'd rate it 4, maybe.", "4"), ("４", "4"), ("4.5", None),
     ("4.7", None), ("0.4", None), ("4,7", None), ("14", None), ("44", None), ("4 or 5", None), ("four", None),
     ("B", None)],
)  # fmt: skip
def test_parse_choice_takes_no_part_of_a_number(reply: str, choice: str | None) -> None:
    assert parsed(reply, *SCALE) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [("4.0", "4"), ("4.00", "4"), ("Answer: 4.0", "4"), ("**4.0**", "4"), ('"4.0".', "4"), ("4.0\n\nGood.", "4"),
     ("+4", "4"), ("04", "4"), ("6.0", None), ("4.5", None), ("3.999", None), ("4.0 or 5.0", None), ("4e0", None),
     ("nan", None), ("4.0/5", None), ("4/5", None)],
)  # fmt: skip
def test_parse_choice_takes_a_number_for_the_choice_that_is_the_same(reply: str, choice: str | None) -> None:
    assert parsed(reply, *SCALE) == choice


@pytest.mark.parametrize(
    ("reply", "choices", "choice"),
    [
        ("1.5", ("1", "1.5", "2"), "1.5"),
        ("1.50", ("1", "1.5", "2"), "1.5"),
        ("-2.0", ("-2", "0", "2"), "-2"),
        ("4.00", ("4", "4.0"), None),  # two choices are that number
        ("4.0", ("4 stars", "5 stars"), None),
        ("1.0", ("[1]", "[2]"), None),
    ],
)
def test_parse_choice_compares_numbers_with_numbers_only(
    reply: str, choices: tuple[str, ...], choice: str | None
) -> None:
    assert parsed(reply, *choices) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("[1]", "[1]"),
        ("1", "[1]"),
        ("[2].", "[2]"),
        (" [2]\n\n[1] is about cooking.", "[2]"),
        ("Answer: [1]", "[1]"),
        ("The answer is [2].", "[2]"),
        ("The related reference is [2].", "[2]"),
        ("Reference 2 is related.", "[2]"),
        ('[2]: "The 1 percent"', "[2]"),  # brackets win over digits in a title
        ('[1] "Level-2 caches for 2 cores"', "[1]"),
        ("The paper is about nets.\nSo it is [1].", "[1]"),
        ("[1] or [2]", None),
        ("Either 1 or 2", None),
        ("[3]", None),
        ("Neither.", None),
    ],
)
def test_parse_choice_reads_replies_to_lamps_citations(reply: str, choice: str | None) -> None:
    assert parsed(reply, *CITATIONS.labels) == choice


@pytest.mark.parametrize(
    ("reply", "choice"),
    [
        ("sci-fi", "sci-fi"),
        ("Sci-Fi", "sci-fi"),
        ("Tag: sci-fi.", "sci-fi"),
        ("tag: [true story]", "true story"),
        ("The tag is 'dark comedy'.", "dark comedy"),
        ('This movie relates to the tag "thought-provoking".', "thought-provoking"),
        ("based on a book\n\nIt is a true story, too.", "based on a book"),
        ("**twist ending**", "twist ending"),
        ("comedy, romance", None),
        ("thriller", None),
        ("a dystopian film", None),
    ],
)
def test_parse_choice_reads_replies_to_lamps_movies(reply: str, choice: str | None) -> None:
    assert parsed(reply, *MOVIE_TAGS) == choice


@pytest.mark.parametrize(
    ("reply", "choices", "choice"),
    [
        ("-2", ("-2", "0", "2"), "-2"),
        ("The answer is -2.", ("-2", "0", "2"), "-2"),
        ("Answer: 2.", ("-2", "0", "2"), "2"),
        ("I'd say 2, I guess", ("-2", "0", "2"), "2"),
        ("C++", ("C", "C++", "C#"), "C++"),
        ("they prefer c# by far", ("C", "C++", "C#"), "C#"),
        ("a", ("A", "a"), "a"),
        ("I take a, please", ("A", "a"), None),
        ("STRASSE", ("Straße", "Weg"), "Straße"),
        ("cafe\u0301", ("café", "tea"), "café"),
        ("是的", ("是的", "不"), "是的"),
        ("?", ("?", "!"), "?"),
        ("Answers vary", ("Answers vary", "vary"), "Answers vary"),
        ("A", ("A", "B"), "A"),
        ("(b)", ("b", "a"), "b"),
    ],
)
def test_parse_choice_tells_similar_choices_apart(reply: str, choices: tuple[str, ...], choice: str | None) -> None:
    assert parsed(reply, *choices) == choice


@steady
@given(st.lists(texts(), min_size=2, max_size=6, unique_by=str.strip))
def test_parse_choice_reads_every_choice_as_itself(choices: list[str]) -> None:
    assert [parsed(choice, *choices) for choice in choices] == choices


@steady
@given(st.text(max_size=40), st.lists(texts(), min_size=2, max_size=4, unique_by=str.strip))
def test_parse_choice_returns_a_choice_or_none(reply: str, choices: list[str]) -> None:
    assert parsed(reply, *choices) in {*choices, None}


def test_parse_choice_refuses_free_text() -> None:
    with pytest.raises(ValueError, match="no choices"):
        parse_choice("yes", Question("Why?"))


def test_alignment_of_multiple_choice_is_exact() -> None:
    question = Question("Well?", SATISFIED)
    assert alignment_score(question, "Satisfied", "Satisfied") == 1
    assert alignment_score(question, "Satisfied", "Not satisfied") == 0


@pytest.mark.parametrize(
    ("said", "response", "score"), [("1", "5", 0.0), ("2", "3", 0.75), ("4", "4", 1.0), ("5", "3", 0.5)]
)
def test_alignment_of_ordinal_answers_falls_with_the_distance(said: str, response: str, score: float) -> None:
    assert alignment_score(Question("How much?", SCALE, ordinal=True), said, response) == score


def test_alignment_of_two_ordinal_choices_is_all_or_nothing() -> None:
    question = Question("Well?", ("no", "yes"), ordinal=True)
    assert alignment_score(question, "no", "yes") == 0
    assert alignment_score(question, "no", "no") == 1


@pytest.mark.parametrize(
    "question", [Question("Why?"), Question("Well?", SATISFIED), Question("?", SATISFIED, ordinal=True)]
)
def test_alignment_of_an_unparsable_reply_is_zero(question: Question) -> None:
    assert alignment_score(question, "Satisfied", None) == 0


@steady
@given(st.text(st.characters(max_codepoint=127), max_size=40), st.text(st.characters(max_codepoint=127), max_size=40))
def test_rouge_l_is_the_reference_on_ascii(reference: str, candidate: str) -> None:
    expected = RougeScorer(["rougeL"], use_stemmer=True).score(reference, candidate)["rougeL"].fmeasure
    assert rouge_l(reference, candidate) == expected


@pytest.mark.parametrize(
    ("reference", "candidate", "score"),
    [
        ("the cat sat on the mat", "the cats sat", 2 * (3 / 3) * (3 / 6) / (3 / 3 + 3 / 6)),
        ("running dogs", "run dog", 1.0),
        ("Мне нравится чай", "мне нравится кофе", 2 / 3),
        ("我喜欢茶", "我喜欢", 6 / 7),
        ("", "something", 0.0),
        ("🙂", "🙂", 0.0),
    ],
)
def test_rouge_l_knows_words_of_every_script(reference: str, candidate: str, score: float) -> None:
    assert rouge_l(reference, candidate) == pytest.approx(score)
    assert alignment_score(Question("Why?"), reference, candidate) == rouge_l(reference, candidate)


def test_thresholds_are_one_a_kind() -> None:
    thresholds = AlignmentThresholds(choice=0.9, ordinal=0.5, free_text=0.1)
    assert [thresholds.of(kind) for kind in QuestionKind] == [0.9, 0.5, 0.1]
    assert [AlignmentThresholds().of(kind) for kind in QuestionKind] == [1.0, 1.0, 0.2]


@pytest.mark.parametrize("name", ["choice", "ordinal", "free_text"])
@pytest.mark.parametrize("value", [0.0, -0.5, 1.01, float("nan")])
def test_thresholds_outside_the_unit_interval_are_refused(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=f"thresholds.{name} is {value}"):
        AlignmentThresholds(**{name: value})
