"""A run goes on from every saved state to exactly the undisturbed end, and from nobody else's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from idiolect import Opinion, Question, User, UserProfile
from idiolect.errors import BudgetExceededError
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FixedPrompt
from idiolect.methods.fermi.checkpoint import Bookmark, State, run_identity
from idiolect.methods.fermi.gate import respondent as respondent_of
from idiolect.methods.fermi.learning import beginning
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.roles import deal_roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Progress
from tests.methods.fermi.interrupting import BOTH, GATED, PAPER, Meter, Pages, planted
from tests.methods.people import numbered_proposals, paper, random_answers, rater
from tests.planted_world import respondent

USER = respondent(1, train_cases=1).user
EVERY = pytest.mark.parametrize("settings", [PAPER, BOTH, GATED], ids=["paper", "both proposers", "gated"])


@EVERY
async def test_a_run_ends_the_same_from_every_page(settings: FermiSettings) -> None:
    undisturbed = (await planted(settings).fit(USER)).to_json()
    pages = Pages()
    assert (await planted(settings).fit(USER, checkpoints=pages)).to_json() == undisturbed
    assert len(pages.pages) == 2 * settings.iterations + 1
    for page in pages.pages:
        assert (await planted(settings).fit(USER, checkpoints=Pages(page))).to_json() == undisturbed


@EVERY
async def test_going_on_does_only_what_is_left(settings: FermiSettings) -> None:
    pages, whole = Pages(), Meter()
    await planted(settings, whole).fit(USER, checkpoints=pages)
    left = []
    for page in pages.pages:
        meter = Meter()
        await planted(settings, meter).fit(USER, checkpoints=Pages(page))
        left.append(meter.calls)
    assert left == sorted(left, reverse=True)
    assert left[0] < whole.calls
    learned = await planted(settings).fit(USER)
    gate = 0 if learned.evidence is None else learned.answering.calls - learned.iterations[-1].answering.calls
    assert left[-1] == gate


@EVERY
async def test_a_run_that_stops_at_any_call_ends_the_same(settings: FermiSettings) -> None:
    whole = Meter()
    undisturbed = (await planted(settings, whole).fit(USER)).to_json()
    n_scoring = len(deal_roles(USER, settings).scoring)
    for stop_at in range(whole.calls):
        pages = Pages()
        try:
            partial = await planted(settings, Meter(stop_at)).fit(USER, checkpoints=pages)
        except BudgetExceededError:
            assert stop_at < n_scoring
            assert pages.pages == []
        else:
            assert stop_at >= n_scoring
            assert not partial.finished
            assert partial.evidence is None
            assert partial.prompts == partial.memory
            assert all(entry.complete for entry in partial.memory)
        assert (await planted(settings).fit(USER, checkpoints=pages)).to_json() == undisturbed


async def test_what_a_stopped_run_gives_is_the_best_so_far() -> None:
    undisturbed, whole = await planted(GATED).fit(USER), Meter()
    await planted(GATED, whole).fit(USER)
    partial = await planted(GATED, Meter(whole.calls - 1)).fit(USER)
    assert (partial.memory, partial.iterations) == (undisturbed.memory, undisturbed.iterations)
    assert (partial.best, partial.held_out) == (undisturbed.memory[0], undisturbed.held_out)
    assert not partial.used, "nothing has judged it yet"
    assert partial.gate == "not judged yet: learning was stopped early; the base model answers"
    assert isinstance(respondent_of(partial, Answerer(random_answers(), GATED.answering), None), FixedPrompt)


async def test_without_a_gate_what_a_stopped_run_gives_answers() -> None:
    partial = await planted(BOTH, Meter(30)).fit(USER)
    assert (partial.finished, partial.used, partial.gate) == (False, True, "")


async def told_by(fermi: Fermi, user: User, pages: Pages) -> list[str]:
    stages: list[str] = []

    def watch(progress: Progress) -> None:
        stages.append(progress.stage)

    await fermi.fit(user, observer=watch, checkpoints=pages)
    return stages


CHANGES: list[Callable[[User], User]] = [
    lambda user: replace(user, id="another"),
    lambda user: replace(user, profile=UserProfile({"Age": "30"})),
    lambda user: replace(user, opinions=user.opinions[:-1]),
    lambda user: replace(user, opinions=(*user.opinions[1:], user.opinions[0])),
    lambda user: replace(user, opinions=(Opinion(user.opinions[0].question, "none"), *user.opinions[1:])),
    lambda user: replace(
        user,
        opinions=(replace(user.opinions[0], question=Question(user.opinions[0].question.text)), *user.opinions[1:]),
    ),
]


@pytest.mark.parametrize("change", CHANGES)
async def test_another_persons_checkpoint_is_not_gone_on_with(change: Callable[[User], User]) -> None:
    pages = Pages()
    await planted(BOTH).fit(USER, checkpoints=pages)
    other = change(USER)
    undisturbed = (await planted(BOTH).fit(other)).to_json()
    again = Pages(pages.pages[1])
    stages = await told_by(planted(BOTH), other, again)
    assert stages[0] == "starting again: the checkpoint is for other settings, models or opinions"
    assert (await planted(BOTH).fit(other, checkpoints=again)).to_json() == undisturbed


async def test_what_idiolect_does_not_know_is_no_other_person() -> None:
    marked = replace(USER, opinions=tuple(replace(o, extra={"source": "x"}) for o in USER.opinions), extra={"a": 1})
    pages = Pages()
    await planted(BOTH).fit(USER, checkpoints=pages)
    assert (await told_by(planted(BOTH), marked, Pages(pages.pages[3])))[0] == "continuing after iteration 2"


async def test_a_checkpoint_of_the_same_names_elsewhere_is_not_gone_on_with() -> None:
    def elsewhere(*identity: str) -> Fermi:
        answerer = Answerer(random_answers(), settings.answering)
        return Fermi(answerer, settings, optimizer=numbered_proposals(), identity=identity)

    settings, pages = paper(iterations=2), Pages()
    await elsewhere("http://a/v1").fit(rater(6), checkpoints=pages)
    page = pages.pages[1]
    assert (await told_by(elsewhere("http://a/v1"), rater(6), Pages(page)))[0] == "continuing after iteration 1"
    for other in (elsewhere("http://b/v1"), elsewhere()):
        assert (await told_by(other, rater(6), Pages(page)))[0].startswith("starting again")


def test_the_identity_tells_every_part_from_every_other() -> None:
    same = run_identity(USER, BOTH, models=("m", "o"))
    assert same == run_identity(USER, replace(BOTH), models=["m", "o"])
    others = [
        run_identity(USER, replace(BOTH, seed=1), models=("m", "o")),
        run_identity(USER, replace(BOTH, answering=replace(BOTH.answering, max_tokens=9)), models=("m", "o")),
        run_identity(USER, BOTH, models=("m", None)),
        run_identity(USER, BOTH, models=("o", "m")),
        run_identity(USER, BOTH, models=("m", "o"), origin=["learned", 1]),
        run_identity(replace(USER, profile=UserProfile({"a": "b"})), BOTH, models=("m", "o")),
    ]
    assert len({same, *others}) == 7


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda page: page.update(format=2), "another version"),
        (lambda page: page.update(format=None), "another version"),
        (lambda page: page.update(method="chameleon"), "another version"),
        (lambda page: page.pop("identity"), "other settings, models or opinions"),
        (lambda page: page.pop("state"), "damaged"),
        (lambda page: page["state"].update(step="dance"), "damaged"),
        (lambda page: page["state"]["counts"]["asked"].pop(), "damaged"),
        (lambda page: page["state"]["memory"][0]["cells"].pop(), "damaged"),
        (lambda page: page["state"]["new"][0]["prompt"].update(quotes=[99]), "damaged"),
    ],
)
async def test_what_cannot_be_read_is_not_gone_on_with(change: Callable[[dict[str, Any]], object], told: str) -> None:
    pages = Pages()
    undisturbed = (await planted(BOTH).fit(USER, checkpoints=pages)).to_json()
    page = json.loads(pages.pages[1])
    change(page)
    again = Pages(json.dumps(page))
    stages = await told_by(planted(BOTH), USER, again)
    assert stages[0].startswith("starting again: the checkpoint is")
    assert stages[0].endswith(told)
    assert (await planted(BOTH).fit(USER, checkpoints=again)).to_json() == undisturbed


async def test_likelihoods_and_free_text_survive_the_checkpoint() -> None:
    """Scores of choices, unparsable replies and quotes are part of a state, too."""
    opinions = (*rater(6).opinions, Opinion(Question("Why tea, of all things?"), "the taste"))
    user = User("ann", UserProfile({"Größe": "1,80"}), opinions)
    settings = paper(iterations=3, proposers=("llm", "demonstrations"))
    quoting = numbered_proposals("[Why tea, of all things? Number {seed}]")

    async def learned(pages: Pages | None) -> dict[str, Any]:
        fermi = Fermi(Answerer(random_answers(), settings.answering), settings, optimizer=quoting)
        return (await fermi.fit(user, checkpoints=pages)).to_json()

    pages = Pages()
    undisturbed = await learned(pages)
    for page in pages.pages:
        assert await learned(Pages(page)) == undisturbed


async def test_a_page_is_saved_in_milliseconds() -> None:
    """N = 20, L = 5, K = 4; measured at 0.5 ms, the bound is for slow machines."""
    pages, settings = Pages(), preset("paper")
    fermi = Fermi(Answerer(random_answers(), settings.answering), settings, optimizer=numbered_proposals())
    await fermi.fit(rater(20), checkpoints=pages)
    state = loaded(pages, rater(20), settings)
    bookmark = Bookmark(Forgetting(), "identity", 16)
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        bookmark.save(state)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.02


class Forgetting:
    """A sink that keeps nothing."""

    def load(self) -> None:
        """Nothing."""

    def save(self, payload: object) -> None:
        """Nothing."""
        del payload


def loaded(pages: Pages, user: User, settings: FermiSettings) -> State:
    identity = run_identity(user, settings, models=("random", "optimizer"))
    state, _ = Bookmark(pages, identity, len(deal_roles(user, settings).scoring)).find()
    assert state is not None
    return state


def test_a_state_comes_back_as_it_was() -> None:
    roles = deal_roles(USER, BOTH)
    pages = Pages()
    bookmark = Bookmark(pages, "identity", len(roles.scoring))
    bookmark.save(beginning(USER, roles, BOTH.answering, ends_with="propose"))
    state = beginning(USER, roles, BOTH.answering, ends_with="propose")
    assert bookmark.find() == (state, "continuing after iteration 0")
    assert Bookmark(None, "identity", 3).find() == (None, "")
    assert Bookmark(Pages(), "identity", 3).find() == (None, "")
