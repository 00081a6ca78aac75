"""Going on from what was learned: only what is new is asked, and what is kept is what asking again would give."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import BudgetExceededError, PersonalizationError, SettingsError
from idiolect.methods.answering import Answerer
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.continual import regrouped
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt, quoted_opinions
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.scoring import Scorer
from idiolect.methods.fermi.settings import FermiSettings, RetrievalSettings
from idiolect.methods.personalization import Progress
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.methods.fermi.interrupting import BOTH, GATED, Meter, Pages, planted
from tests.methods.people import SCALE, TableSimilarity, number, paper, random_answers, rater, ratings, unscored
from tests.planted_world import AnsweringModel, TopicSimilarity, question, respondent

NEAR = TableSimilarity(lambda q, d: number(q + d) % 7)
MIXED = paper(iterations=3, proposers=("llm", "demonstrations"), scoring_share=0.8)


def quoting(user: User) -> FunctionModel:
    """An optimizer whose texts now and then quote an opinion of the user's."""

    def propose(request: CompletionRequest) -> str:
        seed = request.sampling.seed
        told = user.opinions[seed % 40].question.text if seed % 40 < len(user.opinions) else "Nothing special."
        return f"[They were asked: {told} {seed}]"

    return FunctionModel("optimizer", complete=propose)


def fermi(settings: FermiSettings, model: FunctionModel | None = None, about: User | None = None) -> Fermi:
    answerer = Answerer(model or random_answers(), settings.answering)
    return Fermi(answerer, settings, optimizer=quoting(about or rater(30)), similarity=NEAR)


def randomly_changed(user: User, seed: int) -> User:
    """Some opinions answered otherwise, some gone, some new, in another order."""
    rng = random.Random(seed)
    opinions = [replace(o, answer=rng.choice(SCALE)) if rng.random() < 0.2 else o for o in user.opinions]
    opinions = [o for o in opinions if rng.random() > 0.15]
    opinions += ratings(30)[20 : 20 + rng.randrange(4)]
    rng.shuffle(opinions)
    return replace(user, opinions=tuple(opinions))


async def literally(learned: FermiPersonalization, scored: ScoredPrompt) -> ScoredPrompt:
    """The prompt scored from nothing on the opinions as they are."""
    first = learned.initial.prompt.text
    quotes = () if scored.prompt.text == first else quoted_opinions(scored.prompt.text, learned.opinions)
    assert scored.prompt.quotes == quotes
    scorer = Scorer(learned.opinions, Answerer(random_answers(), learned.settings.answering))
    return (await scorer.complete([unscored(scorer, scored.prompt, scored.born)]))[0]


@pytest.mark.parametrize("seed", range(12))
async def test_kept_scores_are_those_of_literal_scoring(seed: int) -> None:
    learned = await fermi(MIXED).fit(rater(20))
    assert any(p.prompt.quotes for p in (*learned.memory, *learned.prompts))
    assert any(p.prompt.demonstrations for p in (*learned.memory, *learned.prompts))
    user = randomly_changed(rater(20), seed)
    extended = await fermi(MIXED).extend(learned, user, iterations=seed % 2)
    assert sorted((*extended.opinions, *extended.examples), key=repr) == sorted(user.opinions, key=repr)
    for scored in (extended.initial, *extended.memory):
        assert scored == await literally(extended, scored)
    for scored in extended.prompts:
        whole = await literally(extended, scored)
        pairs = zip(scored.cells, whole.cells, strict=True)
        assert all(cell == literal for cell, literal in pairs if cell is not None)
    scores = [(-entry.score, entry.born) for entry in extended.memory]
    assert scores == sorted(scores)
    assert FermiPersonalization.from_json(extended.to_json()) == extended


async def test_one_more_opinion_costs_one_call_a_prompt_of_the_memory() -> None:
    user = rater(20)
    settings = replace(MIXED, retrieval=RetrievalSettings(pool="last+memory"))
    model = random_answers()
    learned = await fermi(settings, model).fit(user)
    before = len(model.completion_requests)
    more = replace(user, opinions=rater(21).opinions)
    extended = await fermi(settings, model).extend(learned, more, iterations=0)
    asked = model.completion_requests[before:]
    assert len(asked) == len({learned.initial.born, *(entry.born for entry in learned.memory)}) <= 6
    assert all(rater(21).opinions[20].question.text in request.messages[0].content for request in asked)
    assert extended.opinions == (*learned.opinions, more.opinions[20])
    assert extended.answering.calls == learned.answering.calls + len(asked)
    assert extended.optimizing == learned.optimizing
    assert extended.iterations == learned.iterations
    assert [p.prompt for p in extended.prompts][5:] == [p.prompt for p in learned.prompts][5:]
    assert {p.born for p in extended.memory} == {p.born for p in learned.memory}


