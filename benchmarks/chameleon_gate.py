"""How often is CHAMELEON's gate wrong, on texts, on opinions and on both? The rule that it had, and rivals, simulated.

    python benchmarks/chameleon_gate.py --out docs/results/chameleon-gate.md
    python benchmarks/chameleon_gate.py --simulations 2000 --seed 7 --out /tmp/gate.md      # a quick look

Model. An edit changes the log-probability of a person's texts by μ nat per token on average, and their accuracy on
opinions from b to b + d. A text's own change is μ plus a deviation drawn from real ones: unseen texts of seven writers
under ten edits (docs/results/chameleon-writers), each with its log-probability under the base model, centred by writer
and edit. Opinions come about as in `evidence_gate.py`: Bernoulli with correlated normal latents. All rules see the same
draws. Besides, the rules are replayed on those writers' real texts, split into a part that judges and the rest.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from evidence_gate import Bools, Floats, Nature, table

from idiolect.methods.chameleon.evidence import ChameleonEvidence, JudgingSettings, TextEvidence
from idiolect.methods.evidence import Evidence, EvidenceSettings, weigh

ARMS = "own/gradient"  # edits of a useful size; those along generated pairs change texts by hundredths of a nat
TOLERANCE = 0.02  # a true change below this, in nat per token or in accuracy, is none
SETTINGS = JudgingSettings()
CHECKED = 300  # simulated people on whom the vectorized rules are compared with the product's


@dataclass(frozen=True)
class Texts:
    """Real texts of each writer under each edit, (writers and edits, texts).

    Args:
        base: log-probability under the base model, nat per token.
        leads: log-ratio of the edited to the base model, nat per token.
        arms, writers: whose and under which edit, per row.
    """

    base: Floats
    leads: Floats
    arms: tuple[str, ...]
    writers: tuple[str, ...]

    @property
    def deviations(self) -> Floats:
        """The log-ratios centred by row; scaled up so that a draw of one has the variance of a new text."""
        n = self.leads.shape[1]
        return np.asarray((self.leads - self.leads.mean(axis=1, keepdims=True)) * np.sqrt(n / (n - 1)))

    @property
    def sd(self) -> float:
        """Standard deviation between a writer's texts under an edit, nat per token."""
        return float(np.sqrt((self.deviations**2).mean()))


def read_texts(scores: Path) -> Texts:
    """Real log-probabilities, as `chameleon_people.py` wrote them."""
    rows = [json.loads(line) for line in scores.read_text(encoding="utf-8").splitlines()]
    base = {row["person"]: np.array(row["items"]) for row in rows if row["arm"] == "base"}
    edited = [row for row in rows if row["arm"].startswith(ARMS)]
    before = np.array([base[row["person"]] for row in edited])
    return Texts(
        before,
        np.array([row["items"] for row in edited]) - before,
        tuple(row["arm"] for row in edited),
        tuple(row["person"] for row in edited),
    )


@dataclass(frozen=True)
class Seen:
    """What a rule may look at, for many people at once: (people, n) each; n is 0 for a kind that is not there.

    Args:
        before, after: log-probabilities of texts under the base and the edited model, nat per token.
        plain, edited: alignment of the base and the edited model's answers to opinions.
    """

    before: Floats
    after: Floats
    plain: Floats
    edited: Floats

    @property
    def statistics(self) -> list[Floats]:
        """Moderated t of each kind, as `idiolect.methods.chameleon.evidence` computes it."""
        kinds = ((self.after - self.before, SETTINGS.text_sd), (self.edited - self.plain, SETTINGS.opinion_sd))
        return [_moderated(leads, sd) for leads, sd in kinds if leads.shape[1]]


def _moderated(leads: Floats, prior_sd: float) -> Floats:
    n, d = leads.shape[1], SETTINGS.prior_df
    mean = leads.sum(axis=1) / n
    mean[np.abs(mean) < 1e-12] = 0.0
    squares = ((leads - mean[:, None]) ** 2).sum(axis=1)
    return np.asarray(mean * np.sqrt(n * (d + n - 1) / (d * prior_sd**2 + squares)))


def mixed_probabilities(seen: Seen) -> Bools:
    """The rule until November 2026: exp(nat per token) and alignment in one mean."""
    before = np.concatenate([np.minimum(np.exp(seen.before), 1), seen.plain], axis=1)
    after = np.concatenate([np.minimum(np.exp(seen.after), 1), seen.edited], axis=1)
    return np.asarray((after - before).sum(axis=1) > 1e-12)


