"""Fermi against OPRO, its ablations and few-shot at equal model calls, in the planted world.

    python benchmarks/planted_equal_calls.py --out docs/results/planted-equal-calls.md      # two minutes of one core
    python benchmarks/planted_equal_calls.py --people 4 --out /tmp/look.md --folder /tmp/look

Simulated people whose truth is known (tests/planted_world.py): a test of the methods' logic, not a result on people.
Everything goes through the Python API of the evaluation harness, as a user's own evaluation would:

    people → Benchmark → Bench → planned arms → Runner, once a budget → Archive → summarize → page, table, report

What was fixed before the reported people were looked at. Fermi is preset `paper` without a limit on iterations: it
learns until the calls are spent. Its pool is the memory, so that nothing is scored when a question is answered;
Retrieval-of-Prompt knows the topics. A call is a request to the answering model or to the optimizer; answering the
held-out questions costs every method one call a question, told beside. Budgets are those at which K = 4 has just
ended an iteration, so that it leaves little unused (P⁰ costs 29 calls, an iteration 4 + 4 × 29), and a small one at
which it has not. Compared, with Holm's correction over all of PRIMARY × budgets and over all of SECONDARY × budgets,
each for itself. The people are respondents 100 and up; budgets were tried on respondents 1000 to 1003, and those of
the tests and of `against_gepa.py` are others as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from idiolect.evaluate.archive import Archive
from idiolect.evaluate.benchmark import Benchmark, Case, question_key
from idiolect.evaluate.measures import measure_named
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.spec import parse_spec, parse_specs
from idiolect.evaluate.plan import EvaluationOptions, PlannedArm, entry_of, parse_primary, planned
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord
from idiolect.evaluate.report.report import render
from idiolect.evaluate.running import Runner
from idiolect.evaluate.summarizing import summarize
from idiolect.evaluate.summary import Comparison, Estimate, Header, Summary
from idiolect.evaluate.tables import table, to_json
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.roles import deal_roles
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.prices import Price
from idiolect.models.calls.turns import Turns
from idiolect.models.language_model import LanguageModel
from idiolect.people.user import Question
from tests.planted_world import AnsweringModel, Optimizer, TopicSimilarity, respondent

FIRST_PERSON = 100
BUDGETS = (60, 150, 270, 510, 990)
UNLIMITED = 1_000_000  # iterations: the calls end sooner
LEARNING = {
    "fermi": "Fermi, K = 4 (preset `paper`)",
    "fermi[proposals=1]": "Fermi, K = 1",
    "opro": "OPRO, K = 4: no failures, and the best prompt answers",
    "opro[proposals=1]": "OPRO, K = 1",
    "fermi-no-failures": "Fermi without mis-aligned responses, K = 4",
    "fermi-symmetric": "Fermi without asymmetry: every listed prompt shows its failures, K = 4",
    "fermi-no-retrieval": "Fermi whose best prompt answers everything, K = 4",
}
FREE = {
    "few-shot": "few-shot, the 16 nearest opinions, nearest last",
    "few-shot[k=36]": "few-shot, all 36 opinions, always in one order",
    "vanilla": "the model as it is",
}
METHODS = LEARNING | FREE
CONTROLLED = "fermi"  # whose control, another person's prompts, is run too
PRIMARY = ("fermi - opro", "fermi - few-shot")
SECONDARY = (
    "fermi - fermi-no-failures",
    "fermi - fermi-symmetric",
    "fermi - fermi-no-retrieval",
    "fermi - few-shot[k=36]",
    "fermi[proposals=1] - fermi",
    "fermi[proposals=1] - opro[proposals=1]",
    "fermi[proposals=1] - few-shot",
)
BASELINE = "vanilla"
MEASURE = "accuracy"
TITLE = "Fermi against its rivals at equal model calls, in the planted world"
ALPHA = 0.05


@dataclass(frozen=True)
class Trial:
    """What is run: so many people, at these budgets of calls a person."""

    people: int = 30
    budgets: tuple[int, ...] = BUDGETS


# --- the world, as the harness sees it


def settings() -> FermiSettings:
    """Fermi's, frozen; OPRO and the ablations are made from them by the harness."""
    paper = preset("paper")
    retrieval = replace(paper.retrieval, pool="memory", similarity=TopicSimilarity.name)
    return replace(paper, iterations=UNLIMITED, retrieval=retrieval)


