"""The meter of one arm for one person: distinct calls, and a limit on those of learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from idiolect.errors import BudgetExceededError
from idiolect.models.language_model import Completion, CompletionRequest, Usage


@dataclass
class Purse:
    """The calls that an arm has left; both its models pay out of it."""

    left: float = math.inf


@dataclass
class Metered:
    """A model made of a function. A request that it was asked before in this arm is free.

    Args:
        name: the model's.
        reply: the function.
        purse: what pays.
    """

    name: str
    reply: Callable[[CompletionRequest], str]
    purse: Purse
    known: dict[Hashable, str] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """Distinct calls so far."""
        return len(self.known)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion per request.

        Raises:
            BudgetExceededError: the purse does not hold that many calls; none is made.
        """
        return [Completion(text, "stop", Usage(1, 1, 1, 1)) for text in self.ask(requests)]

    def ask(self, requests: Sequence[CompletionRequest]) -> list[str]:
        """Return the text of each reply; see `complete`."""
        new = [request for request in dict.fromkeys(requests) if request not in self.known]
        if len(new) > self.purse.left:
            self.purse.left = 0
            raise BudgetExceededError("the calls are spent")
        self.purse.left -= len(new)
        self.known.update((request, self.reply(request)) for request in new)
        return [self.known[request] for request in requests]
