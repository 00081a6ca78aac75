"""Where a person's step begins: the packaged edit of a model, a group in the store, or a folder with a group's edit.

A folder holds `edit.json`, the card, and `edit.safetensors`, the tensors of one `ChameleonPersonalization`
(`idiolect groups save`). The packaged ones were learned from public-domain writers (docs/experiments.md).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from idiolect.application.names import CHAMELEON, DEFAULT_MODEL
from idiolect.errors import OtherWeightsError, PersonalizationError, SettingsError, UnknownGroupError
from idiolect.models.catalog import without_folders
from idiolect.people.user import unstorable_part

if TYPE_CHECKING:
    from idiolect.methods.chameleon.measuring import EditableModel
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization, StartOrigin
    from idiolect.methods.chameleon.start import Start
    from idiolect.store import Store

CARD, TENSORS = "edit.json", "edit.safetensors"


def start_folder(given: str | None, name: str) -> Path | Traversable | None:
    """Return the folder of the edit that is given, or else packaged for the model of that name; None if none is."""
    if given is not None:
        return Path(given)
    packaged = files("idiolect.methods.chameleon").joinpath("starts")
    return packaged.joinpath(name) if name == DEFAULT_MODEL else None


def no_start(preset: str, model: str) -> SettingsError:
    """Return the error for a preset whose steps begin at a group's edit, where there is none for the model."""
    return SettingsError(
        f"the preset {preset} begins at a group's edit, and none is packaged for {model!r}: learn one with `idiolect "
        "groups fit GROUP` and name it with --from-group GROUP, or choose the preset measured"
    )


async def start_in(given: str | None, name: str, fingerprint: str, model: EditableModel) -> Start | None:
    """Return the start in the folder that is given, or else the packaged one; None if none is.

    Errors are those of `open_folder` and `packaged_start`.
    """
    if given is not None:
        return open_folder(given, model=name, fingerprint=fingerprint)
    return await packaged_start(name, fingerprint, model)


async def packaged_start(name: str, fingerprint: str, model: EditableModel) -> Start | None:
    """Return the start that is packaged for a model; None if none is.

    What the package says of the model's own texts holds for the weights of its card, to the bit. On others (another
    dtype, or read by another version of transformers) the texts are measured again.

    Args:
        name: the model's name.
        fingerprint: hash of its weights.
        model: the model, unedited.

    Raises:
        PersonalizationError: the package is damaged.
        ModelError: the model failed.
    """
    if (folder := start_folder(None, name)) is None:
        return None
    from idiolect.methods.chameleon.start import remeasured, start_of

    with _told_of(f"the packaged edit of {name!r} is damaged", "install idiolect again"):
        learned = _read_folder(folder)
        start = start_of(learned)
    return start if learned.fingerprint == fingerprint else await remeasured(start, model)


def open_start(name: str, store: Callable[[], Store], *, model: str, fingerprint: str) -> tuple[Start, StartOrigin]:
    """Return the start of a group in the store, or in a folder, and which of the two it is.

    A group comes first. A folder is taken only if the name shows that it is a path (`_is_path`): a copy of a group's
    edit, which may lie in a folder of the group's name, never stands in for the group.

    Args:
        name: id of a group, or the path of a folder.
        store: opens the store in which groups are.
        model, fingerprint: the weights that the start has to belong to.

    Raises:
        UnknownGroupError: the store has no such group, and the name is no path.
        NotFittedError, StoreError: nothing was learned for the group, or the store cannot be read.
        PersonalizationError: the edit is damaged, or was not learned as a start.
        OtherWeightsError: the group's edit was learned on other weights.
        SettingsError: the folder has no edit, or one that was learned on other weights.
    """
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization
    from idiolect.methods.chameleon.start import start_of

    try:
        record = store().groups.personalization(name, CHAMELEON)
    except UnknownGroupError as error:
        if _is_path(name):
            return open_folder(name, model=model, fingerprint=fingerprint), "folder"
        if _is_folder(name):
            raise UnknownGroupError(
                f"{error}; there is a folder of that name, which holds a copy at most: to begin at it nevertheless, "
                f"write .{os.sep}{name}"
            ) from error
        raise
    learned = ChameleonPersonalization.from_parts(record.payload, record.tensors)
    if learned.fingerprint != fingerprint:
        raise OtherWeightsError(
            _other_weights(f"the edit of group {name!r}", model), model=model, owner=name, kind="group"
        )
    return start_of(learned), "store"