async def test_a_changed_answer_is_judged_without_a_call_where_nothing_shows_it() -> None:
    user, model = rater(20), random_answers()
    settings = paper(iterations=2, retrieval=RetrievalSettings(pool="memory"), quoted="score")
    learned = await fermi(settings, model).fit(user)
    known = learned.opinions[3]
    other = next(choice for choice in SCALE if choice != known.answer)
    changed = replace(user, opinions=tuple(replace(o, answer=other) if o == known else o for o in user.opinions))
    before = len(model.completion_requests)
    extended = await fermi(settings, model).extend(learned, changed, iterations=0)
    assert len(model.completion_requests) == before
    assert extended.answering == learned.answering
    assert extended.opinions[3].answer == other
    cells = {scored.born: scored.cells[3] for scored in learned.memory}
    for scored in extended.memory:
        then, now = cells[scored.born], scored.cells[3]
        assert then is not None
        assert now is not None
        assert (now.response, now.score == then.score) == (then.response, False)


async def test_prompts_that_show_a_changed_opinion_are_asked_anew() -> None:
    user, model = rater(10), random_answers()
    settings = paper(iterations=3, proposers=("demonstrations",), retrieval=RetrievalSettings(pool="memory"))
    learned = await fermi(settings, model).fit(user)
    shown = next(p.prompt for p in learned.memory if p.prompt.demonstrations).demonstrations[0]
    changed = tuple(replace(o, answer="3" if o.answer != "3" else "4") if o == learned.opinions[shown] else o
                    for o in user.opinions)  # fmt: skip
    before = len(model.completion_requests)
    extended = await fermi(settings, model).extend(learned, replace(user, opinions=changed), iterations=0)
    showing = [p for p in learned.memory if shown in p.prompt.demonstrations]
    assert showing
    # All but the opinion itself, which such a prompt is asked without.
    assert len(model.completion_requests) - before == len(showing) * (len(learned.opinions) - 1)
    assert len(extended.memory) == len(learned.memory)


async def test_what_a_text_gives_away_is_looked_at_anew() -> None:
    """Of a short question the answer has to be quoted as well: a changed answer opens one cell and closes another."""
    tea, milk = Question("Tea?", ("green", "black")), Question("Milk?", ("much", "none"))
    user = User("ann", opinions=(Opinion(tea, "green"), Opinion(milk, "none"), *ratings(4)))
    telling = FunctionModel("optimizer", complete=lambda r: f"[Tea: green. Milk: much. Number {r.sampling.seed}]")
    settings = paper(iterations=2, scoring_share=1.0)
    learning = Fermi(Answerer(random_answers(), settings.answering), settings, optimizer=telling)
    learned = await learning.fit(user)
    now = replace(user, opinions=(Opinion(tea, "black"), Opinion(milk, "much"), *ratings(4)))
    extended = await learning.extend(learned, now, iterations=0)
    for then, scored in ((learned, (0,)), (extended, (1,))):
        texts = [p for p in then.memory if p.prompt.origin == "llm"]
        assert texts
        assert [p.prompt.quotes for p in texts] == [scored] * len(texts)
        assert [[i for i, cell in enumerate(p.cells) if cell is None] for p in texts] == [list(scored)] * len(texts)


async def test_a_removed_opinion_takes_its_cells_and_examples_along() -> None:
    user = rater(10)
    settings = replace(MIXED, retrieval=RetrievalSettings(pool="last+memory"))
    learned = await fermi(settings).fit(user)
    gone = learned.opinions[2]
    left = replace(user, opinions=tuple(o for o in user.opinions if o != gone))
    extended = await fermi(settings).extend(learned, left, iterations=0)
    assert extended.opinions == tuple(o for o in learned.opinions if o != gone)
    assert extended.examples == learned.examples
    before = {scored.born: scored for scored in (*learned.prompts, *learned.memory)}
    for scored in (*extended.prompts, *extended.memory):
        was = before[scored.born].prompt
        shown = [learned.opinions[i] for i in was.demonstrations]
        assert [extended.opinions[i] for i in scored.prompt.demonstrations] == [o for o in shown if o != gone]
        drove = [learned.opinions[f.index] for f in was.driven_by]
        assert [extended.opinions[f.index] for f in scored.prompt.driven_by] == [o for o in drove if o != gone]


