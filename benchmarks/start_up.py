"""How much CPU time passes before a command answers: help, commands without a model, and the embedded model's opening.

    python benchmarks/start_up.py [--runs 5] > docs/results/start-up.md

Run it on an otherwise idle machine. Every number is of a new process, the user's and the system's seconds together,
after one run that is not counted. The store of the commands is made by this script, with the embedded model.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

IDIOLECT = [sys.executable, "-m", "idiolect.cli.app"]
COMMANDS = (
    "--help",
    "--version",
    "fit --help",
    "evaluate --help",
    "users list",
    "users show ann",
    "users export ann",
    "groups list",
)
# What every command on the store imports, collecting garbage as seldom as the command does.
LIBRARIES = [
    sys.executable,
    "-c",
    "import gc; gc.set_threshold(10_000, 10, 10); import typer, sqlalchemy.dialects.sqlite.pysqlite; "
    "from pydantic import TypeAdapter",
]
QUESTION = ["ask", "--user", "ann", "Tea or coffee?", "--choices", "Tea|Coffee"]
# The steps of opening the embedded model, as the command does it.
OPENING = """
import time
marks = [("start of Python", time.process_time())]
def mark(name): marks.append((name, time.process_time()))
from idiolect.cli.app import collect_garbage_less_often; collect_garbage_less_often()
from idiolect.models import catalog
with catalog._no_collections():
    import torch; mark("import torch")
    from idiolect.models.local import load_local_model; mark("import transformers and the local model")
from idiolect.models import embedded, loading
file = loading._embedded_folder() / loading.EMBEDDED_FILE
network = embedded.load_llama_gguf(file, dtype=torch.float32); mark("read the weights")
tokenizer = embedded.load_tokenizer(file); mark("read the tokenizer")
from idiolect.models.fingerprint import state_of
from idiolect.models.local import LocalModel
model = LocalModel(network, tokenizer, name="embedded", files=state_of([file], network.dtype))
model.fingerprint(); mark("fingerprint, with kept digests")
for (_, before), (name, after) in zip([("", 0.0), *marks], marks):
    print(f"{name}\\t{after - before}")
model.close()
"""


def cpu_seconds(command: Sequence[str], environment: dict[str, str]) -> tuple[float, str]:
    """Run a command; return its CPU seconds and its output.

    Raises:
        RuntimeError: it failed.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {ran.returncode}: {ran.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ran.stdout


def row(label: str, command: Sequence[str], environment: dict[str, str], runs: int) -> str:
    """Return a row of the table: median and maximum."""
    cpu_seconds(command, environment)
    times = [cpu_seconds(command, environment)[0] for _ in range(runs)]
    return f"| {label} | {statistics.median(times):.2f} | {max(times):.2f} |"


def make_store(folder: Path) -> None:
    """Learn prompts for one person with the embedded model."""
    users = folder / "users.jsonl"
    users.write_text(
        '{"id": "ann", "opinions": ['
        '{"question": "Bus or train?", "choices": ["Bus", "Train"], "answer": "Train"},'
        '{"question": "Dog or cat?", "choices": ["Dog", "Cat"], "answer": "Dog"},'
        '{"question": "Sea or hills?", "choices": ["Sea", "Hills"], "answer": "Sea"}]}\n'
    )
    subprocess.run([*IDIOLECT, "fit", str(users)], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"IDIOLECT_STORE": str(Path(folder) / "store"), "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        make_store(Path(folder))
        environment = dict(os.environ)
        print("# Start-up\n")
        print(
            f"CPU seconds of new processes, of {runs} runs after one that is not counted. "
            f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, Python {platform.python_version()}.\n"
        )
        print("| command | median | maximum |\n|---|---|---|")
        print(row("`python -c pass`, for comparison", [sys.executable, "-c", "pass"], environment, runs))
        print(row("importing Typer, pydantic and SQLAlchemy, for comparison", LIBRARIES, environment, runs))
        for command in COMMANDS:
            print(row(f"`idiolect {command}`", [*IDIOLECT, *command.split()], environment, runs), flush=True)
        print(
            row("`python -c 'import torch'`, for comparison", [sys.executable, "-c", "import torch"], environment, runs)
        )
        print(row("`idiolect ask`, embedded model, answer in the cache", [*IDIOLECT, *QUESTION], environment, runs))
        print("\nThe opening of the embedded model, step by step:\n\n| step | median |\n|---|---|")
        steps: dict[str, list[float]] = {}
        for _ in range(runs + 1):
            for line in cpu_seconds([sys.executable, "-c", OPENING], environment)[1].splitlines():
                name, _, seconds = line.partition("\t")
                steps.setdefault(name, []).append(float(seconds))
        medians = {name: statistics.median(times[1:]) for name, times in steps.items()}
        for name, median in medians.items():
            print(f"| {name} | {median:.2f} |")
        print(f"| all of it | {sum(medians.values()):.2f} |")
        print("\nMade by `python benchmarks/start_up.py`.")


if __name__ == "__main__":
    main()
