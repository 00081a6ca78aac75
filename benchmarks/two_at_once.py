"""How long work on the embedded model takes alone, beside a second such process, and beside a busy core.

    python benchmarks/two_at_once.py [--rounds 3] [--settings ours,torch] > docs/results/two-at-once.md

Each process scores 20 questions in turn (prefill), writes 24 tokens four at a time (decoding), then learns prompts for
a bundled person from 8 opinions, which is what `idiolect fit` does once the model is open.
The settings are compared within a round, one after the other, and the medians over the rounds are reported. A setting
is what the environment says before torch is imported; "ours" is Idiolect without any of it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

CORES = str(len(os.sched_getaffinity(0)))
SETTINGS: dict[str, dict[str, str]] = {
    "ours": {},
    "torch": {"OMP_NUM_THREADS": CORES},
    "passive": {"OMP_NUM_THREADS": CORES, "OMP_WAIT_POLICY": "passive"},
    "spin-1000": {"OMP_NUM_THREADS": CORES, "GOMP_SPINCOUNT": "1000"},
    "spin-10000": {"OMP_NUM_THREADS": CORES, "GOMP_SPINCOUNT": "10000"},
    "spin-100000": {"OMP_NUM_THREADS": CORES, "GOMP_SPINCOUNT": "100000"},
    "blocktime-0": {"OMP_NUM_THREADS": CORES, "KMP_BLOCKTIME": "0"},
    "dynamic": {"OMP_NUM_THREADS": CORES, "OMP_DYNAMIC": "true"},
    "one-thread": {"OMP_NUM_THREADS": "1"},
}
EXPLAINED = {
    "ours": "Idiolect: as many threads as other processes leave cores (`models/threads.py`)",
    "torch": "torch's default: a thread for each core, which spins while it waits",
    "passive": "`OMP_WAIT_POLICY=passive`: threads sleep while they wait",
    "spin-1000": "`GOMP_SPINCOUNT=1000`: they sleep after that many spins",
    "spin-10000": "`GOMP_SPINCOUNT=10000`",
    "spin-100000": "`GOMP_SPINCOUNT=100000`",
    "blocktime-0": "`KMP_BLOCKTIME=0`: the same for Intel's OpenMP, which this torch does not use",
    "dynamic": "`OMP_DYNAMIC=true`: GNU's OpenMP looks at the load of the last 15 minutes",
    "one-thread": "`OMP_NUM_THREADS=1`",
}
N_SCORED, BATCH, NEW_TOKENS, N_OPINIONS = 20, 4, 24, 8
LIMIT_S = 100.0  # a process that takes longer is stopped, and counted as having taken that long
BUSY = "while True: pass"


@dataclass(frozen=True)
class Seconds:
    """What one process took."""

    scoring: float
    writing: float
    fitting: float


async def work() -> None:
    """Load the model, wait for a line on stdin, work, and print the seconds."""
    from idiolect.methods.answering import Answerer
    from idiolect.methods.fermi.optimizer import Fermi
    from idiolect.methods.fermi.presets import preset
    from idiolect.models.catalog import open_similarity
    from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message, SamplingParams
    from idiolect.models.local import load_local_model
    from idiolect.people.bundled import bundled_groups
    from idiolect.people.user import User

    model = load_local_model("embedded", device="cpu")
    model.format.stop_ids = frozenset()
    texts = [f"{i}. " + "You have lived in a small town all your life and speak plainly. " * 6 for i in range(N_SCORED)]
    asked = [
        ChoiceRequest((Message("system", text), Message("user", "Do you trust the news?")), ("Yes", "No", "Not sure"))
        for text in texts
    ]
    written = [CompletionRequest(each.messages, SamplingParams(NEW_TOKENS)) for each in asked[:BATCH]]
    await model.choice_logprobs(asked[:1])
    await model.forget_prefixes()
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for request in asked:
        await model.choice_logprobs([request])
    print(time.perf_counter() - start, flush=True)
    start = time.perf_counter()
    await model.complete(written)
    print(time.perf_counter() - start, flush=True)
    settings = preset("demo")
    fermi = Fermi(Answerer(model, settings.answering), settings, similarity=open_similarity("bm25"))
    person = bundled_groups().development[0]
    start = time.perf_counter()
    await fermi.fit(User(person.id, person.profile, person.opinions[:N_OPINIONS]))
    print(time.perf_counter() - start, flush=True)
    model.close()


def run(environment: dict[str, str], processes: int) -> list[Seconds]:
    """Run that many processes at once, which begin to work at the same moment."""
    cleaned = {
        name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_", "KMP_", "MKL_"))
    }
    command = [sys.executable, __file__, "--work"]
    started = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**cleaned, **environment}
        )
        for _ in range(processes)
    ]
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    end = time.monotonic() + LIMIT_S
    return [finished(each, max(end - time.monotonic(), 0.0)) for each in started]


def finished(process: subprocess.Popen[str], left: float) -> Seconds:
    """Wait for a process, and stop it when its time is over; what it has not finished then took the whole limit."""
    try:
        output, _ = process.communicate(timeout=left)
        assert process.returncode == 0
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
    return Seconds(*[*map(float, output.split()), LIMIT_S, LIMIT_S, LIMIT_S][:3])


def beside_busy_core(environment: dict[str, str]) -> Seconds:
    """Run one process while another keeps one core busy."""
    busy = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        return run(environment, 1)[0]
    finally:
        busy.kill()
        busy.wait()


def measure(names: list[str], rounds: int) -> dict[tuple[str, str], list[Seconds]]:
    """Measure every setting in every situation, once a round."""
    found: dict[tuple[str, str], list[Seconds]] = {}
    for number in range(rounds):
        for name in names:
            environment = SETTINGS[name]
            found.setdefault((name, "alone"), []).extend(run(environment, 1))
            found.setdefault((name, "two"), []).extend(run(environment, 2))
            found.setdefault((name, "busy"), []).append(beside_busy_core(environment))
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
    return found


def report(names: list[str], rounds: int, found: dict[tuple[str, str], list[Seconds]]) -> None:
    """Print the page."""
    print("# Two on one machine\n")
    print(
        "What work on the embedded model takes when the machine is not idle. Each process scores "
        f"{N_SCORED} questions in turn, writes {NEW_TOKENS} tokens {BATCH} at a time, then learns prompts for a person "
        f"from {N_OPINIONS} opinions. Medians of {rounds} rounds in seconds (two at once: of {2 * rounds} processes); "
        "in brackets the ratio to "
        f"torch's default alone. {CORES} cores, {platform.machine()}, Python {platform.python_version()}.\n"
    )
    for title, pick in (("Scoring", "scoring"), ("Writing", "writing"), ("A fit", "fitting")):
        print(f"## {title}\n\n| setting | alone | two at once, each | beside a busy core |\n|---|---|---|---|")
        reference = (
            median(found, "torch", "alone", pick) if "torch" in names else median(found, names[0], "alone", pick)
        )
        for name in names:
            cells = []
            for situation in ("alone", "two", "busy"):
                seconds = median(found, name, situation, pick)
                over = "> " if seconds >= LIMIT_S else ""
                cells.append(f"{over}{seconds:.1f} ({over}{seconds / reference:.2f} ×)")
            print(f"| {EXPLAINED[name]} | {' | '.join(cells)} |")
        print()
    print(
        "Two processes that share the machine without any loss take 2 × each, and so does one that is left half of "
        "it.\n\n"
        f"Made by `python benchmarks/two_at_once.py --rounds {rounds} --settings {','.join(names)}`."
    )


def median(found: dict[tuple[str, str], list[Seconds]], name: str, situation: str, pick: str) -> float:
    """Return the median seconds of a setting in a situation."""
    return statistics.median(getattr(each, pick) for each in found[name, situation])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--settings", default=",".join(SETTINGS), help="names, separated by commas")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        asyncio.run(work())
        return
    names = arguments.settings.split(",")
    report(names, arguments.rounds, measure(names, arguments.rounds))


if __name__ == "__main__":
    main()
