"""The arms: what learns from a person's answers, within how many calls, and answers the held-out questions.

Learning may make calls to the answering model and to the optimizer. Scoring a pool of prompts for the held-out
questions counts as learning; answering these questions is counted apart.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import Literal

from idiolect.evaluate.methods.fermi import opro as opro_settings
from idiolect.methods.answering import Answerer, PromptedQuestion
from idiolect.methods.baselines import FewShot, FixedPrompt
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.gate import respondent
from idiolect.methods.fermi.memory import ScoredAnswer, judge
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.proposal import Round
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.similarity import Bm25Similarity
from simulated_models.metering import Metered, Purse
from simulated_models.optimizer import Optimizer
from simulated_models.people import Person, World

EXAMPLES = 16
_UNLIMITED = 10_000  # iterations: the calls end sooner


@dataclass(frozen=True)
class Result:
    """What an arm did for a person.

    Args:
        hits: 1 or 0 for each held-out question.
        answering, optimizing: calls while learning.
        asking: calls to answer the held-out questions.
        winner: what the evidence decided, where there is evidence.
    """

    hits: tuple[int, ...]
    answering: int = 0
    optimizing: int = 0
    asking: int = 0
    winner: str = ""

    @property
    def calls(self) -> int:
        """All calls of learning."""
        return self.answering + self.optimizing


@dataclass
class Trial:
    """One person in one world with one optimizer, and the settings that are compared.

    Args:
        budget: calls that a rival's learning may make.
    """

    world: World
    person: Person
    optimizer: Optimizer
    old: FermiSettings
    new: FermiSettings
    budget: float = math.inf
    similarity: Bm25Similarity = field(default_factory=Bm25Similarity)

    @property
    def initial(self) -> str:
        """`P⁰` of all that starts from the new preset's questions."""
        return profile_prompt(self.person.user.profile, self.new.answering)

    def run(self, settings: FermiSettings) -> Run:
        """The models of one arm, with the calls that it may make."""
        return Run(self, settings)


class Run:
    """The metered models of one arm."""

    def __init__(self, trial: Trial, settings: FermiSettings) -> None:
        self.trial, self.settings = trial, settings
        self.purse = Purse(trial.budget)
        self.model = Metered("simulated-responder", trial.world.responder, self.purse)
        self.optimizer = Metered("simulated-optimizer", trial.optimizer, self.purse)
        self.answerer = Answerer(self.model, settings.answering)

    async def result(self, respondent: Respondent, *, winner: str = "") -> Result:
        """Ask the held-out questions, which no longer count as learning."""
        answering, optimizing = self.model.calls, self.optimizer.calls
        self.purse.left = math.inf
        asked = self.trial.person.asked
        answers = await respondent.answer([opinion.question for opinion in asked])
        hits = tuple(
            int(answer.response.answer == opinion.answer) for opinion, answer in zip(asked, answers, strict=True)
        )
        return Result(hits, answering, optimizing, self.model.calls - answering, winner)

    def few_shot(self, text: str) -> FewShot:
        """A text with the nearest examples behind it."""
        opinions, similarity = self.trial.person.user.opinions, self.trial.similarity
        return FewShot(self.answerer, opinions, k=EXAMPLES, similarity=similarity, instruction=text)


async def few_shot(trial: Trial) -> Result:
    """`P⁰` with the nearest examples behind it."""
    run = trial.run(trial.new)
    return await run.result(run.few_shot(trial.initial))


async def fermi(trial: Trial, settings: FermiSettings) -> Result:
    """Fermi with its gate; where calls end it early, with what it has by then."""
    run = trial.run(settings)
    learned = await Fermi(run.answerer, settings, optimizer=run.optimizer, similarity=trial.similarity).fit(
        trial.person.user
    )
    side = respondent(learned, run.answerer, trial.similarity)
    if isinstance(side, RetrievalOfPrompt):
        run.purse.left = math.inf  # a pool outside of the memory is scored now, beyond any limit, and counts
        await side.explain([opinion.question for opinion in trial.person.asked])
    winner = learned.evidence.winner if learned.evidence else ""
    return await run.result(side, winner=winner)


def within_calls(settings: FermiSettings) -> FermiSettings:
    """Return the settings for a search that calls end: no calls are needed after it, so neither gate nor open pool."""
    return replace(
        settings,
        iterations=_UNLIMITED,
        scoring_share=0.8,
        retrieval=replace(settings.retrieval, pool="memory"),
        evidence=EvidenceSettings(),
    )


