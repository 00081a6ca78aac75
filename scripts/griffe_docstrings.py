"""An extension of griffe (see mkdocs.yml): two habits of our docstrings in the form that the reference needs.

Parameters that share a line get one each, because griffe knows one a line only, and warns about others:

    low, high: the interval's ends.     →     low: the interval's ends.
                                              high: the interval's ends.

Text in columns is shown as it stands, also where it is not indented (`ruff format` takes the indentation away if
nothing follows it).
"""

from __future__ import annotations

import re
from typing import Any

import griffe

# In a docstring as griffe has it, the lines of "Args:" are indented by 4, and those that go on by more.
_SHARED = re.compile(r"^ {4}(?P<names>\w+(?:, \w+)+):(?P<text>.*(?:\n {5,}.*)*)", re.MULTILINE)
_COLUMNS = re.compile(r"(?<=\n\n)(?:\S.*?\S {2,}\S.*(?:\n|\Z)){2,}(?=\n|\Z)")


class HouseDocstrings(griffe.Extension):
    """Changes docstrings before they are parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change an object's docstring."""
        del kwargs
        if obj.docstring is not None:
            text = _SHARED.sub(_split, obj.docstring.value)
            obj.docstring.value = _COLUMNS.sub(lambda columns: re.sub(r"(?m)^(?=.)", "    ", columns[0]), text)


def _split(shared: re.Match[str]) -> str:
    return "\n".join(f"    {name}:{shared['text']}" for name in shared["names"].split(", "))
