"""Fermi's learning loop (arXiv 2406.18678, Algorithm 1) as steps from state to state, each saved when it is done.

from nothing              T × { score new prompts → memory M^t = L best → propose K from the memory } → pool
from an earlier result    score the memory on new opinions → n × { propose K → score them → memory } → pool
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.checkpoint import Bookmark, Half, State, Step
from idiolect.methods.fermi.disposition_request import DispositionWriter
from idiolect.methods.fermi.disposition_trials import state_dispositions, tried
from idiolect.methods.fermi.draws import DrawPlan
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization, Iteration
from idiolect.methods.fermi.prompt import Prompt, Proposal
from idiolect.methods.fermi.proposal import ProposalFilter, Proposer, Round
from idiolect.methods.fermi.roles import Roles
from idiolect.methods.fermi.scoring import FailureCounts, Scorer, count_failures, race
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.fermi.withheld import withheld_by, without_refused_examples
from idiolect.methods.personalization import Observer, Progress
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.similarity import Similarity
from idiolect.people.user import User


@dataclass(frozen=True, slots=True)
class Task:
    """Task of one run.

    Args:
        user: the user, whose profile is shown to proposers.
        roles: the user's opinions by role.
        settings: settings of the method, except that `iterations` below replaces theirs.
        answerer: `M`.
        proposers: proposers of prompts.
        model, optimizer: names of the models in the result.
        first: number of iterations before this run.
        iterations: number of iterations in this run.
        ends_with: last step of an iteration, "propose" or "score"; the other one is its first.
        neighbours: for each scoring opinion, the opinions that stand behind each prompt that is scored on it.
        folds: the fold of each scoring opinion (crossing).
        writer: the optimizer as a writer of dispositions; None: none are stated.
        similarity: similarity of questions, for trying dispositions.
    """

    user: User
    roles: Roles
    settings: FermiSettings
    answerer: Answerer
    proposers: tuple[Proposer, ...]
    model: str
    optimizer: str | None
    first: int
    iterations: int
    ends_with: Step
    neighbours: tuple[tuple[int, ...], ...]
    folds: tuple[int, ...]
    writer: DispositionWriter | None = None
    similarity: Similarity | None = None


def beginning(user: User, roles: Roles, settings: AnsweringSettings, *, ends_with: Step) -> State:
    """Return the initial state, which has only `P⁰`, not yet scored.

    If iterations end with scoring, `P⁰` is scored before the first of them.
    """
    prompt = Prompt(profile_prompt(user.profile, settings))
    n = len(roles.scoring)
    initial = ScoredPrompt(prompt, 0, (None,) * n)
    counts, seen = FailureCounts.of(n), (prompt.identity,)
    if ends_with == "score":
        return State("rescore", initial, (initial,), (), counts, seen)
    return State("score", initial, (), (initial,), counts, seen)


class Learning:
    """Run of the learning loop for one user.

    Attributes:
        state: state after the last complete step.
    """

    def __init__(self, task: Task, state: State, *, observer: Observer, bookmark: Bookmark) -> None:
        self.state = state
        self._task = task
        self._observer = observer
        self._bookmark = bookmark
        self._scorer = Scorer(
            task.roles.scoring,
            task.answerer,
            usage=state.answering,
            neighbours=task.neighbours,
            room=state.room.within(task.settings.hybrid.max_prompt_tokens),
        )
        self._scorer.leave_out(withheld_by(state.initial))
        self._plan = DrawPlan(task.user, task.roles, task.settings, task.folds)
        self._optimizing = state.optimizing
        self._steps = {
            "rescore": self._rescore,
            "score": self._score,
            "propose": self._propose,
            "pool": self._fill_pool,
            "dispositions": self._state_dispositions,
            "trials": self._try_dispositions,
        }

    async def learn(self) -> None:
        """Take the remaining steps, and save the state after each; end at once if the model is silent.

        Raises:
            HaltedError: the run was halted; `state` is the state after the last complete step.
            ModelError: a model could not answer.
        """
        while self.state.step != "learned":
            await asyncio.sleep(0)  # steps without calls would otherwise never let a cancellation through
            state = await self._steps[self.state.step]()
            scorer = self._scorer
            self.state = replace(state, answering=scorer.usage, optimizing=self._optimizing, room=scorer.room)
            if self.silent:
                return  # not saved, so that a resumed run asks again: a filter may have refused the questions
            self._bookmark.save(self.state)

    def report(self, stage: str) -> None:
        """Report the current stage to the observer."""
        task, state = self._task, self.state
        best = state.memory[0].score if state.memory and state.step != "rescore" else None
        done = len(state.history) - task.first
        spent = self._scorer.usage + self._optimizing
        self._observer(Progress(task.user.id, stage, done, task.iterations, best, spent))

    @property
    def usable(self) -> bool:
        """Whether there is a memory of fully scored prompts."""
        return bool(self.state.memory) and self.state.step != "rescore"

    @property
    def silent(self) -> bool:
        """Whether all answers to `P⁰`, before anything was learned, are empty; no other prompt would change that."""
        return not self.state.history and self.personalization(finished=False).readings.silent

    def personalization(self, *, finished: bool = True) -> FermiPersonalization:
        """Return the result so far. If it is not finished, its pool is the memory, which needs no further call."""
        task, state = self._task, self.state
        return FermiPersonalization(
            user_id=task.user.id,
            model=task.model,
            optimizer=task.optimizer,
            settings=task.settings,
            opinions=task.roles.scoring,
            examples=task.roles.examples,
            initial=state.initial,
            prompts=state.pool if finished else state.memory,
            memory=state.memory,
            iterations=state.history,
            answering=self._scorer.usage,
            optimizing=self._optimizing,
            finished=finished,
            held_out=task.roles.held_out,
            folds=task.folds if task.settings.search.crossing > 1 else (),
            dispositions=state.dispositions,
            max_prompt_tokens=self._scorer.room.max_tokens,
        )

    def _after(self, step: Step, state: State) -> State:
        """Return the state with the step that follows; after the last step of an iteration, add it to the history."""
        task = self._task
        if step == task.ends_with:
            half = state.half
            iteration = Iteration(
                scored=half.scored,
                dropped=half.dropped,
                best_score=self._plan.best_score(state),
                proposed=half.proposed,
                rejected=half.rejected,
                answering=self._scorer.usage,
                optimizing=self._optimizing,
            )
            state = replace(state, history=(*state.history, iteration), half=Half())
            ended = self._plan.ends_early(state, task.first, scored=step == "score")
            if ended or len(state.history) >= task.first + task.iterations:
                return replace(state, step="pool")
        return replace(state, step="propose" if step == "score" else "score")

    async def _score(self) -> State:
        state = self.state
        self.report(f"scoring {len(state.new)} prompt{'s' if len(state.new) != 1 else ''}")
        scored = await self._scored(state)
        counts = state.counts.copy()
        count_failures(counts, scored)
        state = replace(
            state,
            initial=state.initial if state.memory else scored[0],
            memory=self._plan.remembered(state, [prompt for prompt in scored if prompt.complete]),
            new=tuple(scored),
            counts=counts,
            half=replace(state.half, scored=len(scored), dropped=sum(not prompt.complete for prompt in scored)),
        )
        return self._after("score", state)

    async def _scored(self, state: State) -> list[ScoredPrompt]:
        """Score the new prompts: all of their cells, or as far as is needed to know which of them are remembered."""
        settings = self._task.settings
        if not state.memory and self._scorer.shows_examples:
            (initial,) = await self._scorer.complete(state.new)
            return [await without_refused_examples(self._scorer, initial)]
        if not settings.pruning:
            return await self._scorer.complete(state.new)
        by_born: dict[int, ScoredPrompt] = {}
        for new, memory in self._plan.races(state):
            scored = await race(self._scorer, new, memory, counts=state.counts, wave=settings.wave)
            by_born |= {prompt.born: prompt for prompt in scored}
        return [by_born[prompt.born] for prompt in state.new]

    async def _show_failures(self, state: State, draws: Sequence[int]) -> State:
        """Ask the opinions that the optimizers of these draws see, under the prompts whose failures they are shown."""
        parents = self._plan.parents(state, draws)
        if not parents:
            return state
        rows = [prompt for prompt in state.memory if prompt.born in parents]
        cells = [(k, i) for k, prompt in enumerate(rows) for i in prompt.prompt.seen]
        self.report("asking what the optimizer will see")
        known = {prompt.born: prompt for prompt in await self._scorer.fill(rows, cells, known=True)}
        return replace(state, memory=tuple(known.get(prompt.born, prompt) for prompt in state.memory))

    async def _propose(self) -> State:
        settings, seen = self._task.settings, set(self.state.seen)
        chosen = ProposalFilter(settings.meta_prompt, skip_quoted=settings.quoted == "skip", seen=seen)
        state, accepted = await self._draw(self.state, chosen)
        unasked = (None,) * len(self._task.roles.scoring)
        state = replace(
            state,
            new=tuple(ScoredPrompt(prompt, state.born + k, unasked) for k, prompt in enumerate(accepted)),
            seen=(*state.seen, *(prompt.identity for prompt in accepted)),
            born=state.born + len(accepted),
            half=replace(state.half, proposed=len(accepted), rejected=chosen.rejected),
        )
        return self._after("propose", state)

    async def _draw(self, state: State, chosen: ProposalFilter) -> tuple[State, list[Prompt]]:
        """Draw K proposals, from the proposers in turn; if all are rejected, draw K more up to `redraws` times.

        Returns:
            The state with the responses that the optimizers were shown, and the accepted proposals.
        """
        s = self._task.settings
        for attempt in range(s.redraws + 1):
            draws = range(attempt * s.proposals, (attempt + 1) * s.proposals)
            state = await self._show_failures(state, draws)
            if not attempt:
                self.report("proposing prompts")
            proposals = await self._propose_at_once(state, draws)
            accepted = chosen.accept(sorted(proposals, key=lambda p: p.draw), self._plan.everything(state))
            if accepted:
                return state, accepted
        return state, []

    async def _propose_at_once(self, state: State, draws: Sequence[int]) -> list[Proposal]:
        """Return the proposals of draws; those with different contexts are asked for side by side."""
        task = self._task
        key, iteration = (task.settings.seed, task.user.id), len(state.history)
        asked = [
            (context, proposer.propose(context, Round(key, iteration, dealt)))
            for context, same in self._plan.contexts(state, draws)
            for place, proposer in enumerate(task.proposers)
            if (dealt := tuple(draw for draw in same if draw % len(task.proposers) == place))
        ]
        outcomes = await asyncio.gather(*(each for _, each in asked), return_exceptions=True)
        proposals: list[Proposal] = []
        for (context, _), made in zip(asked, outcomes, strict=True):
            if isinstance(made, BaseException):
                raise made  # the others are done, and what they cost is kept by the cache
            proposals += (context.marked(proposal) for proposal in made.proposals)
            self._optimizing += made.usage
        return proposals

    async def _rescore(self) -> State:
        """Ask the open cells of the memory and `P⁰`, and rank the memory again."""
        state, task = self.state, self._task
        self.report("scoring the memory on new opinions")
        (initial,) = await self._scorer.complete([state.initial])
        initial = await without_refused_examples(self._scorer, initial)
        memory = [entry for entry in state.memory if entry.born != initial.born]
        by_born = {prompt.born: prompt for prompt in (initial, *await self._scorer.complete(memory))}
        counts = FailureCounts.of(len(task.roles.scoring))
        count_failures(counts, by_born.values())
        state = replace(state, initial=initial, memory=())
        return replace(
            state,
            step="propose" if task.iterations else "pool",
            memory=self._plan.remembered(state, [by_born[entry.born] for entry in self.state.memory]),
            new=tuple(by_born.get(prompt.born, prompt) for prompt in state.new),
            counts=counts,
        )

    async def _fill_pool(self) -> State:
        """Fill the pool for Retrieval-of-Prompt, and score it unless the settings are lazy.

        If the last proposals were all rejected, the memory takes their place.
        """
        state, retrieval = self.state, self._task.settings.retrieval
        pool = list(_pool(state.memory, () if retrieval.pool == "memory" else state.new, retrieval.pool == "last"))
        if not retrieval.lazy:
            self.report("scoring the pool")
            pool = await self._scorer.complete(pool)
        return replace(state, step="learned" if self._task.writer is None else "dispositions", pool=tuple(pool))

    async def _state_dispositions(self) -> State:
        """Ask the optimizer for dispositions, unless an earlier run has: what the person struck is not stated again."""
        state, task = self.state, self._task
        if task.writer is None or any(each.origin == "optimizer" for each in state.dispositions):
            return replace(state, step="trials")
        self.report("stating dispositions")
        stated, usage = await state_dispositions(
            task.writer,
            task.user,
            task.roles.scoring,
            state.initial,
            task.settings,
            iteration=len(state.history),
            known=state.dispositions,
        )
        self._optimizing += usage
        return replace(state, step="trials", dispositions=(*state.dispositions, *stated))

    async def _try_dispositions(self) -> State:
        state, similarity = self.state, self._task.similarity
        if similarity is None:
            return replace(state, step="learned")
        self.report("trying dispositions")
        after = await tried(state.dispositions, state.initial, self._scorer, self._task.settings, similarity)
        return replace(state, step="learned", dispositions=after)


def _pool(memory: Sequence[ScoredPrompt], last: Sequence[ScoredPrompt], only_last: bool) -> Sequence[ScoredPrompt]:
    if last and only_last:
        return last
    kept = {entry.born for entry in memory}
    return [*memory, *(prompt for prompt in last if prompt.born not in kept)]
