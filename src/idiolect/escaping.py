"""Text that is printed as what it is: characters that cannot be seen, or that affect a terminal, become escapes."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return `text` on one line and safe for a terminal, with unprintable characters escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
