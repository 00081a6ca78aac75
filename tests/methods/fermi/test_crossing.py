"""Crossing: no optimizer sees, in any way, an opinion that its prompt is scored on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect import Opinion, Question, User
from idiolect.errors import BudgetExceededError, ContextLengthError
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.checkpoint import State, _adapter
from idiolect.methods.fermi.crossing import (
    crossed_memory,
    folds_of,
    number_of_folds,
    on_its_fold,
    outside,
    size_of_fold,
)
from idiolect.methods.fermi.estimates import overall_advantage
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings, SearchSettings
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.settings import FermiSettings, MetaPromptSettings, RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest
from tests.methods.fermi.interrupting import Meter, Metered, Pages
from tests.methods.people import (
    SCALE,
    TableSimilarity,
    number,
    numbered_proposals,
    paper,
    rater,
    ratings,
    steady,
)

NEAR = TableSimilarity(lambda q, d: number(q + d) % 7)
_DISH = re.compile(r"dish number (\d+)|knows-(\d+)")


def dishes(text: str) -> frozenset[int]:
    """The dishes that a text names in words, or in the code of the memorizing optimizer."""
    return frozenset(int(one or other) for one, other in _DISH.findall(text))


def memorizing() -> FunctionModel:
    """An optimizer that writes every dish that it can read anywhere into its text, in words that quote no question."""

    def write(request: CompletionRequest) -> str:
        known = " ".join(f"knows-{n}" for n in sorted(dishes(request.messages[0].content)))
        return f"[Text {request.sampling.seed} of a person: {known}]"

    return FunctionModel("memorizing", complete=write)


def echoing() -> FunctionModel:
    """A model whose answers repeat all that stands in its prompt, as one that explains itself does."""

    def answer(request: CompletionRequest) -> str:
        content = request.messages[-1].content
        named = " ".join(f"knows-{n}" for n in sorted(dishes(content)))
        return f"{SCALE[number(content) % 5]}\n\n{named}"

    return FunctionModel("echoing", complete=answer)


def crossed(**changes: object) -> FermiSettings:
    return paper(
        **{
            "iterations": 4,
            "scoring_share": 1.0,
            "pruning": True,
            "search": SearchSettings(crossing=2),
            "retrieval": RetrievalSettings(pool="memory"),
            **changes,
        }
    )


DIAGNOSIS = MetaPromptSettings(form="diagnosis", kinds=("dispositions", "scale"), max_failures=8)
VARIANTS = {
    "plain": crossed(),
    "three folds": crossed(search=SearchSettings(crossing=3), proposals=5),
    "pareto": crossed(search=SearchSettings(crossing=2, parents="pareto")),
    "both proposers": crossed(proposers=("llm", "demonstrations"), search=SearchSettings(crossing=2)),
    "symmetric": crossed(meta_prompt=MetaPromptSettings(failures="symmetric")),
    "diagnosis": crossed(meta_prompt=DIAGNOSIS, search=SearchSettings(crossing=2, parents="pareto")),
    "hybrid": crossed(meta_prompt=DIAGNOSIS, hybrid=HybridSettings(6), search=SearchSettings(crossing=2)),
    "hybrid, paper": crossed(
        hybrid=HybridSettings(4, max_prompt_tokens=60), proposers=("demonstrations", "llm"), proposals=5
    ),
    "fixed examples, held out": crossed(scoring_share=0.6, evidence=EvidenceSettings(0.2)),
    "crossed gate": crossed(
        evidence=EvidenceSettings(by="crossed"), hybrid=HybridSettings(4), ensemble=EnsembleSettings(prompts=3)
    ),
}


def prompts_of(pages: Pages) -> list[ScoredPrompt]:
    """All prompts of all states of a run."""
    found: dict[int, ScoredPrompt] = {}
    for page in pages.pages:
        state: State = _adapter().validate_python(json.loads(page)["state"])
        for each in (*state.memory, *state.new, *state.pool):
            if each.prompt.origin != "initial":
                found[each.born] = each
    return list(found.values())


def is_unseen(prompts: Iterable[ScoredPrompt], opinions: Sequence[Opinion]) -> int:
    """Assert that no prompt is scored on an opinion that its text names; return the number of scored cells."""
    n = 0
    for each in prompts:
        named = dishes(each.prompt.text)
        for index in each.scoreable:
            assert dishes(opinions[index].question.text).isdisjoint(named), (each.born, index)
            n += each.cells[index] is not None
    return n


def fermi(settings: FermiSettings, model: FunctionModel | None = None, optimizer: FunctionModel | None = None) -> Fermi:
    answerer = Answerer(model or echoing(), settings.answering)
    return Fermi(answerer, settings, optimizer=optimizer or memorizing(), similarity=NEAR)


@pytest.mark.parametrize("name", VARIANTS)
async def test_no_optimizer_sees_an_opinion_that_its_prompt_is_scored_on(name: str) -> None:
    settings, optimizer, pages = VARIANTS[name], memorizing(), Pages()
    learned = await fermi(settings, optimizer=optimizer).fit(rater(20), checkpoints=pages)
    prompts = prompts_of(pages)
    written = [each for each in prompts if each.prompt.origin == "llm"]
    assert len(written) >= 6
    assert any(dishes(each.prompt.text) for each in written)
    assert is_unseen(prompts, learned.opinions) > 50
    by_seed = {re.search(r"Text (\d+)", each.prompt.text)[1]: each for each in written}  # type: ignore[index]
    for request in optimizer.completion_requests:
        if each := by_seed.get(str(request.sampling.seed)):
            shown = dishes(request.messages[0].content)
            own = {i for i, fold in enumerate(learned.folds) if fold == each.prompt.fold}
            assert not [i for i in own if dishes(learned.opinions[i].question.text) & shown]
            assert own == set(each.scoreable)


async def test_redraws_see_no_more() -> None:
    """Only the last draws are accepted: those before are answered without brackets."""

    def write(request: CompletionRequest) -> str:
        text = memorizing()._complete(request)  # type: ignore[misc]
        return str(text) if request.draw >= 8 else "No text."

    settings, optimizer, pages = crossed(proposals=3), FunctionModel("late", complete=write), Pages()
    learned = await fermi(settings, optimizer=optimizer).fit(rater(15), checkpoints=pages)
    assert is_unseen(prompts_of(pages), learned.opinions) > 10


async def test_a_redraw_is_told_what_its_parent_gets_wrong() -> None:
    """A parent of a redraw was not asked what its optimizer saw; a meta-prompt that names no failure would be wrong."""

    def write(request: CompletionRequest) -> str:
        accepted = request.draw >= 2 or not request.messages[0].content.count("Text")
        return f"[Text {request.sampling.seed}]" if accepted else "No text."

    optimizer = FunctionModel("redrawn", complete=write)
    settings = crossed(
        proposals=2,
        iterations=8,
        memory_size=12,
        meta_prompt=DIAGNOSIS,
        search=SearchSettings(crossing=2, parents="pareto"),
    )
    wrong = FunctionModel("wrong", complete=lambda _: "1")
    user = User("u", opinions=tuple(replace(o, answer="5") for o in ratings(12)))
    await fermi(settings, wrong, optimizer).fit(user)
    assert any(request.draw >= 2 for request in optimizer.completion_requests)
    for request in optimizer.completion_requests:
        assert "6 of its answers were wrong:" in request.messages[0].content
        assert "right" not in request.messages[0].content.split("First state")[0]


async def test_in_the_form_of_the_paper_the_other_prompts_are_asked_too() -> None:
    """Otherwise it would say that none of the failures is wrong under them."""
    optimizer = numbered_proposals()
    user = User("u", opinions=tuple(replace(o, answer="5") for o in ratings(12)))
    await fermi(crossed(), FunctionModel("wrong", complete=lambda _: "1"), optimizer).fit(user)
    later = [
        r.messages[0].content for r in optimizer.completion_requests if '<prompt number="2"' in r.messages[0].content
    ]
    assert later
    for content in later:
        assert "Also wrong under this text" in content
        assert "None of the numbered ones" not in content


async def test_shortened_meta_prompts_see_no_more() -> None:
    class Short(FunctionModel):
        """A model with little room."""

        async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
            if len(requests[0].messages[0].content) > 2200:
                raise ContextLengthError("too long")
            return await super().complete(requests)

    for settings in (VARIANTS["plain"], VARIANTS["hybrid"]):
        pages = Pages()
        optimizer = Short("short", complete=memorizing()._complete)
        learned = await fermi(settings, optimizer=optimizer).fit(rater(20), checkpoints=pages)
        assert is_unseen(prompts_of(pages), learned.opinions) > 50


def changes() -> dict[str, User]:
    user = rater(20)
    first, *rest = user.opinions
    again = Opinion(Question(f"{first.question.text}?", ("no", "yes")), "yes")
    return {
        "one removed": replace(user, opinions=tuple(rest)),
        "half removed, some new": replace(user, opinions=(*user.opinions[1::2], *ratings(26)[20:])),
        "asked again with other choices": replace(user, opinions=(*user.opinions, again)),
        "replaced by the same with other choices": replace(user, opinions=(*rest, again)),
        "another answer": replace(user, opinions=(*rest, replace(first, answer="3"))),
        "few are left": replace(user, opinions=user.opinions[:2]),
    }


@pytest.mark.parametrize("name", ["plain", "three folds", "both proposers", "hybrid", "fixed examples, held out"])
@pytest.mark.parametrize("change", changes())
async def test_going_on_sees_no_more(name: str, change: str) -> None:
    settings, user, pages = VARIANTS[name], changes()[change], Pages()
    learned = await fermi(settings).fit(rater(20))
    once = await fermi(settings).extend(learned, user, iterations=2, checkpoints=pages)
    is_unseen((*prompts_of(pages), *once.memory, *once.prompts), once.opinions)
    pages, fewer = Pages(), replace(user, opinions=user.opinions[1:])
    twice = await fermi(settings).extend(once, fewer, iterations=2, checkpoints=pages)
    is_unseen((*prompts_of(pages), *twice.memory, *twice.prompts), twice.opinions)


async def test_folds_stay_when_opinions_are_removed() -> None:
    """Then the memory of each fold goes on, and need not start again from the first prompt."""
    learned = await fermi(crossed()).fit(rater(20))
    extended = await fermi(crossed()).extend(learned, replace(rater(20), opinions=rater(20).opinions[3:]))
    assert extended.folds == learned.folds[3:]
    assert learned.folds != folds_of(rater(20).opinions[3:], 2, seed=0, user_id="rater-0")
    assert FermiPersonalization.from_json(extended.to_json()) == extended


async def test_other_folds_than_before_start_again_from_the_first_prompt() -> None:
    learned = await fermi(crossed()).fit(rater(20))
    optimizer, pages = memorizing(), Pages()
    other = crossed(search=SearchSettings(crossing=3))
    extended = await fermi(other, optimizer=optimizer).extend(learned, rater(20), iterations=2, checkpoints=pages)
    is_unseen((*prompts_of(pages), *extended.memory), extended.opinions)


async def test_what_was_learned_without_crossing_has_no_unseen_score() -> None:
    settings = crossed(evidence=EvidenceSettings(by="crossed"))
    learned = await fermi(paper(iterations=3, scoring_share=1.0, retrieval=RetrievalSettings(pool="memory"))).fit(
        rater(16)
    )
    assert {each.prompt.seen for each in learned.memory} == {()}
    user = rater(20)
    extended = await fermi(settings).extend(learned, user, iterations=1)
    for each in extended.memory:
        if each.prompt.origin == "llm" and each.prompt.fold is None:
            assert set(each.scoreable) <= {16, 17, 18, 19}
    is_unseen((*extended.memory, *extended.prompts), extended.opinions)
    assert extended.evidence is not None
    assert extended.evidence.n == 20


@pytest.mark.parametrize("name", ["three folds", "both proposers", "diagnosis", "crossed gate"])
async def test_a_resumed_run_has_the_same_result(name: str) -> None:
    settings, user = VARIANTS[name], rater(12)

    async def run(meter: Meter, pages: Pages) -> FermiPersonalization:
        answerer = Answerer(Metered(echoing(), meter), settings.answering)
        method = Fermi(answerer, settings, optimizer=Metered(memorizing(), meter), similarity=NEAR)
        return await method.fit(user, checkpoints=pages)

    meter = Meter()
    whole = await run(meter, Pages())
    for stop_at in range(1, meter.calls, max(1, meter.calls // 12)):
        pages = Pages()
        try:
            halted = await run(Meter(stop_at), pages)
            assert not halted.finished
        except BudgetExceededError:
            pass
        assert await run(Meter(), pages) == whole


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["three folds", "crossed gate", "diagnosis"])
async def test_few_opinions_are_enough(n: int, name: str) -> None:
    pages = Pages()
    learned = await fermi(replace(VARIANTS[name], iterations=2)).fit(rater(n), checkpoints=pages)
    is_unseen(prompts_of(pages), learned.opinions)
    assert learned.finished
    if n > 1:
        assert all(each.scoreable for each in prompts_of(pages))
    if name == "crossed gate":
        assert learned.evidence is not None
        assert learned.evidence.n == n


# Folds


_questions = st.lists(st.integers(0, 30), min_size=1, max_size=40)


def opinions_on(numbers: Sequence[int]) -> tuple[Opinion, ...]:
    return tuple(Opinion(Question(f"Dish {n}{'?' * (place % 2)}", ("a", "b")), "a") for place, n in enumerate(numbers))


@steady
@given(_questions, st.integers(2, 5), st.integers(0, 99), st.data())
def test_folds_are_stable_and_even(numbers: list[int], n: int, seed: int, data: st.DataObject) -> None:
    opinions = opinions_on(numbers)
    folds = folds_of(opinions, n, seed=seed, user_id="u")
    assert len(folds) == len(opinions)
    assert set(folds) <= set(range(n))
    fold_of = dict(zip(numbers, folds, strict=True))
    assert [fold_of[number] for number in numbers] == list(folds)  # one question, one fold
    sizes = [list(fold_of.values()).count(fold) for fold in range(n)]
    assert max(sizes) - min(sizes) <= 1
    begun = data.draw(st.integers(0, len(opinions)))
    assert folds_of(opinions[:begun], n, seed=seed, user_id="u") == folds[:begun]


@steady
@given(_questions, st.integers(2, 5), st.data())
def test_folds_that_were_dealt_before_are_kept(numbers: list[int], n: int, data: st.DataObject) -> None:
    opinions = opinions_on(numbers)
    folds = folds_of(opinions, n, seed=0, user_id="u")
    left = sorted(data.draw(st.sets(st.integers(0, len(opinions) - 1))))
    kept = {f"dish {number}": fold for number, fold in zip(numbers, folds, strict=True)}
    again = folds_of([opinions[i] for i in left], n, seed=0, user_id="u", kept=kept)
    assert again == tuple(folds[i] for i in left)


def test_folds_depend_on_user_and_seed() -> None:
    opinions = ratings(20)
    dealt = {folds_of(opinions, 2, seed=seed, user_id=user) for seed in range(3) for user in "ab"}
    assert len(dealt) == 6


def test_there_are_at_most_as_many_folds_as_questions() -> None:
    assert [number_of_folds(ratings(n), 3) for n in (1, 2, 3, 9)] == [2, 2, 3, 3]
    assert number_of_folds(ratings(9), 1) == 1


# Pruning


@pytest.mark.parametrize("wave", [1, 3])
@pytest.mark.parametrize("salt", range(6))
@pytest.mark.parametrize("name", ["plain", "three folds", "both proposers", "hybrid"])
async def test_pruning_with_crossing_changes_nothing_but_the_cost(name: str, salt: int, wave: int) -> None:
    settings = replace(VARIANTS[name], iterations=3, memory_size=3 + salt % 3)
    model = FunctionModel("random", complete=lambda r: SCALE[number(f"{salt}{r.messages[-1].content}") % 5])
    literal = await fermi(replace(settings, pruning=False), model).fit(rater(14))
    pruned = await fermi(replace(settings, wave=wave), model).fit(rater(14))
    assert pruned.memory == literal.memory
    assert pruned.prompts == literal.prompts
    assert [i.best_score for i in pruned.iterations] == [i.best_score for i in literal.iterations]
    assert pruned.optimizing == literal.optimizing
    assert pruned.answering.calls <= literal.answering.calls


async def test_pruning_with_crossing_saves_calls() -> None:
    calls = [
        (await fermi(replace(VARIANTS["plain"], pruning=pruning, wave=1)).fit(rater(20))).answering.calls
        for pruning in (False, True)
    ]
    assert calls[1] < calls[0]


async def test_the_first_prompt_and_the_best_of_each_fold_are_remembered() -> None:
    learned = await fermi(crossed(memory_size=7, search=SearchSettings(crossing=2), proposals=6)).fit(rater(20))
    assert learned.initial.born in [each.born for each in learned.memory]
    kept = [each.prompt.fold for each in learned.memory if each.prompt.fold is not None]
    assert kept.count(0) == kept.count(1) == size_of_fold(7, 2) == 3
    advantages = [overall_advantage(each, learned.initial, 0.0) for each in learned.memory]
    assert advantages == sorted(advantages, reverse=True)
    assert learned.best == learned.memory[0]
    assert learned.iterations[-1].best_score == pytest.approx(learned.initial.score + advantages[0])


def test_the_best_prompt_is_the_one_with_the_greatest_advantage_where_it_is_scored() -> None:
    """A prompt of an easy fold scores higher there than one that helps in a hard fold, where `P⁰` is mostly wrong."""
    folds = (0, 0, 1, 1)

    def scored(born: int, fold: int | None, *scores: float | None) -> ScoredPrompt:
        seen = () if fold is None else outside(folds, fold)
        cells = tuple(None if each is None else ScoredAnswer(Response("", None), each) for each in scores)
        return ScoredPrompt(Prompt(f"text {born}", seen=seen, fold=fold), born, cells)

    initial, hard = scored(0, None, 1.0, 1.0, 0.0, 0.0), scored(3, 1, None, None, 0.5, 0.5)
    easy, worse = scored(1, 0, 1.0, 1.0, None, None), scored(2, 0, 0.5, 0.5, None, None)
    found = crossed_memory(initial, [easy, worse, hard, initial], folds, most=2, shrinkage=2.0)
    assert [each.born for each in found] == [3, 0, 1, 2]
    assert [each.born for each in crossed_memory(initial, [easy, worse, hard], folds, most=1, shrinkage=0)] == [3, 0, 1]


def test_prompts_of_a_fold_compete_on_it_alone() -> None:
    """An opinion of another fold that is newer than a prompt scores that prompt, but not those it competes with."""
    folds = (0, 0, 1, 1)
    cells = [ScoredAnswer(Response("", None), each) for each in (0.5, 0.5, 1.0, 1.0)]
    initial = ScoredPrompt(Prompt("start"), 0, tuple(cells))
    old = ScoredPrompt(Prompt("old", seen=(2,), fold=0), 1, (cells[0], cells[1], None, cells[3]))
    new = ScoredPrompt(
        Prompt("new", seen=(2, 3), fold=0), 2, (cells[0], ScoredAnswer(Response("", None), 0.6), None, None)
    )
    assert on_its_fold(old, folds).score == 0.5 < new.score < old.score
    assert [each.born for each in crossed_memory(initial, [old, new], folds, most=1, shrinkage=0)] == [2, 0]
    elsewhere = ScoredPrompt(Prompt("other folds", seen=(0, 1), fold=0), 3, (None, None, cells[2], cells[3]))
    assert on_its_fold(elsewhere, folds) == elsewhere
