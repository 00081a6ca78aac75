"""What people were promised: every change that a gateway confirmed, compared with what the store has at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from idiolect.erasure.canaries import row_texts
from idiolect.erasure.served_rows import served_rows
from idiolect.store import Store
from idiolect.store.job_queue import GIVEN_UP
from idiolect.store.schema import metadata
from tests.serve.survival.deaths import Gateways
from tests.serve.survival.tally import Tally
from tests.serve.survival.upstreams import Upstream, is_about


@dataclass
class Ledger:
    """What one person was promised.

    Args:
        user: their id.
        opinions: the latest answer to each question.
        texts: their texts.
        feedback: kinds of comments, by the id of the response.
        fits: ids of their fits.
        ended: ids of those whose end was seen.
        learned: whether prompts were learned for them.
    """

    user: str
    opinions: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    feedback: dict[str, str] = field(default_factory=dict)
    fits: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    learned: bool = False

    def check(self, tally: Tally, store: Store) -> None:
        """Compare with what the store has."""
        user, held = store.user(self.user), served_rows(store.rows, self.user)
        tally.same(
            f"opinion of {self.user}",
            [(each.question.text, each.answer) for each in user.opinions],
            self.opinions.items(),
        )
        tally.same(f"text of {self.user}", user.texts, self.texts)
        comments = [(row["response_id"], row["kind"]) for row in held["feedback"]]
        tally.same(f"feedback of {self.user}", comments, self.feedback.items())
        tally.same(f"fit of {self.user}", [row["id"] for row in held["jobs"]], self.fits)
        for row in held["jobs"]:
            given_up = row["state"] == "failed" and row["error"] == GIVEN_UP
            tally.holds(f"a fit of {self.user} is {row['state']}: {row['error']}", row["state"] == "done" or given_up)
        if self.learned:
            learned = store.find_personalization(self.user, "fermi") is not None
            tally.same(f"prompts of {self.user}", [learned], [True])

    def spent(self, store: Store) -> int:
        """Return the calls that are counted for them, in all months."""
        rows = served_rows(store.rows, self.user)["spending"]
        return sum(row["calls"] for row in rows if len(row["period"]) == len("2026-11"))


def check_store(
    tally: Tally, store: Store, *, people: set[str], receipts: int, files: Path, canaries: tuple[str, ...]
) -> None:
    """Check what concerns nobody in particular, and that nothing of those who were erased is left.

    Args:
        tally: receives the outcome.
        store: the store.
        people: ids of all who are to be there.
        receipts: number of kept receipts.
        files: a folder, of which every file is searched.
        canaries: words of those who were erased.
    """
    tally.same("user", store.user_ids(), people)
    with store.database.reading() as connection:
        for table in metadata.sorted_tables:
            if "user_id" in table.c:
                named = set(connection.scalars(sa.select(table.c.user_id).distinct())) - {None}
                tally.holds(f"{table.name} has rows of {named - people}", named <= people)
        counts: dict[str, Any] = {
            name: connection.scalar(sa.select(sa.func.count()).select_from(metadata.tables[name]))
            for name in ("erasures", "receipts")
        }
        found = {word for text in row_texts(connection) for word in canaries if word in text}
    tally.holds(f"{counts['erasures']} erasures are unfinished", not counts["erasures"])
    tally.same("receipts", range(counts["receipts"]), range(receipts))
    tally.holds(f"rows have {found} of the erased", not found)
    for file in files.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            left = [word for word in canaries if word.encode() in content]
            tally.holds(f"{file.name} has {left} of the erased", not left)


def check_spending(tally: Tally, gateways: Gateways, upstream: Upstream, ledger: Ledger, store: Store) -> int:
    """Check that each call is counted once, but those that were in flight at a death; return the number of these.

    Args:
        tally: receives the outcome.
        gateways: those that died.
        upstream: the model that was called.
        ledger: whose fits these were.
        store: the store that has counted.
    """
    made = [each for each in upstream.of_fits() if is_about(each, ledger.user)]
    counted, lost = ledger.spent(store), gateways.in_flight(made)
    what = f"{counted} of {len(made)} calls for {ledger.user} are counted, {lost} were in flight at a death"
    tally.never(what, [ledger.user] if counted > len(made) else [])
    tally.all_there(what, range(counted + lost), range(len(made)))
    return len(made) - counted
