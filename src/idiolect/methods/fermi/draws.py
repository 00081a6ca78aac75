"""The plan of an iteration's draws: fold, parent and kind of each, and what is remembered of the results.

    draw k of iteration t    fold (k + t) mod F,  kind k mod |kinds|,  parent from the memory of its fold

Without crossing, kinds and parents (the paper), all draws share one context.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from idiolect.methods.fermi.checkpoint import State
from idiolect.methods.fermi.crossing import (
    as_seen_by,
    best_of_fold,
    crossed_memory,
    number_of_folds,
    on_its_fold,
    size_of_fold,
)
from idiolect.methods.fermi.estimates import estimated_score
from idiolect.methods.fermi.memory import Memory, ScoredPrompt, best_first
from idiolect.methods.fermi.meta_prompt import Context
from idiolect.methods.fermi.roles import Roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.fermi.withheld import withheld_by
from idiolect.people.user import User


class DrawPlan:
    """What each draw sees, for one user and run; every choice is a function of the state and the seed."""

    def __init__(self, user: User, roles: Roles, settings: FermiSettings, folds: tuple[int, ...]) -> None:
        self._user, self._roles, self._settings = user, roles, settings
        self._crossing = number_of_folds(roles.scoring, settings.search.crossing)
        self._folds = folds

    def everything(self, state: State) -> Context:
        """Return the context without any restriction, which checks proposals."""
        return self._context(Memory(self._settings.memory_size, state.memory))

    def contexts(self, state: State, draws: Sequence[int]) -> Iterator[tuple[Context, tuple[int, ...]]]:
        """Yield the different contexts of these draws, each with its draws."""
        shared: dict[tuple[int | None, int | None, str], list[int]] = {}
        for draw in draws:
            fold = self._fold(state, draw)
            key = (fold, self._parent(state, draw, fold), self._kind(state, draw))
            shared.setdefault(key, []).append(draw)
        for (fold, parent, kind), same in shared.items():
            memory = Memory(self._settings.memory_size, self._visible(state, fold))
            yield (
                self._context(
                    memory,
                    hidden=self._hidden(fold),
                    withheld=withheld_by(state.initial),
                    fold=fold,
                    parent=parent,
                    kind=kind,
                ),
                tuple(same),
            )

    def parents(self, state: State, draws: Sequence[int]) -> frozenset[int]:
        """Return the prompts (by `born`) whose failures these draws see, and whose responses may be missing for that.

        The form "paper" also states which failures the other listed prompts have in common with the first one, and the
        demonstration proposer starts from any of them.
        """
        shown, proposers = self._settings.meta_prompt, self._settings.proposers
        if self._crossing == 1 or (shown.failures == "none" and "demonstrations" not in proposers):
            return frozenset()
        compares = shown.shows_one or shown.failures in ("first_only", "none")
        found: set[int] = set()
        for context, _ in self.contexts(state, draws):
            entries = context.memory.entries
            all_of_them = not compares or ("demonstrations" in proposers and context.parent is None)
            found |= {each.born for each in (entries if all_of_them else [context.first_listed(shown.listed_first)])}
        return frozenset(found)

    def races(self, state: State) -> Iterator[tuple[list[ScoredPrompt], Memory]]:
        """Yield the new prompts that compete with each other, each group with the memory that they compete for."""
        if self._crossing == 1:
            yield list(state.new), Memory(self._settings.memory_size, state.memory)
            return
        size = size_of_fold(self._settings.memory_size, self._crossing)
        for fold in sorted({prompt.prompt.fold for prompt in state.new}, key=lambda each: -1 if each is None else each):
            own = (entry for entry in state.memory if entry.prompt.fold == fold and entry.born != state.initial.born)
            kept = tuple(on_its_fold(entry, self._folds) for entry in best_of_fold(own, self._folds))
            yield [new for new in state.new if new.prompt.fold == fold], Memory(size, kept)

    def remembered(self, state: State, new: Sequence[ScoredPrompt]) -> tuple[ScoredPrompt, ...]:
        """Return the memory after new prompts were scored in full."""
        size = self._settings.memory_size
        if self._crossing == 1:
            return Memory(size, state.memory).updated(new).entries
        known = {entry.born: entry for entry in (state.initial, *state.memory, *new)}
        return crossed_memory(
            known[state.initial.born],
            known.values(),
            self._folds,
            most=size_of_fold(size, self._crossing),
            shrinkage=self._settings.retrieval.shrinkage,
        )

    def best_score(self, state: State) -> float:
        """Return the score of the best prompt of the memory, which is an estimate with crossing, in [0, 1]."""
        if self._crossing == 1:
            return state.memory[0].score
        return estimated_score(state.memory[0], state.initial, self._settings.retrieval.shrinkage)

    def ends_early(self, state: State, first: int, *, scored: bool) -> bool:
        """Return whether the search has reached a plateau, or a memory that cannot get better.

        Args:
            state: the state after an iteration.
            first: number of iterations before this run.
            scored: whether the prompts that were proposed last have been scored.
        """
        search, done = self._settings.search, state.history[first:]
        if not scored:  # what the last iteration scored was proposed in the one before it
            done = done[:-1]
        if search.plateau is not None and len(done) >= search.plateau:
            unscored = 0 if scored else state.history[-1].proposed
            recent = state.born - unscored - sum(iteration.proposed for iteration in done[-search.plateau :])
            if all(entry.born < recent for entry in state.memory):
                return True
        size, folds = self._settings.memory_size, self._crossing
        full = size if folds == 1 else folds * size_of_fold(size, folds)
        thresholds, opinions = self._settings.thresholds, self._roles.scoring
        # With crossing, `P⁰` has a place of its own in the memory, whatever its score.
        counted = [entry for entry in state.memory if folds == 1 or entry.born != state.initial.born]
        perfect = [entry for entry in counted if not entry.misaligned(opinions, thresholds)]
        return search.stop_when_perfect and len(perfect) >= full

    def _context(
        self,
        memory: Memory,
        *,
        hidden: tuple[int, ...] = (),
        withheld: frozenset[int] = frozenset(),
        fold: int | None = None,
        parent: int | None = None,
        kind: str = "",
    ) -> Context:
        s, roles = self._settings, self._roles
        return Context(
            self._user.profile,
            roles.scoring,
            roles.examples,
            memory,
            s.thresholds,
            s.answering,
            hidden=frozenset(hidden),
            withheld=withheld,
            fold=fold,
            parent=parent,
            kind=kind,
            nearest=s.hybrid.examples,
        )

    def _fold(self, state: State, draw: int) -> int | None:
        return None if self._crossing == 1 else (draw + len(state.history)) % self._crossing

    def _hidden(self, fold: int | None) -> tuple[int, ...]:
        return () if fold is None else tuple(i for i, each in enumerate(self._folds) if each == fold)

    def _kind(self, state: State, draw: int) -> str:
        """Return what a draw writes about: the next kind in turn among the draws of its proposer."""
        kinds, proposers = self._settings.meta_prompt.kinds, len(self._settings.proposers)
        place = draw // proposers + len(state.history) * (self._settings.proposals // proposers)
        return kinds[place % len(kinds)] if kinds else ""

    def _visible(self, state: State, fold: int | None) -> tuple[ScoredPrompt, ...]:
        """Return the prompts that a draw of this fold is shown: those of its fold, and `P⁰` as scored there.

        A prompt that knows an opinion of the fold, because the folds were others when it was written, is not shown.
        """
        if fold is None:
            return state.memory
        hidden = frozenset(self._hidden(fold))
        own = [
            on_its_fold(entry, self._folds)
            for entry in state.memory
            if entry.prompt.fold == fold and entry.born != state.initial.born and hidden.isdisjoint(entry.prompt.known)
        ]
        initial = next(entry for entry in state.memory if entry.born == state.initial.born)
        return best_first([*own, as_seen_by(initial, fold, self._folds)])

    def _parent(self, state: State, draw: int, fold: int | None) -> int | None:
        """Draw a parent from the prompts that are best on at least one opinion; None if parents are not drawn."""
        if self._settings.search.parents == "memory":
            return None
        entries = self._visible(state, fold)
        wins: dict[int, set[int]] = {entry.born: set() for entry in entries}
        for index in range(len(self._roles.scoring)):
            judged = {entry.born: cell.score for entry in entries if (cell := entry.judged(index)) is not None}
            for born, score in judged.items():
                if score == max(judged.values()):
                    wins[born].add(index)
        # A prompt that is best only where another one is best too, which is best elsewhere as well, has nothing to add.
        front = {born: own for born, own in wins.items() if own and not any(own < other for other in wins.values())}
        key = f"{self._settings.seed}:{self._user.id}:parent:{len(state.history)}:{draw}"
        weights = [len(own) for own in front.values()]
        return random.Random(key).choices(list(front), weights=weights)[0] if front else entries[0].born
