"""The task `prism`: people who chose among models' responses to their own prompts.

PRISM's survey and conversations → people → cases
"""

from __future__ import annotations

from idiolect.errors import DatasetError, Remedy
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.evaluate.tasks.users import data_of, grouped_benchmark
from idiolect.people.prism import Prism, read_prism
from idiolect.people.response_choices import cut_note

NAME = "prism"
_FEW = 4


def load_prism(options: TaskOptions) -> Benchmark:
    """Load PRISM; see `Task.load`."""
    read = read_prism(data_of(NAME, options))
    most = max(len(user.opinions) for user in read.users)
    if most <= options.train:
        raise DatasetError(
            f"{NAME}: nobody has more than {most} conversations, so that there is nothing to ask after learning from "
            f"{options.train}; learn from fewer",
            remedy=Remedy("train", str(min(_FEW, most - 1))) if most > 1 else None,
        )
    return grouped_benchmark(NAME, read.users, options, broken=read.broken, notes=_notes(read))


def _notes(read: Prism) -> tuple[str, ...]:
    notes = []
    if read.tied:
        notes.append(f"{read.tied} chosen responses share the highest rating with another one.")
    if read.not_highest:
        notes.append(f"{read.not_highest} chosen responses were not rated highest; the choice counts.")
    if read.left_out:
        notes.append(f"{read.left_out} responses were left out because they are blank or equal to another one.")
    if read.without_survey:
        notes.append(f"{read.without_survey} people are not in the survey, and have no profile.")
    return (*notes, *cut_note(read.cut))


PRISM = Task(
    NAME,
    "PRISM: which of several models' responses people chose",
    "Folder of HannahRoseKirk/prism-alignment with survey.jsonl and conversations.jsonl.",
    load_prism,
)
