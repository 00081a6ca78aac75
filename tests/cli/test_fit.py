"""`idiolect fit`: nothing is written before everything is checked, and nothing learned is lost."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.store import DEFAULT_TENANT, Store
from tests.cli.interrupting import start
from tests.cli.learning import ANN, BOB, FAST, SILENT, opinion, record, run, write_people

ROOT = Path(__file__).resolve().parents[2]
FAULTY = '{"id": "x", "opinions": [{"question": " ", "answer": "a"}], "texts": 3}'


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> str:
    return record(tmp_path_factory.mktemp("models") / "mimic.jsonl", [ANN, BOB])


def fit(tmp_path: Path, people: Path | str, model: str, *more: str, stdin: str | None = None) -> Result:
    return run("fit", people, "--store", tmp_path / "store", "--model", model, *FAST, *more, stdin=stdin)


def learned(tmp_path: Path, user_id: str) -> FermiPersonalization:
    with Store.open(tmp_path / "store", create=False, tenant=DEFAULT_TENANT) as store:
        return FermiPersonalization.from_json(store.personalization(user_id, "fermi"))


def test_fit_learns_every_user_and_keeps_them(tmp_path: Path, replay: str) -> None:
    result = fit(tmp_path, write_people(tmp_path / "users.jsonl", [ANN, BOB]), replay)
    assert result.exit_code == 0, result.stderr
    header, ann, bob = result.stdout.splitlines()
    assert header.split() == ["ID", "OPINIONS", "P⁰", "BEST", "PROMPTS", "CALLS", "TOKENS", "SECONDS"]
    assert ann.split()[:4] == ["ann", "6", "0.00", "1.00"]
    assert bob.split()[:4] == ["bob", "6", "0.50", "1.00"]
    assert [line.partition(",")[0] for line in result.stderr.splitlines()] == [
        "[1/2] ann: learned",
        "[2/2] bob: learned",
        "of 2 users: 2 learned; 56 calls",
    ]
    assert learned(tmp_path, "ann").best.score == 1.0
    assert learned(tmp_path, "bob").settings.iterations == 2


@pytest.mark.parametrize("url", ["sqlite:///", "sqlite:///:memory:", "ann:s3cr3t@h/x"])
def test_fit_refuses_a_store_that_would_be_lost_or_is_a_mistyped_url(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = write_people(tmp_path / "users.jsonl", [ANN])
    monkeypatch.chdir(tmp_path)
    for more in ((), ("--dry-run",)):
        result = run("fit", users, "--store", url, "--model", "nosuch/model", *more)
        assert result.exit_code == 1
        assert "is in memory and would be lost at the end" in result.stderr or "looks like a URL" in result.stderr
        assert "s3cr3t" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["users.jsonl"]


def test_fit_prints_one_json_object_a_user(tmp_path: Path, replay: str) -> None:
    result = fit(tmp_path, write_people(tmp_path / "users.jsonl", [ANN, SILENT]), replay, "--json")
    assert result.exit_code == 1
    ann, silent = map(json.loads, result.stdout.splitlines())
    assert (ann["id"], ann["opinions"], ann["initial_score"], ann["best_score"]) == ("ann", 6, 0.0, 1.0)
    assert {"prompts", "calls", "tokens", "seconds"} < set(ann)
    assert (silent["id"], silent["error"]["type"]) == ("silent", "PersonalizationError")


def test_fit_goes_on_after_a_user_who_fails(tmp_path: Path, replay: str) -> None:
    stranger = BOB | {"id": "stranger", "opinions": [opinion("lava", "always")] * 1}
    people = write_people(tmp_path / "users.jsonl", [SILENT, stranger, ANN])
    result = fit(tmp_path, people, replay)
    assert result.exit_code == 1
    assert "2 of 3 users failed; the results of the others were kept:" in result.stderr
    assert "  silent: user 'silent' has no opinions" in result.stderr
    assert "  stranger: " in result.stderr
    assert "does not contain the request" in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["ID", "ann"]
    assert learned(tmp_path, "ann").best.score == 1.0


def test_faults_are_all_told_and_nothing_is_written(tmp_path: Path, replay: str) -> None:
    result = fit(tmp_path, write_people(tmp_path / "users.jsonl", [ANN, FAULTY]), replay, "--json")
    assert result.exit_code == 1
    faults = json.loads(result.stdout)["error"]["faults"]
    assert len(faults) == 2
    assert all(fault in result.stderr for fault in faults)
    assert ":2: opinions[0].question" in result.stderr
    assert not (tmp_path / "store").exists()


def test_skip_invalid_goes_on_and_counts_what_is_left_out(tmp_path: Path, replay: str) -> None:
    people = write_people(tmp_path / "users.jsonl", [FAULTY, ANN, "{"])
    result = fit(tmp_path, people, replay, "--skip-invalid")
    assert result.exit_code == 0, result.stderr
    assert "3 faults on 2 lines: skipped 2 lines" in result.stderr
    assert ":3: line:" in result.stderr
    assert learned(tmp_path, "ann").user_id == "ann"
    only_faults = fit(tmp_path, write_people(tmp_path / "bad.jsonl", [FAULTY]), replay, "--skip-invalid")
    assert (only_faults.exit_code, only_faults.stdout) == (1, "")


def test_fit_reads_standard_input(tmp_path: Path, replay: str) -> None:
    result = fit(tmp_path, "-", replay, "--json", stdin=json.dumps(ANN) + "\n" + json.dumps(BOB))
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == ["ann", "bob"]


def test_fit_takes_only_the_users_that_are_named(tmp_path: Path, replay: str) -> None:
    people = write_people(tmp_path / "users.jsonl", [ANN, BOB, SILENT])
    unknown = fit(tmp_path, people, replay, "--user", "bob", "--user", "eve")
    assert (unknown.exit_code, unknown.stderr) == (1, "error: the users file does not contain 'eve'\n")
    assert not (tmp_path / "store").exists()
    assert fit(tmp_path, people, replay, "--user", "bob").exit_code == 0
    with Store.open(tmp_path / "store", create=False, tenant=DEFAULT_TENANT) as store:
        assert [summary.id for summary in store.users()] == ["bob"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--method", "chameleon"],
        ["--preset", "bold"],
        ["--answering", "guess"],
        ["--iterations", "0"],
        ["--proposers", "llm,magic"],
        ["--proposers", "llm,llm"],
        ["--proposers", ""],
    ],
)
def test_wrong_use_is_status_2_and_writes_nothing(tmp_path: Path, replay: str, arguments: list[str]) -> None:
    result = fit(tmp_path, write_people(tmp_path / "users.jsonl", [ANN]), replay, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert not (tmp_path / "store").exists()


def test_wrong_method_is_told_which_there_are(tmp_path: Path, replay: str) -> None:
    assert "fermi" in fit(tmp_path, "users.jsonl", replay, "--method", "leopard").stderr


HOSTILE = "\x1b[2J[red]x[/] <|im_end|> {{ 7 * 7 }} {% raw %}\x1b]0;title\x07"


def test_hostile_texts_neither_draw_nor_run(tmp_path: Path) -> None:
    evil: dict[str, Any] = ANN | {"id": f"evil{HOSTILE}", "profile": {f"A{HOSTILE}": HOSTILE}}
    evil["opinions"] = [opinion(f"{thing} {HOSTILE}", "always") for thing in ("tea", "milk", "juice")]
    model = record(tmp_path / "evil.jsonl", [evil])
    result = fit(tmp_path, write_people(tmp_path / "users.jsonl", [evil]), model)
    assert result.exit_code == 0, result.output
    shown = run("users", "show", evil["id"], "--store", tmp_path / "store")
    for text in (result.stdout, result.stderr, shown.stdout):
        assert not {"\x1b", "\x07"} & set(text)
    assert "evil\\x1b[2J[red]x[/] <|im_end|> {{ 7 * 7 }}" in result.stderr
    assert "{{ 7 * 7 }} {% raw %}" in shown.stdout


# A model that waits forever at the user whose profile says so, in a process of its own.
STOPPABLE = """
import asyncio, sys
from idiolect.application import model_pool
from idiolect.cli import app
from tests.cli.learning import mimic

