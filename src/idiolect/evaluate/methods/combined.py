"""Fermi and CHAMELEON together: the edited model answers under the prompts that Fermi learned with the plain one.

Each part is used as its own gate says; where neither may, the base model answers. No evidence judges the combination.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from idiolect.errors import PersonalizationError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.chameleon import ChameleonMethod
from idiolect.evaluate.methods.fermi import FermiMethod, answering
from idiolect.evaluate.methods.method import Learned
from idiolect.evaluate.methods.open_weights import edited
from idiolect.evaluate.methods.prompting import Prompted
from idiolect.methods.answering import Answerer


@dataclass(frozen=True, slots=True)
class Combined:
    """The method "fermi+chameleon"."""

    fermi: FermiMethod
    chameleon: ChameleonMethod

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Both, one after the other; what they did before is found in the cache."""
        prompts = await self.fermi.learn(case, desk)
        try:
            edit = await self.chameleon.learn(case, desk)
        except PersonalizationError as error:
            raise PersonalizationError(f"of the two, CHAMELEON learned nothing: {error}") from error
        notes = {"used_prompts": prompts.used is not False, "used_edit": edit.used is not False}
        return Learned((prompts, edit), used=prompts.used is not False or edit.used is not False, notes=notes)

    def respondent(self, learned: Learned, desk: Desk) -> Prompted:
        """Prompts chosen by their scores with the plain model, asked of the edited one."""
        prompts, edit = learned.value
        model = edited(desk, None if edit.used is False else edit.value.edit)
        by = Answerer(model, desk.bench.answering)
        return Prompted(answering(prompts.value, desk.answerer, desk, used=prompts.used, by=by), model)

    def shares_learning(self, bench: Bench) -> Hashable:
        """With nobody; settings of both are made, and so checked."""
        self.fermi.settings(bench, 0)
        self.chameleon.settings(bench, 0)
        return None
