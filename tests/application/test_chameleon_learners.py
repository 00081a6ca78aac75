"""The preset that nobody names: where a step of people with texts begins, and where that of people without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.application import chameleon_learners, model_pool
from idiolect.application.chameleon import ChameleonSummary
from idiolect.application.chameleon_learners import LearnerByPerson
from idiolect.application.choices import ChameleonChoices
from idiolect.application.fitting import FitEvents, FitReport, FitStart, fit_users, open_learner
from idiolect.application.model_pool import ModelPool
from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.methods.chameleon.evidence import ChameleonEvidence
from idiolect.methods.chameleon.measuring import EditableModel
from idiolect.methods.chameleon.personalization import StartedFrom
from idiolect.methods.chameleon.settings import preset
from idiolect.methods.chameleon.start import Start
from idiolect.models.catalog import open_local_model
from idiolect.models.local import LocalModel
from tests.application.edited import U1, U2, fit
from tests.application.mimicked import SILENT
from tests.application.served import states
from tests.cli.open_weights import learned
from tests.methods.chameleon.starts import random_start
from tests.models.tiny import SIZES

USUAL = ChameleonChoices()
RATER, OTHER = replace(U1, id="rater", texts=()), replace(U2, id="other", texts=())
PACKAGED = random_start(SIZES["num_hidden_layers"], SIZES["hidden_size"])
_STEPPING = preset("measured").stepping
assert _STEPPING is not None
OWN_TEXTS = _STEPPING.neutral_texts


@pytest.fixture(autouse=True)
def _tiny_embedded(tiny_weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny weights under the embedded model's name, for which an edit of their size is packaged."""

    def opened(name: str, *, dtype: str | None, scoring_dtype: str | None) -> LocalModel:
        return open_local_model(tiny_weights if name == "embedded" else name, dtype=dtype, scoring_dtype=scoring_dtype)

    async def packaged(name: str, _fingerprint: str, _model: EditableModel) -> Start | None:
        return PACKAGED if name == "embedded" else None

    monkeypatch.setattr(model_pool, "open_local_model", opened)
    monkeypatch.setattr(chameleon_learners, "packaged_start", packaged)


def presets(report: FitReport) -> dict[str, str]:
    return {each.user_id: each.summary.preset for each in report.outcomes if isinstance(each.summary, ChameleonSummary)}


async def test_a_person_without_texts_begins_at_nothing_and_a_writer_at_the_packaged_edit(tmp_path: Path) -> None:
    report = await fit(tmp_path, "embedded", [RATER, U1, OTHER], USUAL)
    assert presets(report) == {"rater": "measured", "u1": "grouped", "other": "measured"}
    assert report.spending.calls == OWN_TEXTS, "the model is measured once, for both who need it"
    rater, writer = learned(tmp_path, "rater"), learned(tmp_path, "u1")
    assert (rater.settings, rater.started_from) == (preset("measured"), None)
    assert writer.settings == preset("grouped")
    assert writer.started_from == StartedFrom(PACKAGED.group, PACKAGED.digest, "package")
    assert rater.usage.calls < OWN_TEXTS + learned(tmp_path, "other").usage.calls, "what all share is nobody's cost"


async def test_a_model_that_stays_open_is_measured_once_for_all_fits(tmp_path: Path) -> None:
    pool, calls = ModelPool(CallSettings()), list[int]()
    for user, folder in ((RATER, "one"), (OTHER, "two")):
        async with AsyncWorkspace(WorkspaceSettings(tmp_path / folder, "embedded"), models=pool) as space:
            report = await fit_users(space, await open_learner(space, USUAL), [user])
            assert states(report) == {user.id: "learned"}
            calls.append(report.spending.calls)
    await pool.aclose()
    assert calls == [OWN_TEXTS, 0], "the second store's cache has none of these texts"


