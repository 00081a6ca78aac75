"""The command `idiolect groups fit`: learn one edit from the members of a group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.application.names import DEFAULT_MODEL, ChameleonPresetName
from idiolect.cli.boundary import FAILED, stop
from idiolect.cli.options import GroupIdArgument, JsonOption, SeedOption, StoreOption
from idiolect.cli.terminal import err, listed, one_line, out, print_json

if TYPE_CHECKING:
    from idiolect.application.groups import GroupFitted

SAVE_EXAMPLES = ("idiolect groups save readers ./readers",)
EXAMPLES = ("idiolect groups fit readers", "idiolect groups fit readers --model Qwen/Qwen3-0.6B --preset paper --json")


def fit(
    group_id: GroupIdArgument,
    model: Annotated[
        str, typer.Option(metavar="M", help="Model with open weights: embedded, a Hugging Face id, or a folder.")
    ] = DEFAULT_MODEL,
    preset: Annotated[
        ChameleonPresetName | None, typer.Option(help="Preset of settings: grouped (default), measured or paper.")
    ] = None,
    pairs: Annotated[
        int | None,
        typer.Option(min=2, metavar="K", help="Preset paper: number of pairs per member. Default: set by the preset."),
    ] = None,
    seed: SeedOption = 0,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Learn one CHAMELEON edit from the members of a group.

    The edit serves the members, and also people never seen. With the preset grouped, it is also where a person's own
    step begins: idiolect fit USERS --method chameleon --from-group GROUP.

    Members with too little history are left out and listed. The model's output for a group is not cached.
    """
    from idiolect.application.blocking import Workspace
    from idiolect.application.chameleon import ChameleonSummary
    from idiolect.application.choices import ChameleonChoices
    from idiolect.application.documents import group_fitted_document
    from idiolect.application.run import CallSettings
    from idiolect.cli.fit_screen import summary_line
    from idiolect.cli.interrupts import even_if_interrupted, terminating_like_ctrl_c
    from idiolect.cli.progress import SCREEN, UsersProgress
    from idiolect.errors import HaltedError

    choices, calls = ChameleonChoices(preset, pairs=pairs, seed=seed), CallSettings(cached=False)
    try:
        with (
            Workspace.open(store, model=model, create=False, calls=calls, events=SCREEN) as space,
            terminating_like_ctrl_c(),
            UsersProgress(1, noun="groups") as progress,
        ):
            fitted = even_if_interrupted(lambda: space.fit_group(group_id, choices, observer=progress.observe))
            progress.finished(group_id, f"learned, {summary_line(ChameleonSummary.of(fitted.learned))}")
    except KeyboardInterrupt:
        stop("nothing was learned; the earlier edit, if any, was kept")
    except HaltedError as halted:
        err().print(one_line(f"{halted}: nothing was learned"), markup=False)
        raise typer.Exit(FAILED) from None
    if json:
        print_json(group_fitted_document(group_id, fitted), indent=2)
    else:
        _print_fitted(group_id, fitted)


def _print_fitted(group_id: str, fitted: GroupFitted) -> None:
    from idiolect.cli.learned_screen import print_edit

    out().print(one_line(f"learned for group {group_id!r}: {fitted.learned.gate}"), markup=False)
    print_edit(fitted.learned, indent=2)
    if fitted.left_out:
        out().print(f"left out because of too little history: {listed(fitted.left_out)}", markup=False)


def save(
    group_id: GroupIdArgument,
    directory: Annotated[str, typer.Argument(metavar="DIR", help="Folder to write; it is created.")],
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Write a group's edit into a folder, as a place where people's steps begin on another machine.

    The folder holds the edit and texts of the model itself, but no member's id, opinion or text, and no path of
    this machine. Name it with --from-group and a path with a / or a leading dot, such as ./readers: readers alone is
    the group in the store.

    The folder is a copy, which no command finds again: when a member or the group is forgotten, delete it yourself.
    """
    from idiolect.application.chameleon import read_edit
    from idiolect.application.chameleon_starts import save_start
    from idiolect.application.names import CHAMELEON
    from idiolect.cli.opening import open_store

    if not directory.strip():  # which a Path would take for the current folder
        raise typer.BadParameter("the folder's name is blank", param_hint="DIR")
    with open_store(store) as opened:
        learned = read_edit(opened.groups.personalization(group_id, CHAMELEON))
    save_start(learned, Path(directory))
    if json:
        print_json({"group": group_id, "folder": directory}, indent=2)
    else:
        out().print(one_line(f"saved the edit of group {group_id!r} in {directory}"), markup=False)
