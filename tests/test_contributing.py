"""The walk for newcomers: the changes in CONTRIBUTING.md are small, apply to the source, and do what they promise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from idiolect.people.user import Opinion, Question, User
from idiolect.store import DEFAULT_TENANT, Store

ROOT = Path(__file__).resolve().parents[1]
CHANGES = re.findall(r"^```diff\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
MOST_LINES = 30


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.split()[3])
def test_change_is_one_file_and_one_line(change: str) -> None:
    changed = [line for line in change.splitlines() if re.match(r"[+-](?![+-]{2} )", line)]
    assert len(changed) <= MOST_LINES
    assert change.count("--- /dev/null") == 1
    (*_, of_table) = [part for part in re.split(r"^--- ", change, flags=re.MULTILINE) if "/dev/null" not in part] or [
        ""
    ]
    assert len(re.findall(r"^\+(?![+]{2} )(?!from )", of_table, re.MULTILINE)) <= 1, "one line besides an import"


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source with all changes, and a store of one user."""
    folder = tmp_path_factory.mktemp("changed")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for change in CHANGES:
        applied = subprocess.run(
            ["git", "apply", "-"], cwd=folder, input=change, text=True, capture_output=True, check=False
        )
        assert applied.returncode == 0, applied.stderr
    with Store.open(folder / "store", tenant=DEFAULT_TENANT) as store:
        store.save_users([User("ann", opinions=[Opinion(Question(f"Question {n}?"), "Yes.") for n in range(4)])])
    return folder


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "IDIOLECT_STORE": str(folder / "store")}
    ran = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_new_command_runs_and_is_listed(changed: Path) -> None:
    assert run(changed, "-m", "idiolect.cli.app", "count") == "1\n"
    assert "Print how many people the store holds." in run(changed, "-m", "idiolect.cli.app", "--help")


def test_new_use_case_runs_in_a_workspace(changed: Path) -> None:
    script = """
from idiolect import Workspace
from idiolect.application.counting import count_opinions

with Workspace.open(create=False) as space:
    print(space.call(count_opinions))
"""
    assert run(changed, "-c", script) == "4\n"


def test_new_method_model_and_task_are_evaluated(changed: Path) -> None:
    small = ("--people", "2", "--train", "5", "--test", "4", "--set", "similarity=bm25", "--answering", "likelihood")
    methods = ("--methods", "vanilla,first-choice", "--model", "last:one")
    printed = run(changed, "-m", "idiolect.cli.app", "evaluate", "habits", *small, *methods, "--out", "habits")
    assert "Made-up habits: 2 of 2 people, complete" in printed
    assert {line.split()[0] for line in printed.splitlines() if line} >= {"vanilla", "first-choice"}
