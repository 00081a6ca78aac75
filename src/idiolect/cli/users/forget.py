"""The command `idiolect users forget`: confirm, delete, and print a receipt, which shows that nothing is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import JsonOption, StoreOption, UserIdArgument, YesOption, option
from idiolect.cli.terminal import (
    confirm_deletion,
    err,
    one_line,
    out,
    print_finished_erasures,
    print_json,
    print_table,
    visible,
)

if TYPE_CHECKING:
    from idiolect.application.persons import ToForget
    from idiolect.erasure.receipt import Receipt

EXAMPLES = (
    "idiolect users forget u1",
    "idiolect users forget u1 --yes --json > receipt.json",
    "idiolect users forget u1 --gateway https://gateway.example",
)
_KEY = "IDIOLECT_GATEWAY_KEY"


def forget(
    user_id: UserIdArgument,
    yes: YesOption = False,
    gateway: Annotated[
        str | None,
        option(f"Gateway that is to forget them; its key is in ${_KEY}. Default: one beside the store.", "URL"),
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Delete everything held about a user, and verify it.

    This deletes the user's opinions, texts and profile, everything learned for them, and cached model answers that no
    other user shares. What a group learned from them is deleted, too, and so are the edits of people that began at it
    (fit --from-group); fit these again. Then every file of the store is searched for their words and the models'
    answers; if anything is left, the exit status is 1. A gateway that serves the store (idiolect serve) is asked to do
    this, so that it keeps nothing in memory.
    """
    from idiolect.application.documents import receipt_document

    receipt = _by_gateway(gateway, user_id, yes=yes) if gateway is not None else _here(store, user_id, yes=yes)
    if json:
        print_json(receipt_document(receipt), indent=2)
    else:
        _print_receipt(receipt)
    if not receipt.proven:
        for line in _faults(receipt):
            err().print(f"error: {line}", markup=False)
        raise typer.Exit(FAILED)


def _by_gateway(url: str, user_id: str, *, yes: bool) -> Receipt:
    from idiolect.application.remote_erasure import ask_to_forget

    if not yes:
        confirm_deletion(f"{visible(user_id)}, with everything that {url} holds about them")
    return ask_to_forget(url, os.environ.get(_KEY, ""), user_id, key_named=f"the key in ${_KEY}")


def _here(store: str | None, user_id: str, *, yes: bool) -> Receipt:
    """Forget a user of a store on this machine; a gateway that serves it does it, if there is one."""
    from idiolect.application.blocking import Workspace
    from idiolect.application.running_gateway import running_gateways
    from idiolect.cli.interrupts import even_if_interrupted

    with Workspace.open(store, create=False) as space:
        print_finished_erasures(space.store.finished_erasures)
        if not yes:
            confirm_deletion(_what_goes(user_id, space.store.where, space.to_forget(user_id)))
        folder, tenant = space.store.folder, space.store.tenant
        gateways = [] if folder is None else running_gateways(folder)
        if not gateways:
            return even_if_interrupted(lambda: space.forget(user_id))
    from idiolect.application.remote_erasure import ask_to_forget

    return ask_to_forget(gateways[0].url, gateways[0].key_for(tenant), user_id, directly=True)


def _what_goes(user_id: str, where: str, found: ToForget) -> str:
    from idiolect.store import UserSummary

    calls = f"cached calls {found.calls}"
    if found.summary is None:
        parts = ["the store has no such user, but data of theirs is left", calls]
    elif not isinstance(found.summary, UserSummary):
        parts = ["their data is damaged, so it cannot be counted", calls]
    else:
        summary = found.summary
        learned = ", ".join(summary.methods) or "nothing"
        parts = [f"opinions {summary.n_opinions}", f"texts {summary.n_texts}", f"learned by {learned}"]
        parts += [f"unfinished learning {found.unfinished}"] * bool(found.unfinished) + [calls]
        if found.begun_edits:
            parts.append(f"edits of others that began at a group's, learned from them too: {found.begun_edits}")
    return f"{visible(user_id)} in {where}: {'; '.join(parts)}"


def _print_receipt(receipt: Receipt) -> None:
    before, after = receipt.before, receipt.after
    rows = [
        ("forgotten", visible(receipt.user_id)),
        ("at", receipt.erased_at.isoformat(timespec="seconds")),
        ("rows deleted", _rows_line(receipt)),
        *[("begun edits", _begun_line(receipt))] * bool(receipt.begun_edits_deleted),
        ("cached calls", f"{receipt.calls_deleted} deleted, {receipt.calls_shared} kept because others share them"),
        ("artifacts", f"{receipt.artifacts} files deleted"),
        ("searched", f"{receipt.searched_files} files, {receipt.searched_bytes:,} bytes"),
        ("searched for", f"{receipt.canaries:,} strings that nobody else has"),
        ("found before", f"{before.total:,} in {len(before.places)} places"),
        ("found after", f"{after.total:,}" + (f" in {len(after.places)} places" if after.total else "")),
    ]
    print_table(("RECEIPT", ""), rows)
    out().print("What this receipt does not cover:")
    for limit in receipt.limits:
        out().print(f"- {limit}", markup=False)
    if not receipt.canaries:
        out().print("- no distinctive text was held about this person, so there was nothing to search for")


def _rows_line(receipt: Receipt) -> str:
    if not receipt.in_store:
        return "none: the store had no such user; only calls or files of theirs were left"
    return ", ".join(f"{count} {name}" for name, count in receipt.rows.items())


def _begun_line(receipt: Receipt) -> str:
    count = receipt.begun_edits_deleted
    whose = "1 other person" if count == 1 else f"{count:,} other people"
    return f"those of {whose} deleted, because they began at a group's edit that was learned from this person, too"


def _faults(receipt: Receipt) -> Iterator[str]:
    for place, count in receipt.after.places.items():
        yield f"{one_line(place)}: {count} traces are left"
    for place in receipt.unreadable:
        yield f"{one_line(place)}: cannot be read, so it could not be searched"
    for missed in receipt.caches_missed:
        yield f"{one_line(missed)}; if it contains calls of this user, restore it and forget the user again"
    for fault in receipt.unfinished:
        yield f"deleted, but not scrubbed from the files yet: {one_line(fault)}"
    if receipt.unfinished:
        yield "the next command that opens the store (such as idiolect users list) completes this"
    if receipt.canaries and not receipt.before.total:
        yield "the search found nothing before the deletion either, so it proves nothing"
