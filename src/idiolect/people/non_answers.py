"""Entries of surveys that stand for no answer at all, in the form of `typography.folded`.

"Don't know" and "Not sure" are missing on purpose: they are answers that a person can choose.
"""

from __future__ import annotations

NON_ANSWERS = frozenset(
    {
        "refused",
        "refusal",
        "(refused)",
        "refused/no answer",
        "refused to answer",
        "declined to answer",
        "decline to answer",
        "prefer not to say",
        "i prefer not to say",
        "prefer not to answer",
        "i prefer not to answer",
        "rather not say",
        "no answer",
        "no response",
        "not answered",
        "not asked",
        "skipped",
        "missing",
        "n/a",
        "na",
        "#n/a",
        "nan",
        "<na>",
        "null",
        "none given",
        "keine angabe",
        "k. a.",
        "k.a.",
        "sans reponse",
        "sans réponse",
        "ne se prononce pas",
        "no contesta",
        "ns/nc",
    }
)
