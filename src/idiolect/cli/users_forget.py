"""`idiolect users forget`: asks, deletes, and prints the receipt, which says how it is known that nothing is left."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import JsonOption, StoreOption
from idiolect.cli.terminal import err, one_line, out, print_json, print_table, safe
from idiolect.cli.users_show import UserId

if TYPE_CHECKING:
    from idiolect.models.calls.cache import CallCache
    from idiolect.store import Store
    from idiolect.store.receipt import Receipt

EXAMPLES = ("idiolect users forget u1", "idiolect users forget u1 --yes --json > receipt.json")


def forget(
    user_id: UserId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Delete everything held about a user, and show that it is gone.

    Their opinions, texts and profile, all that was learned for them, and the models' answers that only they had. Then
    every file of the store is searched for what they and the models said; if anything is left, the exit status is 1.
    """
    from idiolect.store import Store
    from idiolect.store.erasure import forget_user

    if not yes and not sys.stdin.isatty():
        raise typer.BadParameter("--yes is needed where nobody can be asked")
    with Store.open(store, create=False) as opened:
        tell_finished(opened)
        if not yes:
            err().print(safe(_what_goes(opened, user_id)))
            typer.confirm("Delete all of it?", abort=True, err=True)
        receipt = forget_user(opened, user_id)
    if json:
        print_json(_receipt_json(receipt), indent=2)
    else:
        _print_receipt(receipt)
    if not receipt.proven:
        for line in _reproach(receipt):
            err().print(f"error: {line}", markup=False)
        raise typer.Exit(FAILED)


def tell_finished(store: Store) -> None:
    """Say so if opening the store finished an erasure."""
    if store.finished_erasures:
        err().print(f"an erasure that had been cut off is finished now ({store.finished_erasures})")


def _what_goes(store: Store, user_id: str) -> str:
    from idiolect.errors import UnknownUserError
    from idiolect.store.companions import opened_caches
    from idiolect.store.erasure import has_leftovers

    with opened_caches(store.database) as caches:
        calls = [f"cached calls {sum(_count_calls(cache, user_id) for cache in caches.opened)}"]
        try:
            summary = store.summary(user_id)
        except UnknownUserError:
            if not has_leftovers(store, user_id, caches.opened):
                raise
            parts = ["the store holds no such user, but things of theirs are left", *calls]
        else:
            learned = ", ".join(summary.methods) or "nothing"
            unfinished = len(store.checkpoints(user_id))
            parts = [f"opinions {summary.n_opinions}", f"texts {summary.n_texts}", f"learned by {learned}"]
            parts += [f"unfinished learning {unfinished}"] * bool(unfinished) + calls
    return f"{one_line(user_id)} in {store.where}: {'; '.join(parts)}"


def _count_calls(cache: CallCache, user_id: str) -> int:
    return sum(not call.shared for call in cache.calls_of(user_id))


def _receipt_json(receipt: Receipt) -> dict[str, Any]:
    return {
        "user": receipt.user_id,
        "erased_at": receipt.erased_at.isoformat(),
        "rows": dict(receipt.rows),
        "in_store": receipt.in_store,
        "calls": {
            "deleted": receipt.calls_deleted,
            "left_to_others": receipt.calls_shared,
        },
        "artifacts": receipt.artifacts,
        "searched": {"files": receipt.searched_files, "bytes": receipt.searched_bytes, "canaries": receipt.canaries},
        "found_before": {"count": receipt.before.total, "places": dict(receipt.before.places)},
        "found_after": {"count": receipt.after.total, "places": dict(receipt.after.places)},
        "unreadable": list(receipt.unreadable),
        "caches_missed": list(receipt.caches_missed),
        "unfinished": list(receipt.unfinished),
        "proven": receipt.proven,
        "limits": list(receipt.limits),
    }


def _print_receipt(receipt: Receipt) -> None:
    before, after = receipt.before, receipt.after
    rows = [
        ("forgotten", receipt.user_id),
        ("at", receipt.erased_at.isoformat(timespec="seconds")),
        ("rows deleted", _rows_line(receipt)),
        ("cached calls", f"{receipt.calls_deleted} deleted, {receipt.calls_shared} left to others who have them too"),
        ("artifacts", f"{receipt.artifacts} files deleted"),
        ("searched", f"{receipt.searched_files} files, {receipt.searched_bytes:,} bytes"),
        ("looked for", f"{receipt.canaries:,} strings that nobody else has"),
        ("found before", f"{before.total:,} in {len(before.places)} places"),
        ("found after", f"{after.total:,}" + (f" in {len(after.places)} places" if after.total else "")),
    ]
    print_table(("RECEIPT", ""), rows)
    out().print("What this cannot tell:")
    for limit in receipt.limits:
        out().print(f"- {limit}", markup=False)
    if not receipt.canaries:
        out().print("- nothing distinctive was held about this person, so there was nothing to search for")


def _rows_line(receipt: Receipt) -> str:
    if not receipt.in_store:
        return "none: the store held no such user; only calls or files of theirs were left"
    return ", ".join(f"{count} {name}" for name, count in receipt.rows.items())


def _reproach(receipt: Receipt) -> Iterator[str]:
    for place, count in receipt.after.places.items():
        yield f"{one_line(place)}: {count} traces are left"
    for place in receipt.unreadable:
        yield f"{one_line(place)}: cannot be read, so it could not be searched"
    for missed in receipt.caches_missed:
        yield f"{one_line(missed)}; if calls of this user are in it, put it in its place and forget the user again"
    for fault in receipt.unfinished:
        yield f"deleted, but not scrubbed from the files yet: {one_line(fault)}"
    if receipt.unfinished:
        yield "the next command that opens the store (for example: idiolect users list) finishes that"
    if receipt.canaries and not receipt.before.total:
        yield "the search found nothing before the deletion either, so it proves nothing"
