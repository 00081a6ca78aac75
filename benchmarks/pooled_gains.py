"""Gains on people's unseen texts, pooled over the folders of several evaluations; one row per arm and per difference.

    idiolect evaluate users … --neutral 8 --out WRITERS      (and other people into AUTHORS, …)
    python benchmarks/pooled_gains.py WRITERS AUTHORS \\
        --difference "chameleon - chameleon · another's of the same kind" --difference "few-shot+chameleon - few-shot"

A gain is an arm's log-probability minus the baseline's, nat per token; the change on the base model's own texts is
minus an estimate of KL(base ‖ arm). Each person counts once: answers are averaged within a person, and intervals are
Student's t over people, 95 %. A difference takes the people who have both arms.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from intervals import t_interval

Scores = dict[str, dict[str, dict[str, float]]]  # measure → arm → person → mean


def read(folders: Iterable[Path]) -> Scores:
    """Return the mean of every measure by arm and person.

    Raises:
        SystemExit: two folders have answers of the same person.
    """
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    owner: dict[str, Path] = {}
    for folder in folders:
        for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines():
            answer = json.loads(line)
            person = answer["user"]
            if owner.setdefault(person, folder) != folder:
                sys.exit(f"{person} is in {owner[person]} and in {folder}: every person may be in one folder only")
            for measure, value in answer["values"].items():
                values[measure, named(answer["arm"]), person].append(value)
    scores: Scores = defaultdict(lambda: defaultdict(dict))
    for (measure, arm, person), each in values.items():
        scores[measure][arm][person] = fmean(each)
    return scores


def named(arm: Mapping[str, str]) -> str:
    """Return an arm's name, as reports have it."""
    return arm["method"] + ("" if arm["control"] == "own" else f" · {arm['control']}")


def estimated(values: Iterable[float]) -> str:
    """Return the mean with its interval, the number of people, and how many are above 0."""
    found = list(values)
    if len(found) < 2:
        return f"{fmean(found):+.3f}, n = {len(found)}" if found else "none"
    above = sum(value > 0 for value in found)
    return f"{t_interval(found).signed}, n = {len(found)}, {above} above 0"


def paired(a: Mapping[str, float], b: Mapping[str, float]) -> list[float]:
    """Return a − b of the people who have both."""
    return [value - b[person] for person, value in a.items() if person in b]


def write_people(
    file: Path, gains: Mapping[str, Mapping[str, float]], changes: Mapping[str, Mapping[str, float]]
) -> None:
    """Write the mean log-probability of every person's unseen texts, and the change, under every arm."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        out = csv.writer(opened)
        out.writerow(["person", "arm", "log-probability of unseen texts", "change on the model's own texts"])
        for arm, people in gains.items():
            for person, value in people.items():
                change = changes.get(arm, {}).get(person)
                out.writerow([person, arm, f"{value:.6f}", "" if change is None else f"{change:.6f}"])


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders of evaluations")
    parser.add_argument("--baseline", default="vanilla")
    parser.add_argument("--difference", action="append", default=[], metavar="A - B")
    parser.add_argument("--people", type=Path, metavar="CSV", help="file for the means of every person")
    options = parser.parse_args()
    scores = read(options.folders)
    gains, changes = scores["loglik"], scores.get("neutral", {})
    rows = ["| arm | gain | change on the model's own texts |", "|---|---|---|"]
    for arm, people in gains.items():
        if arm != options.baseline:
            gain = estimated(paired(people, gains[options.baseline]))
            rows.append(f"| {arm} | {gain} | {estimated(changes.get(arm, {}).values())} |")
    rows += ["", "| difference | gain | change on the model's own texts |", "|---|---|---|"]
    for difference in options.difference:
        one, other = difference.split(" - ")
        absent = [arm for arm in (one, other) if arm not in gains]
        if absent:
            sys.exit(f"no arm {absent[0]!r}: choose among {', '.join(gains)}")
        change = paired(changes.get(one, {}), changes.get(other, {}))
        rows.append(f"| {one} − {other} | {estimated(paired(gains[one], gains[other]))} | {estimated(change)} |")
    print("\n".join(rows))
    if options.people:
        write_people(options.people, gains, changes)


if __name__ == "__main__":
    main()
