"""Documents of the use cases: strict JSON, and just what the command line prints with --json."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from idiolect.application import documents
from idiolect.application.asking import ask
from idiolect.application.choices import ChameleonChoices
from idiolect.application.fitting import Outcome
from idiolect.application.forecasting import forecast_chameleon, forecast_fermi
from idiolect.application.groups import fit_group
from idiolect.application.opinions import add_opinion
from idiolect.application.owner import Owner
from idiolect.application.persons import forget, known_about
from idiolect.application.run import Spending
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import (
    BudgetExceededError,
    IdiolectError,
    PersonalizationError,
    UnseenRequestError,
)
from idiolect.people.user import Opinion, Question
from idiolect.store import DEFAULT_TENANT, Store
from tests.application.edited import SMALL, U1
from tests.application.mimicked import ANN, FAST
from tests.application.served import fit_in
from tests.cli import learning, open_weights
from tests.cli.learning import TEA, record, run, write_people

Document = documents.Document
ASK = (TEA.text, "--choices", "|".join(TEA.choices), "--ordinal")
WINE = Opinion(Question("Would you drink wine at noon?", ("yes", "no")), "no")


def printed(*arguments: str | Path) -> list[Any]:
    """What a command prints with --json, object by object."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return [json.loads(result.stdout)] if "\n " in result.stdout else list(map(json.loads, result.stdout.splitlines()))


