"""Fermi against GEPA at the same models and the same number of model calls, person by person.

    python benchmarks/against_gepa.py --world planted --n 20 --budgets 100 200 400 600 --out docs/results/against-gepa
    python benchmarks/against_gepa.py --world people --n 24 --budgets 50 100 150 200 --out docs/results/against-gepa
    … --report                                  # only make the world's section of OUT.md from its lines

GEPA is the package `gepa` as it comes: default reflection template, minibatch 3, Pareto selection, strict acceptance;
the scoring opinions are its trainset and its valset. Both sides start from Fermi's P⁰, are scored by our alignment
score on the same opinions, and ask one model to answer and one to propose, through one meter.

What counts: every *different* answering request on a scoring opinion, and every proposal asked for. A request that was
asked before in the same run is free for both (GEPA asks parents again; without this it would get fewer proposals).
Fermi's count includes scoring the pool for the held-out questions. Answering those questions counts for nobody.
At a budget B a side answers with the last state that it reached within B calls, and before its first with P⁰.

A line a person and arm goes to OUT/WORLD.jsonl; a run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from gepa.api import optimize
from gepa.core.adapter import EvaluationBatch, GEPAAdapter
from gepa.core.callbacks import GEPACallback, ValsetEvaluatedEvent
from gepa.utils.stop_condition import MaxCandidateProposalsStopper
from intervals import mean_interval, paired_difference

from idiolect import Opinion, User
from idiolect.evaluate.measures import judge_all
from idiolect.methods.answering import Answerer, PromptedQuestion, question_block
from idiolect.methods.baselines import FewShot, FixedPrompt, base
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.memory import ScoredAnswer, ScoredPrompt, judge
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.proposal import Round
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.catalog import open_similarity
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionModel,
    CompletionRequest,
    LanguageModel,
    Message,
    SamplingParams,
    Usage,
)
from idiolect.models.similarity import Similarity
from idiolect.people.bundled import bundled_groups
from idiolect.people.splits import split_opinions

T = TypeVar("T")
R = TypeVar("R", bound=Hashable)

COMPONENT = "prompt"
N_TRAIN = 20  # opinions of a bundled person to learn from, as in fermi_people.py


class SpentError(Exception):
    """The next calls would go over the budget."""


@dataclass
class Purse:
    """What the two models of one run may still be asked; empty after the first request that doesn't fit."""

    left: float


class Metered:
    """A model that counts the different requests of one run; what is in `kept` isn't computed again."""

    def __init__(self, model: CompletionModel | LanguageModel, kept: dict[Hashable, Any], purse: Purse) -> None:
        self._model, self._kept, self._purse = model, kept, purse
        self.asked: set[Hashable] = set()

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Completions, counted."""
        return await self._ask(requests, self._model.complete)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Log-probabilities, counted."""
        return await self._ask(requests, self._model.choice_logprobs)  # type: ignore[union-attr]

    async def _ask(self, requests: Sequence[R], ask: Callable[[Sequence[R]], Awaitable[list[T]]]) -> list[T]:
        unpaid = set(requests) - self.asked
        if len(unpaid) > self._purse.left:
            self._purse.left = 0
            raise SpentError
        self._purse.left -= len(unpaid)
        self.asked |= unpaid
        new = [request for request in dict.fromkeys(requests) if request not in self._kept]
        if new:
            self._kept.update(zip(new, await ask(new), strict=True))
        return [self._kept[request] for request in requests]


@dataclass(frozen=True)
class Dialect:
    """How GEPA's reflection prompt reaches the proposing model, and how its reply becomes GEPA's ``` block."""

    read: Callable[[str], str]
    write: Callable[[str], str]
    prefill: str = ""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class World:
    """What all arms share.

    Args:
        name: of the world; its lines go to OUT/name.jsonl.
        answering, proposing: the models.
        settings: Fermi's, in which every opinion scores and none is held out; the answering settings and the limits
            of a proposal hold for GEPA too.
        dialect: of the proposing model.
        arms: what to run, in order.
        budget: calls after which nobody goes on.
        lengths: values of T that Fermi is run with, ascending.
    """

    name: str
    answering: CompletionModel | LanguageModel
    proposing: CompletionModel
    similarity: Similarity
    settings: FermiSettings
    dialect: Dialect
    arms: tuple[str, ...]
    budget: int
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """One person: what is learned from, what is asked; and the results of requests already computed for them."""

    user: User
    test: tuple[Opinion, ...]
    answered: dict[Hashable, Any] = field(default_factory=dict)
    proposed: dict[Hashable, Any] = field(default_factory=dict)


