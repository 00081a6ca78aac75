from __future__ import annotations

import pytest

from idiolect.models.words import words_of


@pytest.mark.parametrize(
    ("text", "words", "with_underscores"),
    [
        ("snake_case name", ["snake", "case", "name"], ["snake_case", "name"]),
        ("it is ____.", ["it", "is"], ["it", "is", "____"]),
        ("_Yes_", ["Yes"], ["_Yes_"]),
        ("Ｔｅａ １２", ["Tea", "12"], ["Tea", "12"]),
        ("cafe\u0301", ["café"], ["café"]),
        ("黒い猫 cat", ["黒", "い", "猫", "cat"], ["黒", "い", "猫", "cat"]),
        (" ?! ", [], []),
    ],
)
def test_words_of_any_script(text: str, words: list[str], with_underscores: list[str]) -> None:
    assert words_of(text) == words
    assert words_of(text, with_underscores=True) == with_underscores
