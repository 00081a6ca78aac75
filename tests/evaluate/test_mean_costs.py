"""What an answer costs, and what learning costs: recorded for every method, and summarized by arm."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from idiolect.evaluate.archive import Archive
from idiolect.evaluate.arm_answers import answers_by_arm
from idiolect.evaluate.mean_costs import cost_per_answer, learning_per_person
from idiolect.evaluate.records import AnswerCost, AnswerRecord, Arm, LearningRecord, MethodCost
from idiolect.evaluate.running import Runner
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings
from idiolect.models.calls.model import Source
from idiolect.models.calls.prices import Price
from idiolect.models.language_model import Usage
from tests.evaluate.methods.every_prompt import on_doubles
from tests.evaluate.methods.test_table import ON_DOUBLES
from tests.evaluate.small_world import CONFIG, SETTINGS, arms, bench, benchmark, case, lines, model, run

PRICE = Price(Decimal(1_000_000), Decimal(3_000_000))


def answer(user: str, index: int, cost: AnswerCost | None, *, seed: int = 0) -> AnswerRecord:
    return AnswerRecord(Arm("fermi"), seed, user, f"q{index}", index, cost=cost)


async def test_what_answers_and_scores_cost_is_what_answering_costs(tmp_path: Path) -> None:
    """Of all methods that ask a model: nothing is left out, and nothing counts twice."""
    archive = Archive.open(tmp_path, CONFIG)
    opened = on_doubles(benchmark(case("ann", train=10), case("bob", train=10)))
    late = replace(opened.fermi.retrieval, pool="last+memory", lazy=True)
    opened = replace(opened, fermi=replace(opened.fermi, ensemble=EnsembleSettings(prompts=3), retrieval=late))
    await Runner(opened, arms(",".join(ON_DOUBLES)), (0,), archive).run()
    asking = several = put_off = 0
    for record in archive.learning:
        key = (record.arm, record.user)
        costs = [each.cost for each in archive.answers if (each.arm, each.user) == key and each.cost is not None]
        if record.arm.method == "enrichment":
            continue  # its text about the person is written again, which is neither an answer nor a score
        assert len(costs) == record.answers
        assert sum(cost.calls for cost in costs) + record.scoring.calls == record.answering.calls, record.arm
        spent = record.answering.usage - record.scoring.usage
        assert sum(cost.prompt_tokens for cost in costs) == spent.prompt_tokens, record.arm
        assert sum(cost.completion_tokens for cost in costs) == spent.completion_tokens, record.arm
        asking += spent.prompt_tokens > 0
        several += max(cost.calls for cost in costs) > 1
        put_off += record.scoring.calls > 0
    assert asking > 20
    assert several > 5, "the test can see answers of several prompts"
    assert put_off > 5, "the test can see scores that were put off"


async def test_an_answer_of_several_prompts_counts_all_of_them(tmp_path: Path) -> None:
    found = {}
    for prompts in (1, 3):
        ensemble = EnsembleSettings(prompts=prompts)
        opened = bench(fermi=replace(SETTINGS, hybrid=HybridSettings(2), ensemble=ensemble))
        await run(tmp_path / str(prompts), "fermi", opened, controls=False)
        found[prompts] = [line["cost"] for line in lines(tmp_path / str(prompts))]
    assert {cost["calls"] for cost in found[1]} == {1}
    assert {cost["calls"] for cost in found[3]} == {3}
    one, three = (sum(cost["prompt_tokens"] for cost in found[n]) for n in (1, 3))
    assert three > 2 * one


async def test_an_answer_from_the_cache_costs_what_it_costs(tmp_path: Path) -> None:
    """Whoever asked first: the money of an answer is its price, and the money of learning the price of its requests."""
    source = Source(model(), "double", fingerprint="1", price=PRICE)
    opened = replace(bench(fermi=replace(SETTINGS, iterations=1)), model=source, optimizer=source)
    await run(tmp_path, "fermi,fermi[seed=0]", opened, controls=False)
    costs = {str(each.arm): each for each in Archive.read(tmp_path).learning if each.user == "ann"}
    first, again = costs["fermi"], costs["fermi[seed=0]"]
    assert first.answering.money
    assert again.answering.money == 0, "all of its requests are known"
    assert again.answering.price == first.answering.price == pytest.approx(first.answering.money)
    for record in Archive.read(tmp_path).answers:
        assert record.cost is not None
        assert record.cost.money == record.cost.prompt_tokens + 3 * record.cost.completion_tokens


def test_costs_of_an_answer_are_means_over_people() -> None:
    records = [answer("u", n, AnswerCost(1, tokens, 2, 0.5)) for n, tokens in enumerate((100, 200))]
    records += [answer("v", 0, AnswerCost(3, 400, 4, 1.5)), answer("v", 1, None)]
    (found,) = answers_by_arm(records).values()
    cost = cost_per_answer(found)
    assert cost is not None
    assert (cost.calls, cost.completion_tokens, cost.money) == (2, 3, 1.0)
    assert (cost.prompt_tokens.value, cost.prompt_tokens.people, cost.prompt_tokens.answers) == (275, 2, 3)
    assert (cost.prompt_tokens.low, cost.prompt_tokens.interval) == (None, "none: fewer than 6 people")


def test_prompt_tokens_of_enough_people_have_an_interval_above_0() -> None:
    records = [answer(f"u{n}", 0, AnswerCost(1, 1000 * (n == 0) + 1, 0, None)) for n in range(7)]
    (found,) = answers_by_arm(records).values()
    cost = cost_per_answer(found)
    assert cost is not None
    assert cost.money is None, "a price is unknown"
    assert cost.prompt_tokens.low == 0
    assert cost.prompt_tokens.high is not None
    assert cost.prompt_tokens.high > cost.prompt_tokens.value


def test_older_answers_have_no_known_cost() -> None:
    (found,) = answers_by_arm([answer("u", 0, None)]).values()
    assert cost_per_answer(found) is None


def test_learning_includes_scores_that_were_put_off_and_a_control_learns_nothing() -> None:
    cost = MethodCost(Usage(10, 1000, 50), 4, 0.1, 2.0, 0.25)
    scores = MethodCost(Usage(2, 100, 0), 1, 0.1, 1.0, 0.05)
    records = [LearningRecord(Arm("fermi"), 0, user, cost, scores, scoring=scores) for user in ("u", "v")]
    found = learning_per_person(Arm("fermi"), records)
    assert found is not None
    assert (found.calls, found.tokens, found.money) == (12, 1150, pytest.approx(0.3))
    unpriced = [replace(each, learning=replace(cost, price=None)) for each in records]
    assert getattr(learning_per_person(Arm("fermi"), unpriced), "money", 0) is None
    assert learning_per_person(Arm("fermi", "another's"), records) is None
    assert learning_per_person(Arm("fermi"), []) is None


def test_costs_are_read_as_they_were_written_and_older_lines_without_them() -> None:
    record = answer("u", 0, AnswerCost(1, 10, 2, None))
    assert AnswerRecord.from_json(record.to_json()) == record
    older = {name: value for name, value in record.to_json().items() if name != "cost"}
    assert AnswerRecord.from_json(older).cost is None
    for wrong in ({"money": float("nan")}, {"prompt_tokens": -5}, {"prompt_tokens": 10**400}, {"calls": -1}):
        with pytest.raises(ValueError, match="not a cost"):
            AnswerRecord.from_json(record.to_json() | {"cost": wrong})
    cost = MethodCost(Usage(2, 100, 0), 1, 0.1, 1.0, 0.05)
    learned = LearningRecord(Arm("fermi"), 0, "u", cost, cost, 1, scoring=cost)
    assert LearningRecord.from_json(learned.to_json()) == learned
    for wrong in ({"calls": -1}, {"prompt_tokens": 10**400}):
        line = learned.to_json()
        line["answering"] |= wrong
        with pytest.raises(ValueError, match="not a cost"):
            LearningRecord.from_json(line)
    line = learned.to_json()
    del line["scoring"], line["learning"]["price"]
    found = LearningRecord.from_json(line)
    assert (found.scoring, found.learning.price) == (MethodCost(), None)
