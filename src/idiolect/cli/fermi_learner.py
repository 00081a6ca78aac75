"""Fermi in a run of `fit`: a `Learner` over the workbench, with its own columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.fit_order import CallOrder, FermiOrder
from idiolect.cli.learner import Fitted
from idiolect.errors import PersonalizationError
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.personalization import Observer
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.calls.model import Calls
from idiolect.people.user import User
from idiolect.store.records import PersonalizationRecord

METHOD = "fermi"
_COLUMNS = ("P⁰", "BEST", "PROMPTS", "CALLS", "TOKENS")


@contextmanager
def opened_fermi(order: FermiOrder, calls: CallOrder) -> Iterator[FermiLearner]:
    """Fermi with its models opened.

    Raises:
        SettingsError, ModelError, MissingExtraError: a model cannot be opened.
    """
    with opened(order.settings, model=order.model, optimizer=order.optimizer, order=calls) as bench:
        yield FermiLearner(bench)


@dataclass(frozen=True, slots=True)
class FermiLearned:
    """What was learned for one user, counted.

    Args:
        initial_score, best_score: of `P⁰` and of the best prompt, in [0, 1].
        prompts: in the pool.
        calls, tokens: that learning takes when nothing is in a cache.
        used: it answers; False where the evidence speaks for the base model, or was not gathered yet.
        evidence: one sentence; None where the held-out opinions were not asked, or there are none.
    """

    initial_score: float
    best_score: float
    prompts: int
    calls: int
    tokens: int
    used: bool
    evidence: str | None

    @classmethod
    def of(cls, learned: FermiPersonalization) -> FermiLearned:
        """The counts of a personalization."""
        usage = learned.answering + learned.optimizing
        return cls(
            initial_score=learned.initial.score,
            best_score=learned.best.score,
            prompts=len(learned.prompts),
            calls=usage.calls,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            used=learned.used,
            evidence=None if learned.evidence is None else learned.evidence.reason,
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """Scores and counts."""
        scores = f"{self.initial_score:.2f}", f"{self.best_score:.2f}"
        return *scores, str(self.prompts), f"{self.calls:,}", f"{self.tokens:,}"

    @property
    def told(self) -> str:
        """The scores, and what they took."""
        return f"best {self.best_score:.2f}, P⁰ {self.initial_score:.2f}, {self.calls:,} calls"

    @property
    def remark(self) -> str:
        """Why the base model answers, where it does."""
        if self.used:
            return ""
        return "base answers: " + ("not judged yet" if self.evidence is None else "no gain on held-out opinions")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class FermiLearner:
    """Fermi as `fit` runs it."""

    bench: Workbench

    @property
    def method(self) -> str:
        """In the store."""
        return METHOD

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the table."""
        return _COLUMNS

    @property
    def numbers(self) -> tuple[str, ...]:
        """All of them."""
        return _COLUMNS

    @property
    def remote(self) -> bool:
        """The workbench's."""
        return self.bench.remote

    def calling(self, calls: Calls) -> FermiLearner:
        """The same, with its models called through `calls`."""
        return FermiLearner(self.bench.calling(calls))

    def unpriced(self) -> list[str]:
        """The workbench's."""
        return self.bench.unpriced()

    async def check(self) -> None:
        """Models first, then the similarity.

        Raises:
            ModelError, MissingExtraError: something cannot be had.
        """
        await self.bench.check_models()
        await self.bench.check_similarity()

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn the user's prompts, checkpoint by checkpoint.

        Raises:
            PersonalizationError, ModelError, HaltedError: as the workbench.
        """
        learned = await self.bench.fit(user, observer=observer, checkpoints=checkpoints)
        return Fitted(learned.to_json(), FermiLearned.of(learned), finished=learned.finished)

    def kept(self, record: PersonalizationRecord, user: User) -> FermiLearned | None:
        """What an earlier run learned to the end, of the same data with the same settings and models."""
        try:
            kept = FermiPersonalization.from_json(record.payload)
        except PersonalizationError:
            return None  # of another version
        same = kept.finished and self.bench.made(kept) and _learned_from(kept, user)
        return FermiLearned.of(kept) if same else None

    def notes(self) -> list[str]:
        """The models'."""
        return self.bench.notes()

    async def aclose(self) -> None:
        """The workbench's connections."""
        await self.bench.aclose()


def _learned_from(kept: FermiPersonalization, user: User) -> bool:
    """Whether it was learned from just this profile and these opinions."""
    seen = [*kept.opinions, *kept.examples, *kept.held_out]
    same = len(seen) == len(user.opinions) and all(opinion in user.opinions for opinion in seen)
    return same and kept.initial.prompt.text == profile_prompt(user.profile)
