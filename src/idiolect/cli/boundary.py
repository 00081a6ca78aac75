"""Error boundary: a Typer group that turns any exception of a command into a message and an exit status.

    0 success   1 failure (`error: …`)   2 usage error (Typer's message)   130 stopped by Ctrl-C

With `--json` among the arguments, the error is printed on stdout as well: {"error": {"type", "message", "faults"}}.
A traceback is shown only with IDIOLECT_DEBUG=1.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TextIO

import typer
from typer.core import TyperGroup

from idiolect.cli.advice import INSTEAD_OF_OPTION, Invocation, advised, invocation_of
from idiolect.cli.terminal import debugging, one_line, print_json, printable
from idiolect.errors import IdiolectError, SettingsError, UsersFileError, error_kind

FAILED = 1
STOPPED = 130
_JSON, INVOCATION, ARGUMENTS = "idiolect.json", "idiolect.invocation", "idiolect.arguments"


class Boundary(TyperGroup):
    """Outermost group of commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Record whether JSON is wanted and which command is called, before anything can fail."""
        options = args[: args.index("--")] if "--" in args else args
        ctx.meta[_JSON] = "--json" in options
        ctx.meta[INVOCATION], ctx.meta[ARGUMENTS] = invocation_of(self, args), tuple(args)
        with _guarding(ctx):  # --help and --version are printed here
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command, and turn every exception into a message and an exit status."""
        with _guarding(ctx):
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


@contextmanager
def _guarding(ctx: Any) -> Iterator[None]:
    """Turn every exception in the context into a message and an exit status."""
    try:
        yield
    except KeyboardInterrupt:
        stop()
    except Exception as error:
        _fail(error, as_json=ctx.meta[_JSON], invocation=ctx.meta[INVOCATION])


def called_with(ctx: typer.Context) -> tuple[str, ...]:
    """Return the arguments that the program was called with."""
    found: tuple[str, ...] = ctx.meta[ARGUMENTS]
    return found


@contextmanager
def wrong_use() -> Iterator[None]:
    """Turn an error about what the arguments name into a usage error.

    Raises:
        typer.BadParameter: the setting, or the folder that an argument names, is invalid.
    """
    try:
        yield
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from error


def stop(what_is_kept: str = "") -> NoReturn:
    """Print that the command was stopped, and exit with the status for Ctrl-C.

    Args:
        what_is_kept: results that were kept, in words; "": not stated.

    Raises:
        typer.Exit: always.
    """
    print_stopped(what_is_kept)
    raise typer.Exit(STOPPED)


def print_stopped(what_is_kept: str = "") -> None:
    """Print that the command was stopped, and what was kept if stated."""
    sys.stderr.write(f"stopped: {what_is_kept}\n" if what_is_kept else "stopped\n")


def _fail(error: Exception, *, as_json: bool, invocation: Invocation) -> NoReturn:
    if isinstance(error, typer.Abort | typer.Exit):
        raise error
    if isinstance(error, BrokenPipeError):
        drop_stdout()
        raise typer.Exit(FAILED)
    if hasattr(error, "exit_code"):  # a usage error, whose message Typer prints itself
        if instead := INSTEAD_OF_OPTION.get(getattr(error, "option_name", "")):
            error.message, error.possibilities = f"{error.message}. {instead}", None  # type: ignore[attr-defined]
        if hasattr(error, "message"):
            error.message = printable(str(error.message))  # it repeats arguments
        if as_json:
            _print_error_json("UsageError", error.format_message() if hasattr(error, "format_message") else str(error))
        raise error
    if debugging():
        sys.stderr.write(printable("".join(traceback.format_exception(error))))
    faults = error.faults if isinstance(error, UsersFileError) else ()
    shown = () if faults == (str(error),) else faults  # a single fault is the message
    for line in (_message(error, invocation), *shown):
        sys.stderr.write(one_line(line) + "\n")
    if as_json:
        _print_error_json(error_kind(error), _without_number(error, invocation), faults)
    flush_stdout()
    raise typer.Exit(FAILED)


def _message(error: Exception, invocation: Invocation) -> str:
    if isinstance(error, IdiolectError) or (isinstance(error, OSError) and error.strerror):
        return f"error: {_without_number(error, invocation)}"
    hint = "" if debugging() else " (IDIOLECT_DEBUG=1 shows the traceback)"
    return f"internal error: {type(error).__name__}: {error}{hint}"


def _without_number(error: Exception, invocation: Invocation) -> str:
    """Return the error's message with advice, without the number that Python gives to system errors."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    return advised(error, invocation)


def _print_error_json(kind: str, message: str, faults: tuple[str, ...] = ()) -> None:
    shown: dict[str, object] = {"type": kind, "message": message}
    if faults:
        shown["faults"] = list(faults)
    try:
        print_json({"error": shown})
    except OSError:
        drop_stdout()


def flush_stdout() -> None:
    """Flush stdout, whose reader may have gone."""
    try:
        sys.stdout.flush()
    except OSError:
        drop_stdout()


def drop_stdout() -> None:
    """Discard the rest of the output: its reader has gone, and Python would report that at exit."""
    _drop(sys.stdout)


def drop_stderr() -> None:
    """Discard the rest of the messages, which cannot be written: Python would try once more at exit and fail."""
    _drop(sys.stderr)


def _drop(stream: TextIO) -> None:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
