"""A group's edit first, then one step of a person's own: our way from a history to an edit.

    group    plain start → trained on its members' words → strength            (collective, as PerFit's first shift)
    person   a group's edit W → W + η m_l g_l / ‖g_l‖ → strength → judged, as it is without what judges
             g = mean over the person's words of ∂ log-likelihood / ∂ W, taken at the group's edit

At an edit of zero, 56 % of such a gradient is common to all people: it says "human prose", and little about the person.
What a group has in common is therefore learned first, from people who agreed to it, and the step adds what is left. The
reads are the group's, so a person's edit is of the group's rank, and exactly one LoRA holds both.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from idiolect.errors import ContextLengthError, PersonalizationError, SettingsError
from idiolect.methods.chameleon.choosing import bearable
from idiolect.methods.chameleon.identity import ModelIdentity
from idiolect.methods.chameleon.judging import judge
from idiolect.methods.chameleon.measuring import TrainableModel
from idiolect.methods.chameleon.own_words import own_answers
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, HistoryRead, StartedFrom
from idiolect.methods.chameleon.roles import Item, Roles, deal_group_roles, deal_roles, items_of, require_enough
from idiolect.methods.chameleon.settings import ChameleonSettings
from idiolect.methods.chameleon.start import Start, edit_of_factors, plain_start
from idiolect.methods.chameleon.watching import watched
from idiolect.methods.personalization import Observer, Progress, ignore_progress
from idiolect.models.edit_training import EditFactors, EditTraining, OnStep
from idiolect.models.language_model import ChosenAnswer, CompletionModel, Usage
from idiolect.people.user import Opinion, User

T = TypeVar("T")

_PERSON = ("measuring the model", "learning from own words", "choosing a strength", "judging")
_GROUP = ("measuring the model", "learning from members", "choosing a strength", "judging")


class GroupedChameleon:
    """The method that learns a group's edit, or a person's step from one.

    Args:
        model: model with open weights.
        settings: settings with `stepping`.
        start: where a person's step begins: a group's edit (`start.start_of`); None: an edit that changes nothing.
            A group is trained from an edit that changes nothing, whatever group's edit is given.
        measure: returns an edit that changes nothing, which is measured for many people; None: it is measured for each.
        writer: writes the model's own texts: `model` with calls through a cache and a budget; None: `model` itself.
        identity: identity of the weights; None: the model's name.

    Raises:
        SettingsError: the settings have no `stepping`.
    """

    def __init__(
        self,
        model: TrainableModel,
        settings: ChameleonSettings,
        *,
        start: Start | None = None,
        measure: Callable[[], Awaitable[Start]] | None = None,
        writer: CompletionModel | None = None,
        identity: ModelIdentity | None = None,
    ) -> None:
        if settings.stepping is None:
            raise SettingsError("a group's edit and a person's step need settings with stepping, as of preset grouped")
        self._model, self._settings, self._stepping = model, settings, settings.stepping
        self._start, self._measure = start, measure
        self._writer: CompletionModel = model if writer is None else writer
        self._identity = ModelIdentity(model.name) if identity is None else identity

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> ChameleonPersonalization:
        """Learn from all of one user's opinions and texts.

        The step is taken along the gradient of the whole history, and its strength is measured on it. It is judged as
        it would be without the items that judge, at the same strength.

        Raises:
            PersonalizationError: there is too little history, or it has no direction.
            ModelError: the model failed.
            HaltedError: the run was halted.
        """
        with _naming_the_longest([user]):
            return await self._fit(user, _Steps(user.id, _PERSON, observer))

    async def _fit(self, user: User, steps: _Steps) -> ChameleonPersonalization:
        (roles,) = deal_roles([user], self._dealing(user), owner=user.id, choosing_share=0.0)
        items = items_of(require_enough(roles, self._settings, owner=user.id))
        start = await self._started(steps)
        steps.report(self._paid(start))
        gradient = await self._gradient(start, items, steps)
        before = after = self._stepped(start, gradient, user.id)
        rest = _without(items_of(user), items) if self._stepping.refit else []
        if rest:
            after = self._stepped(start, gradient + await self._gradient(start, rest, steps), user.id)
        steps.report(self._paid(start))
        read = _read([*items, *rest], self._settings, refitted=bool(rest))
        learned = await self._bearable(user.id, after, self._stepping.strength, start, read)
        if start.group:
            learned = replace(learned, started_from=StartedFrom(start.group, start.digest))
        steps.report(learned.usage)
        return await self._judged(learned, before, roles.judging)

    def _dealing(self, user: User) -> ChameleonSettings:
        """Return the settings for dealing roles, with the group's seed for a member, so that what judges is unseen."""
        settings, start = self._settings, self._start
        if start is None or user.id not in start.members:
            return settings
        return replace(settings, generation=replace(settings.generation, seed=start.seed))

    async def fit_group(
        self, group_id: str, members: Sequence[User], *, observer: Observer = ignore_progress
    ) -> ChameleonPersonalization:
        """Learn one edit from the words of several users, for them, for people never seen, and as a start for both.

        Members with too little history are left out, and are not listed as members of the result.

        Raises:
            PersonalizationError: no member has enough history.
            ModelError, HaltedError: see `fit`.
        """
        if not members:
            raise PersonalizationError(f"group {group_id!r} has no members to learn from")
        with _naming_the_longest(members):
            return await self._fit_group(group_id, members, _Steps(group_id, _GROUP, observer))

    async def _fit_group(self, group_id: str, members: Sequence[User], steps: _Steps) -> ChameleonPersonalization:
        most = self._stepping.most_held_out
        dealt = deal_group_roles(members, self._settings, owner=group_id, most_judging=most)
        kept = [(user, roles) for user, roles in zip(members, dealt, strict=True) if roles.learning is not None]
        if not kept:
            raise PersonalizationError(f"no member of group {group_id!r} has enough history to learn from")
        start = await self._started(steps, plain=True)
        steps.report(self._paid(start))
        targets, read = self._targets(group_id, [roles for _, roles in kept])
        trained = await self._trained(start, targets, steps)
        steps.report(self._paid(start))
        judging = [item for _, roles in kept for item in roles.judging]
        learned = await self._bearable(group_id, trained, self._stepping.group_strength, start, read)
        learned = replace(learned, members=tuple(user.id for user, _ in kept), start=start.measures)
        steps.report(learned.usage)
        return await self._judged(learned, trained, judging)

    async def _bearable(
        self,
        owner: str,
        factors: EditFactors,
        most: float,
        start: Start,
        read: HistoryRead,
    ) -> ChameleonPersonalization:
        """Return the edit at the greatest bearable strength, before it is judged."""
        trials, spent = await bearable(
            lambda strength: edit_of_factors(factors, strength),
            most,
            start.neutral,
            self._model,
            limit=self._settings.max_fluency_cost,
            base_fluency=start.fluency,
        )
        variant = trials[-1].variant
        return ChameleonPersonalization(
            user_id=owner,
            model=self._identity.name,
            fingerprint=self._identity.fingerprint,
            settings=self._settings,
            variant=variant,
            edit=edit_of_factors(factors, variant.alpha),
            insights=(),
            pairs=(),
            dropped={},
            layers=(),
            trials=trials,
            n_learned=read.opinions + read.texts,
            n_chosen=0,
            n_judged=0,
            usage=self._paid(start) + spent,
            read=read,
        )

    def _paid(self, start: Start) -> Usage:
        """Return the cost of the start if it was measured for this fit, and not before for all people."""
        return Usage() if start is self._start else start.usage

    async def _started(self, steps: _Steps, *, plain: bool = False) -> Start:
        steps.report(Usage())
        if self._start is not None and not (plain and self._start.group):
            return self._start
        if self._measure is not None:
            return await self._measure()
        return await plain_start(self._model, self._writer, self._settings)

    async def _gradient(self, start: Start, items: Sequence[Item], steps: _Steps) -> Tensor:
        """Return the sum over items' answers of the gradient at the start, (L, r, d)."""
        answers = own_answers(items, self._settings.answering)
        return await steps.watch(lambda on_step: self._model.write_gradient(start.factors, answers, on_step=on_step))

    def _stepped(self, start: Start, gradient: Tensor, owner: str) -> EditFactors:
        """Return the start's factors after one step of the settings' length along the gradient in every layer."""
        lengths = gradient.flatten(1).norm(dim=1)  # (L,)
        without = ~(lengths.isfinite() & (lengths > 0))  # (L,)
        if bool(without.any()):
            raise PersonalizationError(f"the words of {owner!r} give no direction in layer {int(without.nonzero()[0])}")
        step = self._stepping.step * start.scale[:, None, None] * gradient / lengths[:, None, None]
        return EditFactors(start.factors.reads, start.factors.writes + step)

    async def _judged(
        self, learned: ChameleonPersonalization, factors: EditFactors, items: Sequence[Item]
    ) -> ChameleonPersonalization:
        """Return the result with the evidence on an edit that has not learned from the items, of the same strength."""
        if not items:
            return learned
        edited = self._model.with_edit(edit_of_factors(factors, learned.variant.alpha))
        evidence, usage = await judge(items, self._model, edited, self._settings)
        return learned.judged(evidence, n=len(items), usage=usage)

    def _targets(self, group_id: str, roles: Sequence[Roles]) -> tuple[list[ChosenAnswer], HistoryRead]:
        """Return the answers to train on, drawn evenly from the members, and what of their history that is."""
        drawn = random.Random(f"{self._settings.generation.seed}:{group_id}:targets")
        shuffled = []
        for each in roles:
            assert each.learning is not None
            items = list(items_of(each.learning))
            drawn.shuffle(items)
            shuffled.append(items)
        taken: list[Item] = []
        answers: list[ChosenAnswer] = []
        for turn in range(max(map(len, shuffled))):
            for items in shuffled:
                if turn < len(items) and len(answers) < self._stepping.most_targets:
                    taken.append(items[turn])
                    answers += own_answers(items[turn : turn + 1], self._settings.answering)
        answers = answers[: self._stepping.most_targets]  # the last text may be long, and is then read in part
        return answers, replace(_read(taken, self._settings, refitted=False), answers=len(answers))

    async def _trained(self, start: Start, targets: Sequence[ChosenAnswer], steps: _Steps) -> EditFactors:
        stepping = self._stepping
        training = EditTraining(
            stepping.epochs, stepping.batch_size, stepping.learning_rate, seed=self._settings.generation.seed
        )
        plain = EditFactors(start.factors.reads, torch.zeros_like(start.factors.writes))
        trained = await steps.watch(
            lambda on_step: self._model.train_edit(plain, start.scale, targets, training, on_step=on_step)
        )
        if not all(bool(each.isfinite().all()) for each in (trained.reads, trained.writes)):
            raise PersonalizationError(
                f"the training of the edit of {steps.owner!r} diverged, so its values are no longer finite: choose a "
                "lower learning rate"
            )
        return trained


