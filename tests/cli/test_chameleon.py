"""CHAMELEON on the command line: fit, ask, show and groups, on tiny weights in a folder."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.application import chameleon
from idiolect.application.chameleon import USER_NOTE as STALE
from idiolect.application.chameleon import ChameleonSummary
from idiolect.cli.fit_screen import summary_line, summary_remark
from idiolect.errors import MissingExtraError
from idiolect.methods.chameleon.evidence import ChameleonEvidence
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.personalization import ChameleonPersonalization, HistoryRead, StartedFrom
from idiolect.methods.chameleon.roles import deal_roles
from idiolect.methods.chameleon.settings import preset
from idiolect.methods.evidence import Evidence
from idiolect.people.user import User
from idiolect.store import DEFAULT_TENANT, Store
from tests.cli.learning import FAST, SILENT, TEA, run, write_people
from tests.cli.open_weights import SMALL, evidence, fit, learned, save, similarity, too_costly, weights, writer
from tests.cli.opened_doubles import open_similarities
from tests.methods.chameleon import planted

ASK_TEA = (TEA.text, "--choices", "|".join(TEA.choices))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def _no_sentence_embeddings(monkeypatch: pytest.MonkeyPatch) -> None:
    open_similarities(monkeypatch, similarity)


@pytest.fixture(scope="module")
def learned_once(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which something was learned for u1 and u2; tests copy it."""
    folder = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        open_similarities(patch, similarity)
        people = write_people(folder / "users.jsonl", [writer("u1"), writer("u2")])
        assert fit(people, folder / "store", model).exit_code == 0
    return folder


@pytest.fixture
def store(learned_once: Path, tmp_path: Path) -> Path:
    shutil.copytree(learned_once / "store", tmp_path / "store")
    return tmp_path / "store"


def test_fit_learns_edits_and_goes_on_after_who_gave_too_little(tmp_path: Path, model: str) -> None:
    people = write_people(tmp_path / "users.jsonl", [SILENT, writer("u1")])
    result = fit(people, tmp_path / "store", model)
    assert result.exit_code == 1
    assert "silent: failed: learning needs 4 different opinions and texts, but 'silent' has 1" in result.stderr
    assert "of 2 users: 1 learned, 1 failed; 8 calls, " in result.stderr
    header, row = result.stdout.splitlines()
    assert header.split()[:6] == ["ID", "OPINIONS", "ITEMS", "PAIRS", "DROPPED", "LAYERS"]
    assert row.split()[:3] == ["u1", "6", "18"]
    kept = learned(tmp_path / "store", "u1")
    assert row.split()[3:6] == ["0", "0", "3"], "no pairs, and every layer"
    assert header.split()[6:9] == ["NAT/TOKEN", "BASE", "EDITED"]
    assert header.split()[11:13] == ["PRESET", "VARIANT"]
    assert row.split()[11] == "measured"
    assert isinstance(kept.evidence, ChameleonEvidence)
    found = kept.evidence.texts, kept.evidence.opinions
    gain = "-" if found[0] is None else f"{found[0].difference:+.3f}"
    assert row.split()[6] == gain
    assert (row.split()[7] == "-") is (found[1] is None)


def test_fit_prints_json_lines_with_its_own_columns(tmp_path: Path, model: str) -> None:
    people = write_people(tmp_path / "users.jsonl", [writer("u1")])
    (line,) = fit(people, tmp_path / "store", model, "--json").stdout.splitlines()
    told = json.loads(line)
    kept = learned(tmp_path / "store", "u1")
    assert (told["id"], told["state"], told["items"], told["pairs"]) == ("u1", "learned", 18, 0)
    assert (told["variant"], told["used"], told["evidence"]) == (str(kept.variant), kept.used, kept.gate)
    assert told["preset"] == "measured"
    assert "best_score" not in told


