"""CHAMELEON's use cases, on tiny weights in a folder: who is learned anew, what an edit needs, and when it is stale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from idiolect.application import model_pool
from idiolect.application.asking import NOT_JUDGED_TOGETHER, Asked, ask
from idiolect.application.chameleon import USER_NOTE, ChameleonSummary
from idiolect.application.choices import FermiChoices, chameleon_settings
from idiolect.application.fitting import fit_users, open_learner
from idiolect.application.names import AskedMethod
from idiolect.application.opinions import add_opinion, remove_opinion
from idiolect.application.owner import Owner
from idiolect.application.persons import forget
from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import (
    BudgetExceededError,
    MissingExtraError,
    ModelError,
    NotFittedError,
    OtherWeightsError,
    SettingsError,
)
from idiolect.models.calls.budget import Limits
from idiolect.models.catalog import open_local_model
from idiolect.models.local import LocalModel
from idiolect.models.similarity import Bm25Similarity, Similarity
from idiolect.people.user import Opinion, Question
from idiolect.store import DEFAULT_TENANT, Store
from tests.application.edited import PAPER, SMALL, U1, U2, fit
from tests.application.mimicked import SILENT
from tests.application.served import states
from tests.cli.learning import TEA
from tests.cli.open_weights import evidence, learned, save, too_costly, weights
from tests.cli.opened_doubles import open_similarities

pytestmark = pytest.mark.usefixtures("hashed")
ASKED_U1 = Owner.user("u1")
WRITTEN = replace(PAPER, pairs=12)
"""Choices with which a tiny model writes enough pairs that are not degenerate."""


async def ask_in(store: Path, *, owner: Owner = ASKED_U1, method: AskedMethod | None = None) -> Asked:
    async with AsyncWorkspace(WorkspaceSettings(store)) as space:
        return await ask(space, owner, TEA, method=method)


async def test_edits_are_learned_and_who_gave_too_little_fails_alone(tmp_path: Path, tiny_weights: str) -> None:
    report = await fit(tmp_path / "store", tiny_weights, [SILENT, U1])
    assert states(report) == {"silent": "failed", "u1": "learned"}
    assert "different opinions and texts, but 'silent' has 1" in str(report.outcomes[0].error)
    kept = learned(tmp_path / "store", "u1")
    assert report.outcomes[1].summary == ChameleonSummary.of(kept)
    assert (kept.model, len(kept.fingerprint)) == (tiny_weights, 64)
    assert (kept.pairs, kept.variant.rule, kept.started_from) == ((), "grouped", None)
    assert (kept.n_items, kept.n_judged > 0) == (len(U1.opinions) + len(U1.texts), True)
    assert kept.evidence is not None


async def test_pairs_are_written_and_judged_degenerate_or_not(tmp_path: Path, tiny_weights: str) -> None:
    report = await fit(tmp_path / "store", tiny_weights, [U1], WRITTEN)
    kept = learned(tmp_path / "store", "u1")
    assert report.spending.calls == 2 + 2 * 12, "two insights, and both sides of every pair"
    assert len(kept.pairs) + sum(kept.dropped.values()) == 12


async def test_what_was_generated_is_never_generated_again(tmp_path: Path, tiny_weights: str) -> None:
    store = tmp_path / "store"
    stopped = await fit(store, tiny_weights, [U1], WRITTEN, limit=3)
    assert (states(stopped), stopped.spending.calls) == ({"u1": "not learned"}, 3)
    resumed = await fit(store, tiny_weights, [U1], WRITTEN, resume=True)
    assert (resumed.complete, resumed.spending.calls, resumed.spending.from_cache) == (True, 2 + 2 * 12 - 3, 3)
    first = learned(store, "u1")
    assert states(await fit(store, tiny_weights, [U1], WRITTEN, resume=True)) == {"u1": "already learned"}
    assert learned(store, "u1") == first


async def test_the_models_own_texts_are_written_once_within_the_budget(tmp_path: Path, tiny_weights: str) -> None:
    """They come before people, whose own limits do not apply to them, and stay when people are forgotten."""
    store = tmp_path / "store"
    with pytest.raises(BudgetExceededError, match=r"budget of 3 calls is spent: 3 made: nobody was learned from"):
        await fit(store, tiny_weights, [U1], limit=3)
    stepping = chameleon_settings(SMALL, model=tiny_weights).stepping
    assert stepping is not None
    each = CallSettings(user=Limits(calls=1))
    async with AsyncWorkspace(WorkspaceSettings(store, tiny_weights, calls=each)) as space:
        report = await fit_users(space, await open_learner(space, SMALL), [U1])
        assert (states(report), report.spending.from_cache) == ({"u1": "learned"}, 3)
        assert report.spending.calls == stepping.neutral_texts - 3
        assert (await forget(space, "u1")).proven
    again = await fit(store, tiny_weights, [U2])
    assert (states(again), again.spending.calls) == ({"u2": "learned"}, 0)
    assert again.spending.from_cache == stepping.neutral_texts


async def test_resume_learns_anew_what_changed(edited_store: Path, tiny_weights: str) -> None:
    changed = replace(U1, texts=("something else", *U1.texts))
    report = await fit(edited_store, tiny_weights, [changed, U2], resume=True)
    assert states(report) == {"u1": "learned", "u2": "already learned"}
    others = await fit(edited_store, tiny_weights, [changed, U2], replace(SMALL, seed=1), resume=True)
    assert states(others) == {"u1": "learned", "u2": "learned"}


async def test_a_similarity_without_embeddings_is_refused_where_a_history_is_chosen(
    tmp_path: Path, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_similarities(monkeypatch, lambda _: Bm25Similarity())
    words = replace(PAPER, similarity="bm25")
    with pytest.raises(SettingsError, match="by embeddings, but bm25 has none") as caught:
        await fit(tmp_path / "store", tiny_weights, [U1], words)
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "similarity"
    assert not (tmp_path / "store").exists()


async def test_embeddings_are_asked_for_only_where_a_history_is_chosen(
    tmp_path: Path, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_name: str) -> Similarity:
        raise MissingExtraError("no embeddings here")

    open_similarities(monkeypatch, missing)
    own = await fit(tmp_path / "store", tiny_weights, [U1])
    assert own.complete, "a person's words are all read, so none are selected"
    with pytest.raises(MissingExtraError, match="no embeddings here") as caught:
        await fit(tmp_path / "store", tiny_weights, [U1], PAPER)
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "similarity"


async def test_a_model_of_an_unknown_family_is_refused_before_anything_is_written(
    tmp_path: Path, tiny_weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_mlps(name: str, *, dtype: str | None, scoring_dtype: str | None) -> LocalModel:
        assert scoring_dtype is None
        local = open_local_model(name, dtype=dtype)
        for layer in local.network.module.model.layers:
            layer.mlp = torch.nn.Identity()
        return local

    monkeypatch.setattr(model_pool, "open_local_model", without_mlps)
    with pytest.raises(ModelError, match=r"layer 0 has no mlp\.down_proj"):
        await fit(tmp_path / "store", tiny_weights, [U1])
    assert not (tmp_path / "store").exists()


# Asked


async def test_the_edit_answers_beside_the_base_model_as_the_evidence_has_it(
    edited_store: Path, tiny_weights: str
) -> None:
    kept, asked = learned(edited_store, "u1"), await ask_in(edited_store)
    assert asked.edit == kept
    assert asked.answers.keys() == {"base", "edited"}
    assert asked.answers["base"].scores != asked.answers["edited"].scores, "the edit was not active"
    assert asked.counts == ("edited" if kept.used else "base")
    assert (asked.personalized, asked.why, asked.stale) == (kept.used, kept.gate, "")
    assert asked.response is asked.answers[asked.counts]
    assert kept.model == tiny_weights


async def test_other_or_unknown_weights_than_those_fitted_on_are_refused(tmp_path: Path) -> None:
    name, store = weights(tmp_path / "weights"), tmp_path / "store"
    assert (await fit(store, name, [U1])).complete
    weights(tmp_path / "weights", seed=1)
    with pytest.raises(OtherWeightsError, match="are not those that the edit was learned on") as caught:
        await ask_in(store)
    assert (caught.value.model, caught.value.owner, caught.value.kind) == (name, "u1", "user")
    unknown = replace(learned(store, "u1"), fingerprint="")
    save(store, "u1", unknown)
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        opened.groups.create("readers", ("u1",))
        members = opened.groups.read_members("readers")
        card, tensors = unknown.to_json(), unknown.tensor_bytes()
        opened.groups.save_personalization("readers", "chameleon", card, tensors, fitted_on=members)
    for owner in (ASKED_U1, Owner.group("readers")):
        with pytest.raises(OtherWeightsError, match="it is unknown which weights") as caught:
            await ask_in(store, owner=owner)
        assert (caught.value.owner, caught.value.kind) == (owner.id, owner.kind)


async def test_an_edit_that_costs_too_much_does_not_answer(edited_store: Path) -> None:
    """If scores speak for the edit, and its cost on the model's own texts against it, nothing says that it answers."""
    costly = too_costly(learned(edited_store, "u1"))
    save(edited_store, "u1", costly)
    assert (costly.used, costly.evidence and costly.evidence.used) == (False, True)
    counted = ChameleonSummary.of(costly)
    assert (counted.used, counted.evidence, counted.too_costly) == (False, costly.gate, True)
    asked = await ask_in(edited_store)
    assert (asked.counts, asked.why) == ("base", costly.gate)


