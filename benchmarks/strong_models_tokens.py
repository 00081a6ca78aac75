"""What Fermi's preset `api` costs in calls, tokens and money, and what an answer costs, with simulated strong models.

    python benchmarks/strong_models_tokens.py --people 40 --page docs/results/strong-models-tokens.md
    … --worlds chatty --optimizer "60 % right" --limits 50 100

The worlds, people and models are those of `strong_models.py` (`simulated_models/`). A prompt is estimated at 4 bytes a
token; prices are the packaged ones. The curve limits the prompts that answer (`hybrid.max_prompt_tokens`): the farthest
examples are left out, the text stays; few-shot is limited likewise. The tables replace the last part of the page.
"""

from __future__ import annotations

import argparse
import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from intervals import mean_interval, paired_difference
from simulated_models.compared_settings import OLD
from simulated_models.optimizer import OPTIMIZERS
from simulated_models.people import WORLDS, Person, World, person
from simulated_models.processes import at_least_one, each_done
from strong_models import FIRST_PERSON, table, write_tables

from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FewShot, base
from idiolect.methods.fermi.gate import answering_with
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.methods.shortening import BYTES_PER_TOKEN
from idiolect.models.calls.prices import PriceTable
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from idiolect.models.similarity import Bm25Similarity

ANSWERS_WITH, WRITES_WITH = "gpt-4o-mini", "gpt-4o"
DEFAULT_WORLDS = ("follows both", "scale in the text", "topics out of reach", "ignores examples")
NEW, SHOTS, EVERYTHING = "new api", "few-shot, nearest 16", "all-info, all 20"


@dataclass
class Counted:
    """A model made of a function; each different request counts once, with the tokens of both sides."""

    name: str
    reply: Callable[[CompletionRequest], str]
    usage: Usage = Usage()
    known: dict[CompletionRequest, Completion] = field(default_factory=dict)

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        """Return one completion per request."""
        for request in requests:
            if request not in self.known:
                text = self.reply(request)
                read = sum(tokens(each.content) for each in request.messages)
                usage = Usage(1, read, tokens(text), read)
                self.known[request] = Completion(text, "stop", usage)
                self.usage += usage
        return [self.known[request] for request in requests]


def tokens(text: str) -> int:
    """Return the estimated number of tokens of a text."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


@dataclass(frozen=True)
class Line:
    """What one arm did for one person: the held-out accuracy, and what learning and all answers used."""

    accuracy: float
    answers: int
    learning: Usage = Usage()
    optimizing: Usage = Usage()
    asking: Usage = Usage()


@dataclass(frozen=True)
class Task:
    """A person in a world, with the optimizer and the limits of the curve."""

    world: str
    optimizer: str
    number: int
    limits: tuple[int, ...]


def lines_of(task: Task) -> dict[str, Line]:
    """Run all arms for a person."""
    return asyncio.run(_lines(task))


async def _lines(task: Task) -> dict[str, Line]:
    world, similarity = WORLDS[task.world], Bm25Similarity()
    one, new = person(world, task.number), preset("api")
    found = {
        name: await _fermi(world, one, task.optimizer, settings, similarity)
        for name, settings in ((NEW, new), ("old api", OLD))
    }
    answerer, learned, line = found[NEW]
    lines = {name: each for name, (_, _, each) in found.items()}
    initial, opinions = profile_prompt(one.user.profile, new.answering), one.user.opinions

    def shots(k: int, limit: int | None = None) -> FewShot:
        return FewShot(
            answerer, opinions, k=k, similarity=similarity, instruction=initial, max_prompt_tokens=limit
        )  # fmt: skip

    lines[SHOTS] = await asked(one, shots(16))
    lines[EVERYTHING] = await asked(one, shots(len(opinions)))
    for limit in task.limits:
        limited = await asked(one, _respondent(learned, answerer, similarity, limit))
        lines[f"{NEW}, at most {limit}"] = Line(
            limited.accuracy, limited.answers, line.learning, line.optimizing, limited.asking
        )
        lines[f"{SHOTS}, at most {limit}"] = await asked(one, shots(16, limit))
    return lines


async def _fermi(
    world: World, one: Person, optimizer: str, settings: FermiSettings, similarity: Bm25Similarity
) -> tuple[Answerer, FermiPersonalization, Line]:
    """Learn, and answer; scores of a pool that questions need count as learning."""
    model, writer = Counted("responder", world.responder), Counted("optimizer", OPTIMIZERS[optimizer])
    answerer = Answerer(model, settings.answering)
    learned = await Fermi(answerer, settings, optimizer=writer, similarity=similarity).fit(one.user)
    side = _respondent(learned, answerer, similarity, None)
    if isinstance(side, RetrievalOfPrompt):
        await side.explain([opinion.question for opinion in one.asked])
    learning = model.usage
    line = await asked(one, side)
    return answerer, learned, Line(line.accuracy, line.answers, learning, writer.usage, line.asking)


def _respondent(
    learned: FermiPersonalization, answerer: Answerer, similarity: Bm25Similarity, limit: int | None
) -> Respondent:
    if not learned.used:
        return base(answerer)
    return RetrievalOfPrompt(answering_with(learned), answerer, similarity, max_prompt_tokens=limit)


async def asked(one: Person, respondent: Respondent) -> Line:
    """Return the accuracy on the held-out questions, and what answering them used."""
    answers = await respondent.answer([opinion.question for opinion in one.asked])
    right = sum(a.response.answer == opinion.answer for a, opinion in zip(answers, one.asked, strict=True))
    return Line(right / len(answers), len(answers), asking=sum((each.usage for each in answers), Usage()))


# --- the report


def report(found: Mapping[str, Sequence[Mapping[str, Line]]]) -> str:
    """Return the tables of all worlds, each with its people's lines."""
    parts = [
        f"Answering is priced as `{ANSWERS_WITH}`, the optimizer as `{WRITES_WITH}`. Learning is per person. The "
        "difference is the accuracy less that of few-shot without a limit, in points, paired, with a 95 % interval "
        "over people.",
        "",
    ]
    for world, people in found.items():
        parts += [f"### {world}", "", f"{len(people)} people, {people[0][NEW].answers} answers of each.", ""]
        parts += table(HEADS, [row(arm, people) for arm in people[0]])
    return "\n".join(parts)