def test_a_model_without_open_weights_is_refused(tmp_path: Path) -> None:
    result = fit(write_people(tmp_path / "users.jsonl", [writer("u1")]), tmp_path / "store", "gpt-4o-mini")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "needs open weights" in result.stderr
    assert "--method fermi learns prompts" in result.stderr
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--optimizer", "embedded"], "--optimizer cannot be used with --method chameleon"),
        (["--proposers", "llm"], "--proposers cannot be used"),
        (["--iterations", "3"], "--iterations cannot be used"),
        (["--preset", "demo"], "chameleon has no preset 'demo': choose one of grouped, measured, paper"),
        (["--method", "fermi"], "--pairs cannot be used with --method fermi"),
        (
            ["--method", "fermi", "--preset", "measured"],
            "fermi has no preset 'measured': choose one of api, demo",
        ),
    ],
)
def test_options_of_the_other_method_are_wrong_use(tmp_path: Path, model: str, given: list[str], told: str) -> None:
    people = write_people(tmp_path / "users.jsonl", [writer("u1")])
    arguments = [*SMALL] if "--preset" not in given else ["--method", "chameleon"]
    if "--method" in given and "--preset" not in given:
        arguments = ["--pairs", "6"]
    result = run("fit", people, "--store", tmp_path / "store", "--model", model, *arguments, *given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in " ".join(result.stderr.split())


def test_dry_run_counts_what_would_be_written(tmp_path: Path) -> None:
    people = write_people(tmp_path / "users.jsonl", [writer("u1"), writer("u2"), SILENT])
    shown = run("fit", people, *SMALL, "--dry-run")
    assert "2 users (1 more have too few opinions and texts), preset measured" in shown.stdout
    assert "No call was made" in shown.stdout


def test_ask_shows_base_and_edited_side_by_side(store: Path) -> None:
    kept = learned(store, "u1")
    result = run("ask", "--store", store, "--user", "u1", *ASK_TEA)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    first, second = (line.split() for line in result.stdout.splitlines()[:2])
    assert [first[0], second[0]] == (["edited", "base"] if kept.used else ["base", "edited"])
    text = " ".join(result.stdout.split())
    assert f"Why: {kept.gate}" in text
    assert f"variant: {kept.variant}; edits layers 0-2 of 3; preset measured" in text


def test_ask_refuses_an_edit_of_unknown_weights_and_quotes_what_fits_again(store: Path, model: str) -> None:
    spaced = store.parent / "my store"
    shutil.move(store, spaced)
    unknown = replace(learned(spaced, "u1"), fingerprint="")
    save(spaced, "u1", unknown)
    with Store.open(spaced, create=False, tenant=DEFAULT_TENANT) as opened:
        opened.groups.create("my readers", ("u1",))
        card, tensors = unknown.to_json(), unknown.tensor_bytes()
        members = opened.groups.read_members("my readers")
        opened.groups.save_personalization("my readers", "chameleon", card, tensors, fitted_on=members)
    where = f"--model {shlex.quote(model)} --store '{spaced}'"
    fits = {"--user": "fit USERS --method chameleon --user u1", "--group": "groups fit 'my readers'"}
    for whose, owner in (("--user", "u1"), ("--group", "my readers")):
        result = run("ask", "--store", spaced, whose, owner, *ASK_TEA)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "it is unknown which weights the edit was learned on" in result.stderr
        assert f"idiolect {fits[whose]} {where}" in result.stderr


def test_an_edit_that_costs_too_much_is_told_as_the_gate_has_it(store: Path) -> None:
    """If scores speak for the edit, and its cost on the model's own texts against it, nothing says that it answers."""
    costly = too_costly(learned(store, "u1"))
    save(store, "u1", costly)
    counted = ChameleonSummary.of(costly)
    assert summary_remark(counted) == "base model answers: every variant costs too much"
    assert summary_line(counted).startswith("texts +0.250 nat per token, opinions 1.00, base 0.00, ")
    shown: Any = json.loads(run("ask", "--store", store, "--user", "u1", *ASK_TEA, "--json").stdout)
    assert shown["answered_by"] == "base"
    told = shown["chameleon"]
    assert (told["used"], told["gate"]) == (False, costly.gate)
    assert (told["evidence"]["used"], told["evidence"]["reason"]) == (False, costly.gate)


@pytest.mark.parametrize(
    ("scores", "remark"), [((0.0, 0.0), "base model answers: no gain on held-out items"), ((1.0,), "")]
)
def test_the_remark_is_what_the_evidence_decided(store: Path, scores: tuple[float, ...], remark: str) -> None:
    eligible = tuple(replace(trial, eligible=True) for trial in learned(store, "u1").trials)
    kept = replace(learned(store, "u1"), trials=eligible, evidence=evidence(scores, (0.5,) * len(scores)))
    counted = ChameleonSummary.of(kept)
    assert summary_remark(counted) == remark
    unjudged = ChameleonSummary.of(replace(kept, evidence=None))
    assert summary_remark(unjudged) == "not judged: nothing held out"
    assert summary_line(unjudged).startswith("not judged, ")


def test_the_cost_on_the_models_own_texts_is_named_a_divergence_only_where_it_is_one(store: Path) -> None:
    kept = learned(store, "u1")
    show = ("users", "show", "u1", "--store", store)
    shown = run(*show).stdout
    assert "−KL(BASE‖EDITED)" in shown
    assert "OWN TEXTS" not in shown
    colder = replace(kept.settings.generation, temperature=0.7)
    save(store, "u1", replace(kept, settings=replace(kept.settings, generation=colder)))
    assert "ON THE MODEL'S OWN TEXTS" in run(*show).stdout


def test_scores_that_mix_texts_and_opinions_are_not_shown_as_numbers(store: Path) -> None:
    eligible = tuple(replace(trial, eligible=True) for trial in learned(store, "u1").trials)
    mixed = Evidence((0.03, 1.0), (0.02, 1.0), kind="opinions and texts")
    kept = replace(learned(store, "u1"), trials=eligible, evidence=mixed)
    save(store, "u1", kept)
    counted = ChameleonSummary.of(kept)
    assert (counted.judged, counted.text_gain, counted.base_score, counted.edited_score) == (2, None, None, None)
    assert summary_line(counted).startswith("judged by 2, ")
    assert summary_remark(counted) == ""
    shown = " ".join(run("users", "show", "u1", "--store", store).stdout.split())
    assert "on 2 held-out opinions and texts the personalization scored 0.52" in shown


def test_an_edit_learned_before_the_data_changed_is_told(store: Path) -> None:
    ask = ("ask", "--store", store, "--user", "u1", *ASK_TEA)
    show = ("users", "show", "u1", "--store", store)
    assert STALE not in " ".join(run(*ask).stdout.split()) + " ".join(run(*show).stdout.split())
    removed = run("users", "remove-opinion", "u1", writer("u1")["opinions"][0]["question"], "--store", store)
    assert removed.exit_code == 0, removed.stderr
    assert "the edit stays as it was; to learn a new edit: idiolect fit USERS --method chameleon" in removed.stdout
    assert "add-opinion" not in removed.stdout
    for command in (ask, show):
        told = run(*command)
        assert told.exit_code == 0, told.stderr
        assert STALE in " ".join(told.stdout.split())
    assert json.loads(run(*ask, "--json").stdout)["chameleon"]["stale"] is True
    (other,) = json.loads(run(*show, "--json").stdout)["learned"]
    assert (other["stale"], "error" in other) == (True, False)


def test_users_show_tells_what_is_wrong_with_a_damaged_edit(store: Path) -> None:
    kept = learned(store, "u1")
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        opened.save_personalization("u1", "chameleon", kept.to_json())
    reason = "the stored personalization has lost its directions; fit it again"
    assert f"cannot be read: {reason}" in " ".join(run("users", "show", "u1", "--store", store).stdout.split())
    document: Any = json.loads(run("users", "show", "u1", "--store", store, "--json").stdout)
    (told,) = document["learned"]
    assert (told["method"], told["error"]) == ("chameleon", reason)


def test_users_show_tells_that_the_packages_are_missing(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise MissingExtraError("CHAMELEON needs torch: pip install 'idiolect[local]'")

    monkeypatch.setattr(chameleon, "require_chameleon", missing)
    shown = run("users", "show", "u1", "--store", store)
    assert shown.exit_code == 0
    assert "cannot be read: CHAMELEON needs torch" in " ".join(shown.stdout.split())


def test_both_methods_answer_together(store: Path, tmp_path: Path, model: str) -> None:
    missing = run("ask", "--store", store, "--user", "u1", *ASK_TEA, "--method", "both")
    assert missing.exit_code == 1
    assert "'fermi' has learned nothing for user 'u1' yet; fit it: idiolect fit USERS --user u1" in missing.stderr
    people = write_people(tmp_path / "users.jsonl", [writer("u1")])
    quick = (*FAST[:4], "--proposers", "demonstrations")
    assert run("fit", people, "--store", store, "--model", model, *quick).exit_code == 0
    alone = run("ask", "--store", store, "--user", "u1", *ASK_TEA)
    assert alone.exit_code == 0, alone.stderr
    assert "ON THE NEAREST" in alone.stdout
    assert alone.stdout.splitlines()[-1].endswith("--method both")
    shown: Any = json.loads(run("ask", "--store", store, "--user", "u1", *ASK_TEA, "--method", "both", "--json").stdout)
    assert set(shown["answers"]) == {"base", "prompt", "edited", "prompt_and_edit"}
    assert set(shown["fermi"]) == {"used", "gate"}
    assert (shown["model"], shown["chameleon"]["layers"]) == (model, [0, 1, 2])
    printed = run("ask", "--store", store, "--user", "u1", *ASK_TEA, "--method", "both")
    assert printed.stdout.startswith(shown["answered_by"])
    assert "Fermi: " in printed.stdout
    assert "there is no evidence on prompt and edit together" in " ".join(printed.stdout.split())
    edit_alone = run("ask", "--store", store, "--user", "u1", *ASK_TEA, "--method", "chameleon")
    assert {line.split()[0] for line in edit_alone.stdout.splitlines()[:2]} == {"base", "edited"}


def test_users_show_tells_the_edit_and_why_it_is_used_or_not(store: Path) -> None:
    kept = learned(store, "u1")
    text = " ".join(run("users", "show", "u1", "--store", store).stdout.split())
    for part in (kept.gate, f"variant: {kept.variant}; edits layers 0-2 of 3; preset measured", "read in full: "):
        assert part in text
    assert "pairs" not in text
    assert "CCS" not in text
    (told,) = shown_of(store)["learned"]
    assert (told["method"], told["used"], told["gate"]) == ("chameleon", kept.used, kept.gate)
    assert len(told["trials"]) == len(kept.trials) > 0


def test_users_show_tells_what_is_known_of_the_directions_of_pairs(store: Path) -> None:
    kept = from_pairs()
    save(store, "u1", kept)
    text = " ".join(run("users", "show", "u1", "--store", store).stdout.split())
    for part in (f"{len(kept.pairs)} pairs", "CCS loss", "restarts agree", "|cos(θ_P, θ_N)|", "edit size"):
        assert part in text
    (told,) = shown_of(store)["learned"]
    assert len(told["diagnostics"]) == 3


def test_users_show_tells_what_was_read_and_where_the_step_began(store: Path) -> None:
    kept = learned(store, "u1")
    read = HistoryRead(opinions=6, texts=1, answers=9, refitted=True)
    save(store, "u1", replace(kept, read=read, started_from=StartedFrom("readers", "0" * 64, "folder")))
    text = " ".join(run("users", "show", "u1", "--store", store).stdout.split())
    afterwards = "those that judged were learned from as well"
    assert f"read in full: 6 opinions and 1 text, in 9 windows; {afterwards}" in text
    assert "one step from the edit of the group 'readers'" in text


def test_users_show_tells_an_edit_for_which_nothing_was_left_to_choose_with(store: Path) -> None:
    kept = learned(store, "u1")
    save(store, "u1", replace(kept, trials=tuple(replace(trial, gain=None) for trial in kept.trials)))
    shown = run("users", "show", "u1", "--store", store)
    assert shown.exit_code == 0, shown.output
    (row,) = [line for line in shown.stdout.splitlines() if line.rstrip().endswith("chosen")]
    assert row.split()[-3] == "-"


def shown_of(store: Path) -> Any:
    return json.loads(run("users", "show", "u1", "--store", store, "--json").stdout)


def from_pairs() -> ChameleonPersonalization:
    """What CHAMELEON learns from pairs in a planted world."""
    learner = Chameleon(planted.PlantedModel(), planted.settings(), embedder=planted.Letters())
    return asyncio.run(learner.fit(planted.writer()))


def test_what_is_learned_for_a_group_is_printed(store: Path, model: str) -> None:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        opened.groups.create("readers", ("u1", "u2"))
    early = run("ask", "--store", store, "--group", "readers", *ASK_TEA)
    assert (early.exit_code, early.stdout) == (1, "")
    assert "idiolect groups fit readers" in early.stderr
    result = run("groups", "fit", "readers", "--model", model, "--store", store, "--json")
    assert result.exit_code == 0, result.stderr
    told: Any = json.loads(result.stdout)
    assert (told["members"], told["left_out"], told["pairs"]) == (["u1", "u2"], [], 0)
    asked = run("ask", "--store", store, "--group", "readers", *ASK_TEA)
    assert asked.exit_code == 0, asked.stderr
    assert "learned from 2 members" in asked.stdout
    assert "groups readers" in " ".join(run("users", "show", "u2", "--store", store).stdout.split())
    forgotten = run("users", "forget", "u1", "--store", store, "--yes")
    assert forgotten.exit_code == 0, forgotten.output
    gone = run("ask", "--store", store, "--group", "readers", *ASK_TEA)
    assert (gone.exit_code, gone.stdout) == (1, "")
    assert "fit it again: idiolect groups fit readers" in gone.stderr


def test_members_with_too_little_history_are_told(store: Path, tmp_path: Path, model: str) -> None:
    """Somebody who says only what judges another member leaves the group nothing to learn from."""
    people = write_people(tmp_path / "users.jsonl", [writer("u1")])
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as opened:
        from idiolect.people.users_file import read_users

        (told,) = read_users(people)
        judging = deal_roles([told], preset("grouped"), owner="u1", choosing_share=0.0)[0].judging[0]
        echo = User("echo", texts=(judging,)) if isinstance(judging, str) else User("echo", opinions=(judging,))
        opened.save_users([told, echo])
        opened.groups.create("readers", ("u1", "echo"))
    result = run("groups", "fit", "readers", "--model", model, "--store", store)
    assert result.exit_code == 0, result.stderr
    assert "left out because of too little history: echo" in result.stdout


@pytest.mark.parametrize("given", [[], ["--user", "u1", "--group", "g"], ["--group", "g", "--method", "both"]])
def test_asking_in_nobodys_or_two_places_is_wrong_use(tmp_path: Path, given: list[str]) -> None:
    assert run("ask", "--store", tmp_path / "store", *ASK_TEA, *given).exit_code == 2


def test_an_opinion_added_later_is_known_to_the_edit_only_when_learned_anew(store: Path) -> None:
    given = ("users", "add-opinion", "u1", "Would you drink wine at noon?", "--answer", "no", "--store", store)
    told = run(*given).stdout
    assert "opinion added" in told
    assert "the edit does not include it yet" in told
    assert "nothing was learned" not in told
