"""Each part of Fermi's preset `api` taken away alone, with simulated strong models and the same people.

    python benchmarks/strong_models_ablations.py --jobs 12 --out ablations \\
        --page docs/results/strong-models-ablations.md
    … --worlds chatty thinks --optimizers "60 % right" --people 20 --arms fermi fermi-no-gate
    … --shard 0/2 and … --shard 1/2                  # every second person each, on two machines, into one folder
    … --report                                       # only make the tables from the lines

The worlds, people, responders and optimizers are those of `strong_models.py` (`simulated_models/`), the arms those of
`simulated_models/ablations.py`. Every arm makes as many calls as its settings want.

A line a person and arm goes to OUT/WORLD-OPTIMIZER.jsonl (OUT/WORLD-OPTIMIZER.I-of-N.jsonl for a shard); a run that is
stopped goes on where it was. Lines of other settings are kept, and left out of the tables. The tables replace the last
part of the page; the text above them stays. Only people who have a line for every arm, world and optimizer that is
reported are in the tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

from intervals import paired_difference
from simulated_models.ablations import ARMS, COMPARISONS, Comparison
from simulated_models.arms import Trial, fermi
from simulated_models.compared_settings import OLD
from simulated_models.optimizer import OPTIMIZERS
from simulated_models.people import ASKED, WORLDS, name_of, person
from simulated_models.processes import Cell, Progress, at_least_one, each_done
from strong_models import FIRST_PERSON, Row, add_line, fingerprint, path_of, points, table, write_tables

DEFAULT_OPTIMIZERS = ("60 % right", "80 % right", "memorizes")
"""One that is often wrong, one that mostly is not, and one whose texts are of no use for new questions."""
FEWEST = 2
"""People that an interval needs."""

Lines = Mapping[str, Row]
"""A person's lines, by arm."""
Found = Mapping[Cell, Mapping[str, Lines]]
"""The lines of every cell, by person."""


@dataclass(frozen=True)
class Task:
    """A person in a world with an optimizer, and the arms that are not done yet."""

    cell: Cell
    number: int
    arms: tuple[str, ...]


def lines_of(task: Task) -> list[Row]:
    """Run the arms for a person."""
    world = WORLDS[task.cell[0]]
    one = person(world, task.number)
    trial = Trial(world, one, OPTIMIZERS[task.cell[1]], OLD, ARMS["fermi"])

    async def line(arm: str) -> Row:
        found = await fermi(trial, ARMS[arm])
        return {"person": one.user.id, "arm": arm, "settings": fingerprint(ARMS[arm]), **asdict(found)}

    return [asyncio.run(line(arm)) for arm in task.arms]


def known_lines(out: Path, cell: Cell) -> dict[str, dict[str, Row]]:
    """Return the lines of the arms' present settings, by person and arm, of all shards."""
    found: dict[str, dict[str, Row]] = {}
    for path in sorted(out.glob(f"{path_of(out, cell).stem}.*jsonl")):
        for row in map(json.loads, path.read_text().splitlines()):
            if row["arm"] in ARMS and row["settings"] == fingerprint(ARMS[row["arm"]]):
                found.setdefault(row["person"], {})[row["arm"]] = row
    return found


def open_tasks(out: Path, cells: Iterable[Cell], numbers: Iterable[int], arms: Sequence[str]) -> list[Task]:
    """Return a task for each person of each cell who lacks a line."""
    tasks = []
    for cell in cells:
        known = known_lines(out, cell)
        for number in numbers:
            left = tuple(arm for arm in arms if arm not in known.get(name_of(number), {}))
            tasks += [Task(cell, number, left)] if left else []
    return tasks


def whole(found: Found, arms: Sequence[str]) -> Found:
    """Return the cells that have people, with the people who have every arm in each of these cells."""
    complete = {
        cell: {name: lines for name, lines in people.items() if set(arms) <= set(lines)}
        for cell, people in found.items()
    }
    complete = {cell: people for cell, people in complete.items() if len(people) >= FEWEST}
    everywhere = set.intersection(*map(set, complete.values())) if complete else set()
    return {cell: {name: people[name] for name in sorted(everywhere)} for cell, people in complete.items()}


# --- the report


def accuracy(found: Found, arm: str) -> dict[str, float]:
    """Return the accuracy by person, the mean over the cells."""
    people = next(iter(found.values()))
    return {
        name: math.fsum(sum(cell[name][arm]["hits"]) / ASKED for cell in found.values()) / len(found) for name in people
    }


def mean(found: Found, arm: str, count: Callable[[Row], float]) -> float:
    """Return a mean over the people and cells."""
    counts = [count(lines[arm]) for people in found.values() for lines in people.values()]
    return math.fsum(counts) / len(counts)


def same(found: Found, one: Comparison, *keys: str) -> bool:
    """Return whether both arms have the same values of these keys for every person in every cell."""
    having, lacking = one.arms
    people = (lines for cell in found.values() for lines in cell.values())
    return all(lines[having][key] == lines[lacking][key] for lines in people for key in keys)


def without_effect(found: Found, one: Comparison) -> bool:
    """Return whether both arms have the same answers right with the same calls, for every person in every cell."""
    return same(found, one, "hits", "answering", "optimizing", "asking", "winner")


def difference(found: Found, one: Comparison) -> str:
    """Return the arm with the part minus the arm without it, in points with an interval."""
    having, lacking = (accuracy(found, arm) for arm in one.arms)
    return "same" if same(found, one, "hits") else points(paired_difference(having, lacking))


def in_cells(found: Found, optimizer: str) -> dict[str, Found]:
    """Return the worlds of an optimizer, each with its one cell."""
    return {cell[0]: {cell: people} for cell, people in found.items() if cell[1] == optimizer}


