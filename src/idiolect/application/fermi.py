"""Fermi with its models open: a learner, and a respondent that answers with the learned prompts.

names, settings ─ open_fermi → FermiLearner ─ learn → FermiPersonalization ─ respondent → answers
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from hashlib import sha256

from idiolect.application.learner import Fitted
from idiolect.application.model_pool import ModelPool, OpenModel, OpenSimilarity, suggesting
from idiolect.application.names import FERMI, MethodName
from idiolect.application.presets import ChosenPreset
from idiolect.errors import PersonalizationError, Remedy, SettingsError, UnreadAnswersError
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FixedPrompt
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.fermi.gate import respondent
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.roles import considered
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Observer, ignore_progress
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.methods.setting_changes import changed
from idiolect.methods.unread import Readings
from idiolect.models.calls.model import Calls
from idiolect.models.catalog import lasting_name, server_of
from idiolect.models.language_model import CompletionModel
from idiolect.people.user import User
from idiolect.store.records import PersonalizationRecord

_SEVERAL = "several"  # `made_with` of prompts whose learning was continued with different models


@dataclass(frozen=True, slots=True)
class FermiSummary:
    """Counts and scores of what Fermi learned for one user.

    Args:
        initial_score, best_score: scores of `P⁰` and of the best prompt, in [0, 1].
        prompts: number of prompts in the pool.
        calls, tokens: cost of learning without a cache.
        used: whether the prompts or few-shot answer; False if the evidence favours the base model, or is not there yet.
        evidence: one sentence; None if no opinions judge, or they were not asked.
        few_shot: whether few-shot answers, because the prompts are no better.
        left_out: number of the user's opinions beyond `max_opinions`, which were not learned from.
        answers, unread: number of kept answers to questions with choices, and of those that named no choice.
    """

    initial_score: float
    best_score: float
    prompts: int
    calls: int
    tokens: int
    used: bool
    evidence: str | None
    few_shot: bool = False
    left_out: int = 0
    answers: int = 0
    unread: int = 0

    @classmethod
    def of(cls, learned: FermiPersonalization, user: User | None = None) -> FermiSummary:
        """Return the summary of a personalization; with the user, it counts the opinions that were left out."""
        seen = len(learned.opinions) + len(learned.examples) + len(learned.held_out)
        usage, readings = learned.answering + learned.optimizing, learned.readings
        return cls(
            initial_score=learned.initial.score,
            best_score=learned.best.score,
            prompts=len(learned.prompts),
            calls=usage.calls,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            used=learned.used,
            evidence=None if learned.evidence is None else learned.evidence.reason,
            few_shot=learned.evidence is not None and learned.evidence.winner == "few-shot",
            left_out=0 if user is None else max(0, len(user.opinions) - seen),
            answers=readings.answers,
            unread=readings.unread,
        )


@dataclass(frozen=True, slots=True)
class FermiLearner:
    """Fermi, ready to learn from users one after another.

    Args:
        settings: settings of the method.
        model: the frozen model `M`.
        optimizer: `M_opt`; may be the same model.
        similarity: similarity of questions.
        calls: cache, budget and turns of the run; None: models are called directly.
        chosen: preset of the settings, if nobody named one.
    """

    settings: FermiSettings
    model: OpenModel
    optimizer: OpenModel
    similarity: OpenSimilarity
    calls: Calls | None = None
    chosen: ChosenPreset | None = None

    @property
    def preset_line(self) -> str:
        """Which preset was chosen, and why, in one line; "" if there was no choice."""
        return "" if self.chosen is None else self.chosen.line

    @property
    def method(self) -> MethodName:
        """Name of the method."""
        return FERMI

    @property
    def remote(self) -> bool:
        """Whether some calls go to a server; if so, many users are learned concurrently."""
        return self.model.source.remote or self.optimizer.source.remote

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn the user's prompts, and save checkpoints.

        Raises:
            PersonalizationError, ModelError, HaltedError: see `learn`.
            UnreadAnswersError: nearly no answer named a choice, or all answers to the first prompt were empty.
        """
        learned = await self.learn(user, observer=observer, checkpoints=checkpoints)
        readings = learned.readings
        if readings.silent or (learned.finished and readings.nearly_all):
            raise _unread(readings)
        unread = readings.examples if readings.many else ()
        return Fitted(learned.to_json(), FermiSummary.of(learned, user), finished=learned.finished, unread=unread)

    async def learn(
        self, user: User, *, observer: Observer = ignore_progress, checkpoints: CheckpointSink | None = None
    ) -> FermiPersonalization:
        """Learn the user's prompts. The result contains the names that open the models again.

        Raises:
            PersonalizationError: the user has no data to learn from.
            ModelError: a model could not answer.
            HaltedError: the run was halted before anything was learned.
        """
        learned = await self._fermi(user.id).fit(user, observer=observer, checkpoints=checkpoints)
        return replace(self._named(learned), made_with=self.made_with)

    async def extend(
        self,
        learned: FermiPersonalization,
        user: User,
        *,
        iterations: int,
        observer: Observer = ignore_progress,
        checkpoints: CheckpointSink | None = None,
    ) -> FermiPersonalization:
        """Continue learning after the user's opinions changed; see `Fermi.extend`.

        Raises:
            PersonalizationError: no opinion is left to score with.
            ModelError: a model could not answer.
            HaltedError: the run was halted before the memory was scored again.
        """
        fermi, now = self._fermi(user.id), self.made_with
        after = await fermi.extend(learned, user, iterations=iterations, observer=observer, checkpoints=checkpoints)
        if after is learned:
            return learned
        unknown = "" in (learned.made_with, now)
        made_with = "" if unknown else now if now == learned.made_with else _SEVERAL
        return replace(self._named(after), made_with=made_with)

    def learned_here(self, learned: FermiPersonalization) -> bool:
        """Return whether a result has these settings and these models, as far as the models are known."""
        same = self._named(learned) == learned and _in_effect(learned.settings) == _in_effect(self.settings)
        return same and (learned.made_with == self.made_with or "" in (learned.made_with, self.made_with))

    def already_learned(self, record: PersonalizationRecord, user: User) -> FermiSummary | None:
        """Return the summary of a finished result from the same data, settings and models; None if anything differs."""
        try:
            kept = FermiPersonalization.from_json(record.payload)
        except PersonalizationError:
            return None  # from another version
        same = kept.finished and self.learned_here(kept) and _learned_from(kept, user)
        return FermiSummary.of(kept, user) if same else None

    def answerer(self, owner: str) -> Answerer:
        """Return an answerer with the model `M`, whose calls are counted for `owner`."""
        return Answerer(self.model.called(self.calls, owner), self.settings.answering)

    def respondent(self, learned: FermiPersonalization) -> RetrievalOfPrompt | FixedPrompt:
        """Return the respondent for the user: with the prompts, or the base model if the evidence favours it."""
        similarity = self.similarity.called(self.calls, learned.user_id)
        return respondent(learned, self.answerer(learned.user_id), similarity)

    @property
    def identity(self) -> tuple[str, ...]:
        """Identity of the models: their lasting names, their servers, and hashes of their weights if known.

        It includes a server's URL because `openai:NAME` may refer to another server tomorrow.
        """
        models = [part for each in self._learns_with for part in (each.name, each.source.fingerprint)]
        return *models, server_of(self.similarity.name) if self.similarity.remote else ""

    @property
    def made_with(self) -> str:
        """Digest of the identity; "" if the weights of a model are unknown."""
        known = all(each.source.fingerprint for each in self._learns_with)
        return sha256(json.dumps(self.identity).encode()).hexdigest() if known else ""

    @property
    def _learns_with(self) -> tuple[OpenModel, ...]:
        return (self.model, self.optimizer) if "llm" in self.settings.proposers else (self.model,)

    def _named(self, learned: FermiPersonalization) -> FermiPersonalization:
        """Return a result with the names that open its models again, from any folder."""
        optimizer = None if learned.optimizer is None else self.optimizer.name
        return replace(learned, model=self.model.name, optimizer=optimizer)

    def _fermi(self, owner: str) -> Fermi:
        return Fermi(
            self.answerer(owner),
            self.settings,
            optimizer=self.optimizer.called(self.calls, owner),
            similarity=self.similarity.called(self.calls, owner),
            identity=self.identity,
        )


