"""Roles of history items: learning the directions, choosing the variant, or judging the result.

Every opinion and text has one role. An item that judges is never learned from, chosen with, or shown to the model while
data is generated. Neither is any other item on the same question, from any member of a group: wordings (of questions
and of texts) are drawn, and all items with a wording get its role. Nobody who has an item is left with nothing to learn
from: a group keeps each of its members, also one with a single text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.settings import ChameleonSettings
from idiolect.models.words import words_of
from idiolect.people.user import Opinion, User

Item = Opinion | str

_TELLING_WORDS = 5  # minimum number of words with which a free answer counts as a wording of its own


@dataclass(frozen=True, slots=True)
class Roles:
    """A user's history in three parts, each with opinions first and in the user's order.

    Args:
        learning: the user, with only the items to learn from; None if there are none.
        choosing: items on which variants are compared; may be empty.
        judging: items for the evidence; may be empty.
    """

    learning: User | None
    choosing: tuple[Item, ...] = ()
    judging: tuple[Item, ...] = ()

    @property
    def n_learning(self) -> int:
        """Number of items to learn from."""
        return 0 if self.learning is None else len(self.learning.opinions) + len(self.learning.texts)


def least_items(settings: ChameleonSettings) -> int:
    """Return the minimum number of items to learn from."""
    return settings.generation.least_pairs if settings.generation.personalized == "own" else 2


def require_enough(roles: Roles, settings: ChameleonSettings, *, owner: str) -> User:
    """Return the user with the items to learn from.

    Raises:
        PersonalizationError: they are fewer than learning needs.
    """
    least = least_items(settings)
    if roles.learning is None or roles.n_learning < least:
        raise PersonalizationError(
            f"user {owner!r} has {roles.n_learning} opinions and texts to learn from, apart from those held out; "
            f"{least} are needed"
        )
    return roles.learning


def deal_roles(
    users: Sequence[User], settings: ChameleonSettings, *, owner: str, choosing_share: float | None = None
) -> list[Roles]:
    """Draw the roles of a user's items, or of all items of a group's members; return one `Roles` per user, in order.

    With little history, nothing is held out, and the personalization states that it was not judged. If a draw leaves
    somebody with nothing to learn from, the roles are drawn again, and all that this user's items say is learned from.

    Args:
        users: one or more users.
        settings: settings with the shares and the seed.
        owner: id of the user or the group, on which the draw depends.
        choosing_share: share that is kept for choosing; None: that of the settings.

    Raises:
        PersonalizationError: there are fewer items than learning needs.
    """
    wordings, least = _enough_wordings(users, settings, owner), least_items(settings)
    share = settings.choosing_share if choosing_share is None else choosing_share
    n_judging = min(round(len(wordings) * settings.evidence.share), len(wordings) - least)
    n_choosing = min(round(len(wordings) * share), len(wordings) - least - n_judging)
    kept = set[str]()
    while True:  # it ends: somebody whose wordings are kept loses nothing in the next draw
        drawable = _drawable(users, wordings, kept)
        drawn = _ranked(drawable, settings.generation.seed, owner)[: n_judging + n_choosing]
        dealt = _dealt(users, judging=set(drawn[:n_judging]), choosing=set(drawn[n_judging:]))
        lost = [user for user, roles in zip(users, dealt, strict=True) if roles.learning is None and items_of(user)]
        if not lost:
            return dealt
        kept |= {wording for user in lost for item in items_of(user) for wording in _wordings_inside(item)}


def deal_group_roles(
    users: Sequence[User], settings: ChameleonSettings, *, owner: str, most_judging: int
) -> list[Roles]:
    """Return the roles of the members' items in a group at whose edit their own steps may begin.

    What would judge a member's own step (`deal_roles` with the member's id, and the same settings) is not learned from
    by the group, so that the evidence of a member's step is on words that nothing has learned from. The group is judged
    by some of these items, drawn evenly from the members. Nothing is kept for choosing.

    Args:
        users: the members.
        settings: settings with the share that judges, and the seed.
        owner: id of the group.
        most_judging: maximum number of items that judge the group, at least 1.

    Raises:
        PersonalizationError: the members have fewer items than learning needs.
    """
    _enough_wordings(users, settings, owner)
    own = [_own_judging(user, settings) for user in users]
    judging, drawn = set[str](), random.Random(f"{settings.generation.seed}:{owner}:roles")
    shuffled = [drawn.sample(each, len(each)) for each in own]
    for turn in range(max(map(len, shuffled), default=0)):
        for each in shuffled:
            if turn < len(each) and len(judging) < most_judging:
                judging.add(each[turn])
    held_out = [item for user in users for item in _items_worded(user, {wording for each in own for wording in each})]
    unlearnable = {wording for item in held_out for wording in _wordings_inside(item)}
    return [Roles(_without(user, unlearnable), judging=_items_worded(user, judging)) for user in users]


def _own_judging(user: User, settings: ChameleonSettings) -> list[str]:
    """Return the wordings that judge the user's own step; none if there are too few items for a step."""
    try:
        (roles,) = deal_roles([user], settings, owner=user.id, choosing_share=0.0)
    except PersonalizationError:
        return []
    return list(dict.fromkeys(_wording(item) for item in roles.judging))


