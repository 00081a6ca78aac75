"""Types of arguments at the public faces: a wrong one is an error that names the argument, before anything is done."""

from __future__ import annotations


def check_type(name: str, value: object, expected: type | tuple[type, ...], *, hint: str = "") -> None:
    """Check the type of an argument; its value, which may be somebody's text, is not shown.

    Args:
        name: the argument's name.
        value: the argument.
        expected: what it has to be, or several of which it has to be one.
        hint: what to do instead, where that is not plain.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(value, expected):
        kinds = expected if isinstance(expected, tuple) else (expected,)
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        found = f"the class {value.__name__}" if isinstance(value, type) else f"of type {type(value).__name__}"
        raise TypeError(f"{name} is {found}, must be {wanted}" + (f": {hint}" if hint else ""))
