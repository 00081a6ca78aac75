"""`runs.jsonl`: one line for every run on an evaluation's folder, so that the folder states how its results were made.

    opened models, Invocation → begin_run → RunLog → runs.jsonl → read_runs → scores.json, report

A line is written when a run begins and replaced when it ends; a run without an end was killed. Several runs on one
folder (continued, extended, or in shards) have a line each.
"""

from __future__ import annotations

import json
import math
import platform
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import TypeAdapter

from idiolect.evaluate.lines import json_lines, replace_file
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY
from idiolect.models.description import ModelDescription, public_url
from idiolect.version import __version__

_LIBRARIES = (
    "torch", "transformers", "gguf", "openai", "numpy", "bm25s", "rouge-score", "scipy", "scikit-learn", "statsmodels",
    "trl", "peft",
)  # fmt: skip
# An absolute path, or one that leaves the working folder, at the start of an argument or of a value in it.
_PATH = re.compile(r"(?:(?<=^)|(?<=[=,:\[]))(?:~[^/\\,\]]*|\.\.|[A-Za-z]:)?[/\\][^,\]]*")
_URL = re.compile(r"https?://[^\s,\]#]+", re.IGNORECASE)
_KEY = re.compile(r"\b(?:(?:sk|pk|rk|hf|gsk|xai)[-_]|AIza|Bearer )(?=[A-Za-z_-]*\d)[A-Za-z0-9._-]{16,}")


_STATED = {"started", "shard", "seeds", "models", "idiolect", "python", "system", "libraries"}


@dataclass(frozen=True, slots=True)
class Invocation:
    """How a run was started.

    Args:
        command: command line, already without keys and folders (`command_line`); "": started from Python.
        log_prompts: whether answers hold the prompts that they answer.
    """

    command: str = ""
    log_prompts: bool = False


@dataclass(frozen=True, slots=True)
class ModelInUse:
    """A model with its roles in a run: "answers", "writes prompts", "transfer"."""

    roles: tuple[str, ...]
    model: ModelDescription

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"roles": list(self.roles), **self.model.to_json()}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run.

    Args:
        started: when it began, in UTC (ISO 8601, seconds).
        ended: when it ended; None if it is running or was killed.
        seconds: how long it took; None as `ended`.
        ended_by: "" if it did its work, else the reason why it ended early, in a few words.
        command: command line without keys and folders; "" if it was started from Python.
        shard: (i, n): its share of the people, from 0.
        seed, seeds: seed of people and questions; seeds of the methods.
        prompts_logged: whether its answers hold the prompts.
        idiolect, python, system: versions, and the operating system with the processor's architecture.
        libraries: versions of the libraries that the numbers can depend on.
        models: the models, as JSON values (`ModelDescription`), each with its roles.
        similarity: name of the similarity of questions.
    """

    started: str
    ended: str | None = None
    seconds: float | None = None
    ended_by: str = ""
    command: str = ""
    shard: tuple[int, int] = (0, 1)
    seed: int = 0
    seeds: tuple[int, ...] = (0,)
    prompts_logged: bool = False
    idiolect: str = __version__
    python: str = field(default_factory=platform.python_version)
    system: str = field(default_factory=lambda: f"{platform.system()} {platform.machine()}")
    libraries: Mapping[str, str] = field(default_factory=lambda: library_versions())
    models: tuple[Mapping[str, Any], ...] = ()
    similarity: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {VERSION_KEY: SCHEMA_VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunRecord:
        """Return the run from which `to_json` made the values; raise KeyError, TypeError or ValueError if none."""
        missing = _STATED - set(values)
        if missing:  # the defaults are those of this process, not of that run
            raise KeyError(*sorted(missing))
        found = _runs().validate_python(values)
        if not math.isfinite(found.seconds or 0.0):
            raise ValueError("the seconds are not a finite number")
        return found


@cache
def _runs() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)


@dataclass(slots=True)
class RunLog:
    """The line of a run in progress."""

    path: Path
    record: RunRecord
    _earlier: str
    _begun: float = field(default_factory=time.monotonic)

    def end(self, models: Sequence[ModelInUse], *, ended_by: str = "") -> None:
        """Write the end of the run, with what is known of its models by now.

        Raises:
            OSError: the file cannot be written.
        """
        self.record = replace(
            self.record,
            ended=_now(),
            seconds=round(time.monotonic() - self._begun, 1),
            ended_by=ended_by,
            models=tuple(model.to_json() for model in models),
        )
        self.write()

    def write(self) -> None:
        """Write all runs of this shard."""
        replace_file(self.path, f"{self._earlier}{json.dumps(self.record.to_json(), ensure_ascii=False)}\n")


def begin_run(path: Path, record: RunRecord) -> RunLog:
    """Write the beginning of a run into a file, after the earlier runs, whose lines stay as they are.

    Raises:
        OSError: the file cannot be written.
    """
    earlier = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    log = RunLog(path, record, earlier if not earlier or earlier.endswith("\n") else earlier + "\n")
    log.write()
    return log


def begun_now(invocation: Invocation, models: Sequence[ModelInUse], **facts: Any) -> RunRecord:
    """Return the record of a run that begins now; `facts` are further fields."""
    return RunRecord(
        _now(),
        command=invocation.command,
        prompts_logged=invocation.log_prompts,
        models=tuple(model.to_json() for model in models),
        **facts,
    )


def read_runs(folder: Path) -> tuple[RunRecord, ...]:
    """Return the runs on a folder, of all shards, in the order of their beginnings, without lines that are none."""
    return tuple(sorted((run for path in folder.glob("runs*.jsonl") for run in _read(path)), key=lambda r: r.started))


def _read(path: Path) -> list[RunRecord]:
    found = []
    for _, line in json_lines(path):
        with suppress(KeyError, TypeError, ValueError):
            found.append(RunRecord.from_json(line))
    return found


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def library_versions() -> dict[str, str]:
    """Return the versions of the installed libraries that the numbers can depend on."""
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def command_line(program: str, arguments: Sequence[str]) -> str:
    """Return a command line that can be published.

    A path below the working folder stays as it was written, because the command can be repeated with it. Of any other
    path (absolute, or beginning with ~ or ..) only the last part stays, because the folders above it name people,
    machines and customers. A URL loses user, password and query, and whatever looks like a key becomes "…".
    """
    return shlex.join([program, *(_published(argument) for argument in arguments)])


def _published(argument: str) -> str:
    argument = _KEY.sub("…", argument)
    if "://" in argument:
        return _URL.sub(lambda url: public_url(url[0]), argument)
    return _PATH.sub(lambda path: _last_part(path[0]), argument)


def _last_part(path: str) -> str:
    kind = PureWindowsPath if "\\" in path else PurePosixPath
    return kind(path).name or "…"
