"""Fermi's presets `api`, old and new, against few-shot, OPRO, GEPA and LangMem, with simulated strong models.

    python benchmarks/strong_models.py --people 100 --out strong-models --page docs/results/strong-models.md
    … --worlds chatty thinks --optimizers "80 % right" --people 20 --arms OPRO GEPA
    … --set iterations=3 --set search.crossing=3                                # other settings for the new preset
    … --jobs 12                                                                 # people in 12 processes
    … --report                                                                  # only make the tables from the lines

People have hidden stances on six topics; 10 % of their answers are noise. 20 answers are known, 16 are held out. The
answering model and the optimizer are functions (`simulated_models/`): a responder follows texts and examples as far as
its world says, and an optimizer infers statements from what its request shows, some of them wrong.

OPRO, GEPA, LangMem and the old preset at equal calls may make as many calls while learning (answering and optimizing
together) as the new preset made for the same person. The old preset at its own calls is reported too.

A line a person goes to OUT/WORLD, OPTIMIZER.jsonl; a run that is stopped goes on where it was. Lines of other settings
are kept, and left out of the tables. The tables replace the last part of the page; the text above them stays.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from intervals import Interval, mean_interval, paired_difference
from simulated_models.arms import RIVALS, Trial, missing_package, results
from simulated_models.compared_settings import OLD, new_settings
from simulated_models.optimizer import OPTIMIZERS
from simulated_models.people import WORLDS, name_of, person
from simulated_models.processes import Cell, Progress, at_least_one, each_done

from idiolect.errors import SettingsError
from idiolect.methods.fermi.settings import FermiSettings

FIRST_PERSON = 1000
TABLES = "\n## Tables\n"
LEAST, AHEAD, CALLS = -0.01, 0.05, 0.6
"""What is aimed at: new − the better of old and few-shot, the same where text and examples differ, new / old calls."""

Row = Mapping[str, Any]


def fingerprint(*settings: FermiSettings) -> str:
    """Names the settings that a line was made with."""
    return hashlib.blake2b(repr(settings).encode(), digest_size=6).hexdigest()


def path_of(out: Path, cell: Cell) -> Path:
    """The lines of one world and optimizer."""
    return out / f"{cell[0]}, {cell[1]}.jsonl".replace(" ", "-").replace("%-", "").replace(",", "")


def rows_of(path: Path, made_with: str, arms: Sequence[str]) -> dict[str, Row]:
    """The lines of these settings that have these arms, by person."""
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {row["person"]: row for row in rows if row["settings"] == made_with and set(arms) <= set(row["arms"])}


@dataclass(frozen=True)
class Task:
    """A person in a world with an optimizer, the new preset's settings, and the rivals."""

    cell: Cell
    number: int
    new: FermiSettings
    arms: tuple[str, ...]


def line_of(task: Task) -> Row:
    """Run all arms for a person."""
    world = WORLDS[task.cell[0]]
    one = person(world, task.number)
    trial = Trial(world, one, OPTIMIZERS[task.cell[1]], OLD, task.new)
    found = asyncio.run(results(trial, task.arms))
    arms = {arm: asdict(each) for arm, each in found.items()}
    return {"person": one.user.id, "settings": fingerprint(OLD, task.new), "arms": arms}


def open_tasks(out: Path, cells: Sequence[Cell], people: int, new: FermiSettings, arms: Sequence[str]) -> list[Task]:
    """Return a task for each person of the cells who has no line yet."""
    tasks = []
    for cell in cells:
        done = rows_of(path_of(out, cell), fingerprint(OLD, new), arms)
        numbers = range(FIRST_PERSON, FIRST_PERSON + people)
        tasks += [Task(cell, n, new, tuple(arms)) for n in numbers if name_of(n) not in done]
    return tasks


