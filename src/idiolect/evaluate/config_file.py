"""`config.json` in an evaluation's folder: kept, compared with the configuration of a new run, and read.

    kept.kept_config → keep_config | check_config → config.json → read_config_of → configuration.as_kept

Once there are answers, what decides the numbers is fixed; methods and people may be added.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from idiolect.errors import SettingsError
from idiolect.evaluate.lines import replace_file
from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY, check_version, read_json, version_of

_NAME = "config.json"
_FIXED = ("task", "data", "split", "models", "settings", "seeds", "primary", "baseline")
PRESETS_KEY = "presets"
"""Key of hashes of the settings that methods learn with, by method; folders of older programs lack it."""
START_KEY = "from_group"
"""Key of the group's edit at which people's steps begin; folders of older programs, or without an edit, lack it."""
_GROWING = ("methods", "people", "curves")


def read_config_of(folder: Path) -> dict[str, Any]:
    """Return the configuration in a folder.

    Raises:
        SettingsError: the folder contains none, or one that this program cannot read.
    """
    path = folder / _NAME
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} cannot be used: it is a file, not the folder of an evaluation")
    try:
        held = read_json(path)
    except SettingsError as error:
        if "not a file of an evaluation" in str(error):
            raise SettingsError(f"{path} is not the configuration of an evaluation") from None
        raise
    if held is None:
        missing = "there is no such folder" if not folder.exists() else f"it has no {_NAME}"
        raise SettingsError(f"{folder} contains no evaluation: {missing}")
    if version_of(held) is None or not _is_configuration(held):
        raise SettingsError(f"{path} is not the configuration of an evaluation: name another folder")
    check_version(path, held)
    return held


def _is_configuration(held: Mapping[str, Any]) -> bool:
    """Return whether a document names a task, and has the shapes that every reader of a configuration relies on."""
    methods = held.get("methods", [])
    return (
        isinstance(held.get("task"), str)
        and isinstance(methods, list)
        and all(isinstance(name, str) for name in methods)
        and all(isinstance(held.get(name, {}), Mapping) for name in ("split", "models", "settings", PRESETS_KEY))
    )


def keep_config(folder: Path, config: Mapping[str, Any], *, alone: bool) -> None:
    """Save the configuration, or check that it is the same; a single process may change it before the first answer.

    Raises:
        SettingsError: the folder contains a different evaluation, or something else.
    """
    path, new = folder / _NAME, json.loads(json.dumps({VERSION_KEY: SCHEMA_VERSION, **config}))
    begun = any(each.stat().st_size for each in folder.glob("answers*.jsonl"))
    foreign = [name for name in ("report.html", "table.md", "scores.json") if (folder / name).exists()]
    if foreign and not path.exists():
        raise SettingsError(f"{folder} contains a {foreign[0]} from something else: name another folder")
    if not path.exists():
        if begun:
            raise SettingsError(f"{folder} contains answers, but no {_NAME} for them: name another folder")
        replace_file(path, json.dumps(new, indent=1, ensure_ascii=False) + "\n")
        return
    held = read_config_of(folder)
    begun = begun or not alone
    if begun:
        check_config(folder, held, new)
        _check_presets(folder, held, new)
        new[PRESETS_KEY] = {**held.get(PRESETS_KEY, {}), **new.get(PRESETS_KEY, {})}
        new["fingerprint"] = new.get("fingerprint") or held.get("fingerprint", "")
        new[START_KEY] = new.get(START_KEY) or held.get(START_KEY)
    first = held.get("first") if begun else None
    if not isinstance(first, dict):
        first = {key: (held if begun else new).get(key) for key in _GROWING}
    replace_file(path, json.dumps({**new, "first": first}, indent=1, ensure_ascii=False) + "\n")


def _check_presets(folder: Path, held: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that methods would learn with the settings with which they have learned in the folder.

    Raises:
        SettingsError: they would not, or an older program did not keep them.
    """
    before, now = held.get(PRESETS_KEY), config.get(PRESETS_KEY, {})
    learns = any(str(name).partition("[")[0].startswith(("fermi", "opro")) for name in held.get("methods", []))
    if before is None and learns and now:
        raise SettingsError(
            f"{folder} contains answers of an older program, which did not keep what its presets were. They may have "
            "changed since then, so that old and new answers cannot be put together. Name another folder; "
            "--report-only still reports this one"
        )
    changed = sorted(name for name in now if before and name in before and before[name] != now[name])
    if changed:
        raise SettingsError(
            f"{folder} was begun with other settings of {' and '.join(changed)}: the preset, or which one is the "
            "default, has changed since then. Name another folder; --report-only still reports this one"
        )


def check_config(folder: Path, held: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Check that a configuration is that of the evaluation in a folder.

    Raises:
        SettingsError: it is that of a different evaluation.
    """
    new = json.loads(json.dumps(config))
    other = [key for key in _FIXED if held.get(key) != new.get(key)]
    if held.get("fingerprint") and new.get("fingerprint") and held["fingerprint"] != new["fingerprint"]:
        other.append("fingerprint of the model")
    if held.get(START_KEY) and new.get(START_KEY) and held[START_KEY] != new[START_KEY]:
        other.append("the group's edit at which steps begin")
    if other:
        raise SettingsError(
            f"{folder} contains a different evaluation (it differs in {' and '.join(other)}), whose comparisons are "
            "fixed once it has started. Name another folder, or give the same settings to continue"
        )
