"""Retrieval-of-Prompt (Eq. 7): which prompt answers, what that costs, and what leave-one-out leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from idiolect import Opinion, Question
from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import RetrievalSettings
from idiolect.methods.personalization import Answer, Candidate, Neighbour
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from tests.methods.people import TableSimilarity, asked_question, paper

YES_NO = ("yes", "no")
OPINIONS = tuple(Opinion(Question(f"Is {n} good to have?", YES_NO), "yes") for n in range(5))
NEW = Question("Is 9 good to have?", YES_NO)


def world(
    right: dict[str, str], retrieval: RetrievalSettings, prompts: Sequence[Prompt] = ()
) -> tuple[FermiPersonalization, FunctionModel]:
    """Prompts by text; `right` says for each on which opinions ("0134") the model is right under it."""
    chosen = list(prompts) or [Prompt(text) for text in right]

    def complete(request: CompletionRequest) -> str:
        name = request.messages[-1].content.split("\n")[0]
        return "yes" if asked_question(request).split()[1] in right.get(name, "") else "no"

    unasked: tuple[None, ...] = (None,) * len(OPINIONS)
    pool = tuple(ScoredPrompt(prompt, born + 1, unasked) for born, prompt in enumerate(chosen))
    first = ScoredPrompt(Prompt("Start"), 0, unasked)
    learned = FermiPersonalization(
        "ann", "m", None, paper(retrieval=retrieval), OPINIONS, (), first, pool, (), (), Usage(3), Usage()
    )  # fmt: skip
    return learned, FunctionModel(complete=complete)


def near(*order: int) -> TableSimilarity:
    """The opinions in this order of nearness to everything, others far."""
    ranks = {f"Is {n} good to have?": float(len(order) - place) for place, n in enumerate(order)}
    return TableSimilarity(lambda _, document: ranks.get(document.split("\n")[0], 0.0))


async def ask(
    right: dict[str, str], retrieval: RetrievalSettings, order: tuple[int, ...], question: Question = NEW
) -> tuple[Answer, FunctionModel]:
    learned, model = world(right, retrieval)
    respondent = RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), near(*order))
    return (await respondent.answer([question]))[0], model


def called(model: FunctionModel) -> list[tuple[str, str]]:
    """(prompt, question's number) of every call."""
    return [(r.messages[-1].content.split("\n")[0], asked_question(r).split()[1]) for r in model.completion_requests]


async def test_the_best_prompt_on_the_nearest_opinions_answers() -> None:
    answer, model = await ask({"A": "0123", "B": "4", "C": "012"}, RetrievalSettings(neighbours=1), (4, 0, 1))
    why = answer.explanation
    assert why
    assert why.nearest == (Neighbour(4, 3.0),)
    assert why.candidates == (Candidate(0, 0.0, None), Candidate(1, 1.0, None), Candidate(2, 0.0, None))
    assert (why.chosen, why.tied) == (1, 1)
    assert called(model) == [("A", "4"), ("B", "4"), ("C", "4"), ("B", "9")]


async def test_only_tied_prompts_are_completed() -> None:
    right = {"A": "01", "B": "0123", "C": "0", "D": "012"}
    answer, model = await ask(right, RetrievalSettings(neighbours=2), (0, 1))
    why = answer.explanation
    assert why
    assert (why.tied, why.chosen) == (3, 1)
    assert [c.overall for c in why.candidates] == [0.4, 0.8, None, 0.6]
    calls = called(model)
    assert len(calls) == 4 * 2 + 3 * 3 + 1
    assert [c for c in calls if c[0] == "C"] == [("C", "0"), ("C", "1")]
    assert len(set(calls)) == len(calls)


async def test_a_tie_that_stays_goes_to_the_first() -> None:
    answer, _ = await ask({"A": "4", "B": "01", "C": "02"}, RetrievalSettings(neighbours=1), (0,))
    assert answer.explanation
    assert answer.explanation.chosen == 1


async def test_tie_break_first_completes_nothing() -> None:
    answer, model = await ask(
        {"A": "4", "B": "0", "C": "0123"}, RetrievalSettings(tie_break="first", neighbours=1), (0,)
    )
    assert answer.explanation
    assert (answer.explanation.chosen, answer.explanation.tied) == (1, 2)
    assert len(called(model)) == 3 + 1


async def test_more_neighbours_than_opinions_are_all_of_them() -> None:
    answer, model = await ask({"A": "01", "B": "012"}, RetrievalSettings(neighbours=50), ())
    assert answer.explanation
    assert [n.index for n in answer.explanation.nearest] == [0, 1, 2, 3, 4]
    assert answer.explanation.chosen == 1
    assert len(called(model)) == 10 + 1


async def test_without_retrieval_the_best_overall_answers_everything() -> None:
    learned, model = world({"A": "01", "B": "0123"}, RetrievalSettings(retrieve=False))
    respondent = RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), None)
    answers = await respondent.answer([NEW, OPINIONS[0].question])
    assert [a.explanation and (a.explanation.chosen, a.explanation.nearest) for a in answers] == [(1, ())] * 2
    assert len(called(model)) == 10 + 2


