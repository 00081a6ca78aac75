"""`idiolect groups fit`: learns one edit from a group's members. Its arguments; the flow is `chameleon_fitting`."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import PRESETS, JsonOption, Method, Preset, StoreOption

EXAMPLES = ("idiolect groups fit readers", "idiolect groups fit readers --model Qwen/Qwen3-0.6B --preset paper --json")


def fit(
    group_id: Annotated[str, typer.Argument(metavar="NAME", help="The group's name.", show_default=False)],
    model: Annotated[
        str, typer.Option(metavar="M", help="Open weights: embedded, a Hugging Face id, or a folder.")
    ] = "embedded",
    preset: Annotated[
        Preset | None, typer.Option(help="Where the settings start from: measured (default) or paper.")
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(min=2, metavar="K", help="How many pairs of each member. Default: the preset's."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other draws.")] = 0,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Learn one edit from all members of a group (CHAMELEON): for them, and for people never seen.

    Members with too little history are left out, and told. What the model writes for a group is not kept in the cache.
    """
    known = PRESETS[Method.CHAMELEON]
    if preset is not None and preset not in known:
        raise typer.BadParameter(f"chameleon has no preset {preset.value!r}: choose of {', '.join(known)}")
    from idiolect.cli.chameleon_fitting import fit_group
    from idiolect.cli.chameleon_order import ChameleonChoices, chameleon_order

    learning = chameleon_order(ChameleonChoices(preset and preset.value, pairs=pairs, seed=seed), model=model)
    if not fit_group(group_id, learning, store=store, json=json):
        raise typer.Exit(FAILED)
