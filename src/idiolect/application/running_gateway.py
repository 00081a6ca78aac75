"""A gateway and those on its machine who have the same folder: how they find it, and the key by which it knows them.

    gateway: announced(folder) → gateway.TOKEN.json (0600: URL, secret), locked while it runs
    command: running_gateways(folder) → RunningGateway → key_for(tenant) → Authorization: Bearer …

Whoever can read the file can read the store beside it, too. A file whose lock nobody holds is of a gateway that died,
and is removed. The key of a tenant is made of the secret, which is drawn anew at every start.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import filelock

from idiolect.application.private_file import private_file

_BEFORE, _AFTER = "gateway.", ".json"
_KEY = "idl_"
_MOST_BYTES = 10_000


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that serves a store.

    Args:
        url: its URL on this machine, without a path.
        secret: what only it and those who can read the store's folder know.
    """

    url: str
    secret: str

    def key_for(self, tenant: str) -> str:
        """Return the key by which the gateway knows one who may manage the people of a tenant."""
        return local_key(self.secret, tenant)


def local_key(secret: str, tenant: str) -> str:
    """Return the key of a tenant."""
    signed = hmac.new(secret.encode(), tenant.encode(), hashlib.sha256).hexdigest()
    return f"{_KEY}{urlsafe_b64encode(tenant.encode()).decode()}.{signed}"


def tenant_of_key(secret: str, key: str) -> str | None:
    """Return the tenant whose key this is; None if it is none."""
    try:
        tenant = urlsafe_b64decode(key.removeprefix(_KEY).partition(".")[0]).decode()
    except ValueError:
        return None
    known = key.isascii() and hmac.compare_digest(local_key(secret, tenant), key)
    return tenant if known else None


@contextmanager
def announced(folder: Path, url: str, secret: str) -> Iterator[None]:
    """Announce a gateway in the folder of its store while the context is open.

    Args:
        folder: the store's folder.
        url: the gateway's URL on this machine.
        secret: see `RunningGateway`.

    Raises:
        IdiolectError: the file cannot be written.
    """
    path = folder / f"{_BEFORE}{secrets.token_hex(8)}{_AFTER}"
    lock = _lock_of(path)
    lock.acquire()
    try:
        with private_file(path) as file:
            file.write(json.dumps({"url": url, "secret": secret}).encode())
        yield
    finally:
        _remove(path, lock)


def running_gateways(folder: Path) -> list[RunningGateway]:
    """Return the gateways that serve the store in a folder; files that dead ones left are removed."""
    found = []
    for path in sorted(folder.glob(f"{_BEFORE}*{_AFTER}")):
        lock = _lock_of(path)
        try:
            lock.acquire()
        except filelock.Timeout:
            if (gateway := _read(path)) is not None:
                found.append(gateway)
        except OSError:
            continue  # not ours to remove
        else:
            _remove(path, lock)
    return found


def _read(path: Path) -> RunningGateway | None:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                return None  # others may have written it
            document = json.loads(file.read(_MOST_BYTES))
        return RunningGateway(str(document["url"]), str(document["secret"]))
    except (OSError, ValueError, KeyError, TypeError):  # it has just ended, or is none
        return None


def _lock_of(path: Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path.with_name(f"{path.name}.lock"), timeout=0, mode=0o600, thread_local=False)


def _remove(path: Path, lock: filelock.BaseFileLock) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    lock.release()
