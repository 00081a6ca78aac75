"""What tests of several folders share: the embedded model, loaded once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from idiolect.models.local import LocalModel, load_local_model

# Digests of weights are kept in the user's cache folder; those of tests stay in the checkout.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "home")


@pytest.fixture(scope="session")
def embedded_model() -> Iterator[LocalModel]:
    """SmolLM2-135M-Instruct on the CPU."""
    model = load_local_model("embedded", device="cpu")
    yield model
    model.close()
