"""What LaMP's authors search a history for, and how long the items are that a prompt quotes."""

from __future__ import annotations

import pytest

from idiolect.people.lamp_forms import (
    CITATIONS,
    FORMS,
    HEADLINES,
    MOVIES,
    RATINGS,
    TITLES,
    TWEETS,
    HistoryItem,
    LampForm,
)
from idiolect.people.lamp_prompts import profile_prompt, retrieval_document, retrieval_query, shortened

CITATION = (
    'For an author who has written the paper with the title "Deep nets", which reference is related? Just answer with '
    '[1] or [2] without explanation. [1]: "Wide nets" [2]: "Cooking"'
)


@pytest.mark.parametrize("form", [form for form in FORMS if form is not CITATIONS])
def test_the_history_is_searched_for_what_stands_behind_the_instruction(form: LampForm) -> None:
    text = f"{form.instruction} A review: of what was it?"
    assert retrieval_query(form.task, text) == "A review: of what was it?"


def test_of_a_citation_the_history_is_searched_for_both_references() -> None:
    assert retrieval_query("LaMP-1", CITATION) == "Wide nets Cooking"
    assert retrieval_query("LaMP-1", "no quotes") == "no quotes"


def test_titles_are_searched_with_their_texts_where_items_have_them() -> None:
    item = HistoryItem("We study nets.", "On nets")
    for form in (CITATIONS, HEADLINES, TITLES):
        assert retrieval_document(item, form) == "On nets We study nets."
    for form in (MOVIES, RATINGS, TWEETS):
        assert retrieval_document(item, form) == "We study nets."


@pytest.mark.parametrize(
    ("most", "kept"),
    [(4, "aaaa"), (6, "aaaa"), (8, "aaaa"), (9, "aaaa bbbb"), (10, "aaaa bbbb"), (99, "aaaa bbbb cc"), (2, "aa")],
)
def test_items_are_cut_between_words(most: int, kept: str) -> None:
    item = HistoryItem("aaaa bbbb cc", "a long label stays")
    assert shortened(item, RATINGS, most) == HistoryItem(kept, "a long label stays")


def test_of_a_citation_the_title_is_cut_because_it_is_what_is_quoted() -> None:
    item = shortened(HistoryItem("An abstract.", "A long title"), CITATIONS, 6)
    assert '"A long"' in profile_prompt("LaMP-1", CITATION, [item])
