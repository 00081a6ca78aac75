"""Algorithm 1: its literal cost, its draws, what happens when all proposals are rejected, and people at the edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User, UserProfile
from idiolect.errors import PersonalizationError, SettingsError
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import MetaPromptSettings, RetrievalSettings
from idiolect.methods.personalization import Progress
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Usage
from tests.methods.fermi.interrupting import Pages
from tests.methods.people import SCALE, TableSimilarity, learn, number, numbered_proposals, paper, random_answers, rater

SAME = TableSimilarity(lambda q, d: float(q == d))


async def test_the_literal_cost_is_that_of_the_paper() -> None:
    model, optimizer = random_answers(), numbered_proposals()
    learned = await learn(rater(20), preset("paper"), model=model, optimizer=optimizer)
    assert (len(learned.opinions), len(learned.examples)) == (16, 4)
    assert learned.iterations[-1].answering.calls == 592
    assert learned.answering.calls == len(model.completion_requests) == 592 + 64
    assert learned.optimizing.calls == len(optimizer.completion_requests) == 40
    assert [i.scored for i in learned.iterations] == [1] + 9 * [4]
    assert (len(learned.prompts), len(learned.memory)) == (4, 5)
    assert all(p.complete for p in learned.prompts)


async def test_a_lazy_pool_asks_less_and_answers_the_same() -> None:
    eager = paper(iterations=3)
    asked = [Question(f"How much do you like dish number {i}?", SCALE, ordinal=True) for i in (1, 5, 30)]
    near = TableSimilarity(lambda q, d: number(q + d) % 7)
    for pool in ("last", "last+memory", "memory"):
        for tie_break in ("first", "complete"):
            answers, calls = [], []
            for lazy in (False, True):
                retrieval = RetrievalSettings(pool=pool, tie_break=tie_break, lazy=lazy, neighbours=2)
                settings = replace(eager, retrieval=retrieval)
                learned = await learn(rater(20), settings)
                respondent = RetrievalOfPrompt(learned, Answerer(random_answers(), settings.answering), near)
                answers.append(
                    [(a.response, a.explanation and a.explanation.chosen) for a in await respondent.answer(asked)]
                )
                calls.append(respondent.personalization.answering.calls)
            assert answers[0] == answers[1]
            assert calls[1] < calls[0] or (pool == "memory" and calls[1] == calls[0])


async def test_every_draw_of_a_run_is_a_different_request() -> None:
    optimizer = numbered_proposals()
    await learn(rater(10), paper(iterations=4), optimizer=optimizer)
    await learn(rater(10, seed=1), paper(iterations=4), optimizer=optimizer)
    requests = optimizer.completion_requests
    assert len(set(requests)) == len(requests) == 32
    assert len({r.sampling.seed for r in requests}) == 32
    assert [r.draw for r in requests[:8]] == [0, 1, 2, 3] * 2


async def test_another_seed_draws_otherwise() -> None:
    optimizer = numbered_proposals()
    for seed in (0, 1):
        await learn(rater(10), paper(iterations=1, seed=seed), optimizer=optimizer)
    assert len({r.sampling.seed for r in optimizer.completion_requests}) == 8


async def test_learning_again_gives_the_same() -> None:
    settings = replace(preset("demo"), answering=AnsweringSettings())
    assert await learn(rater(12), settings) == await learn(rater(12), settings)


async def test_when_all_are_rejected_it_draws_twice_more_and_goes_on() -> None:
    optimizer = FunctionModel(complete=lambda _: "no brackets at all")
    learned = await learn(rater(10), paper(iterations=3), optimizer=optimizer)
    requests = optimizer.completion_requests
    assert [r.draw for r in requests] == 3 * list(range(12))
    assert len({r.sampling.seed for r in requests}) == 36
    assert [i.rejected for i in learned.iterations] == 3 * [{"no text in square brackets": 12}]
    assert [i.scored for i in learned.iterations] == [1, 0, 0]
    assert [i.proposed for i in learned.iterations] == [0, 0, 0]
    assert learned.prompts == learned.memory == (learned.initial,)
    assert learned.answering.calls == 8


@pytest.mark.parametrize("pool", ["last", "last+memory", "memory"])
async def test_a_pool_without_last_proposals_is_the_memory(pool: str) -> None:
    last = rater(10).id  # rejected in the last iteration only

    def propose(request: CompletionRequest) -> str:
        return f"[A text with the number {request.sampling.seed}]" if len(optimizer.completion_requests) <= 8 else last

    optimizer = FunctionModel(complete=propose)
    settings = paper(iterations=3, retrieval=RetrievalSettings(pool=pool))  # type: ignore[arg-type]
    learned = await learn(rater(10), settings, optimizer=optimizer)
    assert learned.iterations[-1].proposed == 0
    assert learned.prompts == learned.memory
    assert len({p.born for p in learned.prompts}) == 5


async def test_a_redraw_takes_what_is_acceptable() -> None:
    optimizer = FunctionModel(complete=lambda r: f"[A text number {r.draw}]" if r.draw in (5, 6) else "none")
    learned = await learn(rater(10), paper(iterations=1), optimizer=optimizer)
    assert [p.prompt.text for p in learned.prompts] == ["A text number 5", "A text number 6"]
    assert [r.draw for r in optimizer.completion_requests] == list(range(8))


async def test_a_text_that_left_the_memory_is_not_scored_again() -> None:
    """The optimizer keeps on proposing the same four; the memory has room for one."""
    optimizer = FunctionModel(complete=lambda r: f"[The same text number {r.draw % 4}]")
    model = random_answers()
    learned = await learn(rater(10), paper(iterations=4, memory_size=1), model=model, optimizer=optimizer)
    assert [i.scored for i in learned.iterations] == [1, 4, 0, 0]
    assert [i.rejected.get("seen before", 0) for i in learned.iterations] == [0, 12, 12, 12]
    assert len(set(model.completion_requests)) == len(model.completion_requests)


async def test_proposals_are_dealt_out_over_the_proposers() -> None:
    learned = await learn(rater(20), paper(iterations=2, proposers=("llm", "demonstrations")))
    assert [p.prompt.origin for p in learned.prompts] == ["llm", "demonstrations"] * 2
    assert learned.optimizing.calls == 4


async def test_demonstrations_alone_need_no_optimizer() -> None:
    settings = paper(iterations=2, proposers=("demonstrations",))
    learned = await Fermi(Answerer(random_answers(), settings.answering), settings).fit(rater(10))
    assert (learned.optimizer, learned.optimizing) == (None, Usage())


def test_wrong_combinations_are_refused() -> None:
    answerer = Answerer(random_answers(), AnsweringSettings())
    with pytest.raises(SettingsError, match="needs an optimizer"):
        Fermi(answerer, preset("paper"))
    with pytest.raises(SettingsError, match="answerer's settings"):
        Fermi(answerer, paper(answering=AnsweringSettings(max_tokens=3)), optimizer=numbered_proposals())


async def test_one_opinion_works_from_end_to_end() -> None:
    for proposers in (("llm",), ("llm", "demonstrations"), ("demonstrations",)):
        settings = paper(iterations=3, proposers=proposers)
        learned = await learn(rater(1), settings)
        respondent = RetrievalOfPrompt(learned, Answerer(random_answers(), settings.answering), SAME)
        answers = await respondent.answer([Question("Something new?", SCALE, ordinal=True)])
        assert answers[0].response.answer in SCALE
        assert answers[0].explanation
        assert len(answers[0].explanation.nearest) == 1


async def test_a_thousand_opinions_work() -> None:
    settings = paper(
        proposers=("llm", "demonstrations"), pruning=True, iterations=2, wave=50, retrieval=RetrievalSettings()
    )
    learned = await learn(rater(1000), settings, optimizer=numbered_proposals())
    assert len(learned.opinions) == 800
    respondent = RetrievalOfPrompt(learned, Answerer(random_answers(), settings.answering), SAME)
    assert len(await respondent.answer([o.question for o in learned.opinions[:3]])) == 3


async def test_someone_with_texts_only_is_refused_with_the_method_that_learns_from_texts() -> None:
    with pytest.raises(PersonalizationError, match=r"'ann' has no opinions.* the method chameleon from texts"):
        await learn(User("ann", texts=("I like tea.",)), preset("paper"))


async def test_free_text_and_choices_are_learned_from_together() -> None:
    said = (Opinion(Question("Why tea?"), "for the taste"), *rater(3).opinions)
    model = FunctionModel(complete=lambda r: "the taste" if "Why" in r.messages[-1].content else "3")
    learned = await learn(User("ann", opinions=said), paper(iterations=1, scoring_share=1.0), model=model)
    assert learned.initial.cells[0]
    assert learned.initial.cells[0].score == pytest.approx(0.8)
    assert 0 not in learned.initial.misaligned(learned.opinions, learned.settings.thresholds)


async def test_the_initial_prompt_is_the_profile() -> None:
    user = replace(rater(5), profile=UserProfile({"Age": "30"}))
    learned = await learn(user, paper(iterations=1))
    assert learned.initial.prompt.text.startswith("A person can be described as follows:\nAge: 30\n")
    plain = await learn(rater(5), paper(iterations=1))
    assert plain.initial.prompt.text == "You are a respondent in a survey. Answer the question as you would."
    unruled = paper(iterations=1, answering=AnsweringSettings(output_rule=False))
    assert (await learn(rater(5), unruled)).initial.prompt.text == "Answer the question."


async def test_the_output_rule_stands_behind_every_prompt_and_in_none() -> None:
    model, optimizer = random_answers(), numbered_proposals()
    settings = paper(iterations=2, proposers=("llm", "demonstrations"))
    learned = await learn(rater(8), settings, model=model, optimizer=optimizer)
    rule = "Reply with one of these numbers only, without an explanation."
    contents = [request.messages[-1].content for request in model.completion_requests]
    assert any("Answer: " in content for content in contents)  # with demonstrations, which have no rule
    assert all(content.endswith(f"\nChoices: 1 | 2 | 3 | 4 | 5\n{rule}") for content in contents)
    assert {content.count(rule) for content in contents} == {1}
    assert not any(rule in entry.prompt.text for entry in (*learned.prompts, *learned.memory))
    assert not any(rule in request.messages[-1].content for request in optimizer.completion_requests)


async def test_opro_is_the_loop_without_failures() -> None:
    optimizer = numbered_proposals()
    learned = await learn(
        rater(10), paper(iterations=2, meta_prompt=MetaPromptSettings(failures="none")), optimizer=optimizer
    )
    for request in optimizer.completion_requests:
        assert "failure" not in request.messages[0].content
        assert not [o for o in learned.opinions if o.question.text in request.messages[0].content]
    assert all(p.prompt.driven_by == () for p in learned.prompts)


async def test_fixed_demonstrations_are_never_asked() -> None:
    model = random_answers()
    learned = await learn(rater(10), paper(iterations=3), model=model)
    contents = [r.messages[0].content for r in model.completion_requests]
    assert not [o for o in learned.examples for content in contents if o.question.text in content]


@pytest.mark.parametrize("pruning", [False, True])
async def test_a_silent_model_is_asked_no_second_prompt_and_its_run_is_not_saved(pruning: bool) -> None:
    model, optimizer, pages = FunctionModel(complete=lambda _: " "), numbered_proposals(), Pages()
    settings = paper(pruning=pruning)
    fermi = Fermi(Answerer(model, settings.answering), settings, optimizer=optimizer)
    learned = await fermi.fit(rater(10), checkpoints=pages)
    assert (len(model.completion_requests), len(optimizer.completion_requests)) == (8, 0)
    assert (learned.finished, learned.prompts) == (False, (learned.initial,))
    assert learned.answering.calls == 8
    assert pages.pages == []


async def test_answers_that_name_no_choice_are_learned_from_to_the_end() -> None:
    settings = paper(iterations=2)
    for text, n in (("Hm.", 10), ("", 2)):
        learned = await learn(rater(n), settings, model=FunctionModel(complete=lambda _, text=text: text))
        assert learned.finished
        assert len(learned.iterations) == 2


async def test_progress_is_told_in_order() -> None:
    told: list[Progress] = []
    watch: Callable[[Progress], None] = told.append
    settings = paper(iterations=2)
    fermi = Fermi(Answerer(random_answers(), settings.answering), settings, optimizer=numbered_proposals())
    await fermi.fit(rater(5), observer=watch)
    assert [(p.stage, p.done) for p in told] == [
        ("scoring 1 prompt", 0),
        ("proposing prompts", 0),
        ("scoring 4 prompts", 1),
        ("proposing prompts", 1),
        ("scoring the pool", 2),
        ("learned", 2),
    ]
    assert [p.best_score is None for p in told] == [True, False, False, False, False, False]
    assert [p.usage.calls for p in told] == [0, 4, 8, 24, 28, 44]


async def test_a_score_that_is_the_same_for_all_keeps_the_oldest() -> None:
    learned = await learn(rater(10), paper(iterations=4), model=FunctionModel(complete=lambda _: "3"))
    assert [p.born for p in learned.memory] == [0, 1, 2, 3, 4]
    assert learned.best == learned.initial
