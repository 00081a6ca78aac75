"""The command `idiolect users import`: make a users file of a table, a survey export or a JSON document."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from idiolect.cli.boundary import FAILED
from idiolect.cli.options import JsonOption, option, split_choices
from idiolect.cli.terminal import err, print_json, safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from idiolect.errors import UsersFileError
    from idiolect.people.tables.report import ImportReport
    from idiolect.people.user import User

EXAMPLES = (
    "idiolect users import survey.csv --dry-run",
    "idiolect users import survey.csv --out users.jsonl",
    'idiolect users import survey.csv --profile "Age|Lives in" --scale "Never|Sometimes|Often" --out users.jsonl',
    "idiolect users import answers.csv --layout long --id person --question item --answer reply --out users.jsonl",
    'idiolect users import coded.csv --scale "1=Never|2=Sometimes|3=Often" --choices "1=Yes|2=No" --dry-run',
    'idiolect users import export.tsv --missing "Refused|99" --text "Anything else?" --encoding utf-16 --dry-run',
    "idiolect users import people.json --out - | idiolect fit -",
)
_SEPARATED = "several separated by |, or repeat the option"


def _names(help: str) -> Any:
    """Return an option that takes several names of columns."""
    return option(f"{help}; {_SEPARATED}.", "NAME|…")


def import_users(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="CSV, TSV or JSON file; - reads standard input.", show_default=False),
    ],
    out: Annotated[str | None, option("Users file to write; - is standard output.", "FILE|-")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print how the file is understood, and write nothing.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    layout: Annotated[
        Literal["wide", "long"] | None,
        option("wide: one row per person; long: one row per answer. Default: guessed."),
    ] = None,
    id: Annotated[str | None, option("Column with the ids of people. Default: guessed.", "NAME")] = None,
    profile: Annotated[list[str] | None, _names("Columns with attributes of people. Default: guessed")] = None,
    question: Annotated[
        list[str] | None,
        _names("wide: columns that are questions (default: all others); long: the column with the questions"),
    ] = None,
    answer: Annotated[str | None, option("long: column with the answers. Default: guessed.", "NAME")] = None,
    choices: Annotated[
        list[str] | None,
        option(
            "Choices in no order, for all questions whose answers are among them; with codes: 1=A|2=B. For long, also "
            "the column with the choices. Repeatable.",
            "A|B|…",
        ),
    ] = None,
    scale: Annotated[list[str] | None, option("The same for choices in order. Repeatable.", "A|B|…")] = None,
    ordinal: Annotated[list[str] | None, _names("Questions whose choices are a scale")] = None,
    nominal: Annotated[list[str] | None, _names("Questions whose choices are no scale")] = None,
    text: Annotated[list[str] | None, _names("Columns with texts that the person wrote")] = None,
    ignore: Annotated[list[str] | None, _names("Columns to leave out")] = None,
    missing: Annotated[
        list[str] | None,
        _names("Entries that stand for no answer. Default: Refused, Prefer not to say, NA, far codes such as 99"),
    ] = None,
    date: Annotated[str | None, option("long: column with dates; the newest answer counts.", "NAME")] = None,
    encoding: Annotated[str | None, option("Encoding, such as windows-1252. Default: guessed.", "NAME")] = None,
    delimiter: Annotated[str | None, option("Character between cells. Default: guessed.", "C")] = None,
    skip_invalid: Annotated[
        bool, typer.Option("--skip-invalid", help="Leave out rows and answers with a fault instead of stopping.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Make a users file of a table: a CSV file, a survey export, or JSON.

    The table has one row per person, whose columns are questions and attributes, or one row per answer. Whatever is not
    stated is guessed, and every guess is printed: start with --dry-run. If a person answered a question more than once,
    the newest answer counts. All faults are reported with row and column before anything is written.
    """
    from idiolect.people.tables.importing import import_users as imported_from
    from idiolect.people.tables.options import ImportOptions

    if not dry_run and out is None:
        raise typer.BadParameter("name the users file to write with --out, or use --dry-run")
    if out == "-" and json and not dry_run:
        raise typer.BadParameter("--json and --out - both write to standard output")
    sets = [each for each in choices or () if "|" in each]
    columns = [each for each in choices or () if "|" not in each]
    if len(columns) > 1:
        raise typer.BadParameter("--choices names more than one column; choices are separated by |")
    options = ImportOptions(
        layout=layout,
        id=id,
        profile=_split(profile),
        question=_split(question),
        answer=answer,
        choices=columns[0] if columns else None,
        sets=_sets(sets),
        scales=_sets(scale or ()),
        ordinal=_split(ordinal) or (),
        nominal=_split(nominal) or (),
        texts=_split(text) or (),
        ignored=_split(ignore) or (),
        missing=_split(missing),
        date=date,
        encoding=encoding,
        delimiter=delimiter,
    )
    imported = imported_from(file, options)
    report, refused = imported.report, None
    if report.fault_count and not (skip_invalid and imported.users):
        refused = report.error()
    _print(report, refused, json=json, on_stderr=out == "-" and not dry_run)
    if refused is None and not dry_run and out is not None:
        _write(imported.users, out, force=force)


def _print(report: ImportReport, refused: UsersFileError | None, *, json: bool, on_stderr: bool) -> None:
    """Print the report, and the faults that were skipped.

    Raises:
        UsersFileError: the import is refused; with `json`, its faults are part of the printed report.
    """
    from idiolect.cli.users.import_screen import import_document, print_faults, print_import

    if json:
        print_json(import_document(report, refused), indent=2)
    else:
        print_import(report, on_stderr=on_stderr)
    if refused is None or json:
        print_faults(report, skipped=refused is None)
    if refused is not None:
        if json:
            raise typer.Exit(FAILED)
        raise refused


def _split(stated: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return the names in the values of an option; None if it is not used."""
    if stated is None:
        return None
    return tuple(name for value in stated for part in value.split("|") if (name := " ".join(part.split())))


def _sets(stated: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Return the sets of choices in the values of an option.

    Raises:
        typer.BadParameter: a set has fewer than two choices, or a blank or repeated one.
    """
    sets = tuple(split_choices(value) for value in stated)
    for choices in sets:
        if len(choices) < 2 or "" in choices or len(set(choices)) < len(choices):
            raise typer.BadParameter(f"{'|'.join(choices)!r} must be two or more different choices, separated by |")
    return sets


def _write(users: Sequence[User], out: str, *, force: bool) -> None:
    """Write a users file that only its owner can read, or write the users to standard output."""
    from idiolect.application.private_file import private_file
    from idiolect.people.users_file import write_users

    if out == "-":
        write_users(users, sys.stdout.buffer)
        return
    with private_file(Path(out), force=force) as file:
        write_users(users, file)
    err().print(f"wrote {len(users):,} {'user' if len(users) == 1 else 'users'} to {safe(out)}")
