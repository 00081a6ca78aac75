"""Do no harm: held-out opinions are never learned from, and decide whether the prompts or the base model answer."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.baselines import FixedPrompt
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.gate import leave_one_out, with_evidence
from idiolect.methods.fermi.gate import respondent as respondent_of
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings, RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Usage
from tests.methods.fermi.interrupting import GATED, planted
from tests.methods.people import (
    SCALE,
    TableSimilarity,
    asked_question,
    number,
    numbered_proposals,
    paper,
    random_answers,
    rater,
)
from tests.planted_world import AnsweringModel, TopicSimilarity, respondent

NEAR = TableSimilarity(lambda q, d: number(q + d) % 7)
SHARE = EvidenceSettings(0.2)
TIES_TO_BASE = EvidenceSettings(0.2, ties="base")  # then the base model is asked nothing more


def gated(**changes: object) -> FermiSettings:
    return paper(**{"iterations": 3, "scoring_share": 0.6, "evidence": SHARE, **changes})


async def learned_by(
    model: FunctionModel, settings: FermiSettings, user: User, optimizer: FunctionModel | None = None
) -> FermiPersonalization:
    answerer = Answerer(model, settings.answering)
    fermi = Fermi(answerer, settings, optimizer=optimizer or numbered_proposals(), similarity=NEAR)
    return await fermi.fit(user)


async def test_held_out_opinions_are_never_learned_from() -> None:
    """Opinions on one question several times are the trap: scoring one gives the other away."""
    user = rater(20)
    user = replace(user, opinions=(*user.opinions, *(replace(o, answer="3") for o in user.opinions[:6])))
    model, optimizer = random_answers(), numbered_proposals()
    settings = gated(proposers=("llm", "demonstrations"), evidence=TIES_TO_BASE)
    learned = await learned_by(model, settings, user, optimizer)
    assert len(learned.held_out) == 5
    held_out = {opinion.question.text for opinion in learned.held_out}
    assert held_out.isdisjoint(o.question.text for o in (*learned.opinions, *learned.examples))
    learning = learned.iterations[-1].answering.calls + 4 * len(learned.opinions)  # the pool is scored eagerly
    for request in (*optimizer.completion_requests, *model.completion_requests[:learning]):
        assert not [text for text in held_out if text in request.messages[0].content]
    judging = model.completion_requests[learning:]
    assert [asked_question(r) for r in judging] == 2 * [o.question.text for o in learned.held_out]
    assert all(r.messages[0].content.count(asked_question(r)) == 1 for r in judging)


async def test_the_cost_of_judging_is_counted() -> None:
    model = random_answers()
    for retrieval in (preset("paper").retrieval, RetrievalSettings(pool="last+memory", lazy=True)):
        settings = gated(retrieval=retrieval)
        before = len(model.completion_requests)
        learned = await learned_by(model, settings, rater(20))
        assert learned.answering.calls == len(model.completion_requests) - before
        assert learned.answering.calls > learned.iterations[-1].answering.calls


async def test_what_judging_scored_is_kept() -> None:
    settings = gated(retrieval=RetrievalSettings(pool="last", lazy=True))
    learned = await learned_by(random_answers(), settings, rater(20))
    assert any(cell is not None for scored in learned.prompts for cell in scored.cells)


async def test_in_the_planted_world_the_evidence_speaks_for_the_personalization() -> None:
    person = respondent(2)
    settings = replace(GATED, iterations=5)
    learned = await planted(settings).fit(person.user)
    evidence = learned.evidence
    assert evidence is not None
    assert (evidence.n, evidence.base) == (9, (0.0,) * 9)
    assert evidence.used
    assert learned.used
    assert learned.gate == evidence.reason
    assert FermiPersonalization.from_json(learned.to_json()) == learned


def worse_with_prompts(request: CompletionRequest) -> str:
    """Right without a prompt ("3" is what everybody said), wrong with one, but on dishes 0 to 9."""
    plain = request.messages[0].content.startswith("You are a respondent in a survey.")
    dish = int(asked_question(request).split()[-1].rstrip("?"))
    return "3" if plain or dish in (0, 1, 2) else "5"


async def test_a_personalization_that_harms_is_not_used() -> None:
    user = replace(rater(20), opinions=tuple(replace(o, answer="3") for o in rater(20).opinions))
    settings = gated(retrieval=RetrievalSettings(pool="last"))
    model = FunctionModel(complete=worse_with_prompts)
    learned = await learned_by(model, settings, user)
    assert learned.evidence is not None
    assert not learned.used
    assert learned.evidence.base == (1.0,) * 4
    assert learned.gate.endswith("the base model answers")
    answering = respondent_of(learned, Answerer(model, settings.answering), NEAR)
    assert isinstance(answering, FixedPrompt)
    (answer,) = await answering.answer([Question("How much do you like dish number 33?", SCALE, ordinal=True)])
    assert answer.response.answer == "3"
    assert model.completion_requests[-1].messages[0].content.startswith("You are a respondent in a survey.")


async def test_a_tie_everywhere_goes_to_the_base_model() -> None:
    model = FunctionModel(complete=lambda _: "3")
    same = await learned_by(model, gated(), rater(20))
    assert same.evidence is not None
    assert same.evidence.personalized == same.evidence.base
    assert same.evidence.learned_from is not None
    assert same.evidence.learned_from[0] == same.evidence.learned_from[1]
    assert not same.used
    by_base = await learned_by(FunctionModel(complete=lambda _: "3"), gated(evidence=TIES_TO_BASE), rater(20))
    assert by_base.evidence is not None
    assert by_base.evidence.learned_from is None
    assert not by_base.used
    assert by_base.answering.calls == same.answering.calls - len(same.opinions)


async def test_a_lead_within_the_margin_is_decided_where_it_was_learned_from() -> None:
    person = respondent(2).user
    wide = replace(GATED, evidence=EvidenceSettings(0.25, margin=0.99))
    learned = await planted(wide).fit(person)
    assert learned.evidence is not None
    assert learned.evidence.tied
    worth = list(leave_one_out(learned.memory, learned.opinions).values())
    assert len(worth) == len(learned.opinions)
    assert learned.evidence.learned_from == (math.fsum(worth) / len(worth), 0.0)
    assert learned.used
    assert FermiPersonalization.from_json(learned.to_json()) == learned
    to_base = replace(wide, evidence=replace(wide.evidence, ties="base"))
    assert not (await planted(to_base).fit(person)).used


def prompt_with(born: int, *scores: float | None, quotes: tuple[int, ...] = ()) -> ScoredPrompt:
    cells = tuple(None if score is None else ScoredAnswer(Response("a", "a"), score) for score in scores)
    return ScoredPrompt(Prompt(f"Text {born}", quotes=quotes), born, cells)


KNOWN_4 = rater(4).opinions


def test_leave_one_out_looks_at_no_opinion_to_choose_its_prompt() -> None:
    """Four prompts, each right on one opinion only: the best score is 1/4, but nothing was learned."""
    lucky = [prompt_with(born, *(float(i == born) for i in range(4))) for born in range(4)]
    assert leave_one_out(lucky, KNOWN_4) == dict.fromkeys(range(4), 0.0)
    right = prompt_with(4, 1.0, 1.0, 1.0, 0.0)
    assert leave_one_out([*lucky, right], KNOWN_4) == {0: 1.0, 1: 1.0, 2: 1.0, 3: 0.0}


def test_leave_one_out_takes_the_older_of_equals() -> None:
    prompts = [prompt_with(2, 0.0, 1.0, 0.0, 0.0), prompt_with(1, 1.0, 1.0, 0.0, 0.0)]
    for given in (prompts, prompts[::-1]):
        assert leave_one_out(given, KNOWN_4)[0] == 1.0
    assert leave_one_out([prompt_with(1, 0.5), prompt_with(0, 0.25)], KNOWN_4[:1]) == {0: 0.25}


def test_leave_one_out_leaves_out_what_no_prompt_may_answer() -> None:
    quoting = prompt_with(1, None, 1.0, 1.0, None, quotes=(0, 3))
    plain = prompt_with(0, None, 0.0, 0.0, 0.5, quotes=(0,))
    racing = prompt_with(2, 1.0, 1.0, 1.0, None)
    assert leave_one_out([plain, quoting, racing], KNOWN_4) == {1: 1.0, 2: 1.0, 3: 0.5}
    assert leave_one_out([racing], KNOWN_4) == {}


def test_leave_one_out_leaves_out_the_same_question_too() -> None:
    """The same question answered twice would choose its own prompt."""
    twice = (KNOWN_4[0], KNOWN_4[0], KNOWN_4[1])
    prompts = [prompt_with(0, 0.0, 0.0, 1.0), prompt_with(1, 1.0, 1.0, 0.0)]
    assert leave_one_out(prompts, twice) == {0: 0.0, 1: 0.0, 2: 0.0}


async def test_a_tie_asks_the_base_model_only_what_the_memory_answers() -> None:
    opinions = (KNOWN, Opinion(Question("Do you like snow?", ("yes", "no")), "no"))
    memory = (prompt_with(1, 1.0, None, quotes=(1,)),)
    learned = replace(
        with_pool("Likes rain."), opinions=opinions, memory=memory, prompts=memory, settings=gated(evidence=SHARE)
    )
    model = FunctionModel(complete=lambda _: "no")
    judged = await with_evidence(learned, Answerer(model, learned.settings.answering), NEAR)
    assert judged.evidence is not None
    assert judged.evidence.learned_from == (1.0, 0.0)
    assert judged.used
    asked = [request.messages[0].content for request in model.completion_requests]
    assert len([text for text in asked if "Do you like rain?" in text]) == 1
    assert not [text for text in asked if "Do you like snow?" in text]
    nothing = replace(learned, memory=(prompt_with(1, None, None, quotes=(0, 1)),))
    judged = await with_evidence(nothing, Answerer(model, learned.settings.answering), NEAR)
    assert judged.evidence is not None
    assert (judged.evidence.learned_from, judged.used) == (None, False)


async def test_without_a_gate_the_prompts_answer() -> None:
    settings = paper(iterations=1)
    learned = await learned_by(random_answers(), settings, rater(5))
    assert (learned.used, learned.gate, learned.held_out, learned.evidence) == (True, "", (), None)
    answering = respondent_of(learned, Answerer(random_answers(), settings.answering), NEAR)
    assert isinstance(answering, RetrievalOfPrompt)


@pytest.mark.parametrize("n", [1, 2])
async def test_with_too_few_opinions_it_is_said_that_nothing_judged(n: int) -> None:
    learned = await learned_by(random_answers(), gated(), rater(n))
    assert (learned.used, learned.finished, learned.held_out, learned.evidence) == (True, True, (), None)
    assert learned.gate == "not gated: too few opinions"


def test_a_gate_that_cannot_answer_is_refused_before_anything_is_paid() -> None:
    answerer = Answerer(random_answers(), preset("paper").answering)
    with pytest.raises(SettingsError, match="evidence needs a similarity"):
        Fermi(answerer, gated(), optimizer=numbered_proposals())
    ordered = RetrievalSettings(retrieve=False, demonstration_order="nearest_last")
    with pytest.raises(SettingsError, match="evidence needs a similarity"):
        Fermi(answerer, gated(retrieval=ordered), optimizer=numbered_proposals())
    Fermi(answerer, gated(retrieval=RetrievalSettings(retrieve=False)), optimizer=numbered_proposals())


async def test_without_retrieval_the_gate_needs_no_similarity() -> None:
    settings = gated(retrieval=RetrievalSettings(retrieve=False))
    answerer = Answerer(random_answers(), settings.answering)
    learned = await Fermi(answerer, settings, optimizer=numbered_proposals()).fit(rater(20))
    assert learned.evidence is not None
    assert learned.evidence.n == 4


HELD_OUT = Opinion(Question("Do you like swimming in lakes?", ("yes", "no")), "no")
SHORT = Opinion(Question("Coffee?", ("black", "white")), "white")
KNOWN = Opinion(Question("Do you like rain?", ("yes", "no")), "yes")


def with_pool(*texts: str, held_out: Opinion = HELD_OUT) -> FermiPersonalization:
    """Prompts of which the first is the best one on what is known."""
    first = ScoredPrompt(Prompt("Start"), 0, (None,))
    pool = tuple(ScoredPrompt(Prompt(text), born + 1, (None,)) for born, text in enumerate(texts))
    settings = gated(retrieval=RetrievalSettings(neighbours=1), evidence=TIES_TO_BASE)
    return FermiPersonalization(
        "ann", "m", None, settings, (KNOWN,), (), first, pool, pool, (), Usage(), Usage(), held_out=(held_out,)
    )


async def asked_under(learned: FermiPersonalization) -> str:
    """The prompt that the held-out opinion is answered under, where the first of the pool does best."""
    first = learned.prompts[0].prompt.text
    model = FunctionModel(complete=lambda r: "yes" if r.messages[0].content.startswith(first) else "no")
    judged = await with_evidence(learned, Answerer(model, learned.settings.answering), NEAR)
    assert judged.evidence is not None
    return model.completion_requests[-1].messages[0].content.split("\n\nQuestion")[0]


async def test_a_text_that_gives_a_held_out_opinion_away_is_not_judged_on_it() -> None:
    telling = "Asked 'do you like swimming in lakes', they said no."
    assert await asked_under(with_pool("Likes rain.", "Another.")) == "Likes rain."
    assert await asked_under(with_pool(telling, "Another.")) == "Another."
    assert await asked_under(with_pool(telling)) == "Start"
    assert await asked_under(with_pool("Coffee? White.", "Another.", held_out=SHORT)) == "Another."
    assert await asked_under(with_pool("Coffee lovers.", "Another.", held_out=SHORT)) == "Coffee lovers."


async def test_a_telling_text_still_answers_where_nothing_is_judged() -> None:
    learned = with_pool("Asked 'do you like swimming in lakes', they said no.")
    model = FunctionModel(complete=lambda _: "no")
    answerer = Answerer(model, learned.settings.answering)
    await RetrievalOfPrompt(learned, answerer, NEAR).answer([HELD_OUT.question])
    assert model.completion_requests[-1].messages[0].content.startswith("Asked")


async def test_the_planted_person_is_answered_by_what_the_evidence_chose() -> None:
    person = respondent(2)
    settings = replace(GATED, iterations=5)
    learned = await planted(settings).fit(person.user)
    answering = respondent_of(learned, Answerer(AnsweringModel(), settings.answering), TopicSimilarity())
    answers = await answering.answer([o.question for o in person.test])
    right = sum(a.response.answer == o.answer for a, o in zip(answers, person.test, strict=True))
    assert right >= 0.5 * len(person.test)  # the base model has none right
