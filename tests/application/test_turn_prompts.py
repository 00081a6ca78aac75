"""Prompts that are read once and chosen from at every turn: the choice, what is kept of it, and failing embeddings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from idiolect import Owner
from idiolect.application.chat_personalization import choose_prompt
from idiolect.application.turn_prompts import TurnPrompts, open_turn_prompts, read_prompts
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import ModelError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.models.similarity import EmbeddingSimilarity, FloatArray, RememberedDocuments
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord
from tests.application.mimicked import ANN, FAST, opened
from tests.application.served import fit_in

ASKED_ANN = Owner.user("ann")
TURNS = ("Would you drink tea at noon?", "What is drunk at sea?", "Ποτό;")


@pytest.fixture(scope="module")
def learned_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ann, learned with the mimic."""
    store = tmp_path_factory.mktemp("learned") / "store"
    asyncio.run(fit_in(opened(store), [ANN], FAST))
    return store


class Letters:
    """Embeddings by letters, which counts its texts."""

    name = "letters"

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.fails = False

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        if self.fails:
            raise ModelError("no embeddings today")
        self.texts += texts
        counts = np.array([[1 + text.count(letter) for letter in "aeiou"] for text in texts], dtype=np.float32)
        vectors: FloatArray = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        return vectors


def _record(space: AsyncWorkspace) -> PersonalizationRecord:
    (record,) = space.store.personalizations("ann")
    return record


def _learned(record: PersonalizationRecord) -> FermiPersonalization:
    found = read_prompts(record).learned
    assert found is not None
    return found


async def test_kept_prompts_choose_as_those_that_are_read_for_each_turn(learned_store: Path) -> None:
    async with AsyncWorkspace(opened(learned_store)) as space:
        kept = await open_turn_prompts(space, ASKED_ANN, _learned(_record(space)))
        for turn in (*map(Question, TURNS), None):
            fresh = await choose_prompt(space, ASKED_ANN, _record(space), turn, score=False)
            found = await kept.choose(turn)
            assert found.prompt is not None
            assert fresh.prompt is not None
            assert (found.why, found.model, found.prompt.text) == (fresh.why, fresh.model, fresh.prompt.text)


async def test_opinions_are_embedded_once_and_turns_are_not_kept(learned_store: Path) -> None:
    async with AsyncWorkspace(opened(learned_store)) as space:
        letters = Letters()
        kept = TurnPrompts(_learned(_record(space)), RememberedDocuments(letters))
        for turn in (*TURNS, TURNS[0]):
            await kept.choose(Question(turn))
    assert len(letters.texts) == len(set(letters.texts)) + 1  # the repeated turn
    assert set(TURNS) < set(letters.texts)


async def test_remembered_documents_compare_like_embeddings() -> None:
    queries, documents = ["tea", "a lake"], ["sea", "tea", "sea", "noon"]
    remembered = RememberedDocuments(Letters())
    expected = await EmbeddingSimilarity(Letters()).similarity(queries, documents)
    for _ in range(2):
        np.testing.assert_allclose(await remembered.similarity(queries, documents), expected, rtol=1e-6)
    assert (await remembered.similarity([], documents)).shape == (0, 4)


async def test_without_embeddings_the_overall_scores_choose_and_the_reason_is_noted(learned_store: Path) -> None:
    async with AsyncWorkspace(opened(learned_store)) as space:
        letters = Letters()
        letters.fails = True
        found = await TurnPrompts(_learned(_record(space)), RememberedDocuments(letters)).choose(Question(TURNS[0]))
    assert found.prompt is not None
    assert found.why.endswith("on all opinions (no embeddings today)")


async def test_a_closed_gate_and_a_damaged_record_give_no_prompts(learned_store: Path) -> None:
    async with AsyncWorkspace(opened(learned_store)) as space:
        record = _record(space)
        payload = {**record.payload, "evidence": {"personalized": [0.0], "base": [1.0]}}
        space.store.save_personalization("ann", "fermi", payload)
        closed = read_prompts(_record(space))
        space.store.save_personalization("ann", "fermi", {"version": "none"})
        damaged = read_prompts(_record(space))
        space.store.save_personalization("ann", "fermi", record.payload)
    assert closed.learned is None
    assert "the base model answers" in closed.why
    assert damaged.learned is None
    assert damaged.why
