"""A line of the table of methods: what a method is called, what it is, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.method import EvaluatedMethod
from idiolect.evaluate.methods.spec import Overrides


@dataclass(frozen=True, slots=True)
class MethodEntry:
    """One method that can be named.

    Args:
        help: one sentence.
        make: the method with the changes that stand in brackets behind its name.
        learning_key: takes these changes and a bench, and gives what decides on what is learned: methods with the same
            key learn the same from a person, and do it once. Raises SettingsError where the settings make no sense on
            this bench. None: the method shares with nobody, and making it is all the check that its settings need.
        transferred: takes the changes, a model that learns and one that answers (None: the model of the run); only of
            methods that learn prompts, which another model can be asked under.
        personal: it depends on whom it learned from: then another person's is its control, and it has a learning curve
            over opinions.
        needs: "weights": open weights; "dpo": the extra of that name.
        iterates: it learns prompts in iterations: it has a learning curve over those.
    """

    help: str
    make: Callable[[Overrides], EvaluatedMethod]
    learning_key: Callable[[Overrides, Bench], Hashable] | None = None
    transferred: Callable[[Overrides, str | None, str | None], EvaluatedMethod] | None = None
    personal: bool = True
    needs: frozenset[str] = frozenset()
    iterates: bool = False
