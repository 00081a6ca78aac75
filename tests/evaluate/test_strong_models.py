"""The benchmark of simulated strong models, small: doubles keep to their abilities, rivals to their calls."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import strong_models
from simulated_models import arms as arms_module
from simulated_models.arms import Result, Trial, fermi, gepa, results, within_calls
from simulated_models.compared_settings import OLD, new_settings
from simulated_models.language import CHOICES, TOPICS, Statement, items_in, question, share, statements, topic_of
from simulated_models.metering import Metered, Purse
from simulated_models.optimizer import INSTRUCTION, Optimizer
from simulated_models.people import WORLDS, Person, World, person
from simulated_models.reading import read
from simulated_models.responder import REFUSAL, Responder

from idiolect.errors import BudgetExceededError, SettingsError
from idiolect.evaluate.methods.fermi import opro
from idiolect.methods.answering import AnsweringSettings, question_block
from idiolect.methods.fermi.presets import preset
from idiolect.methods.profile_prompt import plain_prompt
from idiolect.methods.setting_changes import changed
from idiolect.models.language_model import CompletionRequest, Message, SamplingParams

NEW = preset("api")
RIVALS = ("old api, equal calls", "OPRO", "GEPA")
FILE = "follows-both-80-right.jsonl"
AS_FOR_TAXES = str(Statement("topic", "taxes", 3))


def asked(item: str, prompt: str = "", examples: tuple[tuple[str, int], ...] = ()) -> CompletionRequest:
    """A question as it reaches a responder."""
    shown = [question_block(question(i), AnsweringSettings(), answer=CHOICES[a]) for i, a in examples]
    blocks = [prompt, *shown, question_block(question(item), AnsweringSettings())]
    return CompletionRequest((Message("user", "\n\n".join(filter(None, blocks))),), SamplingParams())


def prior(item: str) -> str:
    return CHOICES[1 + int(share("prior", item) > 0.5)]


# --- responders


def test_a_responder_follows_rules_and_examples_of_the_topic_alone() -> None:
    follows = Responder()
    assert follows(asked("income tax", AS_FOR_TAXES)) == CHOICES[3]
    assert follows(asked("school exams", AS_FOR_TAXES)) == prior("school exams")
    assert follows(asked("income tax", examples=(("sales tax", 0),))) == CHOICES[0]
    assert follows(asked("income tax", examples=(("school exams", 0),))) == prior("income tax")
    assert follows(asked("income tax", AS_FOR_TAXES, (("sales tax", 0),))) == CHOICES[3]
    assert Responder(examples_win=True)(asked("income tax", AS_FOR_TAXES, (("sales tax", 0),))) == CHOICES[0]


def test_a_responder_keeps_the_last_statements_and_heeds_the_last_examples() -> None:
    rules = " ".join(str(Statement("topic", topic, 0)) for topic in TOPICS)
    keeps = Responder(keeps=3)
    assert keeps(asked("media trust", rules)) == CHOICES[0]
    assert keeps(asked("income tax", rules)) == prior("income tax")
    examples = (("income tax", 3), ("school exams", 0), ("school sports", 0))
    assert Responder(examples=3)(asked("sales tax", examples=examples)) == CHOICES[3]
    assert Responder(examples=2)(asked("sales tax", examples=examples)) == prior("sales tax")
    assert Responder(examples=0)(asked("school phones", examples=examples)) == prior("school phones")


def test_text_and_examples_carry_different_things_where_the_scale_is_in_the_text() -> None:
    scaled = Responder(scale_by_text=True)
    ends = str(Statement("scale", "agree", 0))
    assert scaled(asked("income tax", examples=(("sales tax", 0),))) == CHOICES[1]
    assert scaled(asked("income tax", ends, (("sales tax", 1),))) == CHOICES[0]
    assert scaled(asked("income tax", ends, (("sales tax", 3),))) == CHOICES[2]
    assert scaled(asked("income tax", str(Statement("topic", "taxes", 0)), (("sales tax", 3),))) == CHOICES[2]


def test_manners() -> None:
    refuses = Responder(manner="refuses")
    assert refuses(asked("income tax", AS_FOR_TAXES)) == REFUSAL
    assert refuses(asked("income tax", f"{INSTRUCTION} {AS_FOR_TAXES}")) == CHOICES[3]
    assert refuses(asked("income tax", plain_prompt(NEW.answering))) == prior("income tax")
    assert refuses(asked("income tax", plain_prompt(OLD.answering))) == REFUSAL
    assert Responder(manner="thinks")(asked("income tax", AS_FOR_TAXES)).endswith(f"</think>\n{CHOICES[3]}")
    chatty = Responder(manner="chatty")
    said = {chatty(asked("income tax", f"{AS_FOR_TAXES} {n}")) for n in range(40)}
    assert any("**" in each for each in said)
    assert CHOICES[3] in said


def test_a_memorized_answer_serves_its_own_question_alone() -> None:
    memory = str(Statement("item", "income tax", 0))
    assert Responder()(asked("income tax", memory)) == CHOICES[0]
    assert Responder()(asked("sales tax", memory)) == prior("sales tax")


# --- people


def test_people_are_as_their_world_says() -> None:
    world = WORLDS["scale in the text"]
    answers = [o.answer for n in range(30) for o in person(world, n).user.opinions]
    at_the_ends = sum(answer in (CHOICES[0], CHOICES[3]) for answer in answers) / len(answers)
    assert at_the_ends > 0.6  # the responder stays in the middle
    one = person(WORLDS["follows both"], 5)
    assert one == person(WORLDS["follows both"], 5)
    assert one.user == person(WORLDS["chatty"], 5).user
    assert not {o.question for o in one.user.opinions} & {o.question for o in one.asked}
    assert not person(WORLDS["refuses"], 5).user.profile


# --- optimizers


class Recorder:
    """An optimizer that keeps what it was asked and what it replied."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.pairs: list[tuple[str, str]] = []

    def __call__(self, request: CompletionRequest) -> str:
        reply = self.optimizer(request)
        self.pairs.append((request.messages[-1].content, reply))
        return reply


