"""Python literals in the cells of published tables, such as "['Yes', 'No']": read without evaluating anything.

Below the readers of OpinionQA and GlobalOpinionQA, whose authors wrote their tables with pandas.
"""

from __future__ import annotations

import ast
import warnings
from typing import Any

MAX_CHARACTERS = 131_072
_MAX_DEPTH = 20


class UnreadableLiteralError(ValueError):
    """Not a literal of numbers, texts, lists and dicts; the message shows nothing of it."""


def python_literal(text: str) -> Any:
    """The value that a literal stands for.

    Raises:
        UnreadableLiteralError: anything else than a literal, or one that is too long or too deep.
    """
    if len(text) > MAX_CHARACTERS:
        raise UnreadableLiteralError(f"is longer than {MAX_CHARACTERS:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in a text
            tree = ast.parse(text.strip(), mode="eval")
        _check_depth(tree.body)
        return ast.literal_eval(tree)
    except UnreadableLiteralError:
        raise
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, OverflowError):
        raise UnreadableLiteralError("is not a Python literal") from None


def _check_depth(tree: ast.AST) -> None:
    level = [tree]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return
    raise UnreadableLiteralError(f"is nested more than {_MAX_DEPTH} levels deep")


def text_list(text: str) -> list[str]:
    """A list of texts; numbers in it become their text, whole ones without a decimal point.

    Raises:
        UnreadableLiteralError: not a list of texts and numbers.
    """
    value = python_literal(text)
    if not isinstance(value, list | tuple):
        raise UnreadableLiteralError("is not a list")
    return [plain_text(item) for item in value]


def plain_text(value: object) -> str:
    """A text, or a number as text.

    Raises:
        UnreadableLiteralError: neither.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableLiteralError("holds something else than texts and numbers")
    try:
        return str(int(value)) if value == int(value) else str(value)
    except (ValueError, OverflowError):  # infinite, or beyond Python's limit on digits
        raise UnreadableLiteralError("holds a number without end") from None
