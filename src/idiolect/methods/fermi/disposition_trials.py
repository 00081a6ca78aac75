"""Stating and trying a person's dispositions: the two steps of learning that follow the search for prompts.

A disposition is tried on the opinions that it bears on most among those that its optimizer did not see. `P⁰`'s answers
to these are known from the search, so a trial is one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from idiolect.methods.alignment import AlignmentThresholds
from idiolect.methods.fermi.crossing import folds_of, outside
from idiolect.methods.fermi.disposition_bearing import bearings
from idiolect.methods.fermi.disposition_request import DispositionWriter, Seen
from idiolect.methods.fermi.dispositions import Disposition, Trial, disposition_key, with_known
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.proposal import Round
from idiolect.methods.fermi.scoring import Scorer
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.fermi.withheld import withheld_by
from idiolect.models.language_model import Usage
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, User


async def state_dispositions(
    writer: DispositionWriter,
    user: User,
    opinions: Sequence[Opinion],
    initial: ScoredPrompt,
    settings: FermiSettings,
    *,
    iteration: int,
    known: Sequence[Disposition] = (),
) -> tuple[tuple[Disposition, ...], Usage]:
    """Ask the optimizer once a fold, and return what it stated and the cost.

    Args:
        writer: the optimizer.
        user: the user.
        opinions: the scoring opinions.
        initial: `P⁰`, scored on all of them.
        settings: settings of the method.
        iteration: number of iterations so far, for the seeds.
        known: dispositions that are not stated again.

    Raises:
        ContextLengthError: the opinions are too long for the optimizer.
        ModelError: the optimizer could not answer.
    """
    n, thresholds = settings.dispositions.folds, settings.thresholds
    folds = folds_of(opinions, n, seed=settings.seed, user_id=user.id)
    keys = {disposition_key(text) for each in known for text in (each.text, each.stated)}
    found: list[Disposition] = []
    usage = Usage()
    withheld = withheld_by(initial)
    for fold in range(n):
        if visible := tuple(i for i in outside(folds, fold) if i not in withheld):
            seen = Seen(user.profile, tuple(opinions), visible, initial, _wrong(initial, opinions, thresholds), fold)
            seed = Round((settings.seed, user.id), iteration, (fold,)).seed(fold)
            stated, cost = await writer.state(seen, seed=seed, known=keys)
            found += stated
            usage += cost
    return tuple(found), usage


def _wrong(initial: ScoredPrompt, opinions: Sequence[Opinion], thresholds: AlignmentThresholds) -> frozenset[int]:
    return frozenset(initial.misaligned(opinions, thresholds))


async def tried(
    dispositions: Sequence[Disposition],
    initial: ScoredPrompt,
    scorer: Scorer,
    settings: FermiSettings,
    similarity: Similarity,
) -> tuple[Disposition, ...]:
    """Return the dispositions with their trials; trials that are known already are not repeated.

    A person's own words and what they struck are not tried.

    Raises:
        ModelError: the model could not answer.
        HaltedError: the run was halted.
    """
    opinions, with_choices = scorer.opinions, settings.retrieval.with_choices
    open_ = [place for place, each in enumerate(dispositions) if not (each.own or each.struck)]
    asked = [opinion.question for opinion in opinions]
    to_try = [dispositions[place] for place in open_]
    matrix = await bearings(asked, to_try, opinions, similarity, with_choices=with_choices)  # (opinions, dispositions)
    withheld = withheld_by(initial)
    tryable = {i for i in range(len(opinions)) if i not in withheld and initial.judged(i) is not None}
    rows, cells = [], []
    for k, each in enumerate(to_try):
        done = {trial.index for trial in each.trials}
        prompt = replace(initial.prompt, text=with_known(initial.prompt.text, [each]))
        rows.append(ScoredPrompt(prompt, initial.born, (None,) * len(opinions)))
        ranking = [int(i) for i in np.argsort(-matrix[:, k], kind="stable")]
        unseen = [i for i in ranking if i in tryable and i not in each.seen]
        cells += [(k, i) for i in unseen[: settings.dispositions.tests] if i not in done]
    filled = await scorer.fill(rows, cells)
    now = list(dispositions)
    for k, place in enumerate(open_):
        new = tuple(_trial(i, initial, filled[k]) for row, i in cells if row == k)
        now[place] = replace(now[place], trials=(*now[place].trials, *new))
    return tuple(now)


def _trial(index: int, initial: ScoredPrompt, scored: ScoredPrompt) -> Trial:
    before, after = initial.cells[index], scored.cells[index]
    assert before is not None
    assert after is not None
    return Trial(index, before.score, after.score)