async def test_prompts_that_a_removed_example_makes_equal_are_one() -> None:
    opinions = ratings(4)
    learned = await fermi(paper(iterations=1, scoring_share=1.0)).fit(User("ann", opinions=opinions))
    cells = learned.initial.cells
    pool = tuple(ScoredPrompt(Prompt("A", shown), born + 1, cells) for born, shown in enumerate([(1, 2), (1,), (2,)]))
    user = User("ann", opinions=(*opinions[:2], opinions[3]))
    extended = await fermi(learned.settings).extend(replace(learned, memory=pool, prompts=pool), user, iterations=0)
    assert sorted((p.born, p.prompt.demonstrations) for p in extended.memory) == [(1, (1,)), (3, ())]


async def test_nothing_changed_and_nothing_asked_for_is_the_same_value() -> None:
    user, model = rater(8), random_answers()
    learned = await fermi(MIXED, model).fit(user)
    before = len(model.completion_requests)
    shuffled = replace(user, opinions=tuple(replace(o, extra={"seen": 1}) for o in reversed(user.opinions)))
    assert await fermi(MIXED, model).extend(learned, shuffled, iterations=0) is learned
    assert len(model.completion_requests) == before


async def test_iterations_go_on_from_where_they_were() -> None:
    user = rater(10)
    optimizer = quoting(rater(30))
    answerer = Answerer(random_answers(), MIXED.answering)
    learning = Fermi(answerer, replace(MIXED, proposers=("llm",)), optimizer=optimizer)
    learned = await learning.fit(user)
    told: list[Progress] = []
    extended = await learning.extend(learned, rater(11), iterations=2, observer=told.append)
    seeds = [request.sampling.seed for request in optimizer.completion_requests]
    assert len(set(seeds)) == len(seeds) == 5 * 4
    assert len(extended.iterations) == 5
    assert extended.iterations[:3] == learned.iterations
    assert [i.scored for i in extended.iterations[3:]] == [i.proposed for i in extended.iterations[3:]] == [4, 4]
    borns = [p.born for p in (*learned.memory, *learned.prompts)]
    assert max(borns) < min(p.born for p in extended.prompts)
    assert [(p.stage, p.done, p.total) for p in told] == [
        ("scoring the memory on new opinions", 0, 2),
        ("proposing prompts", 0, 2),
        ("scoring 4 prompts", 0, 2),
        ("proposing prompts", 1, 2),
        ("scoring 4 prompts", 1, 2),
        ("scoring the pool", 2, 2),
        ("learned", 2, 2),
    ]


async def test_known_texts_are_not_proposed_again() -> None:
    same = FunctionModel(complete=lambda r: f"[The same text number {r.draw % 4}]")
    settings = paper(iterations=2)
    learning = Fermi(Answerer(random_answers(), settings.answering), settings, optimizer=same)
    learned = await learning.fit(rater(10))
    extended = await learning.extend(learned, rater(11), iterations=1)
    assert extended.iterations[-1].rejected == {"seen before": 12}
    assert extended.prompts == extended.memory


@pytest.mark.parametrize("pool", ["last", "last+memory", "memory"])
async def test_no_prompt_stands_in_the_pool_twice(pool: str) -> None:
    settings = replace(MIXED, retrieval=RetrievalSettings(pool=pool))  # type: ignore[arg-type]
    learned = await fermi(settings).fit(rater(10))
    for iterations in (0, 2, 0):
        user = replace(rater(10), opinions=(*rater(10).opinions, *ratings(30)[20 : 21 + iterations]))
        learned = await fermi(settings).extend(learned, user, iterations=iterations)
        borns = [p.born for p in learned.prompts]
        assert len(set(borns)) == len(borns)
        kept = {p.born for p in learned.memory}
        assert (pool == "last") or kept <= set(borns)
        assert all(p in learned.memory for p in learned.prompts if p.born in kept)


async def asked(learned: FermiPersonalization, opinions: Sequence[Opinion]) -> float:
    answerer = Answerer(AnsweringModel(), learned.settings.answering)
    answers = await RetrievalOfPrompt(learned, answerer, TopicSimilarity()).answer([o.question for o in opinions])
    return sum(a.response.answer == o.answer for a, o in zip(answers, opinions, strict=True)) / len(opinions)


