"""CHAMELEON from a history to an edit (arXiv 2503.01048): the method's steps in order, for a user or a group.

    roles → history → insights and pairs → activations → directions → variants → (choose) → (judge)

A group's pairs are pooled and fitted once; directions are never averaged, because their signs are arbitrary. The
unedited model generates the data and the activations; only choosing and judging use an edited one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ParamSpec, TypeVar

from idiolect.errors import ContextLengthError, PersonalizationError, SettingsError
from idiolect.methods.chameleon.choosing import choose
from idiolect.methods.chameleon.history import history_items, select_history
from idiolect.methods.chameleon.identity import ModelIdentity
from idiolect.methods.chameleon.judging import judge
from idiolect.methods.chameleon.measuring import EditableModel, Measured, hold_out, measure
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
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
from idiolect.methods.chameleon.roles import Item, Roles, deal_roles, require_enough
from idiolect.methods.chameleon.settings import ChameleonSettings, GenerationSettings, Variant
from idiolect.methods.chameleon.variants import diagnose, edit_of
from idiolect.methods.personalization import Observer, Progress, ignore_progress
from idiolect.models.edits import Edit
from idiolect.models.language_model import CompletionModel, Usage
from idiolect.models.similarity import Embedder
from idiolect.people.user import User

P = ParamSpec("P")
T = TypeVar("T")

_STAGES = ("choosing the history", "writing pairs", "computing directions", "choosing a variant", "judging")


class Chameleon:
    """The method CHAMELEON, which learns the edit of a user or a group.

    Args:
        model: model with open weights.
        settings: settings of the method.
        embedder: embeds history items; may be None if the personalized sides are the user's own words.
        writer: writes insights and pairs: `model` with calls through a cache and a budget; None: `model` itself.
        identity: identity of the weights; None: the model's name.
    """

    def __init__(
        self,
        model: EditableModel,
        settings: ChameleonSettings,
        *,
        embedder: Embedder | None,
        writer: CompletionModel | None = None,
        identity: ModelIdentity | None = None,
    ) -> None:
        self._model, self._settings, self._embedder = model, settings, embedder
        self._writer: CompletionModel = model if writer is None else writer
        self._identity = ModelIdentity(model.name) if identity is None else identity

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> ChameleonPersonalization:
        """Learn from one user's opinions and texts.

        Raises:
            PersonalizationError: there is too little history, there are too few pairs, or they give no direction.
            ModelError: the model could not answer.
            HaltedError: the run was halted.
        """
        return await self._fit(user.id, [user], (), observer)

    async def fit_group(
        self, group_id: str, members: Sequence[User], *, observer: Observer = ignore_progress
    ) -> ChameleonPersonalization:
        """Learn one edit from the pooled pairs of several users, for them and for users never seen.

        Members with too little history are left out, and are not listed as members of the result.

        Raises:
            PersonalizationError: no member has enough history.
            ContextLengthError: the model cannot read what it is shown of a member, who is named.
            ModelError, HaltedError: see `fit`.
        """
        if not members:
            raise PersonalizationError(f"group {group_id!r} has no members to learn from")
        return await self._fit(group_id, members, tuple(member.id for member in members), observer)

    async def pairs(self, user: User) -> tuple[Pair, ...]:
        """Return the pairs that `fit` would learn from, for methods that learn from them in another way.

        Raises:
            PersonalizationError: there is too little history, or there are too few pairs.
            ModelError, HaltedError: see `fit`.
        """
        pooled = _Pool()
        (roles,) = deal_roles([user], self._settings, owner=user.id)
        await self._generate(user.id, roles, pooled, _Steps(user.id, 0, 2, ignore_progress))
        return pooled.pairs[0]

    async def _fit(
        self, owner: str, users: Sequence[User], members: tuple[str, ...], observer: Observer
    ) -> ChameleonPersonalization:
        pooled = _Pool()
        n_steps = 2 * len(users) + 3
        for number, roles in enumerate(deal_roles(users, self._settings, owner=owner)):
            user = users[number]
            try:
                await self._generate(user.id, roles, pooled, _Steps(owner, 2 * number, n_steps, observer))
            except PersonalizationError as error:
                if not members:
                    raise
                pooled.left_out[user.id] = str(error)
            except ContextLengthError as error:
                if not members:
                    raise
                whose = f"what the model is shown of user {user.id!r}"
                raise ContextLengthError(f"{whose} is too long: {error}", limit=error.limit, whose=whose) from error
        if not pooled.pairs:
            reason = next(iter(pooled.left_out.values()))
            raise PersonalizationError(f"no member of group {owner!r} has enough history: {reason}")
        steps = _Steps(owner, 2 * len(users), n_steps, observer)
        steps.report(_STAGES[2], pooled.usage)
        measured, edits = await self._edits(pooled)
        steps.report(_STAGES[3], pooled.usage)
        variant, trials, spent = await choose(edits, pooled.choosing, measured.neutral, self._model, self._settings)
        learned = ChameleonPersonalization(
            user_id=owner,
            model=self._identity.name,
            fingerprint=self._identity.fingerprint,
            settings=self._settings,
            variant=variant,
            edit=edits[variant],
            insights=tuple(pooled.insights),
            pairs=tuple(chain.from_iterable(pooled.pairs)),
            dropped=dict(pooled.dropped),
            layers=_checked(diagnose, variant, edits[variant], measured),
            trials=trials,
            n_learned=pooled.n_learned,
            n_chosen=len(pooled.choosing),
            n_judged=0,
            usage=pooled.usage + spent,
            members=tuple(member for member in members if member not in pooled.left_out),
        )
        steps.report(_STAGES[4], learned.usage)
        return await self._judge(learned, pooled)

    async def _generate(self, user_id: str, roles: Roles, pooled: _Pool, steps: _Steps) -> None:
        """Write one user's pairs, and add them to the pool."""
        settings = self._settings.generation
        learning = require_enough(roles, self._settings, owner=user_id)
        steps.report(_STAGES[0], pooled.usage)
        guiding = [] if settings.personalized == "own" else await self._guiding(learning)
        steps.report(_STAGES[1], pooled.usage)
        data = await write_pairs(queries_of(learning, settings), guiding, self._writer, settings)
        pooled.add(data, roles)

    async def _edits(self, pooled: _Pool) -> tuple[Measured, dict[Variant, Edit]]:
        """Measure the pooled pairs, and return the measurements with the edit of every variant."""
        settings = self._settings
        fitted, held = pooled.held_out(settings.directions.held_out_share)
        gradients = any(variant.rule == "gradient" for variant in settings.variants)
        seed = settings.generation.seed
        measured = await measure(fitted, held, self._model, settings.directions, seed=seed, gradients=gradients)
        return measured, {variant: _checked(edit_of, variant, measured, settings) for variant in settings.variants}

    async def _guiding(self, user: User) -> list[str]:
        """Return the history items that guide the model."""
        settings = self._settings.generation
        if self._embedder is None:
            raise SettingsError("an embedder is required, because the history is selected by embeddings")
        items = history_items(user, max_chars=settings.max_item_chars)
        return [items[index] for index in await select_history(items, self._embedder, k=settings.history_items)]

    async def _judge(self, learned: ChameleonPersonalization, pooled: _Pool) -> ChameleonPersonalization:
        """Add the evidence; depending on the settings, the items used for choosing the variant decide a tie."""
        if not pooled.judging:
            return learned
        edited = self._model.with_edit(learned.edit)
        evidence, usage = await judge(pooled.judging, self._model, edited, self._settings, known=pooled.choosing)
        return learned.judged(evidence, n=len(pooled.judging), usage=usage)


