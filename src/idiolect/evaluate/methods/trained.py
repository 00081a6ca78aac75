"""The trained alternatives: DPO on pairs, and supervised fine-tuning on what the person wrote.

    dpo, dpo-own            DPO, for the time that CHAMELEON takes without writing the pairs
    dpo-long, dpo-own-long  DPO, with a number of steps that is chosen on others
    sft                     supervised fine-tuning, with a number of steps that is chosen on others

`-own` learns from all of the person's own words, the others from pairs that the model wrote itself, those of
`chameleon-paper` (`pair_sources`).

For equal time, CHAMELEON's work besides writing the pairs (activations, gradients, directions, choosing, judging) is
repeated without remembered results, and timed. So the number of steps depends on the machine. A note records it, and
`dpo[max_steps=5,seconds=100000]` fixes it. `sft[seconds=20]` trains for as many seconds, and `sft[max_steps=8]` makes 8
steps; then nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.chameleon import ChameleonMethod, unprompted
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.others import Choice, Others, Part, check_others, chosen_on_others, gain_on, item_scores
from idiolect.evaluate.methods.pair_sources import PairSource
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.chameleon.watching import watched
from idiolect.methods.setting_changes import changed_by_text
from idiolect.methods.setting_checks import require
from idiolect.methods.trained.dpo import DpoSettings, train_dpo
from idiolect.methods.trained.sft import examples_of, train_sft
from idiolect.methods.trained.training import TrainingResult, TrainingSettings, with_adapter
from idiolect.models.local import LocalModel
from idiolect.people.user import User

_LEAST_SECONDS = 0.1
_NO_CAP = 1_000_000  # maximum number of steps, so high that only the time limits training
_NO_LIMIT = 1e9  # seconds, so many that only the number of steps limits training
_LIMITS = frozenset({"max_steps", "seconds"})
_OF_TRAINING = frozenset(each.name for each in fields(TrainingSettings))

Train = Callable[[User, Desk, TrainingSettings, Collection[int]], Awaitable[TrainingResult]]


def _unlimited() -> TrainingSettings:
    return TrainingSettings(seconds=_NO_LIMIT, max_steps=_NO_CAP)


@dataclass(frozen=True, slots=True)
class SftSettings:
    """Settings of the method "sft".

    Args:
        training: settings of the training; in brackets, their names stand alone, as in `sft[rank=8]`.
        counts: numbers of steps to choose from.
        others: settings of the people that they are chosen on.
    """

    training: TrainingSettings = field(default_factory=_unlimited)
    counts: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    others: Others = field(default_factory=Others)

    def __post_init__(self) -> None:
        _check_counts(self.counts)


@dataclass(frozen=True, slots=True)
class LongDpoSettings:
    """Settings of the methods "dpo-long" and "dpo-own-long"; see `SftSettings` and `DpoSettings`."""

    training: TrainingSettings = field(default_factory=_unlimited)
    beta: float = 0.1
    counts: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    others: Others = field(default_factory=Others)

    def __post_init__(self) -> None:
        DpoSettings(self.training, self.beta)  # checks both
        _check_counts(self.counts)


@dataclass(frozen=True, slots=True)
class DpoMethod:
    """DPO within CHAMELEON's wall time.

    Args:
        rival: method that provides the time.
        source: source of the pairs.
        overrides: `DpoSettings` that the user wrote in brackets.
    """

    rival: ChameleonMethod
    source: PairSource
    overrides: Overrides = ()

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Train a copy of the model."""
        model = _local(desk)
        timed = await self.rival.fit_timed(case.user, desk)
        pairs = await self.source.pairs(case.user, desk)
        seconds = max(float(timed.notes["seconds_without_writing"]), _LEAST_SECONDS)
        limits = TrainingSettings(seconds=seconds, max_steps=_NO_CAP, seed=desk.seed)
        settings = changed_by_text(DpoSettings(limits), _routed(self.overrides))
        result = await watched(lambda on_step: train_dpo(pairs, model, settings, on_step=on_step), desk.check_halt)
        notes = {
            "pairs": len(pairs),
            "seconds_allowed": round(settings.training.seconds, 3),
            **_training_notes(result),
        }
        return await _learned(result, model, "DPO", notes)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the trained model, which is asked like an edited one."""
        return _examinee(learned, desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the training, apart from the machine's speed.

        Raises:
            SettingsError: the settings in brackets, or those of the rival, are invalid.
        """
        settings = changed_by_text(DpoSettings(), _routed(self.overrides))
        return ("dpo", self.rival.learning_key(bench), self.source.learning_key(bench), settings)