def _read(items: Sequence[Item], settings: ChameleonSettings, *, refitted: bool) -> HistoryRead:
    opinions = sum(isinstance(item, Opinion) for item in items)
    return HistoryRead(opinions, len(items) - opinions, len(own_answers(items, settings.answering)), refitted)


@contextmanager
def _naming_the_longest(users: Sequence[User]) -> Iterator[None]:
    """Add to a `ContextLengthError` whose item is the longest; texts are read in windows, so it is a question."""
    try:
        yield
    except ContextLengthError as error:
        lengths = {user.id: max(map(_length, user.opinions), default=0) for user in users}
        longest = max(lengths, key=lengths.__getitem__)
        if not lengths[longest]:
            raise
        whose = f"the longest question of user {longest!r}, with its choices ({lengths[longest]:,} characters),"
        raise ContextLengthError(
            f"{whose} is too long: {error}; shorten or remove this opinion", limit=error.limit, whose=whose
        ) from error


def _length(opinion: Opinion) -> int:
    """Return the number of characters of an opinion's question and choices."""
    return len(opinion.question.text) + sum(map(len, opinion.question.choices))


def _without(items: Sequence[Item], known: Sequence[Item]) -> list[Item]:
    """Return the items that are not among the known ones; equal ones count as often as they occur."""
    left = list(known)
    rest = []
    for item in items:
        if item in left:
            left.remove(item)
        else:
            rest.append(item)
    return rest


@dataclass(slots=True)
class _Steps:
    """Progress of a fit, reported to an observer step by step."""

    owner: str
    stages: tuple[str, ...]
    observer: Observer
    done: int = 0
    usage: Usage = Usage()

    async def watch(self, work: Callable[[OnStep], Awaitable[T]]) -> T:
        """Return the result of the work of the step that was reported last, and report its parts."""
        return await watched(work, self._report_part)

    def _report_part(self, done: int, total: int) -> None:
        at, n = self.done - 1, len(self.stages)
        self.observer(Progress(self.owner, self.stages[at], at, n, usage=self.usage, part=done / total))

    def report(self, usage: Usage) -> None:
        self.usage = usage
        self.observer(Progress(self.owner, self.stages[self.done], self.done, len(self.stages), usage=usage))
        self.done += 1
