"""Shorter prompts for a model that refused a longer one; used by Fermi's optimizer and by few-shot.

A server that refuses a prompt states its context in tokens. The room for another prompt is counted in bytes, at three
bytes a token, which is on the safe side for most texts: it depends on the context only, so that a run that resumes
shortens its prompts in the same way. If the next prompt is refused as well, the room shrinks by a third.
"""

from __future__ import annotations

from collections.abc import Iterable

from idiolect.errors import ContextLengthError

_BYTES_A_TOKEN = 3
BYTES_PER_TOKEN = 4  # of limits that the user sets in tokens, which are estimated, as every model has its own tokens
_SMALLER = 2 / 3
CUTS = (2000, 1000, 500, 200)  # characters that are left of each long text, from step to step


def room_after(error: ContextLengthError, refused: int, *, max_tokens: int) -> int:
    """Return the room, in bytes, for the next prompt.

    Args:
        error: the refusal.
        refused: size of the refused prompt, in bytes.
        max_tokens: number of tokens of the context that the answer takes.
    """
    smaller = int(refused * _SMALLER)
    if error.limit is None:
        return smaller
    return max(min((error.limit - max_tokens) * _BYTES_A_TOKEN, smaller), 0)


def size_of(text: str) -> int:
    """Return the size of a text in bytes."""
    return len(text.encode("utf-8", "replace"))


def fits(text: str, max_tokens: int) -> bool:
    """Return whether a text has at most this number of tokens, estimated as 4 bytes each."""
    return size_of(text) <= BYTES_PER_TOKEN * max_tokens


def first_fitting(texts: Iterable[str], room: int | None) -> tuple[int, str]:
    """Return the first text that fits into the room, and its place; the last one if none does.

    Args:
        texts: texts from the longest to the shortest; at least one.
        room: the room in bytes; None if everything fits.
    """
    found = (-1, "")
    for found in enumerate(texts):
        if room is None or size_of(found[1]) <= room:
            break
    return found


def cut(text: str, most: int | None) -> str:
    """Return the beginning of a text, between words, with "…" if it is longer than `most` characters; None: all."""
    if most is None or len(text) <= most:
        return text
    shorter = text[:most]
    return f"{shorter[: shorter.rfind(' ')] if ' ' in shorter[most // 2 :] else shorter} …"
