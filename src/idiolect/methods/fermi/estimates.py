"""Estimates of how well each prompt of a pool would answer a question, shrunk because they rest on few opinions (ours).

    advantage_k(i) = s(a_i, M(q_i; p_k)) − s(a_i, M(q_i; P⁰))          on opinions that count for prompt k
    A_k            = Σ_i advantage_k(i) / (n_k + λ)                     over all opinions
    estimate_k(q)  = s̄_0(q) + (Σ_{i ∈ N(q)} advantage_k(i) + λ A_k) / (|N(q) ∩ counted_k| + λ)

Differences to P⁰ on the same opinions can be compared between prompts that were scored on different folds. λ pulls the
mean over three neighbours towards the mean over all opinions, and that one towards no advantage.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

from idiolect.methods.fermi.memory import ScoredPrompt


def estimates(
    pool: Sequence[ScoredPrompt],
    initial: ScoredPrompt,
    nearest: Sequence[int],
    excluded: Collection[int],
    shrinkage: float,
) -> list[float]:
    """Return the estimated alignment of every prompt for one question.

    Args:
        pool: the prompts.
        initial: `P⁰`, scored on the opinions.
        nearest: indices of the Ñ nearest opinions.
        excluded: indices of opinions that must not be used.
        shrinkage: λ, in opinions; > 0.
    """
    known = [cell.score for i in nearest if (cell := initial.judged(i)) is not None]
    level = math.fsum(known) / len(known) if known else 0.0
    found = []
    for scored in pool:
        overall = overall_advantage(scored, initial, shrinkage, excluded)
        nearby = _advantages(scored, initial, nearest)
        found.append(level + (math.fsum(nearby) + shrinkage * overall) / (len(nearby) + shrinkage))
    return found


def overall_advantage(
    scored: ScoredPrompt, initial: ScoredPrompt, shrinkage: float, excluded: Collection[int] = ()
) -> float:
    """Return `A_k`, a prompt's advantage over `P⁰` on all opinions that count for both, in [−1, 1]; 0 without any.

    Args:
        scored: the prompt.
        initial: `P⁰`.
        shrinkage: λ, in opinions; ≥ 0.
        excluded: indices of opinions that must not be used.
    """
    everywhere = _advantages(scored, initial, (i for i in range(len(scored.cells)) if i not in excluded))
    return math.fsum(everywhere) / (len(everywhere) + shrinkage) if everywhere else 0.0


def estimated_score(scored: ScoredPrompt, initial: ScoredPrompt, shrinkage: float) -> float:
    """Return the estimated score of a prompt on all opinions on which `P⁰` is scored, in [0, 1]."""
    return min(max(initial.score + overall_advantage(scored, initial, shrinkage), 0.0), 1.0)


def _advantages(scored: ScoredPrompt, initial: ScoredPrompt, indices: Iterable[int]) -> list[float]:
    """Return the differences of a prompt's scores to those of `P⁰`, on the opinions where both are known."""
    pairs = ((scored.judged(i), initial.judged(i)) for i in indices)
    return [one.score - other.score for one, other in pairs if one is not None and other is not None]
