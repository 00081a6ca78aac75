"""What servers reply when they do not answer, by server, and what has to happen; the source of a table in the docs.

Each `Quirk` is a row of the table "Servers and their quirks" in docs/remote.md, and each of its replies is a test in
`test_quirks.py`. The replies have the shapes and key words of the servers named, in wordings of our own where possible.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.api_server import Answer, Status, chat_payload

Outcome = Literal[
    "omits",
    "renames",
    "waits",
    "retries",
    "ends",
    "filters",
    "too long",
    "fewer",
    "path",
    "tokens",
    "plain",
    "at most",
    "at least",
    "refused",
]


@dataclass(frozen=True)
class Seen:
    """A reply of one server.

    Args:
        server: the server's name.
        reply: the reply.
        value: what to expect: a parameter, seconds, a number of tokens, or words of the message.
    """

    server: str
    reply: Answer
    value: Any = None


@dataclass(frozen=True)
class Quirk:
    """A row of the table: what servers do, and what happens then."""

    what: str
    happens: str
    outcome: Outcome
    seen: Sequence[Seen] = field(default_factory=list)

    @property
    def row(self) -> str:
        """The row in Markdown."""
        servers = ", ".join(dict.fromkeys(each.server for each in self.seen))
        return f"| {self.what} | {servers} | {self.happens} |"


def bad(body: Any, status: int = 400) -> Status:
    """A JSON reply."""
    return Status(status, body=body)


def openai(message: str, *, status: int = 400, **fields: Any) -> Status:
    """OpenAI's shape."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None, **fields}
    return bad({"error": error}, status)


def gemini(message: str, *, status: int = 400, name: str = "INVALID_ARGUMENT", details: Any = ()) -> Status:
    """Gemini's shape: the error is in a list."""
    return bad([{"error": {"code": status, "message": message, "status": name, "details": list(details)}}], status)


def pydantic(parameter: str) -> list[dict[str, Any]]:
    """FastAPI's list of faults."""
    return [
        {"type": "extra_forbidden", "loc": ["body", parameter], "msg": "Extra inputs are not permitted", "input": 7}
    ]


def filtered(reason: str = "content_filter", **changes: Any) -> Answer:
    """HTTP 200 without a text, because of a filter."""
    payload = chat_payload(None, {})
    payload["choices"][0] |= {"finish_reason": reason, **changes}
    return payload


def quoted(reply: Any, *, status: int = 400) -> dict[str, Any]:
    """OpenRouter's error, which quotes its provider's."""
    metadata = {"raw": json.dumps(reply), "provider_name": "P"}
    return {"error": {"message": "Provider returned error", "code": status, "metadata": metadata}}


def broken_off(reason: str, **changes: Any) -> Answer:
    """HTTP 200 with the beginning of an answer, which the server broke off."""
    payload = chat_payload("No, or rath", {})
    payload["choices"][0] |= {"finish_reason": reason, **changes}
    return payload


def error_in_200(error: Any, **more: Any) -> dict[str, Any]:
    """An error inside HTTP 200."""
    return {"id": "g", "error": error, **more}


_LONG = {"code": "context_length_exceeded", "param": "messages"}
_RETRY_INFO = "type.googleapis.com/google.rpc.RetryInfo"
_PAGE = Status(404, {"Content-Type": "text/html"}, "<!DOCTYPE html><html><title>Not here</title></html>")

