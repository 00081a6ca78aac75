"""The story told once for each durable write, with a gateway that dies before it or after it; and so with keys.

told(…, die_at=7, before=True) → Told: the tally, the write at which it died, and what was learned
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.api_keys import ApiKeys
from tests.serve.survival.clients import Client
from tests.serve.survival.forked import Forks
from tests.serve.survival.ledgers import check_spending, check_store
from tests.serve.survival.places import SECRET, Place
from tests.serve.survival.scenario import ANN, BOB, CANARIES, Story
from tests.serve.survival.tally import Tally
from tests.serve.survival.upstreams import Upstream


@dataclass
class Told:
    """How the story ended.

    Args:
        tally: what was checked.
        died_at: the durable write at which the gateway died; None: it made fewer.
        writes: the durable writes, if it did not die.
        learned: what was learned for ann.
        uncounted: calls that were made and are in no budget.
    """

    tally: Tally = field(default_factory=Tally)
    died_at: str | None = None
    writes: list[str] = field(default_factory=list)
    learned: Mapping[str, Any] = field(default_factory=dict)
    uncounted: int = 0


def told(forks: Forks, upstream: Upstream, place: Place, *, die_at: int | None = None, before: bool = False) -> Told:
    """Tell the story in a new store, with a gateway that dies at one of its durable writes, and check its end."""
    found = Told()
    with place.gateways(forks, upstream) as gateways:
        gateways.start(die_at=die_at, before=before)
        story = Story(Client(gateways, SECRET, found.tally), upstream, found.tally)
        story.tell()
        left = _left(place.files)
        found.tally.holds(f"words of an erased person are left while it serves: {left}", not left)
        gateways.stop()
        found.writes, found.tally.kills = gateways.writes, gateways.n_deaths
        found.died_at = gateways.deaths[0].died_at if gateways.deaths else None
        gateways.check_calls(found.tally, erased=(BOB,))
        with Store.open(place.target, tenant=DEFAULT_TENANT, create=False) as store:
            story.ann.check(found.tally, store)
            check_store(found.tally, store, people={ANN}, receipts=1, files=place.files, canaries=CANARIES)
            found.uncounted = check_spending(found.tally, gateways, upstream, story.ann, store)
            if (record := store.find_personalization(ANN, "fermi")) is not None:
                found.learned = record.payload
    return found


def _left(root: Path) -> list[str]:
    files = {file: file.read_bytes() for file in root.rglob("*") if file.is_file()}
    return [file.name for file, content in files.items() for word in CANARIES if word.encode() in content]


def compare(tally: Tally, learned: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Check that what was learned is what is learned if nobody dies."""
    fields = sorted(learned.keys() | expected.keys())
    differ = [name for name in fields if _plain(learned.get(name)) != _plain(expected.get(name))]
    tally.holds(f"what was learned differs in {differ}", not differ)


def _plain(value: object) -> str:
    return json.dumps(value, sort_keys=True)


def keys_made(forks: Forks, *, die_at: int | None = None, before: bool = False) -> Told:
    """Make a key and revoke it by command, where the command that makes it, or the one that revokes it, dies."""
    found = Told()
    with tempfile.TemporaryDirectory() as temporary:
        root, notes = Path(temporary) / "store", Path(temporary)
        of_store = ["--store", str(root), "--json"]
        made = ["keys", "create", "--name", "tests", *of_store]
        left = _run_to_its_end(forks, made, notes, found, die_at, before)
        secret, name = left["secret"], left["id"]
        with Store.open(root, tenant=DEFAULT_TENANT) as store:
            keys = ApiKeys(store.database)
            known = [each.id for each in keys.list()]
            found.tally.all_there("key", known, [name])
            found.tally.holds(f"{len(known)} keys for one death", len(known) <= 1 + found.tally.kills)
            found.tally.holds("the key does not work", keys.verify(secret) is not None)
        at = None if die_at is None or found.tally.kills else die_at - len(found.writes)
        _run_to_its_end(forks, ["keys", "revoke", name, *of_store], notes, found, at, before)
        with Store.open(root, tenant=DEFAULT_TENANT) as store:
            found.tally.holds("the revoked key works", ApiKeys(store.database).verify(secret) is None)
    return found


def _run_to_its_end(
    forks: Forks, arguments: list[str], notes: Path, found: Told, die_at: int | None, before: bool
) -> dict[str, Any]:
    """Run a command, once more if it dies, and return the document that it prints."""
    process = forks.command(arguments, notes, die_at=die_at, before=before)
    if process.wait() == -9:
        found.tally.kills += 1
        found.died_at = process.died_at
        process = forks.command(arguments, notes)
    found.tally.holds(f"{arguments[:2]}: {process.output}", process.wait() == 0)
    found.writes += process.writes
    document: dict[str, Any] = json.loads(process.output[process.output.index("{") :])
    return document
