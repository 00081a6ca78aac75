"""What tests of several folders share: the embedded model, loaded once, and models that are functions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from idiolect.models.doubles import FunctionModel
from idiolect.models.local import LocalModel, load_local_model
from tests.cli.opened_doubles import open_models
from tests.postgresql import PostgresqlServer, running_server

# Digests of weights are kept in the user's cache folder; those of tests stay in the checkout.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).resolve().parents[1] / ".pytest_cache" / "home")

# Files that run documents, build environments, kill processes or load models, with the seconds that each takes on one
# of two cores: `make test FAST=1` leaves them out, and `make test` starts with them, so that none is left for the end.
SLOW_FILES = {
    "test_readme.py": 175,
    "test_library_and_remote.py": 119,
    "test_wheel.py": 117,
    "cli/test_fit_survives.py": 85,
    "test_quickstart.py": 79,
    "models/test_threads.py": 63,
    "serve/test_crashes.py": 56,
    "evaluate/methods/test_table.py": 43,
    "methods/reading/test_long_replies.py": 41,
    "evaluate/test_evaluation.py": 40,
    "cli/test_fit_remote.py": 36,
    "cli/test_evaluate.py": 35,
    "erasure/test_forgetting.py": 34,
    "serve/test_hostile.py": 30,
    "export/test_serving_llamacpp.py": 27,
    "evaluate/report/test_report.py": 23,
    "evaluate/test_results_files.py": 23,
    "models/test_loading.py": 23,
    "serve/test_workers_survive.py": 22,
    "application/test_fitting.py": 21,
    "serve/test_fits.py": 20,
    "test_start_up.py": 18,
    "cli/test_ask.py": 17,
    "evaluate/methods/test_trained.py": 16,
    "people/test_users_file.py": 16,
    "store/test_postgresql.py": 15,
    "serve/test_openapi.py": 15,
    "test_docs_site.py": 15,
    "application/test_opinions.py": 15,
    "evaluate/test_summarizing.py": 14,
    "application/test_chameleon.py": 13,
    "methods/trained/test_dpo.py": 12,
    "cli/test_users.py": 12,
    "application/test_blocking.py": 11,
    "models/remote/test_quirks.py": 11,
    "evaluate/test_running.py": 11,
    "methods/fermi/test_scoring.py": 11,
    "cli/test_app.py": 11,
    "cli/test_add_opinion.py": 10,
    "application/test_chameleon_learners.py": 9.5,
    "application/test_run.py": 9.4,
    "models/test_scoring.py": 9.2,
    "evaluate/methods/test_stepped.py": 9.1,
    "cli/test_chameleon.py": 8.8,
    "evaluate/test_published_results.py": 8.7,
    "models/remote/test_transport.py": 8.7,
    "models/test_embedding.py": 8.4,
    "methods/fermi/test_continual.py": 8.3,
    "cli/test_groups.py": 8.2,
    "models/test_embedded_model.py": 8.1,
    "export/test_serving_peft.py": 7.8,
    "models/test_editing.py": 7.7,
    "test_contributing.py": 7.3,
    "store/test_opening.py": 6.8,
    "evaluate/test_statistics.py": 6.5,
    "cli/test_fit.py": 6.5,
    "cli/test_fit_budget.py": 6.4,
    "people/test_user_record.py": 6.3,
    "models/test_families.py": 6.3,
    "application/test_documents.py": 6,
    "methods/fermi/test_checkpoint.py": 5.9,
    "methods/chameleon/test_ccs.py": 5.7,
    "evaluate/test_planted_equal_calls.py": 5.5,
    "test_installing.py": 1.2,
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


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server of the tests' own; a test that needs it is skipped where none is installed."""
    with running_server() as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> str:
    """The URL of an empty PostgreSQL database."""
    return postgresql_server.create_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A place for a store without users: a folder that does not exist yet, and the URL of a PostgreSQL database."""
    if request.param == "sqlite":
        return str(tmp_path / "people")
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path / "caches"))
    server: PostgresqlServer = request.getfixturevalue("postgresql_server")
    return server.create_store()


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, FunctionModel]]:
    """Models that are functions, by name; a real name opens what it means."""

    def install(**models: FunctionModel) -> dict[str, FunctionModel]:
        open_models(monkeypatch, models.get)
        return models

    return install