def of_optimizer(found: Found, optimizer: str) -> Found:
    """Return the cells of an optimizer."""
    return {cell: people for cell, people in found.items() if cell[1] == optimizer}


def report(found: Found, arms: Sequence[str]) -> str:
    """Return all tables."""
    people = len(next(iter(found.values())))
    optimizers = list(dict.fromkeys(optimizer for _, optimizer in found))
    compared = [one for one in COMPARISONS if set(one.arms) <= set(arms)]
    lines = [
        f"{people} people, the same in each of {len(found)} cells (a world with an optimizer); {ASKED} held-out answers"
        " of each person in each cell.",
        "",
        *averages(found, compared, optimizers),
        *calls(found, arms),
    ]
    for optimizer in optimizers:
        worlds = in_cells(found, optimizer)
        lines += [
            f"What each part does in each world, optimizer *{optimizer}*, in points:",
            "",
            *table(["part", *worlds], [[one.part, *(difference(w, one) for w in worlds.values())] for one in compared]),
            f"Held-out accuracy in percent, optimizer *{optimizer}*:",
            "",
            *table(["arm", *worlds], [[arm, *(percent(w, arm) for w in worlds.values())] for arm in arms]),
        ]
    return "\n".join(lines)


def averages(found: Found, compared: Sequence[Comparison], optimizers: Sequence[str]) -> list[str]:
    """Return the table of what each part does on average."""
    if not compared:
        return []
    groups = [found, *(of_optimizer(found, optimizer) for optimizer in optimizers)]
    rows = []
    for one in compared:
        having, lacking = one.arms
        shown = [difference(each, one) for each in groups]
        if without_effect(found, one):
            shown = ["no effect: the same answers right, with the same calls"] + [""] * len(optimizers)
        rows.append([one.part, f"`{having}` − `{lacking}`", *shown])
    return [
        "What each part does: accuracy with it minus accuracy without it, in points, averaged over cells with equal"
        " weight. The 95 % intervals are clustered by person: people are resampled, each with all of their cells."
        ' "same" means that both arms have the same answers right.',
        "",
        *table(["part", "arms", "all cells", *(f"*{optimizer}*" for optimizer in optimizers)], rows),
    ]


def calls(found: Found, arms: Sequence[str]) -> list[str]:
    """Return the table of the calls of each arm."""
    rows = [
        [
            arm,
            percent(found, arm),
            f"{mean(found, arm, lambda row: row['answering']):.1f}",
            f"{mean(found, arm, lambda row: row['optimizing']):.1f}",
            f"{mean(found, arm, lambda row: row['asking'] / ASKED):.2f}",
            *(f"{100 * mean(found, arm, partial(answers, side)):.0f} %" for side in SIDES),
        ]
        for arm in arms
    ]
    heads = ["arm", "accuracy", "answering", "optimizing", "calls for an answer", "learned", "few-shot", "base"]
    return [
        "Accuracy in percent, calls of learning for each person, calls for each held-out answer, and how often learned"
        " prompts, few-shot and the base model answered; means over all cells:",
        "",
        *table(heads, rows),
    ]


SIDES = ("personalization", "few-shot", "base")


def answers(side: str, row: Row) -> bool:
    """Return whether a side answered the person's questions; without a gate, the learned prompts do."""
    return side == (row["winner"] or SIDES[0])


def percent(found: Found, arm: str) -> str:
    """Return the mean accuracy."""
    each = accuracy(found, arm)
    return f"{100 * math.fsum(each.values()) / len(each):.1f}"


def shard_of(text: str) -> tuple[int, int]:
    """Return the shard that an option gives as I/N, with 0 ≤ I < N."""
    place, _, number = text.partition("/")
    if not (place.isdecimal() and number.isdecimal() and int(place) < int(number)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 0 to N − 1")
    return int(place), int(number)


def main() -> None:
    """Run, resume, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=40)
    parser.add_argument("--worlds", nargs="+", choices=tuple(WORLDS), default=list(WORLDS))
    parser.add_argument("--optimizers", nargs="+", choices=tuple(OPTIMIZERS), default=list(DEFAULT_OPTIMIZERS))
    parser.add_argument("--arms", nargs="+", choices=tuple(ARMS), default=list(ARMS))
    parser.add_argument("--jobs", type=at_least_one, default=1, help="number of processes")
    parser.add_argument("--shard", type=shard_of, default=(0, 1), metavar="I/N", help="every N-th person from I-th on")
    parser.add_argument("--report", action="store_true", help="only report what all shards have done")
    parser.add_argument("--out", type=Path, required=True, help="folder of the lines")
    parser.add_argument("--page", type=Path, help="Markdown file that gets the tables; they are printed anyway")
    given = parser.parse_args()
    cells = list(product(given.worlds, given.optimizers))
    place, shards = given.shard
    numbers = range(FIRST_PERSON + place, FIRST_PERSON + given.people, shards)
    tasks = open_tasks(given.out, cells, numbers, given.arms) if not given.report else []
    progress = Progress(task.cell for task in tasks)
    for task, rows in each_done(lines_of, tasks, given.jobs):
        path = path_of(given.out, task.cell)
        for row in rows:
            add_line(path if shards == 1 else path.with_suffix(f".{place}-of-{shards}.jsonl"), row)
        progress.done(task.cell)
    found = whole({cell: known_lines(given.out, cell) for cell in cells}, given.arms)
    if not found or len(next(iter(found.values()))) < FEWEST:
        sys.exit(f"{given.out} does not have two people with all arms in each cell, which the tables need")
    text = report(found, given.arms)
    if given.page:
        write_tables(given.page, text)
    print(text)


if __name__ == "__main__":
    main()