async def open_fermi(
    pool: ModelPool, settings: FermiSettings, *, model: str, optimizer: str | None = None
) -> FermiLearner:
    """Open Fermi's models and similarity by name. To call them through a run, use `replace(learner, calls=…)`.

    Args:
        pool: opens each name once, and closes it.
        settings: settings of the method.
        model: name of the answering model.
        optimizer: name of the optimizer; None: the answering model.

    Raises:
        SettingsError: a name is invalid, or the model does not support the answering mode.
        ModelError: there is no such model.
        MissingExtraError: a model needs packages that are not installed.
    """
    similarity_name = lasting_name(settings.retrieval.similarity)
    settings = changed(settings, {"retrieval.similarity": similarity_name})
    answering, optimizing = await pool.model(model), await pool.model(model if optimizer is None else optimizer)
    Answerer(answering.model, settings.answering)  # fails now if the model cannot answer this way
    _check_writer(optimizing, settings)
    with suggesting(similarity_remedy(settings)):
        similarity = await pool.similarity(similarity_name)
    return FermiLearner(settings, answering, optimizing, similarity)


async def check_fermi(pool: ModelPool, learner: FermiLearner) -> None:
    """Check that prices are known if money is limited, and that the models and the similarity can be reached.

    Raises:
        SettingsError: money is limited, and a price is unknown.
        ModelError, MissingExtraError: a model cannot be reached, or the similarity is not available.
    """
    pool.check_prices(learner.model, learner.optimizer, learner.similarity)
    await pool.check(learner.model, learner.optimizer)
    await pool.check(learner.similarity, remedy=similarity_remedy(learner.settings))


