"""Conversations under an edit: which model answers, when the edit is left out, and the edit with a prompt."""

from __future__ import annotations

import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect import Message, Owner, SamplingParams
from idiolect.application.chats import chat, personalized_chat, stream_chat
from idiolect.application.fitting import fit_users, open_learner
from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.edited import EditedModel
from tests.application import edited
from tests.application.mimicked import FAST
from tests.cli import open_weights

U1 = Owner.user("u1")
TURNS = (Message("user", "What did you do today?"),)
SHORT = SamplingParams(max_tokens=12)

pytestmark = pytest.mark.usefixtures("hashed")


def let_it_answer(store: Path, *, used: bool = True) -> None:
    """Evidence on two opinions, for or against the edit."""
    found = open_weights.learned(store, "u1")
    scores = ((1.0, 1.0), (0.0, 0.0)) if used else ((0.0, 0.0), (1.0, 1.0))
    trials = tuple(replace(trial, eligible=True) for trial in found.trials)
    open_weights.save(store, "u1", replace(found, trials=trials, evidence=open_weights.evidence(*scores)))
    assert open_weights.learned(store, "u1").used == used


async def prepared(store: Path, weights: str, **chosen: Any) -> PersonalizedChat:
    async with AsyncWorkspace(WorkspaceSettings(store, weights)) as space:
        return await personalized_chat(space, U1, TURNS, **chosen)


async def test_the_edited_model_answers_and_streams(edited_store: Path, tiny_weights: str) -> None:
    let_it_answer(edited_store)
    async with AsyncWorkspace(WorkspaceSettings(edited_store, tiny_weights)) as space:
        found = await personalized_chat(space, U1, TURNS, sampling=SHORT)
        reply = await chat(space, found)
        async with aclosing(stream_chat(space, found)) as items:
            *pieces, last = [item async for item in items]
        base = await chat(space, await personalized_chat(space, Owner.user("nobody"), TURNS, sampling=SHORT))
    edit = open_weights.learned(edited_store, "u1").edit
    assert isinstance(found.model, EditedModel)
    assert (found.edit_digest, found.personalization) == (edit.digest, f"chameleon-{edit.digest[:16]}")
    assert (found.messages, found.prompt, found.methods) == (TURNS, "", ("chameleon",))
    assert isinstance(last, ChatAnswer)
    assert last.text == reply.text == "".join(map(str, pieces))
    assert reply.text != base.text


async def test_an_edit_without_evidence_is_left_out(edited_store: Path, tiny_weights: str) -> None:
    let_it_answer(edited_store, used=False)
    found = await prepared(edited_store, tiny_weights)
    assert (found.personalized, found.edit_digest) == (False, "")
    assert found.why == open_weights.learned(edited_store, "u1").gate


async def test_an_edit_of_other_weights_is_left_out(edited_store: Path, tiny_weights: str, tmp_path: Path) -> None:
    let_it_answer(edited_store)
    found = replace(open_weights.learned(edited_store, "u1"), fingerprint="0" * 64)
    open_weights.save(edited_store, "u1", found)
    chosen = await prepared(edited_store, tiny_weights)
    assert not chosen.personalized
    assert "are not those that the edit was learned on" in chosen.why
    moved = Path(shutil.copytree(tiny_weights, tmp_path / "moved"))
    open_weights.save(edited_store, "u1", replace(found, model=str(tmp_path / "gone")))
    chosen = await prepared(edited_store, str(moved))
    assert not chosen.personalized
    assert "gone" in chosen.why


async def test_an_edit_is_left_out_where_another_model_is_to_answer(edited_store: Path, tiny_weights: str) -> None:
    let_it_answer(edited_store)
    other = FunctionModel("other", complete=lambda _: "Tea.")
    async with AsyncWorkspace(WorkspaceSettings(edited_store, other)) as space:
        found = await personalized_chat(space, U1, TURNS, model="other")
    assert (found.personalized, found.model.name) == (False, "other")
    assert "'other' is to answer" in found.why
    assert (await prepared(edited_store, tiny_weights, model=tiny_weights)).personalized


async def test_prompt_and_edit_together(edited_store: Path, tiny_weights: str) -> None:
    let_it_answer(edited_store)
    async with AsyncWorkspace(WorkspaceSettings(edited_store, tiny_weights)) as space:
        learner = await open_learner(space, replace(FAST, proposers=("demonstrations",)))
        assert (await fit_users(space, learner, [edited.U1])).complete
        both = await personalized_chat(space, U1, TURNS, method="both", sampling=SHORT)
        prompted = await personalized_chat(space, U1, TURNS)
        assert (await chat(space, both)).completion.usage.completion_tokens > 0
    assert (bool(both.prompt), bool(both.edit_digest)) == (prompted.personalized, True)
    assert both.methods == ("fermi", "chameleon")
    assert both.why.startswith("Fermi: ")
    assert "; CHAMELEON: " in both.why
    assert (prompted.methods, prompted.edit_digest) == (("fermi",), "")