def add_line(path: Path, row: Row) -> None:
    """Add a line to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        stream.write(json.dumps(row, separators=(",", ":")) + "\n")


# --- the report


def accuracy(rows: Mapping[str, Row], arm: str) -> dict[str, float]:
    """By person."""
    hits = {name: row["arms"][arm]["hits"] for name, row in rows.items()}
    return {name: sum(each) / len(each) for name, each in hits.items()}


def mean(rows: Mapping[str, Row], arm: str, *keys: str) -> float:
    """The mean over people of a sum of counts."""
    counts: list[int] = [row["arms"][arm][key] for row in rows.values() for key in keys]
    return sum(counts) / len(rows)


def points(found: Interval) -> str:
    """A paired difference in points."""
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """As Markdown."""
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows)] + [""]


def report(cells: Mapping[Cell, Mapping[str, Row]]) -> str:
    """All tables, and how far what is aimed at is reached."""
    arms = list(next(iter(next(iter(cells.values())).values()))["arms"])
    others = [arm for arm in arms if arm not in ("new api", "profile")]
    accuracies = [[*cell, *(f"{100 * mean_of(rows, arm):.1f}" for arm in arms)] for cell, rows in cells.items()]
    differences = [
        [*cell, *(points(paired_difference(accuracy(rows, "new api"), accuracy(rows, arm))) for arm in others)]
        for cell, rows in cells.items()
    ]
    calls = [[*cell, *calls_of(rows, arms)] for cell, rows in cells.items()]
    answers = [[*cell, *(f"{mean(rows, arm, 'asking') / 16:.1f}" for arm in arms)] for cell, rows in cells.items()]
    people = sorted({len(rows) for rows in cells.values()})
    return "\n".join(
        [
            f"{' to '.join(map(str, people))} people a row, 16 held-out answers each.",
            "",
            "What was aimed at:",
            "",
            *aims(cells),
            "",
            "Held-out accuracy in percent:",
            "",
            *table(["world", "optimizer", *arms], accuracies),
            "Paired differences `new api` − arm in points, with 95 % intervals over people:",
            "",
            *table(["world", "optimizer", *others], differences),
            "Calls of learning, answering + optimizing, a person; `used` is how often the new preset's gate chose its"
            " own prompts / few-shot / the base model:",
            "",
            *table(["world", "optimizer", *(arm for arm in arms if arm in LEARNING), "new / old", "used"], calls),
            "Calls for each held-out answer:",
            "",
            *table(["world", "optimizer", *arms], answers),
        ]
    )


LEARNING = ("new api", "old api", *RIVALS)


def mean_of(rows: Mapping[str, Row], arm: str) -> float:
    """Mean accuracy."""
    return mean_interval(accuracy(rows, arm)).mean


def calls_of(rows: Mapping[str, Row], arms: Sequence[str]) -> list[str]:
    """Calls by arm, their ratio, and what the gate decided."""
    told = [
        f"{mean(rows, arm, 'answering'):.0f} + {mean(rows, arm, 'optimizing'):.0f}" for arm in arms if arm in LEARNING
    ]
    winners = [row["arms"]["new api"]["winner"] for row in rows.values()]
    used = " / ".join(str(winners.count(side)) for side in ("personalization", "few-shot", "base"))
    return [*told, f"{100 * ratio(rows):.0f} %", used]


def ratio(rows: Mapping[str, Row]) -> float:
    """Calls of the new preset to those of the old one."""
    return mean(rows, "new api", "answering", "optimizing") / mean(rows, "old api", "answering", "optimizing")


def aims(cells: Mapping[Cell, Mapping[str, Row]]) -> list[str]:
    """How far the aims are reached, an item each."""
    leads = {
        cell: mean_of(rows, "new api") - max(mean_of(rows, "old api"), mean_of(rows, "few-shot 16"))
        for cell, rows in cells.items()
    }
    worst = min(leads, key=lambda cell: leads[cell])
    behind = [cell for cell, lead in leads.items() if lead < LEAST]
    lines = [
        f"- nowhere more than 1 point behind the better of few-shot and the old preset: **{_held(not behind)}**; least"
        f" lead {100 * leads[worst]:+.1f} ({', '.join(worst)})" + _named("; behind in", behind)
    ]
    inferring = {name for name, each in OPTIMIZERS.items() if not each.memorizes}
    different = {cell: lead for cell, lead in leads.items() if WORLDS[cell[0]].different and cell[1] in inferring}
    if different:
        short = [cell for cell, lead in different.items() if lead < AHEAD]
        lines.append(
            "- at least 5 points ahead of both where text and examples carry different things and the optimizer infers:"
            f" **{_held(not short)}**; leads {100 * min(different.values()):+.1f} to"
            f" {100 * max(different.values()):+.1f}" + _named("; less in", short)
        )
    ratios = {cell: ratio(rows) for cell, rows in cells.items()}
    dear = [cell for cell, each in ratios.items() if each > CALLS]
    span = f"{100 * min(ratios.values()):.0f} to {100 * max(ratios.values()):.0f} %"
    fewer = f"- at most 60 % of the old preset's calls: **{_held(not dear)}**; {span}"
    return [*lines, fewer + _named("; more in", dear)]


def _held(reached: bool) -> str:
    return "reached" if reached else "not reached"


def _named(before: str, cells: Sequence[Cell]) -> str:
    return f"{before}: {'; '.join(', '.join(cell) for cell in cells)}" if cells else ""


def write_tables(path: Path, text: str) -> None:
    """Replace the tables of the page; what stands above them stays."""
    above = path.read_text().split(TABLES)[0].rstrip() if path.exists() else "# Simulated strong models"
    path.write_text(f"{above}\n{TABLES}\n{text}")


def main() -> None:
    """Run, resume, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--worlds", nargs="+", choices=tuple(WORLDS), default=list(WORLDS))
    parser.add_argument("--optimizers", nargs="+", choices=tuple(OPTIMIZERS), default=list(OPTIMIZERS))
    parser.add_argument("--arms", nargs="*", choices=RIVALS, default=list(RIVALS), help="rivals")
    parser.add_argument("--new", default="api", help="name of the new preset")
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="of the new preset")
    parser.add_argument("--jobs", type=at_least_one, default=1, help="number of processes")
    parser.add_argument("--report", action="store_true", help="only report")
    parser.add_argument("--out", type=Path, required=True, help="folder of the lines")
    parser.add_argument("--page", type=Path, help="Markdown file that gets the tables; they are printed anyway")
    given = parser.parse_args()
    try:
        new = new_settings(given.new, given.set)
    except (SettingsError, ValueError) as error:
        sys.exit(str(error))
    if (package := missing_package(given.arms)) and not given.report:
        sys.exit(f"{package} is not installed: docs/results/strong-models.md says how; or name --arms without it")
    cells = list(product(given.worlds, given.optimizers))
    tasks = open_tasks(given.out, cells, given.people, new, given.arms) if not given.report else []
    progress = Progress(task.cell for task in tasks)
    for task, row in each_done(line_of, tasks, given.jobs):
        add_line(path_of(given.out, task.cell), row)
        progress.done(task.cell)
    found = {cell: rows_of(path_of(given.out, cell), fingerprint(OLD, new), given.arms) for cell in cells}
    whole = {cell: rows for cell, rows in found.items() if len(rows) > 1}
    if not whole:
        sys.exit(f"{given.out} has no world and optimizer with two people or more, which a table needs")
    text = report(whole)
    if given.page:
        write_tables(given.page, text)
    print(text)


if __name__ == "__main__":
    main()
