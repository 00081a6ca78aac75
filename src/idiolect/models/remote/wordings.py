"""The words in which servers state why they refuse a request; pure functions over a `Complaint`, used by `faults`.

Every pattern is the wording of at least one server in use; `tests/models/remote/quirks.py` lists them by server.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from idiolect.models.remote.replies import Complaint

_I = re.IGNORECASE

_NO_MONEY_CODES = frozenset(
    {
        "insufficient_quota", "insufficient_credits", "insufficient_balance", "insufficient_funds", "billing_error",
        "billing_hard_limit_reached", "billing_not_active", "account_deactivated", "quota_exceeded_billing",
        "payment_required", "credit_limit_reached", "arrearage", "exceeded_current_quota_error", "402",
    }
)  # fmt: skip
_NO_MONEY = re.compile(
    r"credit balance is too low|insufficient (?:account )?(?:credits?|balance|funds|quota)|out of credits|"
    r"not enough credits|no credits|(?:billing|spending|usage|credit) (?:hard |monthly )?limit (?:has been )?reached|"
    r"billing (?:is )?not active|payment required|add (?:more )?credits|exceeded your monthly|"
    r"requires? (?:an )?(?:active )?(?:subscription|billing)|free quota .{0,40}(?:exhausted|used up)|余额不足|欠费",
    _I,
)
_PLAN = re.compile(r"exceeded your current quota", _I)
_LONG_PERIOD = re.compile(r"per[_ ]?(?:day|month)|(?:daily|monthly) (?:limit|quota)|/ ?month|\b[RT]PD\b", _I)
_PER_DAY_ALONE = re.compile(r"(?<!_)PerDay(?!.*PerMinute)", re.DOTALL)  # Gemini's, whose time to wait is too short

_FILTER_CODES = frozenset(
    {
        "content_filter", "content_filtered", "content_policy_violation", "responsibleaipolicyviolation", "safety",
        "prohibited_content", "blocklist", "recitation", "data_inspection_failed", "datainspectionfailed",
        "invalid_prompt", "moderation_blocked", "content_moderation", "sensitive", "spii", "image_safety", "1301",
        "guardrail_intervened", "content-filter", "blocked", "prompt_blocked", "filtered", "content_blocked",
    }
)  # fmt: skip
_FILTERED = re.compile(
    r"content management policy|content[ _-]filter|ResponsibleAIPolicyViolation|content (?:policy|exists risk)|"
    r"flagged (?:by|as|for)|input was flagged|inappropriate content|prompt was blocked|"
    r"blocked (?:by|due to) .{0,40}(?:safety|polic|content)|"
    r"safety (?:filter|system|settings)|PROHIBITED_CONTENT|usage polic|guardrail",
    _I,
)

_LONG_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "context_window_exceeded"}
)
_LONG = re.compile(
    r"context[ _](?:length|window|size|limit)|maximum (?:model|prompt|input|sequence) length|prompt is too long|"
    r"input (?:is|length is)? ?too long|too many (?:input )?tokens|input token count|input token limit|"
    r"reduce the length of|reduce your message size|request too large|too large for model with|"
    r"must have less than \d+ tokens|tokens`? \+ `?max_new_tokens|"
    r"exceeds? the (?:maximum|model's max)\w* .{0,40}tokens|"
    r"maximum context|request entity too large|prompt contains \d+ tokens|longer than the maximum",
    _I,
)
_NOT_LONG = re.compile(r"supports at most \d+ completion tokens|max_(?:completion_)?tokens must be|top_logprobs", _I)
_NUMBER = r"(\d[\d,_]*)"
_LIMITS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        r"(?:context|prompt|sequence|model|input)[a-z ]{0,12} (?:length|size|window|limit)[a-z ]{0,20}[ (:]+" + _NUMBER,
        rf"{_NUMBER} ?(?:tokens?)? maximum",
        rf"> {_NUMBER}",
        rf"maximum number of tokens allowed \({_NUMBER}\)",
        rf"model with {_NUMBER}",
        rf"max(?:imum)? (?:input )?tokens: {_NUMBER}",
        rf"(?:cannot exceed|must be <=|less than|at most|limit(?: of)?:?) {_NUMBER}",
        rf"n_ctx\D{{1,6}}{_NUMBER}",
    )
)

_OUT_OF_TOKENS = re.compile(
    r"could not finish the message because max_tokens|max_tokens or model output limit was reached|"
    r"(?:budget_tokens|thinking budget) .{0,60}max_tokens",
    _I,
)
_WRONG_PATH = re.compile(
    r"unexpected endpoint|invalid url|no (?:such )?(?:route|endpoint)|unknown (?:endpoint|route|url|path)|"
    r"resource not found|cannot (?:post|get) /|404 page not found|route .{0,80}not found",
    _I,
)
_NO_MODEL = re.compile(
    r"model\b.{0,120}(?:not found|does not exist|doesn't exist|is not available|not loaded)|"
    r"(?:invalid|unknown|no such) model|no model named|deployment .{0,60}does not exist|model_not_found",
    _I | re.DOTALL,
)

_REFUSING = re.compile(
    r"unsupported|not support|n't support|unknown|unrecogni[sz]ed|unexpected|not permitted|not allowed|extra inputs|"
    r"extra_forbidden|extra fields|extraneous|cannot find field|only the default|no longer|deprecated|instead|"
    r"not a (?:valid|supported|recognized)|invalid (?:parameter|argument|field)|not enabled|not accepted|"
    r"cannot both be|can't both be|not implemented|does not take|strictly positive|be (?:greater than|>) 0\b",
    _I,
)
_AFTER_THE_NAME = re.compile(
    r"expected one of|valid (?:parameters|fields|arguments) are|supported parameters|allowed:", _I
)
_ONE_NAME = re.compile(
    r"""(?:unknown (?:name|field|parameter|argument)|unrecogni[sz]ed (?:request )?(?:argument|parameter|field)s?"""
    r"""(?: supplied)?|extraneous key|unsupported (?:parameter|value|argument|field)|unexpected keyword argument|"""
    r"""extra fields? not (?:allowed|permitted)|property)[:\s]*[\["'`“‘(]*\s*([A-Za-z_]+)""",
    _I,
)
_LOGPROBS = re.compile(r"log_?prob", _I)
_MAXIMUM = re.compile(r"greater than|less than|maximum|max |max_|at most|between|range|exceed|above|<=|up to|limit", _I)
DEFAULT_LOGPROBS = 5  # where a server does not name its limit


def is_out_of_money(complaint: Complaint, *, waits: bool) -> bool:
    """Return whether the account's quota or balance is used up, which does not pass by waiting.

    Args:
        complaint: the reply's facts.
        waits: whether the reply names a time to wait, which makes "exceeded your current quota" a limit of the minute.
    """
    if complaint.status == 402 or complaint.names & _NO_MONEY_CODES or _NO_MONEY.search(complaint.text):
        return True
    return bool(_PLAN.search(complaint.text)) and not waits and not complaint.names & {"resource_exhausted"}


def is_long_quota(complaint: Complaint, wait: float | None, longest: float) -> bool:
    """Return whether the limit that was reached is one of a day or a month.

    Args:
        complaint: the reply's facts.
        wait: seconds that the reply asks to wait; None if it doesn't ask.
        longest: seconds that a wait may take; if the wait is no longer, it is trusted.
    """
    if _PER_DAY_ALONE.search(complaint.text):
        return True
    return bool(_LONG_PERIOD.search(complaint.text)) and (wait is None or wait > longest)


def is_filtered(complaint: Complaint) -> bool:
    """Return whether a content filter refused the prompt or the answer."""
    if complaint.status in (401, 404, 429) or complaint.status >= 500:
        return False
    return bool(complaint.names & _FILTER_CODES or _FILTERED.search(complaint.text))


def is_filter_code(code: object) -> bool:
    """Return whether a code, such as a reason to finish, is that of a content filter."""
    return isinstance(code, str) and code.lower() in _FILTER_CODES


def is_too_long(complaint: Complaint) -> bool:
    """Return whether the prompt is longer than the model, or the server, takes."""
    if complaint.status == 413 or complaint.names & _LONG_CODES:
        return True
    if _NOT_LONG.search(complaint.text) and not re.search("context length", complaint.text, _I):
        return False
    return bool(_LONG.search(complaint.text))


def context_limit(complaint: Complaint) -> int | None:
    """Return the number of tokens that a too long prompt was compared with; None if the reply names none."""
    for pattern in _LIMITS:
        found = pattern.search(complaint.text)
        number = int(re.sub(r"\D", "", found[1])) if found else 0
        if 0 < number < 10**8:
            return number
    return None


def is_out_of_tokens(complaint: Complaint) -> bool:
    """Return whether the model had used up its tokens, for its thoughts, before it wrote anything."""
    return bool(_OUT_OF_TOKENS.search(complaint.text))


def is_wrong_path(complaint: Complaint) -> bool:
    """Return whether the server has no such path."""
    return complaint.status in (404, 405) or bool(_WRONG_PATH.search(complaint.text))


def is_missing_model(complaint: Complaint) -> bool:
    """Return whether the server has no such model."""
    return bool({"model_not_found", "invalid_model"} & complaint.names or _NO_MODEL.search(complaint.text))


def refused_parameters(complaint: Complaint, body: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the body's parameters that the server, in its own words, doesn't know or support."""
    words = " ".join((*complaint.codes, complaint.text))
    if not _REFUSING.search(words):
        return frozenset()
    pointed = {part for each in complaint.parameters for part in re.split(r"[.\[\]]", each)}
    if found := _of_the_body(pointed, body):
        return found
    if found := _of_the_body(set(_ONE_NAME.findall(complaint.text)), body):
        return found
    if "stream" in body and re.search("stream", complaint.text, _I) and not re.search("stream_options", complaint.text):
        return frozenset({"stream"})
    text = _AFTER_THE_NAME.split(words, maxsplit=1)[0]
    named = frozenset(name for name in body if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))
    return named - {"temperature"} if {"temperature", "top_p"} <= named else named  # not both: temperature stays


def logprobs_limit(complaint: Complaint, sent: int) -> int | None:
    """Return how many likeliest tokens the server reports, if it refused `sent` as too many; None if it did not."""
    about = _LOGPROBS.search(complaint.text) or any(_LOGPROBS.search(name) for name in complaint.parameters)
    if not about or not _MAXIMUM.search(complaint.text):
        return None
    numbers = [int(found) for found in re.findall(r"(?<![\w.])\d{1,3}(?![\w])", complaint.text)]
    fitting = [number for number in numbers if 1 <= number < sent]
    return max(fitting, default=DEFAULT_LOGPROBS if sent > DEFAULT_LOGPROBS else None)


def _of_the_body(names: Collection[str], body: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name in body if name in names)
