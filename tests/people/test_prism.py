"""PRISM's published files, written here with invented people: the keys are those of the survey and conversations."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.errors import DatasetError
from idiolect.people.prism import INSTRUCTION, read_prism

MODELS = ("gpt-4", "claude-2", "zephyr-7b-beta", "command")


def response(text: str, *, score: object = 50, chosen: object = False, turn: int = 0, place: int = 0) -> dict[str, Any]:
    model = {"model_provider": "provider", "model_name": MODELS[place % 4], "score": score}
    return {"turn": turn, "role": "model", "content": text, **model, "if_chosen": chosen, "within_turn_id": place}


def said(text: str, turn: int = 0) -> dict[str, Any]:
    return {"turn": turn, "role": "user", "content": text}


def conversation(number: int, user: str = "user0", history: object = None, **more: Any) -> dict[str, Any]:
    first = [said(f"Is tea {number} good?"), response("Yes, very.", score=81), response("No.", score=90, chosen=True)]
    later = [said("Why?", 1), response("Because.", turn=1, chosen=True), response("So.", turn=1, place=1)]
    return {
        "conversation_id": f"c{number}",
        "user_id": user,
        "included_in_balanced_subset": True,
        "conversation_type": "unguided",
        "opening_prompt": f"Is tea {number} good?",
        "conversation_turns": 2,
        "conversation_history": [*first, *later] if history is None else history,
        "performance_attributes": {"values": 50},
        "choice_attributes": {"values": 70},
        "open_feedback": "my secret feedback",
        "generated_datetime": "2023-12-05 10:00:00",
        "timing_duration_s": 100.0,
    } | more


def row(user: str = "user0", **more: Any) -> dict[str, Any]:
    return {
        "user_id": user,
        "survey_only": False,
        "num_completed_conversations": 6,
        "consent": "Yes, I consent to take part",
        "lm_familiarity": "Somewhat familiar",
        "lm_indirect_use": "Yes",
        "lm_direct_use": "No",
        "lm_frequency_use": None,
        "self_description": "I value\n honesty.",
        "system_string": "Be brief.",
        "age": "25-34 years old",
        "gender": "Prefer not to say",
        "employment_status": "Working full-time",
        "education": "Some Secondary",
        "marital_status": "Married",
        "english_proficiency": "Fluent",
        "study_id": "s1",
        "study_locale": "us",
        "religion": {"self_described": "quaker", "categorised": "Christian", "simplified": "Christian"},
        "ethnicity": {"self_described": None, "categorised": "White", "simplified": "White"},
        "location": {"birth_country": "Peru", "birth_countryISO": "PER", "reside_country": "Chile"},
        "lm_usecases": {"research": 1, "creative_writing": 1, "games": 0, "other": 0, "other_text": None},
        "stated_prefs": {"values": 30, "factuality": 100, "other": None, "other_text": None},
        "order_stated_prefs": {"values": 2, "factuality": 1},
    } | more


def write(folder: Path, conversations: list[Any], survey: list[Any] | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row()] if survey is None else survey
    for name, values in (("conversations.jsonl", conversations), ("survey.jsonl", rows)):
        lines = (each if isinstance(each, str) else json.dumps(each) for each in values)
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return folder


def broken(folder: Path) -> list[str]:
    return [str(record) for record in read_prism(folder).broken.first]


def test_the_first_turn_of_a_conversation_is_a_choice(tmp_path: Path) -> None:
    read = read_prism(write(tmp_path, [conversation(1), conversation(2, "user1"), conversation(3)]))
    ann, bob = read.users
    assert (ann.id, bob.id) == ("user0", "user1")
    assert [opinion.extra["id"] for opinion in ann.opinions] == ["c1", "c3"]
    opinion = ann.opinions[0]
    assert opinion.question.text == (
        f"{INSTRUCTION} Prompt: “Is tea 1 good?” Response A: “Yes, very.” Response B: “No.”"
    )
    assert opinion.question.choices == ("Response A", "Response B")
    assert opinion.answer == "Response B"
    assert opinion.extra == {"id": "c1", "scores": [81, 90]}
    assert (read.broken.count, read.tied, read.not_highest, read.left_out, read.cut) == (0, 0, 0, 0, 0)
    assert read.without_survey == 1
    assert not bob.profile


def test_the_profile_is_what_people_stated(tmp_path: Path) -> None:
    (ann,) = read_prism(write(tmp_path, [conversation(1)])).users
    assert dict(ann.profile.attributes) == {
        "Age": "25-34 years old",
        "Education": "Some Secondary",
        "Employment": "Working full-time",
        "Marital status": "Married",
        "English proficiency": "Fluent",
        "Country of birth": "Peru",
        "Country of residence": "Chile",
        "Religion": "quaker",
        "Familiarity with AI language models": "Somewhat familiar",
        "Has used AI language models indirectly": "Yes",
        "Has used AI language models directly": "No",
        "Uses AI language models for": "research, creative writing",
        "Importance of traits of an AI language model": "values 30, factuality 100",
        "Values and beliefs": "I value honesty.",
        "How an AI language model should behave": "Be brief.",
    }


def test_the_choice_counts_and_not_the_rating(tmp_path: Path) -> None:
    tied = [said("P"), response("a", score=70), response("b", score=70, chosen=True)]
    lower = [said("P"), response("a", score=70, chosen=True), response("b", score=99), response("c", score=None)]
    unrated = [said("P"), response("a", score=10**400, chosen=True), response("b", score=True)]
    read = read_prism(write(tmp_path, [conversation(n, history=h) for n, h in enumerate((tied, lower, unrated))]))
    assert [opinion.answer for opinion in read.users[0].opinions] == ["Response B", "Response A", "Response A"]
    assert read.users[0].opinions[1].extra["scores"] == [70, 99, None]
    assert read.users[0].opinions[2].extra["scores"] == [None, None]
    assert (read.tied, read.not_highest) == (1, 1)


def test_blank_and_equal_responses_are_left_out(tmp_path: Path) -> None:
    others = [response("EMPTY STRING"), response(" \n"), response("same\nwords"), response("same words")]
    history = [said("P"), *others, response("mine", chosen=True)]
    read = read_prism(write(tmp_path, [conversation(1, history=history)]))
    (opinion,) = read.users[0].opinions
    assert opinion.question.text.endswith("Prompt: “P” Response A: “same words” Response B: “mine”")
    assert (opinion.answer, read.left_out) == ("Response B", 3)


def test_long_texts_are_cut_between_words(tmp_path: Path) -> None:
    history = [said("P"), response("word " * 300, chosen=True), response("字" * 1200), response("x" * 1000)]
    read = read_prism(write(tmp_path, [conversation(1, history=history)]))
    text = read.users[0].opinions[0].question.text
    assert f"Response A: “{' '.join(['word'] * 200)} …”" in text
    assert f"Response B: “{'字' * 1000} …”" in text
    assert f"Response C: “{'x' * 1000}”" in text
    assert read.cut == 2


@pytest.mark.parametrize(
    ("history", "fault"),
    [
        ("text", "its conversation_history is not a list"),
        ([], "its first turn has no prompt, or several"),
        ([said("EMPTY STRING"), response("a", chosen=True), response("b")], "its first turn has no prompt, or several"),
        ([said("P"), said("Q"), response("a", chosen=True)], "its first turn has no prompt, or several"),
        ([said("P"), response("a"), response("b")], "not exactly one response of its first turn is chosen"),
        (
            [said("P"), response("a", chosen=True), response("b", chosen=True)],
            "not exactly one response of its first turn is chosen",
        ),
        ([said("P"), response("a", chosen=True)], "has 1 responses to choose from"),
        (
            [said("P"), response("a", chosen=True), response("a ")],
            "the chosen response of its first turn is blank, or equal to another one",
        ),
        (
            [said("P"), response("EMPTY STRING", chosen=True), response("a")],
            "the chosen response of its first turn is blank, or equal to another one",
        ),
        (
            [said("P"), response("a", chosen="yes"), response("b")],
            "a response of its first turn has no if_chosen that is true or false",
        ),
        (
            [said("P"), response("a", chosen=True), response("b") | {"content": None}],
            "the content of its first turn is not text",
        ),
        ([said("P"), response("a\0", chosen=True), response("b")], "question contains a NUL character"),
    ],
)
def test_conversations_without_a_choice_are_reported(tmp_path: Path, history: object, fault: str) -> None:
    folder = write(tmp_path, [conversation(1), conversation(2, history=history)])
    assert broken(folder) == [f"conversations.jsonl: line 2: {fault}"]
    assert len(read_prism(folder).users[0].opinions) == 1


def test_lines_that_cannot_be_read_are_reported_without_their_words(tmp_path: Path) -> None:
    cut_off = json.dumps(conversation(9))[:200]
    lines = [
        conversation(1),
        "[1]",
        "[" * 100_000,
        conversation(2, " "),
        "",
        cut_off,
        conversation(3, conversation_id="\0"),
    ]
    folder = write(tmp_path, lines, [row(), row(), row("user1", system_string="my own \0")])
    assert broken(folder) == [
        "conversations.jsonl: line 2: is not a whole JSON object",
        "conversations.jsonl: line 3: is not a whole JSON object",
        "conversations.jsonl: line 4: its user_id is missing, blank or cannot be stored",
        "conversations.jsonl: line 6: is not a whole JSON object",
        "conversations.jsonl: line 7: its conversation_id is missing, blank or cannot be stored",
        "survey.jsonl: line 2: its user_id is that of an earlier line",
        "survey.jsonl: line 3: profile attribute 'How an AI language model should behave' contains a NUL character",
    ]


def test_the_files_may_be_below_the_folder_and_compressed(tmp_path: Path) -> None:
    inner = write(tmp_path / "snapshots" / "data", [conversation(1)])
    expected = read_prism(inner).users
    for name in ("conversations.jsonl", "survey.jsonl"):
        path = inner / name
        (inner / f"{name}.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + path.read_bytes()))
        path.unlink()
    assert read_prism(tmp_path).users == expected
    assert read_prism(inner / "conversations.jsonl.gz").users == expected
    assert read_prism(inner / "survey.jsonl").users == expected


steady = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
LINES = [json.dumps(conversation(1)).encode(), b"{}", b'{"user_id": 1e999}', b'{"a": NaN}', b"9" * 5000, b"\xff\xfe{}"]
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 60300000\n"


def test_what_is_not_the_data_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "p", [conversation(1)])
    (tmp_path / "other.txt").write_text("x")
    with pytest.raises(DatasetError, match=r"other.txt: is not a file of PRISM; expected the folder with survey.jsonl"):
        read_prism(tmp_path / "other.txt")
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        read_prism(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"contains no conversations.jsonl; it is empty"):
        read_prism(tmp_path / "empty")
    (folder / "conversations.jsonl").write_text(POINTER)
    with pytest.raises(DatasetError, match=r"conversations.jsonl: is a pointer of Git LFS and not the file itself"):
        read_prism(folder)
    (folder / "conversations.jsonl").write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(DatasetError, match=r"conversations.jsonl: is a Parquet file"):
        read_prism(folder)
    (folder / "conversations.jsonl").write_text("\n")
    with pytest.raises(DatasetError, match="has no JSON object; expected JSON Lines"):
        read_prism(folder)
    (folder / "conversations.jsonl").write_bytes(gzip.compress(json.dumps(conversation(1)).encode())[:-9])
    with pytest.raises(DatasetError, match="is not a whole gzip file"):
        read_prism(folder)
    (folder / "survey.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"p: has no survey.jsonl, which belongs there; it contains conversations"):
        read_prism(folder)


def test_another_layout_is_an_error_that_names_the_keys(tmp_path: Path) -> None:
    utterance = {"utterance_id": "ut0", "conversation_id": "c0", "user_id": "user0", "user_prompt": "P"}
    with pytest.raises(DatasetError) as caught:
        read_prism(write(tmp_path, [utterance]))
    assert str(caught.value) == (
        "conversations.jsonl: its first object has no conversation_history; expected the published layout. Its keys "
        "are: utterance_id, conversation_id, user_id, user_prompt"
    )
    with pytest.raises(DatasetError, match=r"survey.jsonl: its first object has no user_id"):
        read_prism(write(tmp_path, [conversation(1)], [{"id": "user0"}]))
    with pytest.raises(DatasetError, match=r"nobody has a valid conversation \(1 broken records\)"):
        read_prism(write(tmp_path, [conversation(1, history=[])]))


@steady
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(LINES)), max_size=5), st.binary(max_size=80))
def test_whatever_the_bytes_there_are_people_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], survey: bytes
) -> None:
    folder = write(tmp_path_factory.mktemp("prism"), [])
    (folder / "conversations.jsonl").write_bytes(b"\n".join(lines))
    (folder / "survey.jsonl").write_bytes(survey)
    with suppress(DatasetError):
        assert read_prism(folder).users


@steady
@given(json_values, json_values, json_values)
def test_whatever_the_values_there_are_people_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, history: Any, turn: Any, stated: Any
) -> None:
    odd = [
        said("P"),
        response("a", chosen=True),
        response("b", score=turn) | {"content": stated},
        {"turn": 0, "role": turn},
    ]
    rows = [row(stated_prefs=stated, location=turn, religion=history, age=turn, lm_usecases=history)]
    folder = write(
        tmp_path_factory.mktemp("prism"), [conversation(1, history=history), conversation(2, history=odd)], rows
    )
    with suppress(DatasetError):
        assert read_prism(folder).users
