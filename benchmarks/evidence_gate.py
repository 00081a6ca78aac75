"""How often is the "do no harm" gate wrong? Rules, numbers of held-out opinions, and splits of 20 opinions, simulated.

    python benchmarks/evidence_gate.py --out docs/results/evidence-gate.md
    python benchmarks/evidence_gate.py --simulations 4000 --seed 7 --out /tmp/gate.md      # a quick look

Model. A person's base accuracy is b, that of the personalization b + d. On one opinion both sides' outcomes are
Bernoulli with correlated normal latents (correlation ρ, the shared difficulty), ρ fitted to the real answers. Ordinal
scores: the same latent, with the real distribution of partial scores among wrong answers. Evidence of the *scoring*
opinions is that of the best of several candidates, so it is as optimistic as a selected score.

(b, d) are fixed in the tables of error rates. In the tables of expected accuracy they are drawn from people: per-person
accuracies in docs/results/fermi-food, pulled towards their mean until their variance is what sampling error leaves.
The last table replays each rule on those people's real answers, split at random into a gate part and a judged part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from intervals import Interval, mean_interval
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from scipy.stats import binom

from idiolect.methods.evidence import EvidenceSettings, weigh
from idiolect.people.bundled import bundled_people

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

HARM = 0.02  # a true difference below this is called none
PARTIAL = (0.75, 0.5, 0.25, 0.0)  # ordinal scores of a wrong answer on five steps


@dataclass(frozen=True)
class Belief:
    """What a Bayesian rule takes for granted: d ~ N(mean, sd²), one opinion's difference has variance `noise`."""

    mean: float
    sd: float
    noise: float


@dataclass(frozen=True)
class Seen:
    """What a rule may look at, for many simulated people at once.

    Args:
        personalized, base: scores on the held-out opinions, (people, n).
        scoring: difference of the mean scores on the scoring opinions, (people,); its number `n_scoring`.
        belief: fitted on other people.
    """

    personalized: Floats
    base: Floats
    scoring: Floats
    n_scoring: int
    belief: Belief

    @property
    def n(self) -> int:
        """Held-out opinions."""
        return int(self.base.shape[1])

    @property
    def difference(self) -> Floats:
        """Mean difference on the held-out opinions."""
        found: Floats = (self.personalized - self.base).sum(axis=1) / self.n
        return found


Rule = Callable[[Seen], Bools]


def sign_test(level: float) -> Rule:
    """One-sided, on the opinions where the sides differ."""

    def used(seen: Seen) -> Bools:
        wins = (seen.personalized > seen.base).sum(axis=1)
        losses = (seen.personalized < seen.base).sum(axis=1)
        p: Floats = binom.sf(wins - 1, wins + losses, 0.5)
        return p <= level

    return used


def posterior(belief: Belief | None = None) -> Rule:
    """P(d > 0) > 0.5 under a normal prior; None: that fitted on other people."""

    def used(seen: Seen) -> Bools:
        prior = belief or seen.belief
        return prior.mean / prior.sd**2 + seen.n * seen.difference / prior.noise > 0

    return used


def pooled(weight: float) -> Rule:
    """Held-out opinions count 1 each, scoring opinions `weight` each."""
    return lambda seen: seen.n * seen.difference + weight * seen.n_scoring * seen.scoring > 1e-9


def rules(sceptic: Belief) -> dict[str, Rule]:
    """All rules by name."""
    return {
        "always": lambda seen: np.ones(len(seen.base), dtype=bool),
        "> 0 (`weigh`, margin 0)": lambda seen: seen.difference > 0,
        "≥ 0": lambda seen: seen.difference >= 0,
        "> 0.1": lambda seen: seen.difference > 0.1,
        "> 0.25": lambda seen: seen.difference > 0.25,
        "sign test 0.25": sign_test(0.25),
        "sign test 0.1": sign_test(0.1),
        f"posterior, prior N({sceptic.mean:+.2f}, {sceptic.sd:.2f}²)": posterior(sceptic),
        "posterior, prior of other people": posterior(),
        "> 0, ties by scoring opinions": lambda seen: (
            (seen.difference > 0) | ((seen.difference == 0) & (seen.scoring > 0))
        ),
        "pooled, scoring opinions × 0.25": pooled(0.25),
        "pooled, scoring opinions × 1": pooled(1.0),
    }


# --- the simulation


