"""Output of `idiolect compare`: both scores, their difference, what is not common, and the settings that differ."""

from __future__ import annotations

from typing import Any

from idiolect.cli.evaluation_screen import interval
from idiolect.cli.terminal import one_line, out, print_table
from idiolect.evaluate.comparing import ArmComparison, Folder, FolderComparison
from idiolect.evaluate.measures import Measure, measure_named
from idiolect.evaluate.report.made import made_line
from idiolect.evaluate.report.wording import counted, probability

_LONGEST = 60


def print_comparison(found: FolderComparison) -> None:
    """Print a comparison."""
    measure = measure_named(found.measure)
    _line(f"A  {_side(found.a)}")
    _line(f"B  {_side(found.b)}\n")
    unit = f" ({measure.unit})" if measure.unit else ""
    _line(f"{measure.title}{unit}, {measure.better} is better, on the answers that both have; 95 % intervals\n")
    heads = ("ARM", "A", "B", "B − A", "INTERVAL", "P", "PEOPLE", "ANSWERS", "ONLY A", "ONLY B")
    numbers = ("A", "B", "B − A", "P", "PEOPLE", "ANSWERS", "ONLY A", "ONLY B")
    print_table(heads, [_row(each, measure) for each in found.arms], numbers=numbers)
    _line("")
    for sentence in _not_common(found):
        _line(sentence)
    if found.differs:
        _line("\nSettings that differ:")
        print_table(("SETTING", "A", "B"), [(name, _short(a), _short(b)) for name, (a, b) in found.differs.items()])
    for note in found.notes:
        _line(f"- {note}")


def _row(each: ArmComparison, measure: Measure) -> tuple[str, ...]:
    return (
        str(each.arm),
        measure.shown(each.a.value),
        measure.shown(each.b.value),
        measure.shown(each.difference.value, signed=True),
        interval(each.difference, measure, signed=True),
        probability(each.p),
        f"{each.difference.people:,}",
        f"{each.difference.answers:,}",
        f"{each.only_a:,}",
        f"{each.only_b:,}",
    )


def _not_common(found: FolderComparison) -> list[str]:
    people = f"{counted(found.people, 'person', 'people')} in both, {found.people_only_a:,} only in A, "
    sentences = [f"{people}{found.people_only_b:,} only in B."]
    for name, arms in (("A", found.arms_only_a), ("B", found.arms_only_b)):
        if arms:
            sentences.append(f"Arms only in {name}: {', '.join(map(str, arms))}.")
    missing = [(name, side.not_scored) for name, side in (("A", found.a), ("B", found.b)) if side.not_scored]
    sentences += [f"Not scored in {name}, over all arms: {n:,} answers, which are left out." for name, n in missing]
    return sentences


def _side(folder: Folder) -> str:
    made = made_line(folder.runs)
    return f"{folder.path}" + (f": {made}" if made else "")


def _short(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _line(text: str) -> None:
    out().print("\n".join(one_line(line) for line in text.split("\n")), markup=False)
