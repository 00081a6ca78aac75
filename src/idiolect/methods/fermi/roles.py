"""Roles of a user's opinions: scoring prompts, being examples for the optimizer, or judging the result.

Every opinion has one role. Held-out opinions show whether the personalization helps. Learning never sees them, nor any
other opinion on the same question.
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
        scoring: opinions on which prompts are scored, and which prompts may show as examples.
        examples: fixed demonstrations in the optimizer's prompt.
        held_out: evidence, which is never learned from.
    """

    scoring: tuple[Opinion, ...]
    examples: tuple[Opinion, ...] = ()
    held_out: tuple[Opinion, ...] = ()


def deal_roles(user: User, settings: FermiSettings) -> Roles:
    """Draw the roles; at least one opinion always scores.

    An opinion can be held out only if no other has the same question. With few opinions, none may be held out; then
    the personalization states that it was not judged.
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