def weighed(limit: float | None) -> Callable[[Seen], Bools]:
    """The sum of the moderated t statistics leads, and no kind loses more than the limit."""

    def used(seen: Seen) -> Bools:
        found = seen.statistics
        ahead = np.sum(found, axis=0) > 1e-9
        return np.asarray(ahead if limit is None else ahead & (np.min(found, axis=0) >= -limit))

    return used


def none_behind(seen: Seen) -> Bools:
    """No kind is behind, and one is ahead."""
    found = seen.statistics
    return np.asarray((np.min(found, axis=0) >= 0) & (np.max(found, axis=0) > 0))


OLD, NEW = "old: probabilities and alignment in one mean", "new: log-ratios; sum of t > 0, no t < −1.5"
RULES: Mapping[str, Callable[[Seen], Bools]] = {
    OLD: mixed_probabilities,
    NEW: weighed(SETTINGS.harm_limit),
    "sum of t > 0, no limit": weighed(None),
    "sum of t > 0, no t < −0.75": weighed(0.75),
    "no kind behind, one ahead": none_behind,
}


def check(seen: Seen) -> None:
    """The vectorized rules are the product's, the old one and the new one."""
    new, old = RULES[NEW](seen), RULES[OLD](seen)
    for place in range(min(CHECKED, len(new))):
        before, after, plain, edited = (
            tuple(map(float, each[place])) for each in (seen.before, seen.after, seen.plain, seen.edited)
        )
        texts = TextEvidence(after, before, (1,) * len(before)) if before else None
        opinions = Evidence(edited, plain) if plain else None
        assert ChameleonEvidence(texts, opinions, SETTINGS).used == new[place], "not the product's rule"
        mixed = [(*np.minimum(np.exp(each), 1), *side) for each, side in ((after, edited), (before, plain))]
        assert weigh(mixed[0], mixed[1], EvidenceSettings(0.2)).used == old[place], "not the rule that it had"


# --- the simulation


@dataclass(frozen=True)
class Setup:
    """Everything the tables share.

    Args:
        simulations: people a cell.
        seed: of the draws.
        texts: real texts, whose deviations are drawn.
        noise: factor on the deviations.
        nature: how answers to opinions come about.
        accuracy: b, the base model's.
    """

    simulations: int
    seed: int
    texts: Texts
    noise: float
    nature: Nature
    accuracy: float


def meet(setup: Setup, mu: Floats, d: Floats, n_texts: int, n_opinions: int, rng: np.random.Generator) -> Seen:
    """Simulate people with true changes mu of their texts and d of their accuracy, (people,) each."""
    people, texts = len(mu), setup.texts
    row = rng.integers(len(texts.base), size=people)[:, None]
    column = rng.integers(texts.base.shape[1], size=(people, n_texts))
    before = texts.base[row, column]
    after = np.minimum(before + mu[:, None] + setup.noise * texts.deviations[row, column], 0.0)
    difficulty = rng.standard_normal((people, n_opinions))
    b = np.full((people, 1), setup.accuracy)
    plain = setup.nature.scores(rng, b, difficulty)
    return Seen(before, after, plain, setup.nature.scores(rng, np.clip(b + d[:, None], 0.01, 0.99), difficulty))


def shares(setup: Setup, mu: float, d: float, n_texts: int, n_opinions: int) -> dict[str, float]:
    """Share of people for whom each rule uses an edit with these true changes."""
    rng = np.random.default_rng((setup.seed, n_texts, n_opinions, round(100 * (mu + 1)), round(100 * (d + 1))))
    ones = np.ones(setup.simulations)
    seen = meet(setup, mu * ones, d * ones, n_texts, n_opinions, rng)
    check(seen)
    return {name: float(rule(seen).mean()) for name, rule in RULES.items()}


def texts_table(setup: Setup, sizes: Sequence[int], changes: Sequence[float]) -> list[str]:
    """Texts alone: how often an edit is used, by its true mean log-ratio."""
    rows = []
    for n in sizes:
        found = [shares(setup, mu, 0.0, n, 0) for mu in changes]
        rows += [[str(n), name, *(percent(each[name]) for each in found)] for name in (OLD, NEW)]
    return table(["texts", "rule", *(f"{mu:+.2f}" for mu in changes)], rows)