async def test_prompts_that_quote_all_neighbours_are_judged_overall() -> None:
    prompts = [Prompt("A", quotes=(0,)), Prompt("B"), Prompt("C", quotes=(0, 1, 2, 3, 4))]
    learned, model = world({"A": "123", "B": ""}, RetrievalSettings(neighbours=1), prompts)
    respondent = RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), near(0))
    why = (await respondent.explain([NEW]))[0]
    assert why.candidates == (Candidate(0, 0.75, 0.75), Candidate(1, 0.0, None), Candidate(2, 0.0, None))
    assert why.chosen == 0
    assert ("A", "0") not in called(model)
    assert [c for c in called(model) if c[0] == "C"] == []


async def test_a_partly_quoting_prompt_is_judged_on_the_other_neighbours() -> None:
    prompts = [Prompt("A", quotes=(0,)), Prompt("B")]
    learned, model = world({"A": "1", "B": "0"}, RetrievalSettings(neighbours=2), prompts)
    respondent = RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), near(0, 1))
    assert [c.score for c in (await respondent.explain([NEW]))[0].candidates] == [1.0, 0.5]


async def test_nothing_is_scored_twice_over_several_calls() -> None:
    learned, model = world({"A": "01", "B": "01"}, RetrievalSettings(neighbours=2))
    answerer = Answerer(model, AnsweringSettings())
    respondent = RetrievalOfPrompt(learned, answerer, near(0, 1))
    for _ in range(3):
        await respondent.explain([NEW, NEW])
    assert len(called(model)) == 10
    saved = respondent.personalization
    assert all(p.complete for p in saved.prompts)
    assert saved.answering == Usage(3) + sum((_cost(r) for r in model.completion_requests), Usage())
    again = RetrievalOfPrompt(saved, answerer, near(0, 1))
    await again.explain([NEW])
    assert len(called(model)) == 10
    assert again.personalization == saved
    assert respondent.personalization.answering.calls == 13


def _cost(request: CompletionRequest) -> Usage:
    words = sum(len(m.content.split()) for m in request.messages)
    return Usage(1, words, 1, words)


async def test_answering_is_not_part_of_the_cost_of_scoring() -> None:
    learned, model = world({"A": "01"}, RetrievalSettings(neighbours=2))
    respondent = RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), near(0, 1))
    answers = await respondent.answer([NEW])
    assert answers[0].usage.calls == 1
    assert respondent.personalization.answering.calls == 3 + 2
    assert await respondent.answer([]) == []


async def test_questions_asked_at_once_lose_no_scores() -> None:
    class Slow:
        name = "slow"

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            await asyncio.sleep(0)
            return await model.complete(requests)

    learned, model = world({"A": "01", "B": "0123"}, RetrievalSettings(neighbours=1))
    far = TableSimilarity(lambda q, d: float(q == d))
    respondent = RetrievalOfPrompt(learned, Answerer(Slow(), AnsweringSettings()), far)
    explained = await asyncio.gather(*(respondent.explain([o.question]) for o in OPINIONS))
    assert [e[0].candidates[1].score for e in explained] == [1.0, 1.0, 1.0, 1.0, 0.0]
    assert all(p.complete for p in respondent.personalization.prompts)
    assert len(called(model)) == 10


async def test_a_question_is_compared_with_its_choices() -> None:
    for with_choices, text in ((True, "Is 9 good to have?\nyes\nno"), (False, "Is 9 good to have?")):
        learned, model = world({"A": "0"}, RetrievalSettings(with_choices=with_choices))
        similarity = near(0)
        await RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), similarity).explain([NEW])
        assert similarity.seen[0][0] == [text]


@pytest.mark.parametrize(("order", "shown"), [("as_scored", "012"), ("nearest_last", "201")])
@pytest.mark.parametrize("retrieve", [True, False])
async def test_demonstrations_stand_as_the_settings_say(order: str, shown: str, retrieve: bool) -> None:
    retrieval = RetrievalSettings(demonstration_order=order, retrieve=retrieve)  # type: ignore[arg-type]
    learned, model = world({"A": "0"}, retrieval, [Prompt("A", (0, 1, 2))])
    respondent = RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), near(1, 0, 2))
    answer = (await respondent.answer([NEW]))[0]
    content = model.completion_requests[-1].messages[-1].content
    assert [line.split()[2] for line in content.split("\n") if line.startswith("Question")] == [*shown, "9"]
    assert answer.explanation
    assert len(answer.explanation.nearest) == (3 if retrieve else 0)


