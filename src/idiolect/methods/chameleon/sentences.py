"""The end of a text's last whole sentence, for texts that were cut off at a limit of tokens (`preferences`).

    a mark (. ! ? … and those of other scripts), then closing quotation marks and brackets, then a blank or the end

A full-width mark needs no blank after it. No sentence ends after a single letter ("e.g.", "J."), after a title ("Mr.")
or after the number of a list's item. Other abbreviations count as ends; a text without such marks has no end.
"""

from __future__ import annotations

import re

_CLOSING = r"""["'”’“»›)\]}*_」』）】》〉］]"""
_END = re.compile(
    rf"(?:[.!?…؟۔।॥։።]+(?:[ \u00a0\u202f](?=[»›]))?{_CLOSING}*(?=\s|\Z))|(?:[。！？．｡]+{_CLOSING}*)"
)  # French has a blank before »
_NO_END = re.compile(r"(?:(?<![^\W\d_])[^\W\d_]|\b(?:Mr|Mrs|Ms|Dr|Prof|St)|^[^\S\n]*\d+)\.\Z", re.MULTILINE)
_LOOK_BACK = 24  # characters before a full stop that decide whether it ends a sentence


def whole_sentences(text: str) -> str:
    """Return the text up to the end of its last whole sentence; "" if it has none."""
    for found in reversed(list(_END.finditer(text))):
        start, end = found.span()
        if found[0] != "." or not _NO_END.search(text, max(start - _LOOK_BACK, 0), end):
            return text[:end]
    return ""
