"""The model's own texts: written once, scored under every arm with its prompt, and at nobody's cost."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import ModelError, SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.evaluation import run_evaluation
from idiolect.evaluate.neutral_texts import neutral_texts
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.evaluate.running import Runner
from idiolect.evaluate.summarizing import summarize
from idiolect.evaluate.summary import Header
from idiolect.evaluate.tables import table
from idiolect.methods.neutral_texts import NeutralText
from idiolect.models.calls.model import Source
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest
from tests.evaluate.small_world import CONFIG, arms, bench, case, lines


def write(request: CompletionRequest) -> str:
    return f" about {request.messages[-1].content.split()[-1]} \x00\n"


def score(request: ChoiceRequest) -> list[float]:
    """Less likely by 1 nat a token for each word of a system message."""
    system = request.messages[0].content if request.messages[0].role == "system" else ""
    return [-(1.0 + len(system.split())) * len(choice.split()) for choice in request.choices]


def double(**changes: Any) -> FunctionModel:
    return FunctionModel("double", **{"complete": write, "choice_logprobs": score} | changes)


def writing(name: str, texts: Sequence[str]) -> Case:
    """Somebody with texts, and nothing else to be asked."""
    found = case(name, texts=("one two three",))
    return Case(replace(found.user, opinions=()), (), tuple(texts))


async def test_texts_are_written_at_temperature_1_and_kept(tmp_path: Path) -> None:
    model = double()
    opened = bench(answers=model)
    found = await neutral_texts(opened, 40, tmp_path)
    requests = model.completion_requests
    assert {(r.sampling.temperature, r.sampling.top_p, len(r.messages)) for r in requests} == {(1.0, 1.0, 1)}
    assert len({(r.messages, r.draw) for r in requests}) == 40, "a subject that comes again is another draw"
    assert found[0].text == found[0].text.strip().replace("\x00", "")
    assert all(request.messages[0].content == each.request for request, each in zip(requests, found, strict=True))
    assert {each.logprob for each in found} == {-1.0}
    again = double()
    assert await neutral_texts(bench(answers=again), 40, tmp_path) == found
    assert not again.completion_requests
    assert await neutral_texts(opened, 0, tmp_path / "nowhere") == ()


async def test_blank_texts_are_left_out_and_what_cannot_be_is_refused(tmp_path: Path) -> None:
    drawn: list[str] = []

    def second(request: CompletionRequest) -> str:
        drawn.append(request.messages[0].content)
        return " " if len(drawn) == 1 else "text"

    assert len(await neutral_texts(bench(answers=double(complete=second)), 2, tmp_path)) == 1
    with pytest.raises(ModelError, match="all were blank"):
        await neutral_texts(bench(answers=double(complete=lambda _: " ")), 2, tmp_path / "blank")
    remote = replace(bench(answers=double()), model=Source(double(), "double", remote=True))
    with pytest.raises(SettingsError, match="behind an API"):
        await neutral_texts(remote, 2, tmp_path)
    (tmp_path / "neutral.jsonl").write_text('{"request": "r", "text": "t"}\n')
    with pytest.raises(SettingsError, match="no neutral text"):
        await neutral_texts(bench(answers=double()), 2, tmp_path)


async def test_every_arm_is_scored_with_its_prompt_and_its_cost_does_not_change(tmp_path: Path) -> None:
    of = Benchmark("users", (writing("ann", ["a b"]), writing("bob", ["c d"])), ("loglik", "neutral"))
    texts = tuple(NeutralText(f"Write about {n}.", f"text {n}", -1.0) for n in range(3))
    methods = "vanilla,few-shot,enrichment,majority-own"
    costs = {}
    for name, neutral in (("without", ()), ("with", texts)):
        model = double()
        archive = Archive.open(tmp_path / name, CONFIG)
        await Runner(bench(of, answers=model, neutral=neutral), arms(methods), (0,), archive).run()
        costs[name] = {(each.arm, each.user): each.answering.calls for each in archive.learning}
    assert costs["with"] == costs["without"]
    found = [each for each in archive.answers if each.item.startswith("neutral")]
    assert {str(each.arm) for each in found} == {
        "vanilla", "few-shot", "few-shot · another's", "enrichment", "enrichment · another's"
    }  # fmt: skip
    assert {each.index for each in found} == {1, 2, 3}
    assert {each.values["neutral"] for each in found if str(each.arm) == "vanilla"} == {0.0}
    asked = {(r.messages, r.choices) for r in model.choice_requests if r.choices[0].startswith("text")}
    prompts = {messages[0].content for messages, _ in asked if messages[0].role == "system"}
    assert {messages[-1].content for messages, _ in asked} == {each.request for each in texts}
    for each in found:
        if each.arm == Arm("few-shot"):
            assert -each.values["neutral"] in {float(len(prompt.split())) for prompt in prompts}
            assert each.values["neutral"] < 0


def test_an_evaluation_reports_the_change_and_goes_on_with_the_same_texts(tmp_path: Path, double: Any) -> None:
    double(m=FunctionModel("m", complete=write, choice_logprobs=score))
    data, out = tmp_path / "users.jsonl", tmp_path / "out"
    people = [{"id": f"u{n}", "texts": [f"text {n} {k}" for k in range(4)]} for n in range(3)]
    data.write_text("".join(json.dumps(each) + "\n" for each in people))
    values = {"task": "users", "data": data, "model": "m", "methods": "vanilla,few-shot", "train": 2, "test": 2}
    config = EvaluationConfig.model_validate(values | {"neutral": 2, "preset": "api", "similarity": "bm25"})
    summary = run_evaluation(config, out)
    assert {(each.people, each.answers) for each in summary.arms} == {(3, 6)}, "the model's own texts are no answers"
    gains = {str(each.arm): each for each in summary.text_gains}
    assert set(gains) == {"few-shot", "few-shot · another's"}
    for each in gains.values():
        assert each.neutral is not None
        assert each.gain.value == pytest.approx(each.neutral.value), "the model likes no prompt, whatever follows"
        assert (each.gain.people, each.gain.answers, each.neutral.questions) == (3, 6, 2)
    assert "## Gains on texts" in (out / "table.md").read_text()
    assert "Gains on texts" in (out / "report.html").read_text()
    assert [line["values"] for line in lines(out) if line["item"]]
    kept = (out / "neutral.jsonl").read_bytes()
    assert json.loads((out / "config.json").read_text())["settings"]["neutral"] == 2
    with pytest.raises(SettingsError, match="differs in settings"):
        run_evaluation(config.model_copy(update={"neutral": 3}), out)
    run_evaluation(config.model_copy(update={"methods": "vanilla,few-shot,profile"}), out)
    assert (out / "neutral.jsonl").read_bytes() == kept


def record(arm: Arm, user: str, index: int, value: float, measure: str = "loglik") -> AnswerRecord:
    key = f"neutral {index}" if measure == "neutral" else f"{user} {index}"
    return AnswerRecord(arm, 0, user, key, index, values={measure: value})


def test_each_persons_mean_is_the_unit_of_texts() -> None:
    """One person has many texts, which count as much as the one text of another."""
    base, ours = Arm("vanilla"), Arm("few-shot")
    answers, gains = list[AnswerRecord](), []
    for person in range(7):
        n = 9 if person == 0 else 1 + person % 2
        gains.append(person / 10)
        for index in range(n):
            answers.append(record(base, f"u{person}", index, -3.0))
            spread = 0.01 * (index - (n - 1) / 2)
            answers.append(record(ours, f"u{person}", index, -3.0 + person / 10 + spread))
        for arm, change in ((base, 0.0), (ours, -0.1 * person)):
            answers += [record(arm, f"u{person}", 9 + k, change - k * bool(change), "neutral") for k in range(2)]
    header = Header("users", "Users", {}, ("loglik", "neutral"), base, people_asked=7)
    summary = summarize(answers, [], header)
    (gain,) = summary.text_gains
    mean = sum(gains) / 7
    assert gain.gain.value == pytest.approx(mean)
    deviation = math.sqrt(sum((each - mean) ** 2 for each in gains) / 6)
    assert gain.gain.low is not None
    assert gain.gain.low == pytest.approx(mean - 2.447 * deviation / math.sqrt(7), abs=1e-3), "t with 6 degrees"
    assert gain.gain.interval == "t with 6 degrees of freedom, clustered by person"
    assert gain.neutral is not None
    assert gain.neutral.value == pytest.approx(-(0.1 * 3) - 6 / 7 / 2)
    assert gain.neutral.interval.endswith("clustered by person and question"), "everybody has the same neutral texts"
    assert "+0.300 [" in table(summary)
