"""Continued learning after a person's opinions changed: which opinion is which, and which responses stay valid.

A kept response is valid as long as the model would see the same text and the same question, so each cell's rendered
prompt is compared before and after. If it is the same, the response is judged by the current answer, at no cost. If it
is not (the prompt shows a changed or a removed opinion), the cell is open and is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from idiolect.errors import PersonalizationError
from idiolect.methods.fermi.checkpoint import State
from idiolect.methods.fermi.crossing import folds_of, number_of_folds
from idiolect.methods.fermi.dispositions import Disposition
from idiolect.methods.fermi.examples import neighbours_of_each
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt, judge
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt, question_key, quoted_opinions, render_prompt
from idiolect.methods.fermi.roles import Roles
from idiolect.methods.fermi.scoring import FailureCounts, Room
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.fermi.withheld import withheld_by
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, User


@dataclass(frozen=True, slots=True)
class Regrouped:
    """A user's current opinions in their earlier roles.

    Args:
        roles: remaining opinions keep their role and order; new ones are at the end.
        places: for each scoring opinion, its earlier index among the scoring opinions; None for a new one.
        changed: whether any opinion is new, was removed, or has another answer.
    """

    roles: Roles
    places: tuple[int | None, ...]
    changed: bool


def regrouped(learned: FermiPersonalization, user: User) -> Regrouped:
    """Match the user's current opinions with those that were learned from.

    The same question (with the same choices) and the same answer make the same opinion; the same question with another
    answer is a changed opinion. A new opinion scores, unless a held-out opinion has the same question. Then it is held
    out too, because learning from it would reveal the evidence.

    Raises:
        PersonalizationError: no scoring opinion is left.
    """
    known = (*learned.opinions, *learned.examples, *learned.held_out)
    now, new = _matched(known, user.opinions)
    changed = bool(new) or any(o is None or o.answer != k.answer for o, k in zip(now, known, strict=True))
    n, m = len(learned.opinions), len(learned.opinions) + len(learned.examples)
    kept_out = {question_key(opinion.question) for opinion in learned.held_out}
    scoring_new = [o for o in new if question_key(o.question) not in kept_out]
    places = [*(i for i in range(n) if now[i] is not None), *(None for _ in scoring_new)]
    roles = Roles(
        (*_left(now[:n]), *scoring_new),
        _left(now[n:m]),
        (*_left(now[m:]), *(o for o in new if question_key(o.question) in kept_out)),
    )
    if not roles.scoring:
        raise PersonalizationError(f"user {user.id!r} has no opinion left that was learned from: fit the user again")
    return Regrouped(roles, tuple(places), changed)


def _matched(known: Sequence[Opinion], opinions: Sequence[Opinion]) -> tuple[list[Opinion | None], list[Opinion]]:
    """Return the current form of each known opinion (None: it was removed), and the new opinions."""
    now: list[Opinion | None] = [None] * len(known)
    new = list(opinions)
    keys: tuple[Callable[[Opinion], object], ...] = (lambda o: (o.question, o.answer), lambda o: o.question)
    for key in keys:  # equal opinions first, because a question may have been asked twice
        free: dict[object, list[int]] = {}
        for place in reversed(range(len(known))):
            if now[place] is None:
                free.setdefault(key(known[place]), []).append(place)
        rest = []
        for opinion in new:
            if places := free.get(key(opinion)):
                now[places.pop()] = opinion
            else:
                rest.append(opinion)
        new = rest
    return now, new


def _left(opinions: Iterable[Opinion | None]) -> tuple[Opinion, ...]:
    return tuple(opinion for opinion in opinions if opinion is not None)


def dealt_folds(
    opinions: Sequence[Opinion], settings: FermiSettings, user_id: str, *, before: FermiPersonalization | None = None
) -> tuple[int, ...]:
    """Return the fold of each scoring opinion; those of an earlier result stay, if it was crossed in the same way."""
    kept = {}
    if before is not None and before.folds and before.settings.search.crossing == settings.search.crossing:
        keys = (question_key(opinion.question) for opinion in before.opinions)
        kept = dict(zip(keys, before.folds, strict=True))
    folds = number_of_folds(opinions, settings.search.crossing)
    return folds_of(opinions, folds, seed=settings.seed, user_id=user_id, kept=kept)


async def going_on(
    learned: FermiPersonalization, groups: Regrouped, settings: FermiSettings, similarity: Similarity | None
) -> State:
    """Return the initial state of an extension: everything that is still valid, and the memory with its open cells.

    Texts that were dropped before are no longer known and may be proposed again, since the opinions that they failed on
    may have changed.
    """
    k, with_choices = settings.hybrid.examples, settings.retrieval.with_choices
    behind = [
        await neighbours_of_each(opinions, similarity, k=each, with_choices=with_choices)
        for opinions, each in ((learned.opinions, learned.settings.hybrid.examples), (groups.roles.scoring, k))
    ]
    then = withheld_by(learned.initial)
    now = {new for new, old in enumerate(groups.places) if old in then}
    shown = [
        [[index for index in each if index not in left_out] for each in nearest]
        for nearest, left_out in zip(behind, (then, now), strict=True)
    ]
    carry = _Carrier(learned, groups, settings, (shown[0], shown[1]))
    initial = carry.over(learned.initial)
    memory, prompts = (_distinct(map(carry.over, those)) for those in (learned.memory, learned.prompts))
    return State(
        step="rescore",
        initial=initial,
        memory=memory,
        new=prompts,
        counts=FailureCounts.of(len(groups.places)),
        seen=tuple(dict.fromkeys(p.prompt.identity for p in (initial, *memory, *prompts))),
        answering=learned.answering,
        optimizing=learned.optimizing,
        history=learned.iterations,
        born=1 + sum(iteration.proposed for iteration in learned.iterations),
        dispositions=carried_over(learned, groups),
        room=Room(learned.found_limit),
    )


def carried_over(learned: FermiPersonalization, groups: Regrouped) -> tuple[Disposition, ...]:
    """Return the dispositions with new indices, and without trials on opinions that were changed.

    What explained only opinions that were changed or removed is dropped, except for a person's own words and what they
    struck, which has to stay struck. An opinion on a question that the optimizer saw counts as seen, even if the
    question was asked again with other choices.
    """
    index = {old: new for new, old in enumerate(groups.places) if old is not None}
    same = {old for old, new in index.items() if learned.opinions[old].answer == groups.roles.scoring[new].answer}
    found = []
    for each in learned.dispositions:
        if each.origin == "optimizer" and not (each.own or each.struck or same.intersection(each.explains)):
            continue
        trials = tuple(replace(trial, index=index[trial.index]) for trial in each.trials if trial.index in same)
        explains = tuple(index[i] for i in each.explains if i in index)
        seen = _on_questions((question_key(learned.opinions[i].question) for i in each.seen), groups.roles.scoring)
        found.append(replace(each, explains=explains, seen=seen, trials=trials))
    return tuple(found)


def _on_questions(keys: Iterable[str], opinions: Sequence[Opinion]) -> tuple[int, ...]:
    """Return the indices of the opinions on questions with these keys (`question_key`)."""
    questions = frozenset(keys)
    return tuple(index for index, opinion in enumerate(opinions) if question_key(opinion.question) in questions)


def _distinct(prompts: Iterable[ScoredPrompt]) -> tuple[ScoredPrompt, ...]:
    """Drop duplicates, keeping the first; two prompts can become equal when an example is removed."""
    found: dict[object, ScoredPrompt] = {}
    for scored in prompts:
        found.setdefault(scored.prompt.identity, scored)
    return tuple(found.values())


class _Carrier:
    """Conversion of prompts from the earlier opinions to the current ones."""

    def __init__(
        self,
        learned: FermiPersonalization,
        groups: Regrouped,
        settings: FermiSettings,
        behind: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]],
    ) -> None:
        self._then, self._now = learned.opinions, groups.roles.scoring
        self._places = groups.places
        self._index = {old: new for new, old in enumerate(groups.places) if old is not None}
        self._settings = settings
        found = Room(learned.found_limit)
        limits = (learned.settings.hybrid.max_prompt_tokens, settings.hybrid.max_prompt_tokens)
        self._limits = tuple(found.within(limit).max_tokens for limit in limits)
        self._behind = behind  # each opinion's nearest others, then and now
        self._unquoting = learned.initial.prompt.text  # a profile never counts as quoting an opinion
        self._shown = frozenset(question_key(opinion.question) for opinion in learned.examples)

    def over(self, scored: ScoredPrompt) -> ScoredPrompt:
        """Return the prompt with new indices and with the responses that are still valid."""
        prompt = self._prompt(scored.prompt)
        cells = tuple(
            None if old is None or new in prompt.revealed else self._cell(scored, old, prompt, new)
            for new, old in enumerate(self._places)
        )
        return ScoredPrompt(prompt, scored.born, cells)

    def _prompt(self, prompt: Prompt) -> Prompt:
        skip = self._settings.quoted == "skip" and prompt.text != self._unquoting
        return replace(
            prompt,
            demonstrations=tuple(self._index[i] for i in prompt.demonstrations if i in self._index),
            quotes=quoted_opinions(prompt.text, self._now) if skip else (),
            seen=self._seen(prompt),
            driven_by=tuple(
                replace(seen, index=self._index[seen.index]) for seen in prompt.driven_by if seen.index in self._index
            ),
        )

    def _seen(self, prompt: Prompt) -> tuple[int, ...]:
        """Return the current opinions that the prompt's optimizer knows: also others on a question that it saw.

        A text that was written without crossing knows all earlier opinions, as soon as scores are crossed.
        """
        crossed_now = self._settings.search.crossing > 1 and prompt.text != self._unquoting
        if prompt.fold is None and not crossed_now:
            return ()
        seen = range(len(self._then)) if prompt.fold is None else prompt.seen
        return _on_questions(self._shown.union(question_key(self._then[i].question) for i in seen), self._now)

    def _cell(self, scored: ScoredPrompt, old: int, prompt: Prompt, new: int) -> ScoredAnswer | None:
        cell, opinion, answering = scored.cells[old], self._now[new], self._settings.answering
        if cell is None:
            return None
        asked, (then, now), (limit, new_limit) = opinion.question, self._behind, self._limits
        before = render_prompt(scored.prompt, self._then, answering, asked=asked, nearest=then[old], max_tokens=limit)
        after = render_prompt(prompt, self._now, answering, asked=asked, nearest=now[new], max_tokens=new_limit)
        return judge(opinion, cell.response) if before == after else None
