"""CHAMELEON from a history to an edit (arXiv 2503.01048): the method's steps in their order, for a user or a group.

    roles → history → insights and pairs → activations → directions → variants → (choose) → (judge)

A group's pairs are pooled and fitted once; directions are never averaged, their signs mean nothing. Data is generated
and activations are taken by the unedited model; only choosing and judging ask an edited one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.history import history_items, select_history
from idiolect.methods.chameleon.judging import Judged, evidence_scores, fluency, log_likelihoods
from idiolect.methods.chameleon.measuring import EditableModel, Measured, measure
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, Trial
from idiolect.methods.chameleon.preferences import (
    DropReason,
    Insights,
    Pair,
    PreferenceData,
    Query,
    question_query,
    subject_query,
    subjects,
    text_query,
    write_pairs,
)
from idiolect.methods.chameleon.roles import Item, Roles, deal_roles
from idiolect.methods.chameleon.settings import ChameleonSettings, GenerationSettings, Variant
from idiolect.methods.chameleon.variants import diagnose, edit_of
from idiolect.methods.evidence import weigh
from idiolect.methods.personalization import Observer, Progress, ignore_progress
from idiolect.models.edits import Edit
from idiolect.models.language_model import CompletionModel, Usage
from idiolect.models.similarity import Embedder
from idiolect.people.user import User

_STAGES = ("choosing the history", "writing pairs", "computing directions", "choosing a variant", "judging")


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which weights directions belong to: the model's lasting name, and its fingerprint ("": not known)."""

    name: str
    fingerprint: str = ""


class Chameleon:
    """Learns the edit of a user or a group.

    Args:
        model: open weights.
        settings: how.
        embedder: of the history's items.
        writer: who writes insights and pairs: `model`, as it is called through a cache or a budget; None: itself.
        identity: of the weights; None: the model's name.
    """

    def __init__(
        self,
        model: EditableModel,
        settings: ChameleonSettings,
        *,
        embedder: Embedder,
        writer: CompletionModel | None = None,
        identity: ModelIdentity | None = None,
    ) -> None:
        self._model, self._settings, self._embedder = model, settings, embedder
        self._writer: CompletionModel = model if writer is None else writer
        self._identity = ModelIdentity(model.name) if identity is None else identity

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> ChameleonPersonalization:
        """Learn from one user's opinions and texts.

        Raises:
            PersonalizationError: too little history, too few pairs, or no direction in them.
            ModelError: the model could not answer.
            HaltedError: the run was told to stop.
        """
        return await self._fit(user.id, [user], (), observer)

    async def fit_group(
        self, group_id: str, members: Sequence[User], *, observer: Observer = ignore_progress
    ) -> ChameleonPersonalization:
        """Learn from the pooled pairs of several users; it serves them, and users never seen.

        Members whose history gives nothing are left out, and not listed as members of the result.

        Raises:
            PersonalizationError: none of the members gave enough.
            ModelError, HaltedError: as `fit`.
        """
        if not members:
            raise PersonalizationError(f"group {group_id!r} has no members to learn from")
        return await self._fit(group_id, members, tuple(member.id for member in members), observer)

    async def _fit(
        self, owner: str, users: Sequence[User], members: tuple[str, ...], observer: Observer
    ) -> ChameleonPersonalization:
        pooled = _Pool()
        steps = 2 * len(users) + 3
        for number, user in enumerate(users):
            try:
                await self._generate(user, pooled, _Steps(owner, 2 * number, steps, observer))
            except PersonalizationError as error:
                if not members:
                    raise
                pooled.left_out[user.id] = str(error)
        if not pooled.pairs:
            reason = next(iter(pooled.left_out.values()))
            raise PersonalizationError(f"no member of group {owner!r} gave enough; the first: {reason}")
        told = _Steps(owner, 2 * len(users), steps, observer)
        told.say(_STAGES[2], pooled.usage)
        seed = self._settings.generation.seed
        measured = await measure(pooled.mixed(), self._model, self._settings.directions, seed=seed)
        told.say(_STAGES[3], pooled.usage)
        edits = {variant: edit_of(variant, measured, self._settings) for variant in self._settings.variants}
        variant, trials, spent = await self._choose(edits, measured, pooled.choosing)
        learned = ChameleonPersonalization(
            user_id=owner,
            model=self._identity.name,
            fingerprint=self._identity.fingerprint,
            settings=self._settings,
            variant=variant,
            edit=edits[variant],
            insights=tuple(pooled.insights),
            pairs=tuple(pooled.mixed()),
            dropped=dict(pooled.dropped),
            layers=diagnose(variant, edits[variant], measured),
            trials=trials,
            n_learned=pooled.n_learned,
            n_chosen=len(pooled.choosing),
            n_judged=0,
            usage=pooled.usage + spent,
            members=tuple(member for member in members if member not in pooled.left_out),
        )
        told.say(_STAGES[4], learned.usage)
        return await self._judge(learned, pooled.judging)

    async def _generate(self, user: User, pooled: _Pool, told: _Steps) -> None:
        """One user's pairs, added to the pool."""
        settings = self._settings.generation
        roles = deal_roles(user, self._settings)
        told.say(_STAGES[0], pooled.usage)
        guiding = [] if settings.personalized == "own" else await self._guiding(roles.learning)
        told.say(_STAGES[1], pooled.usage)
        data = await write_pairs(queries_of(roles.learning, settings), guiding, self._writer, settings)
        pooled.add(data, roles)

    async def _guiding(self, user: User) -> list[str]:
        """The items of the history that guide the model; nothing guides it beside the user's own words."""
        settings = self._settings.generation
        items = history_items(user, max_chars=settings.max_item_chars)
        return [items[index] for index in await select_history(items, self._embedder, k=settings.history_items)]

    async def _choose(
        self, edits: dict[Variant, Edit], measured: Measured, items: Sequence[Item]
    ) -> tuple[Variant, tuple[Trial, ...], Usage]:
        """The variant with the greatest gain of those whose fluency cost is within the limit.

        Where none is, the one that costs least; it does not answer then. Where there is nothing to choose with, the
        first of the settings.
        """
        if len(edits) == 1 or not items:
            return self._settings.variants[0], (), Usage()
        answering = self._settings.answering
        base = await log_likelihoods(items, self._model, answering)
        base_fluency = await fluency(measured.neutral, self._model)
        usage, trials = base.usage + base_fluency.usage, list[Trial]()
        for variant, edit in edits.items():
            edited = self._model.with_edit(edit)
            said = await log_likelihoods(items, edited, answering)
            neutral = await fluency(measured.neutral, edited)
            usage += said.usage + neutral.usage
            cost = base_fluency.mean - neutral.mean
            eligible = cost <= self._settings.max_fluency_cost
            trials.append(Trial(variant, gain=said.mean - base.mean, fluency=-cost, eligible=eligible))
        best = max(trials, key=lambda trial: (trial.eligible, trial.gain if trial.eligible else trial.fluency))
        return best.variant, tuple(trials), usage

    async def _judge(self, learned: ChameleonPersonalization, items: Sequence[Item]) -> ChameleonPersonalization:
        if not items:
            return learned
        answering = self._settings.answering
        base: Judged = await evidence_scores(items, self._model, answering)
        edited = await evidence_scores(items, self._model.with_edit(learned.edit), answering)
        evidence = replace(weigh(edited.scores, base.scores, self._settings.evidence), kind="opinions and texts")
        return learned.judged(evidence, n=len(items), usage=base.usage + edited.usage)


