"""Does an evaluation end with the same numbers when it is run twice, killed on its way, or stopped by a budget?

    python benchmarks/evaluation_survives.py --out docs/results/evaluation-survives.md

Runs `idiolect evaluate people` on the embedded model: undisturbed, once more in a folder of its own, killed (SIGKILL)
after each of several waits and started again, and stopped by a budget of calls and gone on with. Compared are all
records but for times and for which calls were found in the cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

METHODS = "vanilla,profile,few-shot,rag"


def command(out: Path, people: int, *more: str) -> list[str]:
    """The evaluation."""
    run = [sys.executable, "-m", "idiolect.cli.app", "evaluate", "people", "--methods", METHODS, "--test", "5"]
    return [*run, "--people", str(people), "--out", str(out), *more]


def undisturbed(out: Path, people: int) -> str:
    """One run to its end."""
    subprocess.run(command(out, people), check=True, capture_output=True)
    return "status 0"


def killed(out: Path, people: int, waits: list[float]) -> str:
    """Killed after each wait, then run to its end."""
    kills = 0
    for wait in waits:
        process = subprocess.Popen(command(out, people), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    return f"{kills} × SIGKILL, then {undisturbed(out, people)}"


def stopped(out: Path, people: int, calls: int) -> str:
    """Stopped by a budget, then run to its end."""
    first = subprocess.run(
        command(out, people, "--budget-calls", str(calls)), check=False, capture_output=True, text=True
    )
    partial = (out / "table.md").read_text().splitlines()[0]
    assert (out / "report.html").exists()
    told = f"stopped after {calls} calls: status {first.returncode}, “{partial.strip('*')}”"
    return f"{told}; then {undisturbed(out, people)}"


def records(out: Path) -> dict[str, Any]:
    """All records by what they are of, without times and without what depends on the cache."""
    found: dict[str, Any] = {}
    for name in ("answers", "learning"):
        for line in (out / f"{name}.jsonl").read_text().splitlines():
            record = json.loads(line)
            for part in ("learning", "answering"):
                for volatile in ("seconds", "calls_made", "money"):
                    record.get(part, {}).pop(volatile, None)
            key = json.dumps([name, record["arm"], record["seed"], record["user"], record.get("index")])
            found[key] = record
    return found


def main() -> None:
    """Run, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--waits", type=float, nargs="*", default=[12, 25, 40, 40])
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    lines = [
        "# An evaluation that is run twice, killed or stopped", "",
        "This page shows that an evaluation which is repeated, killed or stopped ends with the same answers. Each run "
        f"is `idiolect evaluate people --methods {METHODS} --test 5 --people {arguments.people}` on the embedded "
        "model. All records (answers, values, what was learned, calls, tokens) are compared with those of the first "
        "run, except for times and for the number of calls that were found in the cache.", "",
        "| run | how it went | records | differ from the first run |", "|---|---|---|---|",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root, people = Path(folder), arguments.people
        runs = {
            "first": lambda: undisturbed(root / "first", people),
            "again": lambda: undisturbed(root / "again", people),
            "killed": lambda: killed(root / "killed", people, arguments.waits),
            "stopped": lambda: stopped(root / "stopped", people, arguments.calls),
        }
        for name, run in runs.items():
            start = time.monotonic()
            how = run()
            first, now = records(root / "first"), records(root / name)
            differ = sum(first.get(key) != now.get(key) for key in first.keys() | now.keys())
            lines.append(f"| {name} | {how} | {len(now)} | {differ} |")
            print(lines[-1], f"{time.monotonic() - start:.0f} s", flush=True)
    arguments.out.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
