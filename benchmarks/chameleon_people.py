"""Does CHAMELEON on the embedded model say what real people really wrote? Every edit on the same unseen items, paired.

    python benchmarks/chameleon_people.py writers --users writers.jsonl --neutral reviews.jsonl --out docs/results/…
    python benchmarks/chameleon_people.py stars   --users reviews.jsonl --neutral writers.jsonl --out docs/results/…

`writers`: log-probability per token of texts that the person wrote and nothing has seen. `stars`: log-probability of
the stars that a reviewer gave, among the five. Fluency: the change on other people's plain prose (`--neutral`), per
token. Some of the people choose layers and strengths; only others are reported. What is learned and every score is kept
in OUT, so a run that is stopped goes on where it was; the last step writes OUT.md (`chameleon_report`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from chameleon_report import write_report

from idiolect import Opinion, User
from idiolect.methods.answering import AnsweringSettings, question_block
from idiolect.methods.chameleon.fitting import queries_of
from idiolect.methods.chameleon.history import history_items, select_history
from idiolect.methods.chameleon.measuring import Measured, Text, hold_out, measure
from idiolect.methods.chameleon.preferences import PreferenceData, write_pairs
from idiolect.methods.chameleon.roles import Item
from idiolect.methods.chameleon.rules import addition
from idiolect.methods.chameleon.settings import ChameleonSettings, DirectionSettings, GenerationSettings, Variant
from idiolect.methods.chameleon.variants import edit_of
from idiolect.methods.templating import render
from idiolect.methods.texts import PLAIN_REQUEST
from idiolect.models.catalog import open_similarity
from idiolect.models.edits import Edit
from idiolect.models.language_model import ChoiceRequest, LanguageModel, Message
from idiolect.models.local import LocalModel, load_local_model
from idiolect.people.splits import split_people
from idiolect.people.users_file import read_users

ANSWERING = AnsweringSettings(mode="likelihood", show_choices=False)
GRID: dict[str, tuple[Variant, ...]] = {
    **{
        rule: (
            *(Variant(rule, strength, strength, layers=6) for strength in (0.1, 0.3)),
            Variant(rule, 0.1, 0.1, layers=None),
        )
        for rule in ("literal", "contrastive", "orthogonalized")
    },
    "addition": tuple(Variant("addition", alpha, layers=None) for alpha in (0.15, 0.3)),
    "gradient": tuple(Variant("gradient", alpha, layers=None) for alpha in (0.01, 0.02, 0.03)),
}
COMPARED = ("generated/contrastive", "generated/gradient", "own/gradient")  # with other people's directions
SHARES = (0.5, 0.8)  # of the development people's gradient that is taken off; both are reported, none is chosen
GROUP_ARM = "own/gradient of a group: the development people (unseen users)"
MAX_COST = 0.05
_MAX_CHARS = 400


@dataclass(frozen=True)
class Task:
    """What is measured: who learns from how many items, and what is asked of them."""

    name: str
    n_history: int
    n_held_out: int
    pairs: int
    tokens: int

    def split(self, user: User) -> tuple[User, tuple[Item, ...]]:
        """What may be learned from, and what is asked."""
        items: list[Item] = [*user.opinions, *user.texts]
        history, held_out = items[: self.n_history], items[self.n_history : self.n_history + self.n_held_out]
        opinions = tuple(item for item in history if isinstance(item, Opinion))
        texts = tuple(item for item in history if isinstance(item, str))
        return replace(user, opinions=opinions, texts=texts), tuple(_short(item) for item in held_out)


TASKS = {
    "writers": Task("writers", n_history=20, n_held_out=6, pairs=10, tokens=32),
    "stars": Task("stars", n_history=4, n_held_out=3, pairs=4, tokens=32),
}


@dataclass(frozen=True)
class Learned:
    """What one person brings: directions from what the model wrote ("generated") and from what they wrote ("own")."""

    person: str
    held_out: tuple[Item, ...]
    guidance: str
    history: str
    dropped: Mapping[str, int]
    measured: Mapping[str, Measured]


class Runner:
    """One task on one model; everything it finds is kept in a folder."""

    def __init__(self, task: Task, model: LocalModel, out: Path, neutral: Sequence[Text]) -> None:
        self.task, self.model, self.out, self.neutral = task, model, out, tuple(neutral)
        self.embedder = open_similarity("minilm").embedder  # type: ignore[attr-defined]
        self.found: dict[tuple[str, str], dict[str, list[float]]] = {}
        self._file = out / "scores.jsonl"
        if self._file.exists():
            for line in self._file.read_text().splitlines():
                row = json.loads(line)
                self.found[row["arm"], row["person"]] = {"items": row["items"], "neutral": row["neutral"]}

    async def learn(self, user: User) -> Learned:
        """The directions of one person, from both kinds of data; those of an earlier run if there are any."""
        history, held_out = self.task.split(user)
        path = self.out / "learned" / f"{user.id}.pt"
        if path.exists():
            return Learned(user.id, held_out, **torch.load(path, weights_only=False))
        items = history_items(history, max_chars=_MAX_CHARS)
        chosen = [items[i] for i in await select_history(items, self.embedder, k=5)]
        start = time.perf_counter()
        measured: dict[str, Measured] = {}
        data: dict[str, PreferenceData] = {}
        for side in ("generated", "own"):
            settings = GenerationSettings(
                pairs=self.task.pairs, max_tokens=self.task.tokens, insight_tokens=60, least_pairs=2, personalized=side
            )
            data[side] = await write_pairs(queries_of(history, settings), chosen, self.model, settings)
            print(f"{user.id} {side}: {len(data[side].pairs)} pairs, {time.perf_counter() - start:.0f} s", flush=True)
            fitted, held_out_pairs = hold_out(data[side].pairs, DirectionSettings().held_out_share)
            measured[side] = await measure(fitted, held_out_pairs, self.model, DirectionSettings(), seed=0)
        insights = data["generated"].insights
        assert insights is not None
        values = {"personalized": True, "insight": insights.personalized, "items": []}
        guidance = render("chameleon_guidance.jinja", values)
        shown = render("chameleon_guidance.jinja", values | {"items": chosen})
        kept = {"guidance": guidance, "history": shown, "dropped": data["generated"].dropped, "measured": measured}
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(kept, path)
        return Learned(user.id, held_out, **kept)

    async def score(self, arm: str, learned: Learned, edit: Edit | None = None, system: str = "") -> None:
        """Log-probabilities of the person's items and of the neutral texts, unless they are known."""
        if (arm, learned.person) in self.found:
            return
        model: LanguageModel = self.model.with_edit(edit)
        items = await log_likelihoods(learned.held_out, model, system)
        neutral = await log_likelihoods([said for _, said in self.neutral], model, system)
        row = {"items": items, "neutral": neutral}
        self.found[arm, learned.person] = row
        with self._file.open("a") as file:
            file.write(json.dumps({"arm": arm, "person": learned.person, **row}) + "\n")

    def means(self, arm: str, ids: Sequence[str]) -> tuple[float, float]:
        """Mean gain and mean neutral change of people, against base."""
        gains, costs = [], []
        for person in ids:
            mine, base = self.found[arm, person], self.found["base", person]
            gains.append(_mean(mine["items"]) - _mean(base["items"]))
            costs.append(_mean(mine["neutral"]) - _mean(base["neutral"]))
        return _mean(gains), _mean(costs)


