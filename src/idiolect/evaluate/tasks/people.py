"""The task `people`: the bundled people, who rated national cuisines; no data to give.

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
        SettingsError: the options name data.
        DatasetError: nobody answered as many questions.
    """
    if options.data is not None:
        raise SettingsError("people: these people come with the package; for a users file of your own: users")
    if options.topics or options.group_by:
        raise SettingsError("people: the bundled people have no groups: leave topics and group_by out")
    groups = bundled_groups()
    people = People(groups.reported, groups.development)
    return benchmark_of("people", people, options, notes=(f"Data: {ATTRIBUTION}.",))


PEOPLE = Task(
    "people",
    "Bundled people: national cuisines",
    "Needs no data: real people who come with the package.",
    load_people,
)
