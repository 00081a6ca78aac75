"""A PostgreSQL server of the tests' own: in a temporary folder, reached by a socket in it, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from idiolect.store import DEFAULT_TENANT, Store

_INSTALLED = Path("/usr/lib/postgresql")
_SETTINGS = {
    "listen_addresses": "",  # no TCP
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "60",
    "autovacuum": "off",
    "shared_buffers": "64MB",
}
_NO_SERVER = "no PostgreSQL server is installed (Debian: apt-get install postgresql); initdb and pg_ctl are needed"


@dataclass(frozen=True, slots=True)
class PostgresqlServer:
    """A running server; `socket` is the folder of its socket, `user` the name of its administrator."""

    socket: Path
    user: str
    _numbers: Iterator[int] = field(default_factory=count)
    _copied: list[str] = field(default_factory=list)

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@/{database}?host={self.socket}"

    def create_database(self, *, locale: str = "", template: str = "template0") -> str:
        """Return the URL of a new database: an empty one, or a copy of another."""
        name = f"people_{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} {locale}")
        return self.url(name)

    def create_store(self) -> str:
        """Return the URL of a new store without users: a copy, because making its tables takes longer."""
        if not self._copied:
            url = self.create_database()
            Store.open(url, tenant=DEFAULT_TENANT).close()
            self._copied.append(database_of(url))
        return self.create_database(template=self._copied[0])

    def connect(self, database: str) -> psycopg.Connection[Any]:
        return psycopg.connect(host=str(self.socket), user=self.user, dbname=database, autocommit=True)

    def sql(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement in the database of a URL, behind the store's back."""
        with self.connect(database_of(url)) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


def database_of(url: str) -> str:
    """Return the name of the database in a URL of the server."""
    return url.split("@/")[1].split("?")[0]


def binaries() -> Path | None:
    """Return the folder of `initdb` and `pg_ctl`, of the newest version installed; None without one."""
    found = [path.parent for path in _INSTALLED.glob("*/bin/initdb") if (path.parent / "pg_ctl").exists()]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path and shutil.which("pg_ctl") else None


@contextmanager
def running_server() -> Iterator[PostgresqlServer]:
    """Start a server, and stop it at the end; without one installed, skip the test."""
    folder = binaries()
    if folder is None:
        pytest.skip(_NO_SERVER)
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as temporary:  # sockets have short paths
        home = Path(temporary)
        user = _owner()  # the server refuses to run as root
        if user is not None:
            shutil.chown(home, user)
        data = home / "data"
        _run(
            [folder / "initdb", "-D", data, "-U", "tests", "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "-N"], user
        )
        options = " ".join(f"-c {name}={value or chr(39) * 2}" for name, value in _SETTINGS.items())
        start = ["start", "-w", "-t", "60", "-l", home / "log", "-o", f"{options} -k {home}"]
        _run([folder / "pg_ctl", "-D", data, *start], user)
        with _stopping([folder / "pg_ctl", "-D", data, "stop", "-m", "immediate", "-w"], user):
            yield PostgresqlServer(home, "tests")


@contextmanager
def _stopping(command: Sequence[str | Path], user: str | None) -> Iterator[None]:
    """Run a command at the end of the context, or as soon as this process is gone, however it ends."""
    script = 'cat > /dev/null; exec "$@"'  # waits for the end of the pipe
    stopper = subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *map(str, command)],
        user=user,
        extra_groups=None if user is None else [],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert stopper.stdin is not None
        stopper.stdin.close()
        stopper.wait(timeout=60)


def _owner() -> str | None:
    """Return the user who runs the server; None for this one."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def _run(command: Sequence[str | Path], user: str | None) -> None:
    done = subprocess.run(
        list(map(str, command)),
        user=user,
        extra_groups=None if user is None else [],
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8"},
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")