async def log_likelihoods(items: Sequence[Item], model: LanguageModel, system: str) -> list[float]:
    """Per item: nat per token of a text; of an opinion, log p of its choice among the choices."""
    front = (Message("system", system),) if system else ()
    requests = [
        ChoiceRequest((*front, Message("user", PLAIN_REQUEST)), (item,))
        if isinstance(item, str)
        else ChoiceRequest(
            (*front, Message("user", question_block(item.question, ANSWERING))),
            tuple(f" {choice}" for choice in item.question.choices),
            "Answer:",
        )
        for item in items
    ]
    scores = []
    for item, told in zip(items, await model.choice_logprobs(requests), strict=True):
        if isinstance(item, str):
            scores.append(told.logprobs[0] / told.n_tokens[0])
        else:
            total = torch.tensor(told.logprobs).logsumexp(0).item()
            scores.append(told.logprobs[item.question.choices.index(item.answer)] - total)
    return scores


def arms(chosen: Mapping[str, Variant], learned: Learned, others: Mapping[str, Learned]) -> Iterator[tuple[str, Edit]]:
    """Every edit that is reported for a person: the chosen ones, the paper's own strengths, and the controls."""
    settings = ChameleonSettings()

    def edit(name: str, variant: Variant, who: Learned = learned) -> Edit:
        return edit_of(variant, who.measured[name.partition("/")[0]], settings)

    for name, variant in chosen.items():
        yield name, edit(name, variant)
        for kind, other in others.items() if name in COMPARED else ():
            yield f"{name} · another's θ ({kind})", edit(name, variant, other)
    literal = chosen["generated/literal"]
    for rule in ("p_only", "n_only"):
        yield f"generated/{rule}, as literal", edit("generated/", replace(literal, rule=rule))
    for rule in ("literal", "contrastive"):
        yield f"generated/{rule} · α = β = 1, 6 layers", edit("generated/", Variant(rule))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(int.from_bytes(learned.person.encode(), "big") % 2**31)
    yield "random/contrastive", _random(learned, "generated", chosen["generated/contrastive"], generator)
    yield "random/gradient", _random(learned, "own", chosen["own/gradient"], generator)