@pytest.mark.parametrize("scores", [(0.0, 0.0), (1.0,)])
def test_the_summary_has_what_the_evidence_decided(edited_store: Path, scores: tuple[float, ...]) -> None:
    kept = learned(edited_store, "u1")
    eligible = tuple(replace(trial, eligible=True) for trial in kept.trials)
    judged = replace(kept, trials=eligible, evidence=evidence(scores, (0.5,) * len(scores)))
    counted = ChameleonSummary.of(judged)
    assert (counted.used, counted.evidence, counted.too_costly) == (scores == (1.0,), judged.gate, False)
    assert (counted.base_score, counted.edited_score) == (0.5, sum(scores) / len(scores))
    assert (counted.judged, counted.text_gain) == (len(scores), None)
    both = ChameleonSummary.of(replace(judged, evidence=evidence(scores, (0.5,) * len(scores), (0.1, 0.3))))
    assert (both.judged, both.text_gain) == (len(scores) + 2, pytest.approx(0.2))
    unjudged = ChameleonSummary.of(replace(judged, evidence=None))
    assert (unjudged.used, unjudged.evidence, unjudged.base_score, unjudged.edited_score) == (True, None, None, None)


async def test_an_edit_learned_before_the_data_changed_is_stale(edited_store: Path) -> None:
    async with AsyncWorkspace(WorkspaceSettings(edited_store)) as space:
        await remove_opinion(space, "u1", U1.opinions[0].question.text)
        assert (await ask(space, ASKED_U1, TEA)).stale == USER_NOTE
        assert (await ask(space, Owner.user("u2"), TEA)).stale == ""