@pytest.mark.parametrize("seed", range(4))
async def test_a_changed_preference_is_learned_without_starting_anew(seed: int) -> None:
    person = respondent(seed)
    settings = replace(BOTH, iterations=6)
    learned = await planted(settings).fit(person.user)
    now = "zinc" if person.preferences["tea"] != "zinc" else "amber"
    opinions = [replace(o, answer=now) if "tea" in o.question.text else o for o in person.user.opinions]
    user = replace(person.user, opinions=(*opinions, *(Opinion(question("tea", case), now) for case in (7, 8))))
    new = [Opinion(question("tea", case), now) for case in (20, 21)]
    assert await asked(learned, new) == 0.0
    before, meter = await asked(learned, person.test), Meter()
    extended = await planted(settings, meter).extend(learned, user, iterations=3)
    assert await asked(extended, new) == 1.0
    others = [o for o in person.test if "tea" not in o.question.text]
    assert await asked(extended, others) >= before - 0.1
    scratch = Meter()
    await planted(settings, scratch).fit(user)
    assert meter.calls < scratch.calls


@pytest.mark.parametrize("settings", [BOTH, GATED], ids=["both proposers", "gated"])
async def test_an_extension_that_stops_at_any_call_ends_the_same(settings: FermiSettings) -> None:
    person = respondent(1, train_cases=1).user
    learned = await planted(settings).fit(person)
    user = replace(person, opinions=(*person.opinions[1:], Opinion(question("tea", 7), "zinc")))
    whole, pages = Meter(), Pages()
    undisturbed = (await planted(settings, whole).extend(learned, user, iterations=2, checkpoints=pages)).to_json()
    for page in pages.pages:
        again = await planted(settings).extend(learned, user, iterations=2, checkpoints=Pages(page))
        assert again.to_json() == undisturbed
    stopped_early = 0
    for stop_at in range(whole.calls):
        kept = Pages()
        try:
            partial = await planted(settings, Meter(stop_at)).extend(learned, user, iterations=2, checkpoints=kept)
        except BudgetExceededError:
            stopped_early += 1
            assert kept.pages == []
        else:
            assert (partial.finished, partial.evidence, partial.prompts) == (False, None, partial.memory)
            assert all(entry.complete for entry in partial.memory)
        again = await planted(settings).extend(learned, user, iterations=2, checkpoints=kept)
        assert again.to_json() == undisturbed
    assert 0 < stopped_early < whole.calls


async def test_another_extension_does_not_go_on_from_the_checkpoint_of_this_one() -> None:
    person = respondent(1, train_cases=1).user
    learned = await planted(BOTH).fit(person)
    user = replace(person, opinions=(*person.opinions, Opinion(question("tea", 7), "zinc")))
    pages = Pages()
    await planted(BOTH).extend(learned, user, iterations=1, checkpoints=pages)
    for page in pages.pages:
        both = [
            await planted(BOTH).extend(learned, user, iterations=2, checkpoints=sink) for sink in (Pages(page), None)
        ]
        assert both[0].to_json() == both[1].to_json()
        fitted = [await planted(BOTH).fit(user, checkpoints=sink) for sink in (Pages(page), None)]
        assert fitted[0].to_json() == fitted[1].to_json()


async def test_a_stopped_personalization_can_be_extended() -> None:
    person = respondent(1, train_cases=1).user
    partial = await planted(BOTH, Meter(30)).fit(person)
    assert not partial.finished
    user = replace(person, opinions=(*person.opinions, Opinion(question("tea", 7), "zinc")))
    assert len(partial.iterations) < BOTH.iterations
    for iterations in (0, 1):
        extended = await planted(BOTH).extend(partial, user, iterations=iterations)
        assert extended.finished
        assert len(extended.iterations) == BOTH.iterations + iterations, "what was left to do is missing"
    again = await planted(BOTH).extend(partial, person, iterations=0)
    assert (again.finished, len(again.iterations)) == (True, BOTH.iterations)


async def test_of_a_stopped_extension_only_the_evidence_may_be_missing() -> None:
    """More iterations than the settings say are no reason to take some back."""
    person = respondent(2).user
    learned = await planted(GATED).fit(person)
    user = replace(person, opinions=(*person.opinions, Opinion(question("tea", 7), "zinc")))
    whole = Meter()
    await planted(GATED, whole).extend(learned, user, iterations=1)
    partial = await planted(GATED, Meter(whole.calls - 1)).extend(learned, user, iterations=1)
    assert (partial.finished, len(partial.iterations)) == (False, GATED.iterations + 1)
    extended = await planted(GATED).extend(partial, user, iterations=0)
    assert (extended.finished, len(extended.iterations)) == (True, GATED.iterations + 1)
    assert extended.evidence is not None


