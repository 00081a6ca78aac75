"""The dry run: its counts are those of a real run, its upper bound is the literal cost, and nothing of it is chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi import forecast as forecasting
from idiolect.methods.fermi.extension_settings import HybridSettings, SearchSettings
from idiolect.methods.fermi.forecast import Assumptions, RoleForecast, forecast
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.settings import FermiSettings, MetaPromptSettings, RetrievalSettings
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest, Message
from tests.held_out_settings import HELD_OUT
from tests.methods.people import TableSimilarity, learn, number, numbered_proposals, paper, random_answers, rater

NEAR = TableSimilarity(lambda q, d: number(q + d) % 7)
SHORT = paper(iterations=2, proposals=2)


def eater(n: int = 10) -> User:
    """Someone with choices of several words, and free text at the end."""
    choices = ("not at all", "a little, on good days", "whenever I can")
    likes = [Opinion(Question(f"Do you like dish number {i}?", choices), choices[i % 3]) for i in range(n - 1)]
    return User("eater", opinions=(*likes, Opinion(Question("What do you cook best?"), "beans on toast, naturally")))


async def test_the_paper_s_literal_cost_is_forecast_exactly() -> None:
    found = await forecast([rater(20)], preset("paper"))
    assert found.answering.calls == found.answering.most_calls == 592 + 64
    assert found.optimizing.calls == 40
    assert found.optimizing.most_calls == 40 * 3  # it may draw again twice
    assert (found.users, found.not_learnable, found.sampled) == (1, 0, 1)


@pytest.mark.parametrize("n", [1, 2, 7, 20])
@pytest.mark.parametrize("pool", ["last", "last+memory", "memory"])
@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (3, 4)])
async def test_the_upper_bound_is_the_cost_without_pruning_and_laziness(
    n: int, pool: Any, shape: tuple[int, int]
) -> None:
    iterations, proposals = shape
    settings = FermiSettings(iterations=iterations, proposals=proposals, retrieval=RetrievalSettings(pool=pool))
    literal = replace(settings, pruning=False, retrieval=replace(settings.retrieval, lazy=False))
    model, optimizer = random_answers(), numbered_proposals()
    await learn(rater(n), literal, model=model, optimizer=optimizer)
    found = await forecast([rater(n)], settings)
    assert found.answering.most_calls == len(model.completion_requests)
    assert found.answering.calls <= found.answering.most_calls
    assert (await forecast([rater(n)], literal)).answering.calls == found.answering.most_calls
    assert found.optimizing.calls == len(optimizer.completion_requests)


@pytest.mark.parametrize("proposers", [("llm",), ("llm", "demonstrations"), ("demonstrations", "llm")])
async def test_the_upper_bound_of_the_optimizer_is_that_of_one_that_is_always_rejected(proposers: Any) -> None:
    settings = replace(SHORT, iterations=3, proposals=3, proposers=proposers, redraws=1)
    optimizer = FunctionModel("silent", complete=lambda _: "no brackets")
    await learn(rater(6), replace(settings, proposers=("llm",)), optimizer=optimizer)
    alone = await forecast([rater(6)], replace(settings, proposers=("llm",)))
    assert alone.optimizing.most_calls == len(optimizer.completion_requests) == 3 * 3 * 2
    both = await forecast([rater(6)], settings)
    assert both.optimizing.calls <= both.optimizing.most_calls
    if len(proposers) == 2:
        assert both.optimizing.most_calls == 3 * 3  # draws are dealt out in turn: half of 6
        assert both.optimizing.calls == 3 * (2 if proposers[0] == "llm" else 1)


async def test_without_the_llm_the_optimizer_costs_nothing() -> None:
    found = await forecast([rater(8)], preset("demo"))
    assert found.optimizing == RoleForecast()
    assert 0 < found.answering.calls <= found.answering.most_calls
    assert found.answering.completion_tokens == 0


async def test_held_out_opinions_are_asked_twice() -> None:
    gated = replace(SHORT, scoring_share=0.6, evidence=EvidenceSettings(share=0.2))
    found = await forecast([rater(10)], gated, assumptions=Assumptions(accuracy=1.0))
    # 3 prompts scored and 2 in the pool on 6 opinions, then 2 held-out ones with and without the prompts: a tie, so the
    # base model is asked the 6 too.
    assert found.answering.calls == found.answering.most_calls == (1 + 2 + 2) * 6 + 2 * 2 + 6
    by_base = replace(gated, evidence=EvidenceSettings(share=0.2, ties="base"))
    assert (await forecast([rater(10)], by_base)).answering.most_calls == (1 + 2 + 2) * 6 + 2 * 2
    lazy = replace(gated, pruning=True, retrieval=replace(gated.retrieval, lazy=True))
    assert (await forecast([rater(10)], lazy)).answering.most_calls == found.answering.most_calls


@pytest.mark.parametrize("examples", [0, 3])
@pytest.mark.parametrize("crossing", [1, 2])
@pytest.mark.parametrize("lazy", [True, False])
async def test_what_is_asked_again_after_folding_back_is_in_the_upper_bound(
    examples: int, crossing: int, lazy: bool
) -> None:
    settings = replace(
        SHORT,
        scoring_share=0.6,
        memory_size=2,
        evidence=EvidenceSettings(0.4, ties="base", fold_back=True),
        hybrid=HybridSettings(examples),
        search=SearchSettings(crossing=crossing),
        retrieval=replace(SHORT.retrieval, pool="last+memory", lazy=lazy),
    )
    found = await forecast([rater(10)], settings)
    without = await forecast([rater(10)], replace(settings, evidence=EvidenceSettings(0.4, ties="base")))
    more = found.answering.most_calls - without.answering.most_calls
    assert 0 < found.answering.calls - without.answering.calls <= more
    remembered = 2 if crossing == 1 else 2 * 2
    prompts = 1 + remembered + (0 if lazy else SHORT.proposals)
    assert more == prompts * (10 if examples else 4) + (2 * 10 if examples else 0)


async def test_a_filter_that_refuses_every_example_stays_within_the_upper_bound() -> None:
    """Every question is refused with examples and answered without: asked, asked alone, and asked again."""

    class Filtering(FunctionModel):
        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            answers = await super().complete(requests)
            refused = [request.messages[-1].content.count("Question:") > 1 for request in requests]
            return [
                replace(answer, finish_reason="content_filter") if each else answer
                for answer, each in zip(answers, refused, strict=True)
            ]

    settings = replace(SHORT, scoring_share=1.0, hybrid=HybridSettings(2), search=SearchSettings(crossing=2))
    model = Filtering("filtering", complete=lambda _: "3")
    answerer = Answerer(model, settings.answering)
    await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(rater(8))
    found = await forecast([rater(8)], settings)
    assert len(model.completion_requests) <= found.answering.most_calls
    start = profile_prompt(rater(8).profile, settings.answering)
    first = [each for each in model.completion_requests if each.messages[-1].content.startswith(start)]
    assert len(first) == 3 * 8


async def test_unconditional_choices_are_asked_once_and_free_text_is_generated() -> None:
    settings = replace(SHORT, scoring_share=1.0, answering=AnsweringSettings("likelihood", "pmi"))
    found = await forecast([eater(10)], settings)
    assert found.answering.calls == found.answering.most_calls == (1 + 2 + 2) * 10 + 1
    assert found.answering.completion_tokens == 5 * 8  # only free text is written


async def test_bytes_and_tokens_are_those_of_the_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    models: list[FunctionModel] = []

    class Remembered(FunctionModel):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            models.append(self)

    monkeypatch.setattr(forecasting, "FunctionModel", Remembered)
    user = User("ü", opinions=(*eater(5).opinions, Opinion(Question("Schmeckt’s?"), "köstlich")))
    found = await forecast([user], SHORT, assumptions=Assumptions(bytes_per_token=3.0, message_tokens=7))
    requests = models[0].completion_requests
    sizes = [len(request.messages[0].content.encode()) for request in requests]
    assert found.answering.calls == len(requests)
    assert found.answering.prompt_bytes == sum(sizes)
    assert found.answering.prompt_tokens == sum(math.ceil(size / 3) + 7 for size in sizes)
    assert found.answering.completion_tokens == 8 * len(requests)
    assert found.optimizing.calls == len(models[1].completion_requests) == 4
    assert found.optimizing.completion_tokens == 4 * (math.ceil(500 / 3) + 100)


async def test_answers_are_right_as_often_as_assumed() -> None:
    person = forecasting._Person(rater(20), AnsweringSettings(), 0.7)
    answerer = Answerer(FunctionModel(complete=person.reply), AnsweringSettings())
    settings = paper(iterations=6)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals()).fit(rater(20))
    prompts = (learned.initial, *learned.memory, *learned.prompts)
    right = [cell.score == 1 for prompt in prompts for cell in prompt.cells if cell is not None]
    assert 0.6 < sum(right) / len(right) < 0.8


@pytest.mark.parametrize(("accuracy", "expected"), [(0.0, 0.0), (1.0, 1.0)])
@pytest.mark.parametrize("mode", ["generate", "likelihood"])
@pytest.mark.parametrize("normalization", ["sum", "mean", "pmi"])
async def test_certain_answers_of_every_kind_are_understood(
    accuracy: float, expected: float, mode: Any, normalization: Any
) -> None:
    answering = AnsweringSettings(mode, normalization, show_choices=False, prompt_role="system")
    person = forecasting._Person(eater(), answering, accuracy)
    model = FunctionModel(complete=person.reply, choice_logprobs=person.logprobs)
    settings = replace(SHORT, answering=answering)
    learned = await Fermi(Answerer(model, settings.answering), settings, optimizer=numbered_proposals()).fit(eater())
    assert {entry.score for entry in (*learned.memory, *learned.prompts)} == {expected}


def test_a_question_that_is_not_the_user_s_is_answered_somehow() -> None:
    person = forecasting._Person(rater(3), AnsweringSettings(), 0.5)
    assert person.reply(CompletionRequest((Message("user", "What else?"),))) == "-"


async def test_a_forecast_is_the_same_each_time_and_fewer_calls_with_pruning() -> None:
    pruned = replace(HELD_OUT, iterations=4)
    users = [rater(15, seed=seed) for seed in range(3)]
    found = await forecast(users, pruned)
    assert found == await forecast(users, pruned)
    assert found.answering.calls < (await forecast(users, replace(pruned, pruning=False))).answering.calls


async def test_many_users_are_sampled_and_scaled_by_their_opinions() -> None:
    users = [rater(5 + seed % 11, seed=seed) for seed in range(40)]
    whole = await forecast(users, SHORT, assumptions=Assumptions(sample=40))
    found = await forecast(users, SHORT, assumptions=Assumptions(sample=6))
    assert (whole.sampled, found.sampled, found.users) == (40, 6, 40)
    assert found.answering.most_calls == whole.answering.most_calls
    assert found.answering.calls == whole.answering.calls  # nothing is pruned here, so the scale is exact
    assert found.optimizing.calls == whole.optimizing.calls == 40 * 4
    assert found.answering.prompt_tokens == pytest.approx(whole.answering.prompt_tokens, rel=0.05)
    assert found == await forecast(users, SHORT, assumptions=Assumptions(sample=6))
    other = await forecast(users, SHORT, assumptions=Assumptions(sample=6, seed=1))
    assert other.answering.prompt_bytes != found.answering.prompt_bytes


async def test_users_without_opinions_are_counted_apart() -> None:
    writer = User("writer", texts=("I like beans.",))
    found = await forecast([writer, rater(5), writer], SHORT)
    assert (found.users, found.not_learnable, found.sampled) == (3, 2, 1)
    alone = await forecast([rater(5)], SHORT)
    assert (found.answering, found.optimizing) == (alone.answering, alone.optimizing)
    none = await forecast([writer], SHORT)
    assert (none.not_learnable, none.sampled, none.answering, none.optimizing) == (1, 0, RoleForecast(), RoleForecast())


@pytest.mark.parametrize(
    "meta_prompt",
    [
        MetaPromptSettings(prefill="[This person", brackets="optional", max_tokens=48, max_chars=60),
        MetaPromptSettings(min_chars=900),
        MetaPromptSettings(max_chars=20),
    ],
)
async def test_proposed_prompts_are_such_as_the_settings_accept(meta_prompt: MetaPromptSettings) -> None:
    found = await forecast([rater(6)], replace(SHORT, meta_prompt=meta_prompt))
    assert found.optimizing.calls == 4  # none was drawn again
    assert found.optimizing.completion_tokens <= 4 * meta_prompt.max_tokens


@pytest.mark.parametrize(
    "bad",
    [
        {"accuracy": 1.1}, {"accuracy": math.nan}, {"prompt_characters": 0}, {"bytes_per_token": 0.0},
        {"bytes_per_token": math.inf}, {"message_tokens": -1}, {"answer_tokens": -1}, {"reasoning_tokens": -1},
        {"sample": 0},
    ],
)  # fmt: skip
def test_assumptions_make_sense(bad: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        Assumptions(**bad)
