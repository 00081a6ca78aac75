"""Do the intervals of `idiolect.evaluate.statistics` hold the truth as often as they say? Simulated answers.

    python benchmarks/interval_coverage.py --out docs/results/interval-coverage.md         # three minutes of one core
    python benchmarks/interval_coverage.py --simulations 200 --out /tmp/coverage.md        # a quick look

Model. Person u answers question q rightly if  μ + a_u + b_q + e_uq > 0  with normal a, b and e ~ N(0, 1): people differ
in how predictable they are, questions in how hard they are. A paired difference is that of two methods which share part
of a, b and e, and differ by effects of their own. The truth is the mean over the populations that people and questions
are drawn from, in closed form: Φ(μ / √(1 + σ_a² + σ_b²)).

Every interval of ours is computed by the function that evaluations use. Beside it stand two rivals: answers taken for
independent, and the bootstrap that resamples people only (1,000 resamples, percentile).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from idiolect.evaluate.arm_answers import ANSWERS_A_LABEL
from idiolect.evaluate.pigeonhole import ScoredAnswers, macro_f1, resampled, rmse
from idiolect.evaluate.statistics import AnswerKey, Floats, Integers, mean_over_people, paired_difference
from idiolect.evaluate.summary import Estimate

METHODS = ("ours", "independent answers", "bootstrap of people")


@dataclass(frozen=True)
class Design:
    """Who is asked what.

    Args:
        name: for the page.
        people, pool: how many people there are, and questions to draw from.
        asked: of each person, at least and at most.
    """

    name: str
    people: int
    pool: int
    asked: tuple[int, int]

    def draw(self, rng: np.random.Generator) -> tuple[Integers, Integers]:
        """User and question of each answer; questions of one person are all different."""
        users, questions = [], []
        for user in range(self.people):
            n = int(rng.integers(self.asked[0], self.asked[1] + 1))
            users.append(np.full(n, user))
            questions.append(rng.choice(self.pool, size=n, replace=False) + (0 if self.crossed else user * self.pool))
        return np.concatenate(users), np.concatenate(questions)

    @property
    def crossed(self) -> bool:
        """Questions are drawn from one pool for all; else everybody has their own."""
        return not self.name.startswith("nobody shares")


DESIGNS = (
    Design("40 people × 10 of 40 questions", 40, 40, (10, 10)),
    Design("40 people × 2 to 18 of 40 questions", 40, 40, (2, 18)),
    Design("16 people × 10 of 40 questions", 16, 40, (10, 10)),
    Design("8 people × 6 of 40 questions", 8, 40, (6, 6)),
    Design("40 people × the same 30 questions", 40, 30, (30, 30)),
    Design("20 people × the same 8 questions", 20, 8, (8, 8)),
    Design("nobody shares: 40 people × 10 each", 40, 10, (10, 10)),
    Design("nobody shares: 100 people × 1 each", 100, 1, (1, 1)),
)


@dataclass(frozen=True)
class Effects:
    """Standard deviations of what people and questions add; on the scale on which an answer's own noise has 1."""

    name: str
    person: float
    question: float


EFFECTS = (
    Effects("both matter", 0.5, 0.7),
    Effects("people matter", 0.7, 0.0),
    Effects("questions matter", 0.0, 0.8),
    Effects("neither matters", 0.0, 0.0),
)
ONE_METHOD = (0.0,)  # μ: half of the answers are right
TWO_METHODS = (0.3, 0.0)  # μ of each: the first is right more often
SHARED = 0.8  # part of the variance of each effect that two methods have in common
RMSE_RESAMPLES = 300  # fewer than an evaluation draws, for time


@dataclass
class Tally:
    """How often intervals held the truth, and how wide they were; one that could not be given counts as a miss."""

    held: int = 0
    tried: int = 0
    width: float = 0.0

    def add(self, low: float | None, high: float | None, truth: float) -> None:
        """One more."""
        self.tried += 1
        if low is not None and high is not None:
            self.held += low <= truth <= high
            self.width += high - low

    @property
    def share(self) -> float:
        """That held the truth."""
        return self.held / self.tried

    def __str__(self) -> str:
        low, high = proportion_confint(self.held, self.tried, method="wilson")
        return f"{self.share:.3f} [{low:.3f}, {high:.3f}], width {self.width / self.tried:.3f}"


def simulated(
    users: Integers, questions: Integers, effects: Effects, ease: tuple[float, ...], rng: np.random.Generator
) -> list[Floats]:
    """Whether each answer is right, for one method or, of the same people and questions, for two."""
    latent: list[Floats] = []
    scales = (effects.person, effects.question, 1.0)
    groups = (users, questions, np.arange(len(users)))
    common = [rng.normal(size=int(group.max()) + 1) for group in groups]
    for mu in ease:
        own = [rng.normal(size=len(shared)) for shared in common]
        parts = [
            scale * (np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * alone)[group]
            for scale, shared, alone, group in zip(scales, common, own, groups, strict=True)
        ]
        latent.append(mu + sum(parts))
    return [(value > 0).astype(np.float64) for value in latent]


