"""Verification of an exported folder by loading it with PEFT in this process; used by `exporting`.

The served network does not change: PEFT gets a copy of its modules that shares the weights' memory.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from idiolect.errors import MissingExtraError
from idiolect.export.verify import Ids, Tolerance, Verification, compare, edited_logits, network_logits
from idiolect.models.edits import Edit

try:
    import peft
except ImportError as error:
    raise MissingExtraError.of("verifying a PEFT folder needs", "export", error) from error

TOLERANCES = {
    torch.float32: Tolerance(1e-5, 1e-3),
    torch.bfloat16: Tolerance(5e-2, 2e-1),
    torch.float16: Tolerance(1e-2, 5e-2),
}


def verify_peft(folder: Path, network: Any, edit: Edit, prompts: Sequence[Ids], *, dtype: torch.dtype) -> Verification:
    """Compare PEFT's logits with those of the hooks, each with and without the adapter or edit.

    Args:
        folder: a folder with the files from `peft_files`.
        network: the Hugging Face network from which the adapter was made; it is not changed.
        edit: the edit from which the adapter was made.
        prompts: token ids of the prompts to compare on.
        dtype: dtype of the adapter's tensors.
    """
    served = shared_copy(network)
    before = network_logits(served, prompts)
    adapted: Any = peft.PeftModel.from_pretrained(served, str(folder))
    adapted.eval()
    after = network_logits(adapted, prompts)
    held = next(network.parameters()).dtype
    coarsest = max((held, dtype), key=lambda each: TOLERANCES[each].difference if each in TOLERANCES else 0.0)
    numbers = f"base in {_name(held)}, adapter in {_name(dtype)}"
    return compare(
        partial(edited_logits, network, prompts),
        edit,
        (before, after),
        engine=f"PEFT {peft.__version__}",
        numbers=numbers,
        tolerance=TOLERANCES.get(coarsest, TOLERANCES[torch.float32]),
    )


def shared_copy(network: Any) -> Any:
    """Copy a network's modules, but share the memory of its weights.

    PEFT needs modules of its own, because it replaces modules, freezes weights and leaves attributes behind.
    """
    own = {id(each): _same_memory(each) for each in network.parameters()}
    return copy.deepcopy(network, own).eval()


def _same_memory(parameter: nn.Parameter) -> nn.Parameter:
    return nn.Parameter(parameter.data, requires_grad=False) if type(parameter) is nn.Parameter else parameter


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
