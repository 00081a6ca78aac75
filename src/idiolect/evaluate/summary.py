"""The summary of an evaluation as values, from which the table, `scores.json` and the report are made.

answers.jsonl, learning.jsonl → summarize (in `summarizing`) → Summary → table, scores.json, report
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from idiolect.evaluate.provenance import RunRecord
from idiolect.evaluate.records import Arm, MethodCost


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its two-sided 95 % interval.

    Args:
        value: value of the measure; a mean over people, each counting once, unless the measure is not a mean (macro-F1,
            RMSE).
        low, high: ends of the interval; None if there is too little evidence (one person, or no variation).
        people, questions, answers: numbers of these behind the value.
        interval: how the interval was computed, in a few words.
    """

    value: float
    low: float | None
    high: float | None
    people: int
    questions: int
    answers: int
    interval: str


@dataclass(frozen=True, slots=True)
class LearningCost:
    """Mean cost of learning from one person, over people and seeds.

    Scores that were put off until the questions were known are part of learning, because they do not recur with every
    answer.

    Args:
        calls: number of requests.
        tokens: number of their prompt and completion tokens.
        money: price of all requests in US dollars, also of those that reached no model; None if a price is unknown.
    """

    calls: float
    tokens: float
    money: float | None


@dataclass(frozen=True, slots=True)
class CostPerAnswer:
    """Mean cost of one answer to a question; a mean over people, each counting once. See `records.AnswerCost`.

    Args:
        calls: number of requests.
        prompt_tokens: number of prompt tokens of all of an answer's requests, with its interval.
        completion_tokens: number of completion tokens.
        money: price of the requests in US dollars; None if a price is unknown.
    """

    calls: float
    prompt_tokens: Estimate
    completion_tokens: float
    money: float | None


@dataclass(frozen=True, slots=True)
class ArmScores:
    """Scores, counts and costs of one arm.

    Args:
        arm: the arm.
        seeds: seeds of its runs; answers of several seeds are averaged first.
        people, answers: numbers of people and answers that are scored or unparsed; an answer counts once per seed.
        unparsed: number of `answers` that could not be read.
        not_scored: numbers of answers that are in no mean, by reason.
        scores: estimates by measure.
        learning, answering: total cost; scoring: the part of `answering` for scores that were put off.
        learned_people: number of people it learned from and answered for, each once per seed (the divisor of
            `learning`); somebody without an answer that counts is not among them.
        used: number of these for whom the gate let the personalization answer; None if there is no gate.
        learning_per_person: mean cost of learning from one of these; None for a control, which learns nothing of its
            own, and if there is nobody.
        per_answer: mean cost of one answer; None if it is unknown, as in older folders.
    """

    arm: Arm
    seeds: tuple[int, ...]
    people: int
    answers: int
    unparsed: int
    not_scored: Mapping[str, int]
    scores: Mapping[str, Estimate]
    learning: MethodCost
    answering: MethodCost
    learned_people: int
    used: int | None = None
    scoring: MethodCost = field(default_factory=MethodCost)
    learning_per_person: LearningCost | None = None
    per_answer: CostPerAnswer | None = None


@dataclass(frozen=True, slots=True)
class GroupScores:
    """Scores of one arm for one group of people, such as a topic of OpinionQA.

    Args:
        group: name of the group.
        arm: the arm.
        scores: estimates by measure, for the measures that are means over people.
    """

    group: str
    arm: Arm
    scores: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired difference a − b on the answers that both have.

    Args:
        a, b: the arms.
        measure: name of the measure.
        difference: difference with its interval, in the measure's own direction (negative if an error decreases).
        p: two-sided p; None if there is no interval.
        primary: whether the comparison was named beforehand.
        p_holm: p adjusted over the primary comparisons; None for the others.
    """

    a: Arm
    b: Arm
    measure: str
    difference: Estimate
    p: float | None
    primary: bool = False
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Gain:
    """One person's gain with an arm over the baseline in the first measure; positive if better."""

    arm: Arm
    user: str
    gain: float
    answers: int


