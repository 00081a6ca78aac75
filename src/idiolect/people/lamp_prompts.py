"""The prompts with which LaMP's authors personalize: items of the history, in the task's own words, before the input.

Salemi et al. (arXiv 2304.11406), aggregation of prompts for retrieved items (their "in-prompt augmentation", function
φ_p and AIP, table of prompts in the appendix); LaMP/prompts/prompts.py in github.com/LaMP-Benchmark/LaMP. A retriever
chooses the items; the texts that it compares are defined here as by the authors (their φ_q and corpus). A task that is
not one of LaMP's raises `ValueError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from idiolect.people.lamp_forms import (
    CITATIONS,
    HEADLINES,
    MOVIES,
    NEWS,
    RATINGS,
    TITLES,
    TWEETS,
    HistoryItem,
    LampForm,
    forms_of,
)
from idiolect.people.user import Opinion

_ITEM: dict[LampForm, Callable[[HistoryItem], str]] = {
    CITATIONS: lambda item: f'"{item.label}"',
    MOVIES: lambda item: f'the tag for the movie: "{item.text}" is "{item.label}"',
    NEWS: lambda item: f'the category for the article: "{item.text}" is "{item.label}"',
    RATINGS: lambda item: f'{item.label} is the score for "{item.text}"',
    HEADLINES: lambda item: f'"{item.label}" is the title for "{item.text}"',
    TITLES: lambda item: f'"{item.label}" is a title for "{item.text}"',
    TWEETS: lambda item: f'"{item.text}"',
}

_BEFORE_INPUT = {
    TITLES: ". Following the given patterns ",
    TWEETS: " are written by a person. Following the given patterns ",
}
_PLAIN = ". "
_JOINT = ", and "
_TITLE = "title"
_QUOTED = re.compile(r'"([^"]*)"')


def profile_prompt(task: str, text: str, history: Sequence[HistoryItem]) -> str:
    """Return an input with items of the person's history, as LaMP's authors write it; without items, the input alone.

    The authors' code leaves a blank before each joint ('"x" , and "y" . Which…'); here it is left out.

    Args:
        task: "LaMP-1" … "LaMP-5", "LaMP-7".
        text: the input as published.
        history: the items to show, in that order.
    """
    form = form_of(task, text)
    if not history:
        return text
    items = _JOINT.join(map(_ITEM[form], history))
    if form is not CITATIONS:
        return f"{items}{_BEFORE_INPUT.get(form, _PLAIN)}{text}"
    # As the authors do: after the first word "title", that is, before the title that is asked about.
    before, word, after = text.partition(_TITLE)
    return f"{before}{word}{_JOINT}{items}{after}" if word else text


def retrieval_query(task: str, text: str) -> str:
    """Return the query for searching the history: an input without its instruction; in LaMP-1, both references."""
    form = form_of(task, text)
    if form is CITATIONS:
        return " ".join(_QUOTED.findall(text)[1:3]) or text  # the first title is that of the citing paper
    return text.partition(form.instruction.split()[-1])[2].strip() or text


def retrieval_document(item: HistoryItem, form: LampForm) -> str:
    """Return the searched part of a history item: its title, if it has one, and its text."""
    return f"{item.label} {item.text}" if form.label_key == _TITLE else item.text


def shortened(item: HistoryItem, form: LampForm, max_chars: int) -> HistoryItem:
    """Shorten, between words, the part of an item that its prompt quotes: the text, or the title in LaMP-1.

    The authors cut to tokens of their model instead, and distribute the room that short items leave among the others.
    """
    if form is CITATIONS:
        return replace(item, label=_cut(item.label, max_chars))
    return replace(item, text=_cut(item.text, max_chars))


def _cut(text: str, max_chars: int) -> str:
    if len(text) <= max_chars:
        return text
    kept = text[:max_chars]
    if not (kept[-1].isspace() or text[max_chars].isspace()):
        kept = kept.rsplit(maxsplit=1)[0]
    return kept.rstrip()


def form_of(task: str, text: str) -> LampForm:
    """Return the form of a task's input; in LaMP-2 that is movies, unless the input asks about news."""
    forms = forms_of(task)
    return next((form for form in forms if form.contradiction(text) is None), forms[0])


def history_item(task: str, opinion: Opinion) -> HistoryItem:
    """Return the history item from which `LampFile.read` made an opinion."""
    form = form_of(task, opinion.question.text)
    return HistoryItem(opinion.question.text.removeprefix(form.instruction).strip(), opinion.answer)


def history_item_of_text(task: str, text: str) -> HistoryItem:
    """Return the history item from which `LampFile.read` made a text."""
    if forms_of(task)[0].label_key != "title":
        return HistoryItem(text)
    title, _, rest = text.partition("\n")
    return HistoryItem(rest, title)