def benchmark_of(trial: Trial) -> Benchmark:
    """One held-out question a topic: a second one would be answered as the first is, whatever answers."""
    people = [respondent(FIRST_PERSON + n, test_cases=1) for n in range(trial.people)]
    return Benchmark("planted", tuple(Case(person.user, person.test) for person in people), (MEASURE,))


def bench_of(benchmark: Benchmark) -> Bench:
    """The doubles on a bench; no cache, since they cost nothing."""
    free = Price(Decimal(0), Decimal(0))
    answering = cast(LanguageModel, AnsweringModel())  # only writes: nothing asks it for log-probabilities
    optimizing = cast(LanguageModel, Optimizer())
    return Bench(
        benchmark=benchmark,
        answering=settings().answering,
        model=Source(answering, answering.name, price=free),
        optimizer=Source(optimizing, optimizing.name, price=free),
        calls=Calls(Budget(), Turns(1)),
        fermi=settings(),
        dense=TopicSimilarity(),
    )


def at(arm: Arm, budget: int) -> Arm:
    """The arm as it learned within a budget; what learns nothing is the same at each."""
    return arm if arm.method in FREE else replace(arm, method=f"{arm.method}, {budget} calls")


def planned_arms() -> list[PlannedArm]:
    """Of one budget; controls of one method only."""
    order = EvaluationOptions(
        methods=parse_specs(",".join(METHODS)), baseline=parse_spec(BASELINE), primary=parse_primary(PRIMARY)
    )
    return [arm for arm in planned(order) if arm.arm.control == "own" or arm.arm.method == CONTROLLED]


async def answered(trial: Trial, benchmark: Benchmark, folder: Path) -> Archive:
    """Every arm at every budget, in one archive; goes on where it was stopped."""
    bench = bench_of(benchmark)
    archive = Archive.open(folder, config_of(trial))
    archive.keep_people(benchmark)
    archive.add_questions(benchmark)
    arms = planned_arms()
    await Runner(bench, [arm for arm in arms if not entry_of(arm.spec).iterates], (0,), archive).run()
    for budget in trial.budgets:
        within = [replace(arm, arm=at(arm.arm, budget)) for arm in arms if entry_of(arm.spec).iterates]
        await Runner(replace(bench, calls_per_person=budget), within, (0,), archive).run()
    check(archive, trial, benchmark)
    return archive


def config_of(trial: Trial) -> dict[str, Any]:
    """What numbers depend on."""
    return {
        "task": "planted",
        "data": f"respondents {FIRST_PERSON} and up",
        "split": {"train": 36, "test": 12},
        "models": {"model": AnsweringModel.name, "optimizer": Optimizer.name},
        "settings": {"preset": "paper", "iterations": "unlimited", "pool": "memory", "budgets": list(trial.budgets)},
        "seeds": [0],
        "primary": list(PRIMARY),
        "baseline": BASELINE,
        "methods": list(METHODS),
        "people": trial.people,
    }


def check(archive: Archive, trial: Trial, benchmark: Benchmark) -> None:
    """What has to be so for calls to be equal.

    Raises:
        RuntimeError: it is not so.
    """
    asked = {case.user.id: len(case.asked) for case in benchmark.cases}
    limits = {at(Arm(method), budget): budget for budget in trial.budgets for method in LEARNING}
    for record in archive.learning:
        if record.learning.calls > limits.get(record.arm, 0):
            raise RuntimeError(f"{record.arm}: {record.learning.calls} calls to learn from {record.user}")
        if record.answering.calls != asked[record.user]:
            raise RuntimeError(f"{record.arm}: {record.answering.calls} calls to answer for {record.user}")
    odd = [record for record in archive.answers if record.status != "scored"]
    if odd:
        raise RuntimeError(f"{len(odd)} answers are not scored, the first: {odd[0]}")


# --- what it comes to


@dataclass(frozen=True)
class Outcome:
    """Summaries of the same answers; in `secondary` the secondary comparisons are those that Holm's method is over."""

    trial: Trial
    benchmark: Benchmark
    primary: Summary
    secondary: Summary
    answers: tuple[AnswerRecord, ...]
    learning: tuple[LearningRecord, ...]

    def score(self, arm: Arm) -> Estimate:
        """Of one arm."""
        return next(scores.scores[MEASURE] for scores in self.primary.arms if scores.arm == arm)

    def comparison(self, text: str, budget: int) -> Comparison:
        """One that was named beforehand."""
        summary = self.primary if text in PRIMARY else self.secondary
        pair = pairs_of((text,), (budget,))[0]
        return next(found for found in summary.comparisons if (found.a, found.b) == pair)


