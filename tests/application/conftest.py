"""What tests of use cases share: no keys, no prices, no sentence embeddings; tiny weights, and edits of them."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.application import edited
from tests.cli.open_weights import similarity, weights
from tests.cli.opened_doubles import open_similarities


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "IDIOLECT_API_KEY", "IDIOLECT_PRICES", "IDIOLECT_STORE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder of random weights."""
    return weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Embeddings of no meaning in the place of every similarity."""
    open_similarities(monkeypatch, similarity)


@pytest.fixture(scope="session")
def edited_once(tiny_weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which edits were learned for u1 and u2; tests copy it."""
    store = tmp_path_factory.mktemp("edited") / "store"
    with pytest.MonkeyPatch.context() as patch:
        open_similarities(patch, similarity)
        assert asyncio.run(edited.fit(store, tiny_weights, [edited.U1, edited.U2])).complete
    return store


@pytest.fixture
def edited_store(edited_once: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(edited_once, tmp_path / "store"))
