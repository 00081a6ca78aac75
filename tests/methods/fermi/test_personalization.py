"""A personalization goes to JSON and back without loss; what is damaged is refused without telling people's text."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from idiolect.errors import PersonalizationError
from idiolect.methods.answering import Response
from idiolect.methods.evidence import EvidenceSettings, weigh
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization, Iteration
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.prompt import Failure, Prompt
from idiolect.methods.fermi.settings import DemonstrationSettings, FermiSettings, MetaPromptSettings, RetrievalSettings
from idiolect.models.language_model import Usage
from tests.held_out_settings import HELD_OUT
from tests.methods.people import learn, paper, rater, scored, steady
from tests.people.strategies import opinions, texts

counts = st.integers(0, 10**12)
usages = st.builds(Usage, counts, counts, counts, counts)
floats = st.floats(0, 1)
logprobs = st.lists(st.floats(max_value=0, allow_nan=False), max_size=3).map(tuple)
said = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
responses = st.builds(Response, said, st.none() | said, logprobs, usages)
judged = st.builds(ScoredAnswer, responses, floats)
evidences = st.lists(st.tuples(floats, floats), min_size=1, max_size=3).map(
    lambda pairs: weigh([a for a, _ in pairs], [b for _, b in pairs], EvidenceSettings(0.2, 0.1))
)
fermi_settings = st.sampled_from(
    [
        preset("paper"),
        preset("demo"),
        HELD_OUT,
        FermiSettings(
            seed=-1,
            meta_prompt=MetaPromptSettings(template="{{ prompts }}", max_failures=3, temperature=0.1),
            demonstrations=DemonstrationSettings(keep_share=1 / 3),
            retrieval=RetrievalSettings(pool="memory", retrieve=False),
        ),
    ]
)


@st.composite
def prompts(draw: st.DrawFn, n: int) -> ScoredPrompt:
    indices = st.lists(st.integers(0, n - 1), max_size=3, unique=True).map(tuple)
    failures = st.lists(st.builds(Failure, st.integers(0, n - 1), said), max_size=2).map(tuple)
    origins = st.sampled_from(["initial", "llm", "demonstrations"])
    prompt = draw(st.builds(Prompt, said, indices, indices, origins, failures))
    cells = draw(st.lists(st.none() | judged, min_size=n, max_size=n))
    return ScoredPrompt(prompt, draw(counts), tuple(cells))


@st.composite
def personalizations(draw: st.DrawFn) -> FermiPersonalization:
    scoring = draw(st.lists(opinions(), min_size=1, max_size=3))
    several = st.lists(prompts(len(scoring)), min_size=1, max_size=2).map(tuple)
    rejected = st.dictionaries(said, counts, max_size=2)
    iterations = st.builds(Iteration, counts, counts, floats, counts, rejected, usages, usages)
    return FermiPersonalization(
        user_id=draw(texts()),
        model=draw(texts()),
        optimizer=draw(st.none() | texts()),
        settings=draw(fermi_settings),
        opinions=tuple(scoring),
        examples=tuple(draw(st.lists(opinions(), max_size=1))),
        initial=draw(prompts(len(scoring))),
        prompts=draw(several),
        memory=draw(several),
        iterations=tuple(draw(st.lists(iterations, max_size=2))),
        answering=draw(usages),
        optimizing=draw(usages),
        finished=draw(st.booleans()),
        held_out=tuple(draw(st.lists(opinions(), max_size=1))),
        evidence=draw(st.none() | evidences),
    )


def responses_of(learned: FermiPersonalization) -> list[Response]:
    every = (learned.initial, *learned.prompts, *learned.memory)
    return [cell.response for prompt in every for cell in prompt.cells if cell]


@settings(steady, suppress_health_check=[HealthCheck.too_slow], max_examples=25)
@given(personalizations())
def test_a_personalization_comes_back_from_json_as_it_was(learned: FermiPersonalization) -> None:
    text = json.dumps(learned.to_json())
    back = FermiPersonalization.from_json(json.loads(text))
    assert back == learned
    assert [r.usage for r in responses_of(back)] == [r.usage for r in responses_of(learned)]
    assert back.to_json() == learned.to_json()
    assert isinstance(back.prompts, tuple)
    assert isinstance(back.prompts[0].cells, tuple)


async def learned_payload() -> dict[str, Any]:
    learned = await learn(rater(6), paper(iterations=2, proposers=("llm", "demonstrations")))
    payload: dict[str, Any] = json.loads(json.dumps(learned.to_json()))
    assert FermiPersonalization.from_json(payload) == learned
    return payload


@pytest.mark.parametrize(
    ("key", "value"), [("format", 5), ("format", None), ("format", "1"), ("method", "chameleon"), ("method", None)]
)
async def test_another_method_or_format_is_refused(key: str, value: object) -> None:
    payload = await learned_payload()
    with pytest.raises(PersonalizationError, match="not a Fermi personalization of format 4 or older"):
        FermiPersonalization.from_json({**payload, key: value})


def damaged(path: str, value: object) -> Any:
    return pytest.param(path.split("."), value, id=path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        damaged("opinions.0.answer", "a secret that was never a choice"),
        damaged("opinions.0.question.choices", ["a secret"]),
        damaged("opinions", "a secret"),
        damaged("settings.iterations", 0),
        damaged("settings.retrieval.pool", "a secret"),
        damaged("settings.thresholds.choice", 7),
        damaged("memory.0.cells.0.score", "a secret"),
        damaged("memory.0.cells", []),
        damaged("prompts.0.prompt.demonstrations", [99]),
        damaged("prompts.0.prompt.quotes", [-1]),
        damaged("initial", None),
        damaged("prompts", []),
        damaged("memory", []),
        damaged("opinions", []),
        damaged("answering", {"calls": "a secret"}),
    ],
)
async def test_a_damaged_personalization_is_refused_without_its_text(path: list[str], value: object) -> None:
    payload = await learned_payload()
    place: Any = payload
    for step in path[:-1]:
        place = place[int(step)] if step.isdigit() else place[step]
    place[path[-1]] = value
    with pytest.raises(PersonalizationError, match="damaged at") as refused:
        FermiPersonalization.from_json(payload)
    told = str(refused.value)
    assert "dish number" not in told
    assert path[0] in told or "prompt" in told or "opinions" in told
    assert "secret" not in told or path[0] == "settings"


@pytest.mark.parametrize("payload", [{}, {"method": "fermi"}, {"method": "fermi", "format": 1}])
def test_what_is_no_personalization_is_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(PersonalizationError):
        FermiPersonalization.from_json(payload)


async def test_best_is_the_best_complete_prompt_of_memory_and_pool() -> None:
    learned = await learn(rater(2), paper(iterations=1))
    low, high = scored("low", [0.0, 0.5], born=1), scored("high", [1.0, 0.5], born=5)
    older, open_ = scored("older", [0.5, 1.0], born=2), scored("open", [1.0, None], born=0)
    assert replace(learned, memory=(low,), prompts=(high, open_)).best == high
    assert replace(learned, memory=(low, high), prompts=(older,)).best == older
