from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.errors import DatasetError
from idiolect.evaluate.benchmark import DISTRIBUTION, Case, question_key
from idiolect.evaluate.tasks.cases import (
    People,
    benchmark_of,
    group_of_person,
    measures_of,
    partition,
    partition_ids,
)
from idiolect.evaluate.tasks.task import TaskOptions
from idiolect.people.user import Opinion, Question, User

steady = settings(deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

OPTIONS = TaskOptions(None, train=4, test=3)


def person(name: str, opinions: int = 10, texts: int = 0) -> User:
    said = tuple(Opinion(Question(f"Q{i}", ("a", "b")), "a") for i in range(opinions))
    return User(name, opinions=said, texts=tuple(f"text {i}" for i in range(texts)))


CROWD = tuple(person(f"u{i}") for i in range(50))


@steady
@given(st.integers(), st.integers(), st.integers(10, 50))
def test_groups_depend_on_the_person_alone(seed: int, other_seed: int, n: int) -> None:
    people, fewer = partition(CROWD, seed=seed), partition(CROWD[::-1][:n], seed=other_seed)
    assert {u.id for u in fewer.reported} <= {u.id for u in people.reported}
    assert {u.id for u in fewer.development} <= {u.id for u in people.development}
    assert {u.id for u in people.reported} | {u.id for u in people.development} == {u.id for u in CROWD}


def test_groups_never_change() -> None:
    """Whoever chose settings on development people of an older version must not meet them among the reported."""
    assert [group_of_person(f"u{i}")[0] for i in range(12)] == list("drrrrrrrdddr")


def test_two_of_five_people_are_for_development() -> None:
    share = sum(group_of_person(str(i)) == "development" for i in range(5000)) / 5000
    assert share == pytest.approx(0.4, abs=0.02)


def test_few_people_are_all_reported() -> None:
    assert len(partition(CROWD[:9], seed=0).reported) == 9
    few = partition(CROWD[:9], seed=0)
    with pytest.raises(DatasetError, match="too few people for a development group"):
        benchmark_of("t", few, replace(OPTIONS, group="development"))


def test_one_respondent_is_in_one_group_with_all_waves() -> None:
    persons = {f"W{wave}-{i}": str(i) for wave in (26, 92) for i in range(40)}
    reported, development = partition_ids(persons, seed=0)
    assert not {persons[key] for key in reported} & {persons[key] for key in development}
    waves = [replace(person(key), extra={"respondent": name}) for key, name in persons.items()]
    assert tuple(user.id for user in partition(waves, seed=0).reported) == reported


def test_cases_learn_from_some_and_are_asked_others() -> None:
    benchmark = benchmark_of("t", partition(CROWD, seed=0), OPTIONS)
    for case in benchmark.cases:
        assert (len(case.user.opinions), len(case.asked)) == (4, 3)
        assert not set(case.user.opinions) & set(case.asked)
    assert {user.id for user in benchmark.others}.isdisjoint(case.user.id for case in benchmark.cases)
    assert len(benchmark.cases) + len(benchmark.others) == 50
    assert {len(user.opinions) for user in benchmark.others} == {10}
    assert len({case.user.opinions for case in benchmark.cases}) > 1


def test_fewer_people_are_the_first_of_more() -> None:
    people = partition(CROWD, seed=0)
    five, all_of_them = (benchmark_of("t", people, replace(OPTIONS, people=n)).cases for n in (5, None))
    assert five == all_of_them[:5]


def test_development_cases_are_not_among_the_others() -> None:
    options = replace(OPTIONS, group="development", people=3)
    people = partition(CROWD, seed=0)
    benchmark = benchmark_of("t", people, options, group_of=lambda user: user.id[-1])
    assert len(benchmark.others) == len(people.development) - 3
    assert {case.user.id for case in benchmark.cases} <= {user.id for user in people.development}
    assert benchmark.other_groups == {user.id: user.id[-1] for user in benchmark.others}
    assert all(case.group == case.user.id[-1] for case in benchmark.cases)


def test_people_who_said_too_little_are_counted() -> None:
    people = People((person("a", 4), person("b", 5), person("c", 0, 2)), ())
    benchmark = benchmark_of("t", people, OPTIONS, notes=("First.",))
    assert [case.user.id for case in benchmark.cases] == ["b"]
    assert benchmark.notes[0] == "First."
    assert benchmark.notes[1].startswith("2 people were skipped")
    with pytest.raises(
        DatasetError, match="none of the 3 people in the reported group has enough data: learning from 9"
    ):
        benchmark_of("t", people, replace(OPTIONS, train=9))


def test_what_is_said_twice_is_not_learned_from_and_asked() -> None:
    twice = person("a", 6)
    twice = replace(twice, opinions=twice.opinions * 2)
    for seed in range(20):
        options = replace(OPTIONS, seed=seed, test=None)
        benchmark = benchmark_of("t", People((twice,), ()), options)
        (case,) = benchmark.cases
        learned = {question_key(opinion.question) for opinion in case.user.opinions}
        assert learned.isdisjoint(question_key(opinion.question) for opinion in case.asked)
        assert len(case.user.opinions) + len(case.asked) == 6
        assert benchmark.notes == (
            "6 opinions or texts were left out because they repeat one of the same person; the newest answer to a "
            "question counts.",
        )


def test_the_newest_answer_is_learned_from_or_asked() -> None:
    once = person("a", 6)
    older = tuple(replace(o, answer=next(c for c in o.question.choices if c != o.answer)) for o in once.opinions)
    (case,) = benchmark_of("t", People((replace(once, opinions=(*older, *once.opinions)),), ()), OPTIONS).cases
    assert {*case.user.opinions, *case.asked} <= set(once.opinions)


def test_texts_are_held_out_too() -> None:
    benchmark = benchmark_of("t", People((person("a", 10, 6),), ()), OPTIONS)
    (case,) = benchmark.cases
    assert (len(case.user.texts), len(case.texts)) == (4, 2)
    assert not set(case.user.texts) & set(case.texts)
    assert benchmark.measures == ("accuracy", "loglik")


def asked(*questions: Question, texts: tuple[str, ...] = (), shares: list[float] | None = None) -> Case:
    said = tuple(Opinion(question, "a", {DISTRIBUTION: shares} if shares else {}) for question in questions)
    return Case(User("u", texts=("t",)), said, texts)


@pytest.mark.parametrize(
    ("case", "measures"),
    [
        (asked(Question("Q", ("a", "b"))), ("accuracy",)),
        (asked(Question("Q", ("a", "b")), Question("R", ("a", "b"), ordinal=True)), ("accuracy", "mae")),
        (asked(Question("Q", ("a", "b")), shares=[1, 0]), ("accuracy", "distribution_similarity")),
        (asked(Question("Q")), ("rouge1", "rougeL")),
        (asked(texts=("x",)), ("loglik",)),
        (asked(Question("Q"), Question("R", ("a", "b")), texts=("x",)), ("accuracy", "rouge1", "rougeL", "loglik")),
    ],
)
def test_measures_follow_what_is_asked(case: Case, measures: tuple[str, ...]) -> None:
    assert measures_of([case]) == measures


@pytest.mark.parametrize(
    "options",
    [lambda: TaskOptions(None, people=0), lambda: TaskOptions(None, train=0), lambda: TaskOptions(None, test=0)],
)
def test_options_for_nothing_are_refused(options: Callable[[], TaskOptions]) -> None:
    with pytest.raises(ValueError, match="is 0, must be at least 1"):
        options()
