"""`idiolect users add-opinion`: one more answer of a user. Its arguments; the flow is `continuing`."""

from __future__ import annotations

from typing import Annotated

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import JsonOption, StoreOption
from idiolect.cli.run_options import BudgetCalls, BudgetMoney, BudgetTime, BudgetTokens, PricesOption

EXAMPLES = (
    'idiolect users add-opinion u1 "How spicy should a curry be?" --choices "Mild|Medium|Hot" --ordinal --answer Hot',
    'idiolect users add-opinion u1 "What do you drink at breakfast?" --answer "Tea, no milk" --no-learn',
)


def add_opinion(
    user_id: Annotated[str, typer.Argument(metavar="ID", help="The user's id.", show_default=False)],
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="What was asked.", show_default=False)],
    answer: Annotated[str, typer.Option(metavar="A", help="What the user answered.", show_default=False)],
    choices: Annotated[
        str | None,
        typer.Option(metavar="A|B|…", help="The answers there were to choose from. Without: free text."),
    ] = None,
    ordinal: Annotated[bool, typer.Option("--ordinal", help="The choices are a scale in order.")] = False,
    learn: Annotated[
        bool, typer.Option("--learn/--no-learn", help="Go on learning from it, where something was learned already.")
    ] = True,
    iterations: Annotated[
        int, typer.Option(min=0, help="Rounds of learning to go on with; 0 only scores what is known again.")
    ] = 1,
    budget_calls: BudgetCalls = None,
    budget_tokens: BudgetTokens = None,
    budget_money: BudgetMoney = None,
    budget_time: BudgetTime = None,
    prices: PricesOption = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Add one more opinion of a user, and learn from it.

    Prompts that were learned are scored on the new opinion and learning goes on from them; nothing begins from scratch.
    The same question answered before: the new answer takes the old one's place.
    """
    from idiolect.cli.ask import split_choices
    from idiolect.people.user import Opinion, Question

    try:
        opinion = Opinion(Question(question, split_choices(choices), ordinal), answer)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    from idiolect.cli.continuing import ContinueOrder, add_and_learn
    from idiolect.cli.fit_order import CallOrder
    from idiolect.models.calls.budget import Limits

    order = ContinueOrder(
        user_id=user_id,
        opinion=opinion,
        store=store,
        iterations=iterations if learn else None,
        calls=CallOrder(run=Limits(budget_calls, budget_tokens, budget_money, budget_time), prices=prices),
        json=json,
    )
    if not add_and_learn(order):
        raise typer.Exit(FAILED)
