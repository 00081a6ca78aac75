"""Fermi (arXiv 2406.18678, Algorithm 1), and OPRO as the same loop without failures: learn, go on learning, judge.

    opinions → roles → P⁰ → T × { score, remember, propose } → pool → evidence

With T iterations, 1 + (T − 1)·K prompts are scored for the memory; the K proposed last are the pool of
Retrieval-of-Prompt. A run that is told to stop gives what it has, and goes on later from its checkpoint.
"""

from __future__ import annotations

from idiolect.errors import HaltedError, PersonalizationError, SettingsError
from idiolect.methods.answering import Answerer
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.fermi.checkpoint import Bookmark, State, run_identity
from idiolect.methods.fermi.continual import going_on, regrouped
from idiolect.methods.fermi.gate import check_gate, with_evidence
from idiolect.methods.fermi.learning import Learning, Task, beginning
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.proposal import DemonstrationProposer, LlmProposer, Proposer
from idiolect.methods.fermi.roles import deal_roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Observer, ignore_progress
from idiolect.models.language_model import CompletionModel
from idiolect.models.similarity import Similarity
from idiolect.people.user import User


class Fermi:
    """Learns a user's set of prompts.

    Args:
        answerer: the frozen model `M` with its answering settings; they must be those of `settings`.
        settings: everything else.
        optimizer: `M_opt`; needed where "llm" is among the proposers.
        similarity: of questions; needed where opinions are held out as evidence.
        identity: distinguishes these models from others where names don't (servers, hashes of weights); a checkpoint
            of other ones is not gone on with. Empty: the models' names.

    Raises:
        SettingsError: an LLM proposer without an optimizer, evidence without a similarity, or an answerer with other
            settings.
    """

    def __init__(
        self,
        answerer: Answerer,
        settings: FermiSettings,
        *,
        optimizer: CompletionModel | None = None,
        similarity: Similarity | None = None,
        identity: tuple[str, ...] = (),
    ) -> None:
        if answerer.settings != settings.answering:
            raise SettingsError("the answerer's settings are not those of the Fermi settings")
        check_gate(settings, similarity)
        self._answerer = answerer
        self._settings = settings
        self._similarity = similarity
        self._optimizer = optimizer if "llm" in settings.proposers else None
        self._identity = identity
        self._proposers = tuple(self._proposer(name) for name in settings.proposers)

    def _proposer(self, name: str) -> Proposer:
        if name == "demonstrations":
            return DemonstrationProposer(self._settings.demonstrations)
        if self._optimizer is None:
            raise SettingsError("the LLM proposer needs an optimizer model")
        return LlmProposer(self._optimizer, self._settings.meta_prompt)

    async def fit(
        self, user: User, *, observer: Observer = ignore_progress, checkpoints: CheckpointSink | None = None
    ) -> FermiPersonalization:
        """Run Algorithm 1 on the user's opinions.

        Told to stop after the first prompt was scored, it returns what it has, with `finished` False.

        Args:
            user: with opinions.
            observer: called at every step.
            checkpoints: where every step is saved; a run of the same settings, models and opinions that is found there
                is gone on with, and ends as if nothing had stopped it.

        Raises:
            PersonalizationError: the user has no opinions.
            ModelError: a model could not answer.
            HaltedError: a model was told to stop before anything was scored.
        """
        if not user.opinions:
            raise PersonalizationError(f"user {user.id!r} has no opinions: Fermi learns from answered questions")
        task = Task(
            user=user,
            roles=deal_roles(user, self._settings),
            settings=self._settings,
            answerer=self._answerer,
            proposers=self._proposers,
            model=self._answerer.model_name,
            optimizer=self._optimizer.name if self._optimizer else None,
            first=0,
            iterations=self._settings.iterations,
            ends_with="propose",
        )
        return await self._run(task, beginning(user, task.roles), None, observer, checkpoints)

    async def extend(
        self,
        learned: FermiPersonalization,
        user: User,
        *,
        iterations: int = 1,
        observer: Observer = ignore_progress,
        checkpoints: CheckpointSink | None = None,
    ) -> FermiPersonalization:
        """Go on from what was learned, after the user's opinions changed: nothing is learned from scratch.

        New opinions score (or are held out where their question is); for a changed answer the kept responses are
        judged anew; what a removed opinion gave goes. The memory is asked only what it has not been asked, then
        iterations of { propose, score } follow, and the evidence is gathered again. Where learning was stopped early,
        the iterations that it had left come first: what is returned without being stopped is finished.

        Args:
            learned: of this user, with the answering settings of this `Fermi`; whether the models are the same is the
                caller's business, and so is a changed profile: `P⁰` stays as it was.
            user: with the opinions as they are now.
            iterations: ≥ 0, besides those that were left; with 0 the memory is scored anew, and no more is proposed.
            observer: called at every step.
            checkpoints: as for `fit`.

        Returns:
            `learned` itself where it is finished, no opinion changed and `iterations` is 0.

        Raises:
            ValueError: another user's personalization, or `iterations` below 0.
            SettingsError: it was learned with other answering settings.
            PersonalizationError: no scoring opinion is left.
            ModelError: a model could not answer.
            HaltedError: a model was told to stop before the memory was scored anew; `learned` is what there is.
        """
        if learned.user_id != user.id:
            raise ValueError(f"this was learned for {learned.user_id!r}, not for {user.id!r}")
        if iterations < 0:
            raise ValueError(f"iterations is {iterations}, must be 0 or greater")
        if learned.settings.answering != self._settings.answering:
            raise SettingsError("the prompts were learned with other answering settings")
        groups = regrouped(learned, user)
        if not learned.finished:
            iterations += max(0, self._settings.iterations - len(learned.iterations))
        elif not groups.changed and not iterations:
            return learned
        task = Task(
            user=user,
            roles=groups.roles,
            settings=self._settings,
            answerer=self._answerer,
            proposers=self._proposers,
            model=learned.model,
            optimizer=learned.optimizer,
            first=len(learned.iterations),
            iterations=iterations,
            ends_with="score",
        )
        origin = [learned.to_json(), iterations]
        return await self._run(task, going_on(learned, groups, self._settings), origin, observer, checkpoints)

    async def _run(
        self, task: Task, start: State, origin: object, observer: Observer, checkpoints: CheckpointSink | None
    ) -> FermiPersonalization:
        names = (self._answerer.model_name, self._optimizer.name if self._optimizer else None)
        models = self._identity or names
        identity = run_identity(task.user, task.settings, models=models, origin=origin)
        bookmark = Bookmark(checkpoints, identity, len(task.roles.scoring))
        found, note = bookmark.find()
        learning = Learning(task, found or start, observer=observer, bookmark=bookmark)
        if note:
            learning.report(note)
        try:
            await learning.learn()
            learned = learning.personalization()
            if learned.held_out:
                learning.report("asking the held-out opinions")
            learned = await with_evidence(learned, self._answerer, self._similarity)
        except HaltedError:
            if not learning.usable:
                raise
            return learning.personalization(finished=False)
        learning.report("learned")
        return learned
