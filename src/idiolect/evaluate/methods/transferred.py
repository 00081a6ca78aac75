"""Fermi's prompts, learned with one model and answered by another: whether a person's prompts outlive the model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Desk
from idiolect.evaluate.methods.fermi import FermiMethod, answering
from idiolect.evaluate.methods.method import Examinee, Learned


@dataclass(frozen=True, slots=True)
class TransferredPrompts:
    """Learns with one model; its scores choose the prompt, and the other model is asked under it.

    Args:
        fermi: what learns.
        learns_with, answered_by: names in `Bench.transfer`; None: the model of the run.
    """

    fermi: FermiMethod
    learns_with: str | None = None
    answered_by: str | None = None

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Learn as Fermi does, with the one model."""
        return await self.fermi.learn(case, _at(desk, self.learns_with))

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the other model under the prompts; or without any, where a gate says so."""
        home, away = _at(desk, self.learns_with), _at(desk, self.answered_by)
        return Examinee(answering(learned.value, home.answerer, home, used=learned.used, by=away.answerer))


def _at(desk: Desk, model: str | None) -> Desk:
    """Return the same desk with another model; the meter stays."""
    if model is None:
        return desk
    if model not in desk.bench.transfer:
        raise SettingsError(f"the model {model!r} is not opened")
    return replace(desk, bench=desk.bench.transfer[model])
