"""The key of a call in the cache: a hash of everything that its result depends on, and of nothing else.

    operation, model, fingerprint, request → canonical JSON → SHA-256

Equal requests have equal keys in every process and on every machine. A key reveals nothing of what people wrote.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from idiolect.models.language_model import ChoiceRequest, CompletionRequest

FORMAT = 1  # increased whenever the same request is to get another key


def call_key(operation: str, *, model: str, fingerprint: str, request: CompletionRequest | ChoiceRequest) -> str:
    """Return the call's key: 64 hexadecimal digits.

    Args:
        operation: the kind of call, such as "complete".
        model: the model's name.
        fingerprint: hash of the weights, edit and chat template; "" for a remote model, which only its name identifies.
        request: the call.
    """
    content = [FORMAT, operation, model, fingerprint, _as_json(request)]
    canonical = json.dumps(content, sort_keys=True, allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _as_json(request: CompletionRequest | ChoiceRequest) -> dict[str, Any]:
    """Return the request as `dataclasses.asdict` would, at a tenth of the cost; a test compares the two.

    `thinking` is left out unless it is set, so that calls from before it existed keep their keys.
    """
    content: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "prefill": request.prefill,
    }
    if isinstance(request, ChoiceRequest):
        return {**content, "choices": request.choices}
    sampling = request.sampling
    return {
        **content,
        "draw": request.draw,
        **({} if request.thinking is None else {"thinking": request.thinking}),
        "sampling": {
            "max_tokens": sampling.max_tokens,
            # Requests with temperature 0 and 0.0 (or -0.0) are equal, but JSON would write them differently.
            "temperature": float(sampling.temperature) + 0.0,
            "top_p": float(sampling.top_p) + 0.0,
            "seed": sampling.seed,
            "stop": sampling.stop,
        },
    }
