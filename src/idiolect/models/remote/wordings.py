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
        "budget_exceeded", "spend_limit_reached", "accountoverdueerror", "not_enough_balance",
    }
)  # fmt: skip
_NO_MONEY = re.compile(
    r"credit balance is too low|insufficient[ _](?:account )?(?:credits?|balance|funds|quota)|out of credits|"
    r"not[ _]enough[ _](?:credits?|balance|funds)|no credits|n[o']t have any credits|used (?:all|up) .{0,24}credits|"
    r"credits? .{0,24}(?:depleted|exhausted|used up)|balance (?:is )?(?:insufficient|exhausted|negative|not enough)|"
    r"(?:billing|spend(?:ing)?|usage|credit) (?:hard |monthly )?limit (?:has been )?(?:reached|exceeded)|"
    r"(?:reach|exceed|hit)(?:ed|ing)? .{0,32}(?:spend(?:ing)?|billing|credit|api usage) limits?|key limit exceeded|"
    r"budget has been exceeded|exceeded ?budget|account .{0,60}(?:is suspended|overdue|in arrears)|overdue balance|"
    r"billing (?:is )?not active|payment required|add (?:more )?credits|exceeded your monthly|"
    r"requires? (?:an )?(?:active )?(?:subscription|billing)|free quota .{0,40}(?:exhausted|used up)|余额不足|欠费",
    _I,
)
_PLAN = re.compile(r"exceeded your current quota", _I)
_LONG_PERIOD = re.compile(
    r"per[_ -]?(?:day|week|month)|\b(?:hourly|daily|weekly|monthly)\b[^.\n]{0,40}\b(?:limit|quota|allo[cw]a\w+)|"
    r"/ ?(?:day|month)\b|\b[RT]PD\b",
    _I,
)
_NO_QUOTA = re.compile(r"\blimit: 0(?![.\d])")  # Gemini's for a model that the plan does not include
_PER_DAY_ALONE = re.compile(r"(?<!_)PerDay(?!.*PerMinute)", re.DOTALL)  # Gemini's, whose time to wait is too short

_FILTER_CODES = frozenset(
    {
        "content_filter", "content_filtered", "content_policy_violation", "responsibleaipolicyviolation", "safety",
        "prohibited_content", "blocklist", "recitation", "data_inspection_failed", "datainspectionfailed",
        "invalid_prompt", "moderation_blocked", "content_moderation", "sensitive", "spii", "image_safety", "1301",
        "guardrail_intervened", "content-filter", "blocked", "prompt_blocked", "filtered", "content_blocked", "refusal",
        "contentpolicyviolationerror", "image_prohibited_content", "image_recitation",
    }
)  # fmt: skip
_FILTERED = re.compile(
    r"content management policy|content[ _-]filter|ResponsibleAIPolicyViolation|content (?:policy|exists risk)|"
    r"flagged (?:by|as|for)|input was flagged|inappropriate content|prompt was blocked|"
    r"blocked (?:by|due to) .{0,40}(?:safety|polic|content)|"
    r"safety (?:filter|system|settings)|PROHIBITED_CONTENT|usage polic|guardrail|content ?policy ?violation|"
    r"violates? .{0,24}(?:guidelines|polic)|SAFETY_CHECK|considered high risk|content you provided .{0,40}blocked",
    _I,
)

