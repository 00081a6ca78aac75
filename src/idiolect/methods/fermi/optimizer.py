"""Fermi (arXiv 2406.18678, Algorithm 1), and OPRO as the same loop without failures: learn, extend, judge.

    opinions → roles → P⁰ → T × { score, remember, propose } → pool → dispositions → evidence

With T iterations, 1 + (T − 1)·K prompts are scored for the memory; the K proposed last are the pool of
Retrieval-of-Prompt. A run that is halted returns its result so far, and a later run resumes from its checkpoint.
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.errors import HaltedError, PersonalizationError, SettingsError
from idiolect.methods.answering import Answerer
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.fermi.checkpoint import Bookmark, State, Step, run_identity
from idiolect.methods.fermi.continual import dealt_folds, going_on, regrouped
from idiolect.methods.fermi.crossed_gate import with_crossed_evidence
from idiolect.methods.fermi.disposition_request import DispositionWriter
from idiolect.methods.fermi.examples import neighbours_of_each
from idiolect.methods.fermi.gate import check_gate, with_evidence
from idiolect.methods.fermi.learning import Learning, Task, beginning
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.proposal import DemonstrationProposer, LlmProposer, Proposer
from idiolect.methods.fermi.roles import Roles, considered, deal_roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Observer, ignore_progress
from idiolect.models.language_model import CompletionModel
from idiolect.models.similarity import Similarity
from idiolect.people.user import User


class Fermi:
    """The method Fermi, which learns a user's set of prompts.

    Args:
        answerer: the frozen model `M` with its answering settings, which must be those of `settings`.
        settings: settings of the method.
        optimizer: `M_opt`; required if "llm" is among the proposers.
        similarity: similarity of questions; required if opinions are held out as evidence.
        identity: identifies the models beyond their names (servers, hashes of weights), so that a run does not resume
            from a checkpoint of other models. Empty: the models' names.

    Raises:
        SettingsError: an LLM proposer has no optimizer, evidence has no similarity, or the answerer has other settings.
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
            raise SettingsError("the answerer's settings differ from the answering settings of Fermi")
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

    @property
    def _writer(self) -> DispositionWriter | None:
        if self._optimizer is None or not self._settings.dispositions.number:
            return None
        return DispositionWriter(self._optimizer, self._settings.dispositions)

    async def fit(
        self, user: User, *, observer: Observer = ignore_progress, checkpoints: CheckpointSink | None = None
    ) -> FermiPersonalization:
        """Run Algorithm 1 on the user's opinions.

        If the run is halted after the first prompt was scored, the result so far is returned, with `finished` False. If
        all answers to the first prompt are empty (`Readings.silent`), learning ends with that prompt in the same way.

        Args:
            user: a user with opinions.
            observer: called at every step.
            checkpoints: where every step is saved. If it has the state of a run with the same settings, models and
                opinions, that run is resumed, with the same result as without the interruption.

        Raises:
            PersonalizationError: the user has no opinions.
            ModelError: a model could not answer.
            HaltedError: the run was halted before anything was scored.
        """
        if not user.opinions:
            instead = ", and the method chameleon from texts" if user.texts else ""
            raise PersonalizationError(
                f"user {user.id!r} has no opinions: Fermi learns from answered questions{instead}"
            )
        user = considered(user, self._settings)
        roles = deal_roles(user, self._settings)
        ends_with: Step = "score" if self._settings.search.crossing > 1 else "propose"
        task = Task(
            user=user,
            roles=roles,
            settings=self._settings,
            answerer=self._answerer,
            proposers=self._proposers,
            model=self._answerer.model_name,
            optimizer=self._optimizer.name if self._optimizer else None,
            first=0,
            iterations=self._settings.iterations,
            ends_with=ends_with,
            neighbours=await self._neighbours(roles),
            folds=dealt_folds(roles.scoring, self._settings, user.id),
            writer=self._writer,
            similarity=self._similarity,
        )
        start = beginning(user, roles, self._settings.answering, ends_with=ends_with)
        return await self._run(task, start, None, observer, checkpoints)

    async def extend(
        self,
        learned: FermiPersonalization,
        user: User,
        *,
        iterations: int = 1,
        observer: Observer = ignore_progress,
        checkpoints: CheckpointSink | None = None,
    ) -> FermiPersonalization:
        """Continue from an earlier result after the user's opinions changed, without learning from scratch.

        New opinions score (or are held out if their question is). For a changed answer, the kept responses are judged
        again. What came from a removed opinion is dropped. The memory is asked only the open cells, then iterations of
        { propose, score } follow, and the evidence is gathered again. If learning was stopped early, its remaining
        iterations come first, so the result is finished unless this run is halted as well.

        Args:
            learned: earlier result for this user, with the answering settings of this `Fermi`. The caller must ensure
                that the models are the same; a changed profile has no effect, since `P⁰` stays the same.
            user: the user with the current opinions.
            iterations: number of iterations after the remaining ones; ≥ 0. With 0, the memory is scored again and
                nothing is proposed.
            observer: called at every step.
            checkpoints: see `fit`.

        Returns:
            The new result; `learned` itself if it is finished, no opinion changed and `iterations` is 0.

        Raises:
            ValueError: the result belongs to another user, or `iterations` is below 0.
            SettingsError: the prompts were learned with other answering settings.
            PersonalizationError: no scoring opinion is left.
            ModelError: a model could not answer.
            HaltedError: the run was halted before the memory was scored again; `learned` is still the latest result.
        """
        self._check_extension(learned, user, iterations)
        groups = regrouped(learned, user := considered(user, self._settings))
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
            neighbours=await self._neighbours(groups.roles),
            folds=dealt_folds(groups.roles.scoring, self._settings, user.id, before=learned),
            writer=self._writer,
            similarity=self._similarity,
        )
        start = await going_on(learned, groups, self._settings, self._similarity)
        after = await self._run(task, start, [learned.to_json(), iterations], observer, checkpoints)
        return replace(after, evidence=learned.evidence) if self._was_folded_back(learned) else after

    def _was_folded_back(self, learned: FermiPersonalization) -> bool:
        """Return whether the held-out opinions have judged already, and are learned from since."""
        return self._settings.evidence.by == "held_out" and learned.evidence is not None and not learned.held_out

    def _check_extension(self, learned: FermiPersonalization, user: User, iterations: int) -> None:
        if learned.user_id != user.id:
            raise ValueError(f"the prompts were learned for user {learned.user_id!r}, not for {user.id!r}")
        if iterations < 0:
            raise ValueError(f"iterations is {iterations}, must be 0 or greater")
        if learned.settings.answering != self._settings.answering:
            raise SettingsError("the prompts were learned with other answering settings")

    async def _neighbours(self, roles: Roles) -> tuple[tuple[int, ...], ...]:
        """Return the opinions that stand behind each prompt that is scored on an opinion, for each opinion."""
        s = self._settings
        with_choices = s.retrieval.with_choices
        return await neighbours_of_each(roles.scoring, self._similarity, k=s.hybrid.examples, with_choices=with_choices)

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
            if learning.silent:
                return learning.personalization(finished=False)
            learned = learning.personalization()
            if learned.held_out:
                learning.report("asking the held-out opinions")
            if self._settings.evidence.by == "crossed":
                learning.report("asking the base model")
                learned = await with_crossed_evidence(learned, self._answerer, self._similarity)
            else:
                learned = await with_evidence(learned, self._answerer, self._similarity)
        except HaltedError:
            if not learning.usable:
                raise
            return learning.personalization(finished=False)
        learning.report("learned")
        return learned
