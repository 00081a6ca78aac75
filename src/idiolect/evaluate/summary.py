"""What an evaluation comes to, as values: what the table, `scores.json` and the report are made of.

answers.jsonl, learning.jsonl → summarize (in `summarizing`) → Summary → table, scores.json, report
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from idiolect.evaluate.records import Arm, MethodCost


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its two-sided 95 % interval.

    Args:
        value: of the measure; a mean over people, each counting once, unless the measure is no mean (macro-F1, RMSE).
        low, high: None where there is too little evidence (one person, or no variation at all).
        people, questions, answers: how many different ones it rests on.
        interval: how the interval was made, in a few words.
    """

    value: float
    low: float | None
    high: float | None
    people: int
    questions: int
    answers: int
    interval: str


@dataclass(frozen=True, slots=True)
class ArmScores:
    """One arm.

    Args:
        arm: which.
        seeds: that it was run with; answers of several seeds are averaged before anything else.
        people, answers: that are scored or unparsed; an answer counts once a seed.
        unparsed: of `answers`, nothing could be read from.
        not_scored: answers that are in no mean, by reason.
        scores: by measure.
        learning, answering: what it cost altogether.
        learned_people: how many people it learned from, each once a seed (what `learning` is divided by).
        used: how many of those gates let the personalization answer; None where there is no gate.
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


@dataclass(frozen=True, slots=True)
class Comparison:
    """A paired difference a − b on the answers that both have.

    Args:
        a, b: the arms.
        measure: of which.
        difference: with its interval; in the measure's own direction (an error that shrinks is below 0).
        p: two-sided; None where there is no interval.
        primary: named beforehand.
        p_holm: adjusted over the primary comparisons; None for the others.
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
    """How much better one person fares under an arm than under the baseline, in the first measure, better upwards."""

    arm: Arm
    user: str
    gain: float
    answers: int


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer to read; texts are "" where they were left out."""

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
    """CHAMELEON's diagnostics of one layer, means over people: by name ("loss", "agreement", "edit_size" …)."""

    layer: int
    values: Mapping[str, float]


Completeness = Literal["complete", "stopped"]


@dataclass(frozen=True, slots=True)
class Header:
    """What was asked for, and how the run ended: all of a summary that no answer decides on.

    Args:
        task: its name; title: for people.
        config: the run's configuration as JSON values (models, seeds, methods, splits, versions).
        measures: names, in order; the first is the main one.
        baseline: the arm that gains are counted against.
        people_asked: how many people were to be evaluated.
        labels: all answers that exist, for macro-F1.
        primary: comparisons that were named beforehand, as (a, b).
        status: "stopped": not all of what was asked for is there, and `stopped_by` says why.
        broken_count: how many records of the data were left out; broken: the first of them, as text.
        notes: what a reader has to know, a sentence each.
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


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that an evaluation comes to.

    Args:
        header: what was asked for.
        people: how many of these people have a scored answer.
        arms, comparisons, gains: see there.
        best, worst: answers to read.
        layers: by arm, as text.
        transfer: rows: models that prompts were learned with, columns: models that answered; None where not run.
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


@dataclass(frozen=True, slots=True)
class Transfer:
    """Prompts learned with one model, answered by another.

    Args:
        method: that learned.
        models: names, in order of rows and columns.
        cells: by (learned with, answered by): the first measure.
        replayed: those of the models that are recordings, not live models.
    """

    method: str
    models: tuple[str, ...]
    cells: Mapping[tuple[str, str], Estimate]
    replayed: tuple[str, ...] = ()
