"""The task `people`: the bundled people, who rated national cuisines; it needs no data.

bundled_groups() → cases
"""

from __future__ import annotations

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.cases import People, benchmark_of
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.people.bundled import ATTRIBUTION, bundled_groups


def load_people(options: TaskOptions) -> Benchmark:
    """Load the bundled people, whose groups are fixed.

    Raises:
        SettingsError: the options name data or groups.
        DatasetError: nobody answered enough questions.
    """
    if options.data is not None:
        raise SettingsError("people: this task uses the bundled people; for your own users file, use the task users")
    if options.topics or options.group_by:
        raise SettingsError("people: the bundled people have no groups: omit topics and group_by")
    groups = bundled_groups()
    people = People(groups.reported, groups.development)
    return benchmark_of("people", people, options, notes=(f"Data: {ATTRIBUTION}.",))


PEOPLE = Task(
    "people",
    "Bundled people: national cuisines",
    "No data needed: real people, bundled with the package.",
    load_people,
)
