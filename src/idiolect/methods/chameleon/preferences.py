"""The self-generated preference data of CHAMELEON ("fake it", arXiv 2503.01048, Section 3.1): insights, then pairs.

    history → c_P, c_N  (the model's descriptions of this user, and of people in general)
    each query q_i → (p_i^P, p_i^N)  answered with the history and c_P, and with c_N;  i = 1..K

The model gets plain requests; no edit is ever active here, because `fitting` passes the unedited model. A model that
can think is asked not to, and no thought is ever part of a pair. What the limit of tokens cuts off ends with its last
whole sentence (`generation.whole_sentences`), because directions are read at the last token. Degenerate pairs are
dropped and counted. `measuring` computes directions from the pairs without the guidance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from importlib.resources import files
from typing import Literal

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.history import cut
from idiolect.methods.chameleon.sentences import whole_sentences
from idiolect.methods.chameleon.settings import GenerationSettings
from idiolect.methods.templating import render
from idiolect.methods.texts import PLAIN_REQUEST, storable
from idiolect.models.language_model import (
    Completion,
    CompletionModel,
    CompletionRequest,
    Message,
    SamplingParams,
    Usage,
)
from idiolect.models.thoughts import after_thoughts
from idiolect.models.words import words_of
from idiolect.people.user import Opinion

DropReason = Literal["blank", "cut off", "too alike", "repeated"]


@dataclass(frozen=True, slots=True)
class Insights:
    """The model's descriptions of the user (`c_P`) and of people in general (`c_N`)."""

    personalized: str
    neutral: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one query: p^P and p^N."""

    query: str
    personalized: str
    neutral: str


@dataclass(frozen=True, slots=True)
class PreferenceData:
    """Preference data generated for one user.

    Args:
        insights: insights about the user; None if no guidance was needed.
        pairs: usable pairs.
        dropped: number of dropped pairs, by reason.
        usage: cost of the generation.
    """

    insights: Insights | None
    pairs: tuple[Pair, ...]
    dropped: dict[DropReason, int]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Query:
    """A query that both sides of a pair answer.

    Args:
        text: text for the model.
        own: the user's own answer; "" if unknown.
    """

    text: str
    own: str = ""


def subjects() -> list[str]:
    """Return the packaged subjects to write about, for users with too few questions."""
    return files("idiolect.methods.chameleon").joinpath("subjects.txt").read_text("utf-8").split("\n")[:-1]


def question_query(opinion: Opinion, *, max_chars: int) -> Query:
    """Return a query that asks the user's question and for more than a word; longer texts are cut."""
    question = opinion.question
    values = {"kind": "question", "text": cut(question.text, max_chars), "choices": question.choices}
    return Query(render("chameleon_query.jinja", values), cut(opinion.answer, max_chars))


def subject_query(subject: str) -> Query:
    """Return a query to write about a subject."""
    return Query(render("chameleon_query.jinja", {"kind": "subject", "text": subject, "choices": ()}))


def text_query(text: str, *, max_chars: int) -> Query:
    """Return a query without a subject, with a text of the user as their own answer; a longer text is cut."""
    return Query(PLAIN_REQUEST, cut(text, max_chars))


@dataclass(frozen=True, slots=True)
class _Side:
    """A text for one side of a pair, and whether the limit of tokens cut it off; "" if nothing whole is left."""

    text: str
    cut_off: bool = False


async def write_insights(
    items: Sequence[str], model: CompletionModel, settings: GenerationSettings
) -> tuple[Insights, Usage]:
    """Ask the model to describe the author of the items, and a general user.

    A description that was cut off ends with its last whole sentence. If it has none, it stays as it is, because it only
    guides the model, and no direction is read from it.

    Raises:
        ModelError: the model could not answer.
        PersonalizationError: the model wrote no description.
    """
    sampling = SamplingParams(settings.insight_tokens, settings.temperature, seed=settings.seed)
    requests = [
        CompletionRequest(
            _chat("", render("chameleon_insight.jinja", {"personalized": side, "items": list(items)})),
            sampling,
            thinking=False,
        )
        for side in (True, False)
    ]
    completions = await model.complete(requests)
    personalized, neutral = (_insight(completion, settings) for completion in completions)
    if not personalized or not neutral:
        raise PersonalizationError("the model wrote no insight about this user")
    return Insights(personalized, neutral), sum((completion.usage for completion in completions), Usage())


