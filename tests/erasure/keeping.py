"""People in a store with everything that can be held about them, for tests of erasure and export."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from idiolect.models.calls.cache import CallCache
from idiolect.people.user import Opinion, Question, User, UserProfile
from idiolect.store import Store

SHARED = Question("Do you think that your town should build more cycle paths next year?", ("yes, more", "no, fewer"))
SHARED_RESULT = {"text": "A person of this town would probably say: yes, more.", "finish_reason": "stop"}
ANNA = User(
    "anna.karenina@moscow",
    UserProfile({"Railway station": "Obiralovka", "Age": "18-29"}),
    (
        Opinion(SHARED, "yes, more", extra={"note": 'asked\ton "the" train'}),
        Opinion(Question("What is the first thing you remember?"), "A red handbag,\nand the snow – ❄ – on the rails"),
    ),
    ("All happy families are alike; every unhappy family is unhappy in its own way.",),
    extra={"source": {"interview": "at Oblonsky's house"}},
)
BORIS = User(
    "boris.godunov",
    UserProfile({"Age": "18-29"}),
    (Opinion(SHARED, "no, fewer"),),
    ("My soul is sad, an involuntary fear oppresses my heart.",),
)


def payload_of(user: User) -> dict[str, Any]:
    """As a method could have learned it."""
    texts = [f"Answer as someone who would say {opinion.answer!r}." for opinion in user.opinions]
    return {
        "method": "fermi",
        "model": "openai:some-model",
        "user_id": user.id,
        "prompts": [{"text": text, "responses": [opinion.answer for opinion in user.opinions]} for text in texts],
    }


def key_of(*parts: str) -> str:
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


async def call(cache: CallCache, key: str, result: Mapping[str, Any], *, owner: str) -> None:
    """One call: paid for, or there already."""
    if await cache.look_up([key], owner=owner) == [None]:
        await cache.begin([key], operation="complete", model="openai:some-model", owner=owner)
        await cache.keep({key: result})


async def learn(store: Store, cache: CallCache, user: User) -> None:
    """Hold everything about the user that can be held."""
    store.save_users([user])
    store.save_checkpoint(
        user.id, "fermi", {"format": 1, "memory": [{"text": f"Half-learned for {user.id}: be kind."}]}
    )
    store.save_personalization(user.id, "fermi", payload_of(user))
    await call(cache, key_of("shared"), SHARED_RESULT, owner=user.id)
    for i, opinion in enumerate(user.opinions):
        result = {"text": f"They of {user.id} said {opinion.answer}", "finish_reason": "stop"}
        await call(cache, key_of(user.id, str(i)), result, owner=user.id)


def damage(folder: Path) -> None:
    """Make the result of Anna's second own call unreadable; half of it is still there."""
    with closing(sqlite3.connect(folder / "calls.db")) as database, database:
        half = "UPDATE entries SET result = substr(result, 1, length(result) / 2) WHERE key = ?"
        changed = database.execute(half, (bytes.fromhex(key_of(ANNA.id, "1")),))
        assert changed.rowcount == 1


def everything(folder: Path) -> bytes:
    """Every byte below the folder, and every name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return b"\0".join(part for path in files for part in (str(path.relative_to(folder)).encode(), path.read_bytes()))
