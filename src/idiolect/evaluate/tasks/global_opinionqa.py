"""The task `globalopinionqa`: countries, and how their people answered international surveys.

CSV as published, or a users file with distributions → countries → cases
"""

from __future__ import annotations

from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.task import Task, TaskOrder
from idiolect.evaluate.tasks.users import users_benchmark

NAME = "globalopinionqa"


def load_global_opinionqa(order: TaskOrder) -> Benchmark:
    """The benchmark of GlobalOpinionQA; see `Task.load`."""
    return users_benchmark(NAME, order, needs_distribution=True)


GLOBAL_OPINIONQA = Task(
    NAME,
    "GlobalOpinionQA: how countries answered",
    "global_opinions.csv as Anthropic/llm_global_opinions publishes it, or a users file with distributions.",
    load_global_opinionqa,
)
