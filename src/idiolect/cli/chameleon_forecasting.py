"""`idiolect fit --method chameleon --dry-run`: how much the model would have to write. Opens no model, writes nothing.

Per user n queries are answered, at most K, in at most `max_tokens` tokens each: once where the user's own texts are the
other side, else twice, and two insights beside them. Reading, gradients and directions come on top, and are no
calls.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from idiolect.cli.chameleon_order import ChameleonOrder
from idiolect.cli.fit_order import FitOrder
from idiolect.cli.fitting import people_of
from idiolect.cli.terminal import out, print_json, print_table, print_wrapped
from idiolect.errors import PersonalizationError
from idiolect.people.user import User


@dataclass(frozen=True, slots=True)
class ChameleonForecast:
    """Of all users: how many, how many cannot be learned, queries, what is written, and tokens of that at most."""

    users: int = 0
    not_learnable: int = 0
    queries: int = 0
    generations: int = 0
    most_completion_tokens: int = 0


def print_chameleon_forecast(order: FitOrder, learning: ChameleonOrder) -> None:
    """Say how much would be written.

    Raises:
        UsersFileError: the file has faults.
    """
    expected = ChameleonForecast()
    for user in people_of(order):
        expected = _with(expected, user, learning)
    if order.json:
        print_json({**asdict(expected), "model": learning.model, "money": "0"})
        return
    counts = (f"{expected.queries:,}", f"{expected.generations:,}", f"{expected.most_completion_tokens:,}")
    columns = ("MODEL", "QUERIES", "ANSWERS", "TOKENS AT MOST")
    print_table(columns, [(learning.model, *counts)], numbers=columns[1:])
    learnable = expected.users - expected.not_learnable
    users = f"{learnable:,} user{'s' if learnable != 1 else ''}"
    if expected.not_learnable:
        users += f" ({expected.not_learnable:,} more have too few opinions and texts)"
    out().print(f"\n{users}, preset {learning.settings.preset}: nothing to pay, the model runs here", markup=False)
    print_wrapped(
        "Nothing was called. Besides writing, the model reads all pairs a few times, with and without the edits that "
        "are tried; pairs that turn out degenerate are dropped, and with too few left a user cannot be learned."
    )


def _with(so_far: ChameleonForecast, user: User, learning: ChameleonOrder) -> ChameleonForecast:
    from idiolect.methods.chameleon.fitting import queries_of
    from idiolect.methods.chameleon.roles import deal_roles

    generation = learning.settings.generation
    own = generation.personalized == "own"
    try:
        (roles,) = deal_roles([user], learning.settings, owner=user.id)
    except PersonalizationError:
        return _added(so_far, user_fails=True)
    queries = 0 if roles.learning is None else len(queries_of(roles.learning, generation))
    if queries < generation.least_pairs:
        return _added(so_far, user_fails=True)
    answers = queries if own else 2 * queries
    insights = 0 if own else 2
    tokens = answers * generation.max_tokens + insights * generation.insight_tokens
    return _added(so_far, queries=queries, generations=answers + insights, tokens=tokens)


def _added(
    so_far: ChameleonForecast, *, user_fails: bool = False, queries: int = 0, generations: int = 0, tokens: int = 0
) -> ChameleonForecast:
    return ChameleonForecast(
        so_far.users + 1,
        so_far.not_learnable + user_fails,
        so_far.queries + queries,
        so_far.generations + generations,
        so_far.most_completion_tokens + tokens,
    )
