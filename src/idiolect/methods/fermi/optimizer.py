"""Fermi's learning loop (arXiv 2406.18678, Algorithm 1), and OPRO as the same loop without failures.

    split U_opi → P⁰ → T × { score new prompts → memory M^t = L best → propose K from the memory } → pool

With T iterations, 1 + (T − 1)·K prompts are scored for the memory; the K proposed last are the pool of
Retrieval-of-Prompt.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.memory import Memory, ScoredPrompt
from idiolect.methods.fermi.meta_prompt import Context
from idiolect.methods.fermi.personalization import FermiPersonalization, Iteration
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.proposal import (
    DemonstrationProposer,
    LlmProposer,
    Proposal,
    ProposalFilter,
    Proposer,
    Round,
)
from idiolect.methods.fermi.scoring import FailureCounts, Scorer, count_failures, race
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Observer, Progress, ignore_progress
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.language_model import CompletionModel, Usage
from idiolect.people.user import Opinion, User


def split_opinions_for_scoring(user: User, settings: FermiSettings) -> tuple[tuple[Opinion, ...], tuple[Opinion, ...]]:
    """Scoring opinions and fixed demonstrations, a seeded draw; at least one opinion always scores."""
    n = len(user.opinions)
    n_scoring = min(n, max(1, round(n * settings.scoring_share)))
    rng = random.Random(f"{settings.seed}:{user.id}:split")
    scoring = set(rng.sample(range(n), n_scoring))
    return (
        tuple(opinion for index, opinion in enumerate(user.opinions) if index in scoring),
        tuple(opinion for index, opinion in enumerate(user.opinions) if index not in scoring),
    )


class Fermi:
    """Learns a user's set of prompts.

    Args:
        answerer: the frozen model `M` with its answering settings; they must be those of `settings`.
        settings: everything else.
        optimizer: `M_opt`; needed where "llm" is among the proposers.

    Raises:
        SettingsError: an LLM proposer without an optimizer, or an answerer with other settings.
    """

    def __init__(
        self, answerer: Answerer, settings: FermiSettings, *, optimizer: CompletionModel | None = None
    ) -> None:
        if answerer.settings != settings.answering:
            raise SettingsError("the answerer's settings are not those of the Fermi settings")
        self._answerer = answerer
        self._settings = settings
        self._optimizer = optimizer if "llm" in settings.proposers else None
        self._proposers: list[Proposer] = [self._proposer(name) for name in settings.proposers]

    def _proposer(self, name: str) -> Proposer:
        if name == "demonstrations":
            return DemonstrationProposer(self._settings.demonstrations)
        if self._optimizer is None:
            raise SettingsError("the LLM proposer needs an optimizer model")
        return LlmProposer(self._optimizer, self._settings.meta_prompt)

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> FermiPersonalization:
        """Run Algorithm 1 on the user's opinions.

        Raises:
            PersonalizationError: the user has no opinions.
            ModelError: a model could not answer.
        """
        if not user.opinions:
            raise PersonalizationError(f"user {user.id!r} has no opinions: Fermi learns from answered questions")
        opinions, examples = split_opinions_for_scoring(user, self._settings)
        run = _Run(user, opinions, examples, self._settings, Scorer(opinions, self._answerer), self._proposers)
        await run.learn(observer)
        pool = await run.pool()
        return FermiPersonalization(
            user_id=user.id,
            model=self._answerer.model_name,
            optimizer=self._optimizer.name if self._optimizer else None,
            settings=self._settings,
            opinions=opinions,
            examples=examples,
            initial=run.initial,
            prompts=tuple(pool),
            memory=run.memory.entries,
            iterations=tuple(run.history),
            answering=run.scorer.usage,
            optimizing=run.optimizing,
        )


@dataclass(slots=True)
class _Run:
    """The state of learning for one user; `new` holds the prompts proposed last, not scored yet."""

    user: User
    opinions: tuple[Opinion, ...]
    examples: tuple[Opinion, ...]
    settings: FermiSettings
    scorer: Scorer
    proposers: Sequence[Proposer]
    memory: Memory = field(init=False)
    initial: ScoredPrompt = field(init=False)
    new: list[ScoredPrompt] = field(init=False)
    counts: FailureCounts = field(init=False)
    filter: ProposalFilter = field(init=False)
    optimizing: Usage = Usage()
    history: list[Iteration] = field(default_factory=list)
    born: int = 1

    def __post_init__(self) -> None:
        first = Prompt(profile_prompt(self.user.profile))
        self.memory = Memory(self.settings.memory_size)
        self.initial = self.scorer.unscored(first, 0)
        self.new = [self.initial]
        self.counts = FailureCounts.of(len(self.opinions))
        self.filter = ProposalFilter(self.settings.meta_prompt, skip_quoted=self.settings.quoted == "skip")
        self.filter.see([first])

    async def learn(self, observer: Observer) -> None:
        """T × (score, remember, propose)."""

        def tell(stage: str) -> None:
            best = self.memory.best.score if self.memory.entries else None
            done, total = len(self.history), self.settings.iterations
            observer(Progress(self.user.id, stage, done, total, best, self.scorer.usage + self.optimizing))

        for iteration in range(self.settings.iterations):
            tell(f"scoring {len(self.new)} prompt{'s' if len(self.new) != 1 else ''}")
            scored = await self._score()
            tell("proposing prompts")
            rejected_before = dict(self.filter.rejected)
            accepted = await self._propose(iteration)
            self.new = [self.scorer.unscored(p, self.born + k) for k, p in enumerate(accepted)]
            self.born += len(accepted)
            rejected = {r: n - rejected_before.get(r, 0) for r, n in self.filter.rejected.items()}
            self.history.append(
                Iteration(
                    scored=len(scored),
                    dropped=sum(not prompt.complete for prompt in scored),
                    best_score=self.memory.best.score,
                    proposed=len(accepted),
                    rejected={reason: n for reason, n in rejected.items() if n},
                    answering=self.scorer.usage,
                    optimizing=self.optimizing,
                )
            )
        tell("learned")

    async def _score(self) -> list[ScoredPrompt]:
        if self.settings.pruning:
            scored = await race(self.scorer, self.new, self.memory, counts=self.counts, wave=self.settings.wave)
        else:
            scored = await self.scorer.complete(self.new)
        count_failures(self.counts, scored)
        self.memory = self.memory.updated(prompt for prompt in scored if prompt.complete)
        if not self.history:
            self.initial = scored[0]
        return scored

    async def _propose(self, iteration: int) -> list[Prompt]:
        """K proposals, dealt out over the proposers; when all are rejected, up to `redraws` times K more."""
        s = self.settings
        context = Context(self.user.profile, self.opinions, self.examples, self.memory, s.thresholds, s.answering)
        for attempt in range(s.redraws + 1):
            draws = range(attempt * s.proposals, (attempt + 1) * s.proposals)
            proposals: list[Proposal] = []
            for place, proposer in enumerate(self.proposers):
                dealt = tuple(draw for draw in draws if draw % len(self.proposers) == place)
                if dealt:
                    made = await proposer.propose(context, Round((s.seed, self.user.id), iteration, dealt))
                    proposals += made.proposals
                    self.optimizing += made.usage
            accepted = self.filter.accept(sorted(proposals, key=lambda p: p.draw), context)
            if accepted:
                return accepted
        return []

    async def pool(self) -> list[ScoredPrompt]:
        """The prompts that Retrieval-of-Prompt chooses from; scored now unless that is left for later (lazy).

        Where the last proposals were all rejected, the memory stands in for them.
        """
        retrieval = self.settings.retrieval
        last = [] if retrieval.pool == "memory" else self.new
        memory = self.memory.entries if retrieval.pool != "last" or not last else ()
        pool = [*memory, *last]
        return pool if retrieval.lazy else await self.scorer.complete(pool)
