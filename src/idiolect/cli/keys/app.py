"""Commands of `idiolect keys`: create, list and revoke the API keys with which programs reach a server.

The secret of a key is printed once, on stdout; the store has only its hash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.application.names import ScopeName
from idiolect.cli.options import JsonOption, StoreOption, examples, option
from idiolect.cli.terminal import err, print_json, print_table, visible

if TYPE_CHECKING:
    from idiolect.store.api_keys import ApiKeyRecord

app = typer.Typer(
    help="Manage the API keys of a server.",
    no_args_is_help=True,
    epilog=examples("idiolect keys create --name website", "idiolect keys list"),
)
TenantOption = Annotated[
    str | None, option("Tenant whose data the key reaches. Default: $IDIOLECT_TENANT, else default.", "NAME")
]
_CREATE_EXAMPLES = (
    "idiolect keys create --name website",
    "idiolect keys create --user u1 --scope chat --per-minute 60",
    "idiolect keys create --tenant acme --store postgresql://host/people --json",
)


@app.command("create", epilog=examples(*_CREATE_EXAMPLES))
def create(
    name: Annotated[str, option("Note that the list of keys shows.", "TEXT")] = "",
    user: Annotated[str | None, option("Only user on whose behalf the key is used. Default: any user.", "ID")] = None,
    scope: Annotated[
        ScopeName | None,
        option("Only use of the key: answers (chat), or people's data (people). Default: both.", flag="--scope"),
    ] = None,
    per_minute: Annotated[int | None, option("Maximum number of requests per minute.", "N", min=1)] = None,
    tenant: TenantOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Create a key, and print its secret, which cannot be read again.

    The secret alone goes to stdout. The store and the tenant are created if they do not exist. The user need not be in
    the store yet; forgetting the user deletes the key.
    """
    from idiolect.application.key_documents import key_document
    from idiolect.application.tenant import chosen_tenant
    from idiolect.store import Store
    from idiolect.store.api_keys import ALL_SCOPES, ApiKeys, Scope

    scopes = ALL_SCOPES if scope is None else {Scope(scope)}
    chosen = chosen_tenant(tenant)
    with Store.open(store, tenant=chosen) as opened:
        try:
            key, secret = ApiKeys(opened.database).create(
                tenant=chosen, user=user, name=name, scopes=scopes, per_minute=per_minute
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
    if json:
        print_json({**key_document(key), "secret": secret}, indent=2)
        return
    err().print(f"created API key {key.id}; its secret is printed only now:", markup=False)
    typer.echo(secret)


@app.command("list", epilog=examples("idiolect keys list", "idiolect keys list --tenant acme --json"))
def list_keys(
    tenant: Annotated[str | None, option("Tenant. Default: all tenants of the store.", "NAME")] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """List all keys, revoked ones too, without their secrets.

    With --json: one object per line.
    """
    from idiolect.application.key_documents import key_document
    from idiolect.store import DEFAULT_TENANT, Store
    from idiolect.store.api_keys import ApiKeys

    with Store.open(store, tenant=DEFAULT_TENANT, create=False) as opened:
        keys = ApiKeys(opened.database).list(tenant=tenant)
    if json:
        for key in keys:
            print_json(key_document(key))
    else:
        print_table(("KEY", "TENANT", "USER", "SCOPES", "PER MINUTE", "CREATED", "STATE", "NAME"), map(_row, keys))


@app.command("revoke", epilog=examples("idiolect keys revoke 0a1b2c3d4e5f6071"))
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, as keys list shows.", show_default=False)],
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key invalid; it stays in the list."""
    from idiolect.application.key_documents import key_document
    from idiolect.store import DEFAULT_TENANT, Store
    from idiolect.store.api_keys import ApiKeys

    with Store.open(store, tenant=DEFAULT_TENANT, create=False) as opened:
        key = ApiKeys(opened.database).revoke(key_id)
    if json:
        print_json(key_document(key), indent=2)
    else:
        err().print(f"revoked API key {key.id}", markup=False)


def _row(key: ApiKeyRecord) -> tuple[str, ...]:
    return (
        key.id,
        visible(key.tenant),
        "-" if key.user is None else visible(key.user),
        ",".join(sorted(key.scopes)),
        "-" if key.per_minute is None else str(key.per_minute),
        key.created_at.astimezone().strftime("%Y-%m-%d %H:%M"),
        "valid" if key.revoked_at is None else "revoked",
        visible(key.name) or "-",
    )
