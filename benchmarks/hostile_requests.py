"""Hostile requests of every kind at once against `idiolect serve`: what it answers, leaks, logs, and whether it hangs.

    python benchmarks/hostile_requests.py                      10,000 requests: some minutes
    python benchmarks/hostile_requests.py --requests 1000 --seed 7

A gateway with the keys of two tenants, in which prompts were learned for people, each of whom has a canary: a word that
occurs nowhere else. Its upstream answers at once, and keeps what it gets. A second gateway needs no keys. While the
attacks run, well-behaved clients ask from another process. It prints a table in Markdown, and what was checked; the
exit status is 1 if anything was wrong. The same seed makes the same requests.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.postgresql import running_server  # noqa: E402
from tests.serve.hostility.campaign import KINDS  # noqa: E402
from tests.serve.hostility.report import hostile_run  # noqa: E402


def main() -> None:
    """Attack, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=16)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="only these")
    parser.add_argument("--postgresql", action="store_true", help="stores in a PostgreSQL server of the run's own")
    options = parser.parse_args()
    kinds = {name: KINDS[name] for name in options.kinds}
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="hostile-")))
        targets = None
        if options.postgresql:
            server = opened.enter_context(running_server())
            targets = (server.create_database(), server.create_database())
        run = hostile_run(folder, options.requests, random.Random(options.seed), kinds=kinds, targets=targets)
        report = asyncio.run(run)
    print(report.text())
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
