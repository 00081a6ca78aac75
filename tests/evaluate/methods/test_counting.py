"""Methods that ask no model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.methods.table import METHODS
from tests.evaluate.small_world import bench, desk

WORDS = ("a", "b", "c")
SAME, NEW = Question("Same?", WORDS), Question("New?", WORDS)
FREE = Question("Why?")


def world() -> Benchmark:
    others = (
        User("o1", opinions=(Opinion(SAME, "c"), Opinion(NEW, "a"))),
        User("o2", opinions=(Opinion(SAME, "c"), Opinion(Question("Else?", WORDS), "a"))),
        User("o3", opinions=(Opinion(SAME, "b"), Opinion(Question("More?", WORDS), "a"))),
    )
    ann = Case(User("ann", opinions=(Opinion(Question("Own?", WORDS), "b"),)), (Opinion(SAME, "a"),), group="g")
    return Benchmark("users", (ann, replace(ann, user=replace(ann.user, id="bob"))), ("accuracy",), others=others,
                     other_groups={"o3": "g"})  # fmt: skip


@pytest.mark.parametrize(
    ("method", "same", "new"),
    [("majority-own", "b", "b"), ("constant", "a", "a"), ("majority-population", "c", "a"),
     ("majority-group", "b", "a")],
)  # fmt: skip
async def test_majorities_are_of_those_whom_they_name(method: str, same: str, new: str) -> None:
    opened = bench(world())
    at, made = desk(opened), METHODS[method].make(())
    learned = await made.learn(opened.benchmark.cases[0], at)
    answers = await made.examinee(learned, at).respondent.answer([SAME, NEW, FREE])
    assert [answer.response.answer for answer in answers] == [same, new, None]
    assert at.meter.calls == 0


async def test_uniform_draws_by_seed_person_and_question() -> None:
    opened, made = bench(world()), METHODS["uniform"].make(())
    questions = [Question(f"Q{i}?", WORDS) for i in range(60)]

    async def drawn(person: str, seed: int) -> list[str | None]:
        at = desk(opened, person, seed=seed)
        examinee = made.examinee(await made.learn(opened.benchmark.cases[0], at), at)
        answers = await examinee.respondent.answer(questions)
        return [answer.response.answer for answer in answers]

    first = await drawn("ann", 0)
    assert first == await drawn("ann", 0)
    assert first != await drawn("ann", 1)
    assert first != await drawn("bob", 0)
    assert all(first.count(word) > 8 for word in WORDS)