HEADS = (
    "arm",
    "accuracy in %",
    "minus few-shot",
    "prompt tokens an answer",
    "calls an answer",
    "US dollars for 1,000 answers",
    "learning: answering calls",
    "optimizer calls",
    "prompt tokens",
    "completion tokens",
    "US dollars",
)


def row(arm: str, people: Sequence[Mapping[str, Line]]) -> list[str]:
    """Return an arm's means over people."""
    prices = PriceTable.load()
    answering, writing = prices.price(ANSWERS_WITH), prices.price(WRITES_WITH)
    if answering is None or writing is None:
        raise LookupError(f"no price of {ANSWERS_WITH} or {WRITES_WITH}")
    lines = [each[arm] for each in people]
    n, answers = len(lines), sum(line.answers for line in lines)
    asking, learning, optimizing = (
        sum((getattr(line, name) for line in lines), Usage()) for name in ("asking", "learning", "optimizing")
    )
    per_answers = 1000 * answering.cost(asking.prompt_tokens, asking.completion_tokens) / answers
    spent = answering.cost(learning.prompt_tokens, learning.completion_tokens)
    spent += writing.cost(optimizing.prompt_tokens, optimizing.completion_tokens)
    own = {str(k): 100 * each[arm].accuracy for k, each in enumerate(people)}
    shown = {str(k): 100 * each[SHOTS].accuracy for k, each in enumerate(people)}
    led = paired_difference(own, shown)
    return [
        arm,
        f"{mean_interval(own).mean:.1f}",
        "" if arm == SHOTS else f"{led.mean:+.1f} [{led.low:+.1f}, {led.high:+.1f}]",
        f"{asking.prompt_tokens / answers:,.0f}",
        f"{asking.calls / answers:.2f}",
        f"{per_answers:.3f}",
        f"{learning.calls / n:.1f}",
        f"{optimizing.calls / n:.1f}",
        f"{(learning + optimizing).prompt_tokens / n:,.0f}",
        f"{(learning + optimizing).completion_tokens / n:,.0f}",
        f"{spent / n:.4f}",
    ]


def main() -> None:
    """Run all people of all worlds, and make the page's tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=at_least_one, default=40, help="number of people; at least 2")
    parser.add_argument("--worlds", nargs="+", choices=tuple(WORLDS), default=list(DEFAULT_WORLDS))
    parser.add_argument("--optimizer", choices=tuple(OPTIMIZERS), default="80 % right")
    parser.add_argument("--limits", nargs="+", type=at_least_one, default=[100, 200, 300, 400])
    parser.add_argument("--jobs", type=at_least_one, default=1, help="number of processes")
    parser.add_argument("--page", type=Path, help="Markdown file that gets the tables; they are printed anyway")
    given = parser.parse_args()
    task = partial(Task, optimizer=given.optimizer, limits=tuple(given.limits))
    tasks = [
        task(world=world, number=number)
        for world in given.worlds
        for number in range(FIRST_PERSON, FIRST_PERSON + given.people)
    ]
    done = {(each.world, each.number): lines for each, lines in each_done(lines_of, tasks, given.jobs)}
    found = {world: [lines for (name, _), lines in sorted(done.items()) if name == world] for world in given.worlds}
    tables = report(found)
    print(tables)
    if given.page is not None:
        write_tables(given.page, tables)


if __name__ == "__main__":
    main()
