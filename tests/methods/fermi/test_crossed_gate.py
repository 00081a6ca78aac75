"""Do no harm on crossed scores and with few-shot as a third side; and held-out opinions that are learned from later."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import BudgetExceededError
from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.baselines import FixedPrompt
from idiolect.methods.evidence import Evidence, EvidenceSettings
from idiolect.methods.fermi.crossed_gate import with_crossed_evidence
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings, SearchSettings
from idiolect.methods.fermi.gate import answering_with, respondent, with_evidence, with_scores_of
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings, RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Usage
from tests.methods.fermi.interrupting import Meter, Metered, Pages
from tests.methods.people import (
    TableSimilarity,
    asked_question,
    number,
    numbered_proposals,
    paper,
    random_answers,
    rater,
    ratings,
)

NEAR = TableSimilarity(lambda q, d: number(q + d) % 7)
CROSSED = EvidenceSettings(by="crossed")
FEW_SHOT = HybridSettings(2)
YES_NO = ("yes", "no")
OPINIONS = tuple(Opinion(Question(f"Is {n} good to have?", YES_NO), "yes") for n in range(4))


def crossed(**changes: object) -> FermiSettings:
    settings: dict[str, object] = {
        "iterations": 3,
        "scoring_share": 1.0,
        "pruning": True,
        "search": SearchSettings(crossing=2),
        "retrieval": RetrievalSettings(pool="memory"),
        "evidence": CROSSED,
    }
    return paper(**{**settings, **changes})


def cells(right: str) -> tuple[ScoredAnswer | None, ...]:
    """ "10-1": right, wrong, not asked, right."""
    said = {"1": ScoredAnswer(Response("yes", "yes"), 1.0), "0": ScoredAnswer(Response("no", "no"), 0.0), "-": None}
    return tuple(said[each] for each in right)


def learned_with(initial: str, *prompts: tuple[str, tuple[int, ...]], **changes: object) -> FermiPersonalization:
    """Prompts by their scores and by what their optimizers saw."""
    first = ScoredPrompt(Prompt("P0"), 0, cells(initial))
    pool = [
        ScoredPrompt(Prompt(f"Text {born}", seen=seen, fold=int(0 in seen), origin="llm"), born, cells(right))
        for born, (right, seen) in enumerate(prompts, 1)
    ]
    settings = crossed(**changes)
    return FermiPersonalization(
        "ann", "m", None, settings, OPINIONS, (), first, (first, *pool), (first, *pool), (), Usage(5), Usage()
    )  # fmt: skip


async def judged(learned: FermiPersonalization, base: str = "no") -> tuple[FermiPersonalization, FunctionModel]:
    model = FunctionModel(complete=lambda _: base)
    answerer = Answerer(model, learned.settings.answering)
    return await with_crossed_evidence(learned, answerer, NEAR), model


def evidence_of(learned: FermiPersonalization) -> Evidence:
    assert learned.evidence is not None
    return learned.evidence


async def test_each_opinion_is_judged_by_prompts_that_did_not_see_it() -> None:
    """The scores on what was seen are perfect, and must not count."""
    knowing = [("0011", (2, 3)), ("1100", (0, 1))]  # right on what they saw only
    learned, model = await judged(learned_with("0000", *knowing))
    evidence = evidence_of(learned)
    assert evidence.personalized == (0.0,) * 4
    assert (evidence.few_shot, evidence.n) == ((), 4)
    assert not learned.used
    assert len(model.completion_requests) == 4  # the base model only
    assert learned.answering.calls == 5 + 4


async def test_the_choice_is_made_without_the_opinion_itself() -> None:
    """Each prompt is right on one opinion only, so that without it nothing speaks for it."""
    lucky = [("1000", ()), ("0100", ()), ("0010", ()), ("0001", ())]
    learned, _ = await judged(learned_with("0000", *lucky))
    assert evidence_of(learned).personalized == (0.0,) * 4
    good = [("0111", ()), ("1011", ())]
    learned, _ = await judged(learned_with("0000", *good, retrieval=RetrievalSettings(pool="memory", retrieve=False)))
    assert evidence_of(learned).personalized == (0.0, 0.0, 1.0, 1.0)  # without 0, the first is best, and wrong there


@pytest.mark.parametrize(
    ("own", "few_shot", "base", "winner"),
    [
        ("1111", "0000", "no", "personalization"),
        ("1111", "0000", "yes", "base"),  # not ahead of it
        ("1111", "1111", "no", "few-shot"),  # a tie
        ("0000", "1100", "no", "few-shot"),
        ("0000", "0000", "no", "base"),
    ],
)
async def test_three_sides_are_compared(own: str, few_shot: str, base: str, winner: str) -> None:
    everywhere = RetrievalSettings(pool="memory", retrieve=False)
    learned = learned_with(few_shot, (own, ()), hybrid=FEW_SHOT, retrieval=everywhere)
    learned = replace(learned, prompts=learned.prompts[1:])
    learned, model = await judged(learned, base)
    evidence = evidence_of(learned)
    assert evidence.winner == winner
    assert evidence.few_shot == tuple(float(each) for each in few_shot)
    assert learned.gate == evidence.reason
    assert learned.gate.startswith("on 4 opinions, each without what was learned from it, the personalization scored ")
    names = {"personalization": "the personalization", "few-shot": "few-shot", "base": "the base model"}
    assert learned.gate.endswith(f": {names[winner]} answers")
    answerer = Answerer(model, learned.settings.answering)
    answers_with = respondent(learned, answerer, NEAR)
    before = len(model.completion_requests)
    await answers_with.answer([Question("Is 9 good to have?", YES_NO)])
    (request,) = model.completion_requests[before:]
    shown = request.messages[-1].content
    assert (isinstance(answers_with, FixedPrompt), shown.startswith("P0"), shown.startswith("Text 1")) == (
        winner == "base",
        winner == "few-shot",
        winner == "personalization",
    )
    assert shown.count("Answer:") >= (2 if winner != "base" else 0)


async def test_a_lazy_pool_is_scored_where_it_judges() -> None:
    """Otherwise an opinion whose chosen prompt was not scored on it would not judge at all."""
    learned = learned_with("0000", ("----", ()), ("----", ()))
    learned = replace(learned, settings=crossed(retrieval=RetrievalSettings(pool="last+memory", neighbours=1)))
    learned, model = await judged(learned)
    assert evidence_of(learned).n == 4
    assert learned.answering.calls == 5 + len(model.completion_requests)


async def test_an_opinion_that_all_prompts_know_is_answered_by_the_first_prompt() -> None:
    learned = learned_with("1010", ("1100", (2, 3)))
    learned = replace(learned, prompts=learned.prompts[1:])
    learned, _ = await judged(learned)
    assert evidence_of(learned).personalized == (1.0, 1.0, 1.0, 0.0)


async def test_the_ensemble_is_judged_as_it_answers() -> None:
    """Two of three prompts are wrong on the last opinion."""
    prompts = [("1111", ()), ("1110", ()), ("1110", ())]
    learned = learned_with("0000", *prompts, ensemble=EnsembleSettings(prompts=3))
    assert evidence_of((await judged(learned))[0]).personalized == (1.0, 1.0, 1.0, 0.0)


async def test_the_gate_combines_as_answers_do() -> None:
    """An opinion asked again is judged as it is answered, with own answers by nearness, and calibrated."""
    settings = crossed(
        ensemble=EnsembleSettings(prompts=2, calibrate=True, sharpness=0.5, own_answers=1.0, own_nearness=0.5)
    )
    model = random_answers()
    answerer = Answerer(model, settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(rater(14))
    asked = RetrievalOfPrompt(learned, answerer, NEAR, leave_one_out=True)
    answers = await asked.answer([opinion.question for opinion in learned.opinions])
    scores = [
        alignment_score(opinion.question, opinion.answer, answer.response.answer)
        for opinion, answer in zip(learned.opinions, answers, strict=True)
    ]
    assert list(evidence_of(learned).personalized) == scores
    alone = replace(learned, settings=replace(settings, ensemble=EnsembleSettings(prompts=2)))
    plain = await RetrievalOfPrompt(alone, answerer, NEAR, leave_one_out=True).answer(
        [opinion.question for opinion in learned.opinions]
    )
    assert [each.response.answer for each in plain] != [each.response.answer for each in answers]


@pytest.mark.parametrize("hybrid", [HybridSettings(), HybridSettings(3)])
async def test_the_cost_of_a_whole_run_is_that_of_its_calls(hybrid: HybridSettings) -> None:
    model = random_answers()
    settings = crossed(hybrid=hybrid, ensemble=EnsembleSettings(prompts=3, orders=2))
    answerer = Answerer(model, settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(rater(14))
    assert learned.answering.calls == len(model.completion_requests)
    assert [asked_question(r) for r in model.completion_requests[-14:]] == [o.question.text for o in learned.opinions]
    assert FermiPersonalization.from_json(learned.to_json()) == learned
    evidence = evidence_of(learned)
    assert evidence.n == 14
    initial = tuple(cell.score for cell in learned.initial.cells if cell)
    assert evidence.few_shot == (initial if hybrid.examples else ())


async def test_a_halted_run_with_a_crossed_gate_waits_for_its_evidence() -> None:
    settings, meter = crossed(), Meter(stop_at=100)
    answerer = Answerer(Metered(random_answers(), meter), settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(rater(14))
    assert (learned.finished, learned.evidence, learned.used) == (False, None, False)
    assert learned.gate == "not judged yet: learning was stopped early; the base model answers"


async def test_evidence_of_before_does_not_speak_for_what_was_halted() -> None:
    settings, user = crossed(), rater(14)
    answerer = Answerer(random_answers(), settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(user)
    assert learned.evidence is not None
    metered = Answerer(Metered(random_answers(), Meter(stop_at=30)), settings.answering)
    method = Fermi(metered, settings, optimizer=numbered_proposals(), similarity=NEAR)
    halted = await method.extend(learned, rater(16), iterations=2)
    assert (halted.finished, halted.evidence, halted.used) == (False, None, False)


# Few-shot answers, and what is stored


async def test_few_shot_answers_do_not_change_the_personalization() -> None:
    learned = learned_with("1111", ("0000", ()), hybrid=FEW_SHOT, ensemble=EnsembleSettings(prompts=2))
    learned, model = await judged(learned)
    assert evidence_of(learned).winner == "few-shot"
    answers_with = respondent(learned, Answerer(model, learned.settings.answering), NEAR)
    assert isinstance(answers_with, RetrievalOfPrompt)
    before = len(model.completion_requests)
    await answers_with.answer([Question("Is 9 good to have?", YES_NO)])
    assert len(model.completion_requests) == before + 1  # no ensemble either
    assert answers_with.personalization.prompts == (learned.initial,)
    assert with_scores_of(learned, answers_with.personalization) == learned


async def test_scores_of_answers_are_kept_with_the_whole_pool() -> None:
    learned = learned_with("1111", ("----", ()), ("----", ()))
    assert answering_with(learned) == learned
    retrieval = RetrievalOfPrompt(answering_with(learned), Answerer(random_answers(), learned.settings.answering), NEAR)
    await retrieval.answer([Question("Is 9 good to have?", YES_NO)])
    kept = with_scores_of(learned, retrieval.personalization)
    assert kept == retrieval.personalization != learned


async def test_equal_estimates_are_not_told_apart_by_scores_on_different_opinions() -> None:
    """No text gains anything anywhere, but one of them is scored where `P⁰` is right: the oldest prompt answers."""
    learned = learned_with("1100", ("11--", (2, 3)), ("--00", (0, 1)), retrieval=RetrievalSettings(shrinkage=2.0))
    respondent = RetrievalOfPrompt(learned, Answerer(FunctionModel(), learned.settings.answering), NEAR)
    (why,) = await respondent.explain([Question("Is 9 good to have?", YES_NO)])
    assert [each.overall for each in why.candidates] == [0.5, 1.0, 0.0]
    assert why.chosen == 0


# Held-out opinions with few-shot, and folding them back


def dish(text: str) -> int:
    return int(re.findall(r"dish number (\d+)", text)[-1])


def gated(**changes: object) -> FermiSettings:
    settings: dict[str, object] = {
        "iterations": 2,
        "scoring_share": 0.75,
        "hybrid": HybridSettings(3),
        "evidence": EvidenceSettings(0.25),
        "retrieval": RetrievalSettings(pool="last+memory"),
    }
    return paper(**{**settings, **changes})


def follows_examples(request: CompletionRequest) -> str:
    """Without examples it says 1; with them, what they say most often; under a written text, 2."""
    content = request.messages[-1].content
    said = re.findall(r"Answer: (\d)", content)
    if "described by" in content:
        return "2"
    return max(said, key=said.count) if said else "1"


async def test_few_shot_wins_on_held_out_opinions() -> None:
    user = User("u", opinions=tuple(replace(o, answer="5") for o in ratings(16)))
    model = FunctionModel(complete=follows_examples)
    settings = gated()
    answerer = Answerer(model, settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(user)
    evidence = evidence_of(learned)
    assert evidence.few_shot == (1.0,) * 4
    assert evidence.base == (0.0,) * 4
    assert evidence.winner == "few-shot"
    assert learned.gate.startswith("on 4 held-out opinions, the personalization scored ")
    assert learned.answering.calls == len(model.completion_requests)
    held_out = {dish(each.question.text) for each in learned.held_out}
    for request in model.completion_requests:
        assert held_out.isdisjoint(dish(each) for each in request.messages[-1].content.split("Question:")[1:-1])


async def folded(**changes: object) -> tuple[FermiPersonalization, FunctionModel, FermiSettings]:
    settings = gated(evidence=EvidenceSettings(0.25, fold_back=True), **changes)
    model = random_answers()
    answerer = Answerer(model, settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR).fit(rater(16))
    return learned, model, settings


@pytest.mark.parametrize("examples", [0, 3])
@pytest.mark.parametrize("crossing", [1, 2])
@pytest.mark.parametrize("shrinkage", [0.0, 2.0])
async def test_opinions_that_judged_are_learned_from(examples: int, crossing: int, shrinkage: float) -> None:
    learned, model, settings = await folded(
        hybrid=HybridSettings(examples),
        search=SearchSettings(crossing=crossing),
        retrieval=RetrievalSettings(pool="last+memory", shrinkage=shrinkage),
    )
    assert evidence_of(learned).n == 4
    assert learned.held_out == ()
    assert sorted(learned.opinions, key=repr) == sorted(rater(16).opinions, key=repr)
    assert learned.answering.calls == len(model.completion_requests)
    assert FermiPersonalization.from_json(learned.to_json()) == learned
    # Every score is one that asking now would give, and so there is a best prompt.
    again = RetrievalOfPrompt(
        replace(learned, prompts=tuple(replace(each, cells=(None,) * 16) for each in learned.memory)),
        Answerer(random_answers(), settings.answering),
        NEAR,
    )
    await again.score((k, i) for k in range(len(learned.memory)) for i in range(16))
    for kept, asked in zip(learned.memory, again.personalization.prompts, strict=True):
        assert kept.complete
        assert [kept.judged(i) for i in range(16)] == [asked.judged(i) for i in range(16)]
    if crossing == 1:
        assert learned.best.score == max(each.score for each in (*learned.memory, *learned.prompts) if each.complete)
    complete = [each for each in (*learned.prompts, *learned.memory) if each.complete]
    assert learned.best == learned.by_score(complete)[0]
    assert learned.by_score(reversed(learned.memory)) == learned.memory
    assert learned.initial.complete
    (why,) = await RetrievalOfPrompt(learned, Answerer(model, settings.answering), NEAR).explain(
        [Question("How much do you like dish number 40?", ("1", "2", "3", "4", "5"), ordinal=True)]
    )
    assert all(math.isfinite(each.score) for each in why.candidates)


async def test_an_eager_pool_is_scored_on_them_too() -> None:
    learned, *_ = await folded(retrieval=RetrievalSettings(pool="last", lazy=False))
    assert all(each.complete for each in learned.prompts)


@pytest.mark.parametrize("crossing", [1, 2])
async def test_learning_goes_on_after_folding_back(crossing: int) -> None:
    learned, _, settings = await folded(search=SearchSettings(crossing=crossing))
    answerer = Answerer(model := random_answers(), settings.answering)
    method = Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR)
    assert await method.extend(learned, rater(16), iterations=0) is learned
    extended = await method.extend(learned, rater(18), iterations=1)
    assert extended.evidence == learned.evidence  # nothing new was held out
    assert (len(extended.opinions), extended.held_out) == (18, ())
    assert extended.answering.calls == learned.answering.calls + len(model.completion_requests)
    assert all(each.complete for each in extended.memory)
    if crossing > 1:
        assert extended.folds[:16] == learned.folds


async def test_held_out_opinions_that_were_removed_leave_no_evidence() -> None:
    """Nothing was folded back here, so what judged is gone."""
    settings = gated()
    answerer = Answerer(random_answers(), settings.answering)
    method = Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR)
    learned = await method.fit(rater(16))
    extended = await method.extend(learned, User("rater-0", opinions=learned.opinions))
    assert (extended.evidence, extended.gate) == (None, "not gated: too few opinions")


async def test_a_run_that_is_halted_while_folding_back_goes_on() -> None:
    settings = gated(evidence=EvidenceSettings(0.25, fold_back=True))

    async def run(meter: Meter, pages: Pages) -> FermiPersonalization:
        answerer = Answerer(Metered(random_answers(), meter), settings.answering)
        method = Fermi(answerer, settings, optimizer=Metered(numbered_proposals(), meter), similarity=NEAR)
        return await method.fit(rater(12), checkpoints=pages)

    meter = Meter()
    whole = await run(meter, Pages())
    for stop_at in (meter.calls - 1, meter.calls - 3, meter.calls - 12):
        pages = Pages()
        try:
            halted = await run(Meter(stop_at), pages)
            assert not halted.finished
        except BudgetExceededError:
            raise AssertionError("all prompts were scored before") from None
        assert await run(Meter(), pages) == whole


async def test_nothing_is_folded_back_without_held_out_opinions() -> None:
    learned = replace(learned_with("1111"), settings=gated(evidence=EvidenceSettings(0.25, fold_back=True)))
    answerer = Answerer(random_answers(), learned.settings.answering)
    assert await with_evidence(learned, answerer, NEAR) is learned
