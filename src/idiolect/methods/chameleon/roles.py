"""Which items of a history do what: teach the directions, choose the variant, or judge the result.

Every opinion and text has one role. What judges is never learned from, chosen with or shown to the model while data is
generated, and neither is anything else on the same question, by anybody of a group: what is drawn are wordings (of
questions and of texts), not items, and whoever shares one of them shares its role.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.settings import ChameleonSettings
from idiolect.models.words import words_of
from idiolect.people.user import Opinion, User

Item = Opinion | str


@dataclass(frozen=True, slots=True)
class Roles:
    """A user's history in three, each opinions first and in the user's order.

    Args:
        learning: the user, with only what may be learned from; None where that is nothing.
        choosing: what variants are compared on; may be empty.
        judging: the evidence; may be empty.
    """

    learning: User | None
    choosing: tuple[Item, ...] = ()
    judging: tuple[Item, ...] = ()

    @property
    def n_learning(self) -> int:
        """How many items may be learned from."""
        return 0 if self.learning is None else len(self.learning.opinions) + len(self.learning.texts)


def least_items(settings: ChameleonSettings) -> int:
    """So many items have to be left to learn from."""
    return settings.generation.least_pairs if settings.generation.personalized == "own" else 2


def deal_roles(users: Sequence[User], settings: ChameleonSettings, *, owner: str) -> list[Roles]:
    """A seeded draw for one user, or for the members of a group at once; one `Roles` a user, in order.

    With little history nothing is held out, and the personalization says that nothing judged it.

    Args:
        users: one or more.
        settings: shares, and the seed.
        owner: id of the user or the group; another one, another draw.

    Raises:
        PersonalizationError: fewer items than are needed to learn from.
    """
    wordings = list(dict.fromkeys(_wording(item) for user in users for item in _items(user)))
    least = least_items(settings)
    if len(wordings) < least:
        raise PersonalizationError(
            f"{owner!r} has {len(wordings)} different opinions and texts, {least} are needed to learn from: "
            "give a longer history, or take Fermi, which can do with one opinion"
        )
    n_judging = min(round(len(wordings) * settings.evidence.share), len(wordings) - least)
    n_choosing = min(round(len(wordings) * settings.choosing_share), len(wordings) - least - n_judging)
    drawn = random.Random(f"{settings.generation.seed}:{owner}:roles").sample(wordings, n_judging + n_choosing)
    judging, choosing = set(drawn[:n_judging]), set(drawn[n_judging:])
    held = [item for user in users for item in _items(user) if _wording(item) in judging | choosing]
    out = {wording for item in held for wording in _all_wordings(item)}
    return [_roles(user, judging, choosing, out) for user in users]


def _roles(user: User, judging: set[str], choosing: set[str], out: set[str]) -> Roles:
    """`out`: wordings that occur in what is held out, whoever it is of."""
    left = [item for item in _items(user) if not out & set(_all_wordings(item))]
    opinions = tuple(item for item in left if isinstance(item, Opinion))
    texts = tuple(item for item in left if isinstance(item, str))
    learning = replace(user, opinions=opinions, texts=texts) if left else None
    return Roles(learning, _held(user, choosing), _held(user, judging))


def _held(user: User, wordings: set[str]) -> tuple[Item, ...]:
    return tuple(item for item in _items(user) if _wording(item) in wordings)


def _items(user: User) -> list[Item]:
    return [*user.opinions, *user.texts]


def _wording(item: Item) -> str:
    return _plain(item.question.text if isinstance(item, Opinion) else item)


def _all_wordings(item: Item) -> Iterable[str]:
    """Of the question or text, and of a free answer, which may be a text as well."""
    yield _wording(item)
    if isinstance(item, Opinion) and not item.question.choices:
        yield _plain(item.answer)


def _plain(text: str) -> str:
    return " ".join(word.casefold() for word in words_of(text)) or text
