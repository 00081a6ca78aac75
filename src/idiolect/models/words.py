"""Splitting text of any script into words, for BM25, for ROUGE-L and for finding quotes of a question."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

# In scripts without spaces between words, each character counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+"
_WORD_WITH_UNDERSCORES = rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+"

_compiled = cache(re.compile)  # at the first text: these two take 10 ms to compile


def words_of(text: str, *, with_underscores: bool = False) -> list[str]:
    """Return the words of a text, in order; compatible forms of a character count as the same one.

    Args:
        text: any text; its case is kept.
        with_underscores: count "_" as a letter, so that `snake_case` and a blank to be filled in ("____") are one word
            each; survey questions share their blanks. Otherwise words are letters and digits only, because models
            write _emphasis_ around quotes.
    """
    pattern = _WORD_WITH_UNDERSCORES if with_underscores else _WORD
    return _compiled(pattern).findall(unicodedata.normalize("NFKC", text))
