"""The whole report: what is in it, what is not, and what hostile words can't do."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib
import pytest

from idiolect.evaluate.records import Arm
from idiolect.evaluate.report.report import render
from idiolect.evaluate.summary import Summary
from tests.evaluate.report.rich_summary import (
    empty_summary,
    hostile_summary,
    rich_summary,
    small_summary,
    stopped_summary,
)

SECTIONS = [
    "notes", "scores", "measures", "differences", "gains", "opinions", "iterations", "prompt-tokens", "costs", "layers",
    "transfer", "answers", "uncounted", "broken", "intervals", "made", "configuration",
]  # fmt: skip
VOID = {"meta", "br", "link", "img", "input", "hr", "wbr"}


class Page(HTMLParser):
    """The elements of a page, and whether they are closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def rich() -> str:
    return render(rich_summary())


@pytest.fixture(scope="module")
def hostile() -> str:
    return render(hostile_summary())


def test_report_has_every_section_in_order(rich: str) -> None:
    page = Page(rich)
    assert [section["id"] for section in page.all("section")] == SECTIONS
    assert [link["href"] for link in page.all("a")] == [f"#{key}" for key in SECTIONS]
    assert len(page.all("svg")) == 2 * 8, "each plot is drawn for a wide screen and for a phone"
    assert page.open == []


def test_report_tells_numbers_as_the_measures_do(rich: str) -> None:
    text = Page(rich).text
    assert "59 of 60" in text
    assert "Accuracy (%) ↑" in text
    assert "49.4 [45.3, 53.5]" in text
    assert "answers: SmolLM2-135M-Instruct (SmolLM2-135M-Instruct.Q4_1.gguf, Q4_1), float32 on cpu (x86_64)" in text
    assert "writes prompts: gpt-4o at https://api.openai.com/v1, reported as gpt-4o-2024-08-06" in text


def test_report_names_the_models_of_its_configuration_where_no_run_is_known() -> None:
    text = Page(render(small_summary())).text
    assert "answering: embedded; optimizing: gpt-4o; embedding: minilm" in text


def test_report_states_when_and_how_it_was_made(rich: str) -> None:
    text = Page(rich).text
    assert "2026-11-26 to 2026-11-27" in text
    assert "1 h 1 min" in text
    assert "killed, or still running" in text
    assert "idiolect evaluate opinionqa --data human_resp --people 120 --out guns" in text


def test_report_tells_methods_without_a_model_from_those_that_learn(rich: str) -> None:
    text = Page(rich).text
    for meaning in ("no model: answers are counted or drawn", "a model with a prompt, nothing learned"):
        assert text.count(meaning) == 2, "in the plots of scores and of costs"
    assert "most-frequent no model" in text
    assert "fermi no model" not in text


def test_report_of_few_people_has_a_note_in_the_place_of_intervals() -> None:
    few = small_summary()
    none = {"low": None, "high": None, "people": 3, "interval": "none: fewer than 6 people"}
    arms = tuple(replace(a, scores={n: replace(e, **none) for n, e in a.scores.items()}) for a in few.arms)
    comparisons = tuple(replace(c, difference=replace(c.difference, **none), p=None) for c in few.comparisons)
    page = Page(render(replace(few, people=3, arms=arms, comparisons=comparisons)))
    keys = [section["id"] for section in page.all("section")]
    assert "differences" not in keys
    assert "gains" not in keys
    assert "Only 3 people have answers, which is too few for intervals" in page.text
    assert "95 % interval " not in page.text
    assert "points)" not in page.text
    assert "scores" in keys


def test_report_of_nobody_has_no_empty_frames() -> None:
    page = Page(render(empty_summary()))
    assert page.all("section") == page.all("table") == page.all("figure") == page.all("nav") == []
    assert "no answer was scored" in page.text


def test_report_leaves_out_what_is_not_there() -> None:
    keys = [section["id"] for section in Page(render(small_summary())).all("section")]
    assert keys == ["scores", "differences", "gains", "costs", "answers", "uncounted", "intervals", "configuration"]