@dataclass(frozen=True, slots=True)
class LongDpoMethod:
    """DPO with a number of steps that is chosen on others.

    Args:
        source: source of the pairs.
        overrides: `LongDpoSettings` that the user wrote in brackets.
    """

    source: PairSource
    overrides: Overrides = ()

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Train a copy of the model."""
        settings = self._settings()

        async def train(
            user: User, at: Desk, training: TrainingSettings, checkpoints: Collection[int]
        ) -> TrainingResult:
            pairs, model = await self.source.pairs(user, at), _local(at)
            chosen = DpoSettings(training, settings.beta)
            return await watched(
                lambda on_step: train_dpo(pairs, model, chosen, checkpoints=checkpoints, on_step=on_step), at.check_halt
            )

        steps = _Steps("DPO", self.learning_key(desk.bench), settings, _is_limited(self.overrides))
        return await steps.learn(case, desk, train)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the trained model, which is asked like an edited one."""
        return _examinee(learned, desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the training.

        Raises:
            SettingsError: the settings are invalid, or there is nobody to choose the number of steps on.
        """
        settings, source = self._settings(), self.source.learning_key(bench)
        _check(settings.others, self.overrides, bench)
        return ("dpo-long", source, settings)

    def _settings(self) -> LongDpoSettings:
        return changed_by_text(LongDpoSettings(), _routed(self.overrides))


@dataclass(frozen=True, slots=True)
class SftMethod:
    """Supervised fine-tuning with a number of steps that is chosen on others.

    Args:
        overrides: `SftSettings` that the user wrote in brackets.
    """

    overrides: Overrides = ()

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Train a copy of the model."""

        async def train(
            user: User, at: Desk, training: TrainingSettings, checkpoints: Collection[int]
        ) -> TrainingResult:
            examples, model = examples_of(user, at.bench.answering), _local(at)
            return await watched(
                lambda on_step: train_sft(examples, model, training, checkpoints=checkpoints, on_step=on_step),
                at.check_halt,
            )

        steps = _Steps("SFT", self.learning_key(desk.bench), self._settings(), _is_limited(self.overrides))
        return await steps.learn(case, desk, train)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the trained model, which is asked like an edited one."""
        return _examinee(learned, desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the training.

        Raises:
            SettingsError: the settings are invalid, the model is behind an API, or there is nobody to choose the number
                of steps on.
        """
        settings = self._settings()
        bench.weights()
        _check(settings.others, self.overrides, bench)
        return ("sft", settings)

    def _settings(self) -> SftSettings:
        return changed_by_text(SftSettings(), _routed(self.overrides))


@dataclass(frozen=True, slots=True)
class _Steps:
    """Training of one person with a number of steps that is chosen on others, or with the limits in brackets."""

    name: str
    key: Hashable
    settings: SftSettings | LongDpoSettings
    limited: bool

    async def learn(self, case: Case, desk: Desk, train: Train) -> Learned:
        model, training = _local(desk), replace(self.settings.training, seed=desk.seed)
        notes: dict[str, Any] = {}
        if not self.limited:
            choice = await self._choice(case, desk, train)
            training = replace(training, max_steps=choice.best)
            notes["chosen"] = choice.notes()
        elif training.seconds < _NO_LIMIT:
            notes["seconds_allowed"] = round(training.seconds, 3)
        result = await train(case.user, desk, training, ())
        return await _learned(result, model, self.name, {**notes, **_training_notes(result)})

    async def _choice(self, case: Case, desk: Desk, train: Train) -> Choice[int]:
        async def gains_of(part: Part, at: Desk) -> Mapping[int, float]:
            training = replace(self.settings.training, max_steps=max(self.settings.counts))
            result = await train(part.learning, at, training, self.settings.counts)
            base, found = await item_scores(part, at.model, at), dict[int, float]()
            for steps, adapter in result.checkpoints.items():
                trained = await with_adapter(_local(at), adapter, name=f"{_local(at).name} + {self.name}")
                try:
                    fingerprint = f"{self.name} {part.learning.id} {steps}"
                    scores = await item_scores(part, at.other(trained, fingerprint=fingerprint), at)
                    found[steps] = gain_on(part, scores, base)
                finally:
                    trained.close()
            return found

        return await chosen_on_others(self.key, case, desk, self.settings.others, gains_of)


def _check_counts(counts: tuple[int, ...]) -> None:
    within = bool(counts) and all(1 <= count <= _NO_CAP for count in counts)
    require(within, "counts", counts, f"numbers in [1, {_NO_CAP}]")


def _routed(overrides: Overrides) -> Overrides:
    """Return the changes with the full path of the training's settings."""
    return tuple((f"training.{name}" if name in _OF_TRAINING else name, value) for name, value in overrides)


def _is_limited(overrides: Overrides) -> bool:
    """Return whether brackets fix the number of steps or the time, so that no number of steps is chosen."""
    return any(name.removeprefix("training.") in _LIMITS for name, _ in overrides)


def _check(others: Others, overrides: Overrides, bench: Bench) -> None:
    if not _is_limited(overrides):
        check_others(bench, others, "the number of steps", "max_steps=N (or seconds=S)")


def _local(desk: Desk) -> LocalModel:
    model = desk.bench.weights().model
    if not isinstance(model, LocalModel):
        raise SettingsError("only a model that runs in this process can be trained")
    return model


def _training_notes(result: TrainingResult) -> dict[str, Any]:
    return {
        "steps": result.steps,
        "seconds_trained": round(result.seconds, 3),
        "cpu_seconds_trained": round(result.cpu_seconds, 3),
        "losses": [round(loss, 4) for loss in result.losses],
    }


async def _learned(result: TrainingResult, model: LocalModel, name: str, notes: Mapping[str, Any]) -> Learned:
    trained = await with_adapter(model, result.adapter, name=f"{model.name} + {name}")
    return Learned(trained, notes=notes, close=trained.close)


def _examinee(learned: Learned, desk: Desk) -> Examinee:
    model: LocalModel = learned.value
    return unprompted(desk.other(model, fingerprint=f"trained {id(model)}"), desk)
