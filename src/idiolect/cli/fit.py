"""`idiolect fit`: learns the prompts of every user of a users file. Its arguments; the flow is `fitting`."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import Answering, JsonOption, Method, Preset, StoreOption

EXAMPLES = (
    "idiolect fit users.jsonl",
    "idiolect fit users.jsonl --user u1 --user u2 --iterations 5 --store ./people",
    "cat users.jsonl | idiolect fit - --skip-invalid --json | jq .best_score",
)
_PROPOSERS = ("llm", "demonstrations")


UsersArgument = Annotated[
    str, typer.Argument(metavar="USERS", help="A users file (JSON Lines); - is standard input.", show_default=False)
]
ModelOption = Annotated[
    str, typer.Option(metavar="M", help="The model that answers: embedded, a Hugging Face id, or a folder.")
]
OptimizerOption = Annotated[
    str | None,
    typer.Option(metavar="M", help="The model that writes prompts. Default: the one that answers.", show_default=False),
]
AnsweringOption = Annotated[
    Answering | None, typer.Option(help="How answers are taken. Default: the preset's.", show_default=False)
]
SimilarityOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Of questions: minilm, bm25, or a sentence-transformers id. Default: the preset's.",
        show_default=False,
    ),
]
ProposersOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Who proposes prompts: llm, demonstrations, or both with a comma. Default: the preset's.",
        show_default=False,
    ),
]
IterationsOption = Annotated[
    int | None, typer.Option(min=1, help="Rounds of learning. Default: the preset's.", show_default=False)
]
UserOption = Annotated[
    list[str] | None,
    typer.Option(metavar="ID", help="Take only this user of the file; may be repeated.", show_default=False),
]


def _proposers(given: str | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    names = tuple(name.strip() for name in given.split(","))
    for name in names:
        if name not in _PROPOSERS:
            raise typer.BadParameter(f"there is no proposer {name!r}: choose of {', '.join(_PROPOSERS)}")
    if len(set(names)) < len(names):
        raise typer.BadParameter("a proposer is named twice")
    return names


def fit(
    users: UsersArgument,
    method: Annotated[Method, typer.Option(help="What learns.")] = Method.FERMI,
    store: StoreOption = None,
    model: ModelOption = "embedded",
    optimizer: OptimizerOption = None,
    preset: Annotated[Preset, typer.Option(help="Where the settings start from.")] = Preset.DEMO,
    answering: AnsweringOption = None,
    similarity: SimilarityOption = None,
    proposers: ProposersOption = None,
    iterations: IterationsOption = None,
    seed: Annotated[int, typer.Option(help="Another seed, other draws.")] = 0,
    user: UserOption = None,
    skip_invalid: Annotated[bool, typer.Option("--skip-invalid", help="Go on without lines that have faults.")] = False,
    json: JsonOption = False,
) -> None:
    """Learn the prompts of every user of a users file.

    The whole file is checked, and every model opened, before anything is written. Then users are learned one by one,
    and each is kept in the store as soon as it is done.

    With --json: one object a line, per user.
    """
    del method  # one so far
    dealt = _proposers(proposers)
    from idiolect.cli.fitting import FitOrder, fit_users, settings_of

    settings = settings_of(
        preset.value,
        answering=None if answering is None else answering.value,
        similarity=similarity,
        proposers=dealt,
        iterations=iterations,
        seed=seed,
    )
    order = FitOrder(
        source=users,
        store=store,
        settings=settings,
        model=model,
        optimizer=optimizer,
        only=tuple(dict.fromkeys(user or ())),
        skip_invalid=skip_invalid,
        json=json,
    )
    if not fit_users(order):
        raise typer.Exit(FAILED)
