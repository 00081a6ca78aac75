"""Scoring: literally, and as a race that must end in exactly the same memory with no more calls."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Opinion, Question, User
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.memory import Memory, ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.scoring import FailureCounts, Scorer, count_failures, race
from idiolect.methods.fermi.settings import DemonstrationSettings, FermiSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.methods.people import SCALE, asked_question, learn, paper, random_answers, rater, ratings, steady, unscored
from tests.planted_world import AnsweringModel, Optimizer, respondent


def world(table: dict[str, list[int]], n: int) -> tuple[tuple[Opinion, ...], FunctionModel]:
    """n opinions, all "1" on scales of 2 to 5; under prompt k the model is off by table[k][i] steps (-1: no answer)."""
    opinions = tuple(Opinion(Question(f"Number {i}", SCALE[: 2 + i % 4], ordinal=True), SCALE[0]) for i in range(n))

    def complete(request: CompletionRequest) -> str:
        name = request.messages[-1].content.split("\n")[0]
        i = int(asked_question(request).removeprefix("Number "))
        off = table[name][i]
        return "nothing" if off < 0 else SCALE[min(off, len(opinions[i].question.choices) - 1)]

    return opinions, FunctionModel(complete=complete)


@st.composite
def races(draw: st.DrawFn) -> tuple[int, int, int, list[list[list[int]]], list[list[tuple[int, ...]]]]:
    """n opinions, wave, memory size, and per generation the prompts' errors and quotes; rows repeat, so many tie."""
    n = draw(st.integers(1, 7))
    row = st.lists(st.integers(-1, 2), min_size=n, max_size=n)
    rows = draw(st.lists(row, min_size=1, max_size=3))
    generations = draw(st.lists(st.lists(st.sampled_from(rows) | row, min_size=0, max_size=4), min_size=1, max_size=4))
    quote = st.lists(st.integers(0, n - 1), unique=True, max_size=n).map(lambda q: tuple(sorted(q)))
    quotes = [[draw(st.just(()) | quote) for _ in generation] for generation in generations]
    return n, draw(st.integers(1, n + 1)), draw(st.integers(1, 5)), generations, quotes


async def both_ways(
    n: int, wave: int, size: int, generations: list[list[list[int]]], quotes: list[list[tuple[int, ...]]]
) -> None:
    table = {f"P{g}.{k}": row for g, rows in enumerate(generations) for k, row in enumerate(rows)}
    opinions, model = world(table, n)
    answerer = Answerer(model, AnsweringSettings())
    raced, literal = Memory(size), Memory(size)
    racing, scoring = Scorer(opinions, answerer), Scorer(opinions, answerer)
    counts = FailureCounts.of(n)
    for g, rows in enumerate(generations):
        new = [unscored(racing, Prompt(f"P{g}.{k}", quotes=quotes[g][k]), 10 * g + k) for k in range(len(rows))]
        before = racing.usage.calls, scoring.usage.calls
        ran = await race(racing, new, raced, counts=counts, wave=wave)
        count_failures(counts, ran)
        raced = raced.updated(prompt for prompt in ran if prompt.complete)
        literal = literal.updated(await scoring.complete(new))
        assert raced == literal
        assert [entry.score for entry in raced.entries] == [entry.score for entry in literal.entries]
        assert all(entry.complete for entry in raced.entries)
        assert racing.usage.calls - before[0] <= scoring.usage.calls - before[1]
        assert [p.prompt for p in ran] == [p.prompt for p in new]
    asked = [(r.messages, r.sampling) for r in model.completion_requests]
    assert len(asked) == racing.usage.calls + scoring.usage.calls


