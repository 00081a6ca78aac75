"""The world that is attacked: two tenants in one store, people with prompts that were learned, and keys of every sort.

Every person has a canary, a word that occurs nowhere else and stands in their profile, opinions and texts, so in what
was learned for them. Whatever shows a canary shows that person's data.

    alpha   ann, bob, cy: nobody may change them · sandbox-N: the attackers' own
            odd-N, fit-N: their profiles, opinions and texts are injections
    beta    ann (another one), bea, ben, fitted, gone-N: nobody of alpha may learn that they exist
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idiolect.application.workspace import WorkspaceSettings
from idiolect.people.user_record import user_from_record
from idiolect.store import Store
from idiolect.store.api_keys import ApiKeys, Scope
from tests.application.mimicked import FAST
from tests.application.served import fit_in
from tests.cli.learning import THINGS, mimic
from tests.serve.hostility.injections import TEXTS

CANARY = re.compile(rb"CANARY[0-9a-f]{16}")
ALPHA, BETA = "alpha", "beta"
PROTECTED: Mapping[str, tuple[str, ...]] = {ALPHA: ("ann", "bob", "cy"), BETA: ("ann", "bea", "ben")}
OPEN: Mapping[str, tuple[str, ...]] = {"default": ("ann",)}  # in a store without keys
GROUP = "beta-group"
_GONE = 100
_FITTED = 3  # people who are fitted during the attacks
_CHOICES = ("never", "sometimes", "always")


@dataclass(frozen=True)
class Person:
    """A person of a tenant, and their canary."""

    tenant: str
    id: str
    canary: str

    def record(self, injections: Sequence[str] = ("",)) -> dict[str, Any]:
        """The person as in a users file; injections stand in every part of it."""
        said = [injections[number % len(injections)] for number in range(len(THINGS))]
        opinions = [
            {
                "question": f"Would you drink {thing} from {self.canary} at noon? {extra}".strip(),
                "choices": list(_CHOICES),
                "ordinal": True,
                "answer": "always",
            }
            for thing, extra in zip(THINGS, said, strict=True)
        ]
        profile = {"Home": f"{self.canary} road {said[0]}".strip(), f"Note {said[1]}".strip(): "30-44"}
        texts = [f"I keep {self.canary}. {extra}".strip() for extra in said[:2]]
        return {"id": self.id, "profile": profile, "opinions": opinions, "texts": texts}


@dataclass(frozen=True)
class Operation:
    """One method of one path of the OpenAPI document, with a body that is valid for it, None if it takes none."""

    method: str
    path: str
    body: Any = None


@dataclass
class World:
    """What attacks know of the server.

    Args:
        people: by tenant and id.
        keys: secrets, by what they are for.
        max_body: largest body, in bytes.
        body_timeout, idle_timeout, unread_timeout: seconds, as in the gateway's settings.
        operations: those of the OpenAPI document.
        responses: ids of responses that were kept, by tenant.
        jobs: ids of fits, by tenant.
        gone: ids of people of beta whom alpha tries to delete, each once.
    """

    people: dict[tuple[str, str], Person]
    keys: dict[str, str] = field(repr=False)
    max_body: int = 32 * 2**20
    body_timeout: float = 3.0
    idle_timeout: float = 5.0
    unread_timeout: float = 3.0
    operations: list[Operation] = field(default_factory=list)
    responses: dict[str, list[str]] = field(default_factory=dict)
    jobs: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=lambda: [f"gone-{number}" for number in range(_GONE)])
    _number: int = 0

    def next_id(self, kind: str) -> str:
        """An id for an attack, which no other has."""
        self._number += 1
        return f"{kind}-{self._number}"

    def canaries(self, tenant: str, *ids: str) -> frozenset[str]:
        """The canaries of these people of a tenant; without ids: of all of them."""
        return frozenset(
            person.canary
            for (where, name), person in self.people.items()
            if where == tenant and (not ids or name in ids)
        )

    def add(self, tenant: str, user_id: str, rng: random.Random) -> Person:
        """Make up a person, who is not in the store yet."""
        person = self.people[(tenant, user_id)] = Person(tenant, user_id, f"CANARY{rng.randbytes(8).hex()}")
        return person

    def ids(self, tenant: str, beginning: str) -> list[str]:
        """The ids of a tenant's people that begin so."""
        return [name for where, name in self.people if where == tenant and name.startswith(beginning)]


