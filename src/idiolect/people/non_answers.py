"""Entries of surveys that stand for no answer at all, in the form of `typography.folded`, without marks around them.

"Don't know" and "Not sure" are missing on purpose: they are answers that a person can choose.
"""

from __future__ import annotations

import re

from idiolect.people.typography import folded

MAX_CHARACTERS = 60
"""Maximum length of an entry that can stand for no answer."""

_NUMBER = re.compile(r"^-?\d{1,4}\s*[-=:.)]\s*(?=[^\W\d])")  # "99 = Refused"
_AROUND = " .*()[]<>#!"
NON_ANSWERS = frozenset(
    {
        "refused",
        "refusal",
        "refused/no answer",
        "refused to answer",
        "dk/ref",
        "dk/refused",
        "don't know/refused",
        "unit nonresponse",
        "item nonresponse",
        "declined to answer",
        "decline to answer",
        "prefer not to say",
        "i prefer not to say",
        "prefer not to answer",
        "i prefer not to answer",
        "prefer not to disclose",
        "prefer not to state",
        "prefer not to respond",
        "i prefer not to disclose",
        "i would prefer not to say",
        "i'd prefer not to say",
        "i'd rather not say",
        "i would rather not say",
        "do not wish to answer",
        "i do not wish to answer",
        "rather not say",
        "no answer",
        "no response",
        "not answered",
        "not asked",
        "skipped",
        "missing",
        "n/a",
        "n.a",
        "not applicable",
        "does not apply",
        "system missing",
        "seen but not answered",
        "na",
        "nan",
        "null",
        "none given",
        "keine angabe",
        "k. a",
        "k.a",
        "sans reponse",
        "sans réponse",
        "ne se prononce pas",
        "no contesta",
        "ns/nc",
    }
)


def is_no_answer(entry: str) -> bool:
    """Return whether an entry stands for no answer, in any spelling: "(Refused)", "#N/A", "99 = Refused", ".", "--"."""
    if len(entry) > MAX_CHARACTERS:
        return False
    bare = folded(entry)
    return not bare.strip(f"{_AROUND}-") or _NUMBER.sub("", bare).strip(_AROUND) in NON_ANSWERS