@steady
@given(races())
def test_race_ends_in_the_memory_of_literal_scoring(
    drawn: tuple[int, int, int, list[list[list[int]]], list[list[tuple[int, ...]]]],
) -> None:
    asyncio.run(both_ways(*drawn))


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize(("n", "wave", "prompts"), [(4, 2, 2), (3, 1, 3), (2, 1, 4)])
async def test_race_is_exact_on_every_small_case(n: int, wave: int, prompts: int, size: int) -> None:
    rows = [list(row) for row in itertools.product((-1, 0), repeat=n)]
    for generation in itertools.product(rows, repeat=prompts):
        await both_ways(n, wave, size, [list(generation)], [[()] * prompts])


@pytest.mark.parametrize("quotes", list(itertools.product([(), (0,), (1, 2)], repeat=2)))
async def test_race_is_exact_where_prompts_quote(quotes: tuple[tuple[int, ...], ...]) -> None:
    rows = [list(row) for row in itertools.product((-1, 0), repeat=3)]
    for generation in itertools.product(rows, repeat=2):
        await both_ways(3, 1, 1, [list(generation)], [list(quotes)])


async def test_race_drops_a_prompt_as_soon_as_it_is_beaten() -> None:
    opinions, model = world({"good": [0] * 6, "bad": [9] * 6}, 6)
    scorer = Scorer(opinions, Answerer(model, AnsweringSettings()))
    memory = Memory(1).updated(await scorer.complete([unscored(scorer, Prompt("good"), 0)]))
    ran = await race(scorer, [unscored(scorer, Prompt("bad"), 1)], memory, counts=FailureCounts.of(6), wave=1)
    assert scorer.usage.calls == 6 + 1
    assert not ran[0].complete


async def test_race_drops_an_equal_prompt_that_is_younger() -> None:
    opinions, model = world({"old": [0] * 6, "young": [0] * 6}, 6)
    scorer = Scorer(opinions, Answerer(model, AnsweringSettings()))
    memory = Memory(1).updated(await scorer.complete([unscored(scorer, Prompt("old"), 0)]))
    await race(scorer, [unscored(scorer, Prompt("young"), 1)], memory, counts=FailureCounts.of(6), wave=2)
    assert scorer.usage.calls == 6 + 2  # its upper bound can only equal the score, and the older one wins


async def test_race_asks_the_hardest_opinions_first() -> None:
    opinions, model = world({"P": [0] * 4}, 4)
    scorer = Scorer(opinions, Answerer(model, AnsweringSettings()))
    counts = FailureCounts([2, 2, 0, 2], [0.0, 2.0, 0.0, 1.0])
    await race(scorer, [unscored(scorer, Prompt("P"), 0)], Memory(1), counts=counts, wave=1)
    assert [asked_question(r) for r in model.completion_requests] == ["Number 1", "Number 2", "Number 3", "Number 0"]


async def test_nothing_is_asked_twice_or_where_it_is_quoted() -> None:
    opinions, model = world({"P": [0] * 3}, 3)
    scorer = Scorer(opinions, Answerer(model, AnsweringSettings()))
    prompts = [unscored(scorer, Prompt("P", quotes=(1,)), 0)]
    prompts = await scorer.fill(prompts, [(0, 0), (0, 0), (0, 1)])
    prompts = await scorer.complete(prompts)
    assert [asked_question(r) for r in model.completion_requests] == ["Number 0", "Number 2"]
    assert [cell is None for cell in prompts[0].cells] == [False, True, False]
    assert scorer.usage.calls == 2


async def test_a_demonstration_prompt_sees_each_question_without_its_own_example() -> None:
    twice = Opinion(Question("How much do you like dish number 0", SCALE, ordinal=True), "5")
    opinions = (*ratings(4), twice)
    model = FunctionModel(complete=lambda _: "1")
    scorer = Scorer(opinions, Answerer(model, AnsweringSettings()))
    await scorer.complete([unscored(scorer, Prompt("Go.", tuple(range(5))), 0)])
    shown = []
    for request, opinion in zip(model.completion_requests, opinions, strict=True):
        content = request.messages[-1].content
        assert content.count(opinion.question.text.rstrip("?")) == 1  # where it is asked
        shown.append(content.count("Answer:"))
    assert shown == [3, 4, 4, 4, 3]


