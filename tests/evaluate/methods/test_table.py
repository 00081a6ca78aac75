"""Every method of the table: it can be made, it answers, it is never shown an answer that it is judged on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.configuration import read_config
from idiolect.evaluate.methods.bench import Bench, OpenWeights
from idiolect.evaluate.methods.spec import parse_specs
from idiolect.evaluate.methods.table import METHODS
from idiolect.evaluate.plan import EvaluationOptions, planned
from idiolect.evaluate.running import Runner
from idiolect.methods.chameleon.settings import preset
from idiolect.methods.fermi.extension_settings import (
    DispositionSettings,
    EnsembleSettings,
    HybridSettings,
    SearchSettings,
)
from idiolect.methods.fermi.settings import MetaPromptSettings
from idiolect.models.calls.model import Source
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.evaluate.methods.every_prompt import Shown, on_doubles, on_weights, writers
from tests.evaluate.small_world import CONFIG, arms, bench, said, scored

TAKEN = {
    "fermi-no-crossing": {"search": SearchSettings(crossing=2)},
    "fermi-no-examples": {"hybrid": HybridSettings(examples=2)},
    "fermi-one-prompt": {"ensemble": EnsembleSettings(prompts=2)},
    "fermi-no-own-answers": {"ensemble": EnsembleSettings(own_answers=1.0)},
    "fermi-no-calibration": {"ensemble": EnsembleSettings(calibrate=True, sharpness=0.5)},
    "fermi-no-median": {"ensemble": EnsembleSettings(decide="median")},
    "fermi-no-kinds": {"meta_prompt": MetaPromptSettings(form="diagnosis", kinds=("scale", "biography"))},
    "fermi-no-dispositions": {"dispositions": DispositionSettings(number=6)},
}
"""Settings that have what an ablation takes away."""
ELSEWHERE = ("lamp-rag", *TAKEN)
"""Methods that need other tasks or settings, and have tests of their own."""
ON_DOUBLES = [name for name, entry in METHODS.items() if "weights" not in entry.needs and name not in ELSEWHERE]
TRAINED = [name for name, entry in METHODS.items() if "dpo" in entry.needs]
"""Methods that take long, and have tests of their own."""
ON_WEIGHTS = [
    name
    for name, entry in METHODS.items()
    if "weights" in entry.needs and name not in TRAINED and not name.startswith("chameleon-p")
]


def told(request: CompletionRequest) -> str:
    content = request.messages[-1].content
    return said(request) if "square brackets" in content else f"They like {len(content)} things, and tea."


def double() -> FunctionModel:
    return FunctionModel("double", complete=told, choice_logprobs=scored)


def shown_to(answering: FunctionModel) -> list[str]:
    requests = [*answering.completion_requests, *answering.choice_requests]
    return ["\n".join(message.content for message in request.messages) for request in requests]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_can_be_made(name: str) -> None:
    entry = METHODS[name]
    assert entry.make(()) == entry.make(())
    assert entry.help
    opened = bench(open_weights=OpenWeights(None, "1", preset("measured")))  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=r"unknown setting 'nonsense'|takes no settings in brackets"):
        arms(f"{name}[nonsense=1]")[0].learning_key(opened)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("few-shot[k=0]", "k is 0, must be at least 1"),
        ("few-shot[nearness=bm26]", "must be one of 'dense', 'bm25'"),
        ("few-shot[k=many]", "must be a whole number"),
        ("rag[k=-1]", "k is -1"),
        ("rag[nearness=near]", "must be one of"),
        ("few-shot-tuned[ks=4+0]", "at least 1"),
        ("few-shot-tuned[ks=a+b]", "must be a whole number"),
        ("enrichment[strategy=other]", "must be one of"),
        ("fermi[retrieval.pool=other]", "must be one of"),
        ("fermi[iterations=0]", "at least 1"),
        ("fermi[answering.mode=likelihood]", "same for all methods"),
        ("fermi[retrieval.similarity=bm25]", "same for all methods"),
        ("fermi[preset=paper]", "the preset is the same for all methods"),
        ("fermi-symmetric[proposers=demonstrations]", "no LLM proposer"),
        ("fermi+chameleon[iterations=1]", "takes no settings"),
        ("fermi-no-retrieval[retrieval.retrieve=true]", "brackets undo what makes this method"),
        ("fermi-llm[proposers=demonstrations]", "brackets undo what makes this method"),
        ("fermi-no-failures[meta_prompt.failures=symmetric]", "brackets undo what makes this method"),
        ("fermi-symmetric[meta_prompt.failures=none]", "brackets undo what makes this method"),
        ("opro[hybrid.examples=4]", "brackets undo what makes this method"),
    ],
)
def test_a_wrong_setting_is_found_before_anything_is_asked(spec: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        arms(spec)[0].learning_key(bench())


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [("fermi[retrieval.similarity=bm25]", "similarity"), ("fermi-symmetric[proposers=demonstrations]", "optimizer")],
)
def test_a_setting_that_is_no_methods_own_is_named(spec: str, remedy: str) -> None:
    with pytest.raises(SettingsError) as refused:
        arms(spec)[0].learning_key(bench())
    assert refused.value.remedy == Remedy(remedy)


def test_what_has_no_embeddings_or_weights_says_so_at_once() -> None:
    with pytest.raises(SettingsError, match="selected by embeddings"):
        arms("insights")[0].learning_key(bench(dense=None))
    for name in [*ON_WEIGHTS, *TRAINED]:
        with pytest.raises(SettingsError, match="no access to its weights"):
            arms(name)[0].learning_key(bench())


def test_what_would_score_later_is_refused_where_calls_are_limited() -> None:
    limited = bench(calls_per_person=9)
    arms("fermi[retrieval.pool=memory]")[0].learning_key(limited)
    with pytest.raises(SettingsError, match=r"put retrieval\.pool=memory into brackets"):
        arms("opro[retrieval.pool=last]")[0].learning_key(limited)


async def test_no_method_is_shown_what_it_is_judged_on(tmp_path: Path) -> None:
    answering = double()
    opened = on_doubles(writers("ann", "bob"), answering)
    archive = Archive.open(tmp_path, CONFIG)
    await Runner(opened, arms(",".join(ON_DOUBLES), controls=False), (0, 1), archive).run()
    assert {str(each.arm) for each in archive.learning} == set(ON_DOUBLES)
    shown = shown_to(answering)
    assert len(shown) > 100
    leaks = [text for text in shown for name in ("ann", "bob") if f"{name}-asked" in text]
    assert leaks == []
    assert any("ann-train-3 likes" in text for text in shown), "the test can see what is shown"


@pytest.mark.parametrize("method", TAKEN)
async def test_an_ablation_needs_what_it_takes_away_and_changes_the_answers_key(method: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="away, so the settings have to have some"):
        arms(method)[0].learning_key(bench())
    opened = on_doubles(writers("ann"), double())
    opened = replace(opened, fermi=replace(opened.fermi, **TAKEN[method]))  # type: ignore[arg-type]
    whole, without = arms("fermi")[0], arms(method, controls=False)
    assert whole.learning_key(opened) != without[0].learning_key(opened)
    archive = Archive.open(tmp_path, CONFIG)
    await Runner(opened, without, (0,), archive).run()
    assert {each.status for each in archive.answers if each.index < 2} <= {"scored", "unparsed"}
    assert archive.answers


async def test_without_dispositions_none_are_asked_for(tmp_path: Path) -> None:
    def dispositions(opened: Bench) -> int:
        source = opened.optimizer
        assert isinstance(source, Source)
        assert isinstance(source.model, FunctionModel)
        contents = [request.messages[-1].content for request in source.model.completion_requests]
        assert not [text for text in contents if "ann-asked" in text or "bob-asked" in text]
        return sum("dispositions of this person:" in text for text in contents)

    for method, number in (("fermi", 2), ("fermi-no-dispositions", 0)):
        opened = on_doubles(writers("ann"), double())
        on = replace(opened.fermi, search=SearchSettings(crossing=2), dispositions=DispositionSettings(number=6))
        opened = replace(opened, fermi=on)
        await Runner(opened, arms(method, controls=False), (0,), Archive.open(tmp_path / method, CONFIG)).run()
        assert dispositions(opened) == number
    for spec in ("fermi-no-dispositions", "fermi-no-dispositions[search.crossing=2,dispositions.number=3]"):
        with pytest.raises(SettingsError, match="takes dispositions away"):
            arms(spec)[0].learning_key(bench())


async def test_controls_are_shown_nothing_of_the_person(tmp_path: Path) -> None:
    answering = double()
    opened = on_doubles(writers("ann", "bob"), answering)
    controls = [each for each in arms(",".join(ON_DOUBLES)) if each.arm.control == "another's"]
    assert len(controls) > 10
    archive = Archive.open(tmp_path, CONFIG, shard=(0, 2))  # Ann alone
    await Runner(opened, controls, (0,), archive).run()
    assert {each.user for each in archive.learning} == {"ann"}
    assert {each.status for each in archive.answers if each.index < 2} <= {"scored", "unparsed"}
    shown = shown_to(answering)
    assert not [text for text in shown if "ann-" in text]
    assert not [text for text in shown if "bob-asked" in text]
    for control in controls:
        if control.spec.name != "majority-own":
            assert any("bob-" in text for text in shown)


async def test_no_method_with_open_weights_is_shown_what_it_is_judged_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Shown(monkeypatch)
    opened = on_weights(writers("ann", "bob"), tmp_path / "weights")
    archive = Archive.open(tmp_path / "out", CONFIG)
    methods = ",".join(["vanilla", *ON_WEIGHTS])
    await Runner(opened, arms(methods, controls=False), (0,), archive).run()
    by_method = {str(each.arm): each for each in archive.learning if each.user == "ann"}
    assert set(by_method) == {"vanilla", *ON_WEIGHTS}
    reasons = {(x.arm.method, x.reason) for x in archive.answers if x.reason}
    assert not reasons
    assert len(shown.messages) > 50
    assert not [text for text in shown.messages if "ann-asked" in text or "bob-asked" in text]
    assert any("ann-train" in text for text in shown.messages)
    _groups_are_learned_once(archive)


def _groups_are_learned_once(archive: Archive) -> None:
    """The first member pays; unseen people are others."""
    for name, members in (("chameleon-group", 2), ("chameleon-unseen", 3)):
        records = [each for each in archive.learning if str(each.arm) == name]
        assert [each.learning.calls > 0 for each in records] == [True, False]
        assert {each.notes["members"] for each in records} == {members}


async def test_every_method_says_the_same_twice(tmp_path: Path) -> None:
    found = []
    for folder in ("a", "b"):
        archive = Archive.open(tmp_path / folder, CONFIG)
        opened = on_doubles(writers("ann", "bob"))
        await Runner(opened, arms(",".join(ON_DOUBLES)), (0,), archive).run()
        found.append(archive.answers)
    assert found[0] == found[1]


def test_the_published_evaluations_can_be_planned() -> None:
    folder = Path(__file__).resolve().parents[3] / "docs" / "results" / "evaluations"
    files = sorted(folder.glob("*.toml"))
    assert files
    for path in files:
        options = read_config(path, {}).evaluation_options()
        assert len(planned(options)) >= len(options.methods)
        assert isinstance(options, EvaluationOptions)
        assert parse_specs(",".join(map(str, options.methods))) == options.methods
