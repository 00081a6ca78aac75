"""Crossed scores: a prompt is scored only on opinions that its optimizer did not see (ours).

    scoring opinions → F folds;   a draw of fold f sees the other folds, and is scored on fold f

A strong optimizer writes the opinions that it sees into the text in other words. Scores on them are then close to
perfect, whatever the text does on new questions, and ranking and retrieval would choose by noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from idiolect.methods.fermi.estimates import overall_advantage
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.prompt import question_key
from idiolect.people.splits import hash_rank
from idiolect.people.user import Opinion


def number_of_folds(opinions: Sequence[Opinion], crossing: int) -> int:
    """Return the number of folds: at most one for each question, because a draw of an empty fold is scored on nothing.

    It is at least 2 with crossing, even for a single question, whose answer must not be seen and scored.
    """
    questions = len({question_key(opinion.question) for opinion in opinions})
    return 1 if crossing == 1 else min(crossing, max(2, questions))


def folds_of(
    opinions: Sequence[Opinion], folds: int, *, seed: int, user_id: str, kept: Mapping[str, int] | None = None
) -> tuple[int, ...]:
    """Return the fold of each opinion, in [0, folds).

    Opinions on one question are in one fold. An opinion's fold depends on its question and on earlier opinions only, so
    it stays the same when opinions are added; sizes differ by at most one question.

    Args:
        opinions: the opinions.
        folds: number of folds.
        seed: seed of the settings.
        user_id: id of the user.
        kept: folds of questions (by `question_key`) that were dealt before; they stay the same when opinions that came
            before them are removed.
    """
    asked = dict.fromkeys(question_key(opinion.question) for opinion in opinions)
    dealt = {key: fold for key, fold in (kept or {}).items() if key in asked and fold < folds}
    sizes = [list(dealt.values()).count(fold) for fold in range(folds)]
    for opinion in opinions:
        key = question_key(opinion.question)
        if key not in dealt:
            preferred = int.from_bytes(hash_rank("fold", seed, user_id, key), "big") % folds
            most = math.ceil((len(dealt) + 1) / folds)
            order = [(preferred + step) % folds for step in range(folds)]
            dealt[key] = next(fold for fold in order if sizes[fold] < most)
            sizes[dealt[key]] += 1
    return tuple(dealt[question_key(opinion.question)] for opinion in opinions)


def outside(folds: Sequence[int], fold: int) -> tuple[int, ...]:
    """Return the indices of the opinions of the other folds, which a draw of this fold may see."""
    return tuple(index for index, each in enumerate(folds) if each != fold)


def as_seen_by(scored: ScoredPrompt, fold: int, folds: Sequence[int]) -> ScoredPrompt:
    """Return a prompt as it is scored on one fold only, to be compared there with prompts whose optimizer saw the rest.

    That is `P⁰`, which was written without any opinion, or a prompt that is older than an opinion of another fold.
    """
    seen = tuple(sorted({*scored.prompt.seen, *outside(folds, fold)}))
    return replace(scored, prompt=replace(scored.prompt, seen=seen, fold=fold))


def on_its_fold(scored: ScoredPrompt, folds: Sequence[int]) -> ScoredPrompt:
    """Return a prompt as it is scored on its own fold, which is all that prompts of a fold have in common.

    A prompt that was written without crossing, or with other folds, is returned as it is.
    """
    fold = scored.prompt.fold
    compared = scored if fold is None else as_seen_by(scored, fold, folds)
    return compared if compared.scoreable else scored


def best_of_fold(entries: Iterable[ScoredPrompt], folds: Sequence[int]) -> tuple[ScoredPrompt, ...]:
    """Return the fully scored prompts of one fold by their score on it, the older one of equals first."""
    return tuple(sorted(entries, key=lambda entry: (-on_its_fold(entry, folds).score, entry.born)))


def best_by_advantage(
    initial: ScoredPrompt, entries: Iterable[ScoredPrompt], shrinkage: float
) -> tuple[ScoredPrompt, ...]:
    """Return fully scored prompts of several folds by their advantage over `P⁰`, the older one of equals first."""
    return tuple(sorted(entries, key=lambda entry: (-overall_advantage(entry, initial, shrinkage), entry.born)))


def size_of_fold(size: int, folds: int) -> int:
    """Return the number of prompts that each fold keeps: the memory without `P⁰` in equal parts, at least two each."""
    return max(2, math.ceil((size - 1) / folds))


def crossed_memory(
    initial: ScoredPrompt, entries: Iterable[ScoredPrompt], folds: Sequence[int], *, most: int, shrinkage: float
) -> tuple[ScoredPrompt, ...]:
    """Return the memory with crossing: `P⁰`, and the best prompts of each fold, by their advantage over `P⁰`.

    Scores of different folds are means over different opinions, so prompts compete within their fold, by their scores
    on it. Prompts without a fold, which were learned without crossing, compete with each other.

    Args:
        initial: `P⁰`.
        entries: fully scored prompts.
        folds: the fold of each opinion.
        most: number of prompts that each fold keeps.
        shrinkage: λ of the estimates.
    """
    by_fold: dict[int | None, list[ScoredPrompt]] = {}
    for entry in entries:
        if entry.born != initial.born:
            by_fold.setdefault(entry.prompt.fold, []).append(entry)
    kept = [entry for each in by_fold.values() for entry in best_of_fold(each, folds)[:most]]
    return best_by_advantage(initial, [initial, *kept], shrinkage)
