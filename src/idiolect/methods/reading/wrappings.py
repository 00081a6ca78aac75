"""What stands around an answer: chat tokens, code fences, JSON, XML, LaTeX and Markdown.

    reply → unwrapped → plain text, and the values that a structure marks as the answer

A structure decides: the value of an "answer" field, an `<answer>` element or `\\boxed{…}` is a marked final answer.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_TURN_END = re.compile(
    r"<\|(?:im_end|im_start|endoftext|end_of_text|eot_id|eom_id|end|user|assistant|system|return|start)\|>"
    r"|</s>|<s>|<eos>|<bos>|<end_of_turn>|<start_of_turn>|\[/?INST\]|<｜end▁of▁sentence｜>|<turn\|>"
)
_COMMENT = re.compile(r"<!--.{0,2000}?-->", re.DOTALL)
_WRITTEN_BREAKS = re.compile(r"^(?:\\[nr])+(?![a-z])|(?:\\[nr])+$")  # a backslash and an n, at either end
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$", re.MULTILINE)
_ANSWER_TAG = r"final_?answer|answer|choice|response|result|output|selection|option|label"
_ELEMENT = re.compile(
    rf"<({_ANSWER_TAG})\b[^<>]{{0,80}}>((?:(?!</?(?:{_ANSWER_TAG})\b).){{0,2000}})</\1\s*>", re.I | re.S
)
_TAG = re.compile(r"</?[a-zA-Z][\w:-]{0,30}(?:\s[^<>]{0,200})?/?>")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{((?:[^{}]|\{[^{}]*\}){0,500})\}")
_LATEX_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|emph|texttt)\s*\{([^{}]{0,500})\}")
_CALL = re.compile(rf"\b(?:{_ANSWER_TAG})\s*[\[(]\s*([^\[\]()]{{1,500}}?)\s*[\])]\s*;?\s*$", re.I)
_OBJECT = re.compile(r"\{[^{}]{0,4000}\}")
_BOLD = re.compile(
    r"\*\*\*|\*\*|__|(?<![\w*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\w*])|(?<!\w)_(?=\w)|(?<=[\w.!?])_(?!\w)|~~|`+"
)
_STAGE_DIRECTION = re.compile(  # *sips coffee*
    r"(?:^|(?<=[.!?…\n] ))\*[a-z]+(?:s|ing) [^*\n]{1,80}\*(?= ?\S)", re.MULTILINE
)
_LINE_START = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]*|[-*+•–][ \t]+)+", re.MULTILINE)
_STRUCK = re.compile(r"~~[^~\n]{1,500}~~")
_BOXES = re.compile(r"(?<=\S)[ \t]+(?=(?:☐|☑|☒|✅|\[[ xX✓✔]\])\s)")
_TICKED_ROW = re.compile(r"^[ \t]*\|[ \t]*([^|\n]+?)[ \t]*\|[ \t]*(?:[xX✓✔☑✅]|\[[xX]\])[ \t]*\|?[ \t]*$", re.MULTILINE)
_EMPTY_ROW = re.compile(r"^[ \t]*\|[ \t]*[^|\n]+\|[ \t]*\|?[ \t]*$", re.MULTILINE)
_TICKED = re.compile(r"^[ \t]*(?:[-*+][ \t]*)?(?:\[[xX✓✔]\]|☑|☒|✅|\([xX]\))[ \t]*(.+)$", re.MULTILINE)
_UNTICKED = re.compile(r"^[ \t]*(?:[-*+][ \t]*)?(?:\[ ?\]|☐|\( \))", re.MULTILINE)

_FIELDS = (
    "final_answer", "finalanswer", "answer", "choice", "selected_choice", "selected_option", "selected", "selection",
    "option", "response", "result", "prediction", "label", "value", "output", "reply", "rating", "score", "text",
)  # fmt: skip
_FLAGS = ("selected", "is_selected", "chosen", "checked", "is_answer", "correct")
_DESCRIBING = ("question", "choices", "options", "reason", "reasoning", "explanation", "thought", "confidence", "id")
_MOST_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A reply without its wrappings.

    Args:
        text: the text, without markup.
        marked: what a structure marks as the answer, each in the order of the reply.
        structured: whether the whole reply is a structure, so that nothing else in it is an answer.
    """

    text: str
    marked: tuple[str, ...] = ()
    structured: bool = False


