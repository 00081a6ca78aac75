"""PersonaMem's published files, written here with invented personas."""

from __future__ import annotations

import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import DatasetError, Remedy
from idiolect.people.personamem import INSTRUCTION, read_personamem
from idiolect.people.personamem_contexts import profile_of
from tests.people.test_prism import json_values, steady

HEADER = [
    *("persona_id", "question_id", "question_type", "topic", "context_length_in_tokens", "context_length_in_letters"),
    *("distance_to_ref_in_blocks", "distance_to_ref_in_tokens", "num_irrelevant_tokens"),
    *("distance_to_ref_proportion_in_context", "user_question_or_message", "correct_answer", "all_options"),
    *("shared_context_id", "end_index_in_shared_context"),
]

SYSTEM = "Current user persona:Name: Ana Rey   \nGender Identity: Female  \n\nAna Rey is a cook.  She: likes tea."


def question(key: str, **cells: object) -> dict[str, object]:
    return {
        "persona_id": "0",
        "question_id": key,
        "question_type": "recall_user_shared_facts",
        "topic": "music",
        "context_length_in_tokens": 26000,
        "distance_to_ref_proportion_in_context": "50%",
        "user_question_or_message": f"What about {key}?",
        "correct_answer": "(b)",
        "all_options": str(["(a) It's rock.", '(b) You said "jazz".\nYes.', "(c) Pop.", "(d) None."]),
        "shared_context_id": "ctx",
        "end_index_in_shared_context": 2,
    } | cells


def messages(n: int = 6, system: str = SYSTEM) -> list[dict[str, Any]]:
    talk = [
        {"role": ("user", "assistant")[i % 2], "content": ("User: u", "Assistant: a")[i % 2] + str(i)} for i in range(n)
    ]
    return [{"role": "system", "content": system}, *talk]


def write(folder: Path, rows: list[Any], contexts: list[Any] | None = None, size: str = "32k") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"questions_{size}.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, HEADER)
        writer.writeheader()
        writer.writerows(rows)
    lines = [{"ctx": messages()}] if contexts is None else contexts
    text = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in lines)
    (folder / f"shared_contexts_{size}.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_personas_have_questions_with_their_places(tmp_path: Path) -> None:
    rows = [question("q1"), question("q2", persona_id="1", correct_answer="a"), question("q3", topic="")]
    read = read_personamem(write(tmp_path, rows))
    ana, other = read.personas
    assert (ana.id, other.id, read.size, read.broken.count) == ("personamem-0", "personamem-1", "32k", 0)
    first, third = ana.questions
    assert first.opinion.question.text == (
        f'{INSTRUCTION} Message: “What about q1?” Response A: “It\'s rock.” Response B: “You said "jazz". Yes.” '
        "Response C: “Pop.” Response D: “None.”"
    )
    assert first.opinion.question.choices == ("Response A", "Response B", "Response C", "Response D")
    assert first.opinion.answer == "Response B"
    assert first.opinion.extra == {"id": "q1", "question_type": "recall_user_shared_facts", "topic": "music"}
    assert (first.message, first.context, first.end) == ("what about q1?", "ctx", 2)
    assert "topic" not in third.opinion.extra
    assert other.questions[0].opinion.answer == "Response A"


def test_the_profile_is_what_the_system_message_states(tmp_path: Path) -> None:
    (ana,) = read_personamem(write(tmp_path, [question("q1")])).personas
    assert dict(ana.profile.attributes) == {
        "Name": "Ana Rey",
        "Gender Identity": "Female",
        "Description": "Ana Rey is a cook. She: likes tea.",
    }
    assert dict(profile_of("Current user persona: An artist.\nName: not a line").attributes) == {
        "Description": "An artist. Name: not a line"
    }
    assert not profile_of("")


def test_a_context_holds_what_the_persona_said_and_when(tmp_path: Path) -> None:
    (ana,) = read_personamem(write(tmp_path, [question("q1")])).personas
    context = ana.contexts["ctx"]
    assert (context.n_messages, context.said) == (7, ((1, "u0"), (3, "u2"), (5, "u4")))
    assert context.said_before(4) == ("u0", "u2")


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ({"correct_answer": "(e)"}, "its correct_answer is not the letter of one of its options"),
        ({"correct_answer": ""}, "its correct_answer is not the letter of one of its options"),
        ({"all_options": "(a) Beach (b) Museum"}, "is not a Python literal"),
        ({"all_options": "['(a) x', 'y']"}, "its options are not a list of texts that begin with (a), (b), …"),
        ({"all_options": "['(b) x', '(a) y']"}, "its options are not a list of texts that begin with (a), (b), …"),
        ({"all_options": "['(a) x']"}, "its options are not a list of texts that begin with (a), (b), …"),
        ({"all_options": "['(a) x', '(b) ']"}, "its message or one of its responses is blank"),
        ({"user_question_or_message": " "}, "its message or one of its responses is blank"),
        ({"end_index_in_shared_context": "-1"}, "its end_index_in_shared_context is not a number"),
        ({"persona_id": " "}, "lacks its persona_id, question_id or shared_context_id"),
        ({"question_id": "q1"}, "repeats an earlier row"),
    ],
)
def test_rows_that_cannot_be_read_are_reported(tmp_path: Path, cells: dict[str, object], fault: str) -> None:
    read = read_personamem(write(tmp_path, [question("q1"), question("q2", **cells)]))
    assert [record.message for record in read.broken.first] == [fault]
    assert [record.place for record in read.broken.first] == [f"{tmp_path.name}/questions_32k.csv: row 2"]
    assert [each.opinion.extra["id"] for each in read.personas[0].questions] == ["q1"]


