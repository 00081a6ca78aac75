"""Are the measures of `idiolect.evaluate` those of the benchmarks' authors? Both, on the same made-up predictions.

    python benchmarks/published_metrics.py --out docs/results/published-metrics.md      # one minute of one core
    python benchmarks/published_metrics.py --sets 20 --out /tmp/metrics.md              # a quick look

The references below are written anew, step by step, from what the authors' code does, with the libraries that it calls:

LaMP            github.com/LaMP-Benchmark/LaMP, eval/evaluation.py (021b860): `evaluate`'s accuracy, f1, mae and mse are
                scikit-learn's, its rouge is rouge-score's with a bootstrap around the mean
OpinionQA       github.com/tatsu-lab/opinions_qa, helpers.py and process_results.ipynb (612e5c1): scipy's Wasserstein
                distance over `option_ordinal`, divided by its largest value
GlobalOpinionQA Durmus et al. (arXiv 2306.16388): 1 - Jensen-Shannon distance; their code is not published

Ours is what an evaluation does: `judge` for each answer, then the estimate of `idiolect.evaluate` over all answers.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.scoring import BootstrapAggregator
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error, mean_squared_error

from idiolect.evaluate.arm_answers import ArmAnswers
from idiolect.evaluate.benchmark import DISTRIBUTION
from idiolect.evaluate.measures import judge, measure_named
from idiolect.evaluate.pigeonhole import macro_f1, resampled, rmse
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.evaluate.statistics import mean_over_people
from idiolect.methods.answering import Response
from idiolect.methods.personalization import Answer
from idiolect.methods.reading.lamp import read_label
from idiolect.people.lamp_forms import MOVIE_TAGS
from idiolect.people.opinionqa_questions import PLACES
from idiolect.people.user import Opinion, Question

STARS = ("1", "2", "3", "4", "5")
CITATIONS = ("[1]", "[2]")
ARM = Arm("made up")
EQUAL = 1e-7  # where two distributions are equal, scipy's root of a rounding error is 1e-8

# ---- what the authors' code does ------------------------------------------------------------------------------------


def lamp_labels(predictions: Sequence[str], golds: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """`create_metric_f1_accuracy`: strip, number the labels, -1 for everything else."""
    numbers = {label: number for number, label in enumerate(labels)}
    predicted, true = ([numbers.get(text.strip(), -1) for text in texts] for texts in (predictions, golds))
    f1 = f1_score(true, predicted, labels=list(range(len(labels))), average="macro", zero_division=0)
    return {"accuracy": float(accuracy_score(true, predicted)), "macro_f1": float(f1)}


def lamp_stars(predictions: Sequence[str], golds: Sequence[str]) -> dict[str, float]:
    """`create_metric_mae_rmse`: `float(text)`; what is no number becomes 1 or 5, whichever is farther from the gold."""
    true = [float(gold.strip()) for gold in golds]
    predicted = []
    for text, gold in zip(predictions, true, strict=True):
        try:
            predicted.append(float(text.strip()))
        except ValueError:
            predicted.append(1.0 if abs(1 - gold) > abs(5 - gold) else 5.0)
    squared = mean_squared_error(true, predicted)
    return {"mae": float(mean_absolute_error(true, predicted)), "rmse": math.sqrt(squared)}


def lamp_rouge(predictions: Sequence[str], golds: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """`create_metric_rouge`: the mean over answers, and what `evaluate` returns for it, the middle of its bootstrap."""
    scorer = RougeScorer(["rouge1", "rougeL"], use_stemmer=False)
    scores = [scorer.score_multi([g.strip()], p.strip()) for p, g in zip(predictions, golds, strict=True)]
    aggregator = BootstrapAggregator()
    for each in scores:
        aggregator.add_scores(each)
    middle = aggregator.aggregate()
    names = ("rouge1", "rougeL")
    means = {name: float(np.mean([each[name].fmeasure for each in scores])) for name in names}
    return means, {name: float(middle[name].mid.fmeasure) for name in names}


def opinionqa_distance(ordinal: Sequence[float], one: Sequence[float], other: Sequence[float]) -> float:
    """`WD`: the Wasserstein distance of two distributions over `option_ordinal`, divided by `get_max_wd`."""
    first, last = np.zeros(len(ordinal)), np.zeros(len(ordinal))
    first[int(np.argmax(ordinal))] = 1
    last[int(np.argmin(ordinal))] = 1
    largest = wasserstein_distance(ordinal, ordinal, first, last)
    return float(wasserstein_distance(ordinal, ordinal, one, other) / largest)


def globalopinionqa_similarity(people: Sequence[float], model: Sequence[float]) -> float:
    """1 - the Jensen-Shannon distance, with base 2, so that its values are from 0 to 1."""
    with np.errstate(invalid="ignore"):  # scipy takes the root of a number just below 0 where both are equal
        distance = float(jensenshannon(people, model, base=2))
    return 1 - (0 if math.isnan(distance) else distance)


# ---- ours -----------------------------------------------------------------------------------------------------------


def exactly(text: str, question: Question) -> str | None:
    """LaMP's reading, which takes a whole reply for a label or, if the labels are stars, for a number."""
    bare = text.strip()
    if bare in question.choices or not question.ordinal:
        return bare if bare in question.choices else None
    try:
        return next((choice for choice in question.choices if float(choice) == float(bare)), None)
    except ValueError:
        return None


