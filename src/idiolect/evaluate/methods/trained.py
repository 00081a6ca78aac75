"""The trained alternative: DPO on CHAMELEON's pairs, for the time that CHAMELEON takes without writing them.

CHAMELEON's work besides writing the pairs (activations, gradients, directions, choosing, judging) is repeated without
remembered results, and timed; DPO gets the same time. So its number of steps depends on the machine. A note records it,
and `dpo[max_steps=5,seconds=100000]` fixes it. `dpo` uses the pairs that the model wrote itself, `dpo-own` the person's
own words.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.chameleon import ChameleonMethod, unprompted
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.chameleon.dpo import DpoSettings, train_dpo
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.setting_changes import changed_by_text
from idiolect.models.local import LocalModel

_LEAST_SECONDS = 0.1
_NO_CAP = 1_000_000  # maximum number of steps, so high that only the time limits training


@dataclass(frozen=True, slots=True)
class DpoMethod:
    """DPO within CHAMELEON's wall time.

    Args:
        rival: method that provides the pairs and the time.
        overrides: `DpoSettings` that the user wrote in brackets.
    """

    rival: ChameleonMethod
    overrides: Overrides = ()

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Train a copy of the model."""
        model = desk.bench.weights().model
        if not isinstance(model, LocalModel):
            raise SettingsError("DPO can only train a model that runs in this process")
        timed = await self.rival.fit_timed(case.user, desk)
        pairs_of: ChameleonPersonalization = timed.value
        seconds = max(float(timed.notes["seconds_without_writing"]), _LEAST_SECONDS)
        defaults = replace(DpoSettings(), seconds=seconds, max_steps=_NO_CAP, seed=desk.seed)
        settings = changed_by_text(defaults, self.overrides)
        result = await train_dpo(pairs_of.pairs, model, settings)
        notes = {
            "pairs": len(pairs_of.pairs),
            "steps": result.steps,
            "seconds_allowed": round(settings.seconds, 3),
            "seconds_trained": round(result.seconds, 3),
            "losses": [round(loss, 4) for loss in result.losses],
        }
        return Learned(result.model, notes=notes, close=result.model.close)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the trained model, which is asked like an edited one."""
        model: LocalModel = learned.value
        return unprompted(desk.other(model, fingerprint=f"dpo {id(model)}"), desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the training, apart from the machine's speed.

        Raises:
            SettingsError: the settings in brackets, or those of the rival, are invalid.
        """
        return ("dpo", self.rival.learning_key(bench), changed_by_text(DpoSettings(), self.overrides))
