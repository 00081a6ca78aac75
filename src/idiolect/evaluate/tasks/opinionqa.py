"""The task `opinionqa`: people of the American Trends Panel; a group is the topic of a wave.

OpinionQA's folders, or a users file → people by topic → cases
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.tasks.task import Task, TaskOptions
from idiolect.evaluate.tasks.users import data_of, grouped_benchmark, replaced_note, users_benchmark
from idiolect.people.opinionqa import OpinionQA, is_table, read_opinionqa
from idiolect.people.opinionqa_questions import PLACES
from idiolect.people.user import QuestionKind

NAME = "opinionqa"


def load_opinionqa(options: TaskOptions) -> Benchmark:
    """Load OpinionQA, from its folders or, if `data` is a file, from a users file; see `Task.load`."""
    path = data_of(NAME, options)
    if path.is_file() and not is_table(path):
        return _with_ordinal_error(users_benchmark(NAME, options))
    read = read_opinionqa(path, topics=options.topics)
    in_topics = replace(options, topics=())  # a topic may be the number of a wave, which is not the name of a group
    found = grouped_benchmark(NAME, read.users, in_topics, broken=read.broken, notes=_notes(read))
    found = _with_ordinal_error(found)
    respondents = {case.user.id.partition("-")[2] for case in found.cases}
    if len(respondents) == len(found.cases):
        return found
    note = f"{len(found.cases)} cases are from {len(respondents)} respondents: each wave of a respondent is one case."
    return replace(found, notes=(*found.notes, note))


def _with_ordinal_error(benchmark: Benchmark) -> Benchmark:
    """Return the benchmark with the normalized ordinal error after its other measures of choices, if it applies."""
    asked = [opinion for case in benchmark.cases for opinion in case.asked]
    if not any(PLACES in o.extra or o.question.kind is QuestionKind.ORDINAL for o in asked):
        return benchmark
    names = benchmark.measures
    after = 1 + max((names.index(name) for name in ("accuracy", "mae") if name in names), default=-1)
    return replace(benchmark, measures=(*names[:after], "normalized_error", *names[after:]))


def _notes(read: OpinionQA) -> tuple[str, ...]:
    notes = []
    if read.without_answer:
        notes.append(f"{read.without_answer} refused, unsure or missing answers were left out.")
    if read.other_wording:
        notes.append(
            f"{read.other_wording} answers were left out because the question has one wording per group of people, and "
            "the person's group is not known."
        )
    if read.other_attributes:
        notes.append(f"{read.other_attributes} attributes have an unpublished value, and were kept as they are.")
    return (*notes, *replaced_note(read.replaced))


OPINIONQA = Task(
    NAME,
    "OpinionQA: people of Pew's American Trends Panel",
    "Folder human_resp of tatsu-lab/opinions_qa with its responses.csv, one wave of it, or a users file.",
    load_opinionqa,
)
