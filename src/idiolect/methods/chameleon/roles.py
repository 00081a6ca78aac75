"""Which items of a user's history do what: teach the directions, choose the variant, or judge the result.

Every opinion and text has one role. What judges is never learned from, chosen with or shown to the model while data is
generated, and neither is anything else on the same question; only items alone on their question can be held out.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.settings import ChameleonSettings
from idiolect.methods.words import words_of
from idiolect.people.user import Opinion, User

Item = Opinion | str


@dataclass(frozen=True, slots=True)
class Roles:
    """A user's history in three, each opinions first and in the user's order.

    Args:
        learning: the user, with only what may be learned from.
        choosing: what variants are compared on; may be empty.
        judging: the evidence; may be empty.
    """

    learning: User
    choosing: tuple[Item, ...] = ()
    judging: tuple[Item, ...] = ()


def deal_roles(user: User, settings: ChameleonSettings) -> Roles:
    """A seeded draw. With little history nothing is held out, and the personalization says that nothing judged it.

    Raises:
        PersonalizationError: fewer than two items to learn from.
    """
    items: list[Item] = [*user.opinions, *user.texts]
    if len(items) < 2:
        raise PersonalizationError(
            f"user {user.id!r} has {len(items)} opinions and texts, CHAMELEON needs at least 2; Fermi can do with one"
        )
    counts = Counter(map(_key, items))
    alone = [i for i, item in enumerate(items) if counts[_key(item)] == 1]
    n_judging = min(round(len(items) * settings.evidence.share), len(alone), len(items) - 2)
    n_choosing = min(round(len(items) * settings.choosing_share), len(alone) - n_judging, len(items) - 2 - n_judging)
    drawn = random.Random(f"{settings.generation.seed}:{user.id}:roles").sample(alone, n_judging + n_choosing)
    judging, choosing = set(drawn[:n_judging]), set(drawn[n_judging:])
    rest = [item for i, item in enumerate(items) if i not in judging | choosing]
    learning = replace(
        user,
        opinions=tuple(item for item in rest if isinstance(item, Opinion)),
        texts=tuple(item for item in rest if isinstance(item, str)),
    )
    return Roles(learning, _at(items, choosing), _at(items, judging))


def _at(items: Sequence[Item], chosen: set[int]) -> tuple[Item, ...]:
    return tuple(items[i] for i in sorted(chosen))


def _key(item: Item) -> tuple[str, ...]:
    text = item.question.text if isinstance(item, Opinion) else item
    return tuple(word.casefold() for word in words_of(text)) or (text,)
