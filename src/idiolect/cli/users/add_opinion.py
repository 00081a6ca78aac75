"""The command `idiolect users add-opinion`: store one more answer of a user, and learn from it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from idiolect.cli import options
from idiolect.cli.boundary import FAILED, stop
from idiolect.cli.terminal import err, one_line, out, print_json

if TYPE_CHECKING:
    from idiolect.application.opinions import OpinionAdded
    from idiolect.application.run import Spending

EXAMPLES = (
    'idiolect users add-opinion u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot" --ordinal --answer Hot',
    'idiolect users add-opinion u1 "What do you drink at breakfast?" --answer "Tea, no milk" --no-learn',
)
_Choices = Annotated[
    str | None, typer.Option(metavar="A|B|…", help="Answers that the user could choose from. Default: free text.")
]
_Rounds = Annotated[
    int,
    typer.Option(min=0, metavar="N", help="Number of further learning rounds; 0 only scores the known prompts again."),
]


def add_opinion(
    user_id: options.UserIdArgument,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="Question that was asked.", show_default=False)],
    answer: Annotated[str, typer.Option(metavar="A", help="The user's answer.", show_default=False)],
    choices: _Choices = None,
    ordinal: options.OrdinalOption = False,
    learn: Annotated[
        bool, typer.Option("--learn/--no-learn", help="Continue learning with the opinion, if prompts were learned.")
    ] = True,
    iterations: _Rounds = 1,
    budget_calls: options.BudgetCalls = None,
    budget_tokens: options.BudgetTokens = None,
    budget_money: options.BudgetMoney = None,
    budget_time: options.BudgetTime = None,
    prices: options.PricesOption = None,
    store: options.StoreOption = None,
    json: options.JsonOption = False,
) -> None:
    """Add an opinion of a user, and learn from it.

    Learned prompts are scored on the new opinion and learning continues from them, not from the start. If the user
    answered the same question before, the new answer replaces the old one.
    """
    from idiolect.application.blocking import Workspace
    from idiolect.application.documents import opinion_added_document
    from idiolect.application.run import CallSettings
    from idiolect.cli.interrupts import even_if_interrupted, terminating_like_ctrl_c
    from idiolect.cli.progress import SCREEN, UsersProgress
    from idiolect.models.calls.budget import Limits

    opinion = options.stated_opinion(question, choices, answer, ordinal=ordinal)
    rounds = iterations if learn else None
    calls = CallSettings(run=Limits(budget_calls, budget_tokens, budget_money, budget_time), prices=prices)
    kept: list[str] = []
    added: OpinionAdded | None = None
    with Workspace.open(store, create=False, calls=calls, events=SCREEN) as space:
        try:
            with terminating_like_ctrl_c(), UsersProgress(1) as progress:
                progress.expect(1, pause_left=space.pause_left)
                add = partial(space.add_opinion, user_id, opinion, iterations=rounds)
                added = even_if_interrupted(partial(add, observer=progress.observe, on_kept=kept.append))
        except KeyboardInterrupt:
            pass  # handled below, after the workspace has closed, because for the workspace a stop is not an error
        except Exception:
            if kept:  # the error to come is about learning, and would let one think that nothing was added
                err().print(one_line(_unlearned(kept[0])), markup=False)
            raise
        spending = space.spending()
    if added is None:
        if json and kept:
            print_json({"id": user_id, "opinion": kept[0], "learned": False})
        stop(_unlearned(kept[0]) if kept else "")
    if json:
        print_json(opinion_added_document(user_id, added, spending))
    if added.halted_by is not None:
        err().print(one_line(f"{added.halted_by}: {_unlearned(added.change)}"), markup=False)
        raise typer.Exit(FAILED)
    if not json:
        _print_added(added, spending, learn=learn)


def _unlearned(change: str) -> str:
    return f"the opinion was {change} but not learned from yet; to continue, run the same command"


def _print_added(added: OpinionAdded, spending: Spending, *, learn: bool) -> None:

    from idiolect.cli.learned_screen import scored_on

    console = out()
    console.print(f"opinion {added.change}", markup=False)
    if added.before is not None and added.after is not None:
        best, best_before = added.after.best.score, added.before.best.score
        calls = f"{spending.calls:,} calls, {spending.from_cache:,} answers from the cache"
        score = f"best prompt {best:.2f} {scored_on(added.after.best, added.after)}, {best_before:.2f} before"
        console.print(f"{score}; {calls}", markup=False)
        if added.after.evidence is not None:
            console.print(added.after.evidence.reason, markup=False)
    elif not learn:
        console.print("not learned from yet")
    elif not added.edited:
        console.print("nothing was learned for this user yet")
    if added.edited:
        console.print("the edit does not include it yet; to learn a new edit: idiolect fit USERS --method chameleon")