Reader = Callable[[str, Question], str | None]


def ours(
    opinions: Sequence[Opinion], texts: Sequence[str], measures: Sequence[str], read: Reader = exactly
) -> dict[str, float]:
    """The estimates of an evaluation with one question a person."""
    records = []
    for number, (opinion, text) in enumerate(zip(opinions, texts, strict=True)):
        answer = read(text, opinion.question) if opinion.question.choices else text.strip() or None
        found = judge(opinion, Answer(Response(text, answer)), measures)
        key = f"{number:06}"
        records.append(AnswerRecord(ARM, 0, key, key, 0, found.status, found.values, "", answer, text, opinion.answer))
    answers = ArmAnswers(ARM, tuple(records))
    return {name: _estimate(answers, name, opinions[0].question.choices) for name in measures}


def _estimate(answers: ArmAnswers, name: str, labels: Sequence[str]) -> float:
    measure = measure_named(name)
    values = answers.single_values(measure)
    if measure.kind == "mean":
        return mean_over_people(values).value
    scored = answers.scored(measure, values)
    statistic = macro_f1(scored, labels) if measure.kind == "macro_f1" else rmse(scored)
    return resampled(scored, statistic, resamples=0).value


# ---- made-up predictions --------------------------------------------------------------------------------------------

WORDS = (
    "the",
    "a",
    "of",
    "new",
    "Nets",
    "models",
    "people",
    "study",
    "rise",
    "war",
    "tea",
    "dogs's",
    "don't",
    "3",
    "café",
)
ODD = ("", " ", "\n", "-", "…", "none", "I cannot answer.", "comedy.", "Comedy", "sci fi", "[3]", "1", "[1", "[1] [2]")
NUMBERS = ("4", "4.0", " 5 ", "4.5", "2.75", "0", "7", "-1", "1e1", "+3", "03", "five", "", "4 stars", "4/5", "[4]")


@dataclass
class Row:
    """One line of the page."""

    task: str
    measure: str
    predictions: int = 0
    sets: int = 0
    differences: list[float] = field(default_factory=list)

    def add(self, one: float, other: float, predictions: int) -> None:
        self.predictions += predictions
        self.sets += 1
        self.differences.append(abs(one - other))

    @property
    def largest(self) -> float:
        return max(self.differences)


class Rows(dict[tuple[str, str], Row]):
    """The lines of the page by task and measure."""

    def add(self, task: str, theirs: dict[str, float], own: dict[str, float], predictions: int) -> None:
        for name, value in theirs.items():
            self.setdefault((task, name), Row(task, name)).add(value, own[name], predictions)


def label_sets(labels: Sequence[str], rng: random.Random, sets: int) -> Iterator[tuple[list[str], list[str]]]:
    """Predictions and golds: random ones, then everything right, wrong, unread, and a single label in the golds."""
    for number in range(sets):
        n = rng.choice((1, 2, 5, 40))
        some = labels if number % 3 else rng.sample(labels, min(2, len(labels)))  # labels that nobody has
        golds = [rng.choice(some) for _ in range(n)]
        predictions = [rng.choice((gold, rng.choice(labels), rng.choice(ODD))) for gold in golds]
        yield [f" {text}\n" if rng.random() < 0.1 else text for text in predictions], golds
    golds = [rng.choice(labels) for _ in range(60)]
    yield golds, golds
    yield [labels[(labels.index(gold) + 1) % len(labels)] for gold in golds], golds
    yield [""] * len(golds), golds
    yield [labels[0]] * len(golds), golds
    yield golds, [labels[-1]] * len(golds)


def compare_labels(rows: Rows, rng: random.Random, sets: int) -> None:
    for task, labels in (("LaMP-1", CITATIONS), ("LaMP-2", MOVIE_TAGS)):
        for predictions, golds in label_sets(labels, rng, sets):
            opinions = [Opinion(Question("?", labels), gold) for gold in golds]
            theirs = lamp_labels(predictions, golds, labels)
            rows.add(task, theirs, ours(opinions, predictions, tuple(theirs)), len(golds))


