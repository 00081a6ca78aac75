"""Where gateways that die keep people: SQLite in a temporary folder, or a database of a PostgreSQL server.

with on_sqlite() as place: …          with on_postgresql(server.create_database()) as place: …
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from idiolect.store import DEFAULT_TENANT
from idiolect.store.api_keys import hash_of
from idiolect.store.companions import cache_path
from idiolect.store.opening import locate
from tests.serve.survival.deaths import Gateways
from tests.serve.survival.forked import Forks
from tests.serve.survival.upstreams import Upstream

SECRET = "a-key-of-the-tests"
WORKERS = 2  # of each gateway


@dataclass(frozen=True)
class Place:
    """Where gateways keep people.

    Args:
        target: the store.
        cache: the file of the cache of calls.
        files: the folder of all files.
        environment: of the gateways' processes.
    """

    target: str
    cache: Path
    files: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def gateways(self, forks: Forks, upstream: Upstream, *, number: int = 1) -> Iterator[Gateways]:
        """Gateways in front of an upstream, whose log begins anew; none is started yet."""
        upstream.server.log.clear()
        with tempfile.TemporaryDirectory() as notes:
            given = _settings(upstream, self.target)
            yield Gateways(
                forks,
                given,
                upstream,
                cache=self.cache,
                notes=Path(notes),
                number=number,
                environment=self.environment,
            )


@contextmanager
def on_sqlite() -> Iterator[Place]:
    """A store in a temporary folder."""
    with tempfile.TemporaryDirectory() as temporary:
        store = Path(temporary) / "store"
        yield Place(str(store), store / "calls.db", store)


@contextmanager
def on_postgresql(url: str) -> Iterator[Place]:
    """A store in a database, with caches of calls in a temporary folder."""
    with tempfile.TemporaryDirectory() as caches:
        environment = {"IDIOLECT_CACHE": caches}
        with patch.dict(os.environ, environment):
            yield Place(url, cache_path(locate(url), DEFAULT_TENANT), Path(caches), environment)


def _settings(upstream: Upstream, target: str) -> dict[str, Any]:
    """Settings of a gateway whose one key may do everything."""
    key = {"id": "tests", "sha256": hash_of(SECRET), "scopes": ["chat", "people"]}
    return {
        "upstream": upstream.model,
        "store": target,
        "port": 0,
        "keys": [key],
        "workers": WORKERS,
        "learn_after": 2,
    }
