"""Searching a store, its caches and all files beside them for the canaries of one person.

The store's rows are those of all tenants, and so are the files below its folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from idiolect.erasure.byte_search import Patterns, SearchedFile, search_files
from idiolect.erasure.canaries import row_tensors, row_texts, utf8
from idiolect.erasure.receipt import Found
from idiolect.models.calls.cache import CallCache
from idiolect.paths import printable_path
from idiolect.store.companions import known_caches
from idiolect.store.users import Store


def cache_paths(store: Store, caches: Sequence[CallCache]) -> list[Path]:
    """Return the paths of the tenant's caches: those that may exist, and the opened ones."""
    known = known_caches(store.database, tenant=store.tenant)
    return list(dict.fromkeys([*known, *(cache.path for cache in caches)]))


class Search:
    """A search for the canaries, which is run before the deletion and after it."""

    def __init__(self, store: Store, caches: Sequence[CallCache], canaries: list[frozenset[bytes]]) -> None:
        self.canaries = canaries
        self._store, self._caches = store, caches
        self._patterns = {form for canary in canaries for form in canary}

    def run(self) -> tuple[Found, list[SearchedFile]]:
        """Search, and return the traces found and the files that were searched."""
        database = self._store.database
        databases = [database.place.file, *cache_paths(self._store, self._caches)]
        files = search_files(_files(self._store.folder, databases), self._patterns)
        found = {printable_path(file.path): file.found for file in files if file.found}
        if database.place.file is None and (rows := self._in_rows()):
            found["rows of the database"] = rows
        return Found(found), files

    def _in_rows(self) -> int:
        with self._store.database.reading() as connection:
            return Patterns(self._patterns).count(chain(map(utf8, row_texts(connection)), row_tensors(connection)))


def _files(folder: Path | None, databases: Iterable[Path | None]) -> dict[Path, str]:
    """Return every file that could contain traces: below the store's folder, the databases, and files beside them."""
    found = {} if folder is None else {path: str(path.relative_to(folder)) for path in _below(folder)}
    seen = set(map(os.path.realpath, found))
    for database in databases:
        if database is not None and database.parent.is_dir():
            beside = (path for path in database.parent.iterdir() if path.name.startswith(database.name))
            found |= {path: path.name for path in beside if path.is_file() and os.path.realpath(path) not in seen}
            seen.update(map(os.path.realpath, found))
    return found


def _below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, and folders that cannot be listed, so that the search reports them unreadable."""
    unreadable: list[Path] = []
    for where, _, names in os.walk(folder, onerror=lambda error: unreadable.append(Path(error.filename))):
        yield from (path for name in names if not _is_special(path := Path(where, name)))
    yield from unreadable


def _is_special(path: Path) -> bool:
    """Return whether the path is not a regular file, such as a device or a pipe, which may be endless."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
