"""The profile of a participant of PRISM, from what they stated in its survey. No conversations here.

a row of survey.jsonl → UserProfile

Below `prism.py`. Only what people stated about themselves and about what they expect of AI is in a profile. Categories
that the authors derived, times, orders of display and the study's own columns are not. "Prefer not to say" is no value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from idiolect.people.user import UserProfile

_NO_VALUE = frozenset({"", "nan", "prefer not to say", "empty string"})
_MOST = 1000  # published ratings end at 100


def profile_of(row: Mapping[str, Any]) -> UserProfile:
    """Return the profile of a row; attributes that are missing, null or "Prefer not to say" are left out.

    Raises:
        ValueError: a text cannot be stored.
    """
    found = {name: text(row) for name, text in _ATTRIBUTES.items()}
    return UserProfile({name: text for name, text in found.items() if text.casefold() not in _NO_VALUE})


def _column(*path: str) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that returns the text at a path of a row; "" if there is none."""

    def text(row: Mapping[str, Any]) -> str:
        value: Any = row
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return " ".join(value.split()) if isinstance(value, str) else ""

    return text


def _use_cases(row: Mapping[str, Any]) -> str:
    """Return the names of what a person uses AI for, which the survey has as 1 or 0."""
    value = row.get("lm_usecases")
    if not isinstance(value, Mapping):
        return ""
    return ", ".join(_words(name) for name, used in value.items() if used == 1)


def _stated_preferences(row: Mapping[str, Any]) -> str:
    """Return how important a person found each trait of an AI language model, as "factuality 100, creativity 40"."""
    value = row.get("stated_prefs")
    if not isinstance(value, Mapping):
        return ""
    return ", ".join(f"{_words(name)} {rating:g}" for name, rating in value.items() if is_rating(rating))


def is_rating(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a rating: a number of a plausible size, and so neither infinite nor NaN."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST


def _words(name: str) -> str:
    return name.replace("_", " ").strip()


_ATTRIBUTES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Age": _column("age"),
    "Gender": _column("gender"),
    "Education": _column("education"),
    "Employment": _column("employment_status"),
    "Marital status": _column("marital_status"),
    "English proficiency": _column("english_proficiency"),
    "Country of birth": _column("location", "birth_country"),
    "Country of residence": _column("location", "reside_country"),
    "Ethnicity": _column("ethnicity", "self_described"),
    "Religion": _column("religion", "self_described"),
    "Familiarity with AI language models": _column("lm_familiarity"),
    "Has used AI language models indirectly": _column("lm_indirect_use"),
    "Has used AI language models directly": _column("lm_direct_use"),
    "Frequency of use of AI language models": _column("lm_frequency_use"),
    "Uses AI language models for": _use_cases,
    "Importance of traits of an AI language model": _stated_preferences,
    "Values and beliefs": _column("self_description"),
    "How an AI language model should behave": _column("system_string"),
}