def pairs_of(texts: Sequence[str], budgets: Sequence[int]) -> tuple[tuple[Arm, Arm], ...]:
    """The comparisons at each budget."""
    specs = parse_primary(texts)
    return tuple((at(Arm(str(a)), budget), at(Arm(str(b)), budget)) for a, b in specs for budget in budgets)


def outcome_of(trial: Trial, benchmark: Benchmark, archive: Archive) -> Outcome:
    """The harness' summary, once for each family of comparisons."""
    questions = {question_key(o.question): o.question for case in benchmark.cases for o in case.asked}
    header = Header(
        task=benchmark.task,
        title=TITLE,
        config=config_of(trial),
        measures=benchmark.measures,
        baseline=Arm(BASELINE),
        people_asked=len(benchmark.cases),
        primary=pairs_of(PRIMARY, trial.budgets),
        notes=("Planted people whose truth is known: a test of the methods' logic, not a result on people.",),
    )
    secondary = replace(header, primary=pairs_of(SECONDARY, trial.budgets))
    shown = {key: (question.text, question.choices) for key, question in questions.items()}
    both = [summarize(archive.answers, archive.learning, each, questions=shown) for each in (header, secondary)]
    return Outcome(trial, benchmark, both[0], both[1], tuple(archive.answers), tuple(archive.learning))


def evaluated(trial: Trial, folder: Path) -> Outcome:
    """Runs, or goes on, in a folder; leaves the harness' own table, scores and report there."""
    benchmark = benchmark_of(trial)
    outcome = outcome_of(trial, benchmark, asyncio.run(answered(trial, benchmark, folder)))
    (folder / "table.md").write_text(table(outcome.primary))
    (folder / "scores.json").write_text(json.dumps(to_json(outcome.primary), indent=1, allow_nan=False) + "\n")
    (folder / "report.html").write_text(render(outcome.primary))
    return outcome


# --- the page


def shown(found: Estimate, *, signed: bool = False) -> str:
    """As the harness' tables have it."""
    measure = measure_named(MEASURE)
    value = measure.shown(found.value, signed=signed)
    if found.low is None or found.high is None:
        return value
    return f"{value} [{measure.shown(found.low, signed=signed)}, {measure.shown(found.high, signed=signed)}]"


def p_text(p: float | None) -> str:
    """A p that could not be computed counts as 1 in Holm's method."""
    return "no p" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table."""
    return [f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows)]


def accuracies(outcome: Outcome) -> list[str]:
    """By method and budget."""
    budgets = outcome.trial.budgets
    arms = [Arm(method) for method in LEARNING]
    arms.insert(1, Arm(CONTROLLED, "another's"))
    rows = [[str(arm), "", *(shown(outcome.score(at(arm, budget))) for budget in budgets)] for arm in arms]
    rows += [[method, shown(outcome.score(Arm(method))), *[""] * len(budgets)] for method in FREE]
    return markdown(["method", "nothing learned", *(f"{budget} calls" for budget in budgets)], rows)


def differences(outcome: Outcome, texts: Sequence[str]) -> list[str]:
    """Of one family, by budget."""
    rows = []
    for text in texts:
        found = [outcome.comparison(text, budget) for budget in outcome.trial.budgets]
        cells = [f"{shown(each.difference, signed=True)}, {p_text(each.p_holm)}" for each in found]
        rows.append([text.replace(" - ", " − "), *cells])
    return markdown(["a − b", *(f"{budget} calls" for budget in outcome.trial.budgets)], rows)


def calls_used(outcome: Outcome) -> list[str]:
    """Learning, a person, and how good the best prompt is by then."""
    rows = []
    for method in LEARNING:
        cells = [_used(outcome.learning, at(Arm(method), budget)) for budget in outcome.trial.budgets]
        rows.append([method, *cells])
    return markdown(["method", *(f"{budget} calls" for budget in outcome.trial.budgets)], rows)


def _used(learning: Sequence[LearningRecord], arm: Arm) -> str:
    of_arm = [record for record in learning if record.arm == arm]
    told = [(record.learning.calls, record.notes["iterations"], record.notes["best_score"]) for record in of_arm]
    calls, iterations, best = (sum(each) / len(of_arm) for each in zip(*told, strict=True))
    return f"{calls:.0f} in {iterations:.1f}: {best:.2f}"


def topic_of(question: Question) -> str:
    """What it is about."""
    return question.text.split()[1]


def wrong_by_evidence(outcome: Outcome, method: str) -> str:
    """At the largest budget, by how many of the opinions on the question's topic score prompts; "" for none wrong."""
    arm = at(Arm(method), max(outcome.trial.budgets))
    scoring = {
        (case.user.id, question_key(asked.question)): sum(
            topic_of(opinion.question) == topic_of(asked.question)
            for opinion in deal_roles(case.user, settings()).scoring
        )
        for case in outcome.benchmark.cases
        for asked in case.asked
    }
    answers = [
        (scoring[each.user, each.question], each.answer != each.truth) for each in outcome.answers if each.arm == arm
    ]
    asked, wrong = Counter(n for n, _ in answers), Counter(n for n, missed in answers if missed)
    return ", ".join(f"{wrong[n]} of {asked[n]} where {n} do" for n in sorted(asked))


