"""`idiolect users import`: what is printed, what is written, and what is refused."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from idiolect.cli.app import app
from idiolect.people.users_file import read_users

TABLE = "id,Age,Tea?,Rate\n1,18-29,Yes,4\n2,30-44,No,5\n3,,Refused,2\n2,30-44,Yes,5\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "survey.csv"
    path.write_text(TABLE)
    return path


def run(*arguments: str | Path, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["users", "import", *map(str, arguments)], input=stdin)


def test_dry_run_prints_every_guess_and_writes_nothing(table: Path) -> None:
    result = run(table, "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "file      CSV, utf-8, separated by ,; 4 rows; one row per person",
        "id        id (guessed)",
        "profile   Age (guessed)",
        "questions 2",
        "          Tea? (3 answers)",
        "            choices: Yes | No (yes or no)",
        "          Rate (4 answers)",
        "            scale: 1 < 2 < 3 < 4 < 5 (numbers from 1 to 5)",
        "no answer 1 'Refused' (left out)",
        "repeated  2: 2 older answers to questions answered again; the newest answer counts",
        "note      which answer is the newest is decided by the order of the rows",
        "users     3, with 5 opinions and 0 texts",
    ]
    assert list(table.parent.iterdir()) == [table]


def test_written_file_is_private_and_read_as_a_users_file(table: Path) -> None:
    out = table.with_name("users.jsonl")
    result = run(table, "--out", out)
    assert (result.exit_code, result.stderr) == (0, f"wrote 3 users to {out}\n")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [user.id for user in read_users(out)] == ["1", "2", "3"]
    again = run(table, "--out", out)
    assert again.exit_code == 1
    assert "already exists; --force replaces it" in again.stderr
    assert run(table, "--out", out, "--force").exit_code == 0


def test_users_go_to_standard_output_and_the_report_to_stderr(table: Path) -> None:
    result = run("-", "--out", "-", stdin=table.read_text())
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["1", "2", "3"]
    assert "questions 2" in result.stderr


def test_report_as_json_has_everything(table: Path) -> None:
    result = run(table, "--dry-run", "--json")
    document = json.loads(result.stdout)
    assert document["columns"] == {"id": {"role": "id", "guessed": True}, "Age": {"role": "profile", "guessed": True}}
    assert document["questions"][1] == {
        "question": "Rate",
        "kind": "scale",
        "choices": ["1", "2", "3", "4", "5"],
        "why": "numbers from 1 to 5",
        "answers": 4,
    }
    assert (document["superseded"], document["no_answers"]) == ({"2": 2}, {"Refused": 1})


@pytest.mark.parametrize("json_wanted", [False, True])
def test_faults_stop_the_import_and_nothing_is_written(table: Path, json_wanted: bool) -> None:
    table.write_text(TABLE + ",18-29,Yes,3\n5,18-29,Yes,3,4\n")
    out = table.with_name("users.jsonl")
    result = run(table, "--out", out, *["--json"] * json_wanted)
    assert result.exit_code == 1
    assert not out.exists()
    assert 'row 6, column "id": is blank' in result.stderr
    assert "row 7: has 5 cells" in result.stderr
    if json_wanted:
        document = json.loads(result.stdout)
        assert [fault["row"] for fault in document["faults"]] == [6, 7]
        assert document["error"]["type"] == "UsersFileError"
    skipping = run(table, "--out", out, "--skip-invalid")
    assert skipping.exit_code == 0
    assert "2 faults; skipped what has them" in skipping.stderr
    assert len(list(read_users(out))) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--out"),
        (["--out", "-", "--json"], "standard output"),
        (["--dry-run", "--layout", "deep"], "deep"),
        (["--dry-run", "--scale", "Yes"], "two or more different choices"),
        (["--dry-run", "--scale", "Yes|No|yes"], "two or more different choices"),
        (["--dry-run", "--choices", "a", "--choices", "b"], "more than one column"),
    ],
)
def test_arguments_that_make_no_sense_are_usage_errors(table: Path, arguments: list[str], message: str) -> None:
    result = run(table, *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_names_of_columns_are_separated_or_repeated(table: Path) -> None:
    result = run(table, "--dry-run", "--profile", "Age|Tea?", "--profile", "Rate", "--json")
    assert json.loads(result.stdout)["questions"] == []


def test_help_has_examples() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert "idiolect users import survey.csv --dry-run" in result.stdout


@pytest.mark.parametrize(
    ("content", "arguments", "advice"),
    [
        (TABLE, ["--layout", "long"], "no column is named like questions; --question names it"),
        (TABLE, ["--date", "Age"], "; --layout long reads one row per answer"),
        ("single column\nYes\n", [], "has a single column; --delimiter names the character between columns"),
        ("id,question,answer\n1,Tea?,Yes\n", ["--question", "id|answer", "--layout", "long"], "; --layout wide reads"),
    ],
)
def test_errors_name_the_option_that_helps(table: Path, content: str, arguments: list[str], advice: str) -> None:
    table.write_text(content)
    result = run(table, "--dry-run", *arguments)
    assert result.exit_code == 1
    assert advice in result.stderr


def test_example_of_the_documentation_is_what_is_printed() -> None:
    root = Path(__file__).resolve().parents[2]
    document = (root / "docs" / "formats.md").read_text(encoding="utf-8")
    block = document.split("$ idiolect users import examples/survey.csv --dry-run\n")[1].split("```")[0].splitlines()
    printed = run(root / "examples" / "survey.csv", "--dry-run").stdout.splitlines()
    cut = block.index("[…]")
    assert printed[:cut] == block[:cut]
    assert printed[-1] == block[-1]


def test_the_imported_file_is_never_written_over(table: Path) -> None:
    for out in (table, table.parent / "." / table.name):
        result = run(table, "--out", out, "--force")
        assert (result.exit_code, table.read_text()) == (2, TABLE)
        assert "the file that is imported" in result.output
