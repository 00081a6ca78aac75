"""What one more opinion costs, or three: going on from what was learned against learning from scratch.

    python benchmarks/fermi_continual.py --out docs/results/fermi-continual.md        # minutes, no download

A simulated person (tests/planted_world.py) has been learned from 33 opinions on eleven topics, then says something on a
twelfth. The planted world is a test with a known truth: calls mean something here, accuracies only whether going on
loses anything against starting anew. It is not a result on people.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from intervals import mean_interval

from idiolect import Opinion
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.gate import respondent as respondent_of
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.settings import FermiSettings
from tests.held_out_settings import HELD_OUT
from tests.planted_world import TOPICS, AnsweringModel, Optimizer, Respondent, TopicSimilarity, respondent

NEW_TOPIC = TOPICS[-1]
ROUNDS = (0, 1, 2, 4)
SAID = (1, 3)  # new opinions; retrieval looks at the three nearest
SETTINGS = replace(HELD_OUT, proposers=("llm", "demonstrations"))


@dataclass(frozen=True)
class Outcome:
    """One person under one arm: calls of both models, and accuracies on questions that nobody learned from."""

    answering: int
    optimizing: int
    accuracy: float
    on_new_topic: float


def about(topic: str, opinion: Opinion) -> bool:
    """Whether the opinion is on the topic."""
    return f"About {topic}," in opinion.question.text


def fermi(settings: FermiSettings) -> Fermi:
    """Fermi with the models of the planted world."""
    answerer = Answerer(AnsweringModel(), settings.answering)
    return Fermi(answerer, settings, optimizer=Optimizer(), similarity=TopicSimilarity())


async def outcome(person: Respondent, learned: FermiPersonalization, spent: FermiPersonalization | None) -> Outcome:
    """Ask the person's test questions; `spent` was paid before."""
    answering = respondent_of(learned, Answerer(AnsweringModel(), learned.settings.answering), TopicSimilarity())
    answers = await answering.answer([opinion.question for opinion in person.test])
    right = [a.response.answer == o.answer for a, o in zip(answers, person.test, strict=True)]
    new = [ok for ok, o in zip(right, person.test, strict=True) if about(NEW_TOPIC, o)]
    calls, optimizing = learned.answering.calls, learned.optimizing.calls
    if spent is not None:
        calls, optimizing = calls - spent.answering.calls, optimizing - spent.optimizing.calls
    return Outcome(calls, optimizing, sum(right) / len(right), sum(new) / len(new))


async def arms(seed: int, said: int) -> dict[str, Outcome]:
    """Every arm for one person who says so many new things."""
    person = respondent(seed)
    known = tuple(opinion for opinion in person.user.opinions if not about(NEW_TOPIC, opinion))
    new = [opinion for opinion in person.user.opinions if about(NEW_TOPIC, opinion)][:said]
    before, after = replace(person.user, opinions=known), replace(person.user, opinions=(*known, *new))
    learned = await fermi(SETTINGS).fit(before)
    done = {"learned without it": await outcome(person, learned, None)}
    for rounds in ROUNDS:
        extended = await fermi(SETTINGS).extend(learned, after, iterations=rounds)
        done[f"continued, {rounds} iteration{'s' if rounds != 1 else ''}"] = await outcome(person, extended, learned)
    done["learned again, with it"] = await outcome(person, await fermi(SETTINGS).fit(after), None)
    return done


def table(people: Sequence[dict[str, Outcome]]) -> list[str]:
    """One row an arm."""
    lines = [
        "| arm | answering calls | optimizer calls | accuracy, all topics | accuracy, new topic |",
        "|---|---|---|---|---|",
    ]
    for arm in people[0]:
        mine = [person[arm] for person in people]
        calls = [sum(o.answering for o in mine) / len(mine), sum(o.optimizing for o in mine) / len(mine)]
        accuracies = [
            mean_interval({f"{seed:03}": value for seed, value in enumerate(values)})
            for values in ([o.accuracy for o in mine], [o.on_new_topic for o in mine])
        ]
        lines.append(f"| {arm} | {calls[0]:.0f} | {calls[1]:.0f} | {accuracies[0]} | {accuracies[1]} |")
    return lines


PAGE = """# What one more opinion costs

This page shows how many calls one more opinion costs if learning continues from what was learned, and how many if it
starts again. Its numbers are from the planted world (`tests/planted_world.py`): simulated people with hidden
preferences, an answering model that follows what a prompt names, and an optimizer that reads failures. **It is a test
of cost, not a result on people**; the accuracies only show whether continuing loses anything against starting again.

{n} simulated people were learned from {before} opinions on eleven topics. Then they give one more opinion, or three, on
a twelfth topic. Preset `api` with both proposers (T = {t}, K = {k}, L = {size}, {share:.0%} held out). Calls are means
over people, and include those that judge the held-out opinions; where learning continues, only the additional calls
count. Accuracy is on 24 questions (2 on the new topic) that nothing was learned from, with a 95 % bootstrap interval
over people. Retrieval looks at the three nearest opinions, so one opinion alone on its topic decides little, however it
was learned.
"""


async def report(n: int) -> str:
    """The whole page."""
    s = SETTINGS
    before = sum(not about(NEW_TOPIC, opinion) for opinion in respondent(0).user.opinions)
    page = PAGE.format(n=n, before=before, t=s.iterations, k=s.proposals, size=s.memory_size, share=s.evidence.share)
    for said in SAID:
        people = [await arms(seed, said) for seed in range(n)]
        page += "\n".join(("", f"## {said} more opinion{'s' if said != 1 else ''}", "", *table(people), ""))
    return f"{page}\n    python benchmarks/fermi_continual.py --people {n} --out docs/results/fermi-continual.md\n"


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    page = asyncio.run(report(arguments.people))
    print(page)
    if arguments.out is not None:
        arguments.out.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