def queries_of(user: User, settings: GenerationSettings) -> list[Query]:
    """What both sides of the pairs answer: the user's own questions, then subjects to write about.

    Where the personalized sides are the user's own words, their texts stand in the place of the subjects.

    Args:
        user: with what may be learned from only.
        settings: at most `pairs` queries are made.
    """
    questions = [question_query(opinion) for opinion in user.opinions]
    own = [text_query(text, max_chars=settings.max_item_chars) for text in user.texts]
    more = own if settings.personalized == "own" else [subject_query(subject) for subject in subjects()]
    return [*questions, *more][: settings.pairs]


class _Pool:
    """What the users of a fit bring together."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Pair, ...]] = []
        self.insights: list[Insights] = []
        self.dropped: Counter[DropReason] = Counter()
        self.choosing: list[Item] = []
        self.judging: list[Item] = []
        self.left_out: dict[str, str] = {}
        self.n_learned = 0
        self.usage = Usage()

    def add(self, data: PreferenceData, roles: Roles) -> None:
        self.pairs.append(data.pairs)
        self.insights += [] if data.insights is None else [data.insights]
        self.dropped.update(data.dropped)
        self.choosing += roles.choosing
        self.judging += roles.judging
        self.n_learned += len(roles.learning.opinions) + len(roles.learning.texts)
        self.usage += data.usage

    def mixed(self) -> list[Pair]:
        """Everybody's pairs, dealt in turn, so that those held out at the end are everybody's too."""
        return [pair for pair in chain.from_iterable(zip_longest(*self.pairs)) if pair is not None]


@dataclass(slots=True)
class _Steps:
    """Tells an observer how far it has come."""

    owner: str
    done: int
    total: int
    observer: Observer

    def say(self, stage: str, usage: Usage) -> None:
        self.observer(Progress(self.owner, stage, self.done, self.total, usage=usage))
        self.done += 1
