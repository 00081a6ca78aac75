"""`idiolect demo`: the main job on people and a model that come with the packages."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, SeedOption

EXAMPLES = ("idiolect demo", "idiolect demo --people 1 --json")
_MOST_PEOPLE = 72  # the development group


def demo(
    people: Annotated[int, typer.Option(min=1, max=_MOST_PEOPLE, help="How many people.")] = 3,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Show the main job on bundled people, with the embedded model.

    Fermi, for each person: learn prompts from 20 of their answers, then answer questions that were kept back, with and
    without what was learned, and compare with what the person said.

    CHAMELEON, for each of two writers: learn an edit of the model from 18 of their texts, then compare how likely the
    model finds texts that were kept back, and how it goes on with one, with and without the edit.

    With --json: one document.
    """
    from idiolect.cli.demo.screen import run_demo

    run_demo(n_people=people, seed=seed, json=json)
