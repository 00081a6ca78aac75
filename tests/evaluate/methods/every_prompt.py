"""Everything that a model is shown while an evaluation runs, for tests of what must never be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect import Opinion, Question, User, UserProfile
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.methods.bench import Bench, OpenWeights
from idiolect.methods.chameleon.settings import preset
from idiolect.models.calls.model import Source
from idiolect.models.language_model import ChosenAnswer, Message
from idiolect.models.local import LocalModel, load_local_model
from idiolect.models.similarity import EmbeddingSimilarity
from tests.cli.open_weights import HashEmbedder, weights
from tests.evaluate.small_world import bench
from tests.methods.chameleon.starts import random_start
from tests.models.tiny import SIZES

_NOUNS = ("people", "work", "government", "help", "bread", "tea", "rain", "trains")


def writer(name: str, *, train: int = 8, test: int = 2) -> Case:
    """Answers in free text, each with a mark that tells who gave it, when; and texts likewise."""

    def answers(kind: str, n: int) -> tuple[Opinion, ...]:
        return tuple(
            Opinion(Question(f"What about {noun}, {kind} {i}?"), f"{name}-{kind}-{i} likes {noun}")
            for i, noun in zip(range(n), _NOUNS, strict=False)
        )

    def texts(kind: str, n: int) -> tuple[str, ...]:
        return tuple(f"{name}-{kind}-text-{i} says that {' '.join(_NOUNS[i % 8 :])} are good." for i in range(n))

    user = User(name, UserProfile({"Name": f"{name}-profile"}), answers("train", train), texts("train", train))
    return Case(user, answers("asked", test), texts("asked", test))


def writers(*names: str) -> Benchmark:
    others = tuple(replace(writer(f"other{i}").user) for i in range(3))
    return Benchmark("users", tuple(map(writer, names)), ("rouge1", "loglik"), others=others)


def on_doubles(of: Benchmark, answers: Any = None, **changes: Any) -> Bench:
    return bench(of, answers=answers, dense=EmbeddingSimilarity(HashEmbedder()), **changes)


def on_weights(of: Benchmark, folder: Path, **changes: Any) -> Bench:
    """A tiny network in the place of the model, with few and short pairs."""
    network = load_local_model(weights(folder), device="cpu")
    source = Source(network, "tiny", fingerprint=network.fingerprint())
    start = random_start(SIZES["num_hidden_layers"], SIZES["hidden_size"])
    opened = OpenWeights(network, source.fingerprint, preset("measured"), start, pairs=12, pair_tokens=24)
    found = on_doubles(of, model=source, optimizer=source, open_weights=opened)
    fermi = replace(found.fermi, proposers=("demonstrations",))
    return replace(found, fermi=fermi, **changes)


class Shown:
    """All that a local model was shown: messages, choices and texts apart; and all that it learned from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.messages: list[str] = []
        for name in ("_complete", "_choice_logprobs"):
            self._watch(monkeypatch, name, lambda requests: (r.messages for r in requests))
        for name in ("activations", "likelihood_gradients"):
            self._watch(monkeypatch, name, lambda texts: (t[0] for t in texts))
        for name, at in (("write_gradient", 1), ("train_edit", 2)):
            self._watch(monkeypatch, name, lambda answers: (_with_answer(each) for each in answers), at=at)

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, messages_of: Any, *, at: int = 0) -> None:
        original = getattr(LocalModel, name)

        async def watched(model: LocalModel, *asked: Any, **named: Any) -> Any:
            self.see(messages_of(asked[at]))
            return await original(model, *asked, **named)

        monkeypatch.setattr(LocalModel, name, watched)

    def see(self, chats: Iterable[Iterable[Message]]) -> None:
        self.messages += ["\n".join(message.content for message in chat) for chat in chats]


def _with_answer(answer: ChosenAnswer) -> tuple[Message, ...]:
    return (*answer.request.messages, Message("assistant", answer.request.choices[answer.chosen]))
