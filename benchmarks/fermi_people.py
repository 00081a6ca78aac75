"""Does Fermi on the embedded model personalize real people? Every arm on the same held-out answers, paired.

    python benchmarks/fermi_people.py --out docs/results/fermi-food            # the bundled food-world-cup people
    python benchmarks/fermi_people.py --users users.jsonl --n 40 --out …       # any users file
    … --shard 0/2 and … --shard 1/2 side by side, then … --report               # two processes share the people

Arms: base, constant (most frequent answer of *other* people), own mode, profile, few-shot, Fermi with each proposer
apart and with both, and for each Fermi arm *another person's prompts* (the next person's, whole). Every answer becomes
a JSON line in OUT/answers-SHARD.jsonl, every learned personalization a file in OUT/learned; a run that is stopped goes
on where it was. The last step writes OUT.md: means over people, intervals clustered by person, paired differences.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from intervals import Interval, mean_interval, paired_difference

from idiolect import Opinion, User
from idiolect.evaluate.measures import judge_all
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FewShot, FrequentAnswer, base, profile
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings, ProposerName
from idiolect.methods.personalization import Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.catalog import open_similarity
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Similarity
from idiolect.people.bundled import bundled_groups
from idiolect.people.splits import Split, split_opinions, split_people
from idiolect.people.users_file import read_users

FERMI_ARMS: Mapping[str, tuple[ProposerName, ...]] = {
    "fermi-llm": ("llm",),
    "fermi-demonstrations": ("demonstrations",),
    "fermi-both": ("llm", "demonstrations"),
}
N_TRAIN = 20
N_REPORTED = 40  # of a users file; the others are development people


@dataclass(frozen=True)
class World:
    """What all arms share."""

    answerer: Answerer
    optimizer: LanguageModel
    similarity: Similarity
    settings: FermiSettings
    others: tuple[User, ...]  # people who aren't reported: the constant comes from them
    out: Path
    dtype: str
    controls: bool  # ask another person's prompts too


def settings_of(arguments: argparse.Namespace) -> FermiSettings:
    """The preset, with what the command line changes."""
    chosen = preset(arguments.preset)
    return replace(
        chosen,
        iterations=arguments.iterations or chosen.iterations,
        answering=replace(chosen.answering, mode="likelihood", normalization=arguments.normalization),
    )


def baselines(world: World, user: User, split: Split) -> dict[str, Callable[[], Respondent]]:
    """Arms that learn nothing."""
    train, answerer = split.train, world.answerer
    p0 = profile_prompt(user.profile, answerer.settings)  # in front of examples, as in Fermi's prompts
    return {
        "base": lambda: base(answerer),
        "constant": lambda: FrequentAnswer(o for other in world.others for o in other.opinions),
        "own mode": lambda: FrequentAnswer(train),
        "profile": lambda: profile(answerer, user.profile),
        "few-shot": lambda: FewShot(answerer, train, k=16, similarity=world.similarity, instruction=p0),
        "few-shot (all 20)": lambda: FewShot(answerer, train, k=N_TRAIN, instruction=p0),
    }


class Log:
    """A shard's answers file: one line an answer; knows which (user, arm) are done."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.rows = [json.loads(line) for line in lines]
        self.done = {(row["user"], row["arm"]) for row in self.rows}

    def add(self, rows: list[dict[str, object]]) -> None:
        """All answers of one user and arm at once."""
        with self.path.open("a") as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in rows))
        self.rows += rows
        self.done |= {(str(row["user"]), str(row["arm"])) for row in rows}


async def ask(log: Log, arm: str, user: User, test: tuple[Opinion, ...], respondent: Respondent) -> None:
    """Answer the held-out questions and log every answer."""
    started = time.perf_counter()
    answers = await respondent.answer([opinion.question for opinion in test])
    seconds = time.perf_counter() - started
    scores = [j.values for j in judge_all(test, answers, ("accuracy", "mae", "alignment"))]
    log.add(
        [
            {"user": user.id, "arm": arm, "question": index, "answer": a.response.answer, "said": o.answer,
             "correct": s.get("accuracy"), "error": s.get("mae"), "alignment": s["alignment"],
             "seconds": round(seconds / len(test), 4)}
            for index, (o, a, s) in enumerate(zip(test, answers, scores, strict=True))
        ]
    )  # fmt: skip


