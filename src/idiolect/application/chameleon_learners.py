"""Learners whose people's steps have a beginning: one for everybody, or one of two by what is known of the person.

opened learner, choices → begin_steps → ChameleonLearner                   a preset or a group's edit is named
                                      → LearnerByPerson                    neither is, and an edit is packaged
                                          with texts: the packaged edit;  without: nothing, measured if needed
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from idiolect.application.chameleon import ChameleonLearner, ChameleonSummary, trainable_model
from idiolect.application.chameleon_presets import ChameleonDefault, chameleon_default
from idiolect.application.chameleon_starts import no_start, open_start, packaged_start
from idiolect.application.choices import ChameleonChoices, chameleon_settings
from idiolect.application.learner import Fitted
from idiolect.application.names import CHAMELEON, MethodName
from idiolect.errors import HaltedError
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.personalization import Observer
from idiolect.models.calls.accounts import NOBODY
from idiolect.models.calls.model import Calls
from idiolect.models.language_model import Usage
from idiolect.people.user import User
from idiolect.store import PersonalizationRecord

if TYPE_CHECKING:
    from idiolect.application.workspace import AsyncWorkspace
    from idiolect.methods.chameleon.start import Start


@dataclass(frozen=True, slots=True)
class LearnerByPerson:
    """CHAMELEON with the preset that is the default for each person.

    Args:
        default: the presets, and why.
        with_texts: learns from a person with at least one text.
        without_texts: learns from a person of whom only opinions are known.
    """

    default: ChameleonDefault
    with_texts: ChameleonLearner
    without_texts: ChameleonLearner

    @property
    def method(self) -> MethodName:
        """Name of the method."""
        return CHAMELEON

    @property
    def preset_line(self) -> str:
        """Both presets, for whom each is and why, in one line."""
        return self.default.line

    @property
    def remote(self) -> bool:
        """False, because the model runs in this process."""
        return False

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn the user's edit; errors are those of `ChameleonLearner.fit`."""
        return await self._of(user).fit(user, observer=observer, checkpoints=checkpoints)

    def already_learned(self, record: PersonalizationRecord, user: User) -> ChameleonSummary | None:
        """Return the summary of an edit that was learned with the person's preset; see `ChameleonLearner`."""
        return self._of(user).already_learned(record, user)

    def _of(self, user: User) -> ChameleonLearner:
        return self.with_texts if self.default.of(user) == self.default.with_texts else self.without_texts


async def begin_steps(
    learner: ChameleonLearner, choices: ChameleonChoices, workspace: AsyncWorkspace
) -> ChameleonLearner | LearnerByPerson:
    """Return the learner with the place where people's steps begin, and with calls through the workspace's run.

    It is the group's edit that the choices name or that is packaged for the model. A preset that does not begin at a
    group's edit measures the model instead, once for all people; the model's own texts are then written in the
    workspace's run. If the preset depends on the person, the model is measured when the first person needs it. What
    cannot be a start is refused before the run is opened.

    Args:
        learner: an open model with the settings of the choices.
        choices: which preset and group's edit are named.
        workspace: store and run.

    Raises:
        SettingsError: the preset needs a group's edit, and there is none; or the folder has none.
        UnknownGroupError, NotFittedError, StoreError: the store has no such group, or nothing was learned for it.
        PersonalizationError: the edit is damaged, or was not learned as a start.
        OtherWeightsError: it was learned on other weights.
        ModelError: the model failed.
        HaltedError: the run was halted before the model's own texts were written.
        CacheError: the cache cannot be opened, read or written.
    """
    name = learner.model.name
    if choices.preset is not None:
        return await _begun(learner, choices, workspace)
    default = chameleon_default(model=name, from_group=choices.from_group)
    begun = await _begun(replace(learner, chosen=default.with_texts), choices, workspace)
    if not default.by_person:
        return begun
    settings = chameleon_settings(replace(choices, preset=default.without_texts.name), model=name)
    settings = replace(settings, similarity=learner.settings.similarity)  # by its lasting name
    plain = replace(learner, settings=settings, chosen=default.without_texts, calls=begun.calls)
    return LearnerByPerson(default, begun, replace(plain, measure=partial(_measured, plain, workspace.run.calls)))


async def _begun(learner: ChameleonLearner, choices: ChameleonChoices, workspace: AsyncWorkspace) -> ChameleonLearner:
    """Return the learner, whose preset is known, with a start if its people's steps begin at one."""
    name, stepping = learner.model.name, learner.settings.stepping
    if stepping is None:
        return replace(learner, calls=workspace.run.calls)
    if not stepping.from_group:
        calls = workspace.run.calls
        return replace(learner, calls=calls, start=await _measured_first(learner, calls))
    if choices.from_group is not None:
        start, origin = open_start(
            choices.from_group, lambda: workspace.store, model=name, fingerprint=learner.fingerprint
        )
        return replace(learner, calls=workspace.run.calls, start=start, origin=origin)
    if (packaged := await packaged_start(name, learner.fingerprint, trainable_model(learner.model))) is None:
        raise no_start(learner.settings.preset, name)
    return replace(learner, calls=workspace.run.calls, start=packaged, origin="package")


async def _measured_first(learner: ChameleonLearner, calls: Calls) -> Start:
    """Return the start that changes nothing, measured before anybody is learned from."""
    try:
        return await _measured(learner, calls)
    except HaltedError as halted:
        raise type(halted)(
            f"{halted}: nobody was learned from, because the model has to write some texts of its own first"
        ) from halted


async def _measured(learner: ChameleonLearner, calls: Calls) -> Start:
    """Return the start that changes nothing, for which the model writes texts through the run; it is no person's cost.

    It stays with the open model, so that a server measures it once and not for each fit.

    Args:
        learner: an open model with settings that step.
        calls: calls of the run, which are nobody's.

    Raises:
        PersonalizationError: the model writes nothing.
        ModelError: the model failed.
        HaltedError: the run was halted.
    """
    from idiolect.methods.chameleon.start import plain_start, plain_start_key

    model, settings = learner.model, learner.settings

    async def measure() -> Start:
        measured = await plain_start(trainable_model(model), model.called(calls, NOBODY), settings)
        return replace(measured, usage=Usage())

    return await model.measured.get(plain_start_key(settings), measure)