def true_rate(mu: float, effects: Effects) -> float:
    """Share of right answers over all people and questions."""
    return float(ndtr(mu / np.sqrt(1 + effects.person**2 + effects.question**2)))


def keys_of(users: Integers, questions: Integers) -> list[AnswerKey]:
    """As the statistics want them."""
    pairs = enumerate(zip(users, questions, strict=True))
    return [(f"{user:03}", f"{question:05}", index) for index, (user, question) in pairs]


def independent(values: Floats) -> tuple[float, float]:
    """As if every answer were a draw of its own: mean ± 1.96 standard errors."""
    half = float(norm.ppf(0.975)) * float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def bootstrap_of_people(values: Floats, users: Integers, rng: np.random.Generator) -> tuple[float, float]:
    """People's means are resampled, questions stay."""
    means = np.bincount(users, values) / np.bincount(users)  # (people,)
    drawn = means[rng.integers(len(means), size=(1000, len(means)))].mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def coverage(
    design: Design, effects: Effects, ease: tuple[float, ...], simulations: int, seed: int
) -> dict[str, Tally]:
    """Tallies by method of one method's mean (one ease), or of the paired difference of two (two)."""
    rng = np.random.default_rng(seed)
    tallies = {method: Tally() for method in METHODS}
    rates = [true_rate(mu, effects) for mu in ease]
    truth = rates[0] - (rates[1] if len(rates) > 1 else 0.0)
    for _ in range(simulations):
        users, questions = design.draw(rng)
        values = simulated(users, questions, effects, ease, rng)
        keys = keys_of(users, questions)
        of_arm = [dict(zip(keys, map(float, each), strict=True)) for each in values]
        found = mean_over_people(of_arm[0]) if len(of_arm) == 1 else paired_difference(*of_arm).difference
        tallies["ours"].add(found.low, found.high, truth)
        single = values[0] if len(values) == 1 else values[0] - values[1]
        tallies["independent answers"].add(*independent(single), truth)
        tallies["bootstrap of people"].add(*bootstrap_of_people(single, users, rng), truth)
    return tallies


def rmse_coverage(design: Design, effects: Effects, simulations: int, seed: int) -> Tally:
    """The pigeonhole bootstrap of an RMSE; errors are a_u + b_q + e_uq, so the truth is their standard deviation."""
    rng = np.random.default_rng(seed)
    truth = float(np.sqrt(1 + effects.person**2 + effects.question**2))
    tally = Tally()
    for number in range(simulations):
        users, questions = design.draw(rng)
        person, question = rng.normal(size=users.max() + 1), rng.normal(size=questions.max() + 1)
        errors = effects.person * person[users] + effects.question * question[questions] + rng.normal(size=len(users))
        scored = ScoredAnswers(tuple(keys_of(users, questions)), errors=tuple(map(float, np.abs(errors))))
        found = resampled(scored, rmse(scored), seed=number, resamples=RMSE_RESAMPLES)
        tally.add(found.low, found.high, truth)
    return tally


def table(
    title: str, effects: Sequence[Effects], ease: tuple[float, ...], simulations: int
) -> tuple[list[str], list[float]]:
    """Rows of one table, and the coverages of ours."""
    rows = [f"## {title}", "", f"| who is asked what | what matters | {' | '.join(METHODS)} |", "|---|---|---|---|---|"]
    covered = []
    for number, design in enumerate(DESIGNS):
        for effect in effects:
            tallies = coverage(design, effect, ease, simulations, seed=number)
            rows.append(f"| {design.name} | {effect.name} | {' | '.join(str(tallies[m]) for m in METHODS)} |")
            covered.append(tallies["ours"].share)
    return [*rows, ""], covered


def rmse_table(simulations: int) -> list[str]:
    """Rows of the table of RMSE."""
    rows = ["## RMSE", "", "| who is asked what | what matters | pigeonhole bootstrap, widened |", "|---|---|---|"]
    for number in (0, 2, 3, 5, 7):
        tally = rmse_coverage(DESIGNS[number], EFFECTS[0], simulations, seed=number)
        rows.append(f"| {DESIGNS[number].name} | {EFFECTS[0].name} | {tally} |")
    return [*rows, ""]


@dataclass(frozen=True)
class Tags:
    """A simulated tagging task: so many labels of unequal frequency, and answers right with a person's own chance."""

    people: int
    each: int
    labels: int = 15

    def draw(self, rng: np.random.Generator) -> tuple[Integers, Integers, Integers]:
        """Users, truths, answers."""
        shares = 1 / np.arange(1, self.labels + 1)
        shares /= shares.sum()
        users = np.repeat(np.arange(self.people), self.each)
        right = rng.random(len(users)) < 1 / (1 + np.exp(0.4 - 0.5 * rng.standard_normal(self.people)[users]))
        truths, others = (rng.choice(self.labels, size=len(users), p=shares) for _ in range(2))
        return users, truths, np.where(right, truths, others)