def group_edit(variant: Variant, members: Sequence[Learned]) -> Edit:
    """The members' own words pooled: the mean of their gradients is that of all their pairs, readers differ little."""
    owns = [member.measured["own"] for member in members]
    pooled = replace(
        owns[0],
        gradient=torch.stack([own.gradient for own in owns]).mean(dim=0),
        reader=torch.stack([own.reader for own in owns]).mean(dim=0),
        scale=torch.stack([own.scale for own in owns]).mean(dim=0),
    )
    return edit_of(variant, pooled, ChameleonSettings())


def personal_arm(share: float) -> str:
    """Its name."""
    return f"own/gradient less {share:g} of others'"


def personal_edit(variant: Variant, learned: Learned, population: Sequence[Learned], share: float) -> Edit:
    """The gradient of a person's own words, less a share of the mean of others': what sets them apart, amplified."""
    own = learned.measured["own"]
    others = torch.stack([other.measured["own"].gradient for other in population]).mean(dim=0)  # (L, d)
    return edit_of(variant, replace(own, gradient=own.gradient - share * others), ChameleonSettings())


def _random(learned: Learned, side: str, variant: Variant, generator: torch.Generator) -> Edit:
    """The same layers and strength with random directions of equal length."""
    measured = learned.measured[side]

    def draw() -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn(measured.literal.shape, generator=generator), dim=1)

    drawn = replace(measured, contrastive=draw(), gradient=draw(), ccs=replace(measured.ccs, theta_n=draw()))
    if variant.rule == "gradient":
        vectors = variant.alpha * drawn.gradient * measured.scale[:, None]  # (L, d)
        return Edit({i: addition(vectors[i], measured.reader[i], strength=1.0) for i in range(len(vectors))})
    return edit_of(variant, drawn, ChameleonSettings())


