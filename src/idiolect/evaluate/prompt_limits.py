"""Limits on the prompts that answer, as a part of an arm's name: `fermi[at most 200 prompt tokens]`.

    plan → limit_remark → Arm → limit_of → curves over prompt tokens

The words in brackets are no setting that a user could write. So they are never mistaken for a method that also learned
under the limit, such as `fermi[hybrid.max_prompt_tokens=200]`.
"""

from __future__ import annotations

import re
from dataclasses import replace

from idiolect.evaluate.records import Arm

_REMARK = re.compile(r"([\[,])at most (\d+) prompt tokens\]$")


def limit_remark(limit: int) -> str:
    """Return the remark on a limit, in tokens, for the brackets after a method's name."""
    return f"at most {limit} prompt tokens"


def limit_of(arm: Arm) -> tuple[Arm, int] | None:
    """Return the arm without the limit on the prompts that answer, and the limit in tokens; None if it has none."""
    found = _REMARK.search(arm.method)
    if found is None:
        return None
    rest = arm.method[: found.start()]
    return replace(arm, method=rest + "]" if found[1] == "," else rest), int(found[2])