@dataclass(frozen=True)
class Nature:
    """How outcomes come about.

    Args:
        rho: correlation of the two sides' latents on one opinion.
        partial: probabilities of `PARTIAL` among wrong answers; empty: exact match, a wrong answer scores 0.
        n_scoring: scoring opinions; candidates: prompts that compete on them.
        spread: standard deviation of the candidates' true accuracies.
    """

    rho: float
    partial: tuple[float, ...]
    n_scoring: int
    candidates: int
    spread: float

    def scores(self, rng: np.random.Generator, accuracy: Floats, difficulty: Floats) -> Floats:
        """Scores of one side; `accuracy` and `difficulty` broadcast to the shape of the result."""
        shape = np.broadcast_shapes(accuracy.shape, difficulty.shape)
        u = ndtr(np.sqrt(self.rho) * difficulty + np.sqrt(1 - self.rho) * rng.standard_normal(shape))
        if not self.partial:
            return np.asarray(u < accuracy, dtype=float)
        edges = np.cumsum(self.partial)[:-1]
        rank = np.searchsorted(edges, (u - accuracy) / (1 - accuracy), side="right")
        return np.where(u < accuracy, 1.0, np.array(PARTIAL)[rank])


def meet(rng: np.random.Generator, nature: Nature, b: Floats, d: Floats, n: int, belief: Belief) -> tuple[Seen, Floats]:
    """Simulate people with base accuracy b and candidates around b + d; returns what is seen and the true accuracy."""
    people = len(b)
    spread = nature.spread * rng.standard_normal((people, nature.candidates))
    accuracy = np.clip((b + d)[:, None] + spread, 0.01, 0.99)
    difficulty = rng.standard_normal((people, nature.n_scoring))
    scored = nature.scores(rng, accuracy[:, :, None], difficulty[:, None, :]).mean(axis=2)
    chosen = scored.argmax(axis=1)
    scoring = scored.max(axis=1) - nature.scores(rng, b[:, None], difficulty).mean(axis=1)
    truth = accuracy[np.arange(people), chosen]
    difficulty = rng.standard_normal((people, n))
    seen = Seen(
        nature.scores(rng, truth[:, None], difficulty),
        nature.scores(rng, b[:, None], difficulty),
        scoring,
        nature.n_scoring,
        belief,
    )
    return seen, truth


def check_weigh(seen: Seen, margin: float) -> None:
    """The vectorized rule is the product's."""
    product = [
        weigh(p, b, EvidenceSettings(0.2, margin)).used for p, b in zip(seen.personalized, seen.base, strict=True)
    ]
    assert product == list(seen.difference > margin), "not the rule of idiolect.methods.evidence"


# --- what real people say


@dataclass(frozen=True)
class Population:
    """Real people with one arm against base.

    Args:
        name: the arm.
        exact, graded: per person, (2, answers): scores of the arm and of base, as exact match and as alignment.
        b, d: base accuracy and difference, per person, shrunken.
        belief, graded_belief: what they say about d, in either score.
    """

    name: str
    exact: Mapping[str, Floats]
    graded: Mapping[str, Floats]
    b: Floats
    d: Floats
    belief: Belief
    graded_belief: Belief


def believe(people: Sequence[Floats]) -> Belief:
    """Mean and spread of true differences, noise of one opinion's: the moments of a random-effects model."""
    differences = [one[0] - one[1] for one in people]
    noise = float(np.mean([one.var(ddof=1) for one in differences]))
    means = np.array([one.mean() for one in differences])
    true_variance = means.var(ddof=1) - noise / np.mean([len(one) for one in differences])
    return Belief(float(means.mean()), max(float(true_variance), 1e-4) ** 0.5, noise)


def shrunken(values: Floats, sampling_variance: float) -> Floats:
    """Pulled towards the mean until the variance is what sampling error leaves."""
    observed = values.var(ddof=1)
    share = max(observed - sampling_variance, 0.0) / observed if observed else 0.0
    return np.asarray(values.mean() + np.sqrt(share) * (values - values.mean()))


def population(rows: Sequence[Mapping[str, Any]], arm: str) -> Population:
    """One arm's people."""

    def of(measure: str) -> dict[str, Floats]:
        sides: dict[str, dict[str, list[float]]] = {}
        for row in rows:
            if row["arm"] in (arm, "base"):
                sides.setdefault(row["user"], {}).setdefault(row["arm"], []).append(float(row[measure]))
        return {user: np.array([both[arm], both["base"]]) for user, both in sorted(sides.items())}

    exact, graded = of("correct"), of("alignment")
    belief = believe(list(exact.values()))
    b = np.array([one[1].mean() for one in exact.values()])
    d = np.array([(one[0] - one[1]).mean() for one in exact.values()])
    n = np.mean([one.shape[1] for one in exact.values()])
    return Population(
        arm, exact, graded, shrunken(b, float((b * (1 - b)).mean() / n)), shrunken(d, belief.noise / float(n)),
        belief, believe(list(graded.values())),
    )  # fmt: skip