_LONG_CODES = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "context_window_exceeded"}
)
_LONG = re.compile(
    r"context[ _]?(?:length|window|size|limit)|maximum (?:model|prompt|input|sequence) length|prompt (?:is )?too long|"
    r"input (?:is|length is)? ?too long|too many (?:input )?tokens|input token count|(?:input|model) token limit|"
    r"range of input length|input tokens exceed|"
    r"reduce the length of|reduce your message size|request too large|too large for model with|"
    r"must have less than \d+ tokens|tokens`? \+ `?max_new_tokens|"
    r"exceeds? the (?:maximum|model's max)\w* .{0,40}tokens|"
    r"maximum context|request entity too large|prompt contains \d+ tokens|longer than the maximum",
    _I,
)
_NOT_LONG = re.compile(
    r"supports at most \d+ completion tokens|max_(?:completion_)?tokens must be|top_logprobs|wait before trying|"
    r"tokens per (?:minute|day)",
    _I,
)
# A limit on many requests' tokens is no limit on a prompt's, unless the server says that this one alone is above it.
_ONE_TOO_LARGE = re.compile(r"request too large|reduce your message size", _I)
_NUMBER = r"(\d[\d,_]*)"
_LIMITS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        rf"\d > {_NUMBER}",
        rf"range of input length should be \[\d+, ?{_NUMBER}",
        r"(?:context|prompt|sequence|model|input)[a-z ]{0,12} (?:length|size|window|limit)(?! by)[a-z ]{0,20}[ (:]+"
        + _NUMBER,
        rf"{_NUMBER} ?(?:tokens?)? maximum",
        rf"maximum number of tokens allowed \({_NUMBER}\)",
        rf"model with {_NUMBER}",
        rf"max(?:imum)? (?:input )?tokens: {_NUMBER}",
        rf"(?:cannot exceed|must be <=|less than|at most|limit(?: of| is)?:?) {_NUMBER}",
        rf"n_ctx\D{{1,6}}{_NUMBER}",
    )
)

_MOST_TOKENS = tuple(
    re.compile(pattern, _I)
    for pattern in (
        rf"supports at most {_NUMBER} (?:completion|output) tokens",
        rf"max_(?:completion_|output_)?tokens\b: ?\d+ > {_NUMBER}",
        rf"range of max_(?:completion_)?tokens (?:is|should be) \[\d+, ?{_NUMBER}",
        r"max_(?:completion_|output_)?tokens\b.{0,60}?"
        r"(?:less than or equal to|<=|at most|maximum(?: value)?(?: of| is)|(?:can|must )not exceed) "
        rf"[`'\"]?{_NUMBER}",
        rf"exceeds? the model(?:'s)? limit of {_NUMBER}",
    )
)
_LEAST_TOKENS = re.compile(
    r"max_(?:completion_|output_)?tokens\b.{0,60}?(?:>=|at least|minimum of|greater than or equal to) ?(\d{1,4})\b", _I
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
    r"(?:invalid|unknown|no such) model|no model named|deployment .{0,60}does not exist|model_not_found|"
    r"no endpoints found for ",
    _I | re.DOTALL,
)
_NO_PROVIDER = re.compile(r"no (?:allowed )?(?:providers|endpoints) (?:are )?(?:found|available)(?! for )", _I)
_KEY_REFUSED = re.compile(
    r"api[ _-]?key (?:is )?(?:not valid|not found|invalid|expired|missing|required)|API_KEY_INVALID|"
    r"(?:invalid|incorrect|wrong|missing|expired) (?:api|access)[ _-]?(?:key|token)",
    _I,
)

