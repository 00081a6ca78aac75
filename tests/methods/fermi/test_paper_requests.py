"""The presets of the paper make exactly the requests that they made before anything went beyond the paper."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace

import pytest

from idiolect import UserProfile
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.language_model import CompletionRequest
from tests.methods.people import TableSimilarity, number, numbered_proposals, random_answers, rater

# SHA-256 of all requests to either model, computed with the code that had neither `search` nor `hybrid` nor `ensemble`,
# and no output rule, which stands behind every prompt now.
PINNED = {
    "paper": (
        "f8cefa3fdd5a1ee8c9a7e1524c6098cd392eb581a31750777e879e7a727a7a7d",
        "b8b680025934ed5b094ad0c1732b863083446ee14447df610491fe11d8860e3f",
    ),
    "paper-offline": (
        "f8cefa3fdd5a1ee8c9a7e1524c6098cd392eb581a31750777e879e7a727a7a7d",
        "b8b680025934ed5b094ad0c1732b863083446ee14447df610491fe11d8860e3f",
    ),
    "api": (
        "14a809d40aaebc099dc54347f912f0fce5b7fc119d970fc297b0000030b53696",
        "0fbf160b9598ac90f4851c307d1c2a54440d235b1371073a4dbcb38fe52bceec",
    ),
}


def digest(requests: Iterable[CompletionRequest]) -> str:
    """Hash everything that a model can see of requests, and their order."""
    seen = [
        [[(m.role, m.content) for m in r.messages], sorted(asdict(r.sampling).items()), r.draw, r.prefill]
        for r in requests
    ]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


async def requests_of(settings: FermiSettings) -> tuple[str, str]:
    """Learn, go on with two more opinions, and answer five questions; return the hashes of the requests."""
    settings = replace(settings, answering=replace(settings.answering, output_rule=False))
    user = replace(rater(20), profile=UserProfile({"Age": "30-49", "Region": "South"}))
    model, optimizer = random_answers(), numbered_proposals()
    near = TableSimilarity(lambda q, d: number(q + d) % 7)
    answerer = Answerer(model, settings.answering)
    fermi = Fermi(answerer, settings, optimizer=optimizer, similarity=near)
    learned = await fermi.fit(user)
    learned = await fermi.extend(learned, replace(user, opinions=rater(22).opinions))
    asked = [opinion.question for opinion in rater(27).opinions[22:]]
    await RetrievalOfPrompt(learned, answerer, near).answer(asked)
    return digest(model.completion_requests), digest(optimizer.completion_requests)


@pytest.mark.parametrize("name", ["paper", "paper-offline"])
async def test_the_presets_of_the_paper_make_the_requests_that_they_made(name: str) -> None:
    assert await requests_of(replace(preset(name), iterations=3)) == PINNED[name]


async def test_without_extensions_the_loop_with_pruning_and_a_gate_makes_the_requests_that_it_made() -> None:
    """The settings of the preset `api` as they were then."""
    old = preset("paper-offline")
    settings = replace(
        old,
        preset="api",
        iterations=3,
        max_opinions=400,
        scoring_share=0.6,
        pruning=True,
        meta_prompt=replace(old.meta_prompt, max_failures=8),
        retrieval=replace(old.retrieval, pool="last+memory", tie_break="complete", lazy=True),
        evidence=replace(old.evidence, share=0.2),
    )
    assert await requests_of(settings) == PINNED["api"]