def fitted_rho(found: Population, seed: int) -> float:
    """The correlation under which both sides are right together as often as in the data."""
    together = float(np.mean([one.prod(axis=0).mean() for one in found.exact.values()]))
    p = np.array([one.mean(axis=1) for one in found.exact.values()])  # (people, 2)
    grid = np.arange(0, 0.96, 0.05)
    simulated = []
    for rho in grid:
        rng = np.random.default_rng(seed)
        nature, z = Nature(float(rho), (), 1, 1, 0.0), rng.standard_normal((len(p), 4000))
        sides = [nature.scores(rng, p[:, side][:, None], z) for side in (0, 1)]
        simulated.append((sides[0] * sides[1]).mean())
    return float(grid[np.abs(np.array(simulated) - together).argmin()])


def partial_scores(found: Population) -> tuple[float, ...]:
    """Distribution of the alignment scores of wrong answers."""
    wrong = np.concatenate([one[one < 1] for one in found.graded.values()])
    return tuple(float((wrong == score).mean()) for score in PARTIAL)


def learning_curve(sizes: Sequence[int], seed: int, draws: int) -> dict[int, float]:
    """Accuracy of a person's own most frequent answer, learned from k of 20 opinions: what fewer opinions cost."""
    rng = np.random.default_rng(seed)
    right: dict[int, list[float]] = {k: [] for k in sizes}
    for user in bundled_people():
        said = [opinion.answer for opinion in user.opinions]
        choices = user.opinions[0].question.choices
        ranks = np.array([choices.index(answer) for answer in said])
        train, test = ranks[:20], ranks[20:]
        for k in sizes:
            modes = [np.bincount(rng.permutation(train)[:k], minlength=len(choices)).argmax() for _ in range(draws)]
            right[k].append(float(np.mean([(test == mode).mean() for mode in modes])))
    return {k: float(np.mean(values)) for k, values in right.items()}


# --- tables


@dataclass(frozen=True)
class Setup:
    """Everything the tables share."""

    simulations: int
    seed: int
    splits: int
    nature: Nature
    partial: tuple[float, ...]
    rules: Mapping[str, Rule]
    populations: tuple[Population, ...]


def error_table(setup: Setup, b: float, d: float, sizes: Sequence[int]) -> list[str]:
    """How often each rule lets a personalization with this (b, d) through."""
    rows: dict[str, list[str]] = {name: [] for name in setup.rules}
    ones = np.ones(setup.simulations)
    for n in sizes:
        rng = np.random.default_rng((setup.seed, n, round(100 * b), round(100 * (d + 1))))
        nature = replace(setup.nature, spread=0.0)
        seen, _ = meet(rng, nature, b * ones, d * ones, n, setup.populations[0].belief)
        for name, rule in setup.rules.items():
            rows[name].append(f"{100 * rule(seen).mean():.0f}")
    return table(["rule", *(f"n = {n}" for n in sizes)], [[name, *cells] for name, cells in rows.items()])


def grid_table(setup: Setup, n: int, bases: Sequence[float], steps: Sequence[float], names: Sequence[str]) -> list[str]:
    """Let through, by b and d, with exact and with ordinal scores."""
    rows, ones = [], np.ones(setup.simulations)
    for partial, scores in ((), "exact"), (setup.partial, "ordinal"):
        for b in bases:
            cells: dict[str, list[str]] = {name: [] for name in names}
            for d in steps:
                if not 0 < b + d < 1:
                    for name in names:
                        cells[name].append("")
                    continue
                rng = np.random.default_rng((setup.seed, n, round(100 * b), round(100 * (d + 1))))
                nature = replace(setup.nature, spread=0.0, partial=partial)
                seen, _ = meet(rng, nature, b * ones, d * ones, n, setup.populations[0].belief)
                for name in names:
                    cells[name].append(f"{100 * setup.rules[name](seen).mean():.0f}")
            rows += [[name, scores, f"{b:.1f}", *cells[name]] for name in names]
    return table(["rule", "scores", "b", *(f"d = {d:+.2f}" for d in steps)], rows)


