"""Single opinions: kept whatever happens, and learned from where something was learned, not from scratch."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from idiolect.application.asking import ask
from idiolect.application.fermi import FermiLearner
from idiolect.application.opinions import Change, OpinionAdded, add_opinion, remove_opinion
from idiolect.application.owner import Owner
from idiolect.application.run import CallSettings, Spending
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import ModelError, SettingsError, StoreError, UnknownUserError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.models.calls.budget import Limits
from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import ApiServer, Status
from tests.application.served import CALLS, FEW, fit, limited, people, states
from tests.cli.remote_world import answer, asked_names, kept_names, learned

(ANN,) = people("ann")
OLD = ANN.opinions[2].question
NEW = Question("What would ann have at midnight?", OLD.choices)
SOUP = Opinion(NEW, "soup")


async def add(
    store: Path,
    opinion: Opinion,
    *,
    user: str = "ann",
    iterations: int | None = 1,
    calls: CallSettings = CALLS,
    kept: list[Change] | None = None,
) -> tuple[OpinionAdded, Spending]:
    """In a workspace of its own, with the models that were learned with."""
    async with AsyncWorkspace(WorkspaceSettings(store, calls=calls, create=False)) as space:
        noted = [] if kept is None else kept
        added = await add_opinion(space, user, opinion, iterations=iterations, on_kept=noted.append)
        return added, Spending() if space.opened_run is None else space.opened_run.spending()


def opinions_of(store: Path) -> tuple[Opinion, ...]:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        return opened.user("ann").opinions


def fermi(store: Path) -> FermiPersonalization:
    return FermiPersonalization.from_json(learned(store)["ann"]["fermi"])


def known(personalization: FermiPersonalization) -> set[Opinion]:
    return {*personalization.opinions, *personalization.examples, *personalization.held_out}


@pytest.fixture
async def fitted(tmp_path: Path) -> Any:
    """A server, and a store where ann is learned."""
    with ApiServer(answer) as server:
        assert (await fit(tmp_path / "store", server, [ANN])).complete
        yield server, tmp_path / "store"


Fitted = tuple[ApiServer, Path]


async def test_learning_goes_on_with_few_calls(tmp_path: Path, fitted: Fitted) -> None:
    server, store = fitted
    before, asked = fermi(store), len(server.requests)
    added, spent = await add(store, SOUP)
    assert (added.change, added.learned, added.halted_by, added.edited) == ("added", True, None, False)
    after = fermi(store)
    assert (added.before, added.after) == (before, after)
    assert (spent.calls, spent.money) == (len(server.requests) - asked, None)
    assert known(after) == {*known(before), SOUP} == set(opinions_of(store))
    assert len(after.iterations) == len(before.iterations) + 1
    assert kept_names(store) == set(asked_names(server))
    with ApiServer(answer) as other:  # from scratch, with as many iterations and nothing in the cache
        whole = replace(ANN, opinions=(*ANN.opinions, SOUP))
        assert (await fit(tmp_path / "scratch", other, [whole], replace(FEW, iterations=3))).complete
        assert spent.calls < len(other.requests)


async def test_another_answer_takes_the_old_ones_place(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.requests)
    added, _ = await add(store, Opinion(OLD, "tea"), iterations=0)
    assert (added.change, added.learned) == ("replaced", True)
    assert len(opinions_of(store)) == 5
    assert Opinion(OLD, "tea") in opinions_of(store)
    assert known(fermi(store)) == set(opinions_of(store))
    assert all("square brackets" not in str(each.body) for each in server.requests[before:])


async def test_without_learning_nobody_is_called(fitted: Fitted) -> None:
    server, store = fitted
    before, kept = len(server.log), learned(store)
    added, _ = await add(store, SOUP, iterations=None)
    assert (added.change, added.learned, len(server.log)) == ("added", False, before)
    assert learned(store) == kept
    assert SOUP in opinions_of(store)
    added, _ = await add(store, SOUP)
    assert added.learned
    assert known(fermi(store)) == set(opinions_of(store))


async def test_of_whom_nothing_is_learned_only_the_opinion_is_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as opened:
        opened.save_users([User("ann", opinions=(Opinion(OLD, "bread"),))])
    tea = Opinion(Question("Tea or coffee?"), "Tea, no milk")
    assert await add(tmp_path, tea) == (OpinionAdded("added"), Spending())
    assert tea in opinions_of(tmp_path)


async def test_an_unknown_user_keeps_nothing_and_calls_nobody(fitted: Fitted) -> None:
    server, store = fitted
    before, kept = len(server.log), list[Change]()
    with pytest.raises(UnknownUserError, match="has no user 'eve'"):
        await add(store, SOUP, user="eve", kept=kept)
    assert (kept, len(server.log)) == ([], before)


@pytest.mark.parametrize("limit", [1, 3, 6])
async def test_stopped_by_a_budget_the_same_opinion_goes_on(tmp_path: Path, fitted: Fitted, limit: int) -> None:
    server, store = fitted
    kept, before, events = learned(store), len(server.requests), list[Change]()
    added, _ = await add(store, SOUP, calls=limited(limit), kept=events)
    assert len(server.requests) == before + limit
    assert added.halted_by is not None
    assert added.halted_by.startswith(f"the budget of {limit} calls is spent")
    assert (added.change, added.learned, events) == ("added", False, ["added"])
    assert SOUP in opinions_of(store)
    assert learned(store) == kept, "what was learned before is no longer there"
    assert kept_names(store) == set(asked_names(server))
    async with AsyncWorkspace(WorkspaceSettings(store)) as space:
        assert (await ask(space, Owner.user("ann"), Question("Tea or rice?", ("tea", "rice")))).text
    assert (await add(store, SOUP))[0].learned
    assert len(set(asked_names(server))) == len(server.requests), "a request was repeated"
    after = learned(store)
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        assert opened.checkpoints("ann") == []
    undisturbed = tmp_path / "undisturbed"
    assert (await fit(undisturbed, server, [ANN])).complete
    assert (await add(undisturbed, SOUP))[0].learned
    assert learned(undisturbed)["ann"]["fermi"]["iterations"] == after["ann"]["fermi"]["iterations"]


async def test_what_was_stopped_early_is_learned_to_the_end(tmp_path: Path) -> None:
    store, six = tmp_path / "store", replace(FEW, iterations=6)
    with ApiServer(answer) as server:
        assert states(await fit(store, server, [ANN], six, calls=limited(20))) == {"ann": "stopped early"}
        partial = fermi(store)
        assert (partial.finished, len(partial.iterations) < 6) == (False, True)
        assert (await add(store, SOUP))[0].learned
        assert (await fit(store, server, [ANN], six, resume=True)).complete
    after = fermi(store)
    assert (after.finished, len(after.iterations) >= 6) == (True, True), "iterations were left out"
    assert known(after) == set(opinions_of(store))


FOREIGN = {"method": "fermi", "format": 1, "identity": "another run's", "state": {}}


def _interfering(monkeypatch: pytest.MonkeyPatch, store: Path, times: int, **change: Any) -> list[int]:
    """While learning goes on, another process saves what it learned, so many times, and its checkpoint."""
    extend, continued = FermiLearner.extend, list[int]()

    async def beaten(
        self: FermiLearner, before: FermiPersonalization, user: User, **given: Any
    ) -> FermiPersonalization:
        after = await extend(self, before, user, **given)
        continued.append(before.answering.calls)
        with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
            opened.save_checkpoint("ann", "fermi", FOREIGN)
            if len(continued) <= times:
                usage = replace(before.answering, calls=1000 * len(continued))
                saved = replace(before, answering=usage, **change)
                opened.save_personalization("ann", "fermi", saved.to_json())
        return after

    monkeypatch.setattr(FermiLearner, "extend", beaten)
    return continued


@pytest.mark.parametrize("times", [1, 2])
async def test_learning_continues_from_what_another_process_saved_meanwhile(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    server, store = fitted
    first = fermi(store).answering.calls
    continued = _interfering(monkeypatch, store, times)
    assert (await add(store, SOUP))[0].learned
    assert continued == [first, 1000, 2000][: times + 1]
    assert fermi(store).answering.calls > 1000 * times
    assert known(fermi(store)) == set(opinions_of(store))
    assert len(set(asked_names(server))) == len(server.requests), "a request was repeated"
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        assert opened.checkpoint("ann", "fermi") == FOREIGN, "another run's checkpoint was dropped"


@pytest.mark.parametrize(
    ("times", "change", "tries"), [(9, {}, 3), (1, {"made_with": "others"}, 1), (1, {"model": "replay:x"}, 1)]
)
async def test_where_others_keep_saving_it_is_an_error_and_theirs_stays(
    fitted: Fitted, monkeypatch: pytest.MonkeyPatch, times: int, change: dict[str, Any], tries: int
) -> None:
    _, store = fitted
    continued = _interfering(monkeypatch, store, times, **change)
    with pytest.raises(
        StoreError, match="another process learned for user 'ann' at the same time; the opinion was kept"
    ):
        await add(store, SOUP)
    assert len(continued) == tries
    assert fermi(store).answering.calls == 1000 * tries
    assert SOUP in opinions_of(store)


async def test_a_server_that_is_down_keeps_the_opinion(tmp_path: Path) -> None:
    store, events = tmp_path / "store", list[Change]()
    with ApiServer(answer) as server:
        assert (await fit(store, server, [ANN])).complete
    kept = learned(store)
    with pytest.raises(ModelError) as caught:
        await add(store, SOUP, kept=events)
    assert str(caught.value) == f"{server.url}: connection refused: is the server running?"
    assert (events, SOUP in opinions_of(store)) == (["added"], True)
    assert learned(store) == kept


async def test_a_model_that_fails_keeps_the_opinion(fitted: Fitted) -> None:
    server, store = fitted
    kept = learned(store)
    server.answer = lambda body, n: Status(400) if "midnight" in str(body) else answer(body, n)
    with pytest.raises(ModelError, match="HTTP 400"):
        await add(store, SOUP)
    assert SOUP in opinions_of(store)
    assert learned(store) == kept
    server.answer = answer
    assert (await add(store, SOUP))[0].learned
    assert known(fermi(store)) == set(opinions_of(store))


async def test_money_without_a_price_calls_nobody(fitted: Fitted) -> None:
    server, store = fitted
    before = len(server.log)
    with pytest.raises(SettingsError, match="is unknown, so money cannot be limited"):
        await add(store, SOUP, calls=replace(CALLS, run=Limits(money=Decimal(1))))
    assert len(server.log) == before


# Taken back


@pytest.fixture
def answered(tmp_path: Path) -> Path:
    """Somebody who answered four questions, and one of them in two forms."""
    opinions = [Opinion(Question(f"Question {i}"), f"answer {i}") for i in range(4)]
    opinions += [Opinion(Question("Tea?", ("yes", "no")), "no"), Opinion(Question("Tea?"), "Rather not")]
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("u1", opinions=tuple(opinions))])
    return tmp_path


@pytest.mark.parametrize(
    ("question", "choices", "left"),
    [("Question 1", None, 5), ("Question 1", (), 5), ("Tea?", ("yes", "no"), 5), ("Tea?", (), 5)],
)
async def test_an_opinion_is_taken_back(
    answered: Path, question: str, choices: tuple[str, ...] | None, left: int
) -> None:
    async with AsyncWorkspace(WorkspaceSettings(answered)) as space:
        summary = await remove_opinion(space, "u1", question, choices)
        assert (summary.id, summary.n_opinions) == ("u1", left)
        left_over = [each.question for each in space.store.user("u1").opinions]
    assert Question(question, choices or ()) not in left_over


async def test_an_unknown_question_names_near_ones(answered: Path) -> None:
    async with AsyncWorkspace(WorkspaceSettings(answered)) as space:
        for question, choices in (("Qestion 9", None), ("Question 1", ("a", "b"))):
            with pytest.raises(StoreError, match="has no such opinion; similar questions: 'Question ") as caught:
                await remove_opinion(space, "u1", question, choices)
            assert str(caught.value).count("'Question ") == 3
        with pytest.raises(StoreError, match=r"has no such opinion$"):
            await remove_opinion(space, "u1", "zzz")
        with pytest.raises(UnknownUserError):
            await remove_opinion(space, "u2", "Question 1")
        assert space.store.summary("u1").n_opinions == 6
