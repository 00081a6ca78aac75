"""What tests of several folders share: the embedded model, loaded once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from idiolect.models.local import LocalModel, load_local_model

# Digests of weights are kept in the user's cache folder; those of tests stay in the checkout.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "home")

# Files that run documents, build environments, kill processes or load models, with the seconds that each takes on one
# of two cores: `make test FAST=1` leaves them out, and `make test` starts with them, so that none is left for the end.
SLOW_FILES = {
    "test_readme.py": 180,
    "test_library_and_remote.py": 150,
    "test_wheel.py": 110,
    "test_quickstart.py": 75,
    "cli/test_fit_survives.py": 70,
    "cli/test_fit_remote.py": 25,
    "models/test_loading.py": 24,
    "test_installing.py": 20,
    "models/test_threads.py": 18,
    "cli/test_evaluate.py": 17,
    "evaluate/test_evaluation.py": 15,
    "erasure/test_forgetting.py": 12,
    "cli/test_ask.py": 11,
    "evaluate/test_summarizing.py": 10,
    "evaluate/methods/test_table.py": 9,
    "people/test_users_file.py": 8.7,
    "methods/chameleon/test_dpo.py": 8.6,
    "application/test_blocking.py": 8,
    "test_docs_site.py": 7,
    "models/test_embedding.py": 6,
    "evaluate/test_running.py": 5.5,
    "evaluate/report/test_report.py": 5.4,
    "models/test_embedded_model.py": 4.9,
    "test_contributing.py": 4.4,
    "export/test_serving_peft.py": 4.3,
    "evaluate/test_planted_equal_calls.py": 4,
    "cli/test_add_opinion.py": 3.8,
    "people/test_user_record.py": 3.5,
    "export/test_serving_llamacpp.py": 3,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow files, and begin with the slowest file."""
    tests = Path(__file__).parent
    seconds = {item: SLOW_FILES.get(item.path.relative_to(tests).as_posix(), 0) for item in items}
    for item in items:
        if seconds[item]:
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: -seconds[item])


@pytest.fixture(scope="session")
def embedded_model() -> Iterator[LocalModel]:
    """SmolLM2-135M-Instruct on the CPU."""
    model = load_local_model("embedded", device="cpu")
    yield model
    model.close()
