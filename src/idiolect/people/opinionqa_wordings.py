"""Who was asked which wording, for OpinionQA's questions that were put in one wording per group of people.

WaveQuestion, several with one key + Attribute → Wordings → the question that a person was asked

In wave 43, `info.csv` has a row for each racial group ("How important is being white …", "… being black …") and
`responses.csv` one column for all of them. A wording belongs to the people whose value of an attribute it names. One
wording may name nobody ("your racial background"); it belongs to the people with the other published values.
Whatever cannot be attributed in this way is left out: nobody is ever asked what another group was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from idiolect.people.opinionqa_questions import Attribute, WaveQuestion

_ALSO_CALLED = {
    "male": ("man", "men", "boy"),
    "female": ("woman", "women", "girl"),
    "black": ("African American",),
    "hispanic": ("Latino", "Latina"),
    "roman catholic": ("Catholic",),
}
_SAYS_NOTHING = frozenset({"other", "yes", "no", "never", "seldom"})  # values that any sentence may contain


@dataclass(frozen=True, slots=True)
class Wordings:
    """The wordings of one key.

    Args:
        attribute: key of the attribute that decides, a column of `responses.csv`.
        of_value: the wording by the attribute's value, in lower case.
    """

    attribute: str
    of_value: Mapping[str, WaveQuestion]

    def asked_of(self, value: str) -> WaveQuestion | None:
        """Return the wording for people with a value of the attribute; None if it is not known."""
        return self.of_value.get(value.strip().casefold())


def wordings_by_group(questions: Sequence[WaveQuestion], attributes: Mapping[str, Attribute]) -> Wordings | None:
    """Return who was asked which of several wordings; None if their texts do not show it.

    Args:
        questions: the wordings of one key, at least two.
        attributes: the attributes of the wave.
    """
    found = [(key, named) for key, attribute in attributes.items() if (named := _named(questions, attribute.values))]
    most = max((len(named) for _, named in found), default=0)
    best = [(key, named) for key, named in found if len(named) == most]
    if len(best) != 1:  # no attribute fits, or several fit equally well
        return None
    key, named = best[0]
    of_value = {value.casefold(): questions[place] for value, place in named.items()}
    others = [question for place, question in enumerate(questions) if place not in named.values()]
    if len(others) == 1:
        of_value |= {v.casefold(): others[0] for v in attributes[key].values if v.casefold() not in of_value}
    return Wordings(key, of_value)


def _named(questions: Sequence[WaveQuestion], values: Iterable[str]) -> dict[str, int]:
    """Return the place of the wording that names each value; empty if that does not tell the wordings apart.

    A value in several wordings is part of their subject, not the group that is asked.
    """
    named: dict[str, list[int]] = {value: [] for value in values}
    for place, question in enumerate(questions):
        for value in _named_in(question.question.text, named):
            named[value].append(place)
    named = {value: places for value, places in named.items() if places and len(places) < len(questions)}
    if any(len(places) > 1 for places in named.values()):
        return {}
    of_value = {value: places[0] for value, places in named.items()}
    unnamed = len(questions) - len(set(of_value.values()))
    return of_value if unnamed <= 1 or len(set(of_value.values())) > 1 else {}


def _named_in(text: str, values: Iterable[str]) -> list[str]:
    """Return the values that a text names; "Very liberal" does not also name "Liberal"."""
    found = []
    for value in sorted(values, key=len, reverse=True):
        folded = value.casefold()
        terms = "|".join(map(re.escape, (value, *_ALSO_CALLED.get(folded, ()))))
        left, times = re.subn(rf"(?<!\w)(?:{terms})(?:s|es)?(?!\w)", " ", text, flags=re.IGNORECASE)
        if times and folded not in _SAYS_NOTHING:
            found.append(value)
            text = left
    return found
