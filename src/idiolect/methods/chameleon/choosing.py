"""The choice of one edit among several: the greatest gain on the person's own words, at a bearable cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from idiolect.methods.chameleon.judging import ItemScores, fluency, log_likelihoods, mean_gain
from idiolect.methods.chameleon.measuring import EditableModel, Text
from idiolect.methods.chameleon.personalization import Trial
from idiolect.methods.chameleon.roles import Item
from idiolect.methods.chameleon.settings import ChameleonSettings, Variant
from idiolect.models.edits import Edit
from idiolect.models.language_model import Usage


async def choose(
    edits: Mapping[Variant, Edit],
    items: Sequence[Item],
    neutral: Sequence[Text],
    model: EditableModel,
    settings: ChameleonSettings,
    *,
    base_fluency: ItemScores | None = None,
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
        base_fluency: `fluency` of the neutral texts under the unedited model, if it is known.

    Returns:
        The variant, the results of all variants, and the cost of what was computed here.

    Raises:
        ModelError: the model could not answer.
    """
    answering, limit = settings.answering, settings.max_fluency_cost
    base, usage, trials = await log_likelihoods(items, model, answering), Usage(), list[Trial]()
    if base_fluency is None:
        base_fluency = await fluency(neutral, model)
        usage += base_fluency.usage
    usage += base.usage
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
