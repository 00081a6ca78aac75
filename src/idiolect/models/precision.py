"""The type that a CPU scores fastest in.

Scoring is prefill: large matrix products, which processors with instructions for bfloat16 (AMX, AVX512-BF16, Arm's
BF16) compute two or more times as fast as float32. Decoding one sequence is bound by other things and gains nothing.
Processors without such instructions emulate the type and are slower with it, so `faster_scoring_dtype` measures.
"""

from __future__ import annotations

import time
from typing import Literal

import torch

from idiolect.models import threads  # before the first product: it makes MKL add up in one order

_ROWS, _IN, _OUT = 256, 576, 1536  # about a layer of a small model
_ROUNDS = 5
_WORTH_IT = 1.5


@torch.inference_mode()
def faster_scoring_dtype() -> Literal["bfloat16"] | None:
    """Return "bfloat16" if this CPU multiplies such matrices 1.5 times as fast as in float32; None if not, or on a GPU.

    Takes about 0.05 s. A busy machine can change the answer, so nothing that has to be the same everywhere may depend
    on it.
    """
    if torch.cuda.is_available():  # models are loaded onto it
        return None
    threads.adapt()
    rows, weight = torch.ones(_ROWS, _IN), torch.ones(_OUT, _IN)
    seconds = {dtype: _seconds(rows.to(dtype), weight.to(dtype)) for dtype in (torch.float32, torch.bfloat16)}
    return "bfloat16" if seconds[torch.float32] > _WORTH_IT * seconds[torch.bfloat16] else None


def _seconds(rows: torch.Tensor, weight: torch.Tensor) -> float:
    """Return the shortest time of a product, after one that is not counted."""
    torch.nn.functional.linear(rows, weight)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        torch.nn.functional.linear(rows, weight)
        times.append(time.perf_counter() - start)
    return min(times)
