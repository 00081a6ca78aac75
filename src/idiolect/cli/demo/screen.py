"""The screen of `idiolect demo`, person by person: every number with its n, and no claim beyond."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any, TypeVar

from idiolect.application.documents import prompt_document
from idiolect.application.fermi import open_fermi, similarity_remedy
from idiolect.application.model_pool import ModelPool
from idiolect.application.portal import run_blocking
from idiolect.application.run import CallSettings
from idiolect.cli.demo.people import N_TRAIN, PERSONALIZED, Trial, try_person
from idiolect.cli.demo.writers import (
    WriterTrial,
    print_writer,
    print_writers_head,
    try_writer,
    writer_json,
    writer_settings,
)
from idiolect.cli.learned_screen import origin, print_prompt
from idiolect.cli.progress import UsersProgress, waiting
from idiolect.cli.terminal import one_line, out, print_json, print_table, print_wrapped
from idiolect.evaluate.measures import Judgement, mean_over_answers
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.settings import DemonstrationSettings, FermiSettings
from idiolect.methods.personalization import Answer
from idiolect.models.catalog import faster_scoring_dtype
from idiolect.models.language_model import Usage
from idiolect.people.bundled import ATTRIBUTION, WRITERS_ATTRIBUTION, bundled_groups, bundled_writers
from idiolect.people.user import User

T = TypeVar("T", Trial, WriterTrial)

MODEL = "embedded"
_PRESET = "demo"
_PROPOSALS = 3  # instead of the preset's 4: the first person has to be on the screen within a minute
_DEMONSTRATIONS = 8  # instead of 12, for the same reason
_SIDE_BY_SIDE = 2
_TOLD_SETTINGS = ("iterations", "proposals", "proposers", "memory_size", "neighbours", "similarity", "seed")
_LABELS = {
    "base": "base model",
    "few-shot": f"few-shot, all {N_TRAIN} answers",
    "own mode": "their most frequent answer",
    PERSONALIZED: "personalized",
}


def run_demo(*, n_people: int, n_writers: int, seed: int, json: bool) -> None:
    """Run the demo and print it.

    Raises:
        ModelError: the embedded model is not installed, or failed.
        MissingExtraError: the `local` extra is not installed.
    """
    settings = replace(
        preset(_PRESET),
        proposals=_PROPOSALS,
        demonstrations=DemonstrationSettings(max_demonstrations=_DEMONSTRATIONS),
        seed=seed,
    )
    if not json:
        _print_head(settings, n_people)
    start = time.perf_counter()
    with waiting("measuring this CPU"):
        dtype = faster_scoring_dtype()
    demo = partial(_try_all, settings, n_people, n_writers, dtype=dtype, seed=seed, json=json)
    trials, writers = run_blocking(demo)
    seconds = time.perf_counter() - start
    if json:
        print_json(
            {**_json(trials, settings, seconds), "scoring_dtype": dtype, "writers": list(map(writer_json, writers))},
            indent=2,
        )
    else:
        _print_end(seconds)


async def _try_all(
    settings: FermiSettings, n_people: int, n_writers: int, *, dtype: str | None, seed: int, json: bool
) -> tuple[list[Trial], list[WriterTrial]]:
    """Try Fermi's people, then CHAMELEON's writers, on one opened model."""
    pool = ModelPool(CallSettings(cached=False, scoring_dtype=dtype), waiting)
    try:
        learner = await open_fermi(pool, settings, model=MODEL)
        await pool.check(learner.similarity, remedy=similarity_remedy(settings))
        if dtype is not None and not json:
            print_wrapped(f"choices are scored in {dtype}, which this CPU computes faster; all else is in float32")
        start, people = time.perf_counter(), bundled_groups().development[:n_people]
        trials = await _try_each(people, "people", partial(try_person, learner), _print_trial, json=json)
        edits, writers = writer_settings(seed=seed), bundled_writers()[:n_writers]
        if not json:
            _print_totals(trials, time.perf_counter() - start)
            if writers:
                print_writers_head(edits, len(writers))
        try_one = partial(try_writer, learner, edits)
        return trials, await _try_each(writers, "writers", try_one, print_writer, json=json)
    finally:
        await pool.aclose()


async def _try_each(
    users: Sequence[User],
    noun: str,
    try_one: Callable[[User, UsersProgress], Awaitable[T]],
    print_one: Callable[[T], None],
    *,
    json: bool,
) -> list[T]:
    """Try one user after the other, and print each as soon as they are done."""
    trials = []
    with UsersProgress(len(users), noun=noun) as progress:
        for user in users:
            trial = await try_one(user, progress)
            trials.append(trial)
            progress.finished(user.id, f"learned and compared, {trial.seconds:.0f} s")
            if not json:
                with progress.aside():
                    print_one(trial)
                    sys.stdout.flush()
    return trials


def _print_head(settings: FermiSettings, n_people: int) -> None:
    people = "1 bundled person" if n_people == 1 else f"{n_people} bundled people"
    print_wrapped(f"{people}, who rated national cuisines from 1 to 5, and the embedded model", style="bold")
    print_wrapped(
        f"preset {settings.preset}, made smaller: {settings.iterations} iterations of "
        f"{settings.proposals} proposals ({' and '.join(settings.proposers)}, at most "
        f"{settings.demonstrations.max_demonstrations}), a memory of {settings.memory_size}, "
        f"{settings.retrieval.neighbours} nearest opinions choose the prompt ({settings.retrieval.similarity})"
    )
    sys.stdout.flush()


def _print_trial(trial: Trial) -> None:
    out().print()
    attributes = ", ".join(map(one_line, trial.user.profile.attributes.values()))
    print_wrapped(trial.user.id, style="bold")
    print_wrapped(attributes)
    print_wrapped(f"learned from {len(trial.split.train)} answers, asked {len(trial.split.test)} others:\n ")
    _print_methods({method: trial.scores(method) for method in trial.answers})
    best = trial.learned.best
    print_wrapped(
        f"\nThe best prompt, {origin(best)}: scores {best.score:.2f} on what it was learned from, "
        f"where the first prompt scores {trial.learned.initial.score:.2f}"
    )
    print_prompt(best, trial.learned)
    _print_side_by_side(trial)
    print_wrapped(f"\n{_cost(trial.learning + trial.answering, trial.seconds)}")


def _print_methods(scores: dict[str, list[Judgement]]) -> None:
    header = ("", "ACCURACY", "MEAN ERROR")
    rows = [(_LABELS[method], *_shown(given)) for method, given in scores.items()]
    print_table(header, rows, numbers=header[1:])


def _shown(judgements: list[Judgement]) -> tuple[str, str]:
    accuracy, error = (mean_over_answers(judgements, measure) for measure in ("accuracy", "mae"))
    return "-" if accuracy is None else f"{100 * accuracy:.0f} %", "-" if error is None else f"{error:.2f}"


def _print_side_by_side(trial: Trial) -> None:
    print_wrapped(f"\nThe first {_SIDE_BY_SIDE} of the held-out questions")
    for opinion, without, with_it in _side_by_side(trial):
        print_wrapped(opinion.question.text, indent=2)
        print_wrapped(f"base {_said(without)}, personalized {_said(with_it)}, the person {opinion.answer}", indent=4)


def _side_by_side(trial: Trial) -> list[tuple[Any, Answer, Answer]]:
    answers = trial.answers
    pairs = zip(trial.split.test, answers["base"], answers[PERSONALIZED], strict=True)
    return list(pairs)[:_SIDE_BY_SIDE]


def _said(answer: Answer) -> str:
    return answer.response.answer or "(unreadable)"


def _cost(usage: Usage, seconds: float) -> str:
    tokens = usage.prompt_tokens + usage.completion_tokens
    return (
        f"{usage.calls:,} model calls, {tokens:,} tokens "
        f"({usage.computed_tokens + usage.completion_tokens:,} computed, the others shared), {seconds:.0f} s"
    )


def _print_totals(trials: list[Trial], seconds: float) -> None:
    n = sum(len(trial.split.test) for trial in trials)
    people = "1 person" if len(trials) == 1 else f"{len(trials)} people"
    out().print()
    print_wrapped(f"{people}, n = {n} held-out answers", style="bold")
    _print_methods(_all_scores(trials))
    print_wrapped(f"\n{_cost(_all_usage(trials), seconds)}")


def _print_end(seconds: float) -> None:
    print_wrapped(f"\n{seconds:.0f} s in all")
    print_wrapped(
        "n is small: this shows how it works, not how well. The measured results, and on whom: docs/results/README.md"
    )
    print_wrapped(f"Texts: {WRITERS_ATTRIBUTION}")
    print_wrapped(f"Data: {ATTRIBUTION}")


def _all_scores(trials: list[Trial]) -> dict[str, list[Judgement]]:
    return {method: [score for trial in trials for score in trial.scores(method)] for method in _LABELS}


def _all_usage(trials: list[Trial]) -> Usage:
    return sum((trial.learning + trial.answering for trial in trials), Usage())


def _json(trials: list[Trial], settings: FermiSettings, seconds: float) -> dict[str, Any]:
    return {
        "model": MODEL,
        "preset": settings.preset,
        "settings": {
            **{name: value for name, value in asdict(settings).items() if name in _TOLD_SETTINGS},
            **{name: value for name, value in asdict(settings.retrieval).items() if name in _TOLD_SETTINGS},
        },
        "n_train": N_TRAIN,
        "people": [_trial_json(trial) for trial in trials],
        "total": {"scores": _scores_json(_all_scores(trials)), **asdict(_all_usage(trials))},
        "seconds": round(seconds, 1),
        "data": ATTRIBUTION,
        "texts": WRITERS_ATTRIBUTION,
    }


def _trial_json(trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.user.id,
        "scores": _scores_json({method: trial.scores(method) for method in trial.answers}),
        "initial_score": trial.learned.initial.score,
        "best_prompt": prompt_document(trial.learned.best, trial.learned),
        "side_by_side": [
            {
                "question": opinion.question.text,
                "base": without.response.answer,
                PERSONALIZED: with_it.response.answer,
                "answer": opinion.answer,
            }
            for opinion, without, with_it in _side_by_side(trial)
        ],
        **asdict(trial.learning + trial.answering),
        "seconds": round(trial.seconds, 1),
    }


def _scores_json(scores: dict[str, list[Judgement]]) -> dict[str, Any]:
    return {
        method.replace(" ", "_").replace("-", "_"): {
            "n": len(given),
            "accuracy": mean_over_answers(given, "accuracy"),
            "mae": mean_over_answers(given, "mae"),
            "unparsed": sum(judgement.status == "unparsed" for judgement in given),
        }
        for method, given in scores.items()
    }