async def write_pairs(
    queries: Sequence[Query], items: Sequence[str], model: CompletionModel, settings: GenerationSettings
) -> PreferenceData:
    """Write the insights, and answer every query on both sides.

    Args:
        queries: queries to answer; with `settings.personalized` "own", queries without the user's answer are omitted.
        items: history items that guide the model.
        model: the unedited model.
        settings: settings of the generation.

    Raises:
        ModelError: the model could not answer.
        PersonalizationError: fewer than `settings.least_pairs` pairs are left.
    """
    if settings.personalized == "own":
        return await _beside_own([query for query in queries if query.own], model, settings)
    insights, usage = await write_insights(items, model, settings)
    guided = render(
        "chameleon_guidance.jinja", {"personalized": True, "insight": insights.personalized, "items": list(items)}
    )
    plain = render("chameleon_guidance.jinja", {"personalized": False, "insight": insights.neutral, "items": []})
    sides, spent = await _answered(
        [(system, query) for system in (guided, plain) for query in queries], model, settings
    )
    n = len(queries)
    kept, dropped = _useful(queries, sides[:n], sides[n:], settings)
    return PreferenceData(insights, _enough(kept, dropped, settings), dropped, usage + spent)


async def _beside_own(queries: Sequence[Query], model: CompletionModel, settings: GenerationSettings) -> PreferenceData:
    """Return pairs of the user's own answers and the model's answers without guidance."""
    neutral, usage = await _answered([("", query) for query in queries], model, settings)
    kept, dropped = _useful(queries, [_Side(query.own) for query in queries], neutral, settings)
    return PreferenceData(None, _enough(kept, dropped, settings), dropped, usage)


async def _answered(
    asked: Sequence[tuple[str, Query]], model: CompletionModel, settings: GenerationSettings
) -> tuple[list[_Side], Usage]:
    sampling = SamplingParams(settings.max_tokens, settings.temperature, seed=settings.seed)
    requests = [
        CompletionRequest(_chat(system, query.text), sampling, draw=at, thinking=False)
        for at, (system, query) in enumerate(asked)
    ]
    completions = await model.complete(requests)
    return [_side(each, settings) for each in completions], sum((each.usage for each in completions), Usage())


def _side(completion: Completion, settings: GenerationSettings) -> _Side:
    said = _said(completion)
    if said.cut_off and settings.whole_sentences:
        return _Side(whole_sentences(said.text), cut_off=True)
    return said


def _insight(completion: Completion, settings: GenerationSettings) -> str:
    whole = _side(completion, settings)
    return " ".join((whole.text or _said(completion).text).split())


def _said(completion: Completion) -> _Side:
    """Return what a completion says after its thoughts, and whether the limit of tokens cut it off."""
    spoken = after_thoughts(completion.text)  # a model of somebody else may leave them in
    return _Side(storable(spoken.text), cut_off=spoken.cut_off or completion.finish_reason == "length")


def _chat(system: str, text: str) -> tuple[Message, ...]:
    return (*((Message("system", system),) if system else ()), Message("user", text))


def _useful(
    queries: Sequence[Query], personalized: Sequence[_Side], neutral: Sequence[_Side], settings: GenerationSettings
) -> tuple[list[Pair], dict[DropReason, int]]:
    """Return the usable pairs, and the number of others by reason."""
    kept: list[Pair] = []
    reasons: Counter[DropReason] = Counter()
    seen: set[tuple[str, str]] = set()
    for query, *sides in zip(queries, personalized, neutral, strict=True):
        one, other = (side.text for side in sides)
        if any(side.cut_off and not words_of(side.text) for side in sides):
            reasons["cut off"] += 1
        elif not words_of(one) or not words_of(other):
            reasons["blank"] += 1
        elif 1 - likeness(one, other) <= settings.least_difference:
            reasons["too alike"] += 1
        elif (one, other) in seen:
            reasons["repeated"] += 1
        else:
            seen.add((one, other))
            kept.append(Pair(query.text, one, other))
    return kept, dict(reasons)


def likeness(one: str, other: str) -> float:
    """Return the share of words that two texts have in common, in order; in [0, 1]."""
    a, b = ([word.casefold() for word in words_of(text)] for text in (one, other))
    return SequenceMatcher(None, a, b, autojunk=False).ratio()


def _enough(pairs: Iterable[Pair], dropped: dict[DropReason, int], settings: GenerationSettings) -> tuple[Pair, ...]:
    """Return the pairs, or raise an error if there are too few to compute a direction from."""
    kept = tuple(pairs)
    if len(kept) < settings.least_pairs:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "there were no more"
        rescued = len(kept) + dropped.get("cut off", 0) >= settings.least_pairs
        way_out = "allow more tokens (max_tokens)" if rescued else "give a longer history"
        raise PersonalizationError(
            f"{len(kept)} of {len(kept) + sum(dropped.values())} pairs are usable ({reasons}), but "
            f"{settings.least_pairs} are needed: {way_out}, or use a larger model"
        )
    return kept
