"""Export of all data about one person, as one JSON document or as an archive with a manifest.

    store, cache of calls, folder of artifacts → `Holdings` → document | ZIP

The archive's `user.jsonl` is a users file; its manifest contains the SHA-256 of every other member.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from idiolect.erasure.forgetting import artifact_folder
from idiolect.erasure.served_rows import served_rows
from idiolect.models.calls.cache import CallCache, KeptCall
from idiolect.people.user_record import user_to_record
from idiolect.store.records import CheckpointRecord, PersonalizationRecord
from idiolect.store.schema import REVISION
from idiolect.store.strict_json import dumps
from idiolect.store.users import Store
from idiolect.version import __version__

FORMAT = 1
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Holdings:
    """All data about one person, as plain JSON; `artifacts` are files below `artifact_folder`.

    `tensors` are the bytes of safetensors files, by method; `groups` are the ids of the person's groups; `served` has
    what a server holds beside, by table. Data learned for a group is not the person's alone, and is not exported.
    """

    user: dict[str, Any]
    created_at: str
    updated_at: str
    personalizations: list[dict[str, Any]]
    tensors: dict[str, bytes]
    groups: tuple[str, ...]
    checkpoints: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    served: dict[str, list[dict[str, Any]]]
    artifact_folder: Path | None
    artifacts: list[Path]

    def document(self) -> dict[str, Any]:
        """Return one JSON value, with artifacts only by name, and tensors only by size and SHA-256."""
        return {
            "user": self.user,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "personalizations": self.personalizations,
            "groups": list(self.groups),
            "checkpoints": self.checkpoints,
            "calls": self.calls,
            **{name: rows for name, rows in self.served.items() if rows},
            "artifacts": [_name(path, self.artifact_folder) for path in self.artifacts],
        }


def holdings(store: Store, user_id: str, *, caches: Iterable[CallCache] = ()) -> Holdings:
    """Collect all data about the user.

    Raises:
        UnknownUserError: the store has no such user.
        StoreError: the store cannot be read.
        CacheError: a cache cannot be read.
    """
    summary = store.summary(user_id)
    folder = None if store.tenant_folder is None else artifact_folder(store.tenant_folder, user_id)
    found = sorted(folder.rglob("*")) if folder is not None and folder.is_dir() else []
    caches = list(caches)
    learned = store.personalizations(user_id)
    calls = {call.key: call for cache in caches for call in cache.calls_of(user_id)}
    return Holdings(
        user=user_to_record(store.user(user_id)),
        created_at=summary.created_at.isoformat(),
        updated_at=summary.updated_at.isoformat(),
        personalizations=[
            {
                "created_at": record.created_at.isoformat(),
                **_record_entry(record),
                "tensors": None
                if record.tensors is None
                else {"bytes": len(record.tensors), "sha256": hashlib.sha256(record.tensors).hexdigest()},
            }
            for record in learned
        ],
        tensors={record.method: record.tensors for record in learned if record.tensors is not None},
        groups=store.groups.groups_of(user_id),
        checkpoints=[_record_entry(record) for record in store.checkpoints(user_id)],
        calls=[_call_entry(call) for call in calls.values()],
        served=served_rows(store.rows, user_id),
        artifact_folder=folder,
        artifacts=[path for path in found if path.is_file() and not path.is_symlink()],
    )


def _record_entry(record: PersonalizationRecord | CheckpointRecord) -> dict[str, Any]:
    return {
        "method": record.method,
        "updated_at": record.updated_at.isoformat(),
        "digest": record.digest,
        "payload": record.payload,
    }


def _call_entry(call: KeptCall) -> dict[str, Any]:
    return {
        "operation": call.operation,
        "model": call.model,
        "kept_at": call.kept_at.isoformat(),
        "result": call.result,
    }


def write_archive(file: BinaryIO, held: Holdings) -> None:
    """Write a ZIP archive.

    Args:
        file: a seekable, empty file.
        held: the archive's content.

    Raises:
        OSError: the file cannot be written, or an artifact cannot be read.
    """
    now = datetime.now(UTC)
    members: dict[str, dict[str, Any]] = {}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, chunks in _members(held):
            members[name] = _add(archive, name, chunks, now)
        manifest = {
            "format": FORMAT,
            "idiolect": __version__,
            "store_revision": REVISION,
            "exported_at": now.isoformat(),
            "user": held.user["id"],
            "counts": {
                "opinions": len(held.user.get("opinions", ())),
                "texts": len(held.user.get("texts", ())),
                "personalizations": len(held.personalizations),
                "checkpoints": len(held.checkpoints),
                "calls": len(held.calls),
                "artifacts": len(held.artifacts),
            },
            "members": members,
        }
        _add(archive, "manifest.json", iter([_pretty(manifest)]), now)


def _members(held: Holdings) -> Iterator[tuple[str, Iterator[bytes]]]:
    yield "user.jsonl", iter([_json_line(held.user)])
    for kind, records in (("personalizations", held.personalizations), ("checkpoints", held.checkpoints)):
        for record in records:
            yield f"{kind}/{quote(record['method'], safe='')}.json", iter([_pretty(record)])
    for name, rows in held.served.items():
        if rows:
            yield f"served/{name}.json", iter([_pretty(rows)])
    for method, tensors in held.tensors.items():
        yield f"personalizations/{quote(method, safe='')}.safetensors", iter([tensors])
    if held.groups:
        yield "groups.json", iter([_pretty(list(held.groups))])
    yield "calls.jsonl", map(_json_line, held.calls)
    for path in held.artifacts:
        yield f"artifacts/{_name(path, held.artifact_folder)}", _chunks(path)


def _add(archive: zipfile.ZipFile, name: str, chunks: Iterator[bytes], now: datetime) -> dict[str, Any]:
    """Write one member and return its entry for the manifest."""
    info = zipfile.ZipInfo(name, now.timetuple()[:6])
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(info, "w", force_zip64=True) as member:
        for chunk in chunks:
            member.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _name(path: Path, folder: Path | None) -> str:
    return path.name if folder is None else path.relative_to(folder).as_posix()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _json_line(value: object) -> bytes:
    try:
        return (dumps(value) + "\n").encode()
    except UnicodeEncodeError:  # a lone surrogate, which a model may have written
        return (json.dumps(value, allow_nan=False) + "\n").encode()


def _pretty(value: object) -> bytes:
    return (json.dumps(value, allow_nan=False, ensure_ascii=False, indent=2) + "\n").encode()
