"""What tests of `fit` and `ask` share: a users file, and a recorded model that learns from it in no time."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from idiolect.cli.app import app
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import base
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings, ProposerName
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest
from idiolect.models.replay import RecordingModel
from idiolect.models.similarity import Bm25Similarity
from idiolect.people.user import Question, User
from idiolect.people.user_record import user_from_record

FAST = ("--preset", "demo", "--similarity", "bm25", "--iterations", "2", "--proposers", "llm,demonstrations")
TEA = Question("Would you drink tea at breakfast?", ("never", "sometimes", "always"), ordinal=True)

_EXAMPLE = re.compile(r"Answer: (\w+)")


def opinion(thing: str, answer: str) -> dict[str, Any]:
    return {
        "question": f"Would you drink {thing} at noon?",
        "choices": ["never", "sometimes", "always"],
        "ordinal": True,
        "answer": answer,
    }


THINGS = ("tea", "coffee", "milk", "juice", "water", "cocoa")
ANN = {"id": "ann", "profile": {"Age": "30-44"}, "opinions": [opinion(thing, "always") for thing in THINGS]}
BOB = {"id": "bob", "opinions": [opinion(thing, "sometimes") for thing in THINGS]}
SILENT = {"id": "silent", "texts": ["I write, but answer nothing."]}


def settings() -> FermiSettings:
    """Those of `fit` with `FAST`."""
    demo = preset("demo")
    proposers: tuple[ProposerName, ...] = ("llm", "demonstrations")
    return replace(demo, iterations=2, proposers=proposers, retrieval=replace(demo.retrieval, similarity="bm25"))


def mimic() -> FunctionModel:
    """Answers what the last example answered, else the first choice; as an optimizer it writes numbered texts."""

    def choose(request: ChoiceRequest) -> list[float]:
        seen = _EXAMPLE.findall("\n".join(message.content for message in request.messages))
        wanted = f" {seen[-1]}" if seen else request.choices[0]
        return [-0.5 if choice == wanted else -2.0 for choice in request.choices]

    def write(request: CompletionRequest) -> str:
        return f"Text {request.draw} about what this person drinks]" if request.prefill else "Tea, I think."

    return FunctionModel("mimic", complete=write, choice_logprobs=choose)


def record(path: Path, people: Iterable[dict[str, Any]], *, asked: Iterable[Question] = (TEA,)) -> str:
    """The name of a replay that knows what `fit` with `FAST` and then `ask` need for these people."""

    async def run(user: User) -> None:
        model = RecordingModel(mimic(), path)
        answerer = Answerer(model, settings().answering)
        learned = await Fermi(answerer, settings(), optimizer=model).fit(user)
        respondent = RetrievalOfPrompt(learned, answerer, Bm25Similarity())
        await respondent.answer(list(asked))
        await base(answerer).answer(list(asked))

    for person in people:
        asyncio.run(run(user_from_record(person)))
    return f"replay:{path}"


def write_people(path: Path, people: Iterable[dict[str, Any] | str]) -> Path:
    lines = [person if isinstance(person, str) else json.dumps(person) for person in people]
    path.write_text("\n".join(lines) + "\n")
    return path


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), input=stdin)
