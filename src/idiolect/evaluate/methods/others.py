"""Settings of a method that are chosen on other people, once for an evaluation, such as a number of training steps.

    benchmark.others → parts (to learn from, held out) → gain of every candidate → the best mean over people → everybody

Each of the others learns from as many opinions and as many texts as the reported people do, in the median, so that
one choice holds for all of them; a point of a learning curve has a choice of its own. A gain is paired: the
log-likelihood of the person's held-out answers and texts, minus that of the model without anything learned. Texts (in
nat per token) and choices (in nat) count alike, however many there are. Nothing of a reported person takes part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_low
from typing import Any, Generic, TypeVar

from idiolect.errors import ModelError, PersonalizationError, SettingsError, UnusableModelError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.methods.chameleon.judging import ItemScores, log_likelihoods, mean_gain
from idiolect.methods.chameleon.roles import Item, deal_roles
from idiolect.methods.chameleon.settings import ChameleonSettings, GenerationSettings
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.setting_checks import require
from idiolect.models.language_model import LanguageModel
from idiolect.people.splits import shuffled
from idiolect.people.user import User

T = TypeVar("T")
C = TypeVar("C", bound=Hashable)

_ROLES = ChameleonSettings(
    generation=GenerationSettings(personalized="own", least_pairs=2), evidence=EvidenceSettings(share=0.2)
)
"""A fifth of an other person's history is held out, with everything on the same wording, and two items remain."""


@dataclass(frozen=True, slots=True)
class Others:
    """Settings of the people to choose on.

    Args:
        people: maximum number of people.
        held_out: maximum number of held-out opinions and texts, together, of each of them.
    """

    people: int = 4
    held_out: int = 6

    def __post_init__(self) -> None:
        require(self.people >= 1, "others.people", self.people, "at least 1")
        require(self.held_out >= 1, "others.held_out", self.held_out, "at least 1")


