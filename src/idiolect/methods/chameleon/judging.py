"""Scores of a model, edited or not, on a person's own answers and texts: for choosing a variant, and for the gate.

    choosing   log p(own answer or text | edited) − log p(… | base);  texts and free answers in nat per token, choices
               in nat among the choices of their question;  the mean of each of the two kinds, averaged over kinds
    judging    texts by the same log-ratio per token, opinions by the alignment of the answer (`evidence`)

`fluency` scores texts that the base model wrote. The mean change under the edit is minus an estimate of
KL(base ‖ edited), in nat per token, only if the texts are unbiased draws (`GenerationSettings.draws_are_unbiased`);
otherwise it is what it is, the change of log-probability on the model's own texts. If a model cannot answer, a
`ModelError` is raised.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Answerer, AnsweringSettings, PromptedQuestion
from idiolect.methods.chameleon.evidence import ChameleonEvidence, JudgingSettings, TextEvidence
from idiolect.methods.chameleon.measuring import Text
from idiolect.methods.chameleon.own_words import own_answers
from idiolect.methods.chameleon.roles import Item
from idiolect.methods.chameleon.settings import ChameleonSettings
from idiolect.methods.evidence import Evidence
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, LanguageModel, Usage
from idiolect.people.user import Opinion


@dataclass(frozen=True, slots=True)
class ItemScores:
    """One number per item, in order, and the cost of computing them."""

    scores: tuple[float, ...]
    usage: Usage

    @property
    def mean(self) -> float:
        """Mean of the scores; 0 if there are none."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else 0.0


@dataclass(frozen=True, slots=True)
class HeldOutScores:
    """Scores of one model on held-out items.

    Args:
        texts: log-probability of each text, in nat per token, in the order of the items.
        tokens: number of tokens of each text.
        opinions: alignment of the model's answer to each opinion's question, in [0, 1], in the order of the items.
        usage: cost of computing them.
    """

    texts: tuple[float, ...]
    tokens: tuple[int, ...]
    opinions: tuple[float, ...]
    usage: Usage


async def judge(
    items: Sequence[Item],
    base_model: LanguageModel,
    edited_model: LanguageModel,
    settings: ChameleonSettings,
    *,
    known: Sequence[Item] = (),
    base_scores: HeldOutScores | None = None,
) -> tuple[ChameleonEvidence, Usage]:
    """Compare the edited model with the base model on held-out items.

    Args:
        items: held-out items, at least one.
        base_model: the unedited model.
        edited_model: the model with the edit.
        settings: settings with the form of the questions, the margins and the weights of the kinds.
        known: items that the variant was chosen with; they are scored only if `items` are opinions that tie, and
            `evidence.ties` lets them decide. Without them, the likelihood of the person's answers to `items` decides.
        base_scores: scores of the base model on `items`, if they were computed before.

    Returns:
        The evidence, and the cost of what was computed here.

    Raises:
        ValueError: there are no items, or a text has a log-probability that is not finite.
        ModelError: a model could not answer.
    """
    answering, gate = settings.answering, settings.evidence
    usage = Usage()
    if base_scores is None:
        base_scores = await held_out_scores(items, base_model, answering)
        usage += base_scores.usage
    edited = await held_out_scores(items, edited_model, answering)
    usage += edited.usage
    evidence = compare(edited, base_scores, settings.judging, margin=gate.margin)
    if not evidence.tied or gate.ties != "learned":
        return evidence, usage
    if known:
        base_known, edited_known = [
            await held_out_scores(known, model, answering) for model in (base_model, edited_model)
        ]
        evidence = replace(evidence, known=compare(edited_known, base_known, settings.judging, margin=0.0))
        usage += base_known.usage + edited_known.usage
    else:
        old, new = [await log_likelihoods(items, model, answering) for model in (base_model, edited_model)]
        evidence = replace(evidence, likelihood=mean_gain(items, new, old))
        usage += old.usage + new.usage
    return evidence, usage


