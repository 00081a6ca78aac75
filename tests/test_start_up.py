"""What commands do not import: help comes at once, and a look into the store needs no model and no method.

By names of modules, never by time; `benchmarks/start_up.py` measures.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from idiolect.cli.app import app
from tests.cli.learning import ANN, BOB, FAST, record, run, write_people

# Whatever computes: models, arrays, templates, servers, and the migrations of a store that is up to date.
HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "tokenizers",
    "safetensors",
    "gguf",
    "numpy",
    "scipy",
    "bm25s",
    "tqdm",
    "jinja2",
    "rouge_score",
    "openai",
    "httpx",
    "aiohttp",
    "stamina",
    "alembic",
    "sklearn",
    "matplotlib",
)
METHODS = ("idiolect.methods", "idiolect.models", "idiolect.evaluate", "idiolect.export")
WORKSPACE = ("anyio", "idiolect.application.blocking", "idiolect.application.workspace")
MODELS = ("idiolect.models.catalog", "idiolect.application.model_pool", "idiolect.methods.chameleon")

# The names of the modules go to a file: stdout and stderr are the command's.
RUN = """
import atexit, pathlib, sys
names = pathlib.Path(sys.argv.pop(1))
atexit.register(lambda: names.write_text("\\n".join(sys.modules)))
from idiolect.cli.app import main
main()
"""


def _commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, (*path, name))


def _imported(folder: Path, *arguments: str) -> set[str]:
    """Return the modules that a command has imported when it ends without an error."""
    names = folder / "modules.txt"
    ended = subprocess.run(
        [sys.executable, "-c", RUN, str(names), *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
    return set(names.read_text().split())


def _among(modules: set[str], unwanted: tuple[str, ...]) -> list[str]:
    """Return the modules that are one of the unwanted ones, or below it."""
    return sorted(name for name in modules if any(name == each or name.startswith(f"{each}.") for each in unwanted))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two users that Fermi has learned from, and a group."""
    folder = tmp_path_factory.mktemp("learned")
    replay = record(folder / "replay.jsonl", [ANN, BOB])
    people, store = write_people(folder / "users.jsonl", [ANN, BOB]), folder / "store"
    assert run("fit", people, "--model", replay, "--preset", "demo", *FAST, "--store", store).exit_code == 0
    assert run("groups", "create", "tea", "--members", "bob", "--store", store).exit_code == 0
    return store


@pytest.fixture
def store(learned: Path, tmp_path: Path) -> str:
    return str(shutil.copytree(learned, tmp_path / "store"))


@pytest.mark.parametrize(
    "command", list(_commands(typer.main.get_command(app))), ids=lambda path: " ".join(("idiolect", *path))
)
def test_help_imports_neither_libraries_nor_the_store(command: tuple[str, ...], tmp_path: Path) -> None:
    imported = _imported(tmp_path, *command, "--help")
    below = tuple(f"idiolect.{part}" for part in ("store", "people", "methods", "models", "erasure", "evaluate"))
    unwanted = (*HEAVY, *WORKSPACE, *below, "sqlalchemy", "pydantic", "asyncio", "rich")
    assert _among(imported, unwanted) == []


def test_the_version_imports_neither_libraries_nor_the_store(tmp_path: Path) -> None:
    unwanted = (*HEAVY, *WORKSPACE, "sqlalchemy", "pydantic", "asyncio", "rich", "idiolect.store")
    assert _among(_imported(tmp_path, "--version"), unwanted) == []


@pytest.mark.parametrize(
    "command",
    [
        ("users", "list"),
        ("users", "list", "--json"),
        ("groups", "create", "new", "--members", "ann"),
        ("groups", "list"),
        ("groups", "show", "tea"),
        ("groups", "add", "tea", "--members", "ann"),
        ("groups", "remove", "tea", "--members", "bob"),
        ("groups", "forget", "tea", "--yes"),
    ],
    ids=" ".join,
)
def test_a_look_into_the_store_imports_no_method(command: tuple[str, ...], store: str, tmp_path: Path) -> None:
    imported = _imported(tmp_path, *command, "--store", store)
    assert _among(imported, (*HEAVY, *METHODS, *WORKSPACE)) == []


def test_what_was_learned_is_shown_without_models_and_libraries(store: str, tmp_path: Path) -> None:
    """Fermi's own values are read; the embedded model, templates and BM25 are not needed for that."""
    for arguments in (("ann",), ("ann", "--json")):
        imported = _imported(tmp_path, "users", "show", *arguments, "--store", store)
        assert _among(imported, (*HEAVY, *WORKSPACE, *MODELS)) == []
        assert "idiolect.methods.fermi.personalization" in imported, "something was learned, and shown"


@pytest.mark.parametrize(
    "command",
    [("users", "export", "ann"), ("users", "remove-opinion", "ann", "Would you drink tea at noon?")],
    ids=lambda command: command[1],
)
def test_one_person_is_exported_and_corrected_without_models(
    command: tuple[str, ...], store: str, tmp_path: Path
) -> None:
    imported = _imported(tmp_path, *command, "--store", store)
    assert _among(imported, (*HEAVY, *WORKSPACE, *MODELS, "idiolect.methods.fermi")) == []


def test_a_person_is_forgotten_without_models(store: str, tmp_path: Path) -> None:
    """In the event loop's thread, where Ctrl-C does not interrupt it; so with the workspace, but with no model."""
    imported = _imported(tmp_path, "users", "forget", "ann", "--yes", "--store", store)
    assert _among(imported, (*HEAVY, "idiolect.application.model_pool", "idiolect.methods.fermi")) == []


def test_a_dry_run_for_a_remote_model_imports_neither_the_client_nor_torch(tmp_path: Path) -> None:
    """It runs the method itself on a simulated model, and so needs what retrieval and templates need."""
    people = write_people(tmp_path / "users.jsonl", [ANN])
    target = str(tmp_path / "store")
    imported = _imported(tmp_path, "fit", str(people), "--model", "gpt-4o-mini", "--dry-run", "--store", target)
    needed = ("numpy", "scipy", "bm25s", "tqdm", "jinja2")
    assert _among(imported, tuple(each for each in HEAVY if each not in needed)) == []


def test_bm25_is_imported_by_the_first_query_only(tmp_path: Path) -> None:
    code = (
        "import asyncio, sys; from idiolect.models.catalog import open_similarity; bm25 = open_similarity('bm25'); "
        "assert not {'bm25s', 'scipy'} & set(sys.modules); asyncio.run(bm25.similarity(['tea'], ['tea', 'coffee'])); "
        "assert 'bm25s' in sys.modules"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