def drawn(rng: np.random.Generator, found: Population, size: int) -> tuple[Floats, Floats]:
    """People of a population, with replacement."""
    who = rng.integers(len(found.b), size=size)
    b = np.clip(found.b[who], 0.02, 0.98)
    return b, np.clip(b + found.d[who], 0.02, 0.98) - b


def synthetic(found: Population, belief: Belief) -> Population:
    """The same base accuracies, d from a normal distribution (its quantiles, dealt out at random)."""
    size = len(found.b)
    normal = ndtri((np.random.default_rng(0).permutation(size) + 0.5) / size)
    return replace(
        found,
        name=f"d ~ N({belief.mean:+.2f}, {belief.sd:.2f}²)",
        d=belief.mean + belief.sd * normal,
        belief=belief,
        graded_belief=belief,
    )


def expected_table(setup: Setup, n: int) -> list[str]:
    """Accuracy of the gated system, under each population: above base, above always, and who is harmed."""
    rows = []
    for found in setup.populations:
        rng = np.random.default_rng((setup.seed, n))
        b, d = drawn(rng, found, setup.simulations)
        seen, truth = meet(rng, setup.nature, b, d, n, found.belief)
        for name, rule in setup.rules.items():
            used = rule(seen)
            gated = np.where(used, truth, b)
            rows.append([
                found.name, name, f"{100 * used.mean():.0f}", monte_carlo(gated - b), monte_carlo(gated - truth),
                f"{100 * (used & (truth < b - HARM)).mean():.1f}", f"{100 * (~used & (truth > b + HARM)).mean():.1f}",
            ])  # fmt: skip
    head = ["d drawn from", "rule", "used, %", "gated − base", "gated − always", "harmed, % of people", "missed, %"]
    return table(head, rows)


def split_table(
    setup: Setup, splits: Sequence[tuple[int, int, int]], curve: Mapping[int, float], rule: str
) -> list[str]:
    """20 opinions as scoring / fixed examples / held out: accuracy above base, of always and of the gated system."""
    rows = []
    for n_scoring, n_fixed, n_gate in splits:
        cells = []
        for found in setup.populations:
            rng = np.random.default_rng((setup.seed, n_scoring, n_gate))
            b, d = drawn(rng, found, setup.simulations)
            loss = curve[20] - curve[n_scoring + n_fixed]
            nature = replace(setup.nature, n_scoring=n_scoring)
            seen, truth = meet(rng, nature, b, d - loss, max(n_gate, 1), found.belief)
            used = setup.rules[rule](seen) if n_gate else np.ones(len(b), dtype=bool)
            harmed = 100 * (used & (truth < b - HARM)).mean()
            cells.append(f"{monte_carlo(np.where(used, truth, b) - b)}; {harmed:.0f} %")
        rows.append([f"{n_scoring}/{n_fixed}/{n_gate}", *cells])
    return table(["scoring/fixed/held out", *(found.name for found in setup.populations)], rows)


def sensitivity_table(setup: Setup, n: int, natures: Mapping[str, Nature], names: Sequence[str]) -> list[str]:
    """Expected accuracy when nature is otherwise; cells: gated − base; harmed; missed."""
    rows = []
    for title, nature in natures.items():
        for name in names:
            cells = []
            for found in setup.populations:
                rng = np.random.default_rng((setup.seed, n))
                b, d = drawn(rng, found, setup.simulations)
                seen, truth = meet(rng, nature, b, d, n, found.belief)
                used = setup.rules[name](seen)
                harmed, missed = (used & (truth < b - HARM)).mean(), (~used & (truth > b + HARM)).mean()
                gain = (np.where(used, truth, b) - b).mean()
                cells.append(f"{gain:+.3f}; {100 * harmed:.0f} %; {100 * missed:.0f} %")
            rows.append([title, name, *cells])
    return table(["assumption", "rule", *(found.name for found in setup.populations)], rows)


@dataclass(frozen=True)
class Replayed:
    """A rule on one person's real answers, mean over the splits: used; gain over base and over always; wrong calls."""

    used: float
    over_base: float
    over_always: float
    used_but_worse: float
    unused_but_better: float


