"""What the tests of exports share: tiny networks of every family, strong edits of no person, and their adapters."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from idiolect.export.adapter import AdapterFiles, Published, publish
from idiolect.export.card import Origin
from idiolect.export.gguf_file import gguf_files
from idiolect.export.lora import lora_of
from idiolect.export.peft_folder import peft_files
from idiolect.models.edits import Edit
from idiolect.models.language_model import Message
from idiolect.models.local import LocalModel
from tests.models import tiny

FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "gemma2", "gemma3_text")
IDS = [(5, 17, 90, 201, 33, 8), (44, 2, 150, 151, 7, 99, 100, 12, 65, 3)]
ORIGIN = Origin("some-org/some-model", "0" * 64)
QUESTIONS = ("Tell me about your morning.", "Is a hot dog a sandwich?", "Write one line about rain.")


@cache
def family(name: str, *, bias: bool = False) -> Any:
    """A random-weight network of an architecture; `bias`: of its MLPs, where it can have one."""
    torch.manual_seed(1)
    sizes = tiny.SIZES | {"head_dim": 8, "pad_token_id": 1} | ({"mlp_bias": True} if bias else {})
    return AutoModelForCausalLM.from_config(CONFIG_MAPPING[name](**sizes)).eval()


def strong(seed: int, *, layers: Sequence[int] = range(30), strength: float = 2.0) -> Edit:
    """An edit of the embedded model that it clearly shows."""
    return tiny.edit(seed, layers=layers, strength=strength / 3, width=576)


def files_of(edit: Edit, network: Any, kind: str, dtype: torch.dtype = torch.float32) -> AdapterFiles:
    """The adapter's files."""
    make = peft_files if kind == "peft" else gguf_files
    return make(lora_of(edit, network), ORIGIN, dtype=dtype)


def published(edit: Edit, network: Any, kind: str, directory: Path, dtype: torch.dtype = torch.float32) -> Published:
    """The adapter, written."""
    return publish(files_of(edit, network, kind, dtype), directory)


def prompts(model: LocalModel) -> list[tuple[int, ...]]:
    """Token ids of the questions."""
    return [model.format.prompt_ids([Message("user", text)]) for text in QUESTIONS]
