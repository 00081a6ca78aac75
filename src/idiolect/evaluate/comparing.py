"""Two evaluations side by side, paired by person and question.

    two folders → compare_folders → FolderComparison → comparison_to_json, `idiolect compare`

Each arm that both folders have is compared with itself: for every person and question that both have, the second
folder's value minus the first's, with the statistics of `arm_answers.compare` (variance clustered by person and
question). Whatever only one folder has is counted and left out. A question that a person was asked several times is
paired in order. Answers whose truth differs are about different data; they are counted and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from idiolect.errors import SettingsError
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.arm_answers import LEAST_PEOPLE, ArmAnswers, answers_by_arm, compare, estimate
from idiolect.evaluate.config_file import read_config_of
from idiolect.evaluate.measures import MEASURES, Measure
from idiolect.evaluate.outline import read_outline
from idiolect.evaluate.provenance import RunRecord, read_runs
from idiolect.evaluate.records import AnswerRecord, Arm
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY, read_json
from idiolect.evaluate.summary import Estimate

_NOT_SETTINGS = ("first", VERSION_KEY, "format", "data", "methods", "people")


@dataclass(frozen=True, slots=True)
class Folder:
    """One side of a comparison.

    Args:
        path: the folder.
        config: its configuration.
        runs: how it was made.
        measures: names of its measures; labels: all possible answers, for macro-F1.
        answers: its answers by arm, each question of a person with its number among equal ones.
        not_scored: number of answers that do not exist.
        notes: sentences on lines that could not be read.
    """

    path: Path
    config: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    measures: tuple[str, ...]
    labels: tuple[str, ...]
    answers: Mapping[Arm, ArmAnswers]
    not_scored: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArmComparison:
    """One arm in both folders, in one measure.

    Args:
        arm: the arm.
        measure: name of the measure.
        a, b: estimates on the common answers.
        difference: b − a on the common answers, with its interval.
        p: two-sided p, not adjusted for several arms; None if there is no interval.
        only_a, only_b: numbers of scored answers that only one folder has; each answer counts once, not once per seed.
        other_truth: number of common answers whose truth differs, which are left out.
    """

    arm: Arm
    measure: str
    a: Estimate
    b: Estimate
    difference: Estimate
    p: float | None
    only_a: int
    only_b: int
    other_truth: int


@dataclass(frozen=True, slots=True)
class FolderComparison:
    """Two evaluations side by side.

    Args:
        a, b: the folders.
        measure: name of the measure that is compared.
        arms: arms that both have.
        arms_only_a, arms_only_b: arms that only one has.
        people, people_only_a, people_only_b: numbers of people with scored answers in both, and in one of them.
        differs: settings that differ, by their dotted name, as (a, b).
        notes: sentences for readers.
    """

    a: Folder
    b: Folder
    measure: str
    arms: tuple[ArmComparison, ...]
    arms_only_a: tuple[Arm, ...]
    arms_only_b: tuple[Arm, ...]
    people: int
    people_only_a: int
    people_only_b: int
    differs: Mapping[str, tuple[Any, Any]]
    notes: tuple[str, ...]


def compare_folders(a: str | Path, b: str | Path, *, measure: str | None = None) -> FolderComparison:
    """Compare two evaluations of the same task on the answers that both have.

    Args:
        a, b: folders of the evaluations.
        measure: name of a measure that both have; None: the first of `a` that both have.

    Raises:
        SettingsError: a folder contains no evaluation that can be read, or the two cannot be compared: they have
            different tasks, no common measure, no common arm, or no common answer.
        MissingExtraError: the extra `evaluate` is not installed.
    """
    first, second = _folder(Path(a), "A"), _folder(Path(b), "B")
    chosen = _measure(first, second, measure)
    both = [arm for arm in first.answers if arm in second.answers]
    if not both:
        raise SettingsError(
            f"{a} and {b} have no arm in common: {_listed(first.answers)}; and {_listed(second.answers)}"
        )
    found = [_compared(first, second, arm, chosen) for arm in both]
    arms = tuple(each for each in found if each is not None)
    if not arms:
        raise SettingsError(
            f"{a} and {b} have no answer in common: they asked different people or questions, so they cannot be paired"
        )
    in_a, in_b = ({r.user for found in side.answers.values() for r in found.records} for side in (first, second))
    return FolderComparison(
        first,
        second,
        chosen.name,
        arms,
        tuple(arm for arm in first.answers if arm not in second.answers),
        tuple(arm for arm in second.answers if arm not in first.answers),
        len(in_a & in_b),
        len(in_a - in_b),
        len(in_b - in_a),
        _differing(first.config, second.config),
        _notes(first, second, arms),
    )


def comparison_to_json(found: FolderComparison) -> dict[str, Any]:
    """Return a comparison as JSON values; NaN and infinity, which it does not contain, would be null."""
    from idiolect.evaluate.tables import as_json

    def side(folder: Folder) -> dict[str, Any]:
        return {"folder": folder.path.resolve().name, "not_scored": folder.not_scored, "runs": as_json(folder.runs)}

    return {
        VERSION_KEY: SCHEMA_VERSION,
        "task": found.a.config["task"],
        "measure": found.measure,
        "a": side(found.a),
        "b": side(found.b),
        "arms": as_json(found.arms),
        "arms_only_a": as_json(found.arms_only_a),
        "arms_only_b": as_json(found.arms_only_b),
        "people": found.people,
        "people_only_a": found.people_only_a,
        "people_only_b": found.people_only_b,
        "differs": {name: {"a": left, "b": right} for name, (left, right) in found.differs.items()},
        "notes": list(found.notes),
    }


def _folder(path: Path, side: str) -> Folder:
    config, outline = read_config_of(path), read_outline(path)
    if not any(path.glob("answers*.jsonl")):
        raise SettingsError(
            f"{path} has no answers.jsonl, so its answers cannot be paired: published folders often have tables only"
        )
    archive = Archive.read(path)
    answers = archive.answers
    if outline is not None:  # what its tables contain
        people, planned = set(outline.people), set(outline.arms)
        answers = [each for each in answers if each.user in people and each.arm in planned]
    arms = answers_by_arm(_numbered(answers))
    if not any(found.records for found in arms.values()):
        why = f": {archive.damage[0]}" if archive.damage else ""
        raise SettingsError(f"{path} contains no complete answer{why}")
    measures, labels = (_measures_of(path, arms), ()) if outline is None else (outline.measures, outline.labels)
    return Folder(
        path,
        config,
        read_runs(path),
        measures,
        labels,
        arms,
        sum(len(found.left_out) for found in arms.values()),
        tuple(f"{side}: {damage}" for damage in archive.damage),
    )


def _measures_of(path: Path, arms: Mapping[Arm, ArmAnswers]) -> tuple[str, ...]:
    """Return the measures of a folder without an outline: those of its scores.json, or else of its answers."""
    named = (read_json(path / "scores.json") or {}).get("measures")
    if isinstance(named, list):
        return tuple(name for name in named if isinstance(name, str) and name in MEASURES)
    values = dict.fromkeys(name for found in arms.values() for record in found.records for name in record.values)
    return tuple(name for name in values if name in MEASURES)


def _numbered(answers: Iterable[AnswerRecord]) -> list[AnswerRecord]:
    """Return the answers with the number of a question among the same person's equal ones in the place of its index."""
    places: dict[tuple[Arm, int, str, str], list[int]] = defaultdict(list)
    records = {(r.arm, r.seed, r.user, r.question, r.index): r for r in answers}  # the last counts
    for arm, seed, user, question, index in records:
        places[arm, seed, user, question].append(index)
    numbers = {key: {index: n for n, index in enumerate(sorted(found))} for key, found in places.items()}
    return [replace(r, index=numbers[r.arm, r.seed, r.user, r.question][r.index]) for r in records.values()]