def unwrapped(reply: str) -> Unwrapped:
    """Return the reply's text without wrappings, and the answers that they mark."""
    text = _COMMENT.sub(" ", _without_turn_ends(html.unescape(reply)))
    text = _WRITTEN_BREAKS.sub("\n", text)
    text = _BOXES.sub("\n", _STRUCK.sub(" ", _FENCE.sub("", text))).strip()
    text = text.strip("`").strip() if text.startswith("```") and text.endswith("```") else text
    parsed, is_structure = _parsed(text)
    if is_structure:
        found = tuple(_answers(parsed))
        return Unwrapped(text if not found else "\n".join(found), found, structured=True)
    marked = [*_marked_in(text)]
    text = _TAG.sub(" ", _LATEX_TEXT.sub(r"\1", text))
    text = _BOX.sub(r" \1 ", text).replace("$$", " ").replace("\\(", " ").replace("\\)", " ")
    text = re.sub(r"\$(?=[^\d\s])([^$\n]{1,200})\$", r"\1", text)
    return Unwrapped(_without_markdown(text), tuple(_without_markdown(_LATEX_TEXT.sub(r"\1", each)) for each in marked))


def _without_turn_ends(reply: str) -> str:
    """Return the first part of the reply, up to a token that ends a turn, which is not blank."""
    return next((part for part in _TURN_END.split(reply) if part.strip()), "")


def _marked_in(text: str) -> Iterator[str]:
    """Yield what elements, boxes, calls, ticks and JSON objects mark in a longer text."""
    ticked = _TICKED.findall(text)
    if ticked and _UNTICKED.search(text):
        yield from ticked
    rows = _TICKED_ROW.findall(text)
    if len(rows) == 1 and _EMPTY_ROW.search(text):
        yield rows[0]
    yield from (_TAG.sub(" ", found[2]) for found in _ELEMENT.finditer(text))
    yield from (found[1] for found in _BOX.finditer(text))
    lines = text.rstrip().splitlines()
    if lines and (call := _CALL.search(lines[-1][-600:])):
        yield call[1].strip("\"'")
    for found in _OBJECT.finditer(text):
        parsed, is_structure = _parsed(found[0])
        if is_structure:
            yield from _answers(parsed)


def _parsed(text: str) -> tuple[Any, bool]:
    """Return the JSON or Python literal that a text is, and whether it is one with braces or brackets."""
    if not text or text[0] not in "{[" or text[-1] not in "}]" or len(text) > 20_000:
        return None, False
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
            continue
        return value, isinstance(value, dict | list) and not _is_bracketed_text(text, value)
    return None, False


def _is_bracketed_text(text: str, value: Any) -> bool:
    """Return whether the literal is only a number in brackets ("[1]"), which is a way to write a choice."""
    return isinstance(value, list) and len(value) == 1 and not isinstance(value[0], str) and '"' not in text


def _answers(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield what a parsed structure names as its answer."""
    if depth > _MOST_DEPTH:
        return
    if isinstance(value, dict):
        yield from _field_answers({_key(key): each for key, each in value.items()}, value, depth)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _answers(each, depth + 1)
    elif isinstance(value, bool):
        yield "Yes" if value else "No"
    elif isinstance(value, str | int | float):
        yield str(value)


def _field_answers(fields: dict[str, Any], original: dict[Any, Any], depth: int) -> Iterator[str]:
    flag = next((name for name in _FLAGS if isinstance(fields.get(name), bool)), None)
    if flag is not None and len(fields) > 1:
        if not fields[flag]:
            return
        fields = {name: each for name, each in fields.items() if name != flag}
    known = [name for name in _FIELDS if name in fields]
    if known:
        names = [known[0], *(name for name in known[1:] if name in ("text", "label", "option", "choice"))]
        for name in names:
            yield from _answers(fields[name], depth + 1)
        return
    flags = [str(key) for key, each in original.items() if each is True or each == 1]
    values = [each for each in original.values() if not isinstance(each, list | dict)]
    if flags and len(original) > 1 and all(each in (0, 1) for each in values):
        yield from (flag.replace("_", " ") for flag in flags)
        return
    rest = [each for name, each in fields.items() if name not in _DESCRIBING]
    if len(rest) == 1 and isinstance(rest[0], str | dict):
        yield from _answers(rest[0], depth + 1)


def _key(key: object) -> str:
    return re.sub(r"[\s-]+", "_", str(key).strip().casefold())


def _without_markdown(text: str) -> str:
    """Return the text with quotes for emphasis, and without headings, bullets and table cells' bars."""
    text = _STAGE_DIRECTION.sub("", text)
    text = _LINE_START.sub("", text)
    text = _BOLD.sub('"', text)
    if "|" in text:
        lines = [line for line in text.splitlines() if not re.fullmatch(r"[\s|:-]*", line) or not line.strip()]
        text = "\n".join(line.strip().strip("|").replace("|", " ; ") if "|" in line else line for line in lines)
    return text
