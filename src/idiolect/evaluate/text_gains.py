"""What each arm gains on people's held-out texts, and what it costs on the base model's own.

    ArmAnswers, baseline → text_gains → TextGain → table, scores.json, report

A gain is paired: an arm's log-probability minus the baseline's, on the texts that both have. A change on the model's
own texts is paired already, with the base model without a prompt. Both are means over people, each counting once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from idiolect.evaluate.arm_answers import ArmAnswers, compare, estimate
from idiolect.evaluate.measures import NEUTRAL, measure_named
from idiolect.evaluate.records import Arm
from idiolect.evaluate.summary import TextGain

LOGLIK = "loglik"


def text_gains(arms: Mapping[Arm, ArmAnswers], baseline: Arm, measures: Iterable[str]) -> tuple[TextGain, ...]:
    """Return the gain and the change of every arm but the baseline, also of controls, in the order of the arms.

    Args:
        arms: answers by arm.
        baseline: the baseline of gains.
        measures: names of the evaluation's measures.

    Returns:
        The gains; () if no neutral texts were scored, or the baseline has no texts.
    """
    if not {LOGLIK, NEUTRAL} <= {*measures} or baseline not in arms:
        return ()
    likelihood, change = measure_named(LOGLIK), measure_named(NEUTRAL)
    found = []
    for arm, answers in arms.items():
        gain = None if arm == baseline else compare(answers, arms[baseline], likelihood, labels=(), seed=0)
        if gain is not None:
            found.append(TextGain(arm, gain.difference, estimate(answers, change, labels=(), seed=0)))
    return tuple(found)