async def test_equally_near_opinions_are_taken_in_order() -> None:
    answer, _ = await ask({"A": "0"}, RetrievalSettings(neighbours=3), ())
    assert answer.explanation
    assert [n.index for n in answer.explanation.nearest] == [0, 1, 2]


def leaving_one_out(
    right: dict[str, str], retrieval: RetrievalSettings, order: tuple[int, ...], prompts: Sequence[Prompt] = ()
) -> tuple[RetrievalOfPrompt, FunctionModel]:
    learned, model = world(right, retrieval, prompts)
    answerer = Answerer(model, AnsweringSettings())
    return RetrievalOfPrompt(learned, answerer, near(*order), leave_one_out=True), model


async def test_leave_one_out_keeps_the_asked_opinion_out_of_the_retrieval() -> None:
    respondent, _ = leaving_one_out({"A": "0"}, RetrievalSettings(neighbours=2), (0, 1, 2))
    same = Question("IS 0 good to  have", ("never", "always"))  # put otherwise, the same question
    nearest = [[n.index for n in why.nearest] for why in await respondent.explain([OPINIONS[0].question, same, NEW])]
    assert nearest == [[1, 2], [1, 2], [0, 1]]


async def test_leave_one_out_keeps_the_asked_opinion_out_of_ties() -> None:
    """A and B tie on the neighbour; only on the asked opinion itself is B the better one."""
    respondent, _ = leaving_one_out({"A": "12", "B": "10"}, RetrievalSettings(neighbours=1), (0, 1))
    why = (await respondent.explain([OPINIONS[0].question]))[0]
    assert (why.tied, why.chosen) == (2, 0)
    assert [c.overall for c in why.candidates] == [0.5, 0.25]


async def test_leave_one_out_keeps_the_asked_opinion_out_of_the_overall_score() -> None:
    respondent, _ = leaving_one_out({"A": "12", "B": "034"}, RetrievalSettings(retrieve=False), ())
    explained = await respondent.explain([OPINIONS[0].question, NEW])
    assert [why.chosen for why in explained] == [0, 1]


async def test_leave_one_out_keeps_the_asked_opinion_out_of_the_demonstrations() -> None:
    prompts = [Prompt("A", (0, 1))]
    respondent, model = leaving_one_out({"A": "01"}, RetrievalSettings(neighbours=1), (1,), prompts)
    await respondent.answer([OPINIONS[0].question, NEW])
    *_, asked, new = (r.messages[-1].content for r in model.completion_requests)
    assert (asked.count("Is 0"), asked.count("Is 1")) == (1, 1)
    assert (new.count("Is 0"), new.count("Is 1")) == (1, 1)


async def test_leave_one_out_takes_no_prompt_that_quotes_the_asked_opinion() -> None:
    prompts = [Prompt("A", quotes=(0,)), Prompt("B")]
    respondent, _ = leaving_one_out({"A": "1234", "B": "2"}, RetrievalSettings(neighbours=2), (0, 1, 2), prompts)
    explained = await respondent.explain([OPINIONS[0].question, NEW])
    assert [why.chosen for why in explained] == [1, 0]


async def test_leave_one_out_with_quoting_prompts_only_falls_back_on_the_initial_one() -> None:
    prompts = [Prompt("A quotes it", (1,), quotes=(0,))]
    respondent, model = leaving_one_out({}, RetrievalSettings(neighbours=2), (0, 1), prompts)
    await respondent.answer([OPINIONS[0].question])
    content = model.completion_requests[-1].messages[-1].content
    assert content.startswith("Start\n\nQuestion: Is 1 good to have?")


async def test_leave_one_out_of_the_only_opinion_leaves_nothing_to_go_by() -> None:
    learned, model = world({"A": "0", "B": "0"}, RetrievalSettings())
    one = replace(
        learned, opinions=OPINIONS[:1], prompts=tuple(ScoredPrompt(p.prompt, p.born, (None,)) for p in learned.prompts)
    )
    respondent = RetrievalOfPrompt(one, Answerer(model, AnsweringSettings()), near(0), leave_one_out=True)
    why = (await respondent.explain([OPINIONS[0].question]))[0]
    assert (why.nearest, why.chosen, why.tied) == ((), 0, 2)
    assert called(model) == []


def test_wrong_combinations_are_refused() -> None:
    learned, model = world({"A": "0"}, RetrievalSettings())
    with pytest.raises(SettingsError, match="needs a similarity"):
        RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings()), None)
    ordered, model = world({"A": "0"}, RetrievalSettings(retrieve=False, demonstration_order="nearest_last"))
    with pytest.raises(SettingsError, match="needs a similarity"):
        RetrievalOfPrompt(ordered, Answerer(model, AnsweringSettings()), None)
    with pytest.raises(SettingsError, match="other answering settings"):
        RetrievalOfPrompt(learned, Answerer(model, AnsweringSettings(max_tokens=2)), near(0))
