"""Type checks for arguments of the public API: a wrong type is an error that names the argument, before any work."""

from __future__ import annotations


def check_type(name: str, value: object, expected: type | tuple[type, ...], *, hint: str = "") -> None:
    """Check the type of an argument. The error does not show the value, which may be somebody's text.

    Args:
        name: name of the argument.
        value: the argument.
        expected: accepted type or types.
        hint: advice for the error's message; "": none.

    Raises:
        TypeError: the value has another type.
    """
    if not isinstance(value, expected):
        kinds = expected if isinstance(expected, tuple) else (expected,)
        wanted = " or ".join("None" if kind is type(None) else kind.__name__ for kind in kinds)
        found = f"the class {value.__name__}" if isinstance(value, type) else f"of type {type(value).__name__}"
        raise TypeError(f"{name} is {found}, must be {wanted}" + (f": {hint}" if hint else ""))
