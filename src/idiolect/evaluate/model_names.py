"""Names of models in an evaluation's files, which contain no folder of this machine.

configuration → without_path → arms, config.json, outline.json, runs.jsonl
"""

from __future__ import annotations

from pathlib import Path

_REPLAY = "replay:"


def without_path(model: str) -> str:
    """Return a model's name; for a recording or a local folder, the last part of its path."""
    if model.startswith(_REPLAY):
        return _REPLAY + Path(model.removeprefix(_REPLAY)).name
    return Path(model).name if Path(model).exists() else model
