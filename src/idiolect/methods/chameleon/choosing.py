"""The choice of an edit: the one among several variants with the greatest gain, or the greatest bearable strength.

    variants of a rule       greatest gain on the person's own words, within the fluency limit          (`choose`)
    strengths of one edit    as given, or else s ← s · √(aim / cost) until the cost is within the limit  (`bearable`)

Within the limit, a greater strength of a trained edit gains more (docs/experiments.md), so no words are held out to
choose it. Its cost, KL(base ‖ edited) on the model's own texts, is quadratic in s to second order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from idiolect.methods.chameleon.judging import ItemScores, fluency, log_likelihoods, mean_gain
from idiolect.methods.chameleon.measuring import EditableModel, Text
from idiolect.methods.chameleon.personalization import Trial
from idiolect.methods.chameleon.roles import Item
from idiolect.methods.chameleon.settings import ChameleonSettings, Variant
from idiolect.models.edits import Edit
from idiolect.models.language_model import Usage

_MOST_TRIALS = 4
_AIM = 0.9  # of the limit; the cost grows a little slower than s², and a second correction is as dear as the first
_LEAST_FACTOR = 0.1


async def choose(
    edits: Mapping[Variant, Edit],
    items: Sequence[Item],
    neutral: Sequence[Text],
    model: EditableModel,
    settings: ChameleonSettings,
) -> tuple[Variant, tuple[Trial, ...], Usage]:
    """Choose the variant with the greatest gain (`mean_gain`) among those whose fluency cost is within the limit.

    If there is none, choose the one that costs least, which does not answer then. If there is no history to choose
    with, choose the first variant within the limit.

    Args:
        edits: the edit of every variant, at least one.
        items: history that is kept for choosing; may be empty.
        neutral: texts of the base model itself, on which a change is a cost.
        model: the unedited model.
        settings: settings with the form of the questions and the limit.

    Returns:
        The variant, the results of all variants, and the cost of what was computed here.

    Raises:
        ModelError: the model could not answer.
    """
    answering, limit = settings.answering, settings.max_fluency_cost
    base, base_fluency = await log_likelihoods(items, model, answering), await fluency(neutral, model)
    usage, trials = base.usage + base_fluency.usage, list[Trial]()
    for variant, edit in edits.items():
        edited = model.with_edit(edit)
        own, other = await log_likelihoods(items, edited, answering), await fluency(neutral, edited)
        usage += own.usage + other.usage
        change = other.mean - base_fluency.mean
        trials.append(Trial(variant, mean_gain(items, own, base), change, eligible=limit is None or change >= -limit))
    best = max(
        trials, key=lambda trial: (trial.eligible, trial.gain or 0.0) if trial.eligible else (False, trial.fluency)
    )
    return best.variant, tuple(trials), usage


async def bearable(
    edit_at: Callable[[float], Edit],
    most: float,
    neutral: Sequence[Text],
    model: EditableModel,
    *,
    limit: float | None,
    base_fluency: ItemScores,
) -> tuple[tuple[Trial, ...], Usage]:
    """Return the strengths that were tried; the last one is within the limit unless none that was tried is.

    Args:
        edit_at: returns the edit at a strength.
        most: the greatest strength, which is tried first; > 0.
        neutral: texts of the base model itself, on which a change is a cost.
        model: the unedited model.
        limit: maximum cost, in nat per token; None: none.
        base_fluency: `fluency` of the neutral texts under the unedited model.

    Returns:
        The trials, without gains, and the cost of what was computed here.

    Raises:
        ModelError: the model could not answer.
    """
    usage, trials, strength = Usage(), list[Trial](), most
    while True:
        found = await fluency(neutral, model.with_edit(edit_at(strength)))
        usage += found.usage
        change = found.mean - base_fluency.mean
        eligible = limit is None or change >= -limit
        trials.append(Trial(Variant("grouped", strength, layers=None), None, change, eligible))
        if limit is None or eligible or len(trials) == _MOST_TRIALS:
            return tuple(trials), usage
        factor = math.sqrt(_AIM * limit / -change) if math.isfinite(change) else _LEAST_FACTOR
        strength = round(strength * max(factor, _LEAST_FACTOR), 4)
