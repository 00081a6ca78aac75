"""The summary as Markdown and as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from idiolect.evaluate.records import Arm, MethodCost
from idiolect.evaluate.summary import (
    ArmScores,
    Comparison,
    CostPerAnswer,
    Estimate,
    Gain,
    GroupScores,
    Header,
    LearningCost,
    Summary,
    Transfer,
)
from idiolect.evaluate.tables import table, to_json
from idiolect.models.language_model import Usage

BASE, FERMI = Arm("vanilla"), Arm("fermi", n_train=20)
HALF = Estimate(0.5, 0.4, 0.6, 3, 4, 1200, "t")
GAIN = Estimate(0.05, -0.01, 0.11, 3, 4, 1200, "t with 2 degrees of freedom")
SCORES = ArmScores(
    BASE,
    (0,),
    3,
    1200,
    7,
    {"nothing | to learn": 2},
    {"accuracy": HALF},
    MethodCost(),
    MethodCost(Usage(5, 1000, 20), 5),
    3,
)
LEARNED = replace(
    SCORES, arm=FERMI, unparsed=0, not_scored={}, learning=MethodCost(Usage(100, 5000, 50), 40, None, 6.0), used=2,
    scores={"accuracy": replace(HALF, low=None, high=None)},
)  # fmt: skip
HEADER = Header(
    "task", "Title", {"temperature": math.nan}, ("accuracy", "mae"), BASE, people_asked=4,
    broken_count=3, broken=("info.csv:12: no answer",), notes=("People are few.",),
)  # fmt: skip
SUMMARY = Summary(
    HEADER, 3, (SCORES, LEARNED),
    (Comparison(FERMI, BASE, "accuracy", GAIN, 0.0831, primary=True, p_holm=0.1662),), (Gain(FERMI, "u", 0.5, 3),),
)  # fmt: skip


def test_a_table_tells_scores_counts_costs_and_differences() -> None:
    text = table(SUMMARY)
    assert "| vanilla | 50.0 [40.0, 60.0] | – | 3 | 4 | 1,200 |" in text
    assert "| fermi · 20 opinions | 50.0 [no interval] | – | 3 | 4 | 1,200 |" in text
    assert "| vanilla | 0 | 7 of 1,200 | 2: nothing \\| to learn | 0 | 5 | 5 | 1,020 | 0.0000 | 0.0 | 0.0 | – |" in text
    assert "| 100 | 5 | 45 | 6,070 | unknown | 2.0 | 0.0 | 2 of 3 |" in text
    assert "| accuracy (points) | +5.0 [-1.0, +11.0] | 0.083 | 0.166 | 3 | 4 | 1,200 |" in text
    assert "3 could not be read:\n\n- info.csv:12: no answer\n- and 2 more" in text
    assert text.endswith("\n- People are few.\n")


def test_a_table_tells_what_learning_and_one_answer_cost() -> None:
    tokens = Estimate(1234.5, 1200.0, 1269.0, 6, 4, 24, "t")
    costs = CostPerAnswer(3.0, tokens, 12.0, 0.00042)
    learned = replace(LEARNED, learning_per_person=LearningCost(100.0, 5050.0, None), per_answer=costs)
    summary = replace(SUMMARY, arms=(SCORES, learned))
    text = table(summary)
    assert "| fermi · 20 opinions | 100 | 5,050 | unknown | 3 | 1,234 [1,200, 1,269] | 12 | 0.000420 |" in text
    assert "| vanilla | – | – | – | unknown | unknown | unknown | unknown |" in text, "an older folder"
    assert "by likelihood on this machine, the tokens of all choices are among them" in text
    first, second = to_json(summary)["arms"]
    assert (first["learning_per_person"], first["per_answer"]) == (None, None)
    assert second["learning_per_person"] == {"calls": 100.0, "tokens": 5050.0, "money": None}
    assert second["per_answer"]["prompt_tokens"]["value"] == 1234.5
    assert (second["per_answer"]["calls"], second["per_answer"]["completion_tokens"]) == (3.0, 12.0)


def test_names_cannot_bring_html_into_a_table() -> None:
    groups = (GroupScores("<script>alert(1)</script>\x1b[2J", FERMI, {"accuracy": HALF}),)
    text = table(replace(SUMMARY, by_group=groups))
    assert "| &lt;script>alert(1)&lt;/script>[2J | fermi" in text
    assert "<script" not in text


def test_the_first_line_says_whether_all_is_there() -> None:
    assert table(SUMMARY).startswith("Complete.\n")
    stopped = table(replace(SUMMARY, header=replace(HEADER, status="stopped", stopped_by="the budget")))
    assert "Partial" in stopped.splitlines()[0]
    assert "stopped by the budget" in stopped.splitlines()[0]


def test_an_empty_summary_has_a_table() -> None:
    empty = Summary(replace(HEADER, broken_count=0, broken=(), notes=()), 0, ())
    assert "Paired differences" not in table(empty)
    json.dumps(to_json(empty), allow_nan=False)


def test_transfer_has_a_row_for_a_model_that_was_learned_with() -> None:
    cells = {("A", "A"): HALF, ("A", "B"): GAIN}
    summary = replace(SUMMARY, transfer=Transfer("fermi", ("A", "B"), cells, ("B",)))
    text = table(summary)
    assert "| A | 50.0 [40.0, 60.0] | 5.0 [-1.0, 11.0] |" in text
    assert "\n| B |" not in text
    assert "Recordings, not live models: B." in text
    plain = to_json(summary)["transfer"]
    assert [(cell["learned_with"], cell["answered_by"], cell["score"]["value"]) for cell in plain["cells"]] == [
        ("A", "A", 0.5),
        ("A", "B", 0.05),
    ]


def test_json_is_strict_and_tells_arms_as_text_and_in_parts() -> None:
    plain = to_json(SUMMARY)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["config"] == {"temperature": None}
    assert plain["arms"][1]["arm"] == {
        "text": "fermi · 20 opinions", "method": "fermi", "control": "own", "n_train": 20, "answered_by": "",
    }  # fmt: skip
    assert plain["arms"][1]["learning"]["money"] is None
    assert plain["comparisons"][0]["p_holm"] == 0.1662
