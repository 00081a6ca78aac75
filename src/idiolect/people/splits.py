"""Splits of people and of their opinions, into those that a method may learn from and those that it is judged by.

Between the users file and the methods. Every order here is a pure function of a key (a seed and ids), computed with a
hash instead of a random generator, so that it is equal on every system, in every process and in every Python version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TypeVar

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.people.user import Opinion, User

T = TypeVar("T")

RESPONDENT = "respondent"
"""Key of `User.extra` for whoever is behind several users: a panelist who answered several waves, a country that
surveys name in several ways. They are always in one group of people."""


def person_behind(user: User) -> str:
    """Return the person that a user stands for: their `RESPONDENT` if there is one, otherwise their id."""
    return str(user.extra.get(RESPONDENT, user.id))


@dataclass(frozen=True, slots=True)
class Split:
    """One user's opinions in two parts: `train` to learn from, `test` to be asked about. Neither is empty."""

    train: tuple[Opinion, ...]
    test: tuple[Opinion, ...]


def split_opinions(user: User, *, n_train: int, seed: int | None = None) -> Split:
    """Split a user's opinions into the first `n_train`, to learn from, and all others, to test on.

    Args:
        user: a user with more than `n_train` opinions.
        n_train: at least 1.
        seed: None keeps the order of the file; a number shuffles first, differently for each user id.

    Raises:
        ValueError: `n_train` is below 1.
        PersonalizationError: the user has too few opinions.
    """
    if n_train < 1:
        raise ValueError(f"n_train must be at least 1, but is {n_train}")
    if len(user.opinions) <= n_train:
        raise PersonalizationError(
            f"user {user.id!r} has {len(user.opinions)} opinions; learning from {n_train} and testing on the others "
            f"needs at least {n_train + 1}"
        )
    opinions = user.opinions if seed is None else shuffled(user.opinions, "opinions", seed, user.id)
    return Split(train=opinions[:n_train], test=opinions[n_train:])


def split_people(users: Iterable[User], *, sizes: Sequence[int], seed: int) -> tuple[tuple[User, ...], ...]:
    """Split people into disjoint groups, for example one for choosing settings and one for reporting results.

    The groups depend only on the ids and the seed, not on the order of `users`. People beyond the sum of the sizes are
    in no group.

    Args:
        users: people with different ids.
        sizes: sizes of the groups, each at least 1; a single size gives a sample.
        seed: seed of the partition.

    Raises:
        ValueError: there are no sizes, a size is below 1, or two users have the same id.
        SettingsError: the sizes sum to more people than there are.
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"sizes must be at least 1 each, but are {list(sizes)}")
    people = sorted(users, key=lambda user: user.id)
    for one, next_one in pairwise(people):
        if one.id == next_one.id:
            raise ValueError(f"two users have the id {one.id!r}")
    if sum(sizes) > len(people):
        raise SettingsError(
            f"groups of {' + '.join(map(str, sizes))} people need more than the {len(people)} people that there are"
        )
    order = iter(sorted(people, key=lambda user: hash_rank("people", seed, user.id)))
    return tuple(tuple(next(order) for _ in range(size)) for size in sizes)


def shuffled(items: Sequence[T], *key: str | int) -> tuple[T, ...]:
    """Return `items` in an order that depends only on `key` and their number."""
    return tuple(items[index] for index in sorted(range(len(items)), key=lambda index: hash_rank(*key, index)))


def hash_rank(*key: str | int) -> bytes:
    """Return 16 bytes to sort by, which give an order that looks random but is a function of `key` alone."""
    return blake2b(json.dumps(key).encode(), digest_size=16).digest()