def leaves_out(requests: Sequence[CompletionRequest], opinions: Sequence[Opinion]) -> bool:
    """No request shows an answer to the question that it asks."""
    questions = {o.question.text for o in opinions}
    return all(
        asked_question(r) not in questions or r.messages[-1].content.count(f"Question: {asked_question(r)}\n") == 1
        for r in requests
    )


async def test_no_run_ever_shows_the_answer_to_what_it_asks() -> None:
    doubled = rater(12)
    user = User("doubled", opinions=(*doubled.opinions, *doubled.opinions[:3]))
    quoting = FunctionModel(
        complete=lambda r: "[They were asked: " + user.opinions[r.sampling.seed % 12].question.text + f" {r.draw}]"
    )
    model = random_answers()
    settings = replace(paper(proposers=("llm", "demonstrations"), iterations=4), scoring_share=1.0)
    learned = await learn(user, settings, model=model, optimizer=quoting)
    assert any(p.prompt.quotes for p in (*learned.memory, *learned.prompts))
    assert leaves_out(model.completion_requests, learned.opinions)
    for request in model.completion_requests:
        told = request.messages[-1].content.rsplit("Question: ", 1)[0]
        assert f"They were asked: {asked_question(request)}" not in told


async def test_quotes_are_scored_where_the_settings_say_so() -> None:
    user = rater(6)
    quoting = FunctionModel(complete=lambda r: f"[{user.opinions[0].question.text} 5, {r.sampling.seed}]")
    settings = paper(iterations=2, scoring_share=1.0)
    for quoted, cells in (("skip", 5), ("score", 6)):
        learned = await learn(user, replace(settings, quoted=quoted), optimizer=quoting)  # type: ignore[arg-type]
        assert {sum(c is not None for c in p.cells) for p in learned.prompts} == {cells}


SETTINGS = (
    paper(iterations=5),
    paper(iterations=4, memory_size=1, proposals=6),
    paper(
        iterations=5, proposers=("llm", "demonstrations"), demonstrations=DemonstrationSettings(max_demonstrations=3)
    ),
)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("wave", [1, 3, 50])
@pytest.mark.parametrize("salt", ["a", "c"])
async def test_pruning_changes_nothing_but_the_cost(settings: FermiSettings, wave: int, salt: str) -> None:
    literal = await learn(rater(14), settings, model=random_answers(salt))
    pruned = await learn(rater(14), replace(settings, pruning=True, wave=wave), model=random_answers(salt))
    same_result(pruned, literal)
    assert wave == 50 or pruned.answering.calls < literal.answering.calls


@pytest.mark.parametrize("wave", [1, 4])
async def test_pruning_changes_nothing_in_the_planted_world(wave: int) -> None:
    settings = replace(preset("paper"), iterations=4)
    user = respondent(3).user
    runs = [
        await Fermi(Answerer(AnsweringModel(), s.answering), s, optimizer=Optimizer()).fit(user)
        for s in (settings, replace(settings, pruning=True, wave=wave))
    ]
    same_result(runs[1], runs[0])


def same_result(one: FermiPersonalization, other: FermiPersonalization) -> None:
    def content(prompts: Sequence[ScoredPrompt]) -> list[tuple[Prompt, int, object]]:
        return [(p.prompt, p.born, p.cells) for p in prompts]

    assert content(one.memory) == content(other.memory)
    assert content(one.prompts) == content(other.prompts)
    assert [p.score for p in one.memory] == [p.score for p in other.memory]
    assert all(entry.complete for entry in one.memory)
    assert [i.best_score for i in one.iterations] == [i.best_score for i in other.iterations]
    assert one.answering.calls <= other.answering.calls
    assert one.optimizing == other.optimizing