@dataclass(frozen=True, slots=True)
class TextGain:
    """What an arm gains on people's held-out texts, and what it changes on the base model's own.

    Args:
        arm: the arm, which may be a control.
        gain: log-probability of held-out texts minus the baseline's, in nat per token.
        neutral: change on the model's own texts, in nat per token; None if the arm has none.
    """

    arm: Arm
    gain: Estimate
    neutral: Estimate | None


@dataclass(frozen=True, slots=True)
class PersonReadings:
    """How many answers were read for one person.

    Args:
        user: id of the person.
        answers: number of answers of all arms that are scored or unparsed.
        unparsed: number of those in which nothing could be read.
        failed: arms, as text, nearly all of whose answers could not be read, so that their scores mean nothing.
    """

    user: str
    answers: int
    unparsed: int
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An example answer; texts are "" if they were left out."""

    arm: Arm
    user: str
    question: str
    choices: tuple[str, ...]
    truth: str
    answer: str
    baseline_answer: str
    value: float
    baseline_value: float


@dataclass(frozen=True, slots=True)
class LayerProfile:
    """CHAMELEON's diagnostics of one layer, as means over people by name ("loss", "agreement", "edit_size" …)."""

    layer: int
    values: Mapping[str, float]


Completeness = Literal["complete", "stopped"]


@dataclass(frozen=True, slots=True)
class Header:
    """The request for the evaluation, and how the run ended: the part of a summary that does not depend on answers.

    Args:
        task: name of the task; title: its name for display.
        config: configuration of the run as JSON values (models, seeds, methods, splits, versions).
        measures: names of the measures, in order; the first is the main one.
        baseline: baseline for gains.
        people_asked: number of people to evaluate.
        labels: all possible answers, for macro-F1.
        primary: comparisons that were named beforehand, as (a, b).
        status: "stopped": results are missing, and `stopped_by` states the reason.
        broken_count: number of records of the data that were left out; broken: the first of them, as text.
        notes: information for readers, one sentence each.
        kinds: kind of each method ("no model", "prompted", "learned"), by its name without brackets.
        runs: the runs that collected the answers, in order.
    """

    task: str
    title: str
    config: Mapping[str, Any]
    measures: tuple[str, ...]
    baseline: Arm
    people_asked: int
    labels: tuple[str, ...] = ()
    primary: tuple[tuple[Arm, Arm], ...] = ()
    status: Completeness = "complete"
    stopped_by: str = ""
    broken_count: int = 0
    broken: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    runs: tuple[RunRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of an evaluation.

    Args:
        header: request for the evaluation, and how the run ended.
        people: number of people with a scored answer.
        arms, comparisons, gains: results.
        best, worst: example answers with the largest gains and losses.
        layers: diagnostics of layers by arm, as text.
        transfer: transfer of prompts between models; None if not run.
        by_group: scores by group and arm, in the order of names; empty if there are fewer than two groups.
        readings: how many answers were read, by person, in the order of the answers.
        text_gains: gains on texts beside changes on neutral ones; empty if no neutral texts were scored.
    """

    header: Header
    people: int
    arms: tuple[ArmScores, ...]
    comparisons: tuple[Comparison, ...] = ()
    gains: tuple[Gain, ...] = ()
    best: tuple[ShownAnswer, ...] = ()
    worst: tuple[ShownAnswer, ...] = ()
    layers: Mapping[str, tuple[LayerProfile, ...]] = field(default_factory=dict)
    transfer: Transfer | None = None
    by_group: tuple[GroupScores, ...] = ()
    readings: tuple[PersonReadings, ...] = ()
    text_gains: tuple[TextGain, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """Scores of prompts that were learned with one model and answered by another.

    Args:
        method: name of the method that learned.
        models: names of the models, in order of rows and columns.
        cells: estimates of the first measure, by (learned with, answered by).
        replayed: names of models that are recordings, not live models.
    """

    method: str
    models: tuple[str, ...]
    cells: Mapping[tuple[str, str], Estimate]
    replayed: tuple[str, ...] = ()
