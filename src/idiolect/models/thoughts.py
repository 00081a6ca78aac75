"""Thoughts that a model writes into its answer: recognized by the marks of the field, and never part of what it says.

    completion's text → after_thoughts → what was said after the thoughts, whether there were any, whether they ended

Every model's text passes here before stop strings are applied (`remote.wire`, `generation`), and once more where it
is read (`methods.answering`, `methods.fermi.proposal`), for models of others and for answers that a cache has kept.

    <think> … </think>              Qwen, DeepSeek and most; also <thinking>, <thought>, <reasoning>, <seed:think>,
                                    <longcat_think>, with attributes or without
    … </think>                      the chat template has opened the thought
    <think> …                       cut off by the token limit
    [THINK] … [/THINK]              Mistral
    ◁think▷ … ◁/think▷              Kimi
    <|channel|>analysis … final …   harmony (gpt-oss), with its control tokens or without
    <|begin_of_thought|> …          and <|START_THINKING|>, <|begin_of_solution|>, Gemma's <|channel>thought
    Thinking... … ...done thinking. Ollama's command line
    Here is my thought process: …   Granite, until "Here is my response:"
    <details type="reasoning"> …    Open WebUI
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMES = r"(?:[a-z]{1,20}[:_])?think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad|chain_of_thought"
_ATTRIBUTES = r"(?:\s+[\w-]{1,40}\s*=[^<>]{0,200})?"
_OPENING = (
    rf"<(?:{_NAMES}){_ATTRIBUTES}\s*>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|think(?:ing)?\|>|<unused94>"
    r"|<\|channel>thought|<\|inner_prefix\|>"
)
_CLOSING = (
    rf"</(?:{_NAMES})\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|/think(?:ing)?\|>|<unused95>"
    r"|<channel\|>|<\|inner_suffix\|>"
)
_OPENS = re.compile(_OPENING, re.IGNORECASE)
_CLOSES = re.compile(_CLOSING, re.IGNORECASE)
_OPENED_AT_THE_END = re.compile(rf"(?P<mark>{_OPENING})\s*$", re.IGNORECASE)
_CLOSING_OF = {
    "[think]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|begin_of_thought|>": "<|end_of_thought|>",
    "<|start_thinking|>": "<|END_THINKING|>",
    "<unused94>": "<unused95>",
    "<|channel>thought": "<channel|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
}  # by the opening mark in lower case; those of the other marks only insert a slash
_PAIR = re.compile(rf"(?:{_OPENING}).*?(?:{_CLOSING})", re.IGNORECASE | re.DOTALL)
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)(?:(?!<\|message\|>|<\|channel\|>).){0,200}<\|message\|>", re.DOTALL)
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>")
_BARE_HARMONY = re.compile(
    r"^\s*analysis(?=[A-Z\s\"'(*\d])(?P<thought>.*?)(?:assistant(?:commentary.*?assistant)?final(?P<said>.*))?$",
    re.DOTALL,
)
_OLLAMA = re.compile(r"^\s*Thinking\.\.\.\s*\n(?:.*?\n\s*\.\.\.done thinking\.[ \t]*\n?(?P<said>.*))?", re.DOTALL)
_GRANITE = re.compile(
    r"^\s*Here(?: is|'s) my thought process:(?:.*?\n?Here(?: is|'s) my response:[ \t]*\n?(?P<said>.*))?", re.DOTALL
)
_DETAILS = re.compile(
    r"<details\s[^<>]{0,200}?type=[\"']?reasoning\b[^<>]{0,200}>.*?(?:(?P<end></details>)|\Z)", re.DOTALL
)
_SOLUTION = re.compile(r"<\|(?:begin_of_solution|end_of_solution|START_RESPONSE|END_RESPONSE)\|>")

MARK = re.compile(
    rf"{_OPENING}|{_CLOSING}|{_CHANNEL_END.pattern}|<\|channel\|>|{_SOLUTION.pattern}|<details\s", re.IGNORECASE
)
"""A mark after which what is said may differ from what was written."""

PARTIAL_MARK = re.compile(
    rf"(?:<(?:[|/]{{0,2}}[\w:|]{{0,40}}|(?:{_NAMES}|details)\s[^<>]{{0,200}})|\[/?[a-z]{{0,5}}|◁/?[a-z]{{0,5}})$",
    re.IGNORECASE,
)
"""The end of a text that may be the beginning of a mark."""

UNMARKED_OPENINGS = ("analysis", "Thinking...", "Here is my thought process:", "Here's my thought process:")
"""Words with which a text that begins with thoughts may begin, without a mark."""

TAGS = (
    "<think>", "</think>", "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<seed:think>", "</seed:think>",
    "<|begin_of_thought|>", "<|end_of_thought|>", "<|START_THINKING|>", "<|END_THINKING|>", "<|channel|>",
    "<|message|>", "<|channel>", "<channel|>", "<unused94>", "<unused95>",
)  # fmt: skip
"""Marks that some tokenizers write as control tokens; whoever decodes tokens must keep these."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a completion says.

    Args:
        text: the text after the thoughts; "" if there is none.
        thought: whether the completion contains thoughts.
        cut_off: whether it ended within a thought, so that nothing was said.
    """

    text: str
    thought: bool = False
    cut_off: bool = False


def after_thoughts(text: str, *, opened: bool = False) -> Spoken:
    """Return what a completion's text says after its thoughts.

    Args:
        text: the completion's text.
        opened: whether the prompt has already opened a thought, as some chat templates do.
    """
    if "<|channel|>" in text:
        return _harmony(text)
    if "<details" in text and (unfolded := _DETAILS.search(text)) is not None:
        rest = _DETAILS.sub("", text).strip()
        return Spoken(rest, thought=True, cut_off=not rest and unfolded["end"] is None)
    for form in (_BARE_HARMONY, _OLLAMA, _GRANITE):
        found = form.match(text)
        if found and (found["said"] is not None or form is not _BARE_HARMONY):
            said = found["said"]
            return Spoken(said.strip(), thought=True) if said is not None else Spoken("", thought=True, cut_off=True)
    return _tagged(text, opened=opened)


def opens_thought(prompt: str) -> bool:
    """Return whether a rendered prompt ends with a mark that opens a thought."""
    return _OPENED_AT_THE_END.search(prompt[-60:]) is not None


def closing_mark(prompt: str) -> str:
    """Return the mark that closes the thought that a rendered prompt opens at its end; "" if it opens none."""
    found = _OPENED_AT_THE_END.search(prompt[-60:])
    if found is None:
        return ""
    mark = found["mark"]
    if closing := _CLOSING_OF.get(mark.lower()):
        return closing
    start = "<|" if mark.startswith("<|") else "<"
    name = re.split(r"[\s>|]", mark[len(start) :], maxsplit=1)[0]  # without attributes
    return f"{start}/{name}{'|>' if start == '<|' else '>'}"


def _tagged(text: str, *, opened: bool) -> Spoken:
    """Return what follows the last closing tag, up to a tag that opens another thought, which does not end."""
    closing = _last(_CLOSES, text, 0)
    said = text if closing is None else text[closing.end() :]
    opening = _OPENS.search(said)
    if closing is None and opening is None:
        return Spoken("", thought=True, cut_off=True) if opened else Spoken(_SOLUTION.sub("", text))
    if opening is not None:  # the words before the tag are no thought, unless the prompt has opened one
        before = "" if opened and closing is None else _SOLUTION.sub("", said[: opening.start()]).strip()
        return Spoken(before, thought=True, cut_off=not before)
    if not said.strip():  # the thoughts stand after the answer
        said = _PAIR.sub("", text)
        said = "" if _CLOSES.search(said) or _OPENS.search(said) else said
    return Spoken(_SOLUTION.sub("", said).lstrip(), thought=True)


def _last(pattern: re.Pattern[str], text: str, start: int) -> re.Match[str] | None:
    found = None
    for each in pattern.finditer(text, start):
        found = each
    return found


def _harmony(text: str) -> Spoken:
    """Return what stands in the last `final` channel; without one, everything is a thought."""
    channels = list(_CHANNEL.finditer(text))
    thought = any(found[1] != "final" for found in channels) or not channels
    final = [found for found in channels if found[1] == "final"]
    if not final:
        return Spoken("", thought=True, cut_off=True)
    said = _CHANNEL_END.split(text[final[-1].end() :])[0]
    return Spoken(said.strip(), thought=thought)
