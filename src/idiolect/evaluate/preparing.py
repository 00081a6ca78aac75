"""A checked configuration with its benchmark and its arms, and its outline for the folder.

EvaluationConfig → prepare → Prepared → asking (`evaluation`);  Prepared → outline_of → Outline → `reporting`
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

from idiolect.application.observers import Waiting, wait_quietly
from idiolect.errors import MissingExtraError, SettingsError
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.control_cases import ControlCases
from idiolect.evaluate.group_edits import check_start_is_used, edit_notes
from idiolect.evaluate.measures import NEUTRAL
from idiolect.evaluate.model_names import without_path
from idiolect.evaluate.outline import Outline, kinds_of, learned_with
from idiolect.evaluate.plan import EvaluationOptions, PlannedArm, entry_of, planned
from idiolect.evaluate.records import CONTROLS_BY_KIND, Arm, Control
from idiolect.evaluate.tasks.table import TASKS
from idiolect.evaluate.tasks.users import USERS

_AT_THE_END = ("scipy", "statsmodels", "sklearn", "matplotlib")
_SHOWN_BROKEN = 20
_EMPTY: dict[Control, str] = {
    "another's": "Only one person is asked, so nothing can be learned from another: the controls (another's) are left "
    "out.",
    "another's of the same kind": "No two people are of one kind: the controls of the same kind are left out.",
    "another's of another kind": "All people are of one kind: the controls of another kind are left out.",
}


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked configuration with its benchmark and its arms; `notes` are sentences on these for readers."""

    config: EvaluationConfig
    benchmark: Benchmark
    options: EvaluationOptions
    arms: list[PlannedArm]
    notes: tuple[str, ...] = ()


def prepare(config: EvaluationConfig, *, waiting: Waiting = wait_quietly) -> Prepared:
    """Check a configuration, read its data and plan its arms, without a call.

    Raises:
        SettingsError: there is no such task, or a setting is invalid.
        DatasetError, UsersFileError: the data cannot be read.
        MissingExtraError: a required package is not installed.
    """
    if config.task not in TASKS:
        raise SettingsError(f"unknown task {config.task!r}: choose one of {', '.join(TASKS)}")
    if config.mask_names and config.task != USERS.name:
        raise SettingsError(f"mask_names is for the task {USERS.name}, whose texts are people's own: leave it out")
    options = config.evaluation_options()
    _check_extras(options)
    arms = planned(options)
    check_start_is_used(arms, config)
    with waiting("reading the data"):
        benchmark = TASKS[config.task].load(config.task_options())
    if config.neutral:
        benchmark = replace(benchmark, measures=(*benchmark.measures, NEUTRAL))
    notes = edit_notes(config, arms, benchmark.cases)
    return _without_empty_controls(Prepared(config, benchmark, options, arms, notes))


def _without_empty_controls(prepared: Prepared) -> Prepared:
    """Leave each control out for which there is nobody to learn from, and note it."""
    benchmark, notes = prepared.benchmark, list[str]()
    if prepared.options.controls_by_kind and not any(case.group for case in benchmark.cases):
        raise SettingsError("controls_by_kind needs the kinds of people: name their attribute with group_by")
    sources, arms = ControlCases(benchmark), list(prepared.arms)
    for control in dict.fromkeys(each.arm.control for each in prepared.arms):
        missing = sources.without(control)
        if missing and len(missing) == len(benchmark.cases):
            arms = [each for each in arms if each.arm.control != control]
            notes.append(_EMPTY[control])
        elif missing and control in CONTROLS_BY_KIND:
            notes.append(
                f"{len(missing)} of {len(benchmark.cases)} people have no control ({control}), because there is no "
                "such person: comparisons with it leave them out."
            )
    return replace(prepared, arms=arms, notes=(*prepared.notes, *notes))


def outline_of(prepared: Prepared) -> Outline:
    """Return the outline of an evaluation, with which its folder can be reported without its data."""
    benchmark, options = prepared.benchmark, prepared.options
    arms = tuple(each.arm for each in prepared.arms)
    names = (prepared.config.model, *prepared.config.transfer)
    return Outline(
        task=benchmark.task,
        title=TASKS[prepared.config.task].title,
        measures=benchmark.measures,
        arms=arms,
        baseline=Arm(str(options.baseline)),
        people=tuple(case.user.id for case in benchmark.cases),
        groups={case.user.id: case.group for case in benchmark.cases if case.group},
        labels=benchmark.labels,
        primary=tuple((a.arm, b.arm) for a, b in options.primary),
        seed=prepared.config.seed,
        seeds=options.seeds,
        kinds=kinds_of(arms),
        learned_with=learned_with(prepared.arms, options),
        replayed=tuple(without_path(name) for name in names if name.startswith("replay:")),
        broken_count=benchmark.broken.count,
        broken=tuple(str(record) for record in benchmark.broken.first[:_SHOWN_BROKEN]),
        notes=(*benchmark.notes, *prepared.notes),
    )


def _check_extras(options: EvaluationOptions) -> None:
    """Check at the start that the packages required at the end are installed."""
    needed = dict.fromkeys(_AT_THE_END, "evaluate")
    if any("dpo" in entry_of(spec).needs for spec in options.methods):
        needed |= {"trl": "dpo", "peft": "dpo"}
    for name, extra in needed.items():
        if find_spec(name) is None:
            raise MissingExtraError(f"this evaluation needs {name}: pip install 'idiolect[{extra}]'")
