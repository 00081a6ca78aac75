"""The task `prism`, from files in the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest

from idiolect.errors import DatasetError, Remedy, SettingsError
from idiolect.evaluate.tasks.table import TASKS
from idiolect.evaluate.tasks.task import TaskOptions
from tests.people.test_prism import conversation, response, row, said, write


def test_people_are_asked_about_conversations_that_nothing_was_learned_from(tmp_path: Path) -> None:
    people = [f"user{n}" for n in range(20)]
    conversations = [conversation(10 * n + k, user) for n, user in enumerate(people) for k in range(6)]
    write(tmp_path, conversations, [row(user) for user in people])
    benchmark = TASKS["prism"].load(TaskOptions(tmp_path, train=4))
    assert benchmark.measures == ("accuracy",)
    assert len(benchmark.cases) + len(benchmark.others) == 20
    assert {user.id for user in benchmark.others}.isdisjoint(case.user.id for case in benchmark.cases)
    for case in benchmark.cases:
        learned, asked = ({o.extra["id"] for o in some} for some in (case.user.opinions, case.asked))
        assert (len(learned), len(asked)) == (4, 2)
        assert learned.isdisjoint(asked)
        assert case.user.profile.attributes["Age"] == "25-34 years old"
    by_country = TASKS["prism"].load(TaskOptions(tmp_path, train=4, group_by="Country of residence"))
    assert {case.group for case in by_country.cases} == {"Chile"}
    with pytest.raises(SettingsError, match="none of these people has 'Shoe size'"):
        TASKS["prism"].load(TaskOptions(tmp_path, train=4, group_by="Shoe size"))


def test_learning_from_more_conversations_than_there_are_names_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, [conversation(n) for n in range(6)])
    with pytest.raises(DatasetError, match="prism: nobody has more than 6 conversations") as caught:
        TASKS["prism"].load(TaskOptions(tmp_path))
    assert caught.value.remedy == Remedy("train", "4")
    write(tmp_path, [conversation(n) for n in range(3)])
    with pytest.raises(DatasetError) as caught:
        TASKS["prism"].load(TaskOptions(tmp_path))
    assert caught.value.remedy == Remedy("train", "2")
    write(tmp_path, [conversation(1)])
    with pytest.raises(DatasetError) as caught:
        TASKS["prism"].load(TaskOptions(tmp_path, train=1))
    assert caught.value.remedy is None


def test_what_is_remarkable_is_noted(tmp_path: Path) -> None:
    tied = [said("P"), response("a", score=70), response("b", score=70, chosen=True), response("EMPTY STRING")]
    lower = [said("Q"), response("a " * 900, score=7, chosen=True), response("b", score=9)]
    conversations = [conversation(1, history=tied), conversation(2, history=lower), conversation(3, "user7")]
    benchmark = TASKS["prism"].load(TaskOptions(write(tmp_path, conversations), train=1))
    assert benchmark.notes == (
        "1 chosen responses share the highest rating with another one.",
        "1 chosen responses were not rated highest; the choice counts.",
        "1 responses were left out because they are blank or equal to another one.",
        "1 people are not in the survey, and have no profile.",
        "1 prompts and responses were cut to 1,000 characters.",
        "1 people were skipped because they have fewer than 2 different opinions (or texts).",
    )
