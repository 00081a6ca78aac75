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
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.open_weights import edited
from idiolect.methods.answering import Answerer


@dataclass(frozen=True, slots=True)
class Combined:
    """The method "fermi+chameleon"."""

    fermi: FermiMethod
    chameleon: ChameleonMethod

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Learn both, one after the other; what they did before is found in the cache."""
        prompts = await self.fermi.learn(case, desk)
        try:
            edit = await self.chameleon.learn(case, desk)
        except PersonalizationError as error:
            raise PersonalizationError(f"of the two, CHAMELEON learned nothing: {error}") from error
        notes = {"used_prompts": prompts.used is not False, "used_edit": edit.used is not False}
        return Learned((prompts, edit), used=prompts.used is not False or edit.used is not False, notes=notes)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the edited model under prompts that are chosen by their scores with the plain one."""
        prompts, edit = learned.value
        model = edited(desk, None if edit.used is False else edit.value.edit)
        by = Answerer(model, desk.bench.answering)
        respondent = answering(prompts.value, desk.answerer, desk, used=prompts.used, by=by)
        return Examinee.with_texts(respondent, model)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return what decides on both parts.

        Raises:
            SettingsError: as from the settings of either.
        """
        return ("fermi+chameleon", self.fermi.learning_key(bench), self.chameleon.learning_key(bench))
