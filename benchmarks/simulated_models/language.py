"""What simulated texts can state, and how it is written and read.

Optimizers write these sentences and responders look for them, wherever they stand:

    On taxes in general they are strongly for.            a rule about a topic
    Asked about income tax they were strongly for.        an answer, memorized
    They go to the ends of the scale when they agree.     the use of the scale

There are four choices, and a stance is the place of its choice, 0 to 3.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect import Question

CHOICES = ("Strongly agree", "Somewhat agree", "Somewhat disagree", "Strongly disagree")
STANCES = ("strongly for", "mildly for", "mildly against", "strongly against")
SIDES = ("agree", "disagree")
EXTENTS = ("go to the ends", "stay in the middle")
TOPICS = {
    "taxes": ("income tax", "sales tax", "wealth tax", "property tax", "inheritance tax", "carbon tax",
              "capital gains tax", "tax credits"),
    "schools": ("school uniforms", "school vouchers", "longer school days", "school lunches", "school exams",
                "school sports", "school funding", "school phones"),
    "transport": ("bike transport lanes", "transport tolls", "public transport buses", "rail transport",
                  "transport parking fees", "transport speed limits", "electric transport", "airport transport"),
    "health": ("health insurance", "health screening", "health campaigns", "health labels", "health clinics",
               "mental health", "health records", "health spending"),
    "work": ("work from home", "work weeks", "minimum wage work", "work unions", "contract work", "work visas",
             "overtime work", "work monitoring"),
    "media": ("media censorship", "media age limits", "public media", "media ownership", "media advertising",
              "media trust", "media subscriptions", "media checks"),
}  # fmt: skip
SCATTERED = TOPICS | {
    "health": ("insurance mandates", "cancer screening", "vaccine campaigns", "food labels", "clinics", "therapy",
               "patient registers", "hospital spending"),
    "work": ("remote offices", "shorter weeks", "minimum wages", "union rights", "gig contracts", "seasonal visas",
             "overtime pay", "desk monitoring"),
    "media": ("press censorship", "age limits", "broadcasters", "newspaper ownership", "advertising", "journalism",
              "subscriptions", "fact checks"),
}  # fmt: skip
"""The same topics, of which three have no word in common: the nearest examples are then seldom on the topic."""

Kind = Literal["topic", "item", "scale"]

_TOPIC_OF = {item: topic for topics in (TOPICS, SCATTERED) for topic, items in topics.items() for item in items}
_ITEM = re.compile(r"should expand ([a-z -]+)\?")
_STANCE = "|".join(STANCES)
_STATEMENT = re.compile(
    rf"On (?P<topic>{'|'.join(TOPICS)}) in general they are (?P<stance>{_STANCE})\."
    rf"|Asked about (?P<item>[a-z -]+) they were (?P<said>{_STANCE})\."
    rf"|They (?P<extent>{'|'.join(EXTENTS)}) of the scale when they (?P<side>{'|'.join(SIDES)})\."
)


@dataclass(frozen=True)
class Statement:
    """One sentence: a stance on a topic or an item, or 0 (the ends) or 1 (the middle) for a side of the scale."""

    kind: Kind
    about: str
    value: int

    def __str__(self) -> str:
        if self.kind == "topic":
            return f"On {self.about} in general they are {STANCES[self.value]}."
        if self.kind == "item":
            return f"Asked about {self.about} they were {STANCES[self.value]}."
        return f"They {EXTENTS[self.value]} of the scale when they {self.about}."


def statements(text: str) -> list[Statement]:
    """All that a text states, in order."""
    found = []
    for match in _STATEMENT.finditer(text):
        if match["topic"]:
            found.append(Statement("topic", match["topic"], STANCES.index(match["stance"])))
        elif match["item"]:
            found.append(Statement("item", match["item"], STANCES.index(match["said"])))
        else:
            found.append(Statement("scale", match["side"], EXTENTS.index(match["extent"])))
    return found


def merged(old: Iterable[Statement], new: Iterable[Statement]) -> list[Statement]:
    """The old statements without those that a new one replaces, and the new ones behind them."""
    known = {(each.kind, each.about): each for each in old}
    for each in new:
        known.pop((each.kind, each.about), None)
        known[each.kind, each.about] = each
    return list(known.values())


def question(item: str) -> Question:
    """The question about an item."""
    return Question(f"Do you agree that the government should expand {item}?", CHOICES, ordinal=True)


def items_in(text: str) -> list[str]:
    """The items that questions in the text are about, in order."""
    return _ITEM.findall(text)


def topic_of(item: str) -> str:
    """An item's topic."""
    return _TOPIC_OF[item]


def side_of(choice: int) -> str:
    """Whether a choice agrees."""
    return SIDES[choice >= 2]


def choice_of(side: str, extent: int) -> int:
    """The choice on a side of the scale, at its end (0) or in the middle (1)."""
    return extent if side == SIDES[0] else 3 - extent


def extent_of(choice: int) -> int:
    """0 for the ends of the scale, 1 for the middle."""
    return 0 if choice in (0, 3) else 1


def named_choice(text: str) -> int | None:
    """The only choice that a reply names word for word; None if it names none or several."""
    named = [place for place, choice in enumerate(CHOICES) if choice in text]
    return named[0] if len(named) == 1 else None


def most_common(values: Sequence[int]) -> int:
    """The most frequent value; of equals the one that comes last."""
    return max(reversed(values), key=values.count)


def share(*key: object) -> float:
    """A number in [0, 1) that depends on the key alone."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "big") / 2**64
