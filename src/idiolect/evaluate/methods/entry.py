"""A line of the table of methods: what a method is called, what it is, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from idiolect.evaluate.methods.method import Method
from idiolect.evaluate.methods.spec import Overrides


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One method that can be named.

    Args:
        help: one sentence.
        make: the method with the changes that stand in brackets behind its name.
        personal: it depends on whom it learned from: then another person's is its control, and it has a learning curve
            over opinions.
        needs: "weights": open weights; "dpo": the extra of that name.
        iterates: it learns prompts in iterations: it has a learning curve over those.
        transfers: what it learns are prompts, which another model can be asked under.
    """

    help: str
    make: Callable[[Overrides], Method]
    personal: bool = True
    needs: frozenset[str] = frozenset()
    iterates: bool = False
    transfers: bool = False
