"""Hostile requests of every kind at once: no failure of the server, no leak, no hang (the whole run: `benchmarks`)."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.serve.hostility.campaign import KINDS
from tests.serve.hostility.report import hostile_run

SMALL = {"max_body": 2**21, "body_timeout": 1.0, "idle_timeout": 2.0, "unread_timeout": 0.5, "sandboxes": 3, "odd": 4}


def test_hostile_requests_meet_no_failure_no_leak_and_no_hang(tmp_path: Path) -> None:
    report = asyncio.run(hostile_run(tmp_path, 300, random.Random(16), size=SMALL))
    assert report.faults == [], report.text()
    assert set(report.outcomes) == set(KINDS)
    assert sum(outcome.n for outcome in report.outcomes.values()) >= 300
