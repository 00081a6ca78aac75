"""The table of measures, and the judgement of one answer.

    Opinion (truth), Answer → judge → status, values by measure, predicted shares → AnswerRecord

    accuracy                 1 if â = a else 0, for questions with choices
    mae, rmse                |rank(a) − rank(â)| in steps of the scale, for ordinal questions
    normalized_error         |place(a) − place(â)| / (largest − smallest place), in [0, 1]; for a scale in steps of 1,
                             |rank(a) − rank(â)| / (n − 1). It is 1 − OpinionQA's alignment (arXiv 2303.17548)
                             of one answer with another, for every question with published places
    alignment                s(a, â) of Fermi (arXiv 2406.18678, Algorithm 1), see `methods.alignment`
    rouge1, rougeL           F-measure of rouge-score without stemming
    distribution_similarity  1 − JSD(P, Q), base 2; JSD is the Jensen-Shannon distance, the root of the divergence,
                             of a population's shares P and the method's Q (GlobalOpinionQA, arXiv 2306.16388)
    loglik                   mean log-probability per token of held-out texts, in nat; the runner computes it
    neutral                  change of the mean log-probability per token of texts that the base model wrote, in nat;
                             minus an estimate of KL(base ‖ arm) per token, see `neutral_texts`

An unparsed answer counts as the worst one: wrong; the largest error that the question allows, which for stars from 1 to
5 is LaMP's rule (`create_metric_mae_rmse` in its evaluation.py takes 1 or 5, whichever is farther); similarity 0, as if
all shares were on a choice that nobody takes. With rmse, that is in LaMP-3, a reply that is a number but no label
("4.5") is unparsed too, but its error is its distance from the truth, as there. LaMP computes ROUGE with
`evaluate.load("rouge")` and its defaults, which use no stemmer; Fermi's alignment has its own ROUGE-L, which uses one.

Macro-F1 has no value for a single answer: it is computed from the answers and truths of the records (`statistics`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

from idiolect.errors import MissingExtraError
from idiolect.evaluate.benchmark import DISTRIBUTION
from idiolect.evaluate.records import Status
from idiolect.evaluate.summary import Estimate
from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Response
from idiolect.methods.personalization import Answer
from idiolect.people.opinionqa_questions import PLACES
from idiolect.people.user import Opinion, Question, QuestionKind


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure, and how its values are displayed.

    Args:
        name: name in records and in `scores.json`.
        title: name for display.
        better: "higher" or "lower".
        kind: how answers are combined: "mean" over people, or a statistic of all answers.
        unit: "%" for shares, which are displayed times 100; otherwise the unit after the number, or "".
        low, high: limits of values, and therefore of intervals.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    kind: Literal["mean", "macro_f1", "rmse"] = "mean"
    unit: str = ""
    low: float = 0.0
    high: float = 1.0

    @property
    def sign(self) -> int:
        """1 if higher is better, −1 if lower is better; a difference times this is positive if better."""
        return 1 if self.better == "higher" else -1

    def within(self, estimate: Estimate) -> Estimate:
        """Return the estimate with its interval cut at the limits of values, beyond which the truth cannot be."""
        if estimate.low is None or estimate.high is None:
            return estimate
        return replace(estimate, low=max(estimate.low, self.low), high=min(estimate.high, self.high))

    def shown(self, value: float, *, signed: bool = False) -> str:
        """Return a value as text, without its unit: 0.4512 → "45.1" if the unit is %, otherwise "0.451"."""
        value, digits = (100 * value, 1) if self.unit == "%" else (value, 3)
        rounded = round(value, digits) + 0.0  # no "-0.0"
        return f"{rounded:{'+' if signed and rounded else ''}.{digits}f}"


NEUTRAL = "neutral"
"""Name of the measure of a change on the model's own texts."""

MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("accuracy", "accuracy", "higher", unit="%"),
        Measure("macro_f1", "macro-F1", "higher", "macro_f1"),
        Measure("mae", "mean absolute error", "lower", high=math.inf),
        Measure("normalized_error", "normalized ordinal error", "lower"),
        Measure("rmse", "root mean squared error", "lower", "rmse", high=math.inf),
        Measure("alignment", "alignment", "higher"),
        Measure("rouge1", "ROUGE-1", "higher"),
        Measure("rougeL", "ROUGE-L", "higher"),
        Measure("distribution_similarity", "similarity to a population's shares", "higher"),
        Measure("loglik", "log-probability of held-out texts", "higher", unit="nat/token", low=-math.inf, high=0.0),
        Measure(NEUTRAL, "change on the model's own texts", "higher", unit="nat/token", low=-math.inf, high=math.inf),
    )
}
"""All measures, by name."""


class Judgement(NamedTuple):
    """Judgement of one answer: the fields of an `AnswerRecord` that depend on the answer."""

    status: Status
    values: dict[str, float]
    predicted_share: tuple[float, ...]


def measure_named(name: str) -> Measure:
    """Return the measure with a name.

    Raises:
        ValueError: there is no such measure.
    """
    if name not in MEASURES:
        raise ValueError(f"unknown measure {name!r}: choose one of {', '.join(MEASURES)}")
    return MEASURES[name]


def judge(opinion: Opinion, answer: Answer, measures: Sequence[str]) -> Judgement:
    """Judge an answer against the person's own, by the measures that apply to a single answer to such a question.

    Raises:
        MissingExtraError: a distribution must be compared, but scipy is not installed.
        ValueError: there is no such measure, or the opinion's distribution does not fit its choices.
    """
    answered = answer.response.answer
    shares: tuple[float, ...] = ()
    if "distribution_similarity" in measures and DISTRIBUTION in opinion.extra:
        shares = predicted_shares(opinion.question, answer.response)
    values = {measure_named(name).name: _value(name, opinion, answered, shares) for name in measures}
    if answered is None and "rmse" in measures:
        error = _error_of_number(opinion, answer.response.text)
        values |= {} if error is None else {"mae": error, "rmse": error}
    kept = {name: value for name, value in values.items() if value is not None}
    return Judgement("unparsed" if answered is None else "scored", kept, shares)


