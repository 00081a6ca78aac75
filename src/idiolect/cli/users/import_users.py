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

    from idiolect.people.tables.options import ImportOptions
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
STANDARD_OUTPUT = "-"
_SEPARATED = "several separated by |, or repeat the option"


def _names(help: str) -> Any:
    """Return an option that takes several names of columns."""
    return option(f"{help}; {_SEPARATED}.", "NAME|…")


FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="CSV, TSV or JSON file; - reads standard input.", show_default=False)
]
OutOption = Annotated[str | None, option("Users file to write; - is standard output.", "FILE|-")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print how the file is understood, and write nothing.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]
LayoutOption = Annotated[
    Literal["wide", "long"] | None,
    option("wide: one row per person; long: one row per answer. Default: guessed."),
]
IdOption = Annotated[str | None, option("Column with the ids of people. Default: guessed.", "NAME")]
ProfileOption = Annotated[list[str] | None, _names("Columns with attributes of people. Default: guessed")]
QuestionOption = Annotated[
    list[str] | None,
    _names("wide: columns that are questions (default: all others); long: the column with the questions"),
]
AnswerOption = Annotated[str | None, option("long: column with the answers. Default: guessed.", "NAME")]
ChoicesOption = Annotated[
    list[str] | None,
    option(
        "Choices in no order, for all questions whose answers are among them; with codes: 1=A|2=B. For long, also "
        "the column with the choices. Repeatable.",
        "A|B|…",
    ),
]
ScaleOption = Annotated[list[str] | None, option("The same for choices in order. Repeatable.", "A|B|…")]
OrdinalOption = Annotated[list[str] | None, _names("Questions whose choices are a scale")]
NominalOption = Annotated[list[str] | None, _names("Questions whose choices are no scale")]
TextOption = Annotated[list[str] | None, _names("Columns with texts that the person wrote")]
IgnoreOption = Annotated[list[str] | None, _names("Columns to leave out")]
MissingOption = Annotated[
    list[str] | None,
    _names("Entries that stand for no answer. Default: Refused, Prefer not to say, NA, far codes such as 99"),
]
DateOption = Annotated[str | None, option("long: column with dates; the newest answer counts.", "NAME")]
EncodingOption = Annotated[str | None, option("Encoding, such as windows-1252. Default: guessed.", "NAME")]
DelimiterOption = Annotated[str | None, option("Character between cells. Default: guessed.", "C")]
SkipOption = Annotated[
    bool, typer.Option("--skip-invalid", help="Leave out rows and answers with a fault instead of stopping.")
]


def import_users(
    file: FileArgument,
    out: OutOption = None,
    dry_run: DryRunOption = False,
    force: ForceOption = False,
    layout: LayoutOption = None,
    id: IdOption = None,
    profile: ProfileOption = None,
    question: QuestionOption = None,
    answer: AnswerOption = None,
    choices: ChoicesOption = None,
    scale: ScaleOption = None,
    ordinal: OrdinalOption = None,
    nominal: NominalOption = None,
    text: TextOption = None,
    ignore: IgnoreOption = None,
    missing: MissingOption = None,
    date: DateOption = None,
    encoding: EncodingOption = None,
    delimiter: DelimiterOption = None,
    skip_invalid: SkipOption = False,
    json: JsonOption = False,
) -> None:
    """Make a users file of a table: a CSV file, a survey export, or JSON.

    The table has one row per person, whose columns are questions and attributes, or one row per answer. Whatever is not
    stated is guessed, and every guess is printed: start with --dry-run. If a person answered a question more than once,
    the newest answer counts. All faults are reported with row and column before anything is written.
    """
    from idiolect.people.tables.options import ImportOptions

    target = _target(file, out, dry_run=dry_run, json=json)
    column, sets = _choices(choices or ())
    options = ImportOptions(
        layout=layout,
        id=id,
        profile=_split(profile),
        question=_split(question),
        answer=answer,
        choices=column,
        sets=sets,
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
    users = _imported(file, options, skip_invalid=skip_invalid, json=json, on_stderr=target == STANDARD_OUTPUT)
    if target is not None:
        _write(users, target, force=force)


def _target(file: str, out: str | None, *, dry_run: bool, json: bool) -> str | None:
    """Return where the users are written; None in a dry run.

    Raises:
        typer.BadParameter: there is no such place, it is the imported file, or the report would go to the same one.
    """
    if dry_run:
        return None
    if out is None:
        raise typer.BadParameter("name the users file to write with --out, or use --dry-run")
    if out != STANDARD_OUTPUT and Path(file).exists() and Path(out).exists() and Path(file).samefile(out):
        raise typer.BadParameter("--out names the file that is imported; choose another name")
    if out == STANDARD_OUTPUT and json:
        raise typer.BadParameter("--json and --out - both write to standard output")
    return out


def _choices(stated: Sequence[str]) -> tuple[str | None, tuple[tuple[str, ...], ...]]:
    """Return the column and the sets of choices in the values of --choices.

    Raises:
        typer.BadParameter: there are several columns, or a set is no set of choices.
    """
    columns = [each for each in stated if "|" not in each]
    if len(columns) > 1:
        raise typer.BadParameter("--choices names more than one column; choices are separated by |")
    return (columns[0] if columns else None), _sets(each for each in stated if "|" in each)


def _imported(
    file: str, options: ImportOptions, *, skip_invalid: bool, json: bool, on_stderr: bool
) -> tuple[User, ...]:
    """Import a file, print the report, and return the users.

    Raises:
        UsersFileError: the import is refused; with `json`, the command exits, and the printed report has the faults.
    """
    from idiolect.cli.users.import_screen import import_document, print_faults, print_import
    from idiolect.people.tables.importing import import_users as imported_from

    imported = imported_from(file, options)
    report = imported.report
    refused = report.error() if report.fault_count and not (skip_invalid and imported.users) else None
    if json:
        print_json(import_document(report, refused), indent=2)
    else:
        print_import(report, on_stderr=on_stderr)
    if refused is None or json:
        print_faults(report, skipped=refused is None)
    if refused is not None and json:
        raise typer.Exit(FAILED)
    if refused is not None:
        raise refused
    return imported.users


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
    from idiolect.people.typography import folded

    sets = tuple(split_choices(value) for value in stated)
    for choices in sets:
        if len(choices) < 2 or "" in choices or len(set(map(folded, choices))) < len(choices):
            raise typer.BadParameter(f"{'|'.join(choices)!r} must be two or more different choices, separated by |")
    return sets


def _write(users: Sequence[User], out: str, *, force: bool) -> None:
    """Write a users file that only its owner can read, or write the users to standard output."""
    from idiolect.application.private_file import private_file
    from idiolect.people.users_file import write_users

    if out == STANDARD_OUTPUT:
        write_users(users, sys.stdout.buffer)
        return
    with private_file(Path(out), force=force) as file:
        write_users(users, file)
    err().print(f"wrote {len(users):,} {'user' if len(users) == 1 else 'users'} to {safe(out)}")
