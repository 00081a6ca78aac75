"""The words of a text in any script, for comparing what people and models wrote: ROUGE-L, and quotes of questions."""

from __future__ import annotations

import re
import unicodedata

# Where a script writes no spaces between words, each of its characters is one.
_UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words_of(text: str) -> list[str]:
    """Letters and digits only, in order; compatible forms of a character count as the same one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text))
