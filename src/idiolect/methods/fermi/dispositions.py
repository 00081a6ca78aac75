"""Dispositions: short statements on what a person is like, which the person can read, strike and reword (ours).

    optimizer, once a fold → statements, each with the answers that it explains
    statement → tried on answers that its optimizer did not see → kept if alignment rises → stated where it bears

A disposition is tried with `P⁰`'s form, so all that differs is the statement. When an opinion is judged, a disposition
counts only if its optimizer did not see the opinion, and if it would be kept without the trial on it (leave-one-out).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from idiolect.errors import PersonalizationError
from idiolect.methods.templating import inert, render
from idiolect.models.words import words_of

DispositionOrigin = Literal["optimizer", "person"]

MAX_CHARACTERS = 300
"""Maximum length of a disposition: it is a line of a prompt."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Trial of a disposition on one opinion.

    Args:
        index: index of the scoring opinion.
        before, after: alignment of the answer under `P⁰` without and with the disposition, in [0, 1].
    """

    index: int
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Disposition:
    """A statement on a person.

    Args:
        text: the statement.
        explains: indices of the scoring opinions that the optimizer claimed to explain.
        seen: indices of the scoring opinions that the optimizer saw.
        fold: the fold that it is tried on; None for a person's own.
        trials: trials on opinions that the optimizer did not see.
        origin: who stated it first.
        wording: the person's own words instead of the optimizer's; "": not reworded.
        struck: whether the person has struck it; then it is never used.
    """

    text: str
    explains: tuple[int, ...] = ()
    seen: tuple[int, ...] = ()
    fold: int | None = None
    trials: tuple[Trial, ...] = ()
    origin: DispositionOrigin = "optimizer"
    wording: str = ""
    struck: bool = False

    @property
    def stated(self) -> str:
        """The statement as it is used: in the person's own words if there are any."""
        return self.wording or self.text

    @property
    def own(self) -> bool:
        """Whether these are the person's own words, which need no trial."""
        return self.origin == "person" or bool(self.wording)

    @property
    def gain(self) -> float | None:
        """Mean gain in alignment over the trials; None if there were none."""
        return _gain(self.trials)

    @property
    def used(self) -> bool:
        """Whether it may be stated in a prompt."""
        return self.used_without(())

    @property
    def shown(self) -> bool:
        """Whether the person is shown it: it is used, or would be if they had not struck it."""
        return self.used or self.struck

    def used_without(self, excluded: Collection[int]) -> bool:
        """Return whether it may be stated in a prompt that is judged on excluded opinions."""
        if self.struck:
            return False
        if self.own:
            return True
        rest = _gain(trial for trial in self.trials if trial.index not in excluded)
        return rest is not None and rest > 0 and not set(self.seen) & set(excluded)

    def points_into(self, n: int) -> bool:
        """Return whether every index refers to one of n opinions."""
        return all(0 <= i < n for i in (*self.explains, *self.seen, *(trial.index for trial in self.trials)))


def readable_dispositions(stored: object) -> tuple[Disposition, ...]:
    """Return the dispositions in a stored list, however damaged the list is or whatever version wrote it.

    Of a disposition that is not valid as a whole, only its words, whose they are, and whether it is struck are read.
    """
    found = []
    for each in stored if isinstance(stored, list) else ():
        try:
            found.append(_adapter().validate_python(each))
        except ValidationError:
            if isinstance(each, Mapping) and isinstance(text := each.get("text"), str):
                origin: DispositionOrigin = "person" if each.get("origin") == "person" else "optimizer"
                wording = each.get("wording")
                words = wording if isinstance(wording, str) else ""
                found.append(Disposition(text, origin=origin, wording=words, struck=bool(each.get("struck"))))
    return tuple(found)


@cache
def _adapter() -> TypeAdapter[Disposition]:
    return TypeAdapter(Disposition)


def _gain(trials: Iterable[Trial]) -> float | None:
    each = [trial.after - trial.before for trial in trials]
    return math.fsum(each) / len(each) if each else None


def disposition_key(text: str) -> str:
    """Return a key that is equal for statements with the same words."""
    return " ".join(words_of(text.casefold())) or " ".join(text.casefold().split())


def with_known(text: str, dispositions: Iterable[Disposition]) -> str:
    """Return a prompt's text with dispositions stated behind it, each on a line."""
    lines = [inert(each.stated) for each in dispositions]
    if not lines:
        return text
    return "\n\n".join(filter(None, (text, render("dispositions.jinja", {"lines": lines}))))