def similarity_remedy(settings: FermiSettings) -> Remedy | None:
    """Return the setting to suggest if the similarity is not available; None if there is none."""
    name = settings.retrieval.similarity
    if settings.preset == "paper" and name not in ("minilm", "bm25"):
        return Remedy("preset", "paper-offline", "is the same preset with the bundled embeddings")
    return Remedy("similarity", "bm25", "works without embeddings") if name == "minilm" else None


def _check_writer(optimizer: OpenModel, settings: FermiSettings) -> None:
    """Check that the model that is to propose prompts writes text.

    Raises:
        SettingsError: it does not.
    """
    writer: object = optimizer.model
    if "llm" in settings.proposers and not isinstance(writer, CompletionModel):
        message = f"model {optimizer.name!r} writes no text, so it cannot propose prompts"
        raise SettingsError(message, remedy=Remedy("proposers", "demonstrations"))


def _in_effect(settings: FermiSettings) -> FermiSettings:
    return replace(settings, answering=settings.answering.in_effect)


def _unread(readings: Readings) -> UnreadAnswersError:
    """Return the error for answers that name no choice, with the setting that helps most."""
    message = f"{readings.unread:,} of {readings.answers:,} answers of the model named none of the choices"
    if 2 * readings.empty > readings.unread:
        message = f"{message}; most of them were empty"
        if 2 * readings.cut_off >= readings.empty:
            more = Remedy("max_tokens", effect="with thousands of tokens lets a model that thinks finish its thoughts")
            return UnreadAnswersError(message, remedy=more)
        refused = f"{message} before their tokens were used up, as if a content filter had refused them"
        return UnreadAnswersError(refused, remedy=Remedy("model", effect="can name another one"))
    likeliest = Remedy("answering", "likelihood", "takes the likeliest choice instead, or try another --model")
    return UnreadAnswersError(message, remedy=likeliest)


def _learned_from(kept: FermiPersonalization, user: User) -> bool:
    """Return whether a result was learned from exactly the user's profile and opinions."""
    seen = [*kept.opinions, *kept.examples, *kept.held_out]
    now = considered(user, kept.settings).opinions
    same = len(seen) == len(now) and all(opinion in now for opinion in seen)
    return same and kept.initial.prompt.text == profile_prompt(user.profile, kept.settings.answering)