async def run(arguments: argparse.Namespace) -> None:
    """Learn, choose on the development people, score the reported ones, report."""
    task, out = TASKS[arguments.task], Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    people = [u for u in read_users(arguments.users) if len(u.opinions) + len(u.texts) >= task.n_history + 2]
    n_development = arguments.development
    development, reported = split_people(people, sizes=(n_development, len(people) - n_development), seed=0)
    reported = reported[: arguments.n or None]
    model = load_local_model("embedded")
    runner = Runner(task, model, out, list(neutral_texts(arguments.neutral)))
    learned: dict[str, Learned] = {}
    for user in (*development, *reported):
        start = time.perf_counter()
        learned[user.id] = await runner.learn(user)
        print(f"learned {user.id}: {time.perf_counter() - start:.0f} s", flush=True)
        await runner.score("base", learned[user.id])
    chosen = await choose(runner, [learned[user.id] for user in development])
    ids = [user.id for user in reported]
    for at, person in enumerate(ids):
        who = learned[person]
        await runner.score("insights in the prompt", who, system=who.guidance)
        await runner.score("history and insights in the prompt", who, system=who.history)
        for arm, edit in arms(chosen, who, {kind: learned[o] for kind, o in _others(person, at, ids).items()}):
            await runner.score(arm, who, edit)
        await runner.score(GROUP_ARM, who, group_edit(chosen["own/gradient"], [learned[u.id] for u in development]))
        population = [learned[user.id] for user in development]
        for share in SHARES:
            arm = personal_arm(share)
            kinds = {"": person} | {f" · another's θ ({kind})": o for kind, o in _others(person, at, ids).items()}
            for suffix, whose in kinds.items():
                edit = personal_edit(chosen["own/gradient"], learned[whose], population, share)
                await runner.score(arm + suffix, who, edit)
        print(f"scored {person}", flush=True)
    (out / "chosen.json").write_text(json.dumps({name: str(variant) for name, variant in chosen.items()}, indent=1))
    people_told = {"development": [user.id for user in development], "reported": ids}
    (out / "people.json").write_text(json.dumps(people_told, indent=1))
    write_report(out, task.name)


async def choose(runner: Runner, development: Sequence[Learned]) -> dict[str, Variant]:
    """Per kind of data and rule the variant with the greatest gain among those that cost at most MAX_COST."""
    ids = [learned.person for learned in development]
    chosen: dict[str, Variant] = {}
    for side, rules in (("generated", GRID), ("own", {"addition": GRID["addition"], "gradient": GRID["gradient"]})):
        for rule, variants in rules.items():
            results = []
            for variant in variants:
                arm = f"development {side}/{variant}"
                for learned in development:
                    edit = edit_of(variant, learned.measured[side], ChameleonSettings())
                    await runner.score(arm, learned, edit)
                gain, change = runner.means(arm, ids)
                print(f"{arm:60s} gain {gain:+.3f} neutral {change:+.3f}", flush=True)
                results.append((change >= -MAX_COST, gain if change >= -MAX_COST else change, variant))
            chosen[f"{side}/{rule}"] = max(results, key=lambda result: result[:2])[2]
    return chosen


def neutral_texts(path: str, n: int = 5) -> Iterator[Text]:
    """Plain prose of other people, one passage a person."""
    for user in list(read_users(path))[:n]:
        said = user.opinions[0].question.text if user.opinions else user.texts[0]
        yield (Message("user", PLAIN_REQUEST),), " ".join(said.split())[:240]


def _others(person: str, at: int, ids: Sequence[str]) -> dict[str, str]:
    """Whose directions are the control: the next person of the same kind, and of another (by the id's first word)."""
    following = [*ids[at + 1 :], *ids[:at]]
    kind = person.partition("-")[0]
    same = [other for other in following if other.partition("-")[0] == kind]
    different = [other for other in following if other.partition("-")[0] != kind]
    return {"same kind": same[0]} | ({"other kind": different[0]} if different else {})


def _short(item: Item) -> Item:
    if isinstance(item, str):
        return item[:_MAX_CHARS]
    return replace(item, question=replace(item.question, text=item.question.text[: 2 * _MAX_CHARS]))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=tuple(TASKS))
    parser.add_argument("--users", required=True, help="a users file")
    parser.add_argument("--neutral", required=True, help="a users file of other people's plain prose")
    parser.add_argument("--out", required=True, help="folder for what is found; OUT.md is the report")
    parser.add_argument("--development", type=int, default=6, help="so many people choose, and are not reported")
    parser.add_argument("--n", type=int, default=0, help="report so many people; 0: all")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
