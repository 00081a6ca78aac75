"""Roles of a user's opinions: scoring prompts, being examples for the optimizer, or judging the result.

Every opinion has one role. Held-out opinions show whether the personalization helps. Learning never sees them, nor any
other opinion on the same question.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, replace

from idiolect.methods.fermi.prompt import question_key
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.people.splits import hash_rank
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


def considered(user: User, settings: FermiSettings) -> User:
    """Return the user with the opinions that are learned from: at most `max_opinions`, in the user's order.

    Of more, these are the newest quarter of that number, and a choice of the older ones by a hash of their questions.
    So one more opinion is always among them, and changes at most two others.
    """
    n, most = len(user.opinions), settings.max_opinions
    if most is None or n <= most:
        return user
    older = n - most // 4
    ranks = {i: hash_rank("considered", settings.seed, user.id, user.opinions[i].question.text) for i in range(older)}
    chosen = sorted(sorted(ranks, key=lambda i: (ranks[i], i))[: most - most // 4])
    return replace(user, opinions=tuple(user.opinions[i] for i in (*chosen, *range(older, n))))


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