@dataclass(frozen=True, slots=True)
class Part:
    """Another person: what is learned from, and the items that are held out."""

    learning: User
    held_out: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Choice(Generic[C]):
    """The candidate that was chosen.

    Args:
        best: the candidate with the highest mean gain; of several, the first.
        gains: mean gain of each candidate over the people (`gain_on`).
        people: number of people.
        seconds: time that choosing took.
        left_out: for each of the others who could not be learned from, why.
    """

    best: C
    gains: Mapping[C, float]
    people: int
    seconds: float
    left_out: tuple[str, ...] = ()

    def notes(self) -> dict[str, Any]:
        """Return the facts for a record."""
        gains = {str(candidate): round(gain, 4) for candidate, gain in self.gains.items()}
        notes = {"gains": gains, "people": self.people, "seconds": round(self.seconds, 3)}
        return notes | ({"left_out": list(self.left_out)} if self.left_out else {})


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of a history is learned from.

    Args:
        opinions, texts: maximum numbers of opinions and of texts; 0: none.
    """

    opinions: int
    texts: int


GainsOf = Callable[[Part, Desk], Awaitable[Mapping[C, float]]]


def sizes_of_reported(bench: Bench, *, most: int | None = None) -> Sizes:
    """Return the median number of opinions of the reported people who have any, and that of their texts.

    Args:
        bench: bench with the benchmark.
        most: maximum of either, at a point of a learning curve; None: no maximum.
    """
    histories = [case.user for case in bench.benchmark.cases]

    def median(counts: Sequence[int]) -> int:
        found = median_low([n for n in counts if n] or [0])
        return found if most is None else min(found, most)

    return Sizes(median([len(user.opinions) for user in histories]), median([len(user.texts) for user in histories]))


def parts_of_others(bench: Bench, others: Others, *, sizes: Sizes, only_texts: bool = False) -> list[Part]:
    """Return people who are not reported, in two parts each; those with too little history are left out.

    Args:
        bench: bench with the benchmark.
        others: settings.
        sizes: how much to learn from.
        only_texts: leave opinions out.
    """
    found: list[Part] = []
    for user in bench.benchmark.others:
        opinions = () if only_texts else shuffled(user.opinions, "others", user.id, "opinions")
        mixed = (opinions, shuffled(user.texts, "others", user.id, "texts"))
        if not any(mixed):
            continue
        try:
            (roles,) = deal_roles([replace(user, opinions=mixed[0], texts=mixed[1])], _ROLES, owner=user.id)
        except PersonalizationError:
            continue
        if roles.learning is not None and roles.judging:
            opinions, texts = roles.learning.opinions[: sizes.opinions], roles.learning.texts[: sizes.texts]
            if opinions or texts:
                learning = replace(roles.learning, opinions=opinions, texts=texts)
                found.append(Part(learning, roles.judging[: others.held_out]))
        if len(found) == others.people:
            break
    return found


def check_others(bench: Bench, others: Others, what: str, brackets: str, *, only_texts: bool = False) -> None:
    """Check that there is somebody to choose on.

    Raises:
        SettingsError: there is nobody; the message says `what` is chosen, and which `brackets` fix it.
    """
    if not parts_of_others(bench, others, sizes=Sizes(1, 1), only_texts=only_texts):
        raise SettingsError(
            f"{what} is chosen on people who are not reported, of whom nobody has enough history: fix it with "
            f"{brackets} in brackets"
        )


async def chosen_on_others(
    key: Hashable, case: Case, desk: Desk, others: Others, gains_of: GainsOf[C], *, only_texts: bool = False
) -> Choice[C]:
    """Return the best candidate, which is computed once for all people of the evaluation, or of a point of a curve.

    Args:
        key: key of the method with its settings.
        case: a reported person, of whom only the point of a learning curve is used.
        desk: desk of the person for whom it is computed first, who bears the cost.
        others: settings of the people.
        gains_of: returns the gain of each candidate for one of the others.
        only_texts: leave opinions out.

    Raises:
        PersonalizationError: the method can learn from none of the others.
        ModelError: the same, because the model failed; or no call of the model can succeed.
    """
    sizes = sizes_of_reported(desk.bench, most=case.most)
    whole = ("chosen on others", key, sizes, others)

    async def choose() -> Choice[C]:
        parts = parts_of_others(desk.bench, others, sizes=sizes, only_texts=only_texts)
        return await _chosen(parts, replace(desk, seed=0), gains_of)

    return await desk.bench.once(whole, choose)


async def _chosen(parts: Sequence[Part], desk: Desk, gains_of: GainsOf[C]) -> Choice[C]:
    start, found = time.perf_counter(), list[Mapping[C, float]]()
    failures: list[PersonalizationError | ModelError] = []
    for part in parts:
        try:
            found.append(await gains_of(part, desk))
        except UnusableModelError:
            raise
        except (PersonalizationError, ModelError) as error:
            failures.append(error)
    if not found:
        kind = ModelError if any(isinstance(each, ModelError) for each in failures) else PersonalizationError
        reason = str(failures[-1]) if failures else "there is nobody"
        raise kind(f"settings cannot be chosen on other people: {reason}")
    common = [each for each in found[0] if all(each in gains for gains in found)]
    means = {each: math.fsum(gains[each] for gains in found) / len(found) for each in common}
    best = max(common, key=means.__getitem__)
    return Choice(best, means, len(found), time.perf_counter() - start, tuple(map(str, failures)))


async def item_scores(part: Part, model: LanguageModel, desk: Desk) -> ItemScores:
    """Return the log-likelihood of each of a person's held-out items under a model, in nat (texts: per token)."""
    return await log_likelihoods(part.held_out, model, desk.bench.answering)


def gain_on(part: Part, learned: ItemScores, base: ItemScores) -> float:
    """Return the gain on a person's held-out items: the mean of texts and that of choices, averaged.

    Args:
        part: the person; something is held out.
        learned: scores of the model with what was learned (`item_scores`).
        base: scores of the model without it.
    """
    gain = mean_gain(part.held_out, learned, base)
    assert gain is not None
    return gain
