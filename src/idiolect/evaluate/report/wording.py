"""The form of names, numbers and people's texts in the report.

    sections, plots → wording

People's and models' texts are treated as hostile: `render` first has `cleaned` remove characters that are not text
(control characters, halves of surrogate pairs), and the template escapes the rest. NaN and infinity are written as a
dash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from idiolect.evaluate.measures import MEASURES, Measure
from idiolect.evaluate.records import Arm
from idiolect.evaluate.summary import Estimate, Header

DASH = "–"
COST_NOTE = (
    "Learning includes scores that are put off until the questions are known. An answer counts all of its requests, "
    "whether a model or the cache answered them, and money is the price of all requests. A request's prompt tokens are "
    "all of its tokens as the model counts them, with the question, although its beginning may have been computed only "
    "once for several requests; by likelihood on this machine, the tokens of all choices are among them."
)
"""What the mean costs of learning and of an answer count."""
CURVE_NOTE = (
    "Each method learned once, without the curve's limits; a limit leaves the farthest examples out of the prompts "
    "that answer. It is estimated as 4 bytes a token, and holds for each prompt without its question. The prompt "
    "tokens are measured: those of all requests of one answer."
)
"""What the limits and the prompt tokens of a curve are."""
NEUTRAL_NOTE = (
    "The base model wrote the texts of the last measure itself, at temperature 1, without a prompt. Minus the change "
    "of their log-probability is an estimate of KL(base ‖ arm) per token: how far the arm is from the base model."
)
"""What a change on the model's own texts is."""

# Characters that are useless in XML and for readers: C0 and C1 controls except tab and line feed, surrogates and
# non-characters; and controls that change the direction of the text around them (the direction of letters stays).
_NO_TEXT = re.compile("[\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def cleaned(value: Any) -> Any:
    """Return the value with all its texts, at any depth, cleaned of characters that are not text."""
    if isinstance(value, str):
        return _NO_TEXT.sub("", value.replace("\r\n", "\n").replace("\r", "\n"))
    if isinstance(value, Mapping):
        return {cleaned(key): cleaned(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return tuple(cleaned(each) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: cleaned(getattr(value, each.name)) for each in fields(value)})
    return value


def shortened(text: str, most: int = 40) -> str:
    """Return a label on one line of limited length, without its middle if necessary, as names differ at both ends."""
    flat = " ".join(text.split())
    if len(flat) <= most:
        return flat
    tail = most // 3
    return f"{flat[: most - tail - 1].rstrip()}…{flat[-tail:].lstrip()}"


def short_labels(names: Iterable[str], most: int = 40) -> dict[str, str]:
    """Return short labels for long names; different names have different labels."""
    labels: dict[str, str] = {}
    for name in dict.fromkeys(names):
        label, again = shortened(name, most), 1
        while label in labels.values():
            again += 1
            label = f"{shortened(name, most)} ({again})"
        labels[name] = label
    return labels


def measure_of(name: str) -> Measure:
    """Return the measure with a name; a measure that is not in the table has its name as title."""
    return MEASURES.get(name, Measure(name, name, "higher"))


def headed(measure: Measure) -> str:
    """Return the measure's title as a column head, with its unit and the better direction."""
    unit = f" ({measure.unit})" if measure.unit else ""
    return f"{capitalized(measure.title)}{unit}\u00a0{'↑' if measure.better == 'higher' else '↓'}"


def capitalized(text: str) -> str:
    """Return the text with its first letter capitalized, and the others unchanged."""
    return text[:1].upper() + text[1:]


def finite(value: float | None) -> bool:
    """Return whether a value is a finite number."""
    return value is not None and math.isfinite(value)


def shown(measure: Measure, value: float | None, *, signed: bool = False) -> str:
    """Return a value as text, without its unit."""
    if value is None or not math.isfinite(value):
        return DASH
    return _minus(measure.shown(value, signed=signed))


def shown_interval(measure: Measure, estimate: Estimate, *, signed: bool = False) -> str:
    """Return `[low, high]`, or "" if there is no interval."""
    if not (finite(estimate.low) and finite(estimate.high)):
        return ""
    low, high = shown(measure, estimate.low, signed=signed), shown(measure, estimate.high, signed=signed)
    return f"[{low}, {high}]"


def plotted(measure: Measure, value: float) -> float:
    """Return a value on the scale of its axis."""
    return 100 * value if measure.unit == "%" else value


def probability(p: float | None) -> str:
    """Return a p value as text."""
    if p is None or not math.isfinite(p):
        return DASH
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def amount(value: float | None) -> str:
    """Return a cost as text, with three significant digits and thousands separators."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if abs(value) >= 100 or value == round(value):
        return _minus(f"{value:,.0f}")
    digits = max(0, min(6, 2 - math.floor(math.log10(abs(value)))))
    return _minus(f"{value:.{digits}f}")


def tokens_text(found: Estimate) -> str:
    """Return a mean number of tokens as text, with its interval if it has one."""
    if found.low is None or found.high is None:
        return amount(found.value)
    return f"{amount(found.value)} [{amount(found.low)}, {amount(found.high)}]"


def counted(n: int, one: str, more: str) -> str:
    """Return a count with its noun: "1 person", "1,200 people"."""
    return f"{n:,} {one if n == 1 else more}"


def group_word(header: Header) -> str:
    """Return what a task calls its groups of people."""
    return "topic" if header.task == "opinionqa" else "group"


def is_control(arm: Arm) -> bool:
    """Return whether the arm learned from another person."""
    return arm.control != "own"


def typographic(text: str) -> str:
    """Return a text of ours with typographic apostrophes."""
    return text.replace("'", "’")


def scalar(value: Any) -> str:
    """Return a scalar JSON value as text."""
    if value is None or value == "":
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else DASH
    return str(value)


def _minus(text: str) -> str:
    return text.replace("-", "−")