async def recorded(form: str, optimizer: Optimizer, world: World, one: Person) -> list[tuple[str, str]]:
    recorder = Recorder(optimizer)
    trial = Trial(world, one, recorder, OLD, NEW, budget=150)  # type: ignore[arg-type]
    runs: dict[str, Callable[[], object]] = {
        "paper": lambda: fermi(trial, within_calls(OLD)),
        "diagnosis": lambda: fermi(trial, NEW),
        "opro": lambda: fermi(trial, within_calls(opro(OLD))),
        "gepa": lambda: gepa(trial),
        "dispositions": lambda: fermi(trial, changed(NEW, {"dispositions.number": 6})),
    }
    await runs[form]()  # type: ignore[misc]
    return recorder.pairs


@pytest.mark.parametrize("form", ["paper", "diagnosis", "opro", "gepa", "dispositions"])
@pytest.mark.parametrize("memorizes", [False, True])
async def test_an_optimizer_uses_only_what_stands_in_its_request(form: str, memorizes: bool) -> None:
    world = WORLDS["follows both"]
    one = person(world, 3)
    answers = {items_in(o.question.text)[0]: CHOICES.index(o.answer) for o in one.user.opinions}
    held_out = {items_in(o.question.text)[0] for o in one.asked}
    pairs = await recorded(form, Optimizer(1.0, memorizes=memorizes), world, one)
    assert pairs
    assert any(read(content).shown for content, _ in pairs)
    assert any(read(content).dispositions for content, _ in pairs) == (form == "dispositions")
    for content, reply in pairs:
        seen = read(content)
        assert not held_out & set(items_in(content))
        assert all(answers[shown.item] == shown.answer for shown in seen.shown)
        shown_topics = {topic_of(shown.item) for shown in seen.shown}
        before = {(each.kind, each.about) for each in statements(content)}
        new = [each for each in statements(reply) if (each.kind, each.about) not in before]
        if memorizes:
            assert {each.about for each in new} <= {shown.item for shown in seen.shown}
        elif form != "opro":  # which guesses
            assert {each.about for each in new if each.kind == "topic"} <= shown_topics
            assert len(new) <= 4


def test_a_reply_depends_on_the_request_alone() -> None:
    failure = "Question: Do you agree that the government should expand income tax?\nPerson's answer: Strongly agree\n"
    content = (
        '<memory>\n<prompt number="1" score="20">\nAnswer.\nWith this text these answers were not what the person '
        f'said:\n<failure number="1">\n{failure}Answer under this text: Somewhat agree\n</failure>\n</prompt>\n'
        "</memory>\nLearn from the wrong answers what this person is like, and say it in the text."
    )
    optimizer, rng = Optimizer(1.0), random.Random(0)
    assert statements(optimizer.text(read(content), rng)) == [Statement("topic", "taxes", 0)]
    other = content.replace("Person's answer: Strongly agree", "Person's answer: Strongly disagree")
    assert statements(optimizer.text(read(other), rng)) == [Statement("topic", "taxes", 3)]
    blank = content.replace(failure, "")
    assert statements(optimizer.text(read(blank), rng)) == []


def test_a_request_of_another_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="no simulated optimizer knows"):
        read("Write a poem.")


def test_rules_are_right_as_often_as_said() -> None:
    statement = Statement("topic", "taxes", 2)
    rng = random.Random(1)
    right = sum(Optimizer(0.6)._perhaps_wrong(statement, rng) == statement for _ in range(2000)) / 2000
    assert abs(right - 0.6) < 0.04


# --- calls


async def test_a_purse_holds_distinct_calls() -> None:
    model = Metered("m", lambda request: request.messages[-1].content, Purse(2))
    one, two, three = (CompletionRequest((Message("user", text),), SamplingParams()) for text in "abc")
    assert [each.text for each in await model.complete([one, one, two])] == ["a", "a", "b"]
    assert model.calls == 2
    with pytest.raises(BudgetExceededError):
        await model.complete([one, three])


