"""What tests of the evaluation share: a few people, models that are functions, and a run of some arms in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from idiolect import Opinion, Question, User, UserProfile
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.metering import Meter
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.spec import parse_specs
from idiolect.evaluate.plan import EvaluationOptions, PlannedArm, planned
from idiolect.evaluate.running import Runner
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.fermi.settings import FermiSettings, RetrievalSettings
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.cache import CallCache
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.turns import Turns
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest
from tests.methods.people import SCALE, TableSimilarity, number

SETTINGS = FermiSettings(
    preset="demo",
    iterations=2,
    proposals=2,
    scoring_share=1.0,
    proposers=("llm", "demonstrations"),
    retrieval=RetrievalSettings(pool="memory", similarity="table"),
)
CONFIG: dict[str, Any] = {"task": "users", "methods": ["vanilla"], "people": 3, "seeds": [0], "primary": []}


def opinions(owner: str, first: int, n: int) -> tuple[Opinion, ...]:
    """Answers that depend on owner and dish; all people are asked about the same dishes."""
    return tuple(
        Opinion(
            Question(f"How much is dish {i} liked?", SCALE, ordinal=True),
            SCALE[number(f"{owner}:{i}") % 5],
        )
        for i in range(first, first + n)
    )


def case(name: str, *, train: int = 6, test: int = 3, texts: Sequence[str] = ()) -> Case:
    """Somebody who is asked other dishes than those that are learned from."""
    user = User(name, UserProfile({"Name": name}), opinions(name, 0, train), tuple(texts))
    return Case(user, opinions(name, 100, test))


def benchmark(*cases: Case, measures: tuple[str, ...] = ("accuracy", "mae")) -> Benchmark:
    people = cases or (case("ann"), case("bob"), case("cyd"))
    return Benchmark("users", people, measures, others=(User("other", opinions=opinions("other", 0, 6)),))


def said(request: CompletionRequest) -> str:
    """Another answer for every request, and a new text for every draw of the optimizer."""
    content = "\n".join(message.content for message in request.messages)
    if "square brackets" in content:
        return f"[This person is number {number(content + str(request.sampling.seed) + str(request.draw)) % 9973}.]"
    return SCALE[number(content) % 5]


def scored(request: ChoiceRequest) -> list[float]:
    content = "\n".join(message.content for message in request.messages)
    return [-1.0 - number(content + choice) % 97 / 10 for choice in request.choices]


def model(name: str = "double") -> FunctionModel:
    return FunctionModel(name, complete=said, choice_logprobs=scored)


def bench(of: Benchmark | None = None, *, answers: Any = None, **changes: Any) -> Bench:
    """A bench on which everything is a function of the request."""
    source = Source(answers or model(), "double", fingerprint="1")
    found = Bench(
        benchmark=of or benchmark(),
        answering=AnsweringSettings(),
        model=source,
        optimizer=source,
        calls=Calls(Budget(), Turns(4)),
        fermi=SETTINGS,
        dense=TableSimilarity(lambda query, document: float(number(query + document) % 1000)),
    )
    return replace(found, **changes)


def desk(of: Bench, person: str = "ann", *, seed: int = 0, limit: int | None = None) -> Desk:
    return Desk(of, person, seed, Meter(person, limit=limit))


def arms(methods: str, **changes: Any) -> list[PlannedArm]:
    specs = parse_specs(methods)
    return planned(EvaluationOptions(specs, baseline=specs[0], **changes))


async def run(
    folder: Path, methods: str, of: Bench | None = None, *, seeds: tuple[int, ...] = (0,), **changes: Any
) -> Archive:
    """Arms of all people, kept in a folder with a cache of calls; goes on with what is there."""
    opened = of or bench()
    archive = Archive.open(folder, CONFIG)
    cache = CallCache.open(folder / "cache" / "calls.db")
    try:
        calls = replace(opened.calls, cache=cache)
        found = arms(methods, **changes)
        await Runner(replace(opened, calls=calls, shared={}), found, seeds, archive).run()
    finally:
        cache.close()
    return archive


def lines(folder: Path, kind: str = "answers") -> list[dict[str, Any]]:
    """Records of a folder; what differs from run to run (seconds, calls that reached a model, money) left out."""
    found = []
    for path in sorted(folder.glob(f"{kind}*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            for part in ("learning", "answering", "scoring"):
                if part in line:
                    for name in ("seconds", "calls_made", "money"):
                        del line[part][name]
            line.get("notes", {}).pop("seconds_without_writing", None)
            found.append(line)
    return sorted(found, key=lambda line: json.dumps(line, sort_keys=True))
