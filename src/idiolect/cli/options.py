"""What several commands share: options of the same name and meaning, and the form of their examples."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Method(StrEnum):
    """The methods that learn from a user."""

    FERMI = "fermi"
    CHAMELEON = "chameleon"


class Preset(StrEnum):
    """The presets of the methods' settings, by name; `PRESETS` in the methods' `settings` tell what they are."""

    API = "api"
    DEMO = "demo"
    PAPER = "paper"
    PAPER_OFFLINE = "paper-offline"
    MEASURED = "measured"


PRESETS = {
    Method.FERMI: (Preset.API, Preset.DEMO, Preset.PAPER, Preset.PAPER_OFFLINE),
    Method.CHAMELEON: (Preset.PAPER, Preset.MEASURED),
}


class Answering(StrEnum):
    """How a model's answers are taken."""

    GENERATE = "generate"
    LIKELIHOOD = "likelihood"


StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="DIR|URL",
        help="Where users are kept: a folder, or a database URL. Default: $IDIOLECT_STORE, else your data folder.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def examples(*lines: str) -> str:
    """The epilog of a command's help: example command lines, kept as they are."""
    return "\b\n" + "\n".join(("Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)))
