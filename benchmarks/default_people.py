"""The default for the embedded model on real people: several prompts, own answers and the median against few-shot.

    python benchmarks/default_people.py --out docs/results/default-food                        # 40 reported people
    … --shard 0/2 and … --shard 1/2 side by side, then … --report                              # two processes

What was fixed before any reported person was asked: the people (the first 40 of the bundled reported group, on whom no
setting was chosen), 20 opinions learned from and the next 12 asked, the preset `demo` with the ensemble below, and the
two primary comparisons on the alignment score: new default − few-shot (nearest 16), new default − own mode. The
settings come from development people (docs/experiments.md).

The arms share one learned pool a person, so that they differ by nothing but their settings; equal requests are computed
once. Every answer is a line in OUT/answers-SHARD.jsonl, and a run that is stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from intervals import mean_interval, paired_difference

from idiolect import Opinion, Question, User
from idiolect.evaluate.measures import judge_all
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.baselines import FewShot, FrequentAnswer, base, profile
from idiolect.methods.fermi.combining import combined
from idiolect.methods.fermi.extension_settings import EnsembleSettings
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.personalization import Answer, Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.catalog import open_similarity
from idiolect.models.language_model import ChoiceLogProbs, ChoiceModel, ChoiceRequest
from idiolect.models.similarity import Similarity
from idiolect.people.bundled import bundled_groups
from idiolect.people.splits import split_opinions

N_TRAIN, N_TEST, N_PEOPLE = 20, 12, 40
NEW = EnsembleSettings(prompts=6, own_answers=1.0, decide="median")
PRIMARY = (("new default", "few-shot, nearest 16"), ("new default", "own mode"))
SECONDARY = (
    ("new default", "few-shot, all 20"),
    ("new default", "own median"),
    ("new default", "old default"),
    ("new default", "few-shot 16, own answers, median"),
    ("new default", "another person's new default"),
    ("new default", "one prompt"),
    ("new default", "without own answers"),
    ("new default", "mode instead of median"),
    ("new default", "without retrieval"),
)
FERMI: Mapping[str, EnsembleSettings] = {
    "old default": EnsembleSettings(),
    "new default": NEW,
    "one prompt": replace(NEW, prompts=1),
    "without own answers": replace(NEW, own_answers=0.0),
    "mode instead of median": replace(NEW, decide="mode"),
}
MEASURES = ("alignment", "accuracy", "mae")


class Kept:
    """The model, which computes equal requests once."""

    def __init__(self, model: ChoiceModel) -> None:
        self._model, self.name = model, model.name
        self._known: dict[Hashable, ChoiceLogProbs] = {}

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        """Return the log-probabilities of each request."""
        new = [request for request in dict.fromkeys(requests) if request not in self._known]
        if new:
            self._known.update(zip(new, await self._model.choice_logprobs(new), strict=True))
        return [self._known[request] for request in requests]

    def forget(self) -> None:
        """Forget the last person's requests."""
        self._known.clear()


class OwnMedian:
    """The median of the person's own answers to questions with the same choices, without a model."""

    def __init__(self, opinions: Sequence[Opinion]) -> None:
        self._opinions = opinions

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question."""
        blank = EnsembleSettings(own_answers=1.0, decide="median")
        return [Answer(combined(each, [_undecided(each)], self._opinions, blank).response) for each in questions]


def _undecided(question: Question) -> Response:
    return Response(question.choices[0], question.choices[0], (0.0,) * len(question.choices))


class Shrewd:
    """Few-shot, with the person's own answers and the median: the new default without what was learned."""

    def __init__(self, few_shot: FewShot, opinions: Sequence[Opinion]) -> None:
        self._few_shot, self._opinions = few_shot, opinions

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question."""
        own = replace(NEW, prompts=1)
        shown = await self._few_shot.answer(questions)
        return [
            Answer(combined(question, [each.response], self._opinions, own).response)
            for question, each in zip(questions, shown, strict=True)
        ]


def unlearned(
    answerer: Answerer, similarity: Similarity, user: User, train: Sequence[Opinion]
) -> dict[str, Respondent]:
    """Return the arms that learn nothing."""
    p0 = profile_prompt(user.profile, answerer.settings)
    near = FewShot(answerer, train, k=16, similarity=similarity, instruction=p0)
    return {
        "base": base(answerer),
        "profile": profile(answerer, user.profile),
        "own mode": FrequentAnswer(train),
        "own median": OwnMedian(train),
        "few-shot, nearest 16": near,
        "few-shot, all 20": FewShot(answerer, train, k=N_TRAIN, similarity=similarity, instruction=p0),
        "few-shot 16, own answers, median": Shrewd(near, train),
    }


def respondents(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity
) -> dict[str, Callable[[], RetrievalOfPrompt]]:
    """Return the arms that share a learned pool."""

    def arm(settings: EnsembleSettings, *, retrieve: bool = True) -> Callable[[], RetrievalOfPrompt]:
        changed = replace(learned.settings, ensemble=settings)
        changed = replace(changed, retrieval=replace(changed.retrieval, retrieve=retrieve))
        return lambda: RetrievalOfPrompt(replace(learned, settings=changed), answerer, similarity)

    arms = {name: arm(settings) for name, settings in FERMI.items()}
    return {**arms, "without retrieval": arm(NEW, retrieve=False)}


class Log:
    """A shard's answers: one line for each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.done = {(row["user"], row["arm"]) for row in self.rows}

    async def ask(self, arm: str, user: User, test: Sequence[Opinion], respondent: Respondent) -> None:
        """Ask the held-out questions, and add all answers of an arm at once."""
        if (user.id, arm) in self.done:
            return
        answers = await respondent.answer([opinion.question for opinion in test])
        rows = [
            {"user": user.id, "arm": arm, "question": n, **judged.values}
            for n, judged in enumerate(judge_all(test, answers, MEASURES))
        ]
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in rows))
        self.rows += rows
        self.done.add((user.id, arm))


