"""The people bundled with the package, for `idiolect demo`, the quickstart and tests that need real answers.

Their users files are read like any other. `scripts/build_bundled_people.py` builds one from FiveThirtyEight's
food-world-cup survey (CC BY 4.0), `scripts/build_bundled_writers.py` the other from public-domain texts; see
`data/ATTRIBUTION.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

from idiolect.people.splits import split_people
from idiolect.people.user import User
from idiolect.people.users_file import read_users

ATTRIBUTION = "FiveThirtyEight, food-world-cup (github.com/fivethirtyeight/data), CC BY 4.0, adapted"
WRITERS_ATTRIBUTION = "John F. Kennedy's addresses; Iago's speeches in Shakespeare's Othello; public domain"

_REPORTED, _DEVELOPMENT = 48, 72
_SEED = 2026


@dataclass(frozen=True, slots=True)
class BundledGroups:
    """The bundled people in two disjoint groups, always the same.

    Args:
        reported: 48 people on whom reported results are measured, and who are used for nothing else.
        development: 72 people for everything else: choosing settings, the demo, tests.
    """

    reported: tuple[User, ...]
    development: tuple[User, ...]


@cache
def bundled_people() -> tuple[User, ...]:
    """Return real people who rated at least 30 national cuisines from 1 to 5, each with seven attributes."""
    with as_file(files("idiolect.people") / "data" / "food-world-cup.jsonl") as path:
        return tuple(read_users(path))


@cache
def bundled_writers() -> tuple[User, ...]:
    """Return two writers with 24 short texts each: a president's addresses, and a play's character's speeches."""
    with as_file(files("idiolect.people") / "data" / "writers.jsonl") as path:
        return tuple(read_users(path))


@cache
def bundled_groups() -> BundledGroups:
    """Return the bundled people in two groups, with those of reported results apart from all others."""
    reported, development = split_people(bundled_people(), sizes=(_REPORTED, _DEVELOPMENT), seed=_SEED)
    return BundledGroups(reported, development)
