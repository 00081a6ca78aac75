"""What tests of the gateway share: no environment, logs that are kept, and a store in which ann has prompts."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from idiolect.serve.logs import LOGGER, open_logs
from tests.application.conftest import edited_once, edited_store, hashed, tiny_weights
from tests.application.mimicked import ANN, FAST, SILENT, opened
from tests.application.served import fit_in

__all__ = ["edited_once", "edited_store", "hashed", "tiny_weights"]  # fixtures of the use cases


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_STORE", "IDIOLECT_SERVE_KEY")
    for name in names:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """What the gateway logs."""
    stream = io.StringIO()
    open_logs("debug", stream)
    yield stream
    LOGGER.handlers.clear()


@pytest.fixture(scope="session")
def learned_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which prompts were learned for ann, and nothing for silent; tests copy it."""
    store = tmp_path_factory.mktemp("served") / "store"
    asyncio.run(fit_in(opened(store), [ANN, SILENT], FAST))
    return store


@pytest.fixture
def store(learned_once: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(learned_once, tmp_path / "store"))
