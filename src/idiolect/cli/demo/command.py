"""`idiolect demo`: the main job on people and a model that come with the packages."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.cli.options import JsonOption, SeedOption

EXAMPLES = ("idiolect demo", "idiolect demo --people 3 --writers 2", "idiolect demo --people 1 --writers 0 --json")
_MOST_PEOPLE = 72  # the development group
_MOST_WRITERS = 2


def demo(
    people: Annotated[int, typer.Option(min=1, max=_MOST_PEOPLE, metavar="N", help="Number of people.")] = 2,
    writers: Annotated[int, typer.Option(min=0, max=_MOST_WRITERS, metavar="N", help="Number of writers.")] = 1,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Show the main job on bundled people, with the embedded model.

    Fermi, for each person: learn prompts from 20 of their answers, then answer questions that were kept back, with and
    without what was learned, and compare with what the person said.

    CHAMELEON, for each writer: learn an edit of the model from 18 of their texts, then compare how likely the model
    finds texts that were kept back, and how it continues one, with and without the edit.

    With --json: one document.
    """
    from idiolect.cli.demo.screen import run_demo

    run_demo(n_people=people, n_writers=writers, seed=seed, json=json)