def test_report_of_a_stopped_evaluation_says_so_first() -> None:
    page = Page(render(replace(stopped_summary(), arms=(), comparisons=(), gains=(), layers={})))
    assert {"class": "warning", "role": "status"} in page.all("p")
    assert "Partial. Stopped by the budget of 5 US dollars; 8 of 20 people so far." in page.text
    assert "warning" not in [attributes.get("class") for attributes in Page(render(empty_summary())).all("p")]


def test_report_says_that_texts_were_left_out() -> None:
    bare = replace(rich_summary().best[0], question="", choices=(), truth="", answer="", baseline_answer="")
    page = Page(render(replace(empty_summary(), best=(bare,))))
    assert "texts were left out" in page.text
    assert "no readable answer" not in page.text


def test_report_is_the_same_for_the_same_summary(rich: str) -> None:
    before = dict(matplotlib.rcParams)
    matplotlib.rcParams["font.size"] = 40  # what a user's matplotlibrc says doesn't matter
    try:
        assert render(rich_summary()) == rich
        assert matplotlib.rcParams["font.size"] == 40
    finally:
        matplotlib.rcParams.update(before)


def test_report_needs_nothing_from_anywhere(rich: str) -> None:
    page = Page(rich)
    policy = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"]
    references = [v or "" for _, a in page.elements for name, v in a.items() if name in ("src", "href", "xlink:href")]
    references += re.findall(r"url\(([^)]*)\)", rich)
    assert {reference[:1] for reference in references} == {"#"}
    assert re.search(r"@import|(src|href)=.?https?://", rich) is None


def test_report_has_ids_that_differ_and_references_that_lead_somewhere(rich: str) -> None:
    page = Page(rich)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    named = {(a["href"] or "")[1:] for tag, a in page.elements if tag in ("a", "use")}
    assert named | set(re.findall(r"url\(#([^)]*)\)", rich)) <= set(ids)


def test_report_is_accessible(rich: str) -> None:
    page = Page(rich)
    assert all(svg["role"] == "img" and len(svg["aria-label"] or "") > 20 for svg in page.all("svg"))
    assert all(head.get("scope") in ("col", "row") for head in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    assert len(page.all("figcaption")) == len(page.all("figure"))


def test_drawings_take_their_colours_and_font_from_the_page(rich: str) -> None:
    drawings = "".join(re.findall(r"<svg.*?</svg>", rich, flags=re.DOTALL))
    assert re.findall(r"#[0-9a-f]{6}", re.sub(r"#[a-z]+-", "", drawings)) == []
    assert "font-family" not in drawings
    assert set(re.findall(r"var\((--[\w-]+)\)", drawings)) <= set(re.findall(r"(--[\w-]+):", rich))


def test_report_of_hostile_words_is_inert(hostile: str) -> None:
    page = Page(hostile)
    assert len(page.all("script")) == 1
    assert "<script>alert" not in hostile
    assert page.open == []
    assert {name for _, a in page.elements for name in a if name.startswith("on")} == set()
    assert "49" not in page.text.replace("0.49", "")  # {{ 7*7 }} stays what it is
    assert "{{ 7*7 }} $x^2$ & שלום" in page.text


def test_report_of_hostile_words_holds_text_only(hostile: str) -> None:
    hostile.encode("utf-8")
    assert re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe]", hostile) is None
    assert "漢字 🎈" in hostile


def test_report_never_shows_what_is_no_number(hostile: str) -> None:
    assert re.search(r"\b(nan|inf|infinity)\b", hostile, flags=re.IGNORECASE) is None


@pytest.mark.parametrize("measures", [(), ("accuracy",), ("macro_f1",)], ids=str)
def test_report_stands_measures_without_scores(measures: tuple[str, ...]) -> None:
    few = small_summary()
    arms = tuple(replace(arm, scores={}) for arm in few.arms)
    page = Page(render(Summary(replace(few.header, measures=measures), few.people, arms)))
    assert page.all("svg") == []


def test_report_of_many_stays_small() -> None:
    summary = rich_summary(300)
    only_gains = replace(empty_summary(), gains=summary.gains)
    assert len(summary.gains) > 7000
    assert len(render(only_gains)) < 200_000


def test_report_takes_names_that_fonts_lack_without_a_warning() -> None:
    arm = replace(small_summary().arms[0], arm=Arm("漢字 🎈"))
    summary: Summary = replace(empty_summary(), arms=(arm,))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "漢字 🎈" in render(summary)
