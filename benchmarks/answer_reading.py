"""How well replies are read: precision and recall on labelled replies, by style, for docs/results/answer-reading.md.

    python benchmarks/answer_reading.py [--old alignment.py] [FILE …]

Without files, it reads the six lists of tests/methods/data. docs/results/answer-reading.md states which version of the
rules each of them was held out from. `--old` names the module with the rules before, `git show
COMMIT:src/idiolect/methods/alignment.py`, whose `parse_choice` is then measured beside the reader. No reply is printed.

    precision   right readings / readings
    recall      right readings of labelled choices / labelled choices, without those that can only be inferred
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idiolect.methods.reading.reader import read_choice
from idiolect.models.thoughts import after_thoughts
from idiolect.people.user import Question

DATA = Path(__file__).parents[1] / "tests/methods/data"
LISTS = tuple(DATA / f"replies_{name}.jsonl" for name in "abcdef")
Reader = Callable[[str, Question], str | None]
_Z = 1.959964


@dataclass(slots=True)
class Counts:
    """Counts of one style."""

    replies: int = 0
    readings: int = 0
    right: int = 0
    labelled: int = 0
    found: int = 0
    inferred: int = 0
    inferred_found: int = 0

    def add(self, line: Mapping[str, Any], read: str | None) -> None:
        """Count one reply with its label."""
        label, inferred = line["choice"], bool(line.get("inferred"))
        self.replies += 1
        self.readings += read is not None
        self.right += read is not None and read == label
        if label is not None and inferred:
            self.inferred += 1
            self.inferred_found += read == label
        elif label is not None:
            self.labelled += 1
            self.found += read == label


def wilson(hits: int, n: int) -> str:
    """Return a share with its 95 % Wilson interval, as text."""
    if not n:
        return "–"
    p, z = hits / n, _Z
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{p:.3f} [{max(centre - half, 0):.3f}, {min(centre + half, 1):.3f}]"


def read_new(reply: str, question: Question) -> str | None:
    """Read a reply as the product does: without its thoughts."""
    return read_choice(after_thoughts(reply).text.strip(), question)


def old_reader(path: str) -> Reader:
    """Return the rules before, which knew nothing of thoughts."""
    spec = importlib.util.spec_from_file_location("old_alignment", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    return lambda reply, question: module.parse_choice(reply.strip(), question)


def measured(lines: Iterable[Mapping[str, Any]], read: Reader) -> dict[str, Counts]:
    """Return the counts by style, and those of all styles under "all"."""
    counts: dict[str, Counts] = {}
    for line in lines:
        question = Question(line["question"], tuple(line["choices"]), bool(line.get("ordinal")))
        found = read(line["reply"], question)
        for name in (line["style"], "all"):
            counts.setdefault(name, Counts()).add(line, found)
    total = counts.pop("all")
    return {**dict(sorted(counts.items())), "all": total}


def main() -> None:
    """Print one table for each list and reader."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--old", help="module with the rules before")
    arguments = parser.parse_args()
    readers: dict[str, Reader] = {"reader": read_new}
    if arguments.old:
        readers = {"before": old_reader(arguments.old), **readers}
    for path in arguments.files or LISTS:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        for name, read in readers.items():
            print(f"\n{path.name}, {name}\n")
            print("| style | replies | wrong | precision | recall | inferred |\n|---|---:|---:|---|---|---:|")
            for style, n in measured(lines, read).items():
                shares = f"{wilson(n.right, n.readings)} | {wilson(n.found, n.labelled)}"
                inferred = f"{n.inferred_found} of {n.inferred}" if n.inferred else ""
                print(f"| {style} | {n.replies} | {n.readings - n.right} | {shares} | {inferred} |")


if __name__ == "__main__":
    main()