def verdict(found: Comparison) -> str:
    """In a word, by Holm's p; where all differences are the same there is none."""
    value = found.difference.value
    if found.p_holm is None:
        return "level in every answer" if value == 0 else f"{'ahead' if value > 0 else 'behind'} in every answer"
    if found.p_holm >= ALPHA:
        return "no difference shown"
    return "ahead" if value > 0 else "behind"


def sentences(outcome: Outcome, texts: Sequence[str]) -> list[str]:
    """What a family of comparisons says, an item each."""
    lines = []
    for text in texts:
        by_verdict: dict[str, list[str]] = {}
        for budget in outcome.trial.budgets:
            by_verdict.setdefault(verdict(outcome.comparison(text, budget)), []).append(str(budget))
        told = (f"{said} at {', '.join(budgets)} calls" for said, budgets in by_verdict.items())
        lines.append(f"- **{text.replace(' - ', ' − ')}**: {'; '.join(told)}.")
    return lines


OPENING = """# {title}

**This page shows results of the planted world (`tests/planted_world.py`): simulated people whose truth is known, an
answering model that follows what a prompt names, and an optimizer that infers preferences from failures alone. It is a
test of the methods' logic, and of the evaluation harness that ran it; it is not a result on people.**

There are {people} planted people, each with 36 opinions to learn from (3 on each of 12 topics) and 12 held-out
questions of 24 choices (one a topic), answered by generation. `benchmarks/planted_equal_calls.py` states what was fixed
beforehand, and why. Accuracy is in percent: means over people with 95 % intervals clustered by person and question.
There is no interval where all values are the same.
"""

READING = """A verdict uses Holm's p at {alpha:g}: for primary comparisons over all {primary} of them, for secondary
ones over all {secondary}, each family separately. "In every answer" means that the difference is the same for all
people and questions, so there is no variance and the harness gives no p. Holm's method counts such a comparison as
1."""

USED = """A cell gives the mean number of calls that learning from a person used, the number of iterations, and the
score that the best prompt then has on the person's own scoring opinions. A step that does not fit into what is left is
not begun, so K = 4 can leave up to 119 calls unused. A method that finds nothing new spends what is left on proposals
that are rejected. Answering the 12 questions costs every method {answering} more calls a person, none of them for
scoring."""

KNOWN = """## What is known

- **Few-shot is ahead by construction.** A planted answer depends on the topic alone; each topic was asked about three
  times; the similarity knows topics; and the answering model uses examples as readily as rules, and the last ones most.
  So the 16 nearest opinions are always enough, and cost nothing to learn. The comparison shows how near Fermi comes to
  that ceiling, and when; it does not show which of the two is better on people. All 36 opinions in one order serve only
  the eight topics that the model still remembers: they are always right or always wrong by question, hence the wide
  interval.
- **K = 4 is behind K = 1 where calls are scarce**: with {least} calls it has scored nothing but its first prompt. This
  world rewards depth, because four draws from one meta-prompt are hardly better than one; real draws differ more.
- **OPRO finds something by luck**: a guess is right once in 24, and scores keep it.
- **The asymmetry shows no benefit in accuracy here.** With it, the best prompt gets better sooner (last table); without
  it, Retrieval-of-Prompt makes up for that. The asymmetry saves characters of the meta-prompt, which calls do not
  count. In the tests of the planted world, it shows in the best prompt's score.
- **The memory as pool costs the rarest topics**: at {most} calls, wrong answers of `fermi` by how many of its scoring
  opinions are on the topic: {wrong}.
- This is one seed of the methods, one kind of world, and doubles with fixed abilities: the size of a difference means
  nothing outside it.
"""