def strict(document: Document) -> Any:
    """The document as it comes out of strict JSON."""
    return json.loads(json.dumps(document, allow_nan=False))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ann, learned from a recording, so that commands open the same model."""
    model = record(tmp_path / "mimic.jsonl", [learning.ANN])
    asyncio.run(fit_in(WorkspaceSettings(tmp_path / "store", model), [ANN], FAST))
    return tmp_path / "store"


def in_workspace(store: Path, use_case: Callable[[AsyncWorkspace], Awaitable[Document]], model: str = "") -> Any:
    async def use() -> Document:
        settings = WorkspaceSettings(store, model) if model else WorkspaceSettings(store)
        async with AsyncWorkspace(settings) as space:
            return await use_case(space)

    return strict(asyncio.run(use()))


def test_a_fit_is_a_document_per_user(store: Path, tmp_path: Path) -> None:
    people = write_people(tmp_path / "users.jsonl", [learning.ANN])
    model = f"replay:{tmp_path / 'mimic.jsonl'}"
    report = asyncio.run(fit_in(WorkspaceSettings(tmp_path / "other", model), [ANN], FAST))
    (shown,) = printed("fit", people, "--store", store, "--model", model, *learning.FAST)
    (found,) = [strict(documents.outcome_document(outcome)) for outcome in report.outcomes]
    assert (found | {"seconds": 0}) == (shown | {"seconds": 0})
    failed = Outcome("bob", 3, 0.25, "failed", error=UnseenRequestError("not recorded"))
    assert strict(documents.outcome_document(failed)) == {
        "id": "bob",
        "state": "failed",
        "opinions": 3,
        "seconds": 0.25,
        "error": {"type": "UnseenRequestError", "message": "not recorded"},
    }


class _OwnKindError(PersonalizationError):
    """As a method might have one."""


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (BudgetExceededError("spent"), "BudgetExceededError"),
        (_OwnKindError("x"), "PersonalizationError"),
        (IdiolectError("x"), "IdiolectError"),
        (None, ""),
    ],
)
def test_errors_have_the_names_that_callers_can_catch(error: IdiolectError | None, name: str) -> None:
    assert documents.error_kind(error) == name


def test_an_answer_by_prompts_is_what_ask_prints(store: Path) -> None:
    async def asked(space: AsyncWorkspace) -> Document:
        return documents.asked_document(await ask(space, Owner.user("ann"), TEA, with_base=True))

    (shown,) = printed("ask", "--store", store, "--user", "ann", *ASK, "--base")
    assert in_workspace(store, asked) == shown
    assert (shown["answer"], shown["base"]["answer"]) == ("always", "never")


def test_a_user_is_what_users_show_and_list_print(store: Path) -> None:
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        opened.put_opinion("ann", WINE)
        opened.save_personalization("ann", "chameleon", {"format": 99})
        opened.save_personalization("ann", "other", {})

    async def known(space: AsyncWorkspace) -> Document:
        return documents.user_document(await known_about(space, "ann"))

    found = in_workspace(store, known)
    assert printed("users", "show", "ann", "--store", store) == [found]
    assert [each["method"] for each in found["learned"]] == ["chameleon", "fermi", "other"]
    assert ["error" in each for each in found["learned"]] == [True, False, False]
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        summaries = [strict(documents.user_summary_document(each)) for each in opened.users()]
    assert printed("users", "list", "--store", store) == summaries


@pytest.mark.parametrize("learn", [True, False])
def test_an_added_opinion_is_what_add_opinion_prints(store: Path, learn: bool) -> None:
    """An answer that it replaces by itself, so that both find the same; only that is in the recording."""
    same = ANN.opinions[0]

    async def added(space: AsyncWorkspace) -> Document:
        found = await add_opinion(space, "ann", same, iterations=0 if learn else None)
        spent = Spending() if space.opened_run is None else space.opened_run.spending()
        return documents.opinion_added_document("ann", found, spent)

    first = in_workspace(store, added)
    choices = ("--choices", "|".join(same.question.choices), "--ordinal", "--answer", same.answer)
    how = ("--iterations", "0") if learn else ("--no-learn",)
    (shown,) = printed("users", "add-opinion", "ann", same.question.text, *choices, *how, "--store", store)
    assert shown == first
    assert (shown["opinion"], shown["learned"]) == ("replaced", learn)


def test_a_receipt_is_what_forget_prints(store: Path, tmp_path: Path) -> None:
    async def forgotten(space: AsyncWorkspace) -> Document:
        return documents.receipt_document(await forget(space, "ann"))

    found = in_workspace(store, forgotten)
    asyncio.run(fit_in(WorkspaceSettings(store, f"replay:{tmp_path / 'mimic.jsonl'}"), [ANN], FAST))
    (shown,) = printed("users", "forget", "ann", "--yes", "--store", store)
    assert found.keys() == shown.keys()
    assert {name: found[name] for name in ("user", "rows", "in_store", "calls", "proven", "limits")} == {
        name: shown[name] for name in ("user", "rows", "in_store", "calls", "proven", "limits")
    }


def test_a_forecast_is_what_a_dry_run_prints(store: Path, tmp_path: Path) -> None:
    people = write_people(tmp_path / "users.jsonl", [learning.ANN])
    fermi = asyncio.run(forecast_fermi([ANN], FAST, model="gpt-4o-mini", optimizer="http://127.0.0.1:9/v1#m"))
    models = ("--model", "gpt-4o-mini", "--optimizer", "http://127.0.0.1:9/v1#m")
    given = ("fit", people, "--store", store, "--dry-run")
    assert printed(*given, *models, *learning.FAST) == [strict(documents.forecast_document(fermi))]
    assert (fermi.money, fermi.answering.money is None) == (None, False)
    people = write_people(tmp_path / "writers.jsonl", [open_weights.writer("u1")])
    edits = forecast_chameleon([U1], SMALL, model="embedded")
    assert printed("fit", people, "--dry-run", *open_weights.SMALL) == [strict(documents.forecast_document(edits))]


@pytest.mark.usefixtures("hashed")
def test_an_edit_and_a_group_are_what_the_commands_print(edited_store: Path, tiny_weights: str) -> None:
    with Store.open(edited_store, tenant=DEFAULT_TENANT) as opened:
        opened.groups.create("readers", ("u1", "u2"))

    async def fitted(space: AsyncWorkspace) -> Document:
        return documents.group_fitted_document("readers", await fit_group(space, "readers", ChameleonChoices()))

    async def asked(space: AsyncWorkspace) -> Document:
        return documents.asked_document(await ask(space, Owner.group("readers"), TEA))

    async def shown(space: AsyncWorkspace) -> Document:
        return documents.group_document(space.store.groups.get("readers"))

    async def user(space: AsyncWorkspace) -> Document:
        return documents.user_document(await known_about(space, "u1"))

    small = ("--model", tiny_weights)
    first = in_workspace(edited_store, fitted, tiny_weights)
    assert printed("groups", "fit", "readers", *small, "--store", edited_store) == [first]
    assert printed("ask", "--store", edited_store, "--group", "readers", *ASK) == [in_workspace(edited_store, asked)]
    assert printed("groups", "show", "readers", "--store", edited_store) == [in_workspace(edited_store, shown)]
    assert printed("users", "show", "u1", "--store", edited_store) == [in_workspace(edited_store, user)]
    with Store.open(edited_store, tenant=DEFAULT_TENANT) as opened:
        removal = strict(documents.removal_document(opened.groups.remove_members("readers", ("u1",))))
    assert removal["refit"] == ["chameleon"]