async def test_an_opinion_added_later_leaves_the_edit_as_it_was(edited_store: Path) -> None:
    before = learned(edited_store, "u1")
    async with AsyncWorkspace(WorkspaceSettings(edited_store)) as space:
        added = await add_opinion(space, "u1", Opinion(Question("Would you drink wine at noon?"), "no"))
        assert (added.change, added.learned, added.edited, space.opened_run) == ("added", False, True, None)
    assert learned(edited_store, "u1") == before
    assert (await ask_in(edited_store)).stale == USER_NOTE


async def test_both_methods_answer_together(edited_store: Path, tiny_weights: str) -> None:
    with pytest.raises(NotFittedError, match="'fermi' has learned nothing for user 'u1'"):
        await ask_in(edited_store, method="both")
    async with AsyncWorkspace(WorkspaceSettings(edited_store, tiny_weights)) as space:
        quick = FermiChoices(similarity="bm25", iterations=2, proposers=("demonstrations",))
        await fit_users(space, await open_learner(space, quick), [U1])
    alone = await ask_in(edited_store)
    assert (alone.edit, alone.prompts is None) == (None, False), "prompts answer before an edit"
    asked, edit = await ask_in(edited_store, method="both"), await ask_in(edited_store, method="chameleon")
    assert len({response.scores for response in asked.answers.values()}) == len(asked.answers) == 4
    together, alone_edited = asked.answers["edited"], edit.answers["edited"]
    assert together.answer == alone_edited.answer
    assert together.scores == pytest.approx(alone_edited.scores, abs=1e-4), "passes of other sizes round differently"
    assert asked.prompts is not None
    assert asked.edit is not None
    by = {(True, True): "prompt and edit", (True, False): "prompt", (False, True): "edited", (False, False): "base"}
    assert asked.counts == by[asked.prompts.used, asked.edit.used]
    assert asked.why.endswith(NOT_JUDGED_TOGETHER)
    assert "Fermi: not judged, according to its settings. CHAMELEON: " in asked.why
    with Store.open(edited_store, tenant=DEFAULT_TENANT) as store:
        payload = store.personalization("u1", "fermi")
        store.save_personalization("u1", "fermi", {**payload, "model": "embedded"})
    with pytest.raises(SettingsError, match="to use both, fit one of them again"):
        await ask_in(edited_store, method="both")