def macro_f1_table(simulations: int) -> list[str]:
    """Rows of macro-F1; what a bootstrap of so many answers would say, also where evaluations give no interval."""
    rows = [
        "# How often a bootstrap interval of macro-F1 contains the truth", "",
        "This page shows why evaluations give no interval for macro-F1 if labels have few answers. There are 15 "
        "labels, and nobody shares questions.", "",
        "| people × questions each | answers a label | truth above | truth below | pigeonhole bootstrap, widened |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for number, design in enumerate((Tags(100, 1), Tags(200, 1), Tags(500, 1), Tags(20, 10), Tags(50, 10))):
        labels = [str(label) for label in range(design.labels)]
        truth = _macro_f1_of(Tags(200_000, 1), labels, np.random.default_rng(99)).value
        tally, above, below = Tally(), 0, 0
        for at in range(simulations):
            found = _macro_f1_of(design, labels, np.random.default_rng([number, at]))
            assert found.low is not None
            assert found.high is not None
            tally.add(found.low, found.high, truth)
            above, below = above + (truth > found.high), below + (truth < found.low)
        answers = design.people * design.each / design.labels
        rows.append(f"| {design.people} × {design.each} | {answers:.0f} | {above} | {below} | {tally} |")
    told = f"{simulations} simulations a row, {RMSE_RESAMPLES} resamples each."
    least = f"Evaluations give an interval if there are at least {ANSWERS_A_LABEL} answers a label."
    return [*rows, "", f"{told} {least}", ""]


def _macro_f1_of(design: Tags, labels: list[str], rng: np.random.Generator) -> Estimate:
    users, truths, answers = design.draw(rng)
    keys = tuple((f"u{user}", f"q{at}", at) for at, user in enumerate(users))
    scored = ScoredAnswers(keys, tuple(labels[t] for t in truths), tuple(labels[a] for a in answers))
    if design.people > 10_000:  # the truth: no interval of it
        value = macro_f1(scored, labels)(np.ones(len(keys)))
        return Estimate(value, None, None, design.people, len(keys), len(keys), "")
    return resampled(scored, macro_f1(scored, labels), seed=0, resamples=RMSE_RESAMPLES)


def page(simulations: int) -> str:
    """The result as Markdown."""
    means, covered = table("One method's accuracy", EFFECTS, ONE_METHOD, simulations)
    differences, more = table("A paired difference of two", EFFECTS[::3], TWO_METHODS, simulations)
    lowest, highest = min(covered + more), max(covered + more)
    few = max(simulations // 8, 10)
    opening = f"""# How often the intervals of an evaluation contain the truth

This page shows how far the 95 % intervals of `idiolect evaluate` can be trusted.

Right and wrong answers of people to questions are simulated, {simulations:,} simulations a row. A cell gives the
share of simulations whose interval contains the truth; in square brackets, the 95 % interval (Wilson) of that share;
then the mean width. *Ours* is `mean_over_people` or `paired_difference` as evaluations call them: variance clustered by
person and question, t quantile. The model, the truth and the rivals are defined in `benchmarks/interval_coverage.py`.
Effects are standard deviations on a latent scale on which one answer's noise has 1:
{"; ".join(f"{e.name}: person {e.person}, question {e.question}" for e in EFFECTS)}.

Ours contains the truth in {lowest:.3f} to {highest:.3f} of the simulations, depending on the row.
"""
    closing = f"""RMSE: {few} simulations a row, {RMSE_RESAMPLES} resamples each.

"""
    return "\n".join([opening, *means, *differences, *rmse_table(few), closing.rstrip(), "", KNOWN])


KNOWN = """## What is known

- If people are asked the same questions and questions differ, two rivals contain the truth far less often than they
  claim: answers taken as independent, and the bootstrap of people alone. More people do not make the sample of
  questions larger.
- Ours is on the safe side if neither people nor questions differ, or if there are few of either: it takes the larger of
  several noisy variances, and t has few degrees of freedom. Its intervals are then wider than they need be, and a
  difference is missed more often. That is the price of not knowing beforehand what differs.
- A bootstrap of macro-F1 is too low if labels have few answers ([simulated](macro-f1-coverage.md)): some labels are
  missing from a resample, and their F1 is 0. Evaluations therefore give the value only, without an interval.
- The pigeonhole bootstrap of RMSE is wide with few people who share some of their questions, because drawing both
  people and questions counts an answer's own noise up to three times. With only people drawn, 8 people x 6 of 40
  questions contained the truth in 87 % of 125 simulations; that is why questions are drawn too.
- Not simulated: differences of macro-F1, heavy tails, people chosen because of how they answer, and questions that come
  in batteries. The last two may well make any such interval too short.
"""


def main() -> None:
    """Simulates and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--macro-f1", type=int, metavar="N", help="only macro-F1, with N simulations a row")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    began = time.monotonic()
    given.out.write_text("\n".join(macro_f1_table(given.macro_f1)) if given.macro_f1 else page(given.simulations))
    print(f"{given.out}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
