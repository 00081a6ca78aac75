"""Which preset a model gets if nobody names one, and what is reported about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from transformers import LlamaConfig

from idiolect.application.choices import FermiChoices, fermi_settings
from idiolect.application.fermi import FermiLearner
from idiolect.application.fitting import FitEvents, FitStart, fit_users, open_learner
from idiolect.application.forecasting import FermiForecast, forecast_fermi
from idiolect.application.model_pool import ModelPool, own_model
from idiolect.application.presets import FEWEST_PARAMETERS_OF_A_WRITER, choose_preset, preset_for
from idiolect.application.run import CallSettings
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import ModelError, SettingsError
from idiolect.methods.fermi.presets import preset
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest
from tests.application.mimicked import ANN
from tests.cli.learning import mimic
from tests.models import tiny

ONE_ROUND = FermiChoices(similarity="bm25", iterations=1)


class ScoringModel:
    """A `ChoiceModel` that writes nothing."""

    name = "scores"

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        raise NotImplementedError


def configured(folder: Path, width: int) -> str:
    """A model's folder without weights; a width of 2048 makes 1.5 billion parameters of it."""
    LlamaConfig(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=20).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("model", "parameters", "line"),
    [
        ("gpt-4o-mini", None, "preset api, because gpt-4o-mini is behind an API"),
        ("http://127.0.0.1:9/v1?api-version=2024-10-21#m", None, "preset api, because m is behind an API"),
        ("http://127.0.0.1:9/v1", None, "preset api, because the model is behind an API"),
        ("embedded", 134_515_008, "preset demo, because embedded has 135 million parameters"),
        ("a/b", 43_296, "preset demo, because a/b has 43,296 parameters"),
        ("a/b", FEWEST_PARAMETERS_OF_A_WRITER - 1, "preset demo, because a/b has 200 million parameters"),
        ("a/b", FEWEST_PARAMETERS_OF_A_WRITER, "preset local, because a/b has 200 million parameters"),
        ("a/b", 1_543_714_304, "preset local, because a/b has 1.5 billion parameters"),
        ("a/b", 70_553_706_496, "preset local, because a/b has 70.6 billion parameters"),
        ("a/b", None, "preset local, because the number of parameters of a/b is unknown"),
    ],
)
def test_the_number_of_parameters_decides_and_the_line_states_it(model: str, parameters: int | None, line: str) -> None:
    assert preset_for(model, parameters).line == line


def test_local_is_api_with_likelihood_and_both_proposers() -> None:
    local, api = preset("local"), preset("api")
    assert (local.proposers, local.answering.mode) == (("llm", "demonstrations"), "likelihood")
    assert local.answering.show_choices
    assert (local.meta_prompt, local.meta_prompt.prefill) == (api.meta_prompt, "")
    assert local.meta_prompt.max_tokens > preset("demo").meta_prompt.max_tokens
    assert (local.retrieval, local.evidence, local.max_opinions) == (api.retrieval, api.evidence, api.max_opinions)
    assert (local.retrieval.pool, local.retrieval.lazy, local.evidence.share) == ("memory", True, 0.0)


async def test_a_model_is_counted_from_its_files_and_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("idiolect.application.model_pool.open_named_model", lambda *_: pytest.fail("it was opened"))
    pool = ModelPool(CallSettings())
    small, large = configured(tmp_path / "small", 64), configured(tmp_path / "large", 2048)
    assert (await choose_preset(pool, small)).name == "demo"
    found = await choose_preset(pool, large)
    assert (found.name, found.reason) == ("local", "large has 1.5 billion parameters")
    assert (await choose_preset(pool, "replay:nowhere.jsonl")).name == "local"
    assert (await choose_preset(None, "nobody/nothing", opening=False)).reason.endswith("before it is downloaded")


async def test_a_model_that_is_not_here_yet_is_opened_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idiolect.application.model_pool.open_named_model", lambda *_: own_model(tiny.local_model()))
    found = await choose_preset(ModelPool(CallSettings()), "some/id")
    assert found.line == f"preset demo, because some/id has {tiny.llama().num_parameters():,} parameters"


async def test_a_model_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model at"):
        await choose_preset(ModelPool(CallSettings()), str(tmp_path / "nowhere"))


async def test_a_model_object_is_counted_if_it_describes_itself() -> None:
    pool = ModelPool(CallSettings())
    weights, function = pool.add(tiny.local_model()), pool.add(FunctionModel("mine"))
    assert (await choose_preset(pool, weights)).name == "demo"
    for opening in (True, False):
        found = await choose_preset(pool, function, opening=opening)
        assert found.line == "preset local, because the number of parameters of mine is unknown"


async def test_the_writer_of_prompts_decides_whether_its_turn_is_begun(tmp_path: Path) -> None:
    pool, choices = ModelPool(CallSettings()), FermiChoices()
    small, large = configured(tmp_path / "small", 64), configured(tmp_path / "large", 2048)
    for optimizer, begun in ((None, True), (small, True), (large, False), ("gpt-4o", False)):
        chosen = await choose_preset(pool, "embedded", optimizer=optimizer)
        found = fermi_settings(choices, model="embedded", optimizer=optimizer, chosen=chosen)
        assert (found.preset, bool(found.meta_prompt.prefill)) == ("demo", begun), optimizer
    named = fermi_settings(FermiChoices("demo"), model="embedded", optimizer=large, chosen=None)
    assert named.meta_prompt == preset("demo").meta_prompt, "a preset that the caller named was changed"


async def test_a_fit_starts_with_the_choice_unless_a_preset_is_named(tmp_path: Path) -> None:
    started: list[FitStart] = []
    events = FitEvents(started=started.append)
    for choices in (ONE_ROUND, FermiChoices("demo", similarity="bm25", iterations=1)):
        async with AsyncWorkspace(WorkspaceSettings(tmp_path / "store", mimic())) as space:
            learner = await open_learner(space, choices)
            assert isinstance(learner, FermiLearner)
            assert learner.settings.preset == (choices.preset or "local")
            await fit_users(space, learner, [ANN], events=events)
    unknown = "preset local, because the number of parameters of mimic is unknown"
    assert [each.preset_line for each in started] == [unknown, ""]


async def test_a_model_that_writes_nothing_cannot_propose(tmp_path: Path) -> None:
    async with AsyncWorkspace(WorkspaceSettings(tmp_path / "store", ScoringModel())) as space:  # type: ignore[arg-type]
        with pytest.raises(SettingsError, match="'scores' writes no text, so it cannot propose prompts") as caught:
            await open_learner(space, ONE_ROUND)
        assert caught.value.remedy is not None
        assert (caught.value.remedy.setting, caught.value.remedy.value) == ("proposers", "demonstrations")
        assert not (tmp_path / "store").exists()


async def test_a_forecast_uses_the_same_preset_as_the_fit(tmp_path: Path) -> None:
    async def forecast(model: str, choices: FermiChoices = ONE_ROUND) -> FermiForecast:
        return await forecast_fermi([ANN], choices, model=model)

    large = await forecast(configured(tmp_path / "large", 2048))
    assert (large.preset, large.chosen is not None and large.chosen.name) == ("local", "local")
    assert large.optimizing.counts.calls > 0
    assert (await forecast("embedded", FermiChoices("paper-offline"))).chosen is None