async def gepa(trial: Trial) -> dict[str, Result]:
    """GEPA as in `against_gepa.py`, and its best text with examples behind it."""
    import against_gepa  # its package `gepa` is in the extra `bench`

    run = trial.run(trial.new)
    free = Purse()
    world = against_gepa.World(
        name="simulated",
        answering=Metered("simulated-responder", trial.world.responder, free),
        proposing=Metered("simulated-optimizer", trial.optimizer, free),
        similarity=trial.similarity,
        settings=trial.new,
        dialect=against_gepa.Dialect(read=str, write=str),
        arms=(),
        budget=int(trial.budget),
        lengths=(),
    )
    case = against_gepa.Case(trial.person.user, trial.person.asked)
    last = (await against_gepa.gepa(world, case, minibatch=3, retrieval=False))[-1]
    answering = last.calls - last.proposing
    alone = await run.result(FixedPrompt(run.answerer, last.prompt))
    both = await run.result(run.few_shot(last.prompt))
    return {
        name: replace(each, answering=answering, optimizing=last.proposing)
        for name, each in (("GEPA", alone), ("GEPA + examples", both))
    }


async def langmem(trial: Trial, kind: Literal["gradient", "metaprompt"]) -> dict[str, Result]:
    """LangMem: all known answers under a text, an update, and again from the best text so far until the calls end."""
    from simulated_models import langmem_rival as rival

    run = trial.run(trial.new)
    run.optimizer.reply = rival.replies(trial.optimizer)
    opinions = trial.person.user.opinions
    best: tuple[float, str, list[ScoredAnswer]] = (-1.0, trial.initial, [])
    text, update = trial.initial, 0
    while run.purse.left >= len(opinions):
        responses = await run.answerer.answer([PromptedQuestion(text, opinion.question) for opinion in opinions])
        judged = [judge(opinion, response) for opinion, response in zip(opinions, responses, strict=True)]
        score = math.fsum(each.score for each in judged) / len(judged)
        best = max(best, (score, text, judged), key=lambda each: each[0])
        if best[0] == 1 or run.purse.left < rival.CALLS[kind] + len(opinions):
            break
        seed = Round((trial.new.seed, trial.person.user.id), update, (0,)).seed(0)
        pairs = list(zip(opinions, best[2], strict=True))
        ask = partial(rival.asked, run.optimizer, seed)
        text = await asyncio.to_thread(rival.improved, kind, best[1], pairs, ask)
        update += 1
    name = f"LangMem {kind}"
    alone = await run.result(FixedPrompt(run.answerer, best[1]))
    both = await run.result(run.few_shot(best[1]))
    return {name: alone, f"{name} + examples": replace(both, answering=alone.answering)}


async def results(trial: Trial, arms: Sequence[str]) -> dict[str, Result]:
    """Run the arms for one person; the new preset first, because its calls are the limit of the others."""
    run = trial.run(trial.new)
    found = {
        "profile": await run.result(FixedPrompt(run.answerer, trial.initial)),
        "few-shot 16": await few_shot(trial),
        "new api": await fermi(trial, trial.new),
        "old api": await fermi(trial, trial.old),
    }
    limited = replace(trial, budget=found["new api"].calls)
    old = within_calls(trial.old)
    opro = replace(within_calls(opro_settings(trial.old)), answering=trial.new.answering)
    several: dict[str, Callable[[], Awaitable[dict[str, Result]]]] = {
        "GEPA": lambda: gepa(limited),
        "LangMem gradient": lambda: langmem(limited, "gradient"),
        "LangMem metaprompt": lambda: langmem(limited, "metaprompt"),
    }
    for arm in arms:
        if arm in several:
            found |= await several[arm]()
        else:
            found[arm] = await fermi(limited, {"old api, equal calls": old, "OPRO": opro}[arm])
    return found


RIVALS = ("old api, equal calls", "OPRO", "GEPA", "LangMem gradient", "LangMem metaprompt")
_PACKAGES = {"GEPA": "gepa", "LangMem gradient": "langmem", "LangMem metaprompt": "langmem"}


def missing_package(arms: Sequence[str]) -> str | None:
    """Return the name of a package that an arm needs and that is not installed."""
    needed = [_PACKAGES[arm] for arm in arms if arm in _PACKAGES]
    return next((package for package in needed if find_spec(package) is None), None)