def _checked(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `make` on measured directions, and turn an error about a degenerate one into a `PersonalizationError`."""
    try:
        return make(*args, **kwargs)
    except ValueError as error:
        raise PersonalizationError(f"no edit can be computed from these pairs: {error}") from error


def queries_of(user: User, settings: GenerationSettings) -> list[Query]:
    """Return the queries that both sides of the pairs answer: the user's own questions, then subjects to write about.

    If the personalized sides are the user's own words, the user's texts replace the subjects.

    Args:
        user: the user, with only the history that may be learned from.
        settings: settings with the maximum number of queries, `pairs`.
    """
    longest = settings.max_item_chars
    questions = [question_query(opinion, max_chars=longest) for opinion in user.opinions]
    if settings.personalized == "own":
        return [*questions, *(text_query(text, max_chars=longest) for text in user.texts)][: settings.pairs]
    about = [subject_query(subject) for subject in subjects()]
    rounds = 1 if settings.temperature == 0 else settings.pairs // len(about) + 1  # a repeated subject is a new draw
    return [*questions, *(about * rounds)][: settings.pairs]


class _Pool:
    """Pairs and other data of all users of a fit."""

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
        """Add the pairs of one user."""
        self.pairs.append(data.pairs)
        self.insights += [] if data.insights is None else [data.insights]
        self.dropped.update(data.dropped)
        self.choosing += roles.choosing
        self.judging += roles.judging
        self.n_learned += roles.n_learning
        self.usage += data.usage

    def held_out(self, share: float) -> tuple[list[Pair], list[Pair]]:
        """Return the pairs to fit directions on, and a held-out share of every user's pairs."""
        parts = [hold_out(pairs, share) for pairs in self.pairs]
        return [pair for fitted, _ in parts for pair in fitted], [pair for _, held in parts for pair in held]


@dataclass(slots=True)
class _Steps:
    """Progress of a fit, reported to an observer step by step."""

    owner: str
    done: int
    total: int
    observer: Observer

    def report(self, stage: str, usage: Usage) -> None:
        self.observer(Progress(self.owner, stage, self.done, self.total, usage=usage))
        self.done += 1
