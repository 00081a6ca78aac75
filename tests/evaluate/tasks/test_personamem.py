"""The task `personamem`: nothing that belongs to a later point of a conversation is learned from."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import DatasetError, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.tasks.table import TASKS
from idiolect.evaluate.tasks.task import TaskOptions
from tests.people.test_personamem import messages, question, write

PLACES = {"a": (2, 4, 6), "b": (3, 6), "c": (6,)}
"""The points of a persona's three contexts."""


def personas(n: int = 1, *, each: int = 3, repeat: str = "") -> tuple[list[dict[str, object]], list[Any]]:
    """Return the rows and contexts of n personas, each with `each` questions at every point."""
    rows = []
    for persona, (context, ends) in product(range(n), PLACES.items()):
        for end, k in product(ends, range(each)):
            key = f"{persona}-{context}-{end}-{k}"
            text = repeat or f"What about {key}?"
            place = {"shared_context_id": f"{persona}{context}", "end_index_in_shared_context": end}
            rows.append(question(key, persona_id=persona, user_question_or_message=text, **place))
    return rows, [{f"{persona}{context}": messages()} for persona in range(n) for context in PLACES]


def load(folder: Path, **options: Any) -> Benchmark:
    return TASKS["personamem"].load(TaskOptions(folder, **{"train": 4, "test": None} | options))


def place(opinion: Any) -> tuple[str, int]:
    _, context, end, _ = str(opinion.extra["id"]).split("-")
    return context, int(end)


def check_no_leak(case: Case) -> None:
    """Assert that every learned question precedes every asked one of the same context."""
    for learned, asked in product(map(place, case.user.opinions), map(place, case.asked)):
        assert learned[0] != asked[0] or learned[1] < asked[1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("train", [1, 2, 3, 4, 7, 9, 15, 100])
def test_what_is_learned_precedes_what_is_asked(tmp_path: Path, train: int, seed: int) -> None:
    benchmark = load(write(tmp_path, *personas()), train=train, seed=seed)
    (case,) = benchmark.cases
    check_no_leak(case)
    assert len(case.user.opinions) == min(train, 15)  # the three questions of the last point are always asked
    assert len(case.asked) == 18 - -(-min(train, 15) // 3) * 3
    assert benchmark.measures == ("accuracy",)


def test_the_order_of_contexts_depends_on_the_seed(tmp_path: Path) -> None:
    folder = write(tmp_path, *personas())
    first = {place(load(folder, seed=seed, train=3).cases[0].user.opinions[0]) for seed in range(30)}
    assert first == {("a", 2), ("b", 3), ("c", 6)}


def test_at_most_test_questions_are_asked(tmp_path: Path) -> None:
    folder = write(tmp_path, *personas())
    everything = {o.extra["id"] for o in load(folder).cases[0].asked}
    some = [o.extra["id"] for o in load(folder, test=5).cases[0].asked]
    assert len(some) == 5
    assert set(some) < everything


def test_a_repeated_message_is_not_learned_from(tmp_path: Path) -> None:
    rows, contexts = personas()
    for row in rows:  # the same message in every context, with other options
        if row["question_id"] in ("0-a-2-0", "0-b-3-0", "0-c-6-0"):
            row["user_question_or_message"] = (
                "What  ABOUT me?" if "a-2" in str(row["question_id"]) else "What about me?"
            )
            row["all_options"] = str(["(a) x", f"(b) {row['question_id']}"])
    folder = write(tmp_path, rows, contexts)
    for seed in range(10):
        (case,) = load(folder, seed=seed, train=3).cases
        assert len(case.user.opinions) == 2
        assert "about me" not in str(case.user.opinions).casefold()
    benchmark = load(folder, train=3)
    assert "1 questions are neither learned from nor asked" in " ".join(benchmark.notes)


def test_the_same_question_is_asked_once(tmp_path: Path) -> None:
    rows, contexts = personas()
    for row in rows:
        if "-6-" in str(row["question_id"]):
            row["user_question_or_message"] = "The same?"
    (case,) = load(write(tmp_path, rows, contexts), train=3).cases
    texts = [opinion.question.text for opinion in case.asked]
    assert len(texts) == len(set(texts))


def test_people_with_one_point_are_skipped(tmp_path: Path) -> None:
    rows, contexts = personas(2)
    rows = [row for row in rows if row["persona_id"] == 0 or "-c-" in str(row["question_id"])]
    benchmark = load(write(tmp_path, rows, contexts))
    assert [case.user.id for case in benchmark.cases] == ["personamem-0"]
    assert "1 people were skipped because there is nothing to learn from before what is asked." in benchmark.notes
    only = [row for row in rows if row["persona_id"] == 1]
    with pytest.raises(DatasetError, match="none of the 1 people in the reported group has questions at two points"):
        load(write(tmp_path, only, contexts))


@pytest.mark.parametrize("seed", range(6))
def test_messages_before_the_first_question_that_is_asked_are_the_texts(tmp_path: Path, seed: int) -> None:
    rows, _ = personas()
    contexts = [
        {f"0{name}": [m | {"content": f"{name} {i}"} for i, m in enumerate(messages(system="Name: Ana"))]}
        for name in PLACES
    ]
    folder = write(tmp_path, rows, contexts)
    (case,) = load(folder, seed=seed, train=4, history="texts").cases
    assert not case.user.opinions
    assert 1 <= len(case.user.texts) <= 4
    first: dict[str, int] = {}
    for context, end in map(place, case.asked):
        first[context] = min(end, first.get(context, end))
    for text in case.user.texts:
        context, index = text.split()
        assert int(index) % 2 == 1  # the persona's own messages
        assert int(index) < first.get(context, 7)
    assert any("with at most 4 of a person's messages" in note for note in load(folder, history="texts").notes)


def test_people_without_messages_before_are_skipped_and_learn_nothing_else(tmp_path: Path) -> None:
    rows, _ = personas()
    silent = [{f"0{name}": [m for m in messages(20) if m["role"] != "user"]} for name in PLACES]
    folder = write(tmp_path, rows, silent)
    assert len(load(folder).cases) == 1
    with pytest.raises(DatasetError, match="none of the 1 people"):
        load(folder, history="texts")


def test_groups_of_people_are_disjoint(tmp_path: Path) -> None:
    folder = write(tmp_path, *personas(20, each=1))
    reported, development = load(folder, train=2), load(folder, train=2, group="development")
    ids = [{case.user.id for case in each.cases} for each in (reported, development)]
    assert ids[0].isdisjoint(ids[1])
    assert len(ids[0] | ids[1]) == 20
    assert {user.id for user in reported.others} == ids[1]
    assert all(len(user.opinions) == 6 for user in reported.others)
    assert len(load(folder, train=2, people=3).cases) == 3
    few = load(folder, train=2, people=3, group="development")
    assert {case.user.id for case in few.cases}.isdisjoint(user.id for user in few.others)
    for options in ({"topics": ("music",)}, {"group_by": "Name"}):
        with pytest.raises(SettingsError, match="omit topics and group_by"):
            load(folder, **options)


def test_the_size_is_named_by_the_split(tmp_path: Path) -> None:
    write(tmp_path, *personas(), size="32k")
    write(tmp_path, *personas(2), size="128k")
    with pytest.raises(DatasetError, match="has several sizes: 128k, 32k; choose one"):
        load(tmp_path)
    assert len(load(tmp_path, split="128k").cases) == 2
    assert len(load(tmp_path, split="32k").cases) == 1
