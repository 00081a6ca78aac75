"""Draws: which prompts are parents, what a fold is shown, and when the search ends early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from idiolect import User
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.checkpoint import State
from idiolect.methods.fermi.crossing import folds_of
from idiolect.methods.fermi.draws import DrawPlan
from idiolect.methods.fermi.extension_settings import SearchSettings
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import Iteration
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.roles import Roles
from idiolect.methods.fermi.scoring import FailureCounts
from idiolect.methods.fermi.settings import FermiSettings, RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Usage
from tests.methods.people import (
    TableSimilarity,
    asked_question,
    number,
    numbered_proposals,
    paper,
    random_answers,
    rater,
    ratings,
    scored,
)

NEAR = TableSimilarity(lambda q, d: number(q + d) % 7)


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


def fermi(settings: FermiSettings, model: FunctionModel | None = None, optimizer: FunctionModel | None = None) -> Fermi:
    answerer = Answerer(model or random_answers(), settings.answering)
    return Fermi(answerer, settings, optimizer=optimizer or numbered_proposals(), similarity=NEAR)


def plan(settings: FermiSettings, n: int = 4) -> DrawPlan:
    folds = folds_of(ratings(n), settings.search.crossing, seed=0, user_id="u")
    return DrawPlan(User("u", opinions=ratings(n)), Roles(ratings(n)), settings, folds)


def state_of(*memory: ScoredPrompt, history: Sequence[int] = (), born: int = 9) -> State:
    usage = Usage()
    done = tuple(Iteration(0, 0, 0.0, proposed, {}, usage, usage) for proposed in history)
    initial = min(memory, key=lambda each: each.born)
    return State("propose", initial, memory, (), FailureCounts.of(4), (), history=done, born=born)


def drawn(*memory: ScoredPrompt) -> list[int | None]:
    """The parents of a thousand draws."""
    pareto = plan(paper(search=SearchSettings(parents="pareto"), proposals=1))
    contexts = pareto.contexts(state_of(*memory), range(1000))
    return [context.parent for context, draws in contexts for _ in draws]


def test_a_specialist_is_drawn_as_a_parent() -> None:
    """It has the lowest score, but is the only one that is right on the last opinion."""
    good = scored("good", [1.0, 1.0, 1.0, 0.0], born=1)
    specialist = scored("specialist", [0.0, 0.0, 0.0, 1.0], born=2)
    mediocre = scored("mediocre", [0.0, 0.5, 0.5, 0.5], born=0)
    parents = drawn(good, specialist, mediocre)
    assert set(parents) == {1, 2}
    assert 680 < parents.count(1) < 820  # best on three of four


def test_a_dominated_prompt_is_no_parent() -> None:
    """It was the first to be right where the better one is right too."""
    first = scored("first", [1.0, 1.0, 0.0, 0.0], born=0)
    better = scored("better", [1.0, 1.0, 1.0, 0.0], born=1)
    last = scored("last", [0.0, 0.0, 0.0, 1.0], born=2)
    assert set(drawn(first, better, last)) == {1, 2}
    equal = scored("equal", [1.0, 1.0, 1.0, 0.0], born=3)
    assert set(drawn(first, better, equal)) == {1, 3}


def test_parents_are_drawn_by_the_seed() -> None:
    memory = [scored("a", [1.0, 0.0, 1.0, 0.0], born=0), scored("b", [0.0, 1.0, 0.0, 1.0], born=1)]
    assert drawn(*memory) == drawn(*memory)


@pytest.mark.parametrize(
    ("plateau", "scored_last", "history", "youngest", "ends"),
    [
        (1, True, (4,), 4, False),  # what was proposed in the last iteration is remembered
        (1, True, (4, 4), 4, True),
        (2, True, (4, 4), 4, False),
        (2, True, (4, 4, 4), 4, True),
        (1, True, (4, 4, 0), 8, True),  # all were rejected
        (1, False, (4, 4), 4, False),  # 5 to 8 are not scored yet, and 1 to 4 made the memory better
        (1, False, (4, 4), 0, True),
        (1, False, (4, 4, 4), 4, True),
        (2, False, (4, 4, 4), 4, False),
        (2, False, (4, 4, 4, 4), 4, True),
        (None, True, (4, 4, 4, 4), 0, False),
    ],
)
def test_a_plateau_ends_the_search(
    plateau: int | None, scored_last: bool, history: tuple[int, ...], youngest: int, ends: bool
) -> None:
    state = state_of(
        scored("P0", [0.0] * 4), scored("P", [0.0] * 4, born=youngest), history=history, born=1 + sum(history)
    )
    search = plan(paper(search=SearchSettings(plateau=plateau)))
    assert search.ends_early(state, 0, scored=scored_last) is ends


def test_a_plateau_counts_the_iterations_of_this_run() -> None:
    state = state_of(scored("P0", [0.0] * 4), history=(4, 4, 4), born=13)
    search = plan(paper(search=SearchSettings(plateau=2)))
    assert search.ends_early(state, 0, scored=True)
    assert not search.ends_early(state, 2, scored=True)


@pytest.mark.parametrize("crossing", [1, 2])
async def test_a_search_that_gets_no_better_ends(crossing: int) -> None:
    """Of equal prompts the oldest are remembered, so that the memory stays as it is."""
    search = SearchSettings(crossing=crossing, plateau=2)
    model = FunctionModel("constant", complete=lambda _: "3")
    learned = await fermi(crossed(iterations=9, search=search), model, numbered_proposals()).fit(rater(10))
    full = await fermi(crossed(iterations=9, search=replace(search, plateau=None)), model, numbered_proposals()).fit(
        rater(10)
    )
    assert learned.finished
    assert learned.memory == full.memory
    # Without crossing, the prompts of an iteration are scored in the next one.
    assert (len(learned.iterations), len(full.iterations)) == ((4, 9) if crossing == 1 else (3, 9))


@pytest.mark.parametrize("crossing", [1, 2])
async def test_a_perfect_memory_ends_the_search(crossing: int) -> None:
    user = User("u", opinions=tuple(replace(o, answer="3") for o in ratings(8)))
    search = SearchSettings(crossing=crossing, stop_when_perfect=True)
    model = FunctionModel("right", complete=lambda _: "3")
    learned = await fermi(crossed(iterations=9, search=search), model, numbered_proposals()).fit(user)
    assert len(learned.iterations) < 9
    assert learned.finished
    wrong = FunctionModel("wrong once", complete=lambda r: "1" if asked_question(r).endswith("3?") else "3")
    learned = await fermi(crossed(iterations=4, search=search), wrong, numbered_proposals()).fit(user)
    assert len(learned.iterations) == 4


def test_the_first_prompt_is_compared_on_the_fold_only() -> None:
    settings = crossed(search=SearchSettings(crossing=2))
    opinions = ratings(4)
    folds = (0, 1, 0, 1)
    crossed_plan = DrawPlan(User("u", opinions=opinions), Roles(opinions), settings, folds)
    first = scored("P0", [1.0, 0.0, 1.0, 0.0])
    own = scored(Prompt("own", seen=(0, 2), fold=1, origin="llm"), [None, 0.0, None, 1.0], born=1)
    other = scored(Prompt("other", seen=(1, 3), fold=0, origin="llm"), [0.0, None, 1.0, None], born=2)
    state = state_of(first, own, other)
    listed = {
        context.fold: [(each.prompt.text, each.score) for each in context.memory.entries]
        for context, _ in crossed_plan.contexts(state, range(2))
    }
    assert listed == {0: [("P0", 1.0), ("other", 0.5)], 1: [("own", 0.5), ("P0", 0.0)]}