async def test_a_persons_edit_is_the_one_of_the_preset_if_it_were_named(tmp_path: Path) -> None:
    await fit(tmp_path / "usual", "embedded", [RATER, U1], USUAL)
    for user, name in ((RATER, "measured"), (U1, "grouped")):
        await fit(tmp_path / name, "embedded", [user], ChameleonChoices(name))
        usual, named = (learned(tmp_path / folder, user.id) for folder in ("usual", name))
        less = replace(usual, usage=named.usage, evidence=named.evidence)
        assert less == named, "less is computed again where somebody came before"
        assert isinstance(usual.evidence, ChameleonEvidence)
        assert isinstance(named.evidence, ChameleonEvidence)
        for one, other in zip(log_probabilities(usual.evidence), log_probabilities(named.evidence), strict=True):
            assert one == pytest.approx(other, abs=1e-5), "what is scored together rounds differently"
        assert usual.evidence.opinions == named.evidence.opinions


def log_probabilities(evidence: ChameleonEvidence) -> list[float]:
    """Log-probabilities of the texts that judged, under both models."""
    return [] if evidence.texts is None else [*evidence.texts.edited, *evidence.texts.base]


async def test_the_model_is_measured_only_if_somebody_is_learned_from_nothing(tmp_path: Path) -> None:
    too_few = replace(RATER, id="brief", opinions=RATER.opinions[:1])
    report = await fit(tmp_path, "embedded", [U1, SILENT, too_few], USUAL)
    assert states(report) == {"u1": "learned", "silent": "failed", "brief": "failed"}
    assert report.spending.calls == 0


async def test_a_budget_that_is_spent_on_measuring_leaves_writers_learned(tmp_path: Path) -> None:
    stopped = await fit(tmp_path, "embedded", [U1, RATER], USUAL, limit=OWN_TEXTS - 1)
    assert states(stopped) == {"u1": "learned", "rater": "not learned"}
    assert stopped.halted_by is not None
    resumed = await fit(tmp_path, "embedded", [U1, RATER], USUAL, resume=True)
    assert states(resumed) == {"u1": "already learned", "rater": "learned"}
    assert (resumed.spending.calls, resumed.spending.from_cache) == (1, OWN_TEXTS - 1)


async def test_an_edit_of_another_preset_is_not_up_to_date(tmp_path: Path) -> None:
    """As everybody's was who had no texts while the default was the same for all."""
    named = await fit(tmp_path, "embedded", [RATER, U1], ChameleonChoices("grouped"))
    assert presets(named) == {"rater": "grouped", "u1": "grouped"}, "a preset that is named is everybody's"
    assert states(await fit(tmp_path, "embedded", [RATER, U1], USUAL, resume=True)) == {
        "rater": "learned",
        "u1": "already learned",
    }
    again = await fit(tmp_path, "embedded", [RATER, U1], USUAL, resume=True)
    assert set(states(again).values()) == {"already learned"}


async def test_who_gets_a_first_text_begins_at_the_packaged_edit_from_then_on(tmp_path: Path) -> None:
    await fit(tmp_path, "embedded", [RATER], USUAL)
    writes = replace(RATER, texts=U1.texts[:1])
    report = await fit(tmp_path, "embedded", [writes], USUAL, resume=True)
    assert (states(report), presets(report)) == ({"rater": "learned"}, {"rater": "grouped"})


async def test_the_choice_and_its_reasons_are_told_before_anybody_is_learned_from(tmp_path: Path) -> None:
    told: list[FitStart] = []
    async with AsyncWorkspace(WorkspaceSettings(tmp_path, "embedded")) as space:
        learner = await open_learner(space, USUAL)
        assert isinstance(learner, LearnerByPerson)
        assert (learner.method, learner.remote) == ("chameleon", False)
        await fit_users(space, learner, [SILENT], events=FitEvents(started=told.append))
        assert (await open_learner(space, ChameleonChoices("grouped"))).preset_line == "", "it was named"
    assert [each.preset_line for each in told] == [
        "preset grouped for people with texts, because an edit of a group of writers is packaged for embedded; preset "
        "measured for people without texts, because where only choices are known, a step from nothing gained more"
    ]


async def test_a_model_without_a_packaged_edit_measures_for_everybody(tmp_path: Path, tiny_weights: str) -> None:
    report = await fit(tmp_path, tiny_weights, [U1], USUAL)
    assert presets(report) == {"u1": "measured"}
    assert report.spending.calls == OWN_TEXTS
