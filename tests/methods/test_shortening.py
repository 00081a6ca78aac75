"""Room for shorter prompts, and texts that are cut."""

from __future__ import annotations

import pytest

from idiolect.errors import ContextLengthError
from idiolect.methods.shortening import cut, first_fitting, room_after, size_of


def test_room_depends_on_the_context_only() -> None:
    error = ContextLengthError("too long", limit=1000)
    assert room_after(error, 10_000, max_tokens=100) == room_after(error, 50_000, max_tokens=100) == 2700


def test_room_shrinks_if_the_context_is_unknown_or_was_kept() -> None:
    assert room_after(ContextLengthError("too long"), 900, max_tokens=100) == 600
    assert room_after(ContextLengthError("too long", limit=1000), 900, max_tokens=100) == 600
    assert room_after(ContextLengthError("too long", limit=50), 900, max_tokens=100) == 0


def test_first_fitting_text_is_the_longest_that_fits() -> None:
    texts = ["ééé", "éé", "é"]
    assert first_fitting(texts, None) == (0, "ééé")
    assert first_fitting(texts, 4) == (1, "éé")
    assert first_fitting(texts, 0) == (2, "é")
    assert size_of("é") == 2


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("one two three", None, "one two three"),
        ("one two", 7, "one two"),
        ("one two three", 9, "one two …"),
        ("x" * 9, 4, "xxxx …"),
    ],
)
def test_cut_text_ends_between_words(text: str, most: int | None, expected: str) -> None:
    assert cut(text, most) == expected