def page(outcome: Outcome, *, plot: str, command: str) -> str:
    """The result as Markdown."""
    trial, budgets = outcome.trial, len(outcome.trial.budgets)
    (answering,) = {record.answering.calls for record in outcome.learning}
    counts = {"primary": len(PRIMARY) * budgets, "secondary": len(SECONDARY) * budgets}
    legend = [f"- `{method}`: {told}" for method, told in METHODS.items()]
    legend.append(f"- `{CONTROLLED} · another's`: the next person's prompts, a control")
    least, most = min(trial.budgets), max(trial.budgets)
    known = KNOWN.format(least=least, most=most, wrong=wrong_by_evidence(outcome, "fermi"))
    return "\n".join(
        [
            OPENING.format(title=TITLE, people=trial.people),
            *("## What it shows", "", "Primary:", "", *sentences(outcome, PRIMARY), ""),
            *("Secondary:", "", *sentences(outcome, SECONDARY), ""),
            *(READING.format(alpha=ALPHA, **counts), ""),
            *(known, f"![accuracy against calls]({plot})", ""),
            *("## Accuracy by calls that learning may make", "", *accuracies(outcome), "", *legend, ""),
            *("## Paired differences, in points", "", "Primary:", "", *differences(outcome, PRIMARY), ""),
            *("Secondary:", "", *differences(outcome, SECONDARY), ""),
            *("## Calls used", "", USED.format(answering=answering), "", *calls_used(outcome), ""),
            f"    {command}\n",
        ]
    )


# --- the plot

_STYLES: Mapping[str, tuple[str, str, str]] = {
    "fermi": ("#1b6ca8", "o", "-"),
    "fermi[proposals=1]": ("#1b6ca8", "o", "--"),
    "fermi-symmetric": ("#6a4c93", "^", "-"),
    "fermi-no-retrieval": ("#c77d0a", "s", "-"),
    "fermi-no-failures": ("#7a7a7a", "v", "-"),
    "opro": ("#b23a48", "D", "-"),
    "opro[proposals=1]": ("#b23a48", "D", "--"),
}


def draw(outcome: Outcome, path: Path) -> None:
    """Accuracy against calls, with intervals; what learns nothing is a level."""
    import matplotlib
    from matplotlib.figure import Figure

    budgets = outcome.trial.budgets
    fixed: Any = {"svg.hashsalt": "planted-equal-calls", "svg.fonttype": "none", "font.size": 10}
    with matplotlib.rc_context(fixed):
        figure = Figure(figsize=(9.2, 4.6), layout="constrained")
        axes = figure.add_subplot()
        for n, (method, (colour, marker, line)) in enumerate(_STYLES.items()):
            found = [outcome.score(at(Arm(method), budget)) for budget in budgets]
            places = [budget * 1.012 ** (n - 3) for budget in budgets]  # beside each other, not upon
            look: Any = {"color": colour, "marker": marker, "linestyle": line, "markersize": 5}
            axes.plot(places, [100 * each.value for each in found], label=method, **look)
            for place, each in zip(places, found, strict=True):
                if each.low is not None and each.high is not None:
                    axes.plot([place] * 2, [100 * each.low, 100 * each.high], color=colour, linewidth=1, alpha=0.6)
        for method, dots in zip(FREE, ((1, 1), (4, 2), (1, 4)), strict=True):
            level = 100 * outcome.score(Arm(method)).value
            axes.axhline(level, color="#333333", linewidth=1, linestyle=(0, dots), label=f"{method} (learns nothing)")
        axes.set_xscale("log")
        axes.set_xticks(budgets, [str(budget) for budget in budgets])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("Model calls that learning from a person may make")
        axes.set_ylabel("Held-out accuracy (%)")
        axes.set_title("Planted world: a test of logic, not a result on people", loc="left", fontsize=10)
        axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside right upper", frameon=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def main() -> None:
    """Runs, and writes the page and its plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=Trial().people)
    parser.add_argument("--budgets", type=int, nargs="+", default=list(BUDGETS), help="calls a person, ascending")
    parser.add_argument("--folder", type=Path, help="of the evaluation, to go on with or to look at; default: none")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    began = time.monotonic()
    trial = Trial(given.people, tuple(given.budgets))
    with tempfile.TemporaryDirectory() as passing:
        outcome = evaluated(trial, given.folder or Path(passing))
    plot = Path(given.out.stem) / "accuracy.svg"
    draw(outcome, given.out.parent / plot)
    told = "".join(f" {budget}" for budget in trial.budgets)
    command = f"python benchmarks/planted_equal_calls.py --people {trial.people} --budgets{told} --out {given.out}"
    given.out.write_text(page(outcome, plot=plot.as_posix(), command=command))
    print(f"{given.out}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