class Run:
    """The meter of one arm (or one length of it) for one person, and the answerer behind it."""

    def __init__(self, world: World, case: Case) -> None:
        self.purse = Purse(world.budget)
        self.answering = Metered(world.answering, case.answered, self.purse)
        self.proposing = Metered(world.proposing, case.proposed, self.purse)
        self.answerer = Answerer(self.answering, world.settings.answering)

    @property
    def calls(self) -> int:
        """Answering and proposing calls so far."""
        return len(self.answering.asked) + len(self.proposing.asked)

    def no_longer_counted(self) -> Run:
        """Whatever is asked from now on is for the held-out questions."""
        self.purse.left = math.inf
        return self


@dataclass(frozen=True)
class State:
    """What a side would answer with after so many calls.

    Args:
        calls: spent; proposing: how many of these are proposals.
        step: Fermi's T, or GEPA's fully scored candidates; 0 is P⁰.
        learned: score of the best prompt on the opinions it was learned from, None where nothing is learned.
        prompt: text of that prompt.
        alignment, correct: per held-out question.
    """

    calls: int
    proposing: int
    step: int
    learned: float | None
    prompt: str
    alignment: list[float]
    correct: list[float | None]


async def held_out(case: Case, respondent: Respondent) -> tuple[list[float], list[float | None]]:
    """Alignment and exact match per held-out question."""
    answers = await respondent.answer([opinion.question for opinion in case.test])
    scores = [each.values for each in judge_all(case.test, answers, ("alignment", "accuracy"))]
    return [s["alignment"] for s in scores], [s.get("accuracy") for s in scores]


async def unlearned(world: World, case: Case, arm: str) -> State:
    """Arms that learn nothing; "profile" is P⁰."""
    answerer = Run(world, case).no_longer_counted().answerer
    p0 = profile_prompt(case.user.profile, answerer.settings)
    respondents: Mapping[str, Callable[[], Respondent]] = {
        "base": lambda: base(answerer),
        "profile": lambda: FixedPrompt(answerer, p0),
        "few-shot": lambda: FewShot(answerer, case.user.opinions, k=len(case.user.opinions), instruction=p0),
    }
    return State(0, 0, 0, None, p0, *await held_out(case, respondents[arm]()))


async def fermi(world: World, case: Case, settings: FermiSettings) -> list[State]:
    """Fermi with T = 1, 2, …: what it costs from scratch, and how it answers."""
    states = [await unlearned(world, case, "profile")]
    for iterations in world.lengths:
        run = Run(world, case)
        try:
            method = Fermi(run.answerer, replace(settings, iterations=iterations), optimizer=run.proposing)
            learned = await method.fit(case.user)
        except SpentError:
            break
        respondent = RetrievalOfPrompt(learned, run.answerer, world.similarity)
        try:
            await respondent.explain([opinion.question for opinion in case.test])
        except SpentError:
            continue  # a longer run may have scored more of its pool while it learned
        calls, proposing, best = run.calls, len(run.proposing.asked), respondent.personalization.best
        run.no_longer_counted()
        asked = await held_out(case, respondent)
        states.append(State(calls, proposing, iterations, best.score, best.prompt.text, *asked))
    return states