async def learned(world: World, arm: str, user: User, split: Split) -> FermiPersonalization:
    """Fit one arm for one user, or read it where it was fitted before."""
    path = world.out / "learned" / arm / f"{user.id}.json"
    if path.exists():
        return FermiPersonalization.from_json(json.loads(path.read_text()))
    settings = replace(world.settings, proposers=FERMI_ARMS[arm])
    fermi = Fermi(world.answerer, settings, optimizer=world.optimizer)
    fitted = await fermi.fit(replace(user, opinions=split.train, texts=()))
    save(world, arm, fitted)
    return fitted


def save(world: World, arm: str, fitted: FermiPersonalization) -> None:
    """Write what was learned, never half of it."""
    path = world.out / "learned" / arm / f"{fitted.user_id}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".part").write_text(json.dumps(fitted.to_json()))
    path.with_suffix(".part").rename(path)


async def run(world: World, people: tuple[User, ...], arms: list[str], log: Log, n_test: int) -> None:
    """All arms for all people, person by person."""
    for number, user in enumerate(people):
        split = split_opinions(user, n_train=N_TRAIN)
        test = split.test[:n_test]
        for arm, make in baselines(world, user, split).items():
            if (user.id, arm) not in log.done and arm in arms:
                await ask(log, arm, user, test, make())
        for arm in FERMI_ARMS:
            if arm in arms:
                await ask_fermi(world, log, arm, user, people[(number + 1) % len(people)], n_test)
        print(f"{time.strftime('%H:%M:%S')} {number + 1}/{len(people)}", file=sys.stderr, flush=True)


async def ask_fermi(world: World, log: Log, arm: str, user: User, other: User, n_test: int) -> None:
    """The person's own prompts, and the next person's."""
    test = split_opinions(user, n_train=N_TRAIN).test[:n_test]
    for name, owner in ((arm, user), (f"{arm}, another person's", other)):
        if (user.id, name) in log.done or (owner is not user and not world.controls):
            continue
        fitted = await learned(world, arm, owner, split_opinions(owner, n_train=N_TRAIN))
        rop = RetrievalOfPrompt(fitted, world.answerer, world.similarity)
        await ask(log, name, user, test, rop)
        save(world, arm, rop.personalization)  # with the scores that answering needed


def by_person(rows: Iterable[dict[str, object]], arm: str, measure: str) -> dict[str, float]:
    """Mean of a measure over each person's answers."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["arm"] == arm and row[measure] is not None:
            values.setdefault(str(row["user"]), []).append(float(row[measure]))  # type: ignore[arg-type]
    return {user: sum(v) / len(v) for user, v in values.items()}


def finished(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """The rows of the people who were asked by every arm; another shard may still be at work."""
    arms: dict[object, set[object]] = {}
    for row in rows:
        arms.setdefault(row["user"], set()).add(row["arm"])
    every = set().union(*arms.values())
    return [row for row in rows if arms[row["user"]] == every]


def report(rows: list[dict[str, object]], world: World, title: str) -> str:
    """The result as Markdown."""
    arms = list(dict.fromkeys(str(row["arm"]) for row in rows))
    accuracy = {arm: by_person(rows, arm, "correct") for arm in arms}
    error = {arm: by_person(rows, arm, "error") for arm in arms}
    n_answers = sum(row["arm"] == arms[0] for row in rows)
    lines = [
        f"# {title}", "",
        f"{len(accuracy[arms[0]])} people, {n_answers} held-out answers an arm, {N_TRAIN} opinions learned from. "
        f"Scores are means over people with 95 % bootstrap intervals clustered by person (9,999 resamples). "
        f"`{world.answerer.model_name}` in {world.dtype} answers and proposes, with likelihood answering "
        f"({world.settings.answering.normalization}) and preset `{world.settings.preset}` "
        f"(T={world.settings.iterations}, K={world.settings.proposals}, L={world.settings.memory_size}).", "",
        "| arm | accuracy | MAE |", "|---|---|---|",
        *(f"| {arm} | {mean_interval(accuracy[arm])} | {cell(error[arm])} |" for arm in arms), "",
        "Paired differences in accuracy (row minus column):", "",
    ]  # fmt: skip
    rivals = [arm for arm in ("base", "own mode", "few-shot", "few-shot (all 20)") if arm in arms]
    columns = [*rivals, *(["another person's"] if any("another" in arm for arm in arms) else [])]
    lines += ["| arm | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for arm in (arm for arm in FERMI_ARMS if arm in arms):
        against = [rival for rival in (*rivals, f"{arm}, another person's") if rival in arms]
        lines.append(f"| {arm} | " + " | ".join(signed(accuracy[arm], accuracy[rival]) for rival in against) + " |")
    return "\n".join([*lines, "", *costs(world), ""])


def cell(values: dict[str, float]) -> str:
    """A mean with its interval, or a dash where the measure doesn't exist."""
    return str(mean_interval(values)) if values else "–"


