"""What learning one person's edit costs, by part: CPU seconds of the preset `grouped` and of pairs with five variants.

    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/chameleon_cost.py writers.jsonl --people 4 --out OUT.md
    ... --group 10      and of learning a group's edit from 10 people

`pairs` are the settings that the preset `measured` had before: the person's words beside texts that the model writes,
three gradient variants and two others, at most 16 items. Every person has `--texts` texts. Stages are those that
learning reports; seconds are of the process, so other work on the machine counts as little as it can.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from idiolect import User
from idiolect.application.chameleon_starts import packaged_start
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.settings import ChameleonSettings, GenerationSettings, Variant, preset
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.personalization import Progress
from idiolect.models.local import load_local_model
from idiolect.people.users_file import read_users

PAIRS = ChameleonSettings(
    generation=GenerationSettings(personalized="own"),
    variants=(
        *(Variant("gradient", alpha, layers=None) for alpha in (0.005, 0.01, 0.02)),
        Variant("contrastive", 0.3, 0.3, layers=6),
        Variant("literal", 0.1, 0.1, layers=6),
    ),
    choosing_share=0.2,
    max_fluency_cost=0.15,
    answering=preset("grouped").answering,
    evidence=EvidenceSettings(share=0.2),
)


@dataclass
class Stages:
    """CPU seconds of each stage, in the order in which they were reported."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _stage: str = ""
    _began: float = 0.0

    def observe(self, progress: Progress) -> None:
        self.end()
        self._stage, self._began = progress.stage, time.process_time()

    def end(self) -> None:
        if self._stage:
            self.seconds[self._stage] += time.process_time() - self._began
        self._stage = ""


def measured(
    method: Chameleon | GroupedChameleon, people: list[User], *, group: bool = False
) -> list[dict[str, float]]:
    """Return the seconds by stage for each person, or for the group of all."""
    found = []
    for user in people[:1] if group else people:
        stages = Stages()
        if group:
            asyncio.run(method.fit_group("group", people, observer=stages.observe))
        else:
            asyncio.run(method.fit(user, observer=stages.observe))
        stages.end()
        found.append(dict(stages.seconds))
    return found


def table(name: str, runs: list[dict[str, float]]) -> list[str]:
    """Return the rows of one way: the median of each stage over people, and of the whole."""
    stages = list(dict.fromkeys(stage for run in runs for stage in run))
    rows = [f"| {name} | {stage} | {statistics.median(run.get(stage, 0.0) for run in runs):.1f} |" for stage in stages]
    totals = [sum(run.values()) for run in runs]
    spread = f" ({min(totals):.1f} to {max(totals):.1f})" if len(totals) > 1 else ""
    return [*rows, f"| {name} | **all** | **{statistics.median(totals):.1f}**{spread} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("users", type=Path)
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--group", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    everyone = [user for user in read_users(options.users) if len(user.texts) >= options.texts]
    everyone = [replace(user, texts=user.texts[: options.texts]) for user in everyone]
    people = everyone[: options.people]
    model = load_local_model("embedded")
    start = asyncio.run(packaged_start("embedded", model.fingerprint(), model))
    stepped = GroupedChameleon(model, preset("grouped"), start=start)
    lines = [
        "# What learning a person's edit costs",
        "",
        "    taskset -c 0 env OMP_NUM_THREADS=1 python benchmarks/chameleon_cost.py "
        f"{options.users.name} --people {len(people)} --texts {options.texts} --group {options.group}",
        "",
        f"{len(people)} people, {options.texts} texts each; {platform.machine()}, {torch.get_num_threads()} thread(s), "
        f"torch {torch.__version__}. CPU seconds, medians over people (lowest to highest); loading the model is not "
        "counted.",
        "",
        "| way | part | s |",
        "|---|---|--:|",
        *table("pairs", measured(Chameleon(model, PAIRS, embedder=None), people)),
        *table("grouped", measured(stepped, people)),
    ]
    if options.group:
        group = everyone[: options.group]
        lines += table(
            f"group of {len(group)}", measured(GroupedChameleon(model, preset("grouped")), group, group=True)
        )
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
