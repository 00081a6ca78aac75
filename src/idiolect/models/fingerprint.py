"""The fingerprint of a local model: the SHA-256 of everything that its answers depend on.

    SHA-256(tokenizer, configuration, ids that end an answer; each weight's name, dtype, shape and digest)

Hashing the weights takes a second for each 500 MB, and every command needs the result. So the weights' digests are kept
in the user's cache folder, under a key made of the files that the weights were read from (path, size, time of change),
the dtype, and the versions of what read them. They are used only where the sums over every weight's bits are the same.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

_DIGEST_BYTES = 64
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of an element
_READERS = ("idiolect", "transformers", "torch", "gguf", "safetensors")


def state_of(files: Sequence[Path], dtype: torch.dtype | str) -> str:
    """Return the SHA-256 (hex) of the state of files with weights, taken before they are read.

    It covers their paths, sizes and times of change, the dtype they are read in, and the versions of what reads them.

    Raises:
        OSError: a file is not there.
    """
    stats = [(str(file.resolve()), file.stat()) for file in sorted(files)]
    seen = [(name, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino) for name, stat in stats]
    identity = json.dumps([seen, str(dtype), [_version(name) for name in _READERS]])
    return hashlib.sha256(identity.encode()).hexdigest()


def fingerprint(
    weights: Mapping[str, torch.Tensor],
    tokenizer: Any,
    config: Any,
    *,
    stop_ids: Iterable[int],
    scores_in: torch.dtype | None = None,
    files: str | None = None,
) -> str:
    """Return the SHA-256 (hex) of what a model's answers depend on.

    Reads all weights, on all cores, unless their digests are kept.

    Args:
        weights: by name.
        tokenizer: with its chat template.
        config: of the network.
        stop_ids: ids that end an answer.
        scores_in: the dtype of a second copy of the weights that scores choices; None if there is none.
        files: state of the files that the weights come from (`state_of`); None if it is unknown: then nothing is kept.
    """
    identity = [_tokenizer_identity(tokenizer), _config_identity(config), sorted(stop_ids)]
    total = hashlib.sha256(json.dumps(identity, sort_keys=True).encode())
    for (name, tensor), digest in zip(weights.items(), _digests(weights, files), strict=True):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + digest)
    if scores_in is not None:
        total.update(f"scores in {scores_in}".encode())
    return total.hexdigest()


def _digests(weights: Mapping[str, torch.Tensor], files: str | None) -> list[bytes]:
    """Return each weight's BLAKE2b digest, from the cache folder if it has them."""
    if files is None:
        return _computed(weights)
    place = user_cache_path("idiolect", appauthor=False) / "weights" / f"{files}.blake2b"
    checksum = _checksum(weights)
    found = _kept(place, checksum, len(weights))
    if found is None:
        found = _computed(weights)
        with suppress(OSError):  # a cache folder that cannot be written costs time only
            _keep(place, b"".join([checksum, *found]))
    return found


def _computed(weights: Mapping[str, torch.Tensor]) -> list[bytes]:
    with ThreadPoolExecutor(thread_name_prefix="idiolect-fingerprint") as workers:
        return list(workers.map(_digest, weights.values()))


def _digest(tensor: torch.Tensor) -> bytes:
    # BLAKE2b, because it is twice as fast as SHA-256 where the processor has no instructions for that.
    flat = tensor.detach().cpu().contiguous().flatten()
    return hashlib.blake2b(flat.view(torch.uint8).numpy().data).digest()


def _checksum(weights: Mapping[str, torch.Tensor]) -> bytes:
    """Return a digest of the sum of every weight's bits, read as integers: a weight changed in memory changes its sum.

    A twentieth of a digest's time; it is no protection against changes that are made to keep the sum.
    """
    total = hashlib.blake2b()
    for tensor in weights.values():
        flat = tensor.detach().contiguous().flatten()
        bits = flat.view(_INTEGERS[flat.element_size()])
        total.update(int(bits.sum(dtype=torch.int64)).to_bytes(8, "little", signed=True))
    return total.digest()


def _kept(place: Path, checksum: bytes, number: int) -> list[bytes] | None:
    """Return the digests in a file; None if there is no such file, or it is not of these weights."""
    size = _DIGEST_BYTES * (number + 1)
    try:
        with place.open("rb") as file:
            content = file.read(size + 1)
    except OSError:
        return None
    if len(content) != size or content[:_DIGEST_BYTES] != checksum:
        return None
    return [content[at : at + _DIGEST_BYTES] for at in range(_DIGEST_BYTES, len(content), _DIGEST_BYTES)]


def _keep(place: Path, content: bytes) -> None:
    """Write a file that other processes see whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        file = Path(folder) / place.name
        file.write_bytes(content)
        file.replace(place)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _tokenizer_identity(tokenizer: Any) -> list[Any]:
    """Return, as JSON, everything that determines a tokenizer's ids: its chat template, rules and vocabulary."""
    identity: list[Any] = [str(getattr(tokenizer, "chat_template", None)), str(tokenizer.special_tokens_map)]
    backend = getattr(tokenizer, "backend_tokenizer", None)  # only tokenizers written in Rust have one
    if backend is None:
        return [*identity, sorted(tokenizer.get_vocab().items())]
    rules: dict[str, Any] = json.loads(backend.to_str())
    return [*identity, {name: rule for name, rule in rules.items() if name not in ("truncation", "padding")}]


def _config_identity(config: Any) -> dict[str, Any]:
    """Return a configuration as JSON, without its source path and the version of transformers that read it."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return {name: value for name, value in values.items() if name not in ("_name_or_path", "transformers_version")}
