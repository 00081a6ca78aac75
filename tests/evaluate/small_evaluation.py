"""What tests of whole evaluations share: a users file, models that answer anything, and results to compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.api_server import Body
from tests.cli.remote_world import name_of, person
from tests.evaluate.small_world import said
from tests.methods.people import number

WORDS = ("tea", "milk", "bread", "rice", "apples", "soup")
METHODS_ASKED = "uniform,vanilla,profile,fermi"
SMALL: dict[str, Any] = {"train": 4, "test": 2, "preset": "api", "similarity": "bm25", "iterations": 1}


def small(data: Path, model: str = "m", **changes: Any) -> EvaluationConfig:
    """A quick evaluation of a users file, as `told` tells the command."""
    given = {"task": "users", "methods": METHODS_ASKED, "data": data, "model": model}
    return EvaluationConfig(**SMALL | given | changes)


def told(data: Path, out: Path, model: str, *more: str, methods: str = METHODS_ASKED) -> list[str]:
    """The command's arguments for the evaluation `small`."""
    given = ["evaluate", "users", "--data", str(data), "--out", str(out), "--model", model, "--methods", methods]
    return [*given, *(f"--set={name}={value}" for name, value in SMALL.items()), *more]


def users(folder: Path, *ids: str, n: int = 6) -> Path:
    """A users file; of ann and bob where nobody is named."""
    path = folder / "users.jsonl"
    path.write_text("".join(json.dumps(person(user_id, n)) + "\n" for user_id in ids or ("ann", "bob")))
    return path


def served(body: Body, _number: int = 0) -> str:
    """A choice without its request's name, or a new text: the same for the same request."""
    drawn = int(name_of(body), 16)
    if "square brackets" in body["messages"][-1]["content"]:
        return f"[This person likes {WORDS[drawn % 6]}, says {drawn % 9973}.]"
    return WORDS[drawn % 6]


def answering(salt: str = "") -> FunctionModel:
    """Answers with one of the choices that are listed last; as an optimizer it writes texts."""

    def complete(request: CompletionRequest) -> str:
        content = "\n".join(message.content for message in request.messages)
        if "square brackets" in content:
            return said(request)
        return WORDS[number(salt + content) % 6]

    return FunctionModel(f"double{salt}", complete=complete)


def scores(out: Path) -> Any:
    """What an evaluation came to, without what differs between runs."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            dropped = ("seconds", "calls_made", "money", "first", "fingerprint", "versions", "runs")
            return {name: plain(each) for name, each in value.items() if name not in dropped}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(json.loads((out / "scores.json").read_text(encoding="utf-8")))


def table(out: Path) -> str:
    """The table without what it cost in time, money and calls made."""
    text = (out / "table.md").read_text(encoding="utf-8")
    costs = text.index("## Counts and costs")
    rest = text.index("\n## ", costs + 1)
    rows = [row.split(" | ") for row in text[costs:rest].splitlines() if row.startswith("| ")]
    return text[:costs] + "\n".join(" | ".join(row[:6]) for row in rows) + text[rest:]
