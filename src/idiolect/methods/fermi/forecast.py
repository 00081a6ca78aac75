"""The dry run: what learning would cost, found by running Fermi itself on simulated models. Nothing is called.

    users → a seeded sample → Fermi on doubles → requests counted → scaled up to all users

The answering model is simulated by one that says what the user said with a given probability, the optimizer by one
that writes prompts of a given length. What each assumes is in `Assumptions`. A cache that holds answers already, or
that finds the same request twice, makes a real run cheaper than its forecast.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite

from idiolect.methods.answering import Answerer, AnsweringSettings, question_block
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.roles import deal_roles
from idiolect.methods.fermi.settings import FermiSettings, MetaPromptSettings
from idiolect.methods.setting_checks import require
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message
from idiolect.models.similarity import Bm25Similarity
from idiolect.people.user import Opinion, User


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What a forecast takes for granted.

    Args:
        accuracy: probability that an answer is what the user said, under any prompt; in [0, 1].
        prompt_characters: length of a proposed prompt; cut to what the settings accept.
        bytes_per_token: UTF-8 bytes of a prompt that make one token.
        message_tokens: tokens that a message takes besides its text.
        answer_tokens: tokens of a generated answer; scored choices generate none.
        reasoning_tokens: tokens that the optimizer writes besides the prompt.
        sample: with more users than this, a sample of so many is forecast and scaled up.
        seed: of the sample.

    Raises:
        SettingsError: a value that makes no sense.
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
    """What one of the two models would be asked, over all users.

    Args:
        calls: expected requests.
        most_calls: requests that are never exceeded: every prompt is scored on every scoring opinion, the pool is
            scored too, and the optimizer draws again as often as it may.
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
    """What learning would cost.

    Args:
        users: all that were given.
        not_learnable: those of them without opinions; they cost nothing.
        sampled: users that were simulated; fewer than there are to learn where the rest is scaled up.
        answering, optimizing: by model.
        assumptions: what this rests on.
    """

    users: int
    not_learnable: int
    sampled: int
    answering: RoleForecast
    optimizing: RoleForecast
    assumptions: Assumptions


_ASSUMPTIONS = Assumptions()


async def forecast(
    users: Sequence[User], settings: FermiSettings, *, assumptions: Assumptions = _ASSUMPTIONS
) -> Forecast:
    """Run Fermi on simulated models, for a sample of the users where there are many.

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
    optimizer = FunctionModel("simulated", complete=lambda request: _proposal(request, length))
    answerer = Answerer(model, settings.answering)
    await Fermi(answerer, settings, optimizer=optimizer, similarity=Bm25Similarity()).fit(user)
    answer = min(assumptions.answer_tokens, settings.answering.max_tokens)
    answering.count(model.completion_requests, assumptions, answer)
    answering.count(model.choice_requests, assumptions, 0)
    written = ceil(length / assumptions.bytes_per_token) + assumptions.reasoning_tokens
    optimizing.count(optimizer.completion_requests, assumptions, min(written, settings.meta_prompt.max_tokens))


def _most_calls(users: Iterable[User], settings: FermiSettings) -> tuple[int, int]:
    """Return the most calls of the answering model and of the optimizer.

    With T iterations of K proposals, N scoring and H held-out opinions:

    (1 + (T − 1)·K)·N for the memory + K·N for the pool + 2·H for the evidence (+ N in a tie), and T·K·(1 + redraws).
    """
    t, k = settings.iterations, settings.proposals
    prompts = 1 + (t - 1) * k + (k if settings.retrieval.pool != "memory" else 0)
    answering = optimizing = 0
    for user in users:
        roles = deal_roles(user, settings)
        answering += prompts * len(roles.scoring) + 2 * len(roles.held_out)
        if roles.held_out and settings.evidence.ties == "learned":
            answering += len(roles.scoring)
        if (settings.answering.mode, settings.answering.normalization) == ("likelihood", "pmi"):
            asked = (opinion.question.choices for opinion in (*roles.scoring, *roles.held_out))
            answering += len({choices for choices in asked if choices})
        if "llm" in settings.proposers:
            draws = range(settings.proposers.index("llm"), k * (1 + settings.redraws), len(settings.proposers))
            optimizing += t * len(draws)
    return answering, optimizing


@dataclass(slots=True)
class _Tally:
    """Requests of one model, counted."""

    calls: int = 0
    prompt_bytes: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def count(
        self, requests: Sequence[CompletionRequest | ChoiceRequest], assumptions: Assumptions, written: int
    ) -> None:
        """Add requests that are each answered by so many tokens."""
        for request in requests:
            size = _size(request)
            self.prompt_bytes += size
            self.prompt_tokens += ceil(size / assumptions.bytes_per_token)
            self.prompt_tokens += len(request.messages) * assumptions.message_tokens
        self.calls += len(requests)
        self.completion_tokens += len(requests) * written

    def scaled(self, most: int, most_sampled: int) -> RoleForecast:
        """Return the forecast for all users; each weighs in proportion to their literal cost."""

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
    """Answers as one user would with a fixed probability, the same request always the same way."""

    def __init__(self, user: User, settings: AnsweringSettings, accuracy: float) -> None:
        self._accuracy = accuracy
        self._opinions = {question_block(opinion.question, settings): opinion for opinion in user.opinions}
        self._lengths = sorted({len(block) for block in self._opinions}, reverse=True)

    def reply(self, request: CompletionRequest) -> str:
        """Return the user's answer; else another choice, or for free text one that has nothing in common with it."""
        opinion = self._asked(request.messages)
        if opinion is None:
            return "-"
        if opinion.question.choices:
            return opinion.question.choices[self._choice(opinion, request.messages)]
        right = _chance(request.messages).random() < self._accuracy
        return opinion.answer if right else "-" * len(opinion.answer)

    def logprobs(self, request: ChoiceRequest) -> list[float]:
        """Return 0 for one choice, −1 for the others; where no question is asked, −1 for all."""
        opinion = self._asked(request.messages)
        chosen = None if opinion is None else self._choice(opinion, request.messages)
        return [0.0 if place == chosen else -1.0 for place in range(len(request.choices))]

    def _asked(self, messages: Sequence[Message]) -> Opinion | None:
        """Return the opinion whose question stands at the end."""
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
    """Return the assumed length, within what is accepted of a proposal; its prefill and brackets count."""
    room = settings.max_chars - len(settings.prefill) - 2
    return max(1, settings.min_chars, min(assumptions.prompt_characters, room))


def _proposal(request: CompletionRequest, length: int) -> str:
    """Return a prompt that no other draw has; it has no words, so it quotes nothing."""
    draw = f"{request.sampling.seed}:{request.draw}".encode()
    digest = hashlib.blake2b(draw).hexdigest()
    return f"[{(digest * (length // len(digest) + 1))[:length]}]"
