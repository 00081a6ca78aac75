"""Fermi's prompts, learned with one model and answered by another: whether a person's prompts outlive the model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.fermi import AnsweredQuestions, FermiMethod, answering
from idiolect.evaluate.methods.method import Learned


@dataclass(frozen=True, slots=True)
class TransferredPrompts:
    """Learns with one model; its scores choose the prompt, and the other model is asked under it.

    Args:
        fermi: what learns.
        learns_with, answered_by: names in `Bench.transfer`; "" is the model of the run.
    """

    fermi: FermiMethod
    learns_with: str = ""
    answered_by: str = ""

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """As Fermi does, with the one model."""
        return await self.fermi.learn(case, _at(desk, self.learns_with))

    def respondent(self, learned: Learned, desk: Desk) -> AnsweredQuestions:
        """The other model under the prompts; or without any, where a gate says so."""
        home, away = _at(desk, self.learns_with), _at(desk, self.answered_by)
        return AnsweredQuestions(answering(learned.value, home.answerer, home, used=learned.used, by=away.answerer))

    def shares_learning(self, bench: Bench) -> Hashable:
        """With Fermi itself, where the models are the same."""
        key = self.fermi.shares_learning(bench)
        return (key, self.learns_with) if self.learns_with else key


def _at(desk: Desk, model: str) -> Desk:
    """The same desk with another model; the meter stays."""
    if not model:
        return desk
    if model not in desk.bench.transfer:
        raise SettingsError(f"the model {model!r} is not opened")
    return replace(desk, bench=desk.bench.transfer[model])