def signed(a: dict[str, float], b: dict[str, float]) -> str:
    """A paired difference with its interval."""
    found: Interval = paired_difference(a, b)
    return f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def costs(world: World) -> list[str]:
    """What learning cost, per person and arm."""
    lines = ["| per person | answering calls to learn | including the pool's, as far as made | optimizer calls | "
             "prompt tokens to learn | computed |", "|---|---|---|---|---|---|"]  # fmt: skip
    for arm in FERMI_ARMS:
        found = [json.loads(p.read_text()) for p in sorted((world.out / "learned" / arm).glob("*.json"))]
        if found:
            spent = [f["iterations"][-1][part] for f in found for part in ("answering", "optimizing")]
            sums = [
                sum(f["iterations"][-1]["answering"]["calls"] for f in found),
                sum(f["answering"]["calls"] for f in found),
                sum(f["iterations"][-1]["optimizing"]["calls"] for f in found),
                sum(usage["prompt_tokens"] for usage in spent),
                sum(usage["computed_tokens"] for usage in spent),
            ]
            lines.append(f"| {arm} | " + " | ".join(f"{value / len(found):,.0f}" for value in sums) + " |")
    return [*lines, "", f"Machine: {platform.machine()}, Python {platform.python_version()}."]


def people_of(arguments: argparse.Namespace) -> tuple[tuple[User, ...], tuple[User, ...]]:
    """Reported and development people: disjoint, settings are chosen on the second."""
    if arguments.users is None:
        groups = bundled_groups()
        return groups.reported, groups.development
    users = [u for u in read_users(arguments.users) if len(u.opinions) >= N_TRAIN + arguments.test]
    n_reported = min(N_REPORTED, len(users) // 2)  # whatever --n says, so that the groups stay apart
    reported, development = split_people(users, sizes=(n_reported, len(users) - n_reported), seed=2026)
    return reported, development


def main() -> None:
    """Run, resume, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=Path, help="a users file; default: the bundled people")
    parser.add_argument("--group", choices=("reported", "development"), default="reported")
    parser.add_argument("--n", type=int, default=48, help="people")
    parser.add_argument("--test", type=int, default=10, help="held-out opinions a person")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--iterations", type=int)
    parser.add_argument("--normalization", choices=("sum", "mean", "pmi"), default="sum")
    parser.add_argument("--dtype", default="float32", help="of the model; bfloat16 is faster on recent CPUs")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th person from the I-th on")
    parser.add_argument("--report", action="store_true", help="only report what all shards have done")
    parser.add_argument("--arms", nargs="*", help="default: all")
    parser.add_argument("--no-controls", action="store_true", help="leave out another person's prompts")
    parser.add_argument("--title", default="Fermi on real people")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    from idiolect.models.local import load_local_model

    reported, development = people_of(arguments)
    people = (reported if arguments.group == "reported" else development)[: arguments.n]
    others = development if arguments.group == "reported" else reported
    settings = settings_of(arguments)
    model = load_local_model("embedded", dtype=arguments.dtype)
    similarity = open_similarity(settings.retrieval.similarity)
    answerer = Answerer(model, settings.answering)
    world = World(
        answerer, model, similarity, settings, others, arguments.out, arguments.dtype, not arguments.no_controls
    )
    arms = arguments.arms or [*baselines(world, people[0], split_opinions(people[0], n_train=N_TRAIN)), *FERMI_ARMS]
    if not arguments.report:
        shard, shards = map(int, arguments.shard.split("/"))
        log = Log(arguments.out / f"answers-{shard}.jsonl")
        asyncio.run(run(world, people[shard::shards], arms, log, arguments.test))
    logs = [Log(path) for path in sorted(arguments.out.glob("answers-*.jsonl"))]
    text = report(
        finished([row for log in logs for row in log.rows]), world, f"{arguments.title} ({arguments.group} people)"
    )
    arguments.out.with_suffix(".md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