def _measure(a: Folder, b: Folder, wanted: str | None) -> Measure:
    if a.config["task"] != b.config["task"]:
        raise SettingsError(
            f"{a.path} is an evaluation on {a.config['task']} and {b.path} one on {b.config['task']}: only evaluations "
            "on the same task can be compared"
        )
    common = [name for name in a.measures if name in b.measures and name in MEASURES]
    if not (a.labels or b.labels):  # of version 1, which kept no labels
        common = [name for name in common if MEASURES[name].kind != "macro_f1"]
    if not common:
        raise SettingsError(f"{a.path} and {b.path} have no measure in common")
    if wanted is not None and wanted not in common:
        raise SettingsError(f"{wanted!r} is not a measure of both: choose one of {', '.join(common)}")
    return MEASURES[wanted or common[0]]


def _compared(a: Folder, b: Folder, arm: Arm, measure: Measure) -> ArmComparison | None:
    """Return the comparison of an arm; None if the folders have no answer of it in common."""
    of_a, of_b = a.answers[arm], b.answers[arm]
    values_a, values_b = of_a.single_values(measure), of_b.single_values(measure)
    truths_a, truths_b = _truths(of_a), _truths(of_b)
    common = values_a.keys() & values_b.keys()
    same = {key for key in common if truths_a[key] == truths_b[key]}
    sides = [_only(side, same) for side in (of_a, of_b)]
    labels = a.labels or b.labels
    if not same:
        return None
    estimates = [estimate(side, measure, labels=labels, seed=0) for side in sides]
    tested = compare(sides[1], sides[0], measure, labels=labels, seed=0)
    if tested is None or estimates[0] is None or estimates[1] is None:
        return None
    return ArmComparison(
        arm,
        measure.name,
        estimates[0],
        estimates[1],
        tested.difference,
        tested.p,
        len(values_a.keys() - values_b.keys()),
        len(values_b.keys() - values_a.keys()),
        len(common) - len(same),
    )


