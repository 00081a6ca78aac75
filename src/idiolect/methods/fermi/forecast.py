"""The dry run: the cost of learning, estimated by running Fermi itself on simulated models, without a call.

    users → a seeded sample → Fermi on doubles → requests counted → scaled up to all users

The simulated answering model gives the user's answer with a fixed probability, and the simulated optimizer writes
prompts of a fixed length; see `Assumptions`. With a cache that has answers already, or that gets the same request
twice, a real run is cheaper than its forecast.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from idiolect.methods.answering import Answerer, AnsweringSettings, asked_block
from idiolect.methods.fermi.crossing import size_of_fold
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.roles import considered, deal_roles
from idiolect.methods.fermi.settings import FermiSettings, MetaPromptSettings
from idiolect.methods.setting_checks import require
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message
from idiolect.models.similarity import Bm25Similarity
from idiolect.people.user import Opinion, User


@dataclass(frozen=True, slots=True)
class Assumptions:
    """Assumptions of a forecast.

    Args:
        accuracy: probability that an answer equals the user's, with any prompt; in [0, 1].
        prompt_characters: length of a proposed prompt, within the limits of the settings.
        bytes_per_token: number of UTF-8 bytes of a prompt per token.
        message_tokens: tokens per message in addition to its text.
        answer_tokens: tokens of a generated answer; scored choices generate none.
        reasoning_tokens: tokens that the optimizer writes in addition to the prompt.
        sample: maximum number of users to simulate; with more users, a sample is simulated and scaled up.
        seed: seed of the sample.

    Raises:
        SettingsError: a value is invalid.
    """

    accuracy: float = 0.5
    prompt_characters: int = 500
    bytes_per_token: float = 4.0
    message_tokens: int = 4
    answer_tokens: int = 8
    reasoning_tokens: int = 100
    sample: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.accuracy <= 1, "accuracy", self.accuracy, "in [0, 1]")
        sensible = isfinite(self.bytes_per_token) and self.bytes_per_token > 0
        require(sensible, "bytes_per_token", self.bytes_per_token, "greater than 0")
        for name in ("prompt_characters", "sample"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("message_tokens", "answer_tokens", "reasoning_tokens"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or greater")


@dataclass(frozen=True, slots=True)
class RoleForecast:
    """Forecast of the requests to one of the two models, over all users.

    Args:
        calls: expected number of requests.
        most_calls: upper bound on the number of requests: every prompt is scored on every scoring opinion, the pool is
            scored too, and the optimizer uses all its redraws.
        prompt_bytes: expected UTF-8 bytes of the requests.
        prompt_tokens, completion_tokens: expected tokens.
    """

    calls: int = 0
    most_calls: int = 0
    prompt_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """Forecast of the cost of learning.

    Args:
        users: number of users given.
        not_learnable: number of users without opinions, who cost nothing.
        sampled: number of users simulated; if it is smaller than the rest, the counts are scaled up.
        answering, optimizing: forecast for each model.
        assumptions: assumptions of the forecast.
    """

    users: int
    not_learnable: int
    sampled: int
    answering: RoleForecast
    optimizing: RoleForecast
    assumptions: Assumptions


_ASSUMPTIONS = Assumptions()
_MOST_EXPLAINED = 1000  # opinions that a simulated disposition explains


async def forecast(
    users: Sequence[User], settings: FermiSettings, *, assumptions: Assumptions = _ASSUMPTIONS
) -> Forecast:
    """Run Fermi on simulated models, for all users, or for a sample if there are many.

    The same users, settings and assumptions always give the same forecast.
    """
    learnable = [user for user in users if user.opinions]
    sampled = learnable
    if len(learnable) > assumptions.sample:
        sampled = random.Random(f"{assumptions.seed}:forecast").sample(learnable, assumptions.sample)
    answering, optimizing = _Tally(), _Tally()
    for user in sampled:
        await _simulate(user, settings, assumptions, answering, optimizing)
    most, most_sampled = _most_calls(learnable, settings), _most_calls(sampled, settings)
    return Forecast(
        users=len(users),
        not_learnable=len(users) - len(learnable),
        sampled=len(sampled),
        answering=answering.scaled(most[0], most_sampled[0]),
        optimizing=optimizing.scaled(most[1], most_sampled[1]),
        assumptions=assumptions,
    )


async def _simulate(
    user: User, settings: FermiSettings, assumptions: Assumptions, answering: _Tally, optimizing: _Tally
) -> None:
    person = _Person(user, settings.answering, assumptions.accuracy)
    model = FunctionModel("simulated", complete=person.reply, choice_logprobs=person.logprobs)
    length = _prompt_length(settings.meta_prompt, assumptions)
    stated = _dispositions(settings.dispositions.number)
    optimizer = FunctionModel("simulated", complete=lambda request: stated + _proposal(request, length))
    answerer = Answerer(model, settings.answering)
    await Fermi(answerer, settings, optimizer=optimizer, similarity=Bm25Similarity()).fit(user)
    answer = min(assumptions.answer_tokens, settings.answering.max_tokens)
    answering.count(model.completion_requests, assumptions, answer)
    answering.count(model.choice_requests, assumptions, 0)
    written = ceil(length / assumptions.bytes_per_token) + assumptions.reasoning_tokens
    optimizing.count(optimizer.completion_requests, assumptions, min(written, settings.meta_prompt.max_tokens))


def _most_calls(users: Iterable[User], settings: FermiSettings) -> tuple[int, int]:
    """Return the maximum number of calls to the answering model and to the optimizer.

    With T iterations of K proposals, N scoring and H held-out opinions, F folds, and E prompts (times orders) that
    answer together:

    (1 + (T − 1)·K)·N for the memory + K·N for the pool + (1 + E)·H for the evidence (+ N in a tie), and
    T·K·(1 + redraws).

    With crossing, all proposals are scored: (1 + T·K)·N, + N for the base model if all opinions judge. With hybrid
    prompts, few-shot answers the held-out opinions too: + H. With n dispositions for each of F folds, which are tried
    on at most m opinions each: + F·n·m, + E·N if all opinions judge, and F.
    `_folded_back` and `_without_refused` are added. Requests that are refused as too long are not counted.
    """
    t, k = settings.iterations, settings.proposals
    all_judge = settings.evidence.by == "crossed"
    prompts = 1 + (t - 1) * k + (k if settings.retrieval.pool != "memory" else 0)
    if settings.search.crossing > 1:
        prompts = 1 + t * k + all_judge
    together = settings.ensemble.prompts * settings.ensemble.orders
    sides = 1 + together + (settings.hybrid.examples > 0)
    stated = settings.dispositions.folds * settings.dispositions.number
    answering = optimizing = 0
    for user in users:
        roles = deal_roles(considered(user, settings), settings)
        n = len(roles.scoring)
        h = len(roles.held_out)
        answering += prompts * n + sides * h + _without_refused(n, settings)
        if settings.evidence.fold_back and h:
            answering += _folded_back(n, h, settings)
        if h and settings.evidence.ties == "learned":
            answering += n
        if stated:
            answering += stated * min(settings.dispositions.tests, n) + (together * n if all_judge else 0)
            optimizing += settings.dispositions.folds
        if (settings.answering.mode, settings.answering.normalization) == ("likelihood", "pmi"):
            asked = (opinion.question.choices for opinion in (*roles.scoring, *roles.held_out))
            answering += len({choices for choices in asked if choices})
        if "llm" in settings.proposers:
            draws = range(settings.proposers.index("llm"), k * (1 + settings.redraws), len(settings.proposers))
            optimizing += t * len(draws)
    return answering, optimizing


def _without_refused(n: int, settings: FermiSettings) -> int:
    """Return the maximum number of calls that find out which of n opinions are refused by themselves.

    An opinion that is refused with examples is asked without, and, if that is answered, again with other examples.
    """
    return 2 * n if settings.hybrid.examples else 0


def _folded_back(n: int, h: int, settings: FermiSettings) -> int:
    """Return the maximum number of calls to score prompts on h opinions that have judged, after n others.

    With hybrid prompts, the h opinions may stand behind all of the others, which are then asked again.
    """
    folds = settings.search.crossing
    remembered = settings.memory_size if folds == 1 else folds * size_of_fold(settings.memory_size, folds)
    prompts = 1 + remembered + (0 if settings.retrieval.lazy else settings.proposals)
    asked = n + h if settings.hybrid.examples else h
    return prompts * asked + _without_refused(n + h, settings)


@dataclass(slots=True)
class _Tally:
    """Counts of the requests to one model."""

    calls: int = 0
    prompt_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(
        self, requests: Sequence[CompletionRequest | ChoiceRequest], assumptions: Assumptions, written: int
    ) -> None:
        """Add requests that are each answered with `written` tokens."""
        for request in requests:
            size = _size(request)
            self.prompt_bytes += size
            self.prompt_tokens += ceil(size / assumptions.bytes_per_token)
            self.prompt_tokens += len(request.messages) * assumptions.message_tokens
        self.calls += len(requests)
        self.completion_tokens += len(requests) * written

    def scaled(self, most: int, most_sampled: int) -> RoleForecast:
        """Return the forecast for all users, scaled in proportion to their maximum numbers of calls."""

        def up(count: int) -> int:
            return round(count * most / most_sampled) if most_sampled else 0

        return RoleForecast(
            up(self.calls), most, up(self.prompt_bytes), up(self.prompt_tokens), up(self.completion_tokens)
        )


def _size(request: CompletionRequest | ChoiceRequest) -> int:
    choices = request.choices if isinstance(request, ChoiceRequest) else ()
    texts = (*(message.content for message in request.messages), request.prefill, *choices)
    return sum(len(text.encode()) for text in texts)


class _Person:
    """Simulated model that gives the user's answer with a fixed probability, and answers equal requests equally."""

    def __init__(self, user: User, settings: AnsweringSettings, accuracy: float) -> None:
        self._accuracy = accuracy
        self._opinions = {asked_block(opinion.question, settings): opinion for opinion in user.opinions}
        self._lengths = sorted({len(block) for block in self._opinions}, reverse=True)

    def reply(self, request: CompletionRequest) -> str:
        """Return the user's answer, or otherwise another choice, or a text that has nothing in common with it."""
        opinion = self._asked(request.messages)
        if opinion is None:
            return "-"
        if opinion.question.choices:
            return opinion.question.choices[self._choice(opinion, request.messages)]
        right = _chance(request.messages).random() < self._accuracy
        return opinion.answer if right else "-" * len(opinion.answer)

    def logprobs(self, request: ChoiceRequest) -> list[float]:
        """Return 0 for one choice and −1 for the others; if no question is asked, −1 for all."""
        opinion = self._asked(request.messages)
        chosen = None if opinion is None else self._choice(opinion, request.messages)
        return [0.0 if place == chosen else -1.0 for place in range(len(request.choices))]

    def _asked(self, messages: Sequence[Message]) -> Opinion | None:
        """Return the opinion whose question is at the end of the last message."""
        content = messages[-1].content
        ends = (content[-length:] for length in self._lengths)
        return next((self._opinions[end] for end in ends if end in self._opinions), None)

    def _choice(self, opinion: Opinion, messages: Sequence[Message]) -> int:
        chance, choices = _chance(messages), opinion.question.choices
        right = choices.index(opinion.answer)
        if chance.random() < self._accuracy:
            return right
        return chance.choice([place for place in range(len(choices)) if place != right])


def _chance(messages: Sequence[Message]) -> random.Random:
    return random.Random("\0".join(message.content for message in messages))


def _prompt_length(settings: MetaPromptSettings, assumptions: Assumptions) -> int:
    """Return the assumed length of a prompt, within the limits on a proposal with its prefill and brackets."""
    room = settings.max_chars - len(settings.prefill) - 2
    return max(1, settings.min_chars, min(assumptions.prompt_characters, room))


def _proposal(request: CompletionRequest, length: int) -> str:
    """Return a prompt that differs for each draw, and quotes nothing because it has no words."""
    draw = f"{request.sampling.seed}:{request.draw}".encode()
    digest = hashlib.blake2b(draw).hexdigest()
    return f"[{(digest * (length // len(digest) + 1))[:length]}]"


def _dispositions(number: int) -> str:
    """Return dispositions that explain all answers shown; a proposal is read from the brackets behind them."""
    explained = ", ".join(map(str, range(1, _MOST_EXPLAINED + 1)))
    return "".join(f"[{hashlib.blake2b(f'{place}'.encode()).hexdigest()} | {explained}]\n" for place in range(number))
