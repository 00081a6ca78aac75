"""Normal forms of text, in which replies and choices are compared.

    typographic text → plain (quotes, dashes, blanks, width, contractions) → tokens (words, numbers, characters, marks)

A token is a word, a number, a character of a script without spaces (or a Hangul syllable), or a mark. Both sides go
through the same steps, so that "Don’t know" is "do not know", and "ＹＥＳ" is "yes".
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Literal

_DROPPED = (
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\ufe0f"
)
_REPLACED = {
    **dict.fromkeys("’‘‛′ʼ＇´`‚", "'"),
    **dict.fromkeys("“”„‟«»″＂「」『』《》〈〉【】〝〞", '"'),
    **dict.fromkeys("‐‑﹣－−", "-"),
    **dict.fromkeys("。｡．", ". "),
    **dict.fromkeys("，、､", ", "),
    "？": "? ",
    "！": "! ",
    "；": "; ",
    "：": ": ",
    "।": ". ",
    "؟": "? ",
    "،": ", ",
    "؛": "; ",
    "\u2028": "\n",
    "\u2029": "\n",
    "\r": "\n",
    "\v": "\n",
    "\f": "\n",
    "\u0085": "\n",
    **dict.fromkeys(_DROPPED, ""),
}
_TABLE = str.maketrans(_REPLACED)
_LONG_DASH = re.compile("(?<=[0-9])[‒–—―](?=[0-9])|[‒–—―]|(?<!-)--(?!-)")

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HANGUL = "\uac00-\ud7a3"
_COMBINING = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0970-\u0dff"
_LETTER = rf"[^\W_{_UNSPACED}{_HANGUL}]|[{_COMBINING}]"
_TOKEN = (
    rf"(?P<char>[{_UNSPACED}{_HANGUL}])"
    r"|(?P<number>(?<![\w.,/])[+-]?\d+(?:[.,/:]\d+)*(?![\w]))"
    rf"|(?P<word>(?:{_LETTER})+(?:'(?:{_LETTER})+)*)"
    r"|(?P<mark>\n+|\S)"
)
_compiled = cache(re.compile)

_NEGATED = r"do|does|did|is|are|was|were|would|could|should|have|has|had|must|need|might"
_CONTRACTIONS = (
    (re.compile(r"\b(?:can't|cannot|cant)\b", re.IGNORECASE), "can not"),
    (re.compile(r"\b(?:won't|wont)\b", re.IGNORECASE), "will not"),
    (re.compile(r"\bain't\b", re.IGNORECASE), "is not"),
    (re.compile(rf"\b({_NEGATED})n't\b", re.IGNORECASE), r"\1 not"),
    (re.compile(r"\b(do|does|did|is|are|was|were|would|could|should|has|had)nt\b", re.IGNORECASE), r"\1 not"),
    (re.compile(r"\b(i)'m\b", re.IGNORECASE), r"\1 am"),
    (re.compile(r"\b(it|that|there|he|she|here|what|who)'s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"\b(you|we|they)'re\b", re.IGNORECASE), r"\1 are"),
    (re.compile(r"\b(answer|choice|vote|pick|favou?rite|response|rating)'s\b", re.IGNORECASE), r"\1 is"),
    (re.compile(r"\b(\w+)'ll\b", re.IGNORECASE), r"\1 will"),
    (re.compile(r"\b(\w+)'ve\b", re.IGNORECASE), r"\1 have"),
    (re.compile(r"\b(\w+)'d\b", re.IGNORECASE), r"\1 would"),
)

TokenKind = Literal["word", "number", "char", "mark"]
_KINDS: dict[str, TokenKind] = {"word": "word", "number": "number", "char": "char", "mark": "mark"}


@dataclass(frozen=True, slots=True)
class Token:
    """A token of plain text.

    Args:
        text: the token, case-folded.
        cased: the token as it is written.
        kind: "char": a character of a script without spaces, or a Hangul syllable.
        start, end: its place in the plain text, in characters.
    """

    text: str
    cased: str
    kind: TokenKind
    start: int
    end: int


def plain(text: str) -> str:
    """Return the text in its normal form, with its case and its lines.

    Typographic and full-width characters become their plain forms, invisible ones vanish, a dash between words stands
    between blanks, and contractions are written out ("don't" → "do not").
    """
    text = _LONG_DASH.sub(lambda found: "-" if _between_digits(found) else " - ", text.translate(_TABLE))
    text = unicodedata.normalize("NFKC", text).translate(_TABLE)
    text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    if "'" in text or "nt" in text or "annot" in text:
        for pattern, replacement in _CONTRACTIONS:
            text = pattern.sub(replacement, text)
    return text


def folded(text: str) -> str:
    """Return the text's normal form on one line and without case."""
    return " ".join(plain(text).casefold().split())


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of plain text, in order."""
    found = []
    for match in _compiled(_TOKEN).finditer(text):
        kind = _KINDS[match.lastgroup or "mark"]
        cased = match[0]
        found.append(Token(_normal_token(cased, kind), cased, kind, match.start(), match.end()))
    return found


def _normal_token(cased: str, kind: str) -> str:
    return "\n" if cased.startswith("\n") else cased.casefold() if kind == "word" else cased


def _between_digits(found: re.Match[str]) -> bool:
    text, start, end = found.string, found.start(), found.end()
    return start > 0 and end < len(text) and text[start - 1].isdigit() and text[end].isdigit()
