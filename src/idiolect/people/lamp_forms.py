"""The forms of LaMP's questions and histories, one per task (two for LaMP-2, whose first version was about news).

Salemi et al., LaMP: When Large Language Models Meet Personalization (arXiv 2304.11406); lamp-benchmark.github.io.
Below `lamp.py`, which reads the files, and `lamp_prompts.py`, which writes the published prompts. No people here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from idiolect.people.user import Question

MOVIE_TAGS = (
    "sci-fi",
    "based on a book",
    "comedy",
    "action",
    "twist ending",
    "dystopia",
    "dark comedy",
    "classic",
    "psychology",
    "fantasy",
    "romance",
    "thought-provoking",
    "social commentary",
    "violence",
    "true story",
)
NEWS_CATEGORIES = (
    "women",
    "religion",
    "politics",
    "style & beauty",
    "entertainment",
    "culture & arts",
    "sports",
    "science & technology",
    "travel",
    "business",
    "crime",
    "education",
    "healthy living",
    "parents",
    "food & drink",
)
_STARS = ("1", "2", "3", "4", "5")
_LISTED = re.compile(r"\b(?:tags|categories)\s*:\s*\[([^\]]*)\]")
_TITLE_ASKED = re.compile(r'title\s+"([^"]*)"')


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One item of a person's history: a text, and the person's label for it (a tag, score or title; "" in LaMP-7).

    `id` is the published one, if there is one; two items are equal without regard to it.
    """

    text: str
    label: str = ""
    id: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class LampForm:
    """One form of questions and histories.

    Args:
        task: the task's name, such as "LaMP-2".
        about: the form's subject, for messages.
        opening: the beginning of its inputs.
        instruction: the text before the item in a question of the form.
        text_key, label_key: keys of a history item's text and label; no `label_key` if items are only texts.
        labels: answers to choose from; empty for free text.
        ordinal: whether the labels are a scale.
        asks_of_history: whether a history item is a question of the same form with its answer; otherwise it is a text.
    """

    task: str
    about: str
    opening: str
    instruction: str
    text_key: str
    label_key: str = ""
    labels: tuple[str, ...] = ()
    ordinal: bool = False
    asks_of_history: bool = True

    def question(self, text: str) -> Question:
        """Return a question of this form; `text` is the whole input.

        Raises:
            ValueError: the input is blank or cannot be stored.
        """
        return Question(text, self.labels, ordinal=self.ordinal)

    def asking_about(self, item: str) -> Question:
        """Return the question that the task would ask about a history item's text.

        Raises:
            ValueError: the text cannot be stored.
        """
        return self.question(f"{self.instruction} {item}")

    def contradiction(self, text: str) -> str | None:
        """Return, in plain words, why an input is not of this form; None if it is."""
        one_line = flat(text)
        if not one_line.startswith(flat(self.opening)):
            other = next((form for form in FORMS if one_line.startswith(flat(form.opening))), None)
            asks = f"asks about {other.about}" if other else "is not a question of LaMP"
            return f"its input {asks}; the file is about {self.about}"
        listed = _LISTED.search(one_line)
        if listed and {flat(label) for label in listed[1].split(",")} != set(map(flat, self.labels)):
            return f"its input lists other answers than those about {self.about}"
        return None

    def asked_item(self, text: str) -> str:
        """Return the item that an input asks about, as `flat` writes it: a description, a review, a paper's title …

        The instruction before it may list its labels in any order, with any case and blanks.
        """
        one_line = flat(text)
        if not self.instruction:
            title = _TITLE_ASKED.search(one_line)
            return title[1].strip() if title else one_line
        marker = self.instruction.split()[-1].removesuffix(":")
        found = re.search(rf"\b{re.escape(marker)}\s*:\s*", one_line)
        return one_line[found.end() :] if found else one_line.removeprefix(flat(self.instruction)).strip()

    def label_of(self, value: object) -> str:
        """Return a gold or label as text, written as the form's own label if it is one but for case and blanks."""
        text = label_text(value)
        return next((label for label in self.labels if flat(label) == flat(text)), text)

    def item(self, record: Any) -> HistoryItem | None:
        """Return the history item in a published record; None if it is incomplete, or its label is not valid."""
        if not isinstance(record, Mapping):
            return None
        text = record.get(self.text_key)
        label = "" if not self.label_key else record.get(self.label_key)
        label = self.label_of(label) if self.asks_of_history else label_text(label)
        if not isinstance(text, str) or not text.strip() or (self.label_key and not label):
            return None
        if self.labels and self.asks_of_history and label not in self.labels:
            return None
        return HistoryItem(text.strip(), label, label_text(record.get("id")))

    def written(self, item: HistoryItem) -> str:
        """Return the item as a text of the person: title and text if both are theirs, otherwise the text."""
        return f"{item.label}\n{item.text}" if self.label_key == "title" else item.text