class Adapter(GEPAAdapter[Opinion, tuple[Opinion, ScoredAnswer], str]):
    """GEPA's view of the world: answer opinions under a candidate, and say what was wrong."""

    def __init__(self, world: World, ask: Callable[[str, Sequence[Opinion]], list[ScoredAnswer]]) -> None:
        self._world, self._ask = world, ask

    def evaluate(
        self, batch: list[Opinion], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[tuple[Opinion, ScoredAnswer], str]:
        """Alignment scores of a batch."""
        judged = self._ask(candidate[COMPONENT], batch)
        return EvaluationBatch(
            outputs=[one.response.text for one in judged],
            scores=[one.score for one in judged],
            trajectories=list(zip(batch, judged, strict=True)) if capture_traces else None,
        )

    def make_reflective_dataset(
        self,
        candidate: dict[str, str],
        eval_batch: EvaluationBatch[tuple[Opinion, ScoredAnswer], str],
        components_to_update: list[str],
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Question, response, and what the person said, in the keys that GEPA recommends."""
        del candidate
        records = [
            {
                "Inputs": question_block(opinion.question, self._world.settings.answering),
                "Generated Outputs": judged.response.text or "(no answer)",
                "Feedback": "Right: the person said the same." if judged.score == 1 else
                            f"Wrong. The person said: {opinion.answer}",
            }
            for opinion, judged in eval_batch.trajectories or ()
        ]  # fmt: skip
        return dict.fromkeys(components_to_update, records)


class Silent:
    """GEPA's logger, switched off."""

    def log(self, message: str) -> None:
        """Nothing."""


@dataclass
class Watch:
    """Notes each fully scored candidate of GEPA, and what had been spent by then."""

    run: Run
    seen: list[tuple[int, int, float, str]] = field(default_factory=list)

    def on_valset_evaluated(self, event: ValsetEvaluatedEvent) -> None:
        """GEPA calls this."""
        text = event["candidate"][COMPONENT]
        self.seen.append((self.run.calls, len(self.run.proposing.asked), event["average_score"], text))


@dataclass
class Reflection:
    """GEPA's reflection model: the proposing model, with the same limits on a proposal as in Fermi."""

    world: World
    case: Case
    run: Run
    wait: Callable[[Coroutine[Any, Any, list[Completion]]], list[Completion]]
    draws: int = 0

    def __call__(self, prompt: str | list[dict[str, Any]]) -> str:
        """One proposal."""
        assert isinstance(prompt, str)
        world, limits = self.world, self.world.settings.meta_prompt
        seed = Round((world.settings.seed, self.case.user.id), 0, (self.draws,)).seed(self.draws)
        request = CompletionRequest(
            (Message("user", world.dialect.read(prompt)),),
            SamplingParams(limits.max_tokens, limits.temperature, seed=seed, stop=world.dialect.stop),
            self.draws,
            world.dialect.prefill,
        )
        self.draws += 1
        return world.dialect.write(self.wait(self.run.proposing.complete([request]))[0].text)


async def gepa(world: World, case: Case, *, minibatch: int, retrieval: bool) -> list[State]:
    """GEPA's best candidate so far, each time there is a better one; or Retrieval-of-Prompt over all its candidates."""
    run, loop = Run(world, case), asyncio.get_running_loop()
    watch = Watch(run)
    opinions = case.user.opinions
    p0 = profile_prompt(case.user.profile, run.answerer.settings)

    def wait(asked: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asked, loop).result()

    async def answered(text: str, batch: Sequence[Opinion]) -> list[ScoredAnswer]:
        responses = await run.answerer.answer([PromptedQuestion(text, opinion.question) for opinion in batch])
        return [judge(opinion, response) for opinion, response in zip(batch, responses, strict=True)]

    optimization = partial(
        optimize,
        seed_candidate={COMPONENT: p0},
        trainset=list(opinions),
        valset=list(opinions),
        adapter=Adapter(world, lambda text, batch: wait(answered(text, batch))),
        reflection_lm=Reflection(world, case, run, wait),
        reflection_minibatch_size=minibatch,
        # Rounds in which the whole minibatch is right cost nothing, so the purse alone might never stop it.
        stop_callbacks=[
            lambda _: run.purse.left <= 0,
            MaxCandidateProposalsStopper(world.budget),
        ],
        callbacks=[cast(GEPACallback, watch)],
        logger=Silent(),
        seed=world.settings.seed,
    )  # fmt: skip
    with suppress(SpentError):
        await asyncio.to_thread(optimization)
    run.no_longer_counted()
    states = [await unlearned(world, case, "profile")]
    best = -1.0
    for place, (calls, proposing, score, text) in enumerate(watch.seen):
        if score <= best and not retrieval:
            continue
        best = max(best, score)
        pool = [text for *_, text in watch.seen[: place + 1]]
        respondent = candidates(world, case, pool, run) if retrieval else FixedPrompt(run.answerer, text)
        chosen = max(watch.seen[: place + 1], key=lambda one: one[2])[3]
        states.append(State(calls, proposing, place + 1, best, chosen, *await held_out(case, respondent)))
    return states


def candidates(world: World, case: Case, texts: Sequence[str], run: Run) -> RetrievalOfPrompt:
    """Retrieval-of-Prompt over texts that have been scored on all opinions, so that choosing costs no call."""
    opinions = case.user.opinions
    pool = tuple(ScoredPrompt(Prompt(text), born, (None,) * len(opinions)) for born, text in enumerate(texts))
    learned = FermiPersonalization(
        case.user.id, run.answering.name, run.proposing.name, world.settings, opinions, (), pool[0], pool, pool, (),
        Usage(), Usage(),
    )  # fmt: skip
    return RetrievalOfPrompt(learned, run.answerer, world.similarity)


async def states_of(world: World, case: Case, arm: str) -> list[State]:
    """Run one arm for one person."""
    settings = world.settings
    best_only = replace(settings.retrieval, retrieve=False, pool="memory")
    table: Mapping[str, Callable[[], Awaitable[list[State]]]] = {
        "fermi-llm": lambda: fermi(world, case, replace(settings, proposers=("llm",))),
        "fermi-llm, best prompt only": lambda: fermi(
            world, case, replace(settings, proposers=("llm",), retrieval=best_only)
        ),
        "fermi-llm, K=1": lambda: fermi(world, case, replace(settings, proposers=("llm",), proposals=1)),
        "fermi-demonstrations": lambda: fermi(world, case, replace(settings, proposers=("demonstrations",))),
        "gepa": lambda: gepa(world, case, minibatch=3, retrieval=False),
        "gepa, retrieval": lambda: gepa(world, case, minibatch=3, retrieval=True),
        "gepa, minibatch 8": lambda: gepa(world, case, minibatch=8, retrieval=False),
        "gepa, minibatch 8, retrieval": lambda: gepa(world, case, minibatch=8, retrieval=True),
    }
    return await table[arm]() if arm in table else [await unlearned(world, case, arm)]


LEARNING_ARMS = (
    "fermi-llm", "fermi-llm, K=1", "fermi-llm, best prompt only", "fermi-demonstrations",
    "gepa", "gepa, retrieval", "gepa, minibatch 8", "gepa, minibatch 8, retrieval",
)  # fmt: skip


async def run_all(world: World, cases: Sequence[Case], path: Path, *, together: int) -> None:
    """All arms of all people; several people at once, so that a local model can batch them."""
    done = {(row["person"], row["arm"]) for row in rows_of(path)}
    turns = asyncio.Semaphore(together)

    async def one(case: Case) -> None:
        async with turns:
            for arm in world.arms:
                if (case.user.id, arm) in done:
                    continue
                started = time.perf_counter()
                states = await states_of(world, case, arm)
                row = {"person": case.user.id, "arm": arm, "budget": world.budget,
                       "seconds": round(time.perf_counter() - started, 1),
                       "states": [asdict(state) for state in states]}  # fmt: skip
                with path.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
            case.answered.clear()
            case.proposed.clear()
            print(time.strftime("%H:%M:%S"), world.name, case.user.id, file=sys.stderr, flush=True)

    path.parent.mkdir(parents=True, exist_ok=True)
    await asyncio.gather(*(one(case) for case in cases))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """The lines that are there."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- the two worlds


def planted(arguments: argparse.Namespace) -> tuple[World, list[Case]]:
    """The planted world of the tests; the proposing model reads Fermi's meta-prompt, so GEPA gets a translator."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tests.planted_world import KEPT, TOPICS, AnsweringModel, Optimizer, TopicSimilarity, respondent

    keeps = len(TOPICS) if arguments.world == "planted-one-prompt" else KEPT
    settings = preset("paper")
    settings = replace(
        settings,
        scoring_share=1.0,
        evidence=EvidenceSettings(),
        pruning=True,
        retrieval=replace(settings.retrieval, pool="last+memory", tie_break="complete", lazy=True),
    )
    world = World(
        name=arguments.world,
        answering=AnsweringModel(keeps=keeps),
        proposing=Optimizer(),
        similarity=TopicSimilarity(),
        settings=settings,
        dialect=Dialect(read=as_meta_prompt, write=lambda said: f"```\n{said[said.index('[') + 1 : -1]}\n```"),
        arms=("profile", *LEARNING_ARMS),
        budget=max(arguments.budgets),
        lengths=tuple(arguments.lengths),
    )
    people = [respondent(seed) for seed in range(arguments.n)]
    return world, [Case(person.user, person.test) for person in people]


_EXAMPLE = re.compile(
    r"## Inputs\n(?P<question>Question: [^\n]*)\n.*?## Generated Outputs\n(?P<said>[^\n]*)\n.*?"
    r"## Feedback\nWrong\. The person said: (?P<answer>[^\n]*)",
    re.DOTALL,
)


def as_meta_prompt(reflection: str) -> str:
    """GEPA's reflection prompt in the words that the planted optimizer reads: the candidate, the minibatch's failures.

    Nothing is added and nothing that it could use is lost; minibatch examples that went right hold nothing for it.
    """
    text = reflection.split("```\n")[1].strip()
    blocks = [_EXAMPLE.search(block) for block in reflection.split("# Example ")[1:]]
    failures = "".join(
        f'<failure number="{number}">\n{found["question"]}\nPerson\'s answer: {found["answer"]}\n'
        f"Answer under this text: {found['said']}\n</failure>\n"
        for number, found in enumerate(blocks, 1)
        if found
    )
    return f'<prompt number="1" score="0">\n{text}\n{failures}</prompt>\n'


def people(arguments: argparse.Namespace) -> tuple[World, list[Case]]:
    """Bundled people, the embedded model answers and proposes."""
    from idiolect.models.local import load_local_model

    settings = replace(preset("demo"), scoring_share=1.0, evidence=EvidenceSettings())
    groups = bundled_groups()
    group = groups.reported if arguments.group == "reported" else groups.development
    world = World(
        name="people",
        answering=load_local_model("embedded", dtype=arguments.dtype),
        proposing=load_local_model("embedded", dtype=arguments.proposing_dtype),
        similarity=open_similarity(settings.retrieval.similarity),
        settings=settings,
        # As Fermi's preset begins the optimizer's turn with "[This person", so does this for GEPA's brackets.
        dialect=Dialect(
            read=str, write=lambda said: f"```\nThis person{said}\n```", prefill="```\nThis person", stop=("```",)
        ),
        arms=("base", "profile", "few-shot", "fermi-llm", "fermi-demonstrations", "gepa", "gepa, retrieval"),
        budget=max(arguments.budgets),
        lengths=tuple(arguments.lengths),
    )
    cases = []
    for user in group[: arguments.n]:
        split = split_opinions(user, n_train=N_TRAIN)
        cases.append(Case(replace(user, opinions=split.train, texts=()), split.test[: arguments.test]))
    return world, cases


# --- the report


def at(row: Mapping[str, Any], budget: int) -> dict[str, Any]:
    """The last state reached within the budget."""
    reached = [state for state in row["states"] if state["calls"] <= budget]
    found: dict[str, Any] = max(reached, key=lambda state: state["step"])
    return found


def value(state: Mapping[str, Any], measure: str) -> float:
    """Mean over a person's held-out questions."""
    return sum(map(float, state[measure])) / len(state[measure])


def report(rows: Sequence[Mapping[str, Any]], budgets: Sequence[int], name: str) -> str:
    """Curves and paired differences as Markdown."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    by_arm = {arm: {row["person"]: row for row in rows if row["arm"] == arm} for arm in arms}
    whole = set.intersection(*(set(found) for found in by_arm.values()))
    by_arm = {arm: {person: found[person] for person in sorted(whole)} for arm, found in by_arm.items()}
    asked = sum(len(row["states"][0]["correct"]) for row in by_arm[arms[0]].values())
    lines = [f"## World: {name}", "", f"{len(whole)} people, {asked} held-out answers an arm.", ""]
    shown: dict[tuple[str, int], dict[str, float]] = {}
    for measure, title in (("correct", "accuracy"), ("alignment", "alignment score")):
        values = {
            (arm, budget): {person: value(at(row, budget), measure) for person, row in by_arm[arm].items()}
            for arm in arms
            for budget in budgets
        }
        if measure == "alignment" and values == shown:  # exact match is the alignment score of unordered choices
            continue
        shown = values
        head = " | ".join(f"{b} calls" for b in budgets)
        rule = "|---" * (len(budgets) + 1) + "|"
        lines += [f"Held-out {title} against calls:", "", f"| arm | {head} |", rule]
        for arm in arms:
            cells = [str(mean_interval(values[arm, b])) for b in budgets]
            cells = cells if arm in LEARNING_ARMS else [cells[0], *[""] * (len(budgets) - 1)]
            lines.append(f"| {arm} | " + " | ".join(cells) + " |")
        lines += ["", f"Paired differences in held-out {title}:", "", f"| minus | {head} |", rule]
        for ours, theirs in pairs(arms):
            found = [paired_difference(values[ours, b], values[theirs, b]) for b in budgets]
            cells = [f"{one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]" for one in found]
            lines.append(f"| {ours} − {theirs} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [f"Within {budgets[-1]} calls, mean per person:", "",
              "| arm | calls | of these proposals | T, or scored candidates | score on its own opinions |",
              "|---|---|---|---|---|"]  # fmt: skip
    for arm in (arm for arm in arms if arm in LEARNING_ARMS):
        last = [at(row, budgets[-1]) for row in by_arm[arm].values()]
        means = [sum(s[key] or 0 for s in last) / len(last) for key in ("calls", "proposing", "step", "learned")]
        lines.append(f"| {arm} | {means[0]:.0f} | {means[1]:.1f} | {means[2]:.1f} | {means[3]:.3f} |")
    return "\n".join([*lines, ""])


def pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """Which arms are compared: like for like first."""
    wanted = [
        ("fermi-llm", "gepa"), ("fermi-llm", "gepa, retrieval"), ("fermi-llm, K=1", "gepa"),
        ("fermi-llm, K=1", "gepa, retrieval"), ("fermi-llm, best prompt only", "gepa"),
        ("fermi-llm, best prompt only", "gepa, minibatch 8"), ("fermi-llm", "gepa, minibatch 8, retrieval"),
        ("fermi-demonstrations", "gepa"), ("fermi-demonstrations", "fermi-llm"),
        ("gepa", "base"), ("fermi-llm", "base"), ("fermi-demonstrations", "few-shot"),
    ]  # fmt: skip
    return [pair for pair in wanted if set(pair) <= set(arms)]


def main() -> None:
    """Run, resume, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--world",
        choices=("planted", "planted-one-prompt", "people"),
        required=True,
        help="planted-one-prompt: the answering model keeps all preferences, so one prompt can serve",
    )
    parser.add_argument("--n", type=int, default=20, help="people, or seeds of the planted world")
    parser.add_argument("--arms", nargs="*", help="default: all of the world's")
    parser.add_argument("--budgets", type=int, nargs="+", default=[50, 100, 150, 200], help="calls a person, ascending")
    parser.add_argument(
        "--lengths",
        type=int,
        nargs="+",
        default=[*range(1, 11), 12, 15, 20, 30],
        help="values of T to run Fermi with, ascending",
    )
    parser.add_argument("--group", choices=("reported", "development"), default="reported")
    parser.add_argument("--test", type=int, default=10, help="held-out opinions of a bundled person")
    parser.add_argument("--dtype", default="bfloat16", help="of the answering model")
    parser.add_argument("--proposing-dtype", default="float32", help="of the same model when it proposes")
    parser.add_argument("--together", type=int, default=4, help="people at once")
    parser.add_argument("--report", action="store_true", help="only report")
    parser.add_argument("--out", type=Path, required=True)  # fmt: skip
    arguments = parser.parse_args()
    path = arguments.out / f"{arguments.world}.jsonl"
    if not arguments.report:
        world, cases = (people if arguments.world == "people" else planted)(arguments)
        world = replace(world, arms=tuple(arguments.arms or world.arms))
        asyncio.run(run_all(world, cases, path, together=arguments.together))
    rows = [row for row in rows_of(path) if not arguments.arms or row["arm"] in arguments.arms]
    text = report(rows, sorted(arguments.budgets), arguments.world)
    write_section(arguments.out.with_suffix(".md"), arguments.world, text)
    print(text)


def write_section(path: Path, name: str, text: str) -> None:
    """Replace this world's section of the results, or add it; all else stays."""
    sections = path.read_text().split("\n## World: ") if path.exists() else ["# Fermi against GEPA\n"]
    others = [section for section in sections[1:] if section.split("\n")[0] != name]
    sections = [sections[0], *sorted([*others, text.removeprefix("## World: ")])]
    path.write_text("\n## World: ".join(section.rstrip() + "\n" for section in sections))


if __name__ == "__main__":
    main()
