"""People, questions and answering models that the tests of methods share. Nothing here knows a real model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import hypothesis
import numpy as np

from idiolect import Opinion, Question, User
from idiolect.methods.answering import Answerer, AnsweringSettings, Response
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.scoring import Scorer
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from idiolect.models.similarity import FloatArray

# Property tests: the same examples every time, however slow the machine.
steady = hypothesis.settings(deadline=None, derandomize=True, suppress_health_check=[hypothesis.HealthCheck.too_slow])

SCALE = ("1", "2", "3", "4", "5")


def asked_question(request: CompletionRequest) -> str:
    """The text of the question that stands last in a request."""
    content = request.messages[-1].content
    return content[content.rindex("Question: ") :].split("\n")[0].removeprefix("Question: ")


def number(text: str) -> int:
    """A number from a text, the same in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def ratings(n: int, *, seed: int = 0) -> tuple[Opinion, ...]:
    """Opinions on n different questions with ordinal answers."""
    return tuple(
        Opinion(
            Question(f"How much do you like dish number {i}?", SCALE, ordinal=True), SCALE[number(f"{seed}:{i}") % 5]
        )
        for i in range(n)
    )


def rater(n: int = 20, *, seed: int = 0) -> User:
    return User(f"rater-{seed}", opinions=ratings(n, seed=seed))


def random_answers(salt: str = "") -> FunctionModel:
    """Answers at random, but the same request always the same way."""
    return FunctionModel("random", complete=lambda r: SCALE[number(salt + r.messages[-1].content) % 5])


def numbered_proposals(text: str = "[This person is described by the number {seed}.]") -> FunctionModel:
    """An optimizer that never repeats itself."""
    return FunctionModel("optimizer", complete=lambda r: text.format(seed=r.sampling.seed))


def paper(**changes: object) -> FermiSettings:
    """The preset `paper` with changes to its top level."""
    return replace(preset("paper"), **changes)  # type: ignore[arg-type]


async def learn(
    user: User, settings: FermiSettings, *, model: FunctionModel | None = None, optimizer: FunctionModel | None = None
) -> FermiPersonalization:
    """Fit Fermi with the doubles of this module."""
    answerer = Answerer(model or random_answers(), settings.answering)
    return await Fermi(answerer, settings, optimizer=optimizer or numbered_proposals()).fit(user)


def scored(
    prompt: str | Prompt, scores: Sequence[float | None], *, born: int = 0, said: Sequence[str] | None = None
) -> ScoredPrompt:
    """A prompt with these scores; None where nothing was asked."""
    replies = said or [f"reply {i}" for i in range(len(scores))]
    cells = tuple(
        None if score is None else ScoredAnswer(Response(reply, reply), score)
        for score, reply in zip(scores, replies, strict=True)
    )
    return ScoredPrompt(Prompt(prompt) if isinstance(prompt, str) else prompt, born, cells)


class TableSimilarity:
    """Similarities by a function of query and document; remembers the texts it was given."""

    name = "table"

    def __init__(self, nearness: Callable[[str, str], float]) -> None:
        self._nearness = nearness
        self.seen: list[tuple[list[str], list[str]]] = []

    async def similarity(self, queries: Sequence[str], documents: Sequence[str]) -> FloatArray:
        self.seen.append((list(queries), list(documents)))
        rows = [[self._nearness(q, d) for d in documents] for q in queries]
        return np.array(rows, dtype=np.float32).reshape(len(queries), len(documents))


def generating(model: FunctionModel) -> Answerer:
    return Answerer(model, AnsweringSettings())


def unscored(scorer: Scorer, prompt: Prompt, born: int) -> ScoredPrompt:
    """A prompt with nothing asked yet."""
    return ScoredPrompt(prompt, born, (None,) * len(scorer.opinions))
