"""The command `idiolect compare`: two evaluations side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from idiolect.cli import options
from idiolect.cli.boundary import wrong_use
from idiolect.cli.options import option
from idiolect.cli.terminal import print_json

EXAMPLES = (
    "idiolect compare before after",
    "idiolect compare embedded-135m other-model --measure mae --json",
)
HELP = """Compare two evaluations of the same task, person by person and question by question.

A and B are folders that idiolect evaluate has written. Every arm that both have is compared on the answers that both
have: B minus A, with a 95 % interval clustered by person and question. What only one of them has is counted and left
out. Evaluations of different tasks, people or questions cannot be compared.
"""

FirstArgument = Annotated[Path, typer.Argument(metavar="A", help="Folder of an evaluation.", show_default=False)]
SecondArgument = Annotated[Path, typer.Argument(metavar="B", help="Folder of another one.", show_default=False)]
MeasureOption = Annotated[
    str | None, option("Measure to compare, such as accuracy or mae. Default: the evaluations' first.", "NAME")
]


def compare(
    a: FirstArgument, b: SecondArgument, measure: MeasureOption = None, json: options.JsonOption = False
) -> None:
    """Compare two evaluations. `HELP` is the help text."""
    from idiolect.cli.comparison_screen import print_comparison
    from idiolect.cli.progress import waiting
    from idiolect.evaluate.comparing import compare_folders, comparison_to_json

    with wrong_use(), waiting("pairing the answers"):
        found = compare_folders(a, b, measure=measure)
    if json:
        print_json(comparison_to_json(found))
    else:
        print_comparison(found)