def _enough_wordings(users: Sequence[User], settings: ChameleonSettings, owner: str) -> list[str]:
    """Return the different wordings of the users' items, which must be as many as learning needs."""
    wordings = list(dict.fromkeys(_wording(item) for user in users for item in items_of(user)))
    least = least_items(settings)
    if len(wordings) < least:
        alone = [user.id for user in users] == [owner]  # Fermi learns from no group
        fermi = ", or use Fermi, which needs only one opinion" if alone and users[0].opinions else ""
        raise PersonalizationError(
            f"learning needs {least} different opinions and texts, but {owner!r} has {len(wordings)}: give a longer "
            f"history{fermi}"
        )
    return wordings


def _drawable(users: Sequence[User], wordings: Sequence[str], kept: set[str]) -> list[str]:
    """Return the wordings that can be held out without holding out any of the kept ones."""
    items = [item for user in users for item in items_of(user)]
    fixed = {_wording(item) for item in items if not kept.isdisjoint(_wordings_inside(item))}
    return [wording for wording in wordings if wording not in fixed]


def _ranked(wordings: Sequence[str], seed: int, owner: str) -> list[str]:
    """Return the wordings in a random order, in which the place of one before another depends on no third.

    So when a history grows, what is held out stays held out, or gives its place to something new: nothing that was
    learned from before, by a group for example, judges later, except where more is held out than before.
    """
    return sorted(wordings, key=lambda wording: blake2b(f"{seed}:{owner}:roles:{wording}".encode()).digest())


def _dealt(users: Sequence[User], *, judging: set[str], choosing: set[str]) -> list[Roles]:
    """Return the roles of all items, if these wordings are held out."""
    held_out = [item for user in users for item in _items_worded(user, judging | choosing)]
    unlearnable = {wording for item in held_out for wording in _wordings_inside(item)}
    return [
        Roles(
            learning=_without(user, unlearnable),
            choosing=_items_worded(user, choosing),
            judging=_items_worded(user, judging),
        )
        for user in users
    ]


def _without(user: User, wordings: set[str]) -> User | None:
    """Return the user without the items in which one of the wordings occurs; None if none is left."""
    left = [item for item in items_of(user) if wordings.isdisjoint(_wordings_inside(item))]
    opinions = tuple(item for item in left if isinstance(item, Opinion))
    texts = tuple(item for item in left if isinstance(item, str))
    return replace(user, opinions=opinions, texts=texts) if left else None


def _items_worded(user: User, wordings: set[str]) -> tuple[Item, ...]:
    return tuple(item for item in items_of(user) if _wording(item) in wordings)


def items_of(user: User) -> list[Item]:
    """Return all opinions and texts of a user, opinions first."""
    return [*user.opinions, *user.texts]


def _wording(item: Item) -> str:
    return _folded(item.question.text if isinstance(item, Opinion) else item)


def _wordings_inside(item: Item) -> Iterator[str]:
    """Yield the wording of the question or text, and of a free answer, which may also be one of the texts.

    An answer of a few words gives nothing away: many questions are answered "good".
    """
    yield _wording(item)
    if isinstance(item, Opinion) and not item.question.choices and len(words_of(item.answer)) >= _TELLING_WORDS:
        yield _folded(item.answer)


def _folded(text: str) -> str:
    """Return the text without case, punctuation and whitespace, unless nothing else is left."""
    return " ".join(word.casefold() for word in words_of(text)) or text