def judge_all(opinions: Sequence[Opinion], answers: Sequence[Answer], measures: Sequence[str]) -> list[Judgement]:
    """Judge answers against opinions, pairwise in the same order; see `judge`."""
    return [judge(opinion, answer, measures) for opinion, answer in zip(opinions, answers, strict=True)]


def mean_over_answers(judgements: Iterable[Judgement], measure: str) -> float | None:
    """Return the mean of a measure over all answers that have it, across people; None if no answer has it."""
    values = [each.values[measure] for each in judgements if measure in each.values]
    return math.fsum(values) / len(values) if values else None


def _value(name: str, opinion: Opinion, answered: str | None, shares: Sequence[float]) -> float | None:
    question, truth = opinion.question, opinion.answer
    match name:
        case "accuracy" if question.kind is not QuestionKind.FREE_TEXT:
            return float(answered == truth)
        case "mae" | "rmse" if question.kind is QuestionKind.ORDINAL:
            return _absolute_error(question, truth, answered)
        case "normalized_error":
            return normalized_error(opinion, answered)
        case "alignment":
            return alignment_score(question, truth, answered)
        case "rouge1" | "rougeL" if question.kind is QuestionKind.FREE_TEXT:
            return rouge(truth, answered or "")[name]
        case "distribution_similarity" if DISTRIBUTION in opinion.extra:
            return distribution_similarity(_population(opinion), shares)
    return None


def _absolute_error(question: Question, truth: str, answered: str | None) -> float:
    """Return the error in steps of the scale; the largest possible error for an unparsed answer."""
    rank = question.choices.index(truth)
    worst = max(rank, len(question.choices) - 1 - rank)
    return float(worst if answered is None else abs(rank - question.choices.index(answered)))


def _error_of_number(opinion: Opinion, text: str) -> float | None:
    """Return the distance of a reply from the truth if both are numbers, as `float(reply)` in LaMP's evaluation."""
    try:
        error = abs(float(text.strip()) - float(opinion.answer))
    except ValueError:
        return None
    return error if math.isfinite(error) else None


def normalized_error(opinion: Opinion, answered: str | None) -> float | None:
    """Return the distance between the true and the given answer as a share of the scale; the largest if there is none.

    None for a question that is no scale and has no published places.
    """
    choices = opinion.question.choices
    places = _places(opinion)
    if not places:
        return None
    truth = places[choices.index(opinion.answer)]
    distances = [abs(truth - place) for place in places]
    error = max(distances) if answered is None else distances[choices.index(answered)]
    return error / (max(places) - min(places))


def _places(opinion: Opinion) -> list[float]:
    """Return the place of each choice: the published ones, otherwise 1, 2, 3 … on a scale; [] if there are none."""
    published, n = opinion.extra.get(PLACES), len(opinion.question.choices)
    if isinstance(published, list | tuple) and len(published) == n:
        numbers = [float(each) for each in published if isinstance(each, int | float) and math.isfinite(each)]
        if len(numbers) == n and max(numbers) > min(numbers):
            return numbers
    return [float(rank) for rank in range(n)] if opinion.question.kind is QuestionKind.ORDINAL else []


@cache
def _rouge() -> Any:
    from rouge_score.rouge_scorer import RougeScorer  # slow to import, and only needed for free text

    return RougeScorer(["rouge1", "rougeL"], use_stemmer=False)


def rouge(reference: str, candidate: str) -> Mapping[str, float]:
    """Return the F-measures of ROUGE-1 and ROUGE-L, by the measure's name; 0 if either side has no words."""
    return {name: float(score.fmeasure) for name, score in _rouge().score(reference, candidate).items()}


def predicted_shares(question: Question, response: Response) -> tuple[float, ...]:
    """Return a response's shares of the choices: the softmax of the scores if every choice has one, otherwise all on
    the answer; () for an unparsed answer."""
    if not question.choices or response.answer is None:
        return ()
    if len(response.scores) == len(question.choices):
        best = max(response.scores)
        odds = [math.exp(score - best) for score in response.scores]
        return tuple(each / math.fsum(odds) for each in odds)
    return tuple(float(choice == response.answer) for choice in question.choices)


def _population(opinion: Opinion) -> list[float]:
    given, n = opinion.extra[DISTRIBUTION], len(opinion.question.choices)
    shares = [float(share) for share in given]
    if len(shares) != n or min(shares) < 0 or not 0 < math.fsum(shares) < math.inf:
        raise ValueError(f"{given!r} is not a distribution over {n} choices")
    return shares


def distribution_similarity(population: Sequence[float], predicted: Sequence[float]) -> float:
    """Return 1 − Jensen-Shannon distance (base 2), in [0, 1]; 0 if nothing is predicted.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    if not predicted:
        return 0.0
    try:
        from scipy.spatial.distance import jensenshannon
    except ImportError as error:
        raise MissingExtraError("comparing distributions needs scipy: pip install 'idiolect[evaluate]'") from error
    if math.dist(_normalized(population), _normalized(predicted)) < _SAME:
        return 1.0  # if both are equal up to rounding, scipy would take the root of a number just below 0
    return min(1.0, max(0.0, 1.0 - float(jensenshannon(population, predicted, base=2))))


_SAME = 1e-6


def _normalized(shares: Sequence[float]) -> list[float]:
    total = math.fsum(shares)
    return [share / total for share in shares]