def made_world(target: Path | str, rng: random.Random, *, sandboxes: int = 4, odd: int = 8, **settings: Any) -> World:
    """Fill a store with the people and keys of a world, and learn prompts for those people."""
    world = World({}, {}, **settings)
    for tenant, ids in PROTECTED.items():
        for user_id in ids:
            world.add(tenant, user_id, rng)
    for number in range(sandboxes):
        world.add(ALPHA, f"sandbox-{number}", rng)
    world.add(BETA, "fitted", rng)
    names = [*(f"odd-{number}" for number in range(odd)), *(f"fit-{number}" for number in range(_FITTED))]
    odd_texts = {world.add(ALPHA, name, rng): _some(TEXTS, number) for number, name in enumerate(names)}
    for tenant in (ALPHA, BETA):
        theirs = [person for person in world.people.values() if person.tenant == tenant]
        users = [user_from_record(person.record(odd_texts.get(person, ("",)))) for person in theirs]
        asyncio.run(fit_in(WorkspaceSettings(target, mimic(), tenant=tenant), users, FAST))
    with Store.open(target, tenant=BETA) as store:
        store.save_users(user_from_record({"id": user_id, "texts": ["I am here."]}) for user_id in world.gone)
    world.keys.update(_made_keys(target))
    return world


def made_open_world(target: Path | str, rng: random.Random) -> World:
    """Fill a store that has no keys with one person, for a gateway that needs none."""
    world = World({}, {})
    user = user_from_record(world.add("default", "ann", rng).record())
    asyncio.run(fit_in(WorkspaceSettings(target, mimic(), tenant="default"), [user], FAST))
    return world


def _some(texts: Sequence[str], number: int) -> Sequence[str]:
    first = number * 4 % len(texts)
    return [*texts[first:], *texts[:first]][: len(THINGS)]


def _made_keys(target: Path | str) -> dict[str, str]:
    """Make keys of both tenants; return their secrets."""
    chat, people, both = {Scope.CHAT}, {Scope.PEOPLE}, {Scope.CHAT, Scope.PEOPLE}
    with Store.open(target, tenant=ALPHA) as store:
        keys = ApiKeys(store.database)
        made = {
            "alpha": keys.create(tenant=ALPHA, scopes=both),
            "alpha-chat": keys.create(tenant=ALPHA, scopes=chat),
            "alpha-people": keys.create(tenant=ALPHA, scopes=people),
            "alpha-cy": keys.create(tenant=ALPHA, scopes=both, user="cy"),
            "alpha-rare": keys.create(tenant=ALPHA, scopes=both, per_minute=5),
            "alpha-revoked": keys.create(tenant=ALPHA, scopes=both),
            "beta": keys.create(tenant=BETA, scopes=both),
        }
        keys.revoke(made["alpha-revoked"][0].id)
    with Store.open(target, tenant=BETA) as store:
        store.groups.create(GROUP, ["ann", "bea"])
    return {name: secret for name, (_, secret) in made.items()}


def snapshot(target: Path | str, people: Mapping[str, Sequence[str]] = PROTECTED) -> dict[str, Any]:
    """Everything in the store that no attack may change, by what it is."""
    found: dict[str, Any] = {}
    for tenant, ids in people.items():
        with Store.open(target, tenant=tenant, create=False) as store:
            for user_id in ids:
                learned = {each.method: (each.payload, each.digest) for each in store.personalizations(user_id)}
                found[f"{tenant}/{user_id}"] = (*store.user_and_entered(user_id), learned)
            if tenant != ALPHA:  # in which the attackers add people
                found[f"the ids of {tenant}"] = list(store.user_ids())
            found[f"the keys of {tenant}"] = sorted(map(str, ApiKeys(store.database).list(tenant=tenant)))
    return found
