"""How long `idiolect demo` takes: until the first person is on the screen, until the end, and in CPU seconds.

    python benchmarks/first_minute.py [--runs 3] [--before LABEL:FIRST:END:CPU …] > docs/results/first-minute.md

Run it on an otherwise idle machine, after the set-up. `--before` adds rows that were measured earlier, with another
version of the demo.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds from the start of the process: first person, end; and CPU seconds of all its threads."""

    first: float
    end: float
    cpu: float


def run_demo() -> Times:
    """Run the demo once.

    Raises:
        RuntimeError: it failed, or finished nobody.
    """
    before, start = _cpu(), time.monotonic()
    command = [sys.executable, "-m", "idiolect.cli.app", "demo"]
    first = None
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:  # a line for each person who is finished
            first = first or time.monotonic() - start
            sys.stderr.write(line)
    if process.returncode != 0 or first is None:
        raise RuntimeError(f"the demo ended with status {process.returncode}")
    return Times(first, time.monotonic() - start, _cpu() - before)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def row(label: str, times: Times) -> str:
    """Return a row of the table."""
    return f"| {label} | {times.first:.0f} | {times.end:.0f} | {times.cpu:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--before", action="append", default=[], help="LABEL:FIRST:END:CPU")
    arguments = parser.parse_args()
    print("# The first minute\n")
    print(
        "`idiolect demo`, in seconds from the start of the process, after the set-up. "
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, Python {platform.python_version()}.\n"
    )
    print("| run | first person finished | end | CPU seconds |\n|---|---|---|---|")
    for each in arguments.before:
        label, *numbers = each.rsplit(":", 3)
        print(row(label, Times(*map(float, numbers))))
    for number in range(arguments.runs):
        print(row(f"now, run {number + 1} of {arguments.runs}", run_demo()), flush=True)
    print(
        "\nThe earlier demo learned from three people (four proposals an iteration, ten questions each) and two "
        "writers, and scored in float32. This one has two people (three proposals of at most "
        "eight examples, eight questions each) and one "
        "writer: `idiolect demo --people 3 --writers 2` shows the others. Where the processor multiplies bfloat16 "
        "faster, which is measured at the start, choices are scored in it; everything else is computed in float32.\n\n"
        "Made by `python benchmarks/first_minute.py`."
    )


if __name__ == "__main__":
    main()
