"""The default for the embedded model on real people, against few-shot and the person's own answers.

    python benchmarks/default_people.py --out default-people                       # all reported bundled people
    python benchmarks/default_people.py --opinionqa users.jsonl --out default-opinionqa
    … --shard 0/2 and … --shard 1/2 side by side, then … --report                  # two processes

What was fixed before any reported person was asked with this preset: the people (the whole reported group of the
bundled people; of OpinionQA's reported people as many as there is time for, in the order of the task), 20 opinions
learned from and the next 12 asked, the preset `demo`, and the two primary comparisons on the alignment score: new
default − few-shot (nearest 16), new default − own mode. The settings come from development people
(docs/experiments.md).

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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from intervals import mean_interval, paired_difference

from idiolect import Opinion, Question, User
from idiolect.evaluate.measures import judge_all
from idiolect.evaluate.tasks.table import TASKS
from idiolect.evaluate.tasks.task import Group, TaskOptions
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.baselines import FewShot, FrequentAnswer, base, profile
from idiolect.methods.fermi.combining import combined
from idiolect.methods.fermi.examples import compared_text
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

N_TRAIN, N_TEST = 20, 12
NEW = preset("demo").ensemble
PRIMARY = (("new default", "few-shot, nearest 16"), ("new default", "own mode"))
SECONDARY = (
    ("new default", "few-shot, all 20"),
    ("new default", "own median"),
    ("new default", "nearest own answers, no model"),
    ("new default", "old default"),
    ("new default", "few-shot 16, own answers, median"),
    ("new default", "another person's new default"),
    ("new default", "six prompts"),
    ("new default", "not calibrated"),
    ("new default", "not blunted"),
    ("new default", "own answers equally near"),
    ("new default", "without own answers"),
    ("new default", "mode instead of median"),
    ("new default", "without retrieval"),
)
FERMI: Mapping[str, EnsembleSettings] = {
    "old default": EnsembleSettings(),
    "new default": NEW,
    "six prompts": replace(NEW, prompts=6),
    "not calibrated": replace(NEW, calibrate=False),
    "not blunted": replace(NEW, sharpness=1.0),
    "own answers equally near": replace(NEW, own_nearness=None),
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


class OwnAnswers:
    """A person's own answers to questions with the same choices, combined with a respondent's, or alone.

    Args:
        opinions: the person's opinions.
        settings: how to combine.
        similarity: of questions.
        respondent: whose answers are combined with them; None: they decide alone.
    """

    def __init__(
        self,
        opinions: Sequence[Opinion],
        settings: EnsembleSettings,
        similarity: Similarity,
        respondent: Respondent | None = None,
    ) -> None:
        self._opinions, self._settings = opinions, settings
        self._similarity, self._respondent = similarity, respondent

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question."""
        documents = [compared_text(each.question, with_choices=True) for each in self._opinions]
        texts = [compared_text(each, with_choices=True) for each in questions]
        near = await self._similarity.similarity(texts, documents)
        said = [Answer(_undecided(question)) for question in questions]
        if self._respondent is not None:
            said = await self._respondent.answer(questions)
        return [
            Answer(combined(q, [each.response], self._opinions, self._settings, similarities=row.tolist()).response)
            for q, each, row in zip(questions, said, near, strict=True)
        ]


def _undecided(question: Question) -> Response:
    return Response(question.choices[0], question.choices[0], (0.0,) * len(question.choices))