def _truths(answers: ArmAnswers) -> dict[tuple[str, str, int], str | None]:
    return {(r.user, r.question, r.index): r.truth for r in answers.records}


def _only(answers: ArmAnswers, keys: set[tuple[str, str, int]]) -> ArmAnswers:
    return replace(answers, records=tuple(r for r in answers.records if (r.user, r.question, r.index) in keys))


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the settings that differ, by dotted name; lists are compared as a whole."""
    flat_a, flat_b = (dict(_flat(config)) for config in (a, b))
    names = dict.fromkeys((*flat_a, *flat_b))
    pairs = {name: (flat_a.get(name), flat_b.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flat(config: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in config.items():
        if not above and name in _NOT_SETTINGS:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _notes(a: Folder, b: Folder, arms: Sequence[ArmComparison]) -> tuple[str, ...]:
    notes = [*a.notes, *b.notes]
    if a.path.resolve() == b.path.resolve():
        notes.insert(0, "A and B are the same folder, so nothing differs.")
    if a.config.get("data") != b.config.get("data"):
        notes.append("The people who are not reported differ, whom some methods count and learn from.")
    if a.config.get("seeds") != b.config.get("seeds"):
        notes.append("The methods' seeds differ; answers of several seeds are averaged first.")
    other = max((each.other_truth for each in arms), default=0)
    if other:
        notes.append(
            f"Up to {other:,} answers per arm are about different data, because the person's own answer differs; they "
            "are left out."
        )
    if any(each.difference.people < LEAST_PEOPLE for each in arms):
        notes.append(f"An interval needs {LEAST_PEOPLE} people with answers in both folders.")
    if sum(each.p is not None for each in arms) > 1:
        notes.append("The p values are not adjusted for the number of arms: they show where to look, not what holds.")
    return tuple(notes)


def _listed(arms: Iterable[Arm]) -> str:
    names = [str(arm) for arm in arms]
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
