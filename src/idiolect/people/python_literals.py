"""Python literals in the cells of published tables, such as "['Yes', 'No']", read without evaluating any code.

Below the readers of OpinionQA, GlobalOpinionQA and PersonaMem, whose authors wrote their tables with pandas.
"""

from __future__ import annotations

import ast
import warnings
from typing import Any

MAX_CHARACTERS = 131_072
_MAX_DEPTH = 20


class UnreadableLiteralError(ValueError):
    """A text that is not a literal of numbers, texts, lists and dicts; the message shows nothing of it."""


def python_literal(text: str) -> Any:
    """Return the value of a literal.

    Raises:
        UnreadableLiteralError: the text is not a literal, or is too long or too deeply nested.
    """
    if len(text) > MAX_CHARACTERS:
        raise UnreadableLiteralError(f"is longer than {MAX_CHARACTERS:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about invalid escapes in a text
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
    """Read a list of texts; numbers in it become text, whole ones without a decimal point.

    Raises:
        UnreadableLiteralError: the literal is not a list of texts and numbers.
    """
    value = python_literal(text)
    if not isinstance(value, list | tuple):
        raise UnreadableLiteralError("is not a list")
    return [plain_text(item) for item in value]


def plain_text(value: object) -> str:
    """Return a text without outer blanks, or a number as text.

    Raises:
        UnreadableLiteralError: the value is neither text nor a number, or the number is infinite or too long.
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UnreadableLiteralError("contains values other than texts and numbers")
    try:
        return str(int(value)) if value == int(value) else str(value)
    except (ValueError, OverflowError):  # infinite, or beyond Python's limit on digits
        raise UnreadableLiteralError("contains a number that is not finite or too long") from None
