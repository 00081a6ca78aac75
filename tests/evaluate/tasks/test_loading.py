"""Every task of the table, from files as their authors publish them."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import DatasetError, SettingsError, UsersFileError
from idiolect.evaluate.benchmark import DISTRIBUTION
from idiolect.evaluate.tasks.table import TASKS
from idiolect.evaluate.tasks.task import TaskOptions
from idiolect.people.bundled import bundled_groups
from idiolect.people.lamp_forms import MOVIE_TAGS, MOVIES, RATINGS, TWEETS


def write_users(path: Path, records: list[Any]) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records), encoding="utf-8")
    return path


def answerer(name: str, *, n: int = 8, **more: Any) -> dict[str, Any]:
    said = [{"question": f"Q{i}", "choices": ["a", "b"], "answer": "a"} for i in range(n)]
    return {"id": name, "opinions": said} | more


def test_the_table_has_every_task_by_its_name() -> None:
    lamp = [f"lamp-{n}" for n in (1, 2, 3, 4, 5, 7)]
    assert list(TASKS) == ["people", "users", "opinionqa", "globalopinionqa", *lamp, "prism", "personamem"]
    assert all(name == task.name and task.title and task.help for name, task in TASKS.items())


@pytest.mark.parametrize("name", [name for name in TASKS if name != "people"])
def test_tasks_need_their_data(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="this task needs data"):
        TASKS[name].load(TaskOptions(None))
    with pytest.raises((DatasetError, UsersFileError)):
        TASKS[name].load(TaskOptions(tmp_path / "nowhere"))
    with pytest.raises((DatasetError, UsersFileError)):
        TASKS[name].load(TaskOptions(tmp_path))


def test_people_are_the_bundled_ones_in_their_groups(tmp_path: Path) -> None:
    reported = TASKS["people"].load(TaskOptions(None, people=5))
    assert [case.user.id for case in reported.cases] == [user.id for user in bundled_groups().reported[:5]]
    assert reported.others == bundled_groups().development
    assert reported.measures == ("accuracy", "mae")
    development = TASKS["people"].load(TaskOptions(None, people=5, group="development"))
    assert len(development.others) == 67
    with pytest.raises(SettingsError, match="uses the bundled people"):
        TASKS["people"].load(TaskOptions(tmp_path))


def test_users_are_grouped_by_what_they_have(tmp_path: Path) -> None:
    users = [answerer(f"u{i}", topic=f"T{i % 2}", profile={"Age": str(i % 3)}) for i in range(40)]
    path = write_users(tmp_path / "users.jsonl", users)
    options = TaskOptions(path, train=4)
    assert {case.group for case in TASKS["users"].load(options).cases} == {"T0", "T1"}
    by_age = TASKS["users"].load(TaskOptions(path, train=4, group_by="Age"))
    assert all(case.group == case.user.profile.attributes["Age"] for case in by_age.cases)
    one = TASKS["users"].load(TaskOptions(path, train=4, topics=("t1",)))
    assert {case.group for case in one.cases} == {"T1"} == set(one.other_groups.values())
    with pytest.raises(SettingsError, match="nobody has the topic 'T9'; the topics are: T0, T1"):
        TASKS["users"].load(TaskOptions(path, topics=("T9",)))
    with pytest.raises(SettingsError, match="none of these people has 'Sex' to group by"):
        TASKS["users"].load(TaskOptions(path, group_by="Sex"))


def test_lines_that_are_no_users_are_told(tmp_path: Path) -> None:
    bad = answerer("bad") | {"opinions": [{"question": "Q"}, {"answer": "my own words"}]}
    path = write_users(tmp_path / "users.jsonl", [answerer("a"), bad, "{", answerer("a"), "[" * 5000])
    benchmark = TASKS["users"].load(TaskOptions(path, train=4))
    assert [case.user.id for case in benchmark.cases] == ["a"]
    assert benchmark.broken.count == 4
    assert [record.place for record in benchmark.broken.first] == [f"users.jsonl:{line}" for line in (2, 3, 4, 5)]
    assert "my own words" not in str(benchmark.broken)
    with pytest.raises(UsersFileError):
        TASKS["users"].load(TaskOptions(write_users(tmp_path / "none.jsonl", ["{"])))


def test_writers_are_judged_by_the_likelihood_of_their_texts(tmp_path: Path) -> None:
    path = write_users(tmp_path / "users.jsonl", [{"id": "a", "texts": [f"text {i}" for i in range(9)]}])
    benchmark = TASKS["users"].load(TaskOptions(path, train=6))
    assert benchmark.measures == ("loglik",)
    assert (len(benchmark.cases[0].user.texts), len(benchmark.cases[0].texts)) == (6, 3)


def test_countries_come_from_a_users_file_as_well(tmp_path: Path) -> None:
    country = answerer("goqa-Peru")
    for opinion in country["opinions"]:
        opinion["distribution"] = [0.75, 0.25]
    country["opinions"][0]["distribution"] = [0.5, 0.2]
    del country["opinions"][1]["distribution"]
    path = write_users(tmp_path / "countries.jsonl", [country])
    benchmark = TASKS["globalopinionqa"].load(TaskOptions(path, train=4))
    assert benchmark.measures == ("accuracy", "distribution_similarity")
    assert len(benchmark.cases[0].user.opinions) + len(benchmark.cases[0].asked) == 6
    assert [record.place for record in benchmark.broken.first] == [
        f"countries.jsonl: goqa-Peru: opinions[{i}]" for i in (0, 1)
    ]
    as_users = TASKS["users"].load(TaskOptions(path, train=4))
    assert as_users.broken.count == 1  # there an opinion needs no distribution, but no wrong one


def test_countries_come_from_the_published_table(tmp_path: Path) -> None:
    with (tmp_path / "global_opinions.csv").open("w", newline="") as stream:
        rows = ([f"Q{i}?", str(defaultdict(list, {"Peru": [0.4, 0.6]})), "['a', 'b']", "GAS"] for i in range(6))
        csv.writer(stream).writerows([["question", "selections", "options", "source"], *rows])
    benchmark = TASKS["globalopinionqa"].load(TaskOptions(tmp_path, train=4, group_by="Country"))
    assert [case.group for case in benchmark.cases] == ["Peru"]
    assert benchmark.cases[0].asked[0].extra[DISTRIBUTION] == pytest.approx([0.4, 0.6])


def test_a_country_is_in_one_group_under_all_its_names(tmp_path: Path) -> None:
    names = [f"Land {n}" for n in range(40)]
    shares = dict.fromkeys([*(f"{name} (Non-national sample)" for name in names), *names], (0.4, 0.6))
    with (tmp_path / "global_opinions.csv").open("w", newline="") as stream:
        rows = ([f"Q{i}?", str(dict(shares)).replace("(0.4, 0.6)", "[0.4, 0.6]"), "['a', 'b']", ""] for i in range(6))
        csv.writer(stream).writerows([["question", "selections", "options", "source"], *rows])
    benchmark = TASKS["globalopinionqa"].load(TaskOptions(tmp_path, train=4))
    reported = {case.user.profile.attributes["Country"] for case in benchmark.cases}
    others = {user.profile.attributes["Country"] for user in benchmark.others}
    assert reported
    assert others
    assert len(reported | others) == 80
    few = TASKS["globalopinionqa"].load(TaskOptions(tmp_path, train=4, people=3, group="development"))
    asked = {case.user.extra["respondent"] for case in few.cases}
    assert asked.isdisjoint(user.extra["respondent"] for user in few.others)  # nor are own answers counted
    for name in names:
        assert {name, f"{name} (Non-national sample)"} <= reported or name in others


def test_countries_of_a_users_file_are_treated_like_the_published(tmp_path: Path) -> None:
    choices = ["a", "b", "DK/Refused"]
    asked = [
        {"question": f"Q{i}", "choices": choices, "answer": "DK/Refused", "distribution": [0.1, 0.3, 0.6]}
        for i in range(6)
    ]
    records = [{"id": name, "profile": {"Country": name}, "opinions": asked} for name in ("S. Korea", "South Korea")]
    path = write_users(tmp_path / "countries.jsonl", records)
    benchmark = TASKS["globalopinionqa"].load(TaskOptions(path, train=4))
    assert {case.user.extra["respondent"] for case in benchmark.cases} == {"goqa-South Korea"}
    opinion = benchmark.cases[0].asked[0]
    assert (opinion.question.choices, opinion.answer) == (("a", "b"), "b")
    assert opinion.extra[DISTRIBUTION] == pytest.approx([0.25, 0.75])
    assert benchmark.notes[0].startswith(
        'Choices that are no answer, such as "DK/Refused", were left out of 12 opinions'
    )
    as_users = TASKS["users"].load(TaskOptions(path, train=4))
    assert as_users.cases[0].asked[0].question.choices == tuple(choices)
    assert not as_users.notes


def test_opinionqa_is_grouped_by_topic(tmp_path: Path) -> None:
    for wave in ("W26", "W92"):
        folder = tmp_path / f"American_Trends_Panel_{wave}"
        folder.mkdir()
        keys = [f"Q{i}_{wave}" for i in range(6)]
        tables = {
            "info": [["key", "question", "references"], *([key, key, "['a', 'b', 'Refused']"] for key in keys)],
            "metadata": [["key", "options"], ["SEX", "['Male']"]],
            "responses": [["QKEY", "SEX", *keys], *([str(n), "Male", *"aaaaab"] for n in range(30))],
        }
        for name, rows in tables.items():
            with (folder / f"{name}.csv").open("w", newline="") as stream:
                csv.writer(stream).writerows(rows)
    both = TASKS["opinionqa"].load(TaskOptions(tmp_path, train=4))
    assert {case.group for case in both.cases} == {"Guns", "Political views"}
    respondents = {case.user.extra["respondent"] for case in both.cases}
    assert respondents.isdisjoint(user.extra["respondent"] for user in both.others)
    one = TASKS["opinionqa"].load(TaskOptions(tmp_path, train=4, topics=("W92",), people=2))
    assert [case.group for case in one.cases] == ["Political views"] * 2
    users = write_users(tmp_path / "users.jsonl", [answerer("a", topic="Guns")])
    assert TASKS["opinionqa"].load(TaskOptions(users, train=4)).cases[0].group == "Guns"


def write_lamp(folder: Path, task: str, questions: list[Any], gold: str) -> Path:
    (folder / "dev_questions.json").write_text(json.dumps(questions))
    golds = [{"id": question["id"], "output": gold} for question in questions]
    (folder / "dev_outputs.json").write_text(json.dumps({"task": task, "golds": golds}))
    return folder


def test_lamp_asks_the_published_question_after_some_history(tmp_path: Path) -> None:
    profile = [{"description": f"Film {i}.", "tag": "comedy"} for i in range(6)]
    questions = [
        {"id": str(n), "input": f"{MOVIES.instruction} Movie {n}.", "profile": profile[: 6 if n else 3]}
        for n in range(40)
    ]
    benchmark = TASKS["lamp-2"].load(TaskOptions(write_lamp(tmp_path, "LaMP_2", questions, "classic"), train=4))
    assert benchmark.measures == ("accuracy", "macro_f1")
    assert benchmark.labels == MOVIE_TAGS
    assert {len(case.user.opinions) for case in benchmark.cases} <= {3, 4}
    assert {opinion.answer for case in benchmark.cases for opinion in case.asked} == {"classic"}
    assert len(benchmark.cases) + len(benchmark.others) == 40
    assert all("classic" in {opinion.answer for opinion in user.opinions} for user in benchmark.others)
    fewer = TASKS["lamp-2"].load(TaskOptions(tmp_path, train=4, people=7))
    assert fewer.cases == benchmark.cases[:7]
    assert {user.id for user in fewer.others} == {user.id for user in benchmark.others}
    with pytest.raises(SettingsError, match="have no groups"):
        TASKS["lamp-2"].load(TaskOptions(tmp_path, topics=("x",)))


def test_lamp_measures_what_its_authors_do(tmp_path: Path) -> None:
    review = {"id": "1", "input": f"{RATINGS.instruction} Good.", "profile": [{"text": "Bad.", "score": "1"}]}
    ratings = TASKS["lamp-3"].load(TaskOptions(write_lamp(tmp_path, "LaMP_3", [review], "4")))
    assert ratings.measures == ("mae", "rmse", "accuracy")
    assert ratings.notes[1] == "1 of 1 people have a history of fewer than 20 items."
    tweet = {"id": "1", "input": f"{TWEETS.instruction} Hello.", "profile": [{"text": "yo"}]}
    tweets = TASKS["lamp-7"].load(TaskOptions(write_lamp(tmp_path, "LaMP_7", [tweet], "hey")))
    assert tweets.measures == ("rouge1", "rougeL")
    assert tweets.cases[0].user.texts == ("yo",)


def test_a_lamp_person_with_nothing_but_what_is_asked_is_passed_over(tmp_path: Path) -> None:
    review = {"id": "1", "input": f"{RATINGS.instruction} Bad.", "profile": [{"text": "Bad.", "score": "1"}]}
    with pytest.raises(DatasetError):
        TASKS["lamp-3"].load(TaskOptions(write_lamp(tmp_path, "LaMP_3", [review], "4")))
