"""How often the gate on crossed scores decides wrongly, with simulated strong models.

    python benchmarks/crossed_gate.py --people 30
    … --worlds "follows both" --optimizers "80 % right" --set search.crossing=3        # other settings of the preset

The preset `api` learns from 20 known answers. Then the learned prompts, few-shot and the base model each answer all 28
held-out questions of the person, whatever the gate chose. The personalization is better (worse) if its mean alignment
is above (below) that of the better of the two others. Harm: it answers and is worse. Missed: it is better and does not
answer. The bias is the lead over few-shot that the gate saw minus the one on the held-out questions, in points.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from simulated_models.arms import Trial
from simulated_models.compared_settings import OLD, new_settings
from simulated_models.optimizer import OPTIMIZERS
from simulated_models.people import WORLDS, person

from idiolect.errors import SettingsError
from idiolect.methods.alignment import alignment_score
from idiolect.methods.baselines import base
from idiolect.methods.evidence import Side
from idiolect.methods.fermi.gate import only_few_shot
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Respondent

ASKED = 28
FIRST_PERSON = 1000
DEFAULT_WORLDS = ("three rules, no examples", "follows both", "scale in the text", "topics out of reach")
DEFAULT_OPTIMIZERS = ("60 % right", "80 % right")
HEADS = ("world", "optimizer", "own / few-shot / base", "harm", "missed", "bias", "accuracy", "best side's accuracy")
Scores = dict[Side, float]


@dataclass(frozen=True)
class Judged:
    """What the gate chose for a person, and what would have been right.

    Args:
        chosen: the side that answers.
        alignment: mean alignment of each side on the held-out questions.
        accuracy: share of right answers of each side there.
        seen: lead over few-shot that the gate saw.
    """

    chosen: Side
    alignment: Scores
    accuracy: Scores
    seen: float

    @property
    def lead(self) -> float:
        """The personalization's lead over the better of the others."""
        return self.alignment["personalization"] - max(self.alignment["few-shot"], self.alignment["base"])

    @property
    def bias(self) -> float:
        """How much too large the lead over few-shot was that the gate saw."""
        return self.seen - (self.alignment["personalization"] - self.alignment["few-shot"])

    @property
    def best(self) -> float:
        """The accuracy of the side with the best alignment."""
        return self.accuracy[max(self.alignment, key=lambda side: self.alignment[side])]


async def judged(world: str, optimizer: str, number: int, settings: FermiSettings) -> Judged:
    """Learn from one person, and let all sides answer.

    Raises:
        SettingsError: the settings have no gate that compares few-shot.
    """
    one = person(WORLDS[world], number, asked=ASKED)
    trial = Trial(WORLDS[world], one, OPTIMIZERS[optimizer], OLD, settings)
    run = trial.run(settings)
    learned = await Fermi(run.answerer, settings, optimizer=run.optimizer, similarity=trial.similarity).fit(one.user)
    evidence = learned.evidence
    if evidence is None or not evidence.few_shot:
        raise SettingsError("the settings have no gate that compares few-shot")
    sides: dict[Side, Respondent] = {
        "personalization": RetrievalOfPrompt(learned, run.answerer, trial.similarity),
        "few-shot": RetrievalOfPrompt(only_few_shot(learned), run.answerer, trial.similarity),
        "base": base(run.answerer),
    }
    alignment: Scores = {}
    accuracy: Scores = {}
    for side, respondent in sides.items():
        answers = await respondent.answer([opinion.question for opinion in one.asked])
        given = [(o, answer.response.answer) for o, answer in zip(one.asked, answers, strict=True)]
        alignment[side] = mean([alignment_score(o.question, o.answer, answer) for o, answer in given])
        accuracy[side] = mean([float(o.answer == answer) for o, answer in given])
    return Judged(evidence.winner, alignment, accuracy, mean(evidence.personalized) - mean(evidence.few_shot))


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return math.fsum(values) / len(values)


def row(world: str, optimizer: str, found: Sequence[Judged]) -> tuple[str, ...]:
    """A line of the table; harm and missed are counts out of the people for whom they are possible."""
    sides: tuple[Side, ...] = ("personalization", "few-shot", "base")
    own = [each.chosen == "personalization" for each in found]
    worse, better = ([sign * each.lead > 0 for each in found] for sign in (-1, 1))
    harm = sum(answers and bad for answers, bad in zip(own, worse, strict=True))
    missed = sum(good and not answers for answers, good in zip(own, better, strict=True))
    return (
        world,
        optimizer,
        " / ".join(str([each.chosen for each in found].count(side)) for side in sides),
        f"{harm} of {sum(worse)}",
        f"{missed} of {sum(better)}",
        f"{100 * mean([each.bias for each in found]):+.1f}",
        f"{100 * mean([each.accuracy[each.chosen] for each in found]):.1f}",
        f"{100 * mean([each.best for each in found]):.1f}",
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--worlds", nargs="+", choices=tuple(WORLDS), default=list(DEFAULT_WORLDS))
    parser.add_argument("--optimizers", nargs="+", choices=tuple(OPTIMIZERS), default=list(DEFAULT_OPTIMIZERS))
    parser.add_argument("--set", action="append", default=[], metavar="SETTING=VALUE", help="of the preset api")
    given = parser.parse_args()
    try:
        settings = new_settings("api", given.set)
    except (SettingsError, ValueError) as error:
        sys.exit(str(error))
    everybody = range(FIRST_PERSON, FIRST_PERSON + given.people)
    print(f"| {' | '.join(HEADS)} |\n|{' --- |' * len(HEADS)}")
    total: list[Judged] = []
    for world, optimizer in product(given.worlds, given.optimizers):
        found = [asyncio.run(judged(world, optimizer, number, settings)) for number in everybody]
        print(f"| {' | '.join(row(world, optimizer, found))} |", flush=True)
        total += found
    print(f"| {' | '.join(row('all', '', total))} |")


if __name__ == "__main__":
    main()
