"""The plan of an iteration's draws: fold, parent and kind of each, and what is remembered of the results.

    draw k of iteration t    fold (k + t) mod F,  kind k mod |kinds|,  parent from the memory of its fold

Without crossing, kinds and parents (the paper), all draws share one context.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from idiolect.methods.fermi.checkpoint import State
from idiolect.methods.fermi.crossing import as_seen_by, crossed_memory, folds_of, size_of_fold
from idiolect.methods.fermi.memory import Memory, ScoredPrompt, best_first
from idiolect.methods.fermi.meta_prompt import Context
from idiolect.methods.fermi.roles import Roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.people.user import User


class DrawPlan:
    """What each draw sees, for one user and run; every choice is a function of the state and the seed."""

    def __init__(self, user: User, roles: Roles, settings: FermiSettings) -> None:
        self._user, self._roles, self._settings = user, roles, settings
        self._crossing = settings.search.crossing
        self._folds = folds_of(roles.scoring, self._crossing, seed=settings.seed, user_id=user.id)

    def everything(self, state: State) -> Context:
        """Return the context without any restriction, which checks proposals."""
        return self._context(Memory(self._settings.memory_size, state.memory))

    def contexts(self, state: State, draws: Sequence[int]) -> Iterator[tuple[Context, tuple[int, ...]]]:
        """Yield the different contexts of these draws, each with its draws."""
        shared: dict[tuple[int | None, int | None, str], list[int]] = {}
        for draw in draws:
            fold = self._fold(state, draw)
            key = (fold, self._parent(state, draw, fold), self._kind(draw))
            shared.setdefault(key, []).append(draw)
        for (fold, parent, kind), same in shared.items():
            memory = Memory(self._settings.memory_size, self._visible(state, fold))
            hidden = () if fold is None else tuple(i for i, each in enumerate(self._folds) if each == fold)
            yield self._context(memory, hidden=hidden, fold=fold, parent=parent, kind=kind), tuple(same)

    def parents(self, state: State) -> frozenset[int]:
        """Return the prompts (by `born`) whose failures are shown, and whose responses may be missing for that."""
        if self._crossing == 1 or self._settings.meta_prompt.failures == "none":
            return frozenset()
        draws = range(self._settings.proposals)
        shown: set[int] = set()
        for context, _ in self.contexts(state, draws):
            shown.add(context.first_listed(self._settings.meta_prompt.listed_first).born)
        return frozenset(shown)

    def races(self, state: State) -> Iterator[tuple[list[ScoredPrompt], Memory]]:
        """Yield the new prompts that compete with each other, each group with the memory that they compete for."""
        if self._crossing == 1:
            yield list(state.new), Memory(self._settings.memory_size, state.memory)
            return
        size = size_of_fold(self._settings.memory_size, self._crossing)
        for fold in sorted({prompt.prompt.fold for prompt in state.new}, key=lambda each: -1 if each is None else each):
            own = (entry for entry in state.memory if entry.prompt.fold == fold and entry.born != state.initial.born)
            yield [new for new in state.new if new.prompt.fold == fold], Memory(size, best_first(own))

    def remembered(self, state: State, new: Sequence[ScoredPrompt]) -> tuple[ScoredPrompt, ...]:
        """Return the memory after new prompts were scored in full."""
        size = self._settings.memory_size
        if self._crossing == 1:
            return Memory(size, state.memory).updated(new).entries
        known = {entry.born: entry for entry in (state.initial, *state.memory, *new)}
        return crossed_memory(known[state.initial.born], known.values(), size=size, folds=self._crossing)

    def ends_early(self, state: State, first: int) -> bool:
        """Return whether the search has reached a plateau, or a memory that cannot get better.

        Args:
            state: the state after an iteration.
            first: number of iterations before this run.
        """
        search, done = self._settings.search, state.history[first:]
        own = [entry for entry in state.memory if entry.born != state.initial.born]
        if search.plateau is not None and len(done) > search.plateau:
            recent = state.born - sum(iteration.proposed for iteration in done[-search.plateau :])
            if all(entry.born < recent for entry in state.memory):
                return True
        size, folds = self._settings.memory_size, self._crossing
        full = size if folds == 1 else folds * size_of_fold(size, folds)
        thresholds, opinions = self._settings.thresholds, self._roles.scoring
        perfect = [entry for entry in own if not entry.misaligned(opinions, thresholds)]
        return search.stop_when_perfect and len(perfect) >= full

    def _context(
        self,
        memory: Memory,
        *,
        hidden: tuple[int, ...] = (),
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
            fold=fold,
            parent=parent,
            kind=kind,
            nearest=s.hybrid.examples,
        )

    def _fold(self, state: State, draw: int) -> int | None:
        return None if self._crossing == 1 else (draw + len(state.history)) % self._crossing

    def _kind(self, draw: int) -> str:
        kinds = self._settings.meta_prompt.kinds
        return kinds[draw % len(kinds)] if kinds else ""

    def _visible(self, state: State, fold: int | None) -> tuple[ScoredPrompt, ...]:
        """Return the prompts that a draw of this fold is shown: those of its fold, and `P⁰` as scored there."""
        if fold is None:
            return state.memory
        own = [entry for entry in state.memory if entry.prompt.fold == fold and entry.born != state.initial.born]
        initial = next(entry for entry in state.memory if entry.born == state.initial.born)
        return best_first([*own, as_seen_by(initial, fold, self._folds)])

    def _parent(self, state: State, draw: int, fold: int | None) -> int | None:
        """Draw a parent from the prompts that are best on at least one opinion; None if parents are not drawn."""
        if self._settings.search.parents == "memory":
            return None
        entries = self._visible(state, fold)
        wins = dict.fromkeys((entry.born for entry in entries), 0)
        for index in range(len(self._roles.scoring)):
            judged = [(cell.score, -entry.born) for entry in entries if (cell := entry.judged(index)) is not None]
            if judged:
                wins[-max(judged)[1]] += 1
        front = {born: n for born, n in wins.items() if n} or wins
        key = f"{self._settings.seed}:{self._user.id}:parent:{len(state.history)}:{draw}"
        return random.Random(key).choices(list(front), weights=[n or 1 for n in front.values()])[0]
