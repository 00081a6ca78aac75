"""The people that come with the package: for `idiolect demo`, the quickstart and tests that need real answers.

Their users file is built by `scripts/build_bundled_people.py` from FiveThirtyEight's food-world-cup survey
(CC BY 4.0, see `data/ATTRIBUTION.md`) and read like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

from idiolect.people.splits import split_people
from idiolect.people.user import User
from idiolect.people.users_file import read_users


@cache
def bundled_people() -> tuple[User, ...]:
    """Real people who rated at least 30 national cuisines from 1 to 5, with seven attributes each; always the same."""
    with as_file(files("idiolect.people") / "data" / "food-world-cup.jsonl") as path:
        return tuple(read_users(path))


@dataclass(frozen=True, slots=True)
class BundledGroups:
    """The bundled people in two disjoint groups: results are reported on one, settings are chosen on the other."""

    reported: tuple[User, ...]
    development: tuple[User, ...]


@cache
def bundled_groups() -> BundledGroups:
    """48 reported and 72 development people, by a fixed seeded draw."""
    reported, development = split_people(bundled_people(), sizes=(48, 72), seed=2026)
    return BundledGroups(reported, development)