QUIRKS: tuple[Quirk, ...] = (
    Quirk(
        "a parameter is refused",
        "it is left out from then on, and the end of the run reports it",
        "omits",
        [
            Seen("OpenAI", openai("Unrecognized request argument supplied: seed"), "seed"),
            Seen(
                "OpenAI",
                openai(
                    "Unsupported parameter: 'stop' is not supported here.", param="stop", code="unsupported_parameter"
                ),
                "stop",
            ),
            Seen("Azure", openai("Unknown parameter: 'seed'.", param="seed", code="unknown_parameter"), "seed"),
            Seen("Gemini", gemini('Invalid JSON payload received. Unknown name "seed": Cannot find field.'), "seed"),
            Seen("Groq", openai("property 'seed' is unsupported, did you mean something else?"), "seed"),
            Seen(
                "Mistral", bad({"object": "error", "message": {"detail": pydantic("seed")}, "code": None}, 422), "seed"
            ),
            Seen("FastAPI", bad({"detail": pydantic("top_p")}, 422), "top_p"),
            Seen("FastAPI", bad({"detail": "seed: extra fields not permitted"}, 422), "seed"),
            Seen(
                "vLLM",
                bad(
                    {
                        "object": "error",
                        "message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not "
                        "permitted', 'input': 7}]",
                        "type": "BadRequestError",
                        "param": None,
                        "code": 400,
                    }
                ),
                "seed",
            ),
            Seen("Ollama", bad({"error": 'json: unknown field "seed"'}), "seed"),
            Seen(
                "Together",
                openai("Input: unknown field `seed`, expected one of `model`, `messages`, `temperature`, `stop`"),
                "seed",
            ),
            Seen(
                "Bedrock",
                bad({"message": "Malformed input request: #: extraneous key [seed] is not permitted"}),
                "seed",
            ),
            Seen(
                "Anthropic",
                bad({"type": "error", "error": {"message": "seed: Extra inputs are not permitted"}}),
                "seed",
            ),
            Seen(
                "Bedrock",
                bad({"message": "`temperature` and `top_p` can't both be given: top_p is unsupported"}),
                "top_p",
            ),
            Seen(
                "xAI",
                bad({"code": "Client specified an invalid argument", "error": "Argument not supported: stop"}),
                "stop",
            ),
            Seen("DeepSeek", openai("This model does not support the parameter seed"), "seed"),
            Seen("Fireworks", openai("Extra inputs are not permitted, field: 'seed', value: 7"), "seed"),
            Seen(
                "Cohere",
                bad({"message": "invalid request: unknown field: parameter 'seed' is not a valid field"}),
                "seed",
            ),
            Seen("a proxy in plain text", Status(400, body="unsupported parameter: seed"), "seed"),
            Seen(
                "LiteLLM",
                openai("UnsupportedParamsError: groq doesn't accept parameters: ['seed'], for model=m.", code="400"),
                "seed",
            ),
            Seen(
                "OpenRouter",
                bad(quoted({"error": {"message": "Unsupported parameter", "param": "seed", "type": "x"}})),
                "seed",
            ),
            Seen("a small server", bad({"error": "stop cannot be used with this upstream model"}), "stop"),
        ],
    ),
    Quirk(
        "`temperature` is refused, or this value of it",
        "it is left out from then on: the model answers at its own, and the end of the run reports that",
        "omits",
        [
            Seen(
                "OpenAI",
                openai(
                    "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) is.",
                    param="temperature",
                    code="unsupported_value",
                ),
                "temperature",
            ),
            Seen(
                "Anthropic", bad({"error": {"message": "`temperature` is deprecated for this model."}}), "temperature"
            ),
            Seen(
                "FastAPI",
                bad({"detail": [{"loc": ["body", "temperature"], "msg": "Input should be greater than 0"}]}, 422),
                "temperature",
            ),
            Seen(
                "TGI",
                bad({"error": "Input validation error: `temperature` must be strictly positive"}, 422),
                "temperature",
            ),
        ],
    ),
    Quirk(
        "`max_tokens` is refused",
        "it becomes `max_completion_tokens`",
        "renames",
        [
            Seen(
                "OpenAI",
                openai(
                    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' "
                    "instead.",
                    param="max_tokens",
                    code="unsupported_parameter",
                ),
            ),
        ],
    ),
    Quirk(
        "streaming is refused",
        "answers come whole from then on",
        "plain",
        [
            Seen(
                "OpenAI",
                openai("This organization must be verified to stream.", param="stream", code="unsupported_value"),
            ),
            Seen("Azure", openai("Unrecognized request argument supplied: stream_options"), "stream_options"),
            Seen("a small server", bad({"error": "streaming is not supported"}, 501)),
            Seen("a small server", bad({"error": "bad request"})),
        ],
    ),
    Quirk(
        "the time to wait is in a header",
        "all calls to the server wait that long",
        "waits",
        [
            Seen("OpenAI", Status(429, {"Retry-After-Ms": "200"}), 0.2),
            Seen("Mistral", Status(429, {"Retry-After": "1"}), 1),
            Seen(
                "Groq",
                Status(429, {"X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "250ms"}),
                0.25,
            ),
            Seen("Azure", Status(429, {"X-RateLimit-Reset-Tokens": "1"}), 1),
            Seen(
                "Cerebras",
                Status(
                    429,
                    {"X-RateLimit-Reset-Tokens-Minute": "0.4", "X-RateLimit-Reset-Requests-Day": "33011.3"},
                    {"message": "Tokens per minute limit exceeded - too many tokens", "code": "token_quota_exceeded"},
                ),
                0.4,
            ),
            Seen("a proxy", Status(429, {"RateLimit-Remaining": "0", "RateLimit-Reset": "1"}), 1),
            Seen("a proxy", Status(503, {"Retry-After": "300ms"}), 0.3),
        ],
    ),
    Quirk(
        "the time to wait is only in the text",
        "all calls to the server wait that long",
        "waits",
        [
            Seen(
                "Gemini",
                gemini(
                    "You exceeded your current quota, please check your plan and billing details.",
                    status=429,
                    name="RESOURCE_EXHAUSTED",
                    details=[{"@type": _RETRY_INFO, "retryDelay": "0.3s"}],
                ),
                0.3,
            ),
            Seen(
                "OpenAI", openai("Rate limit reached on requests per min. Please try again in 220ms.", status=429), 0.22
            ),
            Seen("Groq", openai("Rate limit reached. Please try again in 0m0.25s.", status=429, type="tokens"), 0.25),
            Seen(
                "Bedrock", bad({"message": "Too many tokens, please wait 0.3 seconds before trying again."}, 429), 0.3
            ),
            Seen("Azure", bad({"error": {"code": "429", "message": "Please retry after 1 second."}}, 429), 1),
            Seen("OpenRouter", error_in_200({"code": 429, "message": "upstream is busy, retry in 0.3s"}), 0.3),
            Seen("a proxy", bad({"error": {"message": "slow down", "retry_after": 0.4}}, 429), 0.4),
            Seen("a proxy", bad({"message": "slow down", "retryAfterMs": 300}, 429), 0.3),
            Seen("Hugging Face", bad({"error": "Model m is currently loading", "estimated_time": 0.3}, 503), 0.3),
            Seen(
                "OpenRouter",
                openai(
                    "Rate limit exceeded: free-models-per-min.",
                    status=429,
                    metadata={"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "300ms"}},
                ),
                0.3,
            ),
        ],
    ),
    Quirk(
        "the server is busy, inside HTTP 200, or breaks off an answer",
        "tried again, as for the status that the error names; not billed",
        "retries",
        [
            Seen("OpenRouter", error_in_200({"code": 429, "message": "Provider returned error"}, user_id="u")),
            Seen("OpenRouter", error_in_200({"code": "502", "message": "Provider returned error"})),
            Seen("Anthropic", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            Seen("Gemini", [{"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}]),
            Seen("a proxy", {"detail": "rate_limit", "code": "rate_limit_exceeded"}),
            Seen("a proxy", {"error": True, "message": "Too many requests", "statusCode": 429}),
            Seen("OpenRouter", broken_off("error", error={"code": 502, "message": "Provider disconnected"})),
            Seen("DeepSeek", broken_off("insufficient_system_resource")),
            Seen("Zhipu", broken_off("network_error")),
            Seen("MiniMax", {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "rate limit"}}),
        ],
    ),
    Quirk(
        "the quota or the balance is used up",
        "the run ends at once, and can be resumed; nobody else is tried",
        "ends",
        [
            Seen(
                "OpenAI",
                openai("You exceeded your current quota.", status=429, code="insufficient_quota"),
                "quota or credit",
            ),
            Seen("OpenAI", openai("Billing hard limit has been reached", code="billing_hard_limit_reached"), "credit"),
            Seen("Anthropic", openai("Your credit balance is too low to access the API."), "quota or credit"),
            Seen("DeepSeek", openai("Insufficient Balance", status=402), "HTTP 402"),
            Seen("OpenRouter", error_in_200({"code": 402, "message": "Insufficient credits. Add more."}), "HTTP 402"),
            Seen(
                "xAI",
                bad({"error": "Your team has used all credits or reached its monthly spending limit."}, 402),
                "402",
            ),
            Seen(
                "Alibaba",
                bad({"error": {"code": "Arrearage", "message": "Access denied, the account is overdue."}}),
                "quota",
            ),
            Seen(
                "Gemini",
                gemini(
                    "Quota exceeded for GenerateRequestsPerDayPerProjectPerModel", status=429, name="RESOURCE_EXHAUSTED"
                ),
                "quota of the day or month",
            ),
            Seen(
                "Groq", openai("Limit reached on tokens per day (TPD). Please try again in 47m12s.", status=429), "day"
            ),
            Seen(
                "Gemini",
                gemini(
                    "Quota exceeded for metric: free_tier_requests, limit: 0, model: m. Please retry in 26.9s.",
                    status=429,
                    name="RESOURCE_EXHAUSTED",
                ),
                "quota of the day or month",
            ),
            Seen(
                "OpenRouter",
                openai("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock more.", status=429),
                "quota of the day or month",
            ),
            Seen("OpenRouter", bad({"error": {"code": 403, "message": "Key limit exceeded (total)"}}, 403), "quota"),
            Seen("OpenRouter", bad(quoted({"error": {"code": "insufficient_quota"}}, status=429), 429), "quota"),
            Seen(
                "xAI",
                bad({"error": "Your team has used all available credits or reached its monthly spending limit."}, 429),
                "quota or credit",
            ),
            Seen("Anthropic", openai("You have reached your specified API usage limits."), "quota or credit"),
            Seen(
                "Fireworks",
                openai("Account a is suspended, possibly due to reaching the monthly spending limit", status=412),
                "quota or credit",
            ),
            Seen("LiteLLM", openai("Budget has been exceeded! Current cost: 10.1", type="budget_exceeded"), "quota"),
            Seen("Volcengine", openai("Your account has an overdue balance", status=403), "quota or credit"),
            Seen(
                "MiniMax",
                {"choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
                "quota or credit",
            ),
            Seen("Ollama", bad({"error": "you have reached your weekly usage limit"}, 429), "quota of the day or"),
            Seen("Bedrock", bad({"message": "Too many tokens per day, please wait."}, 429), "quota of the day or"),
        ],
    ),
    Quirk(
        "a content filter refuses the request",
        "this question counts as unanswered and the person goes on; the cache does not keep it, and the end of the run "
        "reports how many. A refused proposal is no proposal",
        "filters",
        [
            Seen(
                "Azure",
                openai(
                    "The response was filtered due to the content management policy.",
                    code="content_filter",
                    param="prompt",
                    innererror={"code": "ResponsibleAIPolicyViolation"},
                ),
            ),
            Seen("OpenAI", openai("Your request was rejected by our safety system.", code="content_policy_violation")),
            Seen("OpenRouter", bad({"error": {"code": 403, "message": "Your input was flagged", "metadata": {}}}, 403)),
            Seen(
                "Anthropic", bad({"type": "error", "error": {"message": "Output blocked by content filtering policy"}})
            ),
            Seen("DeepSeek", openai("Content Exists Risk")),
            Seen("Alibaba", openai("Input data may contain inappropriate content.", code="data_inspection_failed")),
            Seen("Gemini", gemini("The prompt was blocked: PROHIBITED_CONTENT")),
            Seen(
                "xAI",
                bad(
                    {
                        "code": "The caller does not have permission to execute the specified operation",
                        "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
                    },
                    403,
                ),
            ),
            Seen("OpenRouter", bad(quoted({"error": {"code": "content_filter", "message": "no"}}))),
            Seen("LiteLLM", openai("litellm.ContentPolicyViolationError: AzureException - refused")),
            Seen("Moonshot", openai("The request was rejected because it was considered high risk")),
            Seen("StepFun", bad({"error": {"message": "blocked"}}, 451)),
        ],
    ),
    Quirk(
        "a content filter withholds the answer, inside HTTP 200",
        "the same, but the answer is paid, and the cache keeps it",
        "filters",
        [
            Seen("Azure", filtered(), "paid"),
            Seen("Gemini", filtered("SAFETY"), "paid"),
            Seen("Gemini", filtered("content_filter: RECITATION", message=None), "paid"),
            Seen("Anthropic", filtered("refusal"), "paid"),
            Seen("Gemini", {"candidates": [], "promptFeedback": {"blockReason": "OTHER"}}, "paid"),
            Seen("Zhipu", filtered("sensitive"), "paid"),
        ],
    ),
    Quirk(
        "the prompt is longer than the model's context",
        "Fermi's meta-prompt, few-shot, retrieved and profile prompts are shortened; otherwise the message names the "
        "person, the prompt, the context and what to do",
        "too long",
        [
            Seen(
                "OpenAI",
                openai("This model's maximum context length is 8192 tokens. However, you sent 9000.", **_LONG),
                8192,
            ),
            Seen(
                "vLLM",
                bad(
                    {
                        "object": "error",
                        "message": "'max_tokens' is too large: 64. This model's maximum context length is 2048 tokens "
                        "and your request has 2040 input tokens.",
                        "type": "BadRequestError",
                        "code": 400,
                    }
                ),
                2048,
            ),
            Seen(
                "vLLM",
                openai("The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
                4096,
            ),
            Seen(
                "llama.cpp",
                openai(
                    "the request exceeds the available context size (4096 tokens), try increasing it",
                    type="exceed_context_size_error",
                    n_ctx=4096,
                ),
                4096,
            ),
            Seen("Anthropic", openai("prompt is too long: 210000 tokens > 200000 maximum"), 200000),
            Seen(
                "Gemini",
                gemini("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
                1048576,
            ),
            Seen(
                "Mistral",
                openai("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum"),
                32768,
            ),
            Seen("Groq", openai("Please reduce the length of the messages or completion.", **_LONG)),
            Seen(
                "Groq",
                openai("Request too large on tokens per minute (TPM): Limit 6000, Requested 9000.", status=413),
                6000,
            ),
            Seen(
                "TGI",
                bad({"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 1500"}, 422),
                1024,
            ),
            Seen(
                "Together",
                bad(
                    {"error": {"message": "`inputs` tokens + `max_new_tokens` must be <= 4097. Given: 5000"}},
                    422,
                ),
                4097,
            ),
            Seen(
                "xAI",
                bad({"error": "This model's maximum prompt length is 131072 but the request contains 200000."}),
                131072,
            ),
            Seen("Bedrock", bad({"message": "Input is too long for requested model."})),
            Seen(
                "Cohere",
                bad({"message": "too many tokens: the prompt's total number of tokens cannot exceed 4081"}),
                4081,
            ),
            Seen(
                "LM Studio",
                bad({"error": "First 5000 tokens kept; the model is loaded with context length of only 4096 tokens"}),
                4096,
            ),
            Seen("OpenAI", openai("Request too large for m on tokens per min: Limit 9000", status=429), 9000),
            Seen("SGLang", openai("The input (5000 tokens) is longer than the model's context length (4096)."), 4096),
            Seen("Ollama", openai("prompt too long; exceeded max context length by 300 tokens")),
            Seen("Moonshot", openai("Invalid request: Your request exceeded model token limit: 8192"), 8192),
            Seen("Alibaba", openai("Range of input length should be [1, 30720]"), 30720),
            Seen(
                "Cerebras",
                openai("Please reduce the length. Current length is 9000 while limit is 8192", **_LONG),
                8192,
            ),
            Seen(
                "Bedrock",
                bad({"message": "input length and `max_tokens` exceed context limit: 1990 + 60 > 2000"}),
                2000,
            ),
            Seen("LiteLLM", openai("litellm.ContextWindowExceededError: too much")),
            Seen("OpenRouter", bad(quoted({"message": "prompt is too long: 2100 tokens > 2000 maximum"})), 2000),
            Seen("nginx", Status(413, {"Content-Type": "text/html"}, "<html>Request Entity Too Large</html>")),
        ],
    ),
    Quirk(
        "a model that thinks uses up its tokens before it writes anything (HTTP 400)",
        "before the first answer, the run ends and names `--max-tokens`; later, it is an answer that was cut off",
        "tokens",
        [Seen("OpenAI", openai("Could not finish the message because max_tokens or model output limit was reached."))],
    ),
    Quirk(
        "`top_logprobs` is above the server's limit",
        "asked again with the limit that the server names, or 5; the end of the run reports it",
        "fewer",
        [
            Seen("vLLM", openai("Requested sample logprobs of 20, which is greater than max allowed: 5"), 5),
            Seen("Azure", openai("20 is greater than the maximum of 5 - 'top_logprobs'", param="top_logprobs"), 5),
            Seen("xAI", openai("top_logprobs must be at most 8"), 8),
            Seen(
                "FastAPI",
                bad(
                    {
                        "detail": [
                            {
                                "type": "less_than_equal",
                                "loc": ["body", "top_logprobs"],
                                "msg": "Input should be less than or equal to 10",
                                "ctx": {"le": 10},
                            }
                        ]
                    },
                    422,
                ),
                10,
            ),
            Seen("a small server", openai("top_logprobs exceeds the limit"), 5),
            Seen("a small server", openai("llama-3: top_logprobs exceeds the limit"), 5),
            Seen("Gemini", gemini("logprobs must be in the range [1, 20)"), 19),
            Seen("Fireworks", openai("top_logprobs must be between 0 and 5"), 5),
            Seen("TGI", bad({"error": "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 20"}), 5),
        ],
    ),
    Quirk(
        "more tokens are asked for than an answer, or the context, may have",
        "the run ends at once and names `--max-tokens`",
        "at most",
        [
            Seen(
                "OpenAI",
                openai("max_tokens is too large: 300. This model supports at most 128 completion tokens."),
                "128",
            ),
            Seen("Anthropic", openai("max_tokens: 300 > 128, which is the maximum allowed number of tokens"), "128"),
            Seen("DeepSeek", openai("Invalid max_tokens value, the valid range of max_tokens is [1, 128]"), "128"),
            Seen("Groq", openai("`max_tokens` must be less than or equal to `128`, the maximum value"), "128"),
            Seen("Bedrock", openai("The maximum tokens you requested exceeds the model limit of 128."), "128"),
            Seen(
                "vLLM",
                openai("'max_tokens' is too large: 300. This model's maximum context length is 256 tokens."),
                "64",
            ),
        ],
    ),
    Quirk(
        "fewer tokens are asked for than the server allows (by `--answering likelihood`, which needs one)",
        "asked again with the fewest that it allows; the end of the run reports it",
        "at least",
        [
            Seen(
                "Azure",
                openai(
                    "Invalid 'max_completion_tokens': integer below minimum value. Expected a value >= 16, but got 1 "
                    "instead.",
                    param="max_completion_tokens",
                ),
                16,
            ),
            Seen(
                "OpenRouter",
                bad(
                    quoted(
                        {
                            "error": {
                                "message": "Invalid 'max_output_tokens': integer below minimum value. Expected a value "
                                ">= 16, but got 1 instead.",
                                "param": "max_output_tokens",
                            }
                        }
                    )
                ),
                16,
            ),
        ],
    ),
    Quirk(
        "the key is refused with the status of a wrong request, or no provider is allowed",
        "the run ends at once; the message names the variable of the key, or the account's settings",
        "refused",
        [
            Seen("Gemini", gemini("API key not valid. Please pass a valid API key."), "IDIOLECT_API_KEY"),
            Seen("xAI", bad({"error": "Incorrect API key provided: x***."}), "IDIOLECT_API_KEY"),
            Seen("a proxy", error_in_200({"message": "Invalid API key"}), "IDIOLECT_API_KEY"),
            Seen("OpenRouter", openai("No endpoints found matching your data policy", status=404), "settings of priva"),
        ],
    ),
    Quirk(
        "the path is wrong",
        "the run ends at once, with a hint at `/v1`, or with the models that the server lists",
        "path",
        [
            Seen("nginx", _PAGE, "path is wrong"),
            Seen("FastAPI", bad({"detail": "Not Found"}, 404), "path is wrong"),
            Seen("Ollama", Status(404, body="404 page not found"), "path is wrong"),
            Seen("Open WebUI", Status(405, body={"detail": "Method Not Allowed"}), "path is wrong"),
            Seen("LM Studio", {"error": "Unexpected endpoint or method. (POST /chat/completions)"}, "path is wrong"),
        ],
    ),
)


def table() -> str:
    """Return the table of docs/remote.md."""
    head = ["| what comes | seen at | what happens |", "|---|---|---|"]
    return "\n".join([*head, *(quirk.row for quirk in QUIRKS)])


def cases() -> list[tuple[Quirk, Seen]]:
    """Return every reply with its row."""
    return [(quirk, seen) for quirk in QUIRKS for seen in quirk.seen]
