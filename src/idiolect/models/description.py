"""What a model is, in words: for records of results. Imports no torch.

    LocalModel | RemoteModel → ModelDescription → application.describing → a results folder

A description names a model so that somebody else can find the same one. It contains no key, no folder of this machine,
and nothing that a person wrote.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

Kind = Literal["local", "remote", "recording", "object"]

_QUANTIZATION = re.compile(r"[.-]((?:I?Q\d\w*|BF16|F16|F32))$", re.IGNORECASE)
_REPORTED = re.compile(r"\S{1,200}")
_VERSION = "api-version"  # the only parameter of a query that is known to contain no secret


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """What is known of a model; None: it is not known, or does not apply.

    Args:
        name: the model's own name: of a bundled or downloaded model, of a folder or file, or at its server.
        kind: "local" (weights in this process), "remote" (behind an API), "recording", or "object" (the caller's own).
        file: name of the file with the weights, if it is a single one.
        quantization: how that file stores them, such as "Q4_1".
        package: package that the weights come from, with its version.
        revision: commit of a model from the Hugging Face Hub.
        fingerprint: SHA-256 of everything that the answers depend on.
        parameters: number of weights.
        device: such as "cpu" or "cuda:0"; device_name: the GPU's name, or the processor's architecture.
        dtype: type of the weights in memory.
        scoring_dtype: type of the weights that score choices.
        endpoint: URL of the server, without secrets.
        reported: names that the server gave for the model in its answers.
        reported_fingerprints: names that the server gave for its own configuration (`system_fingerprint`).
    """

    name: str
    kind: Kind
    file: str | None = None
    quantization: str | None = None
    package: str | None = None
    revision: str | None = None
    fingerprint: str | None = None
    parameters: int | None = None
    device: str | None = None
    device_name: str | None = None
    dtype: str | None = None
    scoring_dtype: str | None = None
    endpoint: str | None = None
    reported: tuple[str, ...] = ()
    reported_fingerprints: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without those that are unknown."""
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: value for name, value in found.items() if value not in (None, [])}


def quantization_of(file: str) -> str | None:
    """Return the quantization that the name of a GGUF file states; None if it states none."""
    found = _QUANTIZATION.search(file.removesuffix(".gguf"))
    return found[1].upper() if found else None


def reported_name(value: Any) -> str | None:
    """Return a name from a server's answer; None if it cannot be one, so that no other text of a server is kept."""
    return value if isinstance(value, str) and _REPORTED.fullmatch(value) and value.isprintable() else None


def public_url(url: str) -> str:
    """Return a URL without user, password, fragment and query; the version of an API stays."""
    parts = urlsplit(url)
    versions = parse_qs(parts.query).get(_VERSION, [])
    query = f"?{urlencode({_VERSION: versions[0]})}" if versions else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"