def open_folder(name: str, *, model: str, fingerprint: str) -> Start:
    """Return the start in a folder; errors are those of `open_start`."""
    from idiolect.methods.chameleon.start import start_of

    folder = Path(name)
    if not name or not (folder / CARD).is_file():
        raise SettingsError(f"{name or repr(name)}: there is no {CARD} in this folder, so it holds no edit of a group")
    with _told_of(f"no step can begin at the edit in {name}", "write the folder again with `idiolect groups save`"):
        learned = _read_folder(folder)
        _check_id(learned.user_id)
        start = start_of(learned)
    if learned.fingerprint != fingerprint:
        raise SettingsError(f"{_other_weights(f'the edit in {name}', model)}: learn one with `idiolect groups fit`")
    return start


@contextmanager
def _told_of(what: str, remedy: str) -> Iterator[None]:
    """Add what is wrong, and what to do, to a `PersonalizationError` on what a folder holds."""
    try:
        yield
    except PersonalizationError as error:
        raise PersonalizationError(f"{what}: {error}; {remedy}") from error


def _check_id(group: str) -> None:
    """Check that the store can keep the id of the group with a person's edit.

    Raises:
        PersonalizationError: it cannot, because the card was changed.
    """
    if not group.strip() or unstorable_part(group):
        raise PersonalizationError("the group's id is blank, or has characters that cannot be stored")


def save_start(learned: ChameleonPersonalization, folder: Path) -> None:
    """Write a group's edit into a folder, which is created. It names no member, and no folder of this machine.

    Raises:
        PersonalizationError: the edit was not learned as a start.
        SettingsError: the folder cannot be written.
    """
    from idiolect.methods.chameleon.start import start_of

    start_of(learned)
    settings = replace(learned.settings, similarity=without_folders(learned.settings.similarity))
    given = replace(learned, members=(), model=without_folders(learned.model), settings=settings)
    contents = {
        TENSORS: learned.tensor_bytes(),
        CARD: (json.dumps(given.to_json(), ensure_ascii=False, indent=1) + "\n").encode(),
    }
    parts = {name: folder / f"{name}.{os.getpid()}.part" for name in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for name, content in contents.items():
                parts[name].write_bytes(content)
            for name, part in parts.items():  # an edit that was there before is replaced only by a whole one
                part.replace(folder / name)
        finally:
            for part in parts.values():
                part.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(f"{folder}: cannot write the edit ({error.strerror})") from error


def _is_folder(name: str) -> bool:
    """Return whether there is a folder of that name; no name is too long or too strange to be asked about."""
    try:
        return bool(name) and Path(name).is_dir()
    except (OSError, ValueError):
        return False


def _is_path(name: str) -> bool:
    """Return whether a name contains a separator of paths, or begins with a dot."""
    return name.startswith(".") or any(separator in name for separator in (os.sep, os.altsep) if separator)


def _other_weights(whose: str, model: str) -> str:
    return f"{whose} was learned on other weights than those of {model!r}, so no step can begin at it"


def _read_folder(folder: Traversable | Path) -> ChameleonPersonalization:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

    try:
        card: dict[str, Any] = json.loads(folder.joinpath(CARD).read_text(encoding="utf-8"))
        return ChameleonPersonalization.from_parts(card, folder.joinpath(TENSORS).read_bytes())
    except (OSError, ValueError, AttributeError, RecursionError) as error:  # the last one: JSON nested very deeply
        raise PersonalizationError(f"{CARD} or {TENSORS} cannot be read ({type(error).__name__})") from error