def compare(
    edited: HeldOutScores, base: HeldOutScores, settings: JudgingSettings, *, margin: float
) -> ChameleonEvidence:
    """Return the evidence from the scores of both models on the same items.

    Args:
        edited: scores of the edited model.
        base: scores of the base model.
        settings: settings for weighing texts and opinions.
        margin: lead that opinions must exceed, in alignment.

    Raises:
        ValueError: there are no items, the two differ in length, or a log-probability is not finite.
    """
    texts = TextEvidence(edited.texts, base.texts, base.tokens) if base.texts else None
    opinions = Evidence(edited.opinions, base.opinions, margin) if base.opinions else None
    return ChameleonEvidence(texts, opinions, settings)


async def held_out_scores(items: Sequence[Item], model: LanguageModel, settings: AnsweringSettings) -> HeldOutScores:
    """Return a model's scores on held-out texts and opinions."""
    opinions = [item for item in items if isinstance(item, Opinion)]
    answers = await Answerer(model, settings).answer([PromptedQuestion("", opinion.question) for opinion in opinions])
    texts = [item for item in items if isinstance(item, str)]
    found = await _scored(texts, model, settings)
    return HeldOutScores(
        texts=tuple(_per_token(each) for each in found),
        tokens=tuple(sum(window.n_tokens[0] for window in each) for each in found),
        opinions=tuple(
            alignment_score(opinion.question, opinion.answer, answer.answer)
            for opinion, answer in zip(opinions, answers, strict=True)
        ),
        usage=sum((answer.usage for answer in answers), _usage(found)),
    )


async def log_likelihoods(items: Sequence[Item], model: LanguageModel, settings: AnsweringSettings) -> ItemScores:
    """Return log p of the person's answer or text for each item: in nat per token for free text, in nat for choices."""
    found = await _scored(items, model, settings)
    scores = tuple(_log_likelihood(item, each) for item, each in zip(items, found, strict=True))
    return ItemScores(scores, _usage(found))


def mean_gain(items: Sequence[Item], edited: ItemScores, base: ItemScores) -> float | None:
    """Return the gain of an edit on the items that choose: the mean of each kind, averaged over the kinds.

    The kinds are free text, in nat per token, and choices, in nat. Their scales differ, so each kind counts once,
    however many items it has.

    Args:
        items: the items.
        edited: their log-likelihoods under the edit (`log_likelihoods`).
        base: the same under the base model.

    Returns:
        The gain, or None if there are no items.
    """
    gains: dict[bool, list[float]] = {}
    for item, new, old in zip(items, edited.scores, base.scores, strict=True):
        gains.setdefault(_is_free_text(item), []).append(new - old)
    means = [math.fsum(each) / len(each) for each in gains.values()]
    return math.fsum(means) / len(means) if means else None


async def fluency(texts: Sequence[Text], model: LanguageModel) -> ItemScores:
    """Return the log-probability of each text, in nat per token; see the module's docstring on what a change means."""
    found = await model.choice_logprobs([ChoiceRequest(messages, (answer,)) for messages, answer in texts])
    return ItemScores(tuple(each.per_token[0] for each in found), sum((each.usage for each in found), Usage()))


async def _scored(
    items: Sequence[Item], model: LanguageModel, settings: AnsweringSettings
) -> list[list[ChoiceLogProbs]]:
    """Return the log-probabilities of each item: one result for a choice, one per window for free text."""
    requests = [[answer.request for answer in own_answers([item], settings)] for item in items]
    flat = [request for each in requests for request in each]
    found = iter(await model.choice_logprobs(flat) if flat else [])
    return [[next(found) for _ in each] for each in requests]


def _usage(found: Iterable[Iterable[ChoiceLogProbs]]) -> Usage:
    return sum((window.usage for each in found for window in each), Usage())


def _per_token(windows: Sequence[ChoiceLogProbs]) -> float:
    """Return the mean log-probability of a text's tokens, in nat."""
    return math.fsum(window.logprobs[0] for window in windows) / sum(window.n_tokens[0] for window in windows)


def _log_likelihood(item: Item, found: Sequence[ChoiceLogProbs]) -> float:
    if isinstance(item, str) or not item.question.choices:
        return _per_token(found)
    (choices,) = found
    best = max(choices.logprobs)
    total = best + math.log(math.fsum(math.exp(value - best) for value in choices.logprobs))
    return choices.logprobs[item.question.choices.index(item.answer)] - total


def _is_free_text(item: Item) -> bool:
    return isinstance(item, str) or not item.question.choices
