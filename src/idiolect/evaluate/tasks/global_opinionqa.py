"""The task `globalopinionqa`: countries, with their people's answers to international surveys.

CSV as published, or a users file with distributions → countries → cases
"""

from __future__ import annotations

from pathlib import Path

from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.evaluate.tasks.users import (
    data_of,
    grouped_benchmark,
    non_answers_note,
    replaced_note,
    users_benchmark,
)
from idiolect.people.global_opinionqa import read_global_opinionqa

NAME = "globalopinionqa"


def load_global_opinionqa(options: TaskOptions) -> Benchmark:
    """Load GlobalOpinionQA, from its table or from a users file with distributions; see `Task.load`."""
    path = data_of(NAME, options)
    if _is_users_file(path):
        return users_benchmark(NAME, options, needs_distribution=True)
    read = read_global_opinionqa(path)
    notes = (*non_answers_note(read.with_non_answers), *replaced_note(read.replaced))
    return grouped_benchmark(NAME, read.users, options, broken=read.broken, notes=notes)


def _is_users_file(path: Path) -> bool:
    """Return whether a file starts like a JSON object; the reader reports a file that cannot be opened."""
    try:
        with path.open("rb") as stream:
            return stream.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    except (OSError, ValueError):
        return False


GLOBAL_OPINIONQA = Task(
    NAME,
    "GlobalOpinionQA: how countries answered",
    "global_opinions.csv of Anthropic/llm_global_opinions, or a users file with distributions.",
    load_global_opinionqa,
)