class Waiting:
    name = "waiting"
    def __init__(self): self.model = mimic()
    async def complete(self, requests): return await self.model.complete(requests)
    async def choice_logprobs(self, requests):
        if any("waits forever" in message.content for message in requests[0].messages):
            print("waiting", flush=True)
            await asyncio.sleep(600)
        return await self.model.choice_logprobs(requests)

model_pool.open_named_model = lambda *_: model_pool.own_model(Waiting())
app.main()
"""


def test_ctrl_c_keeps_the_users_who_are_done(tmp_path: Path) -> None:
    slow = BOB | {"id": "slow", "profile": {"Speed": "waits forever"}}
    people = write_people(tmp_path / "users.jsonl", [ANN, BOB, slow])
    store = tmp_path / "store"
    command = [sys.executable, "-c", STOPPABLE, "fit", str(people), "--store", str(store), "--model", "waiting", *FAST]
    process = start(command, cwd=ROOT)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    while not process.stderr.readline().startswith("stopping: "):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of 3 users: 2 learned, 1 not learned; " in stderr
    assert stderr.splitlines()[-1] == "stopped: to continue, run the same command with --resume"
    assert "Traceback" not in stderr
    assert [line.split()[0] for line in stdout.splitlines()] == ["ID", "ann", "bob"]
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        assert [(user.id, user.methods) for user in opened.users()] == [
            ("ann", ("fermi",)),
            ("bob", ("fermi",)),
            ("slow", ()),
        ]


def test_pipe_closed_early_is_no_complaint(tmp_path: Path, replay: str) -> None:
    people = write_people(tmp_path / "users.jsonl", [ANN])
    command = [sys.executable, "-m", "idiolect.cli.app", "fit", str(people), "--store", str(tmp_path / "store")]
    process = subprocess.Popen(
        [*command, "--model", replay, *FAST, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    assert process.wait(timeout=60) == 1
    process.stderr.close()
    assert [line[:13] for line in stderr.splitlines()] == ["[1/1] ann: le"]
    assert learned(tmp_path, "ann").user_id == "ann"


def test_answers_that_were_given_again_are_reported_once_per_user(tmp_path: Path, replay: str) -> None:
    older = [opinion(thing, "never") for thing in ("tea", "coffee")]
    again = ANN | {"opinions": [*older, *ANN["opinions"]]}
    path = write_people(tmp_path / "users.jsonl", [again, BOB])
    result = fit(tmp_path, path, replay)
    assert result.exit_code == 0, result.stderr
    told = "ann: left out 2 older answers to questions answered again; the newest answer counts"
    assert result.stderr.splitlines()[0] == told
    assert result.stderr.count("newest") == 1
    documents = [json.loads(line) for line in fit(tmp_path, path, replay, "--json").stdout.splitlines()]
    assert [(each["id"], each.get("superseded")) for each in documents] == [("ann", 2), ("bob", None)]
    assert learned(tmp_path, "ann").best.score == 1.0


def test_fields_that_are_null_are_noted(tmp_path: Path, replay: str) -> None:
    result = fit(tmp_path, write_people(tmp_path / "users.jsonl", [ANN | {"texts": None}]), replay)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[0].endswith("users.jsonl:1: texts: is null, and was taken as left out")
    assert result.stderr.startswith("note: ")


def test_a_table_is_refused_with_one_line_and_the_way_out(tmp_path: Path, replay: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text("id,Tea?\n" + "1,Yes\n" * 500)
    result = fit(tmp_path, path, replay)
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert f"idiolect users import {path}" in line