def replay(setup: Setup, found: Population, n: int, rule: Rule, *, graded: bool) -> dict[str, Replayed]:
    """Per person: random splits into n answers that the gate sees, and the others, which judge it by exact match."""
    scores, results = found.graded if graded else found.exact, {}
    for place, (person, own) in enumerate(scores.items()):
        rng = np.random.default_rng((setup.seed, place, n))
        orders = rng.permuted(np.tile(np.arange(own.shape[1]), (setup.splits, 1)), axis=1)
        gate, exact = orders[:, :n], found.exact[person]
        others = believe([one for user, one in scores.items() if user != person])
        seen = Seen(own[0][gate], own[1][gate], np.zeros(setup.splits), 1, others)
        check_weigh(Seen(seen.personalized[:5], seen.base[:5], seen.scoring[:5], 1, others), 0.0)
        used, judged = rule(seen), (exact[0] - exact[1])[orders[:, n:]].mean(axis=1)
        results[person] = Replayed(
            float(used.mean()), float((used * judged).mean()), float((~used * -judged).mean()),
            float((used & (judged < 0)).mean()), float((~used & (judged > 0)).mean()),
        )  # fmt: skip
    return results


def replay_table(setup: Setup, arms: Sequence[Population], sizes: Sequence[int], names: Sequence[str]) -> list[str]:
    """The gate on real answers, against what the simulation says."""
    rows, rho = [], {found.name: fitted_rho(found, setup.seed) for found in arms}
    for found, n, graded in ((f, n, g) for f in arms for g in (False, True) for n in sizes):
        rng = np.random.default_rng((setup.seed, n, 1))
        b, d = drawn(rng, found, setup.simulations)
        nature = replace(setup.nature, rho=rho[found.name], spread=0.0, candidates=1)
        nature = replace(nature, partial=setup.partial if graded else ())
        seen, truth = meet(rng, nature, b, d, n, found.graded_belief if graded else found.belief)
        for name in names:
            real = replay(setup, found, n, setup.rules[name], graded=graded)
            used = setup.rules[name](seen)
            over_base = mean_interval({person: one.over_base for person, one in real.items()})
            over_always = mean_interval({person: one.over_always for person, one in real.items()})
            shares = [100 * float(np.mean([getattr(one, part) for one in real.values()]))
                      for part in ("used", "used_but_worse", "unused_but_better")]  # fmt: skip
            rows.append([
                found.name, "ordinal" if graded else "exact", str(n), name,
                f"{shares[0]:.0f} ({100 * used.mean():.0f})",
                f"{signed(over_base)} ({(used * (truth - b)).mean():+.3f})",
                f"{signed(over_always)} ({-(~used * (truth - b)).mean():+.3f})",
                f"{shares[1]:.0f}", f"{shares[2]:.0f}",
            ])  # fmt: skip
    head = ["arm", "gate sees", "n", "rule", "used, % (simulated)", "gated − base (simulated)",
            "gated − always (simulated)", "used, but worse on the judged part, %",
            "not used, but better, %"]  # fmt: skip
    return table(head, rows)


def monte_carlo(values: Floats) -> str:
    """A mean with 1.96 standard errors of the simulation."""
    return f"{values.mean():+.3f} ± {1.96 * values.std() / np.sqrt(len(values)):.3f}"


def signed(interval: Interval) -> str:
    """A difference with its interval over people."""
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


def body(setup: Setup, arms: Sequence[Population], curve: Mapping[int, float]) -> list[str]:
    """All tables."""
    sizes, names = (2, 4, 6, 8, 12, 20), list(setup.rules)
    lines = ["## Error rates at b = 0.4, exact match: let through, in %", ""]
    for d, title in ((0.2, "useful, d = +0.2"), (0.1, "useful, d = +0.1"), (0.0, "no difference"),
                     (-0.1, "harmful, d = −0.1"), (-0.2, "harmful, d = −0.2")):  # fmt: skip
        lines += [f"### {title}", "", *error_table(setup, 0.4, d, sizes)]
    strict, ties, by_scoring = names[1], names[2], "> 0, ties by scoring opinions"
    pooled_rules = [name for name in names if name.startswith("pooled")]
    bases, steps = (0.2, 0.4, 0.6), (-0.2, -0.1, 0.0, 0.1, 0.2, 0.3)
    lines += ["## n = 4, by b and d: let through, in %", ""]
    lines += grid_table(setup, 4, bases, steps, (strict, ties, by_scoring))
    for n in (4, 8):
        lines += [f"## Expected accuracy, n = {n} held out, exact match", "", *expected_table(setup, n)]
    natures = {
        "as above": setup.nature,
        "37 candidates (T = 10, K = 4)": replace(setup.nature, candidates=37),
        "ρ = 0.6": replace(setup.nature, rho=0.6),
        "spread 0": replace(setup.nature, spread=0.0),
    }
    lines += ["## Under other assumptions, n = 4: gated − base; harmed; missed", ""]
    lines += sensitivity_table(setup, 4, natures, ("always", strict, ties, by_scoring, *pooled_rules))
    lines += ["## Splits of 20 opinions", ""]
    lines += ["Accuracy of a person's own mode learned from k opinions (what fewer opinions cost): "]
    lines += [", ".join(f"k = {k}: {value:.3f}" for k, value in curve.items()) + ".", ""]
    splits = (
        (16, 4, 0),
        (14, 4, 2),
        (12, 4, 4),
        (14, 2, 4),
        (10, 4, 6),
        (20, 0, 0),
        (18, 0, 2),
        (16, 0, 4),
        (14, 0, 6),
    )
    for name in (strict, by_scoring, pooled_rules[-1]):
        lines += [f"Accuracy above base; share of people harmed. Rule {name}:", ""]
        lines += split_table(setup, splits, curve, name)
    lines += ["## Replayed on real answers", "", "Simulated values are in brackets; each arm has its own fitted ρ.", ""]
    lines += replay_table(setup, arms, (2, 4, 6), (strict, ties, "posterior, prior of other people"))
    return lines