@dataclass(frozen=True, slots=True)
class DispositionEdits:
    """A person's changes; numbers are those of `numbered`, before any change.

    Args:
        strike: numbers of dispositions that are wrong.
        restore: numbers of struck ones that hold after all.
        reword: the person's words by number; an optimizer's own words undo the rewording.
        add: further dispositions.

    Raises:
        ValueError: a text is blank or too long, or a number is both struck and restored.
    """

    strike: tuple[int, ...] = ()
    restore: tuple[int, ...] = ()
    reword: tuple[tuple[int, str], ...] = ()
    add: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if both := sorted({*self.strike} & {*self.restore}):
            raise ValueError(f"disposition {both[0]} is both struck and restored")
        for text in (*(text for _, text in self.reword), *self.add):
            if not inert(text):
                raise ValueError("a disposition needs words")
            if len(inert(text)) > MAX_CHARACTERS:
                raise ValueError(f"a disposition has at most {MAX_CHARACTERS} characters")

    @property
    def empty(self) -> bool:
        """Whether nothing is changed."""
        return not (self.strike or self.restore or self.reword or self.add)


def numbered(dispositions: Sequence[Disposition]) -> dict[int, tuple[int, ...]]:
    """Return the indices of the dispositions that a person is shown, by their numbers, which start at 1.

    Dispositions with the same words, which optimizers of several folds stated, have one number. A person's changes
    leave the numbers as they are.
    """
    groups: dict[str, list[int]] = {}
    for place, each in enumerate(dispositions):
        groups.setdefault(disposition_key(each.text), []).append(place)
    shown = (tuple(group) for group in groups.values() if any(dispositions[place].shown for place in group))
    return dict(enumerate(shown, start=1))


def as_one(several: Sequence[Disposition]) -> Disposition:
    """Return dispositions with the same words as one, with the trials and the explained opinions of those shown."""
    shown = [each for each in several if each.shown]
    explains = tuple(dict.fromkeys(index for each in shown for index in each.explains))
    return replace(shown[0], explains=explains, trials=tuple(trial for each in shown for trial in each.trials))


def shown_dispositions(dispositions: Sequence[Disposition]) -> tuple[Disposition, ...]:
    """Return the dispositions that a person is shown, in the order of their numbers."""
    return tuple(as_one([dispositions[place] for place in places]) for places in numbered(dispositions).values())


def edited(dispositions: Sequence[Disposition], edits: DispositionEdits) -> tuple[Disposition, ...]:
    """Return the dispositions with a person's changes, in the order of the fields of `DispositionEdits`.

    Raises:
        PersonalizationError: there is no disposition with that number.
    """
    now, places = list(dispositions), numbered(dispositions)
    changes: list[tuple[int, Callable[[Disposition], Disposition]]] = [
        *((number, partial(replace, struck=True)) for number in edits.strike),
        *((number, _restored) for number in edits.restore),
        *((number, partial(_reworded, text=inert(text))) for number, text in edits.reword),
    ]
    for number, change in changes:
        if number not in places:
            known = f"the numbers are 1 to {len(places)}" if places else "there are none"
            raise PersonalizationError(f"no disposition {number}: {known}")
        for place in places[number]:
            now[place] = change(now[place])
    for text in map(inert, edits.add):
        shown = [place for place, each in enumerate(now) if each.shown]
        same = [place for place in shown if disposition_key(now[place].stated) == disposition_key(text)]
        for place in same:
            one = replace(now[place], struck=False)
            now[place] = _reworded(one, text) if one.origin == "person" else replace(one, wording=text)
        if not same:
            now.append(Disposition(text, origin="person"))
    return tuple(now)


def _restored(one: Disposition) -> Disposition:
    """Return a disposition that the person vouches for; without a gain, it counts as in their own words."""
    again = replace(one, struck=False)
    return again if again.used else replace(again, wording=one.stated)


def _reworded(one: Disposition, text: str) -> Disposition:
    if one.origin == "person":
        return replace(one, text=text, wording="")
    wording = "" if text == one.text else text
    again = replace(one, wording=wording)
    return again if again.used or one.struck else replace(again, wording=text)


def with_edits_of(before: Sequence[Disposition], after: Sequence[Disposition]) -> tuple[Disposition, ...]:
    """Return newly learned dispositions with the changes that the person made to earlier ones.

    What they added or reworded stays, and what they struck stays struck; indices of opinions are dropped, because they
    referred to the earlier opinions.
    """
    now = list(after)
    for each in before:
        if not (each.own or each.struck):
            continue
        same = [place for place, new in enumerate(now) if disposition_key(new.text) == disposition_key(each.text)]
        for place in same:
            now[place] = replace(now[place], wording=each.wording, struck=each.struck, origin=each.origin)
        if not same:
            now.append(replace(each, explains=(), seen=(), fold=None, trials=()))
    return tuple(now)
