"""Hybrid prompts: the nearest answers stand behind each prompt, never the asked one, and fit into the limit."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import SettingsError
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.examples import neighbours_of_each
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings, SearchSettings
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.prompt import Prompt, render_prompt
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.scoring import Room, Scorer
from idiolect.methods.fermi.settings import FermiSettings, RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.methods.people import (
    SCALE,
    TableSimilarity,
    asked_question,
    numbered_proposals,
    paper,
    random_answers,
    rater,
    ratings,
    unscored,
)


def dish(text: str) -> int:
    return int(re.findall(r"dish number (\d+)", text)[-1])


# Dishes are nearer, the nearer their numbers are; of equally near ones, the smaller is nearer.
NEAR = TableSimilarity(lambda q, d: -abs(dish(q) - dish(d)) - dish(d) / 1000)


def examples(request: CompletionRequest) -> list[int]:
    """The dishes of the examples in a request, in order."""
    return [int(n) for n in re.findall(r"dish number (\d+)", request.messages[-1].content)][:-1]


def hybrid(**changes: object) -> FermiSettings:
    settings: dict[str, object] = {
        "iterations": 3,
        "scoring_share": 1.0,
        "hybrid": HybridSettings(4),
        "retrieval": RetrievalSettings(pool="last+memory", lazy=True),
    }
    return paper(**{**settings, **changes})


def fermi(settings: FermiSettings, model: FunctionModel | None = None) -> Fermi:
    answerer = Answerer(model or random_answers(), settings.answering)
    return Fermi(answerer, settings, optimizer=numbered_proposals(), similarity=NEAR)


async def test_the_nearest_others_stand_behind_a_prompt_nearest_last() -> None:
    opinions = ratings(6)
    behind = await neighbours_of_each(opinions, NEAR, k=3, with_choices=True)
    assert behind[0] == (3, 2, 1)
    assert behind[3] == (1, 4, 2)
    assert await neighbours_of_each(opinions, None, k=0, with_choices=True) == ((),) * 6
    assert {len(each) for each in await neighbours_of_each(opinions, NEAR, k=99, with_choices=True)} == {5}


async def test_another_answer_to_the_same_question_is_no_example() -> None:
    again = Opinion(Question("how much do you like DISH number 2", SCALE, ordinal=True), "1")
    similar = TableSimilarity(lambda q, d: -abs(dish(q.lower()) - dish(d.lower())))
    behind = await neighbours_of_each((*ratings(4), again), similar, k=4, with_choices=False)
    assert set(behind[2]) == set(behind[4]) == {0, 1, 3}


@pytest.mark.parametrize(
    "settings",
    [
        hybrid(),
        hybrid(proposers=("llm", "demonstrations")),
        hybrid(search=SearchSettings(crossing=2), evidence=EvidenceSettings(by="crossed"), pruning=True),
        hybrid(scoring_share=0.7, evidence=EvidenceSettings(0.3)),
    ],
)
async def test_no_run_shows_the_answer_to_what_it_asks(settings: FermiSettings) -> None:
    user = replace(rater(14), opinions=(*rater(14).opinions, *rater(3).opinions))
    model = random_answers()
    learned = await fermi(settings, model).fit(user)
    with_examples = [r for r in model.completion_requests if examples(r)]
    assert len(with_examples) > 50
    for request in model.completion_requests:
        assert dish(asked_question(request)) not in examples(request)
    held_out = {dish(each.question.text) for each in learned.held_out}
    for request in model.completion_requests:
        assert held_out.isdisjoint(examples(request))


async def test_the_first_prompt_is_few_shot() -> None:
    model = random_answers()
    await fermi(hybrid(), model).fit(rater(10))
    first = model.completion_requests[:10]
    assert examples(first[0]) == [4, 3, 2, 1]
    assert examples(first[5]) == [7, 3, 6, 4]


async def test_an_answer_has_the_nearest_examples_and_may_use_one_on_the_same_question() -> None:
    settings, model = hybrid(), random_answers()
    learned = await fermi(settings, model).fit(rater(10))
    retrieval = RetrievalOfPrompt(learned, Answerer(model, settings.answering), NEAR)
    again = Question("How much do you like dish number 4?", SCALE, ordinal=True)
    new = Question("How much do you like dish number 77?", SCALE, ordinal=True)
    await retrieval.answer([again, new])
    assert [examples(r) for r in model.completion_requests[-2:]] == [[2, 5, 3, 4], [6, 7, 8, 9]]


def test_the_limit_drops_the_farthest_and_keeps_the_text() -> None:
    opinions, settings = ratings(9), AnsweringSettings()
    prompt = Prompt("The text.", demonstrations=(7, 8))
    whole = render_prompt(prompt, opinions, settings, nearest=(3, 2, 1))
    each = (len(whole) - len("The text.")) // 5

    def shown(tokens: int, shuffled: random.Random | None = None) -> list[int]:
        text = render_prompt(prompt, opinions, settings, nearest=(3, 2, 1), max_tokens=tokens, shuffled=shuffled)
        assert text.startswith("The text.")
        assert len(text) <= max(4 * tokens, len("The text."))
        return [int(n) for n in re.findall(r"dish number (\d+)", text)]

    assert shown(len(whole) // 4 + 1) == [7, 8, 3, 2, 1]
    assert shown((len(whole) - 2 * each) // 4 + 1) == [3, 2, 1]
    assert shown((len(whole) - 4 * each) // 4 + 1) == [1]
    assert shown(1) == []
    for seed in range(9):  # another order shows the same examples
        assert sorted(shown((len(whole) - 3 * each) // 4 + 1, random.Random(seed))) == [1, 2]


async def test_a_limit_holds_for_every_prompt_of_a_run() -> None:
    settings, model = hybrid(hybrid=HybridSettings(8, max_prompt_tokens=70)), random_answers()
    learned = await fermi(settings, model).fit(rater(12))
    ensemble = replace(settings, ensemble=EnsembleSettings(prompts=2, orders=3))
    retrieval = RetrievalOfPrompt(
        replace(learned, settings=ensemble), Answerer(model, settings.answering), NEAR, leave_one_out=True
    )
    before = len(model.completion_requests)
    await retrieval.answer([Question("How much do you like dish number 40?", SCALE, ordinal=True)])
    for request in model.completion_requests:
        prompt = request.messages[-1].content.rsplit("Question: ", 1)[0].rstrip()
        assert len(prompt.encode()) <= 4 * 70
    orders = [examples(r) for r in model.completion_requests[before:] if asked_question(r).endswith("40?")]
    nearest = sorted(orders[0])
    assert nearest == list(range(12 - len(nearest), 12))  # the farthest were left out
    assert all(sorted(each) == nearest for each in orders)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("limit", [None, 60])
async def test_what_is_kept_is_what_asking_again_would_give(seed: int, limit: int | None) -> None:
    settings = hybrid(hybrid=HybridSettings(3, max_prompt_tokens=limit), proposers=("llm", "demonstrations"))
    learned = await fermi(settings).fit(rater(16))
    rng = random.Random(seed)
    opinions = [replace(o, answer=rng.choice(SCALE)) if rng.random() < 0.15 else o for o in rater(16).opinions]
    opinions = [o for o in opinions if rng.random() > 0.15] + list(ratings(22)[16 : 16 + rng.randrange(5)])
    model = random_answers()
    extended = await fermi(settings, model).extend(learned, User("rater-0", opinions=tuple(opinions)), iterations=0)
    behind = await neighbours_of_each(extended.opinions, NEAR, k=3, with_choices=True)
    scorer = Scorer(
        extended.opinions, Answerer(random_answers(), settings.answering), neighbours=behind, room=Room(limit)
    )
    for each in (extended.initial, *extended.memory):
        (again,) = await scorer.complete([unscored(scorer, each.prompt, each.born)])
        assert each == again


async def test_only_what_shows_a_changed_answer_is_asked_again() -> None:
    settings, model = hybrid(hybrid=HybridSettings(3)), random_answers()
    learned = await fermi(settings).fit(rater(16))
    *same, last = rater(16).opinions
    changed = User("rater-0", opinions=(*same, replace(last, answer="1" if last.answer != "1" else "2")))
    extended = await fermi(settings, model).extend(learned, changed, iterations=0)
    prompts = len({each.born for each in (extended.initial, *extended.memory)})
    behind = await neighbours_of_each(extended.opinions, NEAR, k=3, with_choices=True)
    assert len(model.completion_requests) == prompts * sum(15 in each for each in behind)
    assert all(15 in examples(request) for request in model.completion_requests)


async def test_other_hybrid_settings_keep_no_response() -> None:
    learned = await fermi(hybrid()).fit(rater(10))
    model = random_answers()
    other = hybrid(hybrid=HybridSettings(2))
    extended = await fermi(other, model).extend(learned, rater(11), iterations=0)
    assert len(model.completion_requests) >= len(extended.memory) * 11


def test_hybrid_prompts_need_a_similarity() -> None:
    settings = hybrid(retrieval=RetrievalSettings(retrieve=False))
    with pytest.raises(SettingsError, match="hybrid prompts need a similarity"):
        Fermi(Answerer(random_answers(), settings.answering), settings, optimizer=numbered_proposals())


async def test_a_limit_on_answers_leaves_scores_as_they_were_learned() -> None:
    settings = hybrid(hybrid=HybridSettings(8), ensemble=EnsembleSettings(prompts=2))
    learned = await fermi(settings).fit(rater(12))
    question = Question("How much do you like dish number 40?", SCALE, ordinal=True)

    async def asked(limit: int | None) -> tuple[list[str], list[str]]:
        model = random_answers()
        answerer = Answerer(model, settings.answering)
        await RetrievalOfPrompt(learned, answerer, NEAR, max_prompt_tokens=limit).answer([question])
        found: tuple[list[str], list[str]] = ([], [])
        for request in model.completion_requests:
            found[asked_question(request).endswith("40?")].append(request.messages[-1].content)
        return found

    scoring, answers = await asked(None)
    limited_scoring, limited_answers = await asked(70)
    assert scoring == limited_scoring
    assert scoring, "the pool is scored when a question is asked"
    assert len(answers) == len(limited_answers) == 2
    for whole, limited in zip(answers, limited_answers, strict=True):
        prompts = [content.rsplit("Question: ", 1)[0].rstrip().encode() for content in (whole, limited)]
        assert len(prompts[1]) <= 4 * 70 < len(prompts[0])