def parameters(setup: Setup) -> list[str]:
    """What was fitted and set."""
    nature = setup.nature
    lines = [
        f"{setup.simulations:,} simulated people a cell, seed {setup.seed}: rates are accurate to "
        f"± {100 * 1.96 * 0.5 / setup.simulations**0.5:.1f} points (95 %), means as shown. ρ = {nature.rho:.2f}; "
        f"partial scores {PARTIAL} of wrong answers with probabilities "
        f"{', '.join(f'{p:.2f}' for p in setup.partial)}. {nature.n_scoring} scoring opinions, {nature.candidates} "
        f"candidates, spread of their true accuracies {nature.spread} (0 in tables of error rates).", "",
    ]  # fmt: skip
    rows = [
        [found.name, f"{found.b.mean():.3f}", f"{found.b.std(ddof=1):.3f}", f"{found.belief.mean:+.3f}",
         f"{found.belief.sd:.3f}", f"{found.belief.noise:.3f}", f"{100 * (found.d < 0).mean():.0f}"]
        for found in setup.populations
    ]  # fmt: skip
    head = ["d drawn from", "mean b", "sd of b", "mean d", "sd of true d", "variance of one opinion's difference",
            "people with d < 0, %"]  # fmt: skip
    return [*lines, *table(head, rows)]


def main() -> None:
    """Simulate, replay, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, default=Path("docs/results/fermi-food"), help="of fermi_people.py")
    parser.add_argument("--simulations", type=int, default=20_000, help="people a cell")
    parser.add_argument("--splits", type=int, default=200, help="random splits a person in the replay")
    parser.add_argument("--candidates", type=int, default=5, help="prompts that compete on the scoring opinions")
    parser.add_argument("--spread", type=float, default=0.05, help="of the candidates' true accuracies")
    parser.add_argument("--scoring", type=int, default=12, help="scoring opinions")
    parser.add_argument("--sceptic", type=float, nargs=2, default=(0.05, 0.15), metavar=("MEAN", "SD"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a Markdown file; its text above the setting is kept")
    arguments = parser.parse_args()
    rows = [json.loads(line) for path in sorted(arguments.answers.glob("answers-*.jsonl")) for line in path.open()]
    names = ("fermi-demonstrations", "fermi-llm", "profile", "fermi-demonstrations, another person's")
    arms = tuple(population(rows, name) for name in names)
    mean, sd = arguments.sceptic
    sceptic = Belief(mean, sd, arms[0].belief.noise)
    rho, partial = fitted_rho(arms[0], arguments.seed), partial_scores(arms[0])
    setup = Setup(
        arguments.simulations, arguments.seed, arguments.splits,
        Nature(rho, (), arguments.scoring, arguments.candidates, arguments.spread),
        partial, rules(sceptic),
        (*arms[:3], synthetic(arms[0], Belief(0.0, 0.15, arms[0].belief.noise)), synthetic(arms[0], sceptic)),
    )  # fmt: skip
    curve = learning_curve((14, 16, 18, 20), arguments.seed, 50)
    kept = (
        arguments.out.read_text().split("\n## Setting")[0].rstrip() if arguments.out.exists() else "# The evidence gate"
    )
    text = "\n".join([kept, "", "## Setting", "", *parameters(setup), *body(setup, arms, curve)])
    arguments.out.write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
