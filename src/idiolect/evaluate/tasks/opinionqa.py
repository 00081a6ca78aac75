"""The task `opinionqa`: people of the American Trends Panel; a group is the topic of a wave.

OpinionQA's folders, or a users file → people by topic → cases
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.evaluate.tasks.users import data_of, grouped_benchmark, replaced_note, users_benchmark
from idiolect.people.opinionqa import OpinionQA, read_opinionqa

NAME = "opinionqa"


def load_opinionqa(options: TaskOptions) -> Benchmark:
    """Load OpinionQA, from its folders or, if `data` is a file, from a users file; see `Task.load`."""
    path = data_of(NAME, options)
    if path.is_file():
        return users_benchmark(NAME, options)
    read = read_opinionqa(path, topics=options.topics)
    in_topics = replace(options, topics=())  # a topic may be the number of a wave, which is not the name of a group
    found = grouped_benchmark(NAME, read.users, in_topics, broken=read.broken, notes=_notes(read))
    respondents = {case.user.id.partition("-")[2] for case in found.cases}
    if len(respondents) == len(found.cases):
        return found
    note = f"{len(found.cases)} cases are from {len(respondents)} respondents: each wave of a respondent is one case."
    return replace(found, notes=(*found.notes, note))


def _notes(read: OpinionQA) -> tuple[str, ...]:
    notes = []
    if read.without_answer:
        notes.append(f"{read.without_answer} refused or missing answers were left out.")
    if read.other_attributes:
        notes.append(f"{read.other_attributes} attributes with an unpublished value were left out.")
    return (*notes, *replaced_note(read.replaced))


OPINIONQA = Task(
    NAME,
    "OpinionQA: people of Pew's American Trends Panel",
    "Folder human_resp of tatsu-lab/opinions_qa with its responses.csv, one wave of it, or a users file.",
    load_opinionqa,
)
