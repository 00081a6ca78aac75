"""Builds the wheel, and installs it with an extra into an empty environment, as a user would.

Everything comes from pip with the versions of constraints.txt, but for torch: it is lent from the environment that runs
the tests. Its build (CPU or GPU) is chosen when that is set up, and unpacking it once more for each extra takes a
gigabyte, or five for a GPU. `Installed.torch_required` states whether pip asked for it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
TIMEOUT_S = 600

_OF_THE_CALLER = re.compile(
    r"PYTHON(PATH|HOME)|VIRTUAL_ENV|PIP_(USER|TARGET|PREFIX|REQUIRE_VIRTUALENV)|IDIOLECT_\w+|XDG_CACHE_HOME"
)


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel with an extra."""

    folder: Path
    torch_required: bool

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in `folder`; `check`: fail unless its exit status is 0."""
        program = str(self.folder / "bin" / command[0])
        environment = {
            "PATH": os.pathsep.join([str(self.folder / "bin"), os.defpath]),
            "PYTHONPATH": str(ROOT),  # for `tests` and `benchmarks`; the package itself lies in ROOT/src
            "HOME": str(self.folder),
            "HF_HUB_OFFLINE": "1",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
        }
        ran = _run([program, *command[1:]], environment, self.folder)
        assert not check or ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code and return what it prints."""
        return self.run("python", "-c", code, *arguments).stdout


def build(kind: str, folder: Path) -> Path:
    """Build one `kind` ("wheel" or "sdist") from the checkout; return its file."""
    _run([sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", str(folder), str(ROOT)], check=True)
    (file,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return file


def install(wheel: Path, extra: str, folder: Path, *, lent: Path | None = None) -> Installed:
    """Make an empty environment in `folder`, and install the wheel with `extra` ("": none) into it.

    Args:
        wheel: the file.
        extra: name of one extra.
        folder: where the environment is made.
        lent: a folder made by `lend_torch`; None for an extra that needs no torch.
    """
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    if lent:
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "lent.pth").write_text(f"{lent}\n")
    installed = pip_install(folder, f"{wheel}[{extra}]" if extra else str(wheel))
    return Installed(folder, bool(re.search(r"^Requirement already satisfied: torch\b", installed, re.MULTILINE)))


def pip_install(folder: Path, *arguments: str) -> str:
    """Run `pip install` for the environment in `folder`; return what pip prints."""
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install"]
    quick = ["--no-input", "--no-compile", "--progress-bar", "off", "--disable-pip-version-check"]
    exact = ["-c", str(CONSTRAINTS), "--build-constraint", str(CONSTRAINTS)]
    return _run([*pip, *quick, *exact, *arguments], check=True).stdout


def only_built(wheel: Path) -> tuple[str, ...]:
    """Return the options of pip that make it take this wheel, and never build the package."""
    return "--find-links", str(wheel.parent), "--only-binary", wheel.name.partition("-")[0]


def lend_torch(folder: Path) -> Path:
    """Make a folder that shows torch, and all that torch requires, by links; pip never touches what lies there."""
    folder.mkdir()
    for name in _required("torch"):
        lent = distribution(name)
        for top in {file.parts[0] for file in lent.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(lent.locate_file(top))))
    return folder


def cached_wheel(name: str) -> Path | None:
    """Return the wheel of the version in constraints.txt that pip has built before, if it has."""
    (version,) = re.findall(rf"^{name}==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE)
    listed = _run([sys.executable, "-m", "pip", "cache", "list", "--format", "abspath", name]).stdout.splitlines()
    found = [Path(line) for line in listed if Path(line).name.startswith(f"{name}-{version}-")]
    return found[0] if found else None


@cache
def _required(name: str) -> frozenset[str]:
    return frozenset({name}).union(*(_required(required) for required in _direct(name)))


def _direct(name: str) -> Iterator[str]:
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _run(
    command: Sequence[str], environment: Mapping[str, str] | None = None, folder: Path = ROOT, *, check: bool = False
) -> subprocess.CompletedProcess[str]:
    callers = {name: value for name, value in os.environ.items() if not _OF_THE_CALLER.fullmatch(name)}
    ran = subprocess.run(
        command,
        cwd=folder,
        env=environment or callers,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert not check or ran.returncode == 0, f"{command}\n{ran.stdout}\n{ran.stderr}"
    return ran
