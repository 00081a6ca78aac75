"""Phrases that mark a final answer ("Final answer: …", "the answer is …", "答案:…"), in several languages.

plain text → spans behind the marks, each with its rank: a final answer before an answer, that before a conclusion
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

FINAL, ANSWER, CONCLUSION = 3, 2, 1

_NOUN = r"answer|choice|response|option|selection|verdict|prediction|rating|reply|pick|vote|score"
_SIGN = r"\s*\"?\s*(?:[:=]|->|=>|→|⇒|➜)+"
_IS = r"(?:\s*\"?\s*(?:is|are|was|would be|will be|must be|should be|remains|becomes)\b\s*[:=]?)"
_FINAL = (
    rf"\b(?:final|ultimate)\s+(?:{_NOUN}|decision|conclusion)\b(?:{_SIGN}|{_IS})",
    r"(?:^|\n)\s*####\s*",
)
_ANSWER = (
    rf"(?:^|[\n.!?;({{\[\"]|\b(?:the|my|their|his|her|your|this|best|correct|selected|chosen|likely|final)\s)\s*"
    rf"(?:{_NOUN}|answer choice|selected option|chosen option){_SIGN}",
    rf"\bmy\s+(?:{_NOUN})\b[^.:\n]{{0,160}}\bis\s*:",
    r"(?:^|\n)\s*(?:selected|chosen|picked)\s*:",
    r"\bI (?:choose|pick|select|answer|vote)\s*:",
    rf"\b(?:the|my|their|his|her|this|best|correct|right|likely|s)\s+(?:{_NOUN})(?:\s+(?:here|then|to this|to that|"
    rf"to this question|to the question|in this case|for them|for this person|for me|i would give|"
    rf"would therefore|therefore))?{_IS}",
    r"(?:答案|回答|选择|選擇|选项|答え|回答|答|結論|结论)\s*(?:是|为|為|は)?\s*(?:[:=]|是|为|為|は)",
    r"(?:我?选择?|我?選擇?)\s*(?=[A-Z](?![a-z]))",
    r"(?:정답|대답|답변|답|선택)\s*(?:은|는)?\s*(?::|은|는)",
    r"คำตอบ(?:ของฉัน|ของผม)?\s*(?::|คือ|เป็น)",
    r"\b(?:antwort|auswahl)\b(?:\s+(?:ist|lautet|wäre))?\s*:?(?<=[:tea])",
    r"\b(?:réponse|choix)\b\s*(?:est|serait|:)+\s*:?",
    r"\b(?:respuesta|elección|resposta|risposta)\b\s*(?:final)?\s*(?:es|sería|é|seria|è|sarebbe|:)+\s*:?",
    r"\b(?:antwoord|svar)\b\s*(?:is|är|er|:)+\s*:?",
    r"(?:ответ)\s*(?:[:=]|-)",
    r"(?:الإجابة|الجواب|إجابتي)\s*(?:هي|هو)?\s*:?",
    r"(?:उत्तर|जवाब)\s*(?:है)?\s*:",
)
_CONCLUSION = (
    r"\b(?:so|thus|hence|verdict|decision)\s*:",
    r"\b(?:which|that) (?:means|falls in(?:to)?|puts (?:me|us) (?:in|at))\b",
    r"\bchange my (?:answer|choice|vote|mind)\s+to\b",
    r"\b(?:so )?on balance\b,?",
    r"\b(?:therefore|in conclusion|all things considered|overall|in the end|ultimately|in summary|to sum up|"
    r"on balance|in short|so overall|conclusion)\b\s*[,:]",
    r"(?:->|=>|→|⇒)\s*(?=[^\n]{1,80}$)",
)
_MOST_SPANS = 20  # the last ones


@dataclass(frozen=True, slots=True)
class Marked:
    """What stands behind a mark of a final answer: its place in the text up to the end of the line, and its rank.

    `explicit` is whether a colon or another sign introduces it, so that it must be an answer.
    """

    start: int
    end: int
    rank: int
    explicit: bool


@cache
def _pattern(rank: int) -> re.Pattern[str]:
    parts = {FINAL: _FINAL, ANSWER: _ANSWER, CONCLUSION: _CONCLUSION}[rank]
    return re.compile("|".join(f"(?:{part})" for part in parts), re.IGNORECASE)


def marked_in(text: str, rank: int) -> list[Marked]:
    """Return the spans behind the marks of a rank in plain text, in order."""
    return list(_spans(text, rank))[-_MOST_SPANS:]


def _spans(text: str, rank: int) -> Iterator[Marked]:
    for found in _pattern(rank).finditer(text):
        start = found.end()
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        if not text[start:end].strip(" \"'*:.-=>"):  # the answer stands on the next line
            start = end
            while start < len(text) and text[start] in '\n "':
                start += 1
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
        if start < len(text):
            yield Marked(start, end, rank, found[0].rstrip(' "')[-1:] in ":=>→⇒➜#")
