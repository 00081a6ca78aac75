"""The entry point: exit statuses, errors without tracebacks, a fast start and a quiet end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from idiolect import __version__
from idiolect.cli.app import app
from idiolect.cli.boundary import Boundary
from idiolect.cli.options import JsonOption
from idiolect.errors import IdiolectError, UsersFileError
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from tests.cli.interrupting import start

IDIOLECT = (sys.executable, "-m", "idiolect.cli.app")


def command(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*IDIOLECT, *arguments], capture_output=True, text=True, env=os.environ | env, timeout=60)


def run_raising(error: BaseException, *arguments: str) -> Result:
    """What the boundary makes of a command that raises."""
    trial = typer.Typer(cls=Boundary, rich_markup_mode=None, pretty_exceptions_enable=False)

    @trial.callback()
    def root() -> None: ...

    @trial.command("fail")
    def fail(json: JsonOption = False) -> None:
        del json
        raise error

    return CliRunner().invoke(trial, ["fail", *arguments])


def test_version_and_help_go_to_stdout() -> None:
    assert (command("--version").stdout, command("--version").returncode) == (f"idiolect {__version__}\n", 0)
    shown = command("--help")
    assert shown.returncode == 0
    assert "Examples:\n" in shown.stdout
    assert shown.stderr == ""


def test_the_package_is_the_command_as_well() -> None:
    done = subprocess.run([sys.executable, "-m", "idiolect", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, command("--version").stdout, "")


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['idiolect', '--help']\nfrom idiolect.cli.app import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'numpy', 'sqlalchemy', 'alembic', 'pydantic', 'rich.console'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("arguments", [[], ["bogus"], ["--bogus"], ["users", "show"], ["users", "list", "--bogus"]])
def test_wrong_use_is_status_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_wrong_use_is_told_in_json_as_well() -> None:
    result = CliRunner().invoke(app, ["users", "show", "--json"])
    assert result.exit_code == 2
    assert json.loads(result.stdout)["error"] == {"type": "UsageError", "message": "Missing argument 'ID'."}
    assert CliRunner().invoke(app, ["users", "list", "--", "--json"]).stdout == ""


def test_own_error_is_a_message_and_status_1() -> None:
    result = run_raising(IdiolectError("no \x1b[31mluck\nat all"))
    assert (result.exit_code, result.stderr, result.stdout) == (1, "error: no luck at all\n", "")


def test_users_file_error_lists_its_faults() -> None:
    error = UsersFileError("2 faults", faults=("people.jsonl:1: id: is missing", "people.jsonl:2: texts: is blank"))
    result = run_raising(error, "--json")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == ["error: 2 faults", *error.faults]
    shown = json.loads(result.stdout)["error"]
    assert shown == {"type": "UsersFileError", "message": "2 faults", "faults": list(error.faults)}


def test_unexpected_error_shows_a_traceback_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IDIOLECT_DEBUG", raising=False)
    result = run_raising(ZeroDivisionError("oh"), "--json")
    assert result.exit_code == 1
    assert result.stderr == "internal error: ZeroDivisionError: oh (IDIOLECT_DEBUG=1 shows the traceback)\n"
    assert json.loads(result.stdout) == {"error": {"type": "ZeroDivisionError", "message": "oh"}}
    monkeypatch.setenv("IDIOLECT_DEBUG", "1")
    assert "Traceback (most recent call last)" in run_raising(ZeroDivisionError("oh")).stderr


def test_operating_system_error_is_told_plainly() -> None:
    result = run_raising(FileNotFoundError(2, "No such file or directory", "people.jsonl"))
    assert (result.exit_code, result.stderr) == (1, "error: No such file or directory: people.jsonl\n")
    told = run_raising(FileNotFoundError(2, "No such file or directory", "people.jsonl"), "--json").stdout
    assert json.loads(told)["error"]["message"] == "No such file or directory: people.jsonl"


@pytest.mark.parametrize(
    ("error", "status", "stderr"),
    [(KeyboardInterrupt(), 130, "stopped\n"), (BrokenPipeError(32, "Broken pipe"), 1, ""), (typer.Exit(7), 7, "")],
)
def test_other_ends(error: BaseException, status: int, stderr: str) -> None:
    result = run_raising(error, "--json")
    assert (result.exit_code, result.stderr, result.stdout) == (status, stderr, "")


def test_pipe_closed_early_is_no_complaint(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users(User(f"u{i}", texts=("t",)) for i in range(5000))
    for arguments in (["--json"], []):
        process = subprocess.Popen(
            [*IDIOLECT, "users", "list", "--store", str(tmp_path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert (process.stderr.read(), process.wait(timeout=60)) == (b"", 1)
        process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_full_disk_under_stdout_is_an_error(tmp_path: Path) -> None:
    Store.open(tmp_path, tenant=DEFAULT_TENANT).close()
    for arguments in (["users", "list", "--store", str(tmp_path)], ["--help"], ["--version"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([*IDIOLECT, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize(("arguments", "status"), [(["fit", "--no-such-option"], 2), (["fit", "no-such-file"], 1)])
def test_full_disk_under_stderr_does_not_change_the_status(arguments: list[str], status: int) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*IDIOLECT, *arguments], stdout=subprocess.PIPE, stderr=full)
    assert (done.returncode, done.stdout) == (status, b"")


@pytest.mark.parametrize(
    ("option", "value"), [("--seed", str(2**32)), ("--seed", "-1"), ("--max-tokens", "1000001"), ("--max-tokens", "0")]
)
def test_number_out_of_range_is_a_usage_error(option: str, value: str) -> None:
    result = CliRunner().invoke(app, ["fit", "people.jsonl", option, value])
    assert result.exit_code == 2
    assert option in result.output


def test_ctrl_c_stops_without_a_traceback() -> None:
    code = (
        "import sys, time; from idiolect.cli.app import main; from idiolect.store import Store\n"
        "def wait(target, tenant, create): print('waiting', flush=True); time.sleep(60)\n"
        "Store.open = wait; sys.argv = ['idiolect', 'users', 'list']; main()"
    )
    process = start([sys.executable, "-c", code])
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "stopped\n"
    assert process.returncode == 130


def test_ctrl_c_while_the_modules_load_stops_without_a_traceback() -> None:
    code = (
        "import sys, signal, threading, importlib.abc, os\n"
        "class Interrupting(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from idiolect.cli.start import main\n"
        "sys.argv = ['idiolect', 'users', 'list']; main()"
    )
    process = start([sys.executable, "-c", code])
    assert process.communicate(timeout=60)[1] == "stopped\n"
    assert process.returncode == 130


def test_no_argument_draws_on_the_terminal_through_a_usage_error() -> None:
    shown = command("--x\u202ey\x1b[31m")
    assert shown.returncode == 2
    assert "No such option: --xy" in shown.stderr
    assert not {"\u202e", "\x1b"} & set(shown.stderr)


@pytest.mark.parametrize(
    ("option", "instead"), [("--base-url", "--model names a server, too: URL#NAME"), ("--api-key", "OPENAI_API_KEY")]
)
def test_option_of_another_tool_is_answered_with_what_replaces_it(option: str, instead: str) -> None:
    shown = command("fit", "users.jsonl", option, "x")
    assert shown.returncode == 2
    assert f"No such option: {option}" in " ".join(shown.stderr.split())
    assert instead in " ".join(shown.stderr.split())
    assert "Possible options" not in shown.stderr


def test_ids_that_look_alike_are_shown_as_different(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("ann", texts=("t",)), User("ann\u200b", texts=("t",)), User("x" * 300, texts=("t",))])
    shown = command("users", "list", "--store", str(tmp_path)).stdout
    assert "ann " in shown
    assert "ann\\u200b" in shown
    assert max(map(len, shown.splitlines())) < 120


@pytest.mark.parametrize(
    "wrong",
    [
        ("--timeout", "inf"),
        ("--budget-time", "nan"),
        ("--budget-time", "0"),
        ("--budget-money", "1_000"),
        ("--budget-money", "\u0663"),
        ("--budget-money", "1e400"),
        ("--iterations", "99999999999999999999"),
    ],
)
def test_amounts_that_make_no_sense_are_wrong_use(tmp_path: Path, wrong: tuple[str, str]) -> None:
    (tmp_path / "users.jsonl").write_text('{"id": "ann", "texts": ["t"]}\n')
    result = CliRunner().invoke(app, ["fit", str(tmp_path / "users.jsonl"), "--dry-run", *wrong])
    assert result.exit_code == 2
    assert wrong[0] in result.stderr


def test_output_of_a_terminal_without_unicode(tmp_path: Path) -> None:
    with Store.open(tmp_path, tenant=DEFAULT_TENANT) as store:
        store.save_users([User("用户", texts=("t",))])
    shown = command("users", "list", "--store", str(tmp_path), PYTHONIOENCODING="ascii")
    assert (shown.returncode, shown.stderr) == (0, "")
    listed = command("users", "list", "--json", "--store", str(tmp_path), PYTHONIOENCODING="ascii")
    assert json.loads(listed.stdout)["id"] == "用户"


def every_command() -> list[tuple[str, ...]]:
    def below(group: typer.Typer, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        commands = [(*path, command.name or "") for command in group.registered_commands]
        groups = [(each.typer_instance, (*path, each.name or "")) for each in group.registered_groups]
        return [path, *commands, *(found for inner, at in groups if inner is not None for found in below(inner, at))]

    return below(app, ())


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_help_of_every_command_shows_an_example_and_no_type_of_typers(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert "  idiolect " in result.stdout
    assert "range>" not in result.stdout, "numbers have a name that says what they are"


def test_commands_are_functions_with_docstrings() -> None:
    def undocumented(group: typer.Typer) -> list[Callable[..., object]]:
        commands = [each.callback for each in group.registered_commands if each.callback is not None]
        return [function for function in commands if not function.__doc__]

    assert undocumented(app) == []
