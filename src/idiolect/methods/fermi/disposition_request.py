"""Asking the optimizer for a person's dispositions, and reading its reply.

    [This person distrusts large companies | 2, 5, 11]      a line each: the statement, and the answers that it explains

Whatever has another form is ignored, and so is a statement that quotes an opinion or explains none that was shown.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from idiolect.errors import ContextLengthError, Remedy
from idiolect.methods.fermi.dispositions import MAX_CHARACTERS, Disposition, disposition_key
from idiolect.methods.fermi.extension_settings import DispositionSettings
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.meta_prompt import shown_answer
from idiolect.methods.fermi.prompt import quoted_opinions
from idiolect.methods.shortening import CUTS, cut, first_fitting, room_after, size_of
from idiolect.methods.templating import holds_tag, inert, render
from idiolect.models.language_model import CompletionModel, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.thoughts import after_thoughts
from idiolect.people.user import Opinion, UserProfile

_LARGER = Remedy("optimizer", "NAME", "states dispositions with a model that has a larger context")
_LINE = re.compile(r"\[([^\[\]|]+)\|([^\[\]|]+)\]")
_BULLET = re.compile(r"^(?:[-*•–]|\d+[.)])\s+")
_FEWEST_CHARACTERS = 10
_FEWEST_OPINIONS = 4  # shown before texts are cut


@dataclass(frozen=True, slots=True)
class Seen:
    """What the optimizer sees for one fold.

    Args:
        profile: `U_pro`.
        opinions: the scoring opinions.
        visible: indices of the opinions that it may see.
        initial: `P⁰` with its responses.
        wrong: indices of the opinions that `P⁰` gets wrong.
        fold: the fold on which the statements are tried.
    """

    profile: UserProfile
    opinions: tuple[Opinion, ...]
    visible: tuple[int, ...]
    initial: ScoredPrompt
    wrong: frozenset[int]
    fold: int

    def shown(self, most: int | None) -> tuple[int, ...]:
        """Return the indices of at most this many opinions, in order; wrong answers are chosen first."""
        chosen = sorted(self.visible, key=lambda i: (i not in self.wrong, i))
        return tuple(sorted(chosen[:most]))


class DispositionWriter:
    """The optimizer as a writer of dispositions; a request that is too long for it is shortened."""

    def __init__(self, model: CompletionModel, settings: DispositionSettings) -> None:
        self._model = model
        self._settings = settings

    async def state(
        self, seen: Seen, *, seed: int, known: Collection[str] = ()
    ) -> tuple[tuple[Disposition, ...], Usage]:
        """Return the dispositions that the optimizer states for one fold, and the cost.

        Args:
            seen: what it sees.
            seed: seed of the draw.
            known: keys of dispositions that are not accepted again.

        Raises:
            ContextLengthError: even the shortest request is too long.
            ModelError: the optimizer could not answer.
        """
        versions = list(_versions(seen, self._settings))
        place, room = 0, None
        while True:
            further, text = first_fitting(
                (request_text(seen, self._settings, *each) for each in versions[place:]), room
            )
            place += further
            sampling = SamplingParams(self._settings.max_tokens, self._settings.temperature, seed=seed)
            request = CompletionRequest((Message("user", text),), sampling, seen.fold)
            try:
                (completion,) = await self._model.complete([request])
            except ContextLengthError as error:
                if place == len(versions) - 1:
                    raise error.of("the request for dispositions, in its shortest form,", _LARGER) from None
                room = room_after(error, size_of(text), max_tokens=self._settings.max_tokens)
                continue
            if completion.finish_reason == "content_filter":
                return (), completion.usage
            shown = seen.shown(versions[place][0])
            found = parse_dispositions(after_thoughts(completion.text).text, seen, shown, known=known)
            return found[: self._settings.number], completion.usage


def _versions(seen: Seen, settings: DispositionSettings) -> Iterator[tuple[int, int | None]]:
    """Yield ever smaller numbers of opinions to show, and then ever shorter texts, which begin at None: all."""
    most = min(len(seen.visible), settings.max_shown or len(seen.visible))
    yield most, None
    while most > _FEWEST_OPINIONS:
        most = max(_FEWEST_OPINIONS, most // 2)
        yield most, None
    for longest in CUTS:
        yield most, longest


def request_text(seen: Seen, settings: DispositionSettings, most: int | None, longest: int | None = None) -> str:
    """Return the request, with at most this many opinions, and with at most `longest` characters of each text."""
    entries = []
    for index in seen.shown(most):
        opinion, cell = seen.opinions[index], seen.initial.cells[index]
        missed = cell is not None and index in seen.wrong
        entries.append(
            {
                "number": index + 1,
                "question": cut(opinion.question.text, longest),
                "choices": [cut(choice, longest) for choice in opinion.question.choices],
                "answer": cut(opinion.answer, longest),
                "response": cut(shown_answer(opinion, cell.response), longest) if cell and missed else None,
            }
        )
    profile = {name: cut(value, longest) for name, value in seen.profile.attributes.items()}
    return render("disposition_request.jinja", {"profile": profile, "opinions": entries, "number": settings.number})


def parse_dispositions(
    text: str, seen: Seen, shown: Sequence[int], *, known: Collection[str] = ()
) -> tuple[Disposition, ...]:
    """Return the dispositions in an optimizer's reply, without those that are too short or long, or known.

    Args:
        text: the reply.
        seen: what the optimizer saw.
        shown: indices of the opinions that it was shown; other numbers are ignored.
        known: keys of dispositions that are not accepted again.
    """
    found: dict[str, Disposition] = {}
    for statement, numbers in _LINE.findall(text):
        stated = _BULLET.sub("", inert(statement)).strip('"“” ')
        explains = sorted({int(n) - 1 for n in re.findall(r"\d{1,9}", numbers)} & set(shown))
        key = disposition_key(stated)
        if not _FEWEST_CHARACTERS <= len(stated) <= MAX_CHARACTERS or not explains:
            continue
        if holds_tag(statement) or key in known or quoted_opinions(stated, seen.opinions):
            continue
        found.setdefault(key, Disposition(stated, tuple(explains), seen.visible, seen.fold))
    return tuple(found.values())