@pytest.mark.parametrize("world", ["three rules", "scale in the text", "refuses"])
async def test_rivals_keep_to_the_calls_of_the_new_preset(world: str) -> None:
    for number in (1, 2):
        one = person(WORLDS[world], number)
        found = await results(Trial(WORLDS[world], one, Optimizer(0.8), OLD, NEW), RIVALS)
        most = found["new api"].calls
        assert found["few-shot 16"].calls == found["profile"].calls == 0
        for arm in (*RIVALS, "GEPA + examples"):
            assert 0 < found[arm].calls <= most, arm
        assert all(len(result.hits) == 16 for result in found.values())


async def test_langmem_keeps_to_the_calls_and_learns() -> None:
    pytest.importorskip("langmem")
    arms = ("LangMem gradient", "LangMem metaprompt")
    world = WORLDS["follows both"]
    found = await results(Trial(world, person(world, 1), Optimizer(1.0), OLD, NEW), arms)
    for arm in arms:
        assert found[arm].optimizing % {"LangMem gradient": 3, "LangMem metaprompt": 5}[arm] == 0
        assert 0 < found[arm].calls <= found["new api"].calls
        assert sum(found[arm].hits) > sum(found["profile"].hits)


# --- the run and its page


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *more: str) -> None:
    arguments = ["--people", "2", "--worlds", "follows both", "--optimizers", "80 % right", "--arms", "OPRO"]
    monkeypatch.setattr(
        sys, "argv", ["strong_models.py", *arguments, "--out", str(out), "--page", str(out.with_suffix(".md")), *more]
    )
    strong_models.main()


def test_a_run_goes_on_where_it_was_and_keeps_the_text_of_its_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, page = tmp_path / "strong", tmp_path / "strong.md"
    page.write_text("# Page\n\nText.\n\n## Tables\n\nold\n")
    run(monkeypatch, out)
    (lines,) = out.glob("*.jsonl")
    first, text = lines.read_text(), page.read_text()
    assert first.count("\n") == 2
    assert text.startswith("# Page\n\nText.\n\n## Tables\n\n2 people a row")
    assert "old\n" not in text
    assert "not more" not in text
    run(monkeypatch, out)
    assert (lines.read_text(), page.read_text()) == (first, text)
    lines.write_text(first.splitlines(keepends=True)[1])  # one person is gone: only they are run again
    run(monkeypatch, out)
    assert sorted(lines.read_text().splitlines()) == sorted(first.splitlines())


def test_processes_make_the_same_lines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, jobs in (("alone", "1"), ("beside", "2")):
        run(monkeypatch, tmp_path / name, "--jobs", jobs)
    alone, beside = (sorted((tmp_path / name / FILE).read_text().splitlines()) for name in ("alone", "beside"))
    assert alone == beside


def test_arms_whose_package_is_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arms_module, "find_spec", lambda name: None if name == "gepa" else object())
    assert arms_module.missing_package(["OPRO", "GEPA", "LangMem gradient"]) == "gepa"
    assert arms_module.missing_package(["OPRO", "LangMem gradient"]) is None


def test_lines_of_other_settings_are_kept_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "strong"
    run(monkeypatch, out)
    run(monkeypatch, out, "--set", "iterations=1")
    (lines,) = out.glob("*.jsonl")
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len({row["settings"] for row in rows}) == 2
    assert len(rows) == 4


def test_aims_are_judged_on_the_better_of_both() -> None:
    def rows(new: int, old: int, few: int, calls: int) -> dict[str, dict[str, object]]:
        def result(hits: int, calls: int = 0) -> dict[str, object]:
            return vars(Result((1,) * hits + (0,) * (16 - hits), answering=calls))

        arms = {"new api": result(new, calls), "old api": result(old, 100), "few-shot 16": result(few)}
        return {name: {"arms": arms} for name in "ab"}

    cells = {
        ("follows both", "80 % right"): rows(12, 10, 12, 60),
        ("scale in the text", "80 % right"): rows(14, 4, 13, 60),
    }
    assert [": **reached**" in line for line in strong_models.aims(cells)] == [True, True, True]
    cells["follows both", "80 % right"] = rows(12, 10, 13, 61)
    cells["scale in the text", "80 % right"] = rows(13, 13, 4, 10)
    assert [": **reached**" in line for line in strong_models.aims(cells)] == [False, False, False]


def test_settings_of_the_new_preset_are_arguments() -> None:
    assert new_settings("api", []) == NEW
    assert new_settings("api", ["search.crossing=3"]).search == replace(NEW.search, crossing=3)
    with pytest.raises(SettingsError):
        new_settings("api", ["nothing=3"])
    with pytest.raises(ValueError, match="write SETTING=VALUE"):
        new_settings("api", ["iterations"])
