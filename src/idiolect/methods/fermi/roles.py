"""Which of a user's opinions do what: score prompts, show the optimizer what questions look like, or judge the result.

Every opinion has one role. Held-out opinions are the evidence whether the personalization helps; learning never sees
them, nor any other opinion on the same question.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from idiolect.methods.fermi.prompt import question_key
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.people.user import Opinion, User


@dataclass(frozen=True, slots=True)
class Roles:
    """A user's opinions by role, each in the user's order.

    Args:
        scoring: prompts are scored on these, and may show them as examples.
        examples: fixed demonstrations in the optimizer's prompt.
        held_out: evidence, never learned from.
    """

    scoring: tuple[Opinion, ...]
    examples: tuple[Opinion, ...] = ()
    held_out: tuple[Opinion, ...] = ()


def deal_roles(user: User, settings: FermiSettings) -> Roles:
    """Draw the roles; at least one opinion always scores.

    Only opinions that are alone on their question can be held out. With few opinions there may be none: then the
    personalization says that nothing judged it.
    """
    n = len(user.opinions)
    questions = Counter(question_key(opinion.question) for opinion in user.opinions)
    alone = [i for i in range(n) if questions[question_key(user.opinions[i].question)] == 1]
    n_held_out = min(round(n * settings.evidence.share), len(alone), max(0, n - 1))
    held_out = set(random.Random(f"{settings.seed}:{user.id}:held out").sample(alone, n_held_out))
    rest = [i for i in range(n) if i not in held_out]
    n_scoring = min(len(rest), max(1, round(n * settings.scoring_share)))
    scoring = set(random.Random(f"{settings.seed}:{user.id}:split").sample(rest, n_scoring))
    return Roles(
        tuple(user.opinions[i] for i in rest if i in scoring),
        tuple(user.opinions[i] for i in rest if i not in scoring),
        tuple(user.opinions[i] for i in sorted(held_out)),
    )
