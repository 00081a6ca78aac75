"""LaMP's tasks: the form of their questions, and histories that are split instead of asking what is published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import DatasetError, SettingsError
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.table import TASKS
from idiolect.evaluate.tasks.task import TaskOptions
from idiolect.people.lamp_forms import RATINGS, TWEETS


def write_lamp(folder: Path, task: str, questions: list[dict[str, Any]], gold: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dev_questions.json").write_text(json.dumps(questions))
    golds = [{"id": question["id"], "output": gold} for question in questions]
    (folder / "dev_outputs.json").write_text(json.dumps({"task": task, "golds": golds}))
    return folder


def reviewer(n: int, reviews: int, *, different: int | None = None) -> dict[str, Any]:
    """Somebody with so many reviews, of which so many are different."""
    texts = [f"Review {i % (different or reviews)} of {n}." for i in range(reviews)]
    profile = [{"id": f"{n}-{i}", "text": text, "score": str(1 + i % 5)} for i, text in enumerate(texts)]
    return {"id": str(n), "input": f"{RATINGS.instruction} Asked of {n}.", "profile": profile}


def load(folder: Path, **options: Any) -> Benchmark:
    return TASKS["lamp-3"].load(TaskOptions(folder, **options))


def test_questions_stand_verbatim_in_lamp_only(tmp_path: Path) -> None:
    folder = write_lamp(tmp_path, "LaMP_3", [reviewer(1, 3)], "4")
    assert load(folder).form == "verbatim"
    assert TASKS["people"].load(TaskOptions(None)).form == "labelled"


def test_a_history_is_split_and_nothing_published_is_asked(tmp_path: Path) -> None:
    folder = write_lamp(tmp_path, "LaMP_3", [reviewer(n, 9) for n in range(5)], "4")
    benchmark = load(folder, asks="history", train=4, test=3)
    assert len(benchmark.cases) == 5
    assert benchmark.measures == ("mae", "rmse", "accuracy")
    for case in benchmark.cases:
        learned = {opinion.question.text for opinion in case.user.opinions}
        asked = {opinion.question.text for opinion in case.asked}
        assert (len(learned), len(asked)) == (4, 3)
        assert learned.isdisjoint(asked)
        assert all(RATINGS.contradiction(text) is None for text in learned | asked)
        assert "Asked of" not in "".join(learned | asked)
        number = case.user.id.removeprefix("LaMP-3-")
        assert all(text.endswith(f"of {number}.") for text in learned | asked)
    assert load(folder, asks="history", train=4, test=None).cases[0].asked[:3] == benchmark.cases[0].asked
    assert len(load(folder, asks="history", train=4, test=None).cases[0].asked) == 5
    assert "published questions are not asked" in benchmark.notes[0]


def test_the_same_item_twice_is_not_learned_from_and_asked(tmp_path: Path) -> None:
    folder = write_lamp(tmp_path, "LaMP_3", [reviewer(0, 12, different=6), reviewer(1, 12, different=4)], "4")
    benchmark = load(folder, asks="history", train=4)
    (case,) = benchmark.cases
    assert case.user.id == "LaMP-3-0"
    texts = [opinion.question.text for opinion in (*case.user.opinions, *case.asked)]
    assert len(texts) == len(set(texts)) == 6
    assert benchmark.notes[1] == "1 people were skipped because they have fewer than 5 different items."


def test_who_has_too_short_a_history_is_passed_over_for_the_next(tmp_path: Path) -> None:
    questions = [reviewer(n, 9 if n % 2 else 3) for n in range(60)]
    folder = write_lamp(tmp_path, "LaMP_3", questions, "4")
    every = load(folder, asks="history", train=4)
    some = load(folder, asks="history", train=4, people=5)
    assert some.cases == every.cases[:5]
    assert all(int(case.user.id.removeprefix("LaMP-3-")) % 2 for case in every.cases)
    assert every.notes[1].startswith(f"{len(load(folder).cases) - len(every.cases)} people were skipped")
    assert {user.id for user in some.others}.isdisjoint(case.user.id for case in every.cases)
    assert all(len(user.opinions) in (3, 9) for user in some.others)
    with pytest.raises(DatasetError, match="needs 10"):
        load(folder, asks="history", train=9)


def test_histories_without_answers_cannot_be_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="lamp-3: the histories are texts"):
        load(write_lamp(tmp_path / "3", "LaMP_3", [reviewer(0, 9)], "4"), asks="history", history="texts")
    tweet = {"id": "1", "input": f"{TWEETS.instruction} Hello.", "profile": [{"text": f"yo {i}"} for i in range(9)]}
    with pytest.raises(SettingsError, match="lamp-7: the histories are texts"):
        TASKS["lamp-7"].load(TaskOptions(write_lamp(tmp_path / "7", "LaMP_7", [tweet], "hey"), asks="history", train=4))
