"""What tests of several folders share: the embedded model, loaded once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from idiolect.models.local import LocalModel, load_local_model


@pytest.fixture(scope="session")
def embedded_model() -> Iterator[LocalModel]:
    """SmolLM2-135M-Instruct on the CPU."""
    model = load_local_model("embedded", device="cpu")
    yield model
    model.close()