def compare_stars(rows: Rows, rng: random.Random, sets: int) -> None:
    for number in range(sets):
        n = rng.choice((1, 2, 5, 40))
        golds = [rng.choice(STARS) for _ in range(n)]
        predictions = [rng.choice(NUMBERS if number % 2 else STARS) for _ in golds]
        opinions = [Opinion(Question("?", STARS, ordinal=True), gold) for gold in golds]
        theirs = lamp_stars(predictions, golds)
        rows.add("LaMP-3", theirs, ours(opinions, predictions, tuple(theirs)), n)


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(rng.choice((0, 1, 3, 12)))) + rng.choice(("", ".", "!", " \n"))


def compare_rouge(rows: Rows, rng: random.Random, sets: int) -> float:
    """Compare the means; return the largest distance between a mean and the middle of LaMP's bootstrap."""
    farthest = 0.0
    for number in range(sets):
        n = rng.choice((1, 5, 40))
        golds = [sentence(rng).strip() or "tea" for _ in range(n)]
        predictions = [gold if rng.random() < 0.1 else sentence(rng) for gold in golds]
        opinions = [Opinion(Question("?"), gold) for gold in golds]
        means, middle = lamp_rouge(predictions, golds)
        rows.add("LaMP-4, 5, 7", means, ours(opinions, predictions, tuple(means)), n)
        farthest = max(farthest, *(abs(means[name] - middle[name]) for name in means)) if number % 5 == 0 else farthest
    return farthest


def ordinals(rng: random.Random) -> list[float]:
    """Published places: 1, 2, 3 …; a middle option shown last; a tie; or uneven steps."""
    n = rng.randint(2, 7)
    places = [float(place) for place in range(1, n + 1)]
    kind = rng.randrange(4)
    if kind == 1 and n > 2:
        places[-1] = sum(places[: n - 1]) / (n - 1)
    if kind == 2 and n > 2:
        places[1] = places[0]
    return [place**1.5 for place in places] if kind == 3 else places


def compare_opinionqa(rows: Rows, rng: random.Random, sets: int) -> None:
    for _ in range(sets):
        places = ordinals(rng)
        choices = tuple(f"option {number}" for number in range(len(places)))
        ordinal = all(one < other for one, other in pairwise(places))
        question = Question("?", choices, ordinal=ordinal)
        truths = [rng.choice(choices) for _ in range(20)]
        answers = [rng.choice(choices) for _ in truths]
        mass = np.eye(len(places))
        theirs = [
            opinionqa_distance(places, mass[choices.index(a)], mass[choices.index(t)])
            for a, t in zip(answers, truths, strict=True)
        ]
        opinions = [Opinion(question, truth, {PLACES: places}) for truth in truths]
        own = ours(opinions, answers, ("normalized_error",))
        rows.add("OpinionQA", {"normalized_error": float(np.mean(theirs))}, own, len(truths))
        if places == [float(place) for place in range(1, len(places) + 1)]:  # also without published places
            plain = ours([Opinion(question, truth) for truth in truths], answers, ("normalized_error",))
            rows.add("OpinionQA", {"normalized_error": float(np.mean(theirs))}, plain, len(truths))


def compare_globalopinionqa(rows: Rows, rng: random.Random, sets: int) -> None:
    name = "distribution_similarity"
    for number in range(sets * 10):
        n = rng.randint(2, 8)
        people = np.array([rng.random() * (rng.random() < 0.8) for _ in range(n)]) + 0.0
        people = people / people.sum() if people.sum() > 0 else np.eye(n)[0]
        choices = tuple(f"option {each}" for each in range(n))
        opinion = Opinion(Question("?", choices), choices[int(np.argmax(people))], {DISTRIBUTION: people.tolist()})
        given = choices[rng.randrange(n)]
        scores = tuple(rng.uniform(-12, 0) for _ in choices) if number % 4 else ()
        if number % 7 == 0 and people.min() > 0:  # the model is exactly right
            scores = tuple(float(score) for score in np.log(people))
        judged = judge(opinion, Answer(Response(given, given, scores)), (name,))
        theirs = globalopinionqa_similarity(people, judged.predicted_share)
        rows.add("GlobalOpinionQA", {name: theirs}, judged.values, 1)


