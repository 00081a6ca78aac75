"""Scores of a model, edited or not, on a person's own answers and texts: for choosing a variant, and for the gate.

    gain      mean over items of  log p(own answer or text | edited) − log p(… | base), in nat;  texts per token,
              choices among the choices of their question
    evidence  a score in [0, 1] per item: the alignment of the answer (opinions), or the geometric mean of the tokens'
              probabilities (texts)

The fluency of an edited model is the mean log-probability per token of neutral texts that the base model wrote; its
change is minus an estimate of KL(base ‖ edited). If a model cannot answer, a `ModelError` is raised.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import (
    Answerer,
    AnsweringSettings,
    PromptedQuestion,
    choice_request,
    question_block,
)
from idiolect.methods.chameleon.measuring import Text
from idiolect.methods.chameleon.roles import Item
from idiolect.methods.texts import MAX_CHARS, PLAIN_REQUEST
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, LanguageModel, Message, Usage
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


async def log_likelihoods(items: Sequence[Item], model: LanguageModel, settings: AnsweringSettings) -> ItemScores:
    """Return log p of the person's answer or text for each item: in nat per token for free text, in nat for choices."""
    found = await model.choice_logprobs([_request(item, settings) for item in items]) if items else []
    scores = tuple(_log_likelihood(item, each) for item, each in zip(items, found, strict=True))
    return ItemScores(scores, sum((each.usage for each in found), Usage()))


async def fluency(texts: Sequence[Text], model: LanguageModel) -> ItemScores:
    """Return the mean log-probability per token of each text, in nat."""
    found = await model.choice_logprobs([ChoiceRequest(messages, (answer,)) for messages, answer in texts])
    return ItemScores(tuple(each.per_token[0] for each in found), sum((each.usage for each in found), Usage()))


async def evidence_scores(items: Sequence[Item], model: LanguageModel, settings: AnsweringSettings) -> ItemScores:
    """Return a score in [0, 1] for each item; see the module's docstring."""
    opinions = [item for item in items if isinstance(item, Opinion)]
    answers = await Answerer(model, settings).answer([PromptedQuestion("", opinion.question) for opinion in opinions])
    aligned = iter(
        alignment_score(opinion.question, opinion.answer, answer.answer)
        for opinion, answer in zip(opinions, answers, strict=True)
    )
    texts = await log_likelihoods([item for item in items if isinstance(item, str)], model, settings)
    likely = iter(texts.scores)
    scores = tuple(next(aligned) if isinstance(item, Opinion) else min(math.exp(next(likely)), 1.0) for item in items)
    return ItemScores(scores, sum((answer.usage for answer in answers), texts.usage))


def _request(item: Item, settings: AnsweringSettings) -> ChoiceRequest:
    if isinstance(item, str):
        return ChoiceRequest((Message("user", PLAIN_REQUEST),), (item[:MAX_CHARS],))
    block = (Message("user", question_block(item.question, settings)),)
    if not item.question.choices:
        return ChoiceRequest(block, (item.answer[:MAX_CHARS],))
    return choice_request(block, item.question, settings)


def _log_likelihood(item: Item, found: ChoiceLogProbs) -> float:
    if isinstance(item, str) or not item.question.choices:
        return found.per_token[0]
    best = max(found.logprobs)
    total = best + math.log(math.fsum(math.exp(value - best) for value in found.logprobs))
    return found.logprobs[item.question.choices.index(item.answer)] - total
