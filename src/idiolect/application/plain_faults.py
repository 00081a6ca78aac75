"""Faults of settings in plain words: what pydantic finds in a configuration, as the person who wrote it would say it.

configuration file, options → pydantic → ErrorDetails → `in_words` → SettingsError
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic_core import ErrorDetails

_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "model_type": "must be an object with settings",
    "dict_type": "must be an object with settings",
    "too_short": "has too few values",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
}


def in_words(fault: ErrorDetails, known: Iterable[str]) -> str:
    """Return a fault with the name of its setting; no value is repeated.

    Args:
        fault: what pydantic found.
        known: names of the settings of the first level; an unknown name may be meant to be one of them.
    """
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{name}: there is no such setting{near_name(name, known) if len(fault['loc']) == 1 else ''}"
    template = _WORDS.get(fault["type"])
    if template is None:
        words = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    else:
        words = template.format(**fault.get("ctx", {}))
    return f"{name}: {words}" if name else words


def near_name(name: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the end of a sentence that asks whether another name was meant; "" if none is alike.

    Args:
        name: a name that is not known.
        known: the names that are.
        cutoff: how alike the other one has to be, in [0, 1].
    """
    near = get_close_matches(name, known, n=1, cutoff=cutoff)
    return f"; did you mean {near[0]}?" if near else ""