def mixed_table(
    setup: Setup, sizes: Sequence[tuple[int, int]], truths: Sequence[tuple[float, float]], names: Sequence[str]
) -> list[str]:
    """Texts and opinions: how often an edit is used, by both true changes."""
    rows = []
    for n, m in sizes:
        found = [shares(setup, mu, d, n, m) for mu, d in truths]
        rows += [[f"{n} + {m}", name, *(percent(each[name]) for each in found)] for name in names]
    return table(["texts + opinions", "rule", *(f"{mu:+.2f} / {d:+.2f}" for mu, d in truths)], rows)


@dataclass(frozen=True)
class Prior:
    """True changes of many people: independent normal distributions of mu and d, as (mean, sd)."""

    texts: tuple[float, float]
    opinions: tuple[float, float]


def errors_table(setup: Setup, prior: Prior, sizes: Sequence[tuple[int, int]], names: Sequence[str]) -> list[str]:
    """Errors among people drawn from a prior: wrongly used, wrongly rejected, and what follows."""
    rows = []
    for n, m in sizes:
        rng = np.random.default_rng((setup.seed, n, m))
        mu = rng.normal(*prior.texts, setup.simulations) * bool(n)
        d = np.clip(rng.normal(*prior.opinions, setup.simulations), -setup.accuracy + 0.01, 0.5) * bool(m)
        seen = meet(setup, mu, d, n, m, rng)
        check(seen)
        gains, losses = (mu > TOLERANCE) | (d > TOLERANCE), (mu < -TOLERANCE) | (d < -TOLERANCE)
        for name in names:
            used = RULES[name](seen)
            rows.append([
                f"{n} + {m}", name, counted(used[losses & ~gains]), counted(~used[gains & ~losses]),
                counted(used[(mu > TOLERANCE) & (d < -TOLERANCE)]) if m and n else "",
                counted(used[(mu < -TOLERANCE) & (d > TOLERANCE)]) if m and n else "",
                f"{(used * mu).mean():+.3f}" if n else "", f"{100 * (used * d).mean():+.1f}" if m else "",
            ])  # fmt: skip
    head = ["texts + opinions", "rule", "wrongly used, % of harmful", "wrongly rejected, % of useful",
            "used, % where only texts gain", "used, % where only opinions gain", "gated − base, nat per token",
            "gated − base, accuracy in points"]  # fmt: skip
    return table(head, rows)


def replay_table(texts: Texts, sizes: Sequence[int]) -> list[str]:
    """The rules on real texts: every split of a writer's texts into n that judge, and the rest that tells the truth."""
    rows = []
    for arm in dict.fromkeys(texts.arms):
        mine = [place for place, each in enumerate(texts.arms) if each == arm]
        for n in sizes:
            chosen = np.array(list(combinations(range(texts.base.shape[1]), n)))
            left = np.array([np.setdiff1d(np.arange(texts.base.shape[1]), each) for each in chosen])
            none = np.zeros((len(mine) * len(chosen), 0))
            before = texts.base[mine][:, chosen].reshape(-1, n)
            after = before + texts.leads[mine][:, chosen].reshape(-1, n)
            rest = texts.leads[mine][:, left].mean(axis=2).reshape(-1)
            seen = Seen(before, after, none, none)
            check(seen)
            for name in (OLD, NEW):
                used = RULES[name](seen)
                rows.append([
                    arm, f"{texts.leads[mine].mean():+.3f}", str(n), name, f"{len(mine)} × {len(chosen)}",
                    f"{100 * used.mean():.0f}", f"{100 * (used & (rest < 0)).mean():.1f}",
                    f"{100 * (~used & (rest > 0)).mean():.1f}", f"{(used * rest).mean():+.3f}",
                ])  # fmt: skip
    head = ["edit", "mean gain", "texts", "rule", "writers × splits", "used, %", "used, but worse on the rest, %",
            "rejected, but better, %", "gated − base on the rest, nat per token"]  # fmt: skip
    return table(head, rows)


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.0f}"


