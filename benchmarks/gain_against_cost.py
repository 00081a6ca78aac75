"""Gain on unseen texts against the change of the base model: a person's step at several strengths, and fine-tuning.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/gain_against_cost.py writers.jsonl --from-group START

For every person, CHAMELEON takes its step once and is served at each of --strengths, without a fluency limit;
supervised fine-tuning (a LoRA of rank 16 on all linear layers) is measured after each of --steps. Both learn from the
same texts. Gain: log-probability of unseen texts against the base model, nat per token; cost: its loss on texts that
the base model wrote, an estimate of KL(base ‖ arm). A gain "at an equal cost" is fine-tuning's, interpolated linearly
between its steps (and 0 at a cost of 0) at the cost that the step has for that person.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

import numpy as np
from intervals import t_interval

from idiolect import User
from idiolect.application.chameleon_starts import start_in
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.judging import fluency, log_likelihoods
from idiolect.methods.chameleon.settings import ChameleonSettings, preset
from idiolect.methods.chameleon.start import Start
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.trained.sft import examples_of, train_sft
from idiolect.methods.trained.training import TrainingSettings, with_adapter
from idiolect.models.language_model import LanguageModel
from idiolect.models.local import LocalModel, load_local_model
from idiolect.people.splits import shuffled
from idiolect.people.users_file import read_users


@dataclass(frozen=True, slots=True)
class Point:
    """Gain on unseen texts and cost on the model's own, nat per token."""

    gain: float
    cost: float


@dataclass(frozen=True, slots=True)
class Curves:
    """Points of one person by strength and by number of steps, and CPU seconds of learning."""

    strengths: dict[float, Point]
    steps: dict[int, Point]
    seconds: tuple[float, float]

    def at_cost(self, cost: float) -> float:
        """Return fine-tuning's gain at a cost; beyond its last step, that of the last step."""
        points = sorted([Point(0.0, 0.0), *self.steps.values()], key=lambda point: point.cost)
        return float(np.interp(cost, [point.cost for point in points], [point.gain for point in points]))


async def curves(
    user: User, unseen: Sequence[str], model: LocalModel, start: Start, strengths: Sequence[float], steps: Sequence[int]
) -> Curves:
    """Return both curves of a person."""
    settings = _without_limit()
    base = await log_likelihoods(unseen, model, settings.answering)

    async def point(edited: LanguageModel) -> Point:
        own = await log_likelihoods(unseen, edited, settings.answering)
        neutral = await fluency(start.neutral, edited)
        return Point(own.mean - base.mean, start.fluency.mean - neutral.mean)

    began = time.process_time()
    learned = await GroupedChameleon(model, settings, start=start).fit(user)
    stepping = time.process_time() - began
    whole = learned.edit.scaled(1 / learned.variant.alpha)
    by_strength = {each: await point(model.with_edit(whole.scaled(each))) for each in strengths}
    training = TrainingSettings(seconds=1e9, max_steps=max(steps))
    result = await train_sft(examples_of(user, settings.answering), model, training, checkpoints=steps)
    by_steps = {}
    for number in steps:
        trained = await with_adapter(model, result.checkpoints[number], name="trained")
        by_steps[number] = await point(trained)
        trained.close()
    return Curves(by_strength, by_steps, (stepping, result.cpu_seconds))


def _without_limit() -> ChameleonSettings:
    return replace(preset("grouped"), max_fluency_cost=None, evidence=EvidenceSettings(share=0.0))


def estimated(values: Sequence[float]) -> str:
    """Return the mean with a 95 % t interval."""
    return f"{fmean(values):+.3f}" if len(values) < 2 else t_interval(values).signed


def table(found: Sequence[Curves]) -> list[str]:
    """Return the lines of both tables."""
    lines = [f"n = {len(found)} people.", "", "| arm | gain | cost | fine-tuning at this cost | difference |"]
    lines.append("|---|---|---|---|---|")
    rows: dict[str, list[tuple[Point, float | None]]] = defaultdict(list)
    for each in found:
        for strength, point in each.strengths.items():
            rows[f"step, strength {strength:g}"].append((point, each.at_cost(point.cost)))
        for number, point in each.steps.items():
            rows[f"fine-tuning, {number} steps"].append((point, None))
    for name, points in rows.items():
        gain, cost = estimated([point.gain for point, _ in points]), estimated([point.cost for point, _ in points])
        equal = [(point.gain, other) for point, other in points if other is not None]
        others = "– | –"
        if equal:
            others = (
                f"{estimated([other for _, other in equal])} | {estimated([gain - other for gain, other in equal])}"
            )
        lines.append(f"| {name} | {gain} | {cost} | {others} |")
    step, trained = (fmean(each.seconds[way] for each in found) for way in (0, 1))
    lines += ["", f"Learning took {step:.0f} CPU seconds for the step, and {trained:.0f} for all steps of fine-tuning."]
    return lines


async def run(options: argparse.Namespace) -> list[Curves]:
    """Return the curves of all people, and print those of each when they are there."""
    model = load_local_model("embedded")
    start = await start_in(options.from_group, "embedded", model.fingerprint(), model)
    assert start is not None
    found = []
    for user in read_users(options.users):
        if user.id in options.without.split(",") or len(found) == options.people:
            continue
        texts = shuffled(user.texts, "gain against cost", user.id)
        learning = replace(user, texts=texts[: options.texts], opinions=())
        unseen = texts[options.texts : options.texts + options.unseen]
        found.append(await curves(learning, unseen, model, start, options.strengths, options.steps))
        print(user.id, found[-1], flush=True)
    model.close()
    return found


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("users", type=Path, help="users file with texts")
    parser.add_argument("--from-group", help="folder of a group's edit; default: the packaged one")
    parser.add_argument("--without", default="", help="ids of people to leave out, separated by commas")
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--unseen", type=int, default=6)
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 0.75, 1.0, 1.5, 2.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 16, 32])
    options = parser.parse_args()
    print("\n".join(table(asyncio.run(run(options)))))


if __name__ == "__main__":
    main()