async def test_evidence_is_gathered_again() -> None:
    person = respondent(2).user
    learned = await planted(GATED).fit(person)
    assert learned.evidence is not None
    first = learned.held_out[0]
    opinions = tuple(replace(o, answer="none") if o == first else o for o in person.opinions)
    extended = await planted(GATED).extend(learned, replace(person, opinions=opinions), iterations=0)
    assert extended.evidence is not None
    assert extended.held_out == (replace(first, answer="none"), *learned.held_out[1:])
    assert extended.evidence.base == (1.0, *learned.evidence.base[1:])  # the base model always says "none"
    assert extended.opinions == learned.opinions
    assert extended.answering.calls > learned.answering.calls


GATE = replace(MIXED, scoring_share=0.6, evidence=EvidenceSettings(0.2))


async def test_a_new_opinion_on_a_held_out_question_is_held_out() -> None:
    user = rater(20)
    learned = await fermi(GATE).fit(user)
    text = learned.held_out[0].question.text.upper()
    again = Opinion(Question(text, SCALE[:3], ordinal=True), "2")
    new = Opinion(Question("Something else altogether?", SCALE), "2")
    roles = regrouped(learned, replace(user, opinions=(again, new, *user.opinions))).roles
    assert roles.held_out == (*learned.held_out, again)
    assert roles.scoring == (*learned.opinions, new)
    assert roles.examples == learned.examples


async def test_everyone_keeps_their_role() -> None:
    user = rater(20)
    learned = await fermi(GATE).fit(user)
    gone = {learned.opinions[0], learned.examples[0], learned.held_out[0]}
    left = replace(user, opinions=tuple(o for o in reversed(user.opinions) if o not in gone))
    groups = regrouped(learned, left)
    assert groups.changed
    assert groups.roles.scoring == learned.opinions[1:]
    assert groups.roles.examples == learned.examples[1:]
    assert groups.roles.held_out == learned.held_out[1:]
    assert groups.places == tuple(range(1, len(learned.opinions)))


async def test_a_question_that_was_asked_twice_is_matched_by_its_answers_first() -> None:
    tea = Question("Tea, or rather coffee?", SCALE, ordinal=True)
    user = User("ann", opinions=(Opinion(tea, "1"), Opinion(tea, "2")))
    learned = await fermi(paper(iterations=1, scoring_share=1.0)).fit(user)
    groups = regrouped(learned, replace(user, opinions=(Opinion(tea, "5"), Opinion(tea, "1"))))
    assert [o.answer for o in groups.roles.scoring] == ["1", "5"]
    assert groups.places == (0, 1)
    assert not regrouped(learned, replace(user, opinions=user.opinions[::-1])).changed
    other = replace(user, opinions=(Opinion(replace(tea, choices=SCALE[:3]), "1"), Opinion(tea, "2")))
    assert regrouped(learned, other).places == (1, None)


async def test_what_makes_no_sense_is_refused() -> None:
    learned = await fermi(MIXED).fit(rater(5))
    with pytest.raises(ValueError, match="learned for user 'rater-0', not for 'rater-1'"):
        await fermi(MIXED).extend(learned, rater(5, seed=1))
    with pytest.raises(ValueError, match="iterations is -1"):
        await fermi(MIXED).extend(learned, rater(5), iterations=-1)
    with pytest.raises(SettingsError, match="other answering settings"):
        await fermi(replace(MIXED, answering=replace(MIXED.answering, max_tokens=3))).extend(learned, rater(6))
    strangers = replace(rater(5), opinions=learned.examples)
    with pytest.raises(PersonalizationError, match="'rater-0' has no opinion left"):
        await fermi(MIXED).extend(learned, strangers)


async def test_of_many_opinions_a_new_one_is_learned_from_and_the_rest_stays_left_out() -> None:
    settings = paper(iterations=1, max_opinions=12, retrieval=RetrievalSettings(pool="memory"), quoted="score")
    user, model = rater(60), random_answers()
    learned = await fermi(settings, model).fit(user)
    assert len(learned.opinions) + len(learned.examples) == 12
    before = len(model.completion_requests)
    more = replace(user, opinions=rater(61).opinions)
    extended = await fermi(settings, model).extend(learned, more, iterations=0)
    assert more.opinions[60] in extended.opinions
    assert len(extended.opinions) + len(extended.examples) == 12
    asked = {request.messages[0].content for request in model.completion_requests[before:]}
    assert len(asked) <= 3 * (1 + len(learned.memory)), "more was asked than the opinions that changed"
    assert await fermi(settings, model).extend(extended, more, iterations=0) is extended