def counted(hits: Bools) -> str:
    """A share of n in percent with its 95 % interval (Wilson), and n."""
    n = len(hits)
    if not n:
        return "none"
    p, z = float(hits.mean()), 1.96
    centre, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (100 * (centre + side * half) / (1 + z**2 / n) for side in (-1, 1))
    return f"{100 * p:.1f} [{low:.1f}, {high:.1f}] of {n:,}"


def body(setup: Setup) -> list[str]:
    """All tables."""
    changes = (-0.3, -0.2, -0.1, -0.05, 0.0, 0.05, 0.1, 0.2, 0.4, 0.6)
    truths = (
        (0.2, 0.1), (0.1, 0.0), (0.2, 0.0), (0.4, 0.0), (0.0, 0.2), (0.0, 0.0),
        (-0.1, 0.0), (-0.2, 0.0), (-0.1, -0.1), (0.0, -0.2), (0.2, -0.2), (-0.2, 0.2),
    )  # fmt: skip
    each = ((2, 2), (4, 4), (8, 8), (16, 16))
    uneven = ((16, 4), (4, 16), (40, 4), (4, 40))
    prior = Prior((0.05, 0.2), (0.0, 0.12))
    lines = ["## Texts alone: edits used, in %, by the true mean log-ratio (nat per token)", ""]
    lines += texts_table(setup, (2, 4, 8, 16), changes)
    head = "edits used, in %, by the true changes (texts in nat per token / accuracy)"
    lines += [f"## Texts and opinions: {head}", "", *mixed_table(setup, (*each, *uneven), truths, (OLD, NEW))]
    lines += [f"## Other rules, 4 + 4 and 40 + 4: {head}", ""]
    lines += mixed_table(setup, ((4, 4), (40, 4)), truths, list(RULES)[1:])
    lines += ["## Errors among people with μ ~ N(+0.05, 0.2²) and d ~ N(0, 0.12²)", ""]
    alone = tuple((n, 0) for n in (2, 4, 8, 16))
    lines += errors_table(setup, prior, (*alone, *each, *uneven), (OLD, NEW))
    others = {
        "deviations of texts × 0.4": replace(setup, noise=0.4),
        "ρ = 0.9": replace(setup, nature=replace(setup.nature, rho=0.9)),
        "b = 0.7": replace(setup, accuracy=0.7),
    }
    for title, other in others.items():
        lines += [f"## The same, {title}", "", *errors_table(other, prior, ((4, 4), (8, 8)), (OLD, NEW))]
    return [*lines, "## Replayed on real texts", "", *replay_table(setup.texts, (2, 4))]


def parameters(setup: Setup) -> list[str]:
    """What was read and set."""
    texts = setup.texts
    return [
        f"{setup.simulations:,} simulated people a cell, seed {setup.seed}: shares without an interval are accurate to "
        f"± {100 * 1.96 * 0.5 / setup.simulations**0.5:.1f} points (95 %). Deviations of texts: "
        f"{len(set(texts.writers))} writers × {len(set(texts.arms))} edits × {texts.base.shape[1]} texts, standard "
        f"deviation {texts.sd:.3f} nat per token; mean log-probability under the base model {texts.base.mean():.2f}. "
        f"Opinions: b = {setup.accuracy}, ρ = {setup.nature.rho}, exact match. {SETTINGS}. Useful: a true gain above "
        f"{TOLERANCE} in one kind, and no loss above it; harmful: the reverse.",
        "",
    ]


def main() -> None:
    """Simulate, replay, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path, default=Path("docs/results/chameleon-writers/scores.jsonl"))
    parser.add_argument("--simulations", type=int, default=20_000, help="people a cell")
    parser.add_argument("--rho", type=float, default=0.6, help="correlation of both models' answers to an opinion")
    parser.add_argument("--accuracy", type=float, default=0.4, help="the base model's on opinions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a Markdown file; its text above the setting is kept")
    arguments = parser.parse_args()
    nature = Nature(arguments.rho, (), 1, 1, 0.0)
    texts = read_texts(arguments.scores)
    setup = Setup(arguments.simulations, arguments.seed, texts, 1.0, nature, arguments.accuracy)
    out: Path = arguments.out
    kept = out.read_text().split("\n## Setting")[0].rstrip() if out.exists() else "# CHAMELEON's gate"
    out.write_text("\n".join([kept, "", "## Setting", "", *parameters(setup), *body(setup)]).rstrip() + "\n")


if __name__ == "__main__":
    main()