def test_questions_without_their_context_are_reported(tmp_path: Path) -> None:
    rows = [
        question("q1"),
        question("q2", shared_context_id="cut"),
        question("q3", end_index_in_shared_context=8),
        question("q4", shared_context_id="odd"),
        question("q5", end_index_in_shared_context="7.0"),
    ]
    lines = [{"ctx": messages()}, {"unused": 1}, {"odd": [{"role": "user"}]}, {"ctx": []}, '{"cut": [{"role": "us']
    read = read_personamem(write(tmp_path, rows, lines))
    assert [each.opinion.extra["id"] for each in read.personas[0].questions] == ["q1", "q5"]
    assert [str(record) for record in read.broken.first] == [
        "shared_contexts_32k.jsonl: line 3: its messages are not a list of objects with role and content",
        "shared_contexts_32k.jsonl: line 4: its id is that of an earlier context",
        "shared_contexts_32k.jsonl: line 5: is not a whole JSON object",
        "question q2: its shared context is missing",
        "question q3: its place is behind the end of its shared context",
        "question q4: its shared context is missing",
    ]


def test_the_size_is_chosen_if_there_are_several(tmp_path: Path) -> None:
    write(tmp_path, [question("q1")])
    assert read_personamem(tmp_path).size == "32k"
    assert read_personamem(tmp_path, size="32K").size == "32k"
    write(tmp_path / "long", [question("q1")], size="1M")
    with pytest.raises(DatasetError, match="has several sizes: 32k, 1M; choose one") as caught:
        read_personamem(tmp_path)
    assert caught.value.remedy == Remedy("split", "32k")
    assert read_personamem(tmp_path, size="1m").size == "1M"
    assert read_personamem(tmp_path / "long" / "questions_1M.csv", size="").size == "1M"
    with pytest.raises(DatasetError, match="has no size '128k'; it has 32k, 1M"):
        read_personamem(tmp_path, size="128k")


def test_a_file_of_another_size_than_the_chosen_one_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, [question("q1")])
    with pytest.raises(DatasetError, match=r"questions_32k.csv: is of the size 32k, not '1M'"):
        read_personamem(tmp_path / "questions_32k.csv", size="1M")


def test_what_is_not_the_data_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"contains no questions_32k.csv, _128k or _1M; it is empty"):
        read_personamem(tmp_path)
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        read_personamem(tmp_path / "nowhere")
    folder = write(tmp_path / "p", [question("q1")])
    with pytest.raises(DatasetError, match=r"shared_contexts_32k.jsonl: is not a questions file"):
        read_personamem(folder / "shared_contexts_32k.jsonl")
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6\n"
    (folder / "shared_contexts_32k.jsonl").write_text(pointer)
    with pytest.raises(DatasetError, match=r"shared_contexts_32k.jsonl: is a pointer of Git LFS"):
        read_personamem(folder)
    (folder / "shared_contexts_32k.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"does not exist; it belongs beside questions_32k.csv"):
        read_personamem(folder)
    with pytest.raises(DatasetError, match=r"has no valid question with its context in shared_contexts_32k.jsonl \(1 "):
        read_personamem(write(folder, [question("q1")], [{"another": []}]))
    (folder / "questions_32k.csv").write_text(pointer)
    with pytest.raises(DatasetError, match=r"questions_32k.csv: is a pointer of Git LFS"):
        read_personamem(folder)
    (folder / "questions_32k.csv").write_text(
        "question_id,question,correct_answer,all_options\nq,Q,(a),\"['(a) x']\"\n"
    )
    with pytest.raises(
        DatasetError, match="has no column persona_id, user_question_or_message, shared_context_id, end"
    ):
        read_personamem(folder)


@steady
@given(st.dictionaries(st.sampled_from(HEADER), st.text(max_size=20), max_size=4), json_values, st.binary(max_size=60))
def test_whatever_the_values_there_are_personas_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, cells: dict[str, str], odd: Any, end: bytes
) -> None:
    folder = tmp_path_factory.mktemp("personamem")
    rows = [question("q1"), question("q2", **cells), question("q3", shared_context_id="odd")]
    write(folder, rows, [{"odd": odd}, {"ctx": [*messages(), {"role": "user", "content": odd}]}, {"ctx": messages()}])
    with (folder / "shared_contexts_32k.jsonl").open("ab") as stream:
        stream.write(end)
    with suppress(DatasetError):
        assert read_personamem(folder).personas