def reading() -> list[tuple[str, str, str, str]]:
    """How replies in words are read: the reply, LaMP's reading, ours, and whether they are the same."""
    movies, stars = Question("?", MOVIE_TAGS), Question("?", STARS, ordinal=True)
    replies = [
        (movies, "comedy"), (movies, "Comedy"), (movies, "comedy."), (movies, "The tag is: comedy."),
        (movies, "comedy or action"), (movies, "horror"), (movies, ""), (stars, "4"), (stars, "4.0"), (stars, "4."),
        (stars, "4 stars"), (stars, "4.5"), (stars, "7"), (stars, "four"),
    ]  # fmt: skip
    lines = []
    for question, reply in replies:
        theirs, own = exactly(reply, question) or "no label", read_label(reply, question) or "no label"
        lines.append((reply or "(nothing)", theirs, own, "the same" if theirs == own else "**differs**"))
    return lines


# ---- the page -------------------------------------------------------------------------------------------------------

PAGE = """# Measures against the authors' code

Use this page if you want to compare scores of `idiolect evaluate` with published ones.
`benchmarks/published_metrics.py` follows the authors' code step by step, with the libraries that it calls, and compares
the result with ours on {total:,} made-up predictions (seed {seed}): ties, labels that nobody has, unread and empty
replies, numbers beyond the scale, places out of order, and shares of 0 among them.

| benchmark | measure | predictions | largest difference | |
|---|---|---|---|---|
{table}

Sources: LaMP's `eval/evaluation.py` (021b860); OpinionQA's `helpers.py` and `process_results.ipynb` (612e5c1). For
GlobalOpinionQA, whose code is not published, the reference is the formula of its paper, 1 − Jensen-Shannon distance.

## Differences that remain

- **Means.** The authors average over answers, we over people, each of whom counts once. Both are the same where
  everybody is asked equally many questions, as in LaMP's user-based splits (one each).
- **LaMP's ROUGE.** Its script prints the middle of 1,000 bootstrap samples of the mean, without a seed, so it differs
  from run to run. Ours is the mean itself. The largest distance between the two in these sets is {farthest:.4f}.
- **LaMP-3.** A reply such as "nan" ends LaMP's script with an error, and "inf" makes its scores infinite. Here they are
  unparsed, with the largest error that the gold allows.
- **LaMP's labels.** Its script compares whole replies. We also read labels from longer replies (below), so wordy models
  score better here. The folder `lamp` of an evaluation contains the labels as we read them, and LaMP's script makes our
  scores of these.
- **LaMP-1.** Its script also prints macro-F1. The paper reports accuracy, and so do we.
- **OpinionQA.** The authors compare populations: the Wasserstein distance between the answers of all respondents,
  weighted by Pew's weights, and a model's probabilities, each without refusals. We compare a person's answer with the
  answer predicted for this person, unweighted. `normalized_error` is their distance in that case, and 1 −
  `normalized_error` is their alignment.
- **OpinionQA's mae** counts steps in the order in which options are shown. Questions whose middle option is shown last
  have none; `normalized_error` uses their published places.
- **GlobalOpinionQA.** We take base 2, with which values reach from 0 to 1; with natural logarithms, scipy's default,
  distances are 0.833 times as large. Choices that are no answer ("DK/Refused") are left out, and the other shares are
  scaled.

## How replies are read

| reply | LaMP | ours | |
|---|---|---|---|
{read}

"4.5" and "7" are numbers but no labels. In mae and rmse, both count with their distance from the gold, here and there.
"""


def page(rows: Rows, farthest: float, lines: Sequence[tuple[str, str, str, str]], seed: int) -> str:
    table = "\n".join(
        f"| {row.task} | {row.measure} | {row.predictions:,} in {row.sets:,} sets | {row.largest:.1e} | "
        f"{'equal' if row.largest < EQUAL else '**different**'} |"
        for row in rows.values()
    )
    total = sum({row.task: row.predictions for row in rows.values()}.values())
    read = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return PAGE.format(total=total, seed=seed, table=table, farthest=farthest, read=read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=int, default=150, help="sets of predictions a task")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="the page")
    given = parser.parse_args()
    rng, rows = random.Random(given.seed), Rows()
    np.random.seed(given.seed)  # of rouge-score's bootstrap
    compare_labels(rows, rng, given.sets)
    compare_stars(rows, rng, given.sets)
    farthest = compare_rouge(rows, rng, given.sets)
    compare_opinionqa(rows, rng, given.sets)
    compare_globalopinionqa(rows, rng, given.sets)
    given.out.write_text(page(rows, farthest, reading(), given.seed), encoding="utf-8")
    for row in rows.values():
        print(f"{row.task:16} {row.measure:24} {row.predictions:8,} {row.largest:.1e}")
    if any(row.largest >= EQUAL for row in rows.values()):
        raise SystemExit("some measures differ")


if __name__ == "__main__":
    main()