async def run(people: Sequence[User], mine: Sequence[int], folder: Path, log: Log) -> None:
    """Ask all arms for the people of a shard, and the next person's prompts as a control."""
    from idiolect.models.local import load_local_model

    settings = replace(preset("demo"), ensemble=EnsembleSettings())
    model = Kept(load_local_model("embedded"))
    answerer, similarity = Answerer(model, settings.answering), open_similarity(settings.retrieval.similarity)
    fermi = Fermi(answerer, settings, similarity=similarity)

    async def learned_for(user: User) -> FermiPersonalization:
        path = folder / "learned" / f"{user.id}.json"
        if path.exists():
            return FermiPersonalization.from_json(json.loads(path.read_text(encoding="utf-8")))
        learned = await fermi.fit(replace(user, opinions=split_opinions(user, n_train=N_TRAIN).train, texts=()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(f".{log.path.stem}").write_text(json.dumps(learned.to_json()), encoding="utf-8")
        path.with_suffix(f".{log.path.stem}").rename(path)
        return learned

    for place in mine:
        user, other = people[place], people[(place + 1) % len(people)]
        split = split_opinions(user, n_train=N_TRAIN)
        test = split.test[:N_TEST]
        for arm, respondent in unlearned(answerer, similarity, user, split.train).items():
            await log.ask(arm, user, test, respondent)
        for arm, make in respondents(await learned_for(user), answerer, similarity).items():
            await log.ask(arm, user, test, make())
        theirs = respondents(await learned_for(other), answerer, similarity)["new default"]
        await log.ask("another person's new default", user, test, theirs())
        model.forget()
        print(f"{time.strftime('%H:%M:%S')} {user.id}", file=sys.stderr, flush=True)


def by_person(rows: Iterable[Mapping[str, Any]], arm: str, measure: str) -> dict[str, float]:
    """Return each person's mean of a measure."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row["arm"] == arm and row.get(measure) is not None:
            values.setdefault(row["user"], []).append(float(row[measure]))
    return {user: sum(each) / len(each) for user, each in values.items()}


def report(rows: Sequence[Mapping[str, Any]], group: str) -> str:
    """Return the result as Markdown."""
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    n_arms: dict[str, set[str]] = {}
    for row in rows:
        n_arms.setdefault(row["user"], set()).add(row["arm"])
    rows = [row for row in rows if len(n_arms[row["user"]]) == len(arms)]
    n = len({row["user"] for row in rows})
    scores = {measure: {arm: by_person(rows, arm, measure) for arm in arms} for measure in MEASURES}

    def compared(pairs: Iterable[tuple[str, str]]) -> list[str]:
        lines = ["| comparison | alignment | accuracy |", "|---|---|---|"]
        for one, other in pairs:
            cells = []
            for measure in ("alignment", "accuracy"):
                found = paired_difference(scores[measure][one], scores[measure][other])
                cells.append(f"{found.mean:+.3f} [{found.low:+.3f}, {found.high:+.3f}]")
            lines.append(f"| {one} − {other} | {' | '.join(cells)} |")
        return lines

    table = ["| arm | alignment | accuracy | MAE |", "|---|---|---|---|"]
    table += [f"| {arm} | " + " | ".join(str(mean_interval(scores[m][arm])) for m in MEASURES) + " |" for arm in arms]
    head = (
        f"{n} {group} people, {sum(row['arm'] == arms[0] for row in rows)} held-out answers an arm. Means over people "
        "with 95 % bootstrap intervals clustered by person (9,999 resamples). The embedded model in float32."
    )
    parts = [
        head, "", "Primary comparisons:", "", *compared(PRIMARY), "", "Others, without correction:", "",
        *compared(SECONDARY), "", *table, "", f"Machine: {platform.machine()}, Python {platform.python_version()}.", "",
    ]  # fmt: skip
    return "\n".join(parts)


def main() -> None:
    """Run a shard, or report all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", choices=("reported", "development"), default="reported")
    parser.add_argument("--n", type=int, default=N_PEOPLE, help="people")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th person from the I-th on")
    parser.add_argument("--report", action="store_true", help="only report what all shards have done")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    people = getattr(bundled_groups(), arguments.group)[: arguments.n]
    if not arguments.report:
        shard, shards = map(int, arguments.shard.split("/"))
        log = Log(arguments.out / f"answers-{shard}.jsonl")
        asyncio.run(run(people, range(shard, len(people), shards), arguments.out, log))
    rows = [row for path in sorted(arguments.out.glob("answers-*.jsonl")) for row in Log(path).rows]
    print(report(rows, arguments.group))


if __name__ == "__main__":
    main()