def flat(text: str) -> str:
    """Return a text in lower case, with single blanks, for comparisons that disregard case and blanks."""
    return " ".join(text.split()).casefold()


def label_text(value: object) -> str:
    """Return a label or gold as text, whole scores without a decimal point; "" if it is neither text nor a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    text = str(value).strip()
    return text.removesuffix(".0") if text in ("1.0", "2.0", "3.0", "4.0", "5.0") else text


def _choosing(what: str, noun: str, plural: str, labels: tuple[str, ...], item: str) -> str:
    answer = f"Just answer with the {noun} name without further explanation."
    return f"{what} among the following {plural}? {answer} {plural}: [{', '.join(labels)}] {item}:"


CITATIONS = LampForm(
    "LaMP-1",
    "citations of papers",
    "For an author who has written the paper with the title",
    "",
    "abstract",
    "title",
    ("[1]", "[2]"),
    asks_of_history=False,
)
MOVIES = LampForm(
    "LaMP-2",
    "tags of movies",
    "Which tag does this movie relate to",
    _choosing("Which tag does this movie relate to", "tag", "tags", MOVIE_TAGS, "description"),
    "description",
    "tag",
    MOVIE_TAGS,
)
NEWS = LampForm(
    "LaMP-2",
    "categories of news",
    "Which category does this article relate to",
    _choosing("Which category does this article relate to", "category", "categories", NEWS_CATEGORIES, "article"),
    "text",
    "category",
    NEWS_CATEGORIES,
)
RATINGS = LampForm(
    "LaMP-3",
    "scores of reviews",
    "What is the score of the following review",
    "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 without further "
    "explanation. review:",
    "text",
    "score",
    _STARS,
    ordinal=True,
)
HEADLINES = LampForm(
    "LaMP-4",
    "headlines of articles",
    "Generate a headline for the following article",
    "Generate a headline for the following article:",
    "text",
    "title",
)
TITLES = LampForm(
    "LaMP-5",
    "titles of papers",
    "Generate a title for the following abstract of a paper",
    "Generate a title for the following abstract of a paper:",
    "abstract",
    "title",
)
TWEETS = LampForm(
    "LaMP-7",
    "paraphrases of tweets",
    "Paraphrase the following tweet",
    "Paraphrase the following tweet without any explanation before or after it:",
    "text",
    asks_of_history=False,
)

FORMS = (CITATIONS, MOVIES, NEWS, RATINGS, HEADLINES, TITLES, TWEETS)
LAMP_TASKS = tuple(dict.fromkeys(form.task for form in FORMS))


def forms_of(task: str) -> tuple[LampForm, ...]:
    """Return the forms of a task, the current one first.

    Raises:
        ValueError: there is no such task.
    """
    found = tuple(form for form in FORMS if form.task == task)
    if not found:
        raise ValueError(f"task is {task!r}, must be one of {', '.join(LAMP_TASKS)}")
    return found
