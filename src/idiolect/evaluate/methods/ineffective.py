"""Settings in brackets that would change nothing of what CHAMELEON learns, so that they are refused.

    a person's step       the training of a group's edit is no part of it; from a group's edit, its rank is the group's
    a group's edit        a person's step is no part of it
    both                  there are no pairs, no directions and no variants

A method with such a setting would be reported under its name, with the numbers of the method without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from idiolect.errors import SettingsError

if TYPE_CHECKING:
    from idiolect.methods.chameleon.settings import ChameleonSettings

_OF_TRAINING = frozenset(
    f"stepping.{name}"
    for name in ("epochs", "batch_size", "learning_rate", "most_targets", "most_held_out", "group_strength")
)
_OF_THE_START = frozenset({"stepping.rank", "stepping.neutral_texts", "stepping.neutral_tokens", "directions.sample"})
_OF_THE_STEP = frozenset(f"stepping.{name}" for name in ("step", "strength", "from_group", "refit"))
_USED_IN_STEPS = frozenset(
    {"generation.seed", "generation.personalized", "generation.least_pairs", "directions.sample"}
)
_OF_PAIRS = ("generation", "directions", "variants", "choosing_share", "similarity")


def check_effect(paths: Iterable[str], settings: ChameleonSettings, *, pooled: bool) -> None:
    """Check that each setting that was changed has an effect with the settings that came of it.

    Args:
        paths: paths of the changed settings, such as "stepping.rank".
        settings: the settings to learn with.
        pooled: whether a group's edit is learned, and no person's step.

    Raises:
        SettingsError: one has none.
    """
    for path in paths:
        if settings.stepping is not None and (why := _why_not(path, settings.stepping.from_group, pooled=pooled)):
            raise SettingsError(f"{path} changes nothing with the preset {settings.preset}: {why}")


def _why_not(path: str, from_group: bool, *, pooled: bool) -> str:
    """Return why a setting has no effect where steps are taken; "" if it has one."""
    if pooled and path in _OF_THE_STEP:
        return "it is one of a person's step, and here a group's edit is learned"
    if not pooled and path in _OF_TRAINING:
        return "a group's edit is trained with it, and here a person's step is taken"
    if not pooled and from_group and path in _OF_THE_START:
        return "it comes with the group's edit at which the step begins"
    if path.partition(".")[0] in _OF_PAIRS and path not in _USED_IN_STEPS:
        return "it is one of methods that learn from pairs, such as chameleon-paper"
    return ""