_REFUSING = re.compile(
    r"unsupported|not support|n't (?:support|allow|permit|accept)|unknown|unrecogni[sz]ed|unexpected|"
    r"not permitted|not allowed|extra inputs|"
    r"extra_forbidden|extra fields|extraneous|cannot find field|only the default|no longer|deprecated|instead|"
    r"not a (?:valid|supported|recognized)|invalid (?:parameter|argument|field)|not enabled|not accept|not compatible|"
    r"incompatible|(?:cannot|can't|must not) be (?:used|set|specified|combined|provided|sent)|"
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
_LOGPROBS = re.compile(r"log_?prob|top_n_tokens", _I)
_RANGE = re.compile(r"[\[(] ?\d+ ?, ?(\d{1,3}) ?([\])])|(?:between|from) \d+ (?:and|to) (\d{1,3})\b", _I)
_ALWAYS_SENT = {"model", "messages"}
_MAXIMUM = re.compile(r"greater than|less than|maximum|max |max_|at most|between|range|exceed|above|<=|up to|limit", _I)
DEFAULT_LOGPROBS = 5  # where a server does not name its limit


def is_out_of_money(complaint: Complaint, *, waits: bool) -> bool:
    """Return whether the account's quota or balance is used up, which does not pass by waiting.

    Args:
        complaint: the reply's facts.
        waits: whether the reply names a time to wait, which makes "exceeded your current quota" a limit of the minute.
    """
    if complaint.status == 402 or _has_code(complaint, _NO_MONEY_CODES) or _NO_MONEY.search(complaint.text):
        return True
    return bool(_PLAN.search(complaint.text)) and not waits and not complaint.names & {"resource_exhausted"}


def is_long_quota(complaint: Complaint, wait: float | None, longest: float) -> bool:
    """Return whether the limit that was reached is one of a day or a month.

    Args:
        complaint: the reply's facts.
        wait: seconds that the reply asks to wait; None if it doesn't ask.
        longest: seconds that a wait may take; if the wait is no longer, it is trusted.
    """
    if _PER_DAY_ALONE.search(complaint.text) or _NO_QUOTA.search(complaint.text):
        return True
    return bool(_LONG_PERIOD.search(complaint.text)) and (wait is None or wait > longest)


def is_filtered(complaint: Complaint) -> bool:
    """Return whether a content filter refused the prompt or the answer."""
    if complaint.status in (401, 404, 429) or complaint.status >= 500:
        return False
    if complaint.status == 451:
        return True
    return bool(_has_code(complaint, _FILTER_CODES) or _FILTERED.search(complaint.text))


def is_filter_code(code: object) -> bool:
    """Return whether a code, such as a reason to finish, is that of a content filter."""
    if not isinstance(code, str):
        return False
    return any(part.strip() in _FILTER_CODES for part in code.lower().split(":"))  # "content_filter: RECITATION"


def is_too_long(complaint: Complaint) -> bool:
    """Return whether the prompt is longer than the model, or the server, takes."""
    if complaint.status == 413 or _has_code(complaint, _LONG_CODES):
        return True
    if complaint.status == 429:
        return bool(_ONE_TOO_LARGE.search(complaint.text))
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


def most_tokens(complaint: Complaint) -> int | None:
    """Return how many tokens an answer may have, if the server refused a request for more; None if it did not."""
    for pattern in _MOST_TOKENS:
        if found := pattern.search(complaint.text):
            return int(re.sub(r"\D", "", found[1]))
    return None


def least_tokens(complaint: Complaint) -> int | None:
    """Return for how many tokens a request has to ask, if the server refused one for fewer; None if it did not."""
    found = _LEAST_TOKENS.search(complaint.text)
    return int(found[1]) if found else None


def is_key_refused(complaint: Complaint) -> bool:
    """Return whether the server refuses the key in its words, which some do with the status of a wrong request."""
    return bool(_KEY_REFUSED.search(complaint.text))


def has_no_provider(complaint: Complaint) -> bool:
    """Return whether a gateway has the model, but no provider of it that the account's settings allow."""
    return bool(_NO_PROVIDER.search(complaint.text))


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
    if "stream" in body and re.search(r"\bstream(?!_)", complaint.text, _I):
        return frozenset({"stream"})
    text = _AFTER_THE_NAME.split(words, maxsplit=1)[0]
    named = frozenset(name for name in body if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text))
    return named - {"temperature"} if {"temperature", "top_p"} <= named else named  # not both: temperature stays


def logprobs_limit(complaint: Complaint, sent: int) -> int | None:
    """Return how many likeliest tokens the server reports, if it refused `sent` as too many; None if it did not."""
    about = _LOGPROBS.search(complaint.text) or any(_LOGPROBS.search(name) for name in complaint.parameters)
    if not about or not _MAXIMUM.search(complaint.text):
        return None
    for found in _RANGE.finditer(complaint.text):
        most = int(found[1] or found[3]) - (found[2] == ")")
        if 1 <= most < sent:
            return most
    numbers = [int(number) for number in re.findall(r"(?<![\w.-])\d{1,3}(?!\w|\.\d)", complaint.text)]
    fitting = [number for number in numbers if 1 <= number < sent]
    return max(fitting, default=DEFAULT_LOGPROBS if sent > DEFAULT_LOGPROBS else None)


def refused_choices_of_parameters(complaint: Complaint, body: Mapping[str, Any]) -> frozenset[str]:
    """Return the refused parameters that a request can do without."""
    return refused_parameters(complaint, body) - _ALWAYS_SENT


def _has_code(complaint: Complaint, codes: frozenset[str]) -> bool:
    """Return whether a reply has one of the codes, as an identifier or in a text that quotes another server's reply."""
    if complaint.names & codes:
        return True
    quoted = re.findall(r"""["']([a-z]+_[a-z_]+)["']""", complaint.text.lower())
    return not codes.isdisjoint(quoted)


def _of_the_body(names: Collection[str], body: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name in body if name in names)