def unlearned(
    answerer: Answerer, similarity: Similarity, user: User, train: Sequence[Opinion]
) -> dict[str, Respondent]:
    """Return the arms that learn nothing."""
    p0 = profile_prompt(user.profile, answerer.settings)
    near = FewShot(answerer, train, k=16, similarity=similarity, instruction=p0)
    own = replace(NEW, prompts=1, calibrate=False)
    return {
        "base": base(answerer),
        "profile": profile(answerer, user.profile),
        "own mode": FrequentAnswer(train),
        "own median": OwnAnswers(train, replace(own, own_nearness=None), similarity),
        "nearest own answers, no model": OwnAnswers(train, own, similarity),
        "few-shot, nearest 16": near,
        "few-shot, all 20": FewShot(answerer, train, k=N_TRAIN, similarity=similarity, instruction=p0),
        "few-shot 16, own answers, median": OwnAnswers(train, own, similarity, near),
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


@dataclass(frozen=True)
class Person:
    """A person with the opinions that are learned from, and the ones that are asked."""

    user: User
    test: tuple[Opinion, ...]


def people_of(group: Group, opinionqa: Path | None, n: int | None) -> list[Person]:
    """Return the people of a group, in a fixed order."""
    if opinionqa is None:
        users = getattr(bundled_groups(), group)[:n]
        splits = [(user, split_opinions(user, n_train=N_TRAIN)) for user in users]
        return [Person(replace(u, opinions=s.train, texts=()), s.test[:N_TEST]) for u, s in splits]
    options = TaskOptions(data=opinionqa, group=group, people=n, train=N_TRAIN, test=N_TEST)
    return [Person(replace(case.user, texts=()), case.asked) for case in TASKS["opinionqa"].load(options).cases]


async def run(people: Sequence[Person], mine: Sequence[int], folder: Path, log: Log, dtype: str | None) -> None:
    """Ask all arms for the people of a shard, and the next person's prompts as a control."""
    from idiolect.models.local import load_local_model

    settings = preset("demo")
    model = Kept(load_local_model("embedded", dtype=dtype))
    answerer, similarity = Answerer(model, settings.answering), open_similarity(settings.retrieval.similarity)
    fermi = Fermi(answerer, settings, similarity=similarity)

    async def learned_for(user: User) -> FermiPersonalization:
        path = folder / "learned" / f"{user.id}.json"
        if path.exists():
            return FermiPersonalization.from_json(json.loads(path.read_text(encoding="utf-8")))
        learned = await fermi.fit(user)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(f".{log.path.stem}").write_text(json.dumps(learned.to_json()), encoding="utf-8")
        path.with_suffix(f".{log.path.stem}").rename(path)
        return learned

    for place in mine:
        user, other = people[place].user, people[(place + 1) % len(people)].user
        test = people[place].test
        for arm, respondent in unlearned(answerer, similarity, user, user.opinions).items():
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


def report(rows: Sequence[Mapping[str, Any]], group: str, machine: str) -> str:
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

    measures = [each for each in MEASURES if scores[each][arms[0]]]
    table = ["| arm | " + " | ".join(measures) + " |", "|---" * (len(measures) + 1) + "|"]
    table += [f"| {arm} | " + " | ".join(str(mean_interval(scores[m][arm])) for m in measures) + " |" for arm in arms]
    head = (
        f"{n} {group} people, {sum(row['arm'] == arms[0] for row in rows)} held-out answers an arm. Means over people "
        f"with 95 % bootstrap intervals clustered by person (9,999 resamples). The embedded model on {machine}."
    )
    parts = [
        head, "", "Primary comparisons:", "", *compared(PRIMARY), "", "Others, without correction:", "",
        *compared(SECONDARY), "", *table, "",
    ]  # fmt: skip
    return "\n".join(parts)


def main() -> None:
    """Run a shard, or report all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opinionqa", type=Path, metavar="FILE", help="OpinionQA's people instead of the bundled ones")
    parser.add_argument("--group", choices=get_args(Group), default="reported")
    parser.add_argument("--n", type=int, help="number of people; default: all of the group")
    parser.add_argument("--dtype", help="such as bfloat16")
    parser.add_argument("--machine", default=platform.machine(), help="where and in which dtype it ran, for the report")
    parser.add_argument("--shard", default="0/1", metavar="I/N", help="every N-th person from the I-th on")
    parser.add_argument("--report", action="store_true", help="only report what all shards have done")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if not arguments.report:
        people = people_of(arguments.group, arguments.opinionqa, arguments.n)
        shard, shards = map(int, arguments.shard.split("/"))
        log = Log(arguments.out / f"answers-{shard}.jsonl")
        asyncio.run(run(people, range(shard, len(people), shards), arguments.out, log, arguments.dtype))
    rows = [row for path in sorted(arguments.out.glob("answers-*.jsonl")) for row in Log(path).rows]
    print(report(rows, arguments.group, arguments.machine))


if __name__ == "__main__":
    main()
