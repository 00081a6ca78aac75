"""The house rules that a machine can check: who may import what, and how large and how named things may be."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "misc"})

TORCH = frozenset({"torch", "transformers", "sentence_transformers", "accelerate", "gguf"})
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
# Those that may import torch, by the contract "torch stays behind the local model".
LOCAL_PATTERNS = {
    importer
    for contract in CONTRACTS
    for importer, _, imported in (edge.partition(" -> ") for edge in contract.get("ignore_imports", []))
    if imported == "**"
}


def _module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_local(module: str) -> bool:
    """A pattern `package.**` means the package and all below it."""
    stems = (pattern.removesuffix(".**") for pattern in LOCAL_PATTERNS)
    return any(module == stem or module.startswith(f"{stem}.") for stem in stems)


FILES = {_module_name(path): path for path in sorted(SOURCE.rglob("*.py"))}
LOCAL_MODEL = {name for name in FILES if _is_local(name)}
# Alembic runs env.py inside a migration only, and `__main__` would start the program.
IMPORTABLE = [name for name in FILES if not name.endswith((".migrations.env", ".__main__"))]


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def _tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_keep_the_contracts() -> None:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    linted = _run(code, "--no-cache", "--no-logo")
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize(
    "modules",
    [["idiolect"], ["idiolect.store"], sorted(set(IMPORTABLE) - LOCAL_MODEL)],
    ids=["the package", "the store", "all but the local model"],
)
def test_importing_loads_no_torch(modules: list[str]) -> None:
    """What import-linter cannot tell: that the catalog opens the local model inside a function, not at its top."""
    code = "import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]; print(*sys.modules)"
    imported = _run(code, *modules)
    assert imported.returncode == 0, imported.stderr
    loaded = TORCH & set(imported.stdout.split())
    assert loaded == set()


def _exported(path: Path) -> bool:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return any(isinstance(name, ast.Name) and name.id == "__all__" for name in names)


@pytest.mark.parametrize("module", [name for name in IMPORTABLE if _exported(FILES[name])])
def test_every_name_in_all_exists_once(module: str) -> None:
    imported = importlib.import_module(module)
    assert [name for name in imported.__all__ if not hasattr(imported, name)] == []
    assert len(set(imported.__all__)) == len(imported.__all__)


@pytest.mark.parametrize("module", FILES)
def test_modules_and_functions_stay_small(module: str) -> None:
    source = FILES[module].read_text(encoding="utf-8")
    lines = len(source.splitlines())
    assert lines <= MAX_MODULE_LINES, f"{module} has {lines} lines, at most {MAX_MODULE_LINES}"
    assert list(_long_functions(source)) == []


def _long_functions(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"{node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def _called_or_passed(source: str) -> set[str]:
    """Names of functions as they are written, such as `asyncio.run`, wherever they are used."""
    used = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name | ast.Attribute))
    return {ast.unparse(node) for node in used}


@pytest.mark.parametrize(
    ("function", "places"),
    [("asyncio.run", ("idiolect.models.remote.chat", "idiolect.cli.interrupts")), ("print", ("idiolect.cli",))],
)
def test_only_these_start_a_loop_or_print(function: str, places: tuple[str, ...]) -> None:
    """Use cases run in their caller's loop; a server has its own, and a thread closes remote models."""
    users = {name for name, path in FILES.items() if function in _called_or_passed(path.read_text(encoding="utf-8"))}
    assert {name for name in users if not name.startswith(places)} == set()


def test_no_file_or_folder_has_a_vague_name() -> None:
    paths = [path.relative_to(ROOT) for top in ("src", "tests", "benchmarks") for path in (ROOT / top).rglob("*")]
    assert [str(path) for path in paths if path.stem.strip("_").lower() in VAGUE_NAMES] == []


def test_no_tracked_file_names_a_path_of_one_machine() -> None:
    one_machine = re.compile(r"(?<![\w.~*-])/(?:work|root|home|Users|opt|tmp/dev)/[\w.-]")
    found = []
    for path in _tracked_files():
        lines = path.read_bytes().decode("utf-8", errors="ignore").splitlines()
        found += [
            f"{path.relative_to(ROOT)}:{n}: {line}" for n, line in enumerate(lines, 1) if one_machine.search(line)
        ]
    assert found == []
