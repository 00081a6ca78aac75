"""The conversations of PersonaMem's personas, and the profiles that their system messages state.

shared_contexts_32k.jsonl: {"<shared_context_id>": [{"role": "system", "content": "Current user persona: …"}, …]}

Below `personamem.py`. A line has the messages of one shared context, and may be megabytes long; only the contexts that
questions refer to are kept, and of these the persona's own messages.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from idiolect.people.broken_records import BrokenRecordsLog
from idiolect.people.json_lines_file import read_objects
from idiolect.people.user import UserProfile, unstorable_part

DESCRIPTION = "Description"
"""Name of the profile's attribute with all that a system message states in whole sentences."""

_INTRODUCTION = re.compile(r"^\s*current user persona\s*:", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"^([A-Z][\w /-]{0,38}\w)\s*:\s*(\S.*)$")
_SPEAKER = re.compile(r"^User\s*:\s*")


@dataclass(frozen=True, slots=True)
class Context:
    """A shared context.

    Args:
        profile: what its first system message states of the persona; may be empty.
        n_messages: number of its messages, of all roles.
        said: the persona's own messages, each with the number of messages that precede it.
    """

    profile: UserProfile
    n_messages: int
    said: tuple[tuple[int, str], ...]

    def said_before(self, end: int) -> tuple[str, ...]:
        """Return the persona's messages among the first `end` messages."""
        return tuple(text for index, text in self.said if index < end)


def read_contexts(path: Path, wanted: AbstractSet[str], log: BrokenRecordsLog) -> dict[str, Context]:
    """Read the wanted contexts.

    Raises:
        DatasetError: the file cannot be read, or is not JSON Lines.
    """
    found: dict[str, Context] = {}
    for place, value in read_objects(path, log):
        for key, messages in value.items():
            if key not in wanted:
                continue
            try:
                if key in found:
                    raise ValueError("its id is that of an earlier context")
                found[key] = _context(messages)
            except ValueError as error:
                log.add(place, str(error))
    return found


def _context(messages: Any) -> Context:
    if not isinstance(messages, list) or not all(map(_is_message, messages)):
        raise ValueError("its messages are not a list of objects with role and content")
    system = next((each["content"] for each in messages if each["role"] == "system"), "")
    said = ((n, _SPEAKER.sub("", each["content"]).strip()) for n, each in enumerate(messages) if each["role"] == "user")
    kept = tuple((n, text) for n, text in said if text and not unstorable_part(text))
    return Context(profile_of(system), len(messages), kept)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def profile_of(system: str) -> UserProfile:
    """Return the profile that a system message states: its lines "Name: value", and the rest as a description.

    Raises:
        ValueError: a text cannot be stored.
    """
    attributes: dict[str, str] = {}
    description: list[str] = []
    for line in _INTRODUCTION.sub("", system).splitlines():
        match = None if description else _ATTRIBUTE.match(line.strip())
        if match and match[1] not in attributes:
            attributes[match[1]] = match[2].strip()
        elif line.strip():
            description.append(" ".join(line.split()))
    if description:
        attributes[DESCRIPTION] = " ".join(description)
    return UserProfile(attributes)
