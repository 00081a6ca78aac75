"""The folder of an evaluation: what is kept, what is taken out again, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate import config_file
from idiolect.evaluate.archive import Archive, writing_alone
from idiolect.evaluate.benchmark import question_key
from idiolect.evaluate.records import AnswerRecord, Arm, LearningRecord
from tests.evaluate.small_world import CONFIG, benchmark, case

ARM = Arm("fermi")
FIXED: dict[str, Any] = {**CONFIG, "data": "1", "baseline": "vanilla", "models": {"model": "m"}}


def answers(user: str = "ann", n: int = 3, *, arm: Arm = ARM) -> list[AnswerRecord]:
    asked = case(user).asked
    return [
        AnswerRecord(arm, 0, user, question_key(o.question), i, answer="1", truth=o.answer)
        for i, o in enumerate(asked[:n])
    ]


def learned(user: str = "ann", n: int = 3, *, arm: Arm = ARM, **notes: Any) -> LearningRecord:
    return LearningRecord(arm, 0, user, answers=n, notes=notes)


def kept(folder: Path, config: dict[str, Any] | None = None) -> Path:
    archive = Archive.open(folder, config or FIXED)
    archive.keep_people(benchmark())
    archive.add(answers(), learned())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_an_archive_gives_back_what_was_added(tmp_path: Path) -> None:
    kept(tmp_path)
    again = Archive.open(tmp_path, FIXED)
    assert (again.answers, again.learning) == (answers(), [learned()])
    assert again.done((ARM, 0, "ann"))
    assert not again.done((ARM, 1, "ann"))
    assert not again.done((ARM, 0, "bob"))


def test_another_groups_edit_is_another_evaluation(tmp_path: Path) -> None:
    start = {"group": "readers", "digest": "1"}
    kept(tmp_path)
    Archive.open(tmp_path, {**FIXED, "from_group": start})  # methods that begin there were added
    for same in (start, None):
        Archive.open(tmp_path, {**FIXED, "from_group": same})
        assert json.loads((tmp_path / "config.json").read_text())["from_group"] == start
    for name in start:
        with pytest.raises(SettingsError, match="differs in the group's edit at which steps begin"):
            Archive.open(tmp_path, {**FIXED, "from_group": {**start, name: "another"}})


@pytest.mark.parametrize("cut", [1, 20, 150, 400])
@pytest.mark.parametrize("first", [True, False])
def test_answers_that_were_cut_off_leave_nothing_behind(tmp_path: Path, cut: int, first: bool) -> None:
    if first:  # not even a file of learning lines is there yet
        Archive.open(tmp_path, FIXED)
    else:
        kept(tmp_path)
    before = contents(tmp_path).get("answers.jsonl", b"")
    torn = b"".join(json.dumps(each.to_json()).encode() + b"\n" for each in answers("bob"))
    (tmp_path / "answers.jsonl").write_bytes(before + torn[:cut])
    again = Archive.open(tmp_path, FIXED)
    assert not again.done((ARM, 0, "bob"))
    assert (tmp_path / "answers.jsonl").read_bytes() == before
    again.add(answers("bob"), learned("bob"))
    assert Archive.open(tmp_path, FIXED).done((ARM, 0, "bob")), "the next line was joined to the torn one"


@pytest.mark.parametrize("cut", [1, 60])
def test_learning_that_was_cut_off_does_not_count(tmp_path: Path, cut: int) -> None:
    kept(tmp_path)
    line = json.dumps(learned("bob").to_json()).encode()
    with (tmp_path / "answers.jsonl").open("ab") as stream:
        stream.write(b"".join(json.dumps(each.to_json()).encode() + b"\n" for each in answers("bob")))
    with (tmp_path / "learning.jsonl").open("ab") as stream:
        stream.write(line[:-cut])
    again = Archive.open(tmp_path, FIXED)
    assert not again.done((ARM, 0, "bob"))
    assert again.answers == answers()
    again.add(answers("bob"), learned("bob"))
    assert Archive.open(tmp_path, FIXED).answers == answers() + answers("bob")


def test_an_arm_with_a_missing_answer_does_not_count(tmp_path: Path) -> None:
    Archive.open(tmp_path, FIXED).add(answers(n=2), learned(n=3))
    assert not Archive.open(tmp_path, FIXED).done((ARM, 0, "ann"))


def test_what_failed_is_tried_again(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path, FIXED)
    archive.add(answers(), learned(failed=True))
    assert not archive.done((ARM, 0, "ann"))
    for found in (archive, Archive.read(tmp_path), Archive.open(tmp_path, FIXED, shard=(0, 2))):
        assert (found.answers, found.learning) == (answers(), [learned(failed=True)]), "reported as long as it is all"
        assert found.tried((ARM, 0, "ann"))
        assert not found.done((ARM, 0, "ann"))
    again = Archive.open(tmp_path, FIXED)
    assert (again.answers, again.learning) == ([], [])
    assert contents(tmp_path)["answers.jsonl"] == b""
    again.add(answers(), learned())
    assert Archive.open(tmp_path, FIXED).done((ARM, 0, "ann"))


def test_a_number_that_is_none_becomes_null(tmp_path: Path) -> None:
    Archive.open(tmp_path, FIXED).add(answers(), learned(score=math.nan, layers=[{"loss": math.inf}]))
    (found,) = Archive.open(tmp_path, FIXED).learning
    assert found.notes == {"score": None, "layers": [{"loss": None}]}


def test_reading_changes_nothing(tmp_path: Path) -> None:
    """Another process may be in the middle of a line."""
    kept(tmp_path)
    with (tmp_path / "answers.jsonl").open("ab") as stream:
        stream.write(b'{"arm"')
    before = contents(tmp_path)
    found = Archive.read(tmp_path, {**FIXED, "methods": ["other"]})
    found.check_people(benchmark())
    assert found.answers == answers()
    assert contents(tmp_path) == before


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="contains no evaluation"):
        Archive.read(tmp_path / "new", FIXED)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "people"},
        {"data": "2"},
        {"seeds": [1]},
        {"primary": ["fermi - vanilla"]},
        {"baseline": "fermi"},
        {"models": {"model": "n"}},
        {"fingerprint": "other"},
    ],
)
def test_a_folder_of_another_evaluation_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    kept(tmp_path, {**FIXED, "fingerprint": "weights"})
    before = contents(tmp_path)
    for opened in (Archive.open, Archive.read):
        with pytest.raises(SettingsError, match=f"a different evaluation .*{next(iter(changes))}"):
            opened(tmp_path, {**FIXED, "fingerprint": "weights", **changes})
    assert contents(tmp_path) == before


def test_a_preset_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    begun = {**FIXED, "methods": ["fermi"], "presets": {"fermi": "1", "chameleon": "2"}}
    kept(tmp_path, begun)
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match=r"begun with other settings of chameleon and fermi.*--report-only"):
        Archive.open(tmp_path, {**begun, "presets": {"fermi": "8", "chameleon": "9"}})
    assert contents(tmp_path) == before
    Archive.open(tmp_path, {**begun, "presets": {"fermi": "1"}})
    held = json.loads((tmp_path / "config.json").read_text())
    assert held["presets"] == {"fermi": "1", "chameleon": "2"}, "of methods that this run did not need, too"


def test_answers_of_a_program_that_kept_no_presets_are_not_continued_if_they_depend_on_them(tmp_path: Path) -> None:
    for method in ("fermi", "opro", "fermi-no-examples[iterations=2]"):
        old = {**FIXED, "methods": ["vanilla", method]}
        folder = kept(tmp_path / method.partition("[")[0], old)
        with pytest.raises(SettingsError, match="of an older program"):
            Archive.open(folder, {**old, "presets": {"fermi": "1"}})
        Archive.read(folder, old)
    unlearned = {**FIXED, "methods": ["vanilla", "few-shot"]}
    Archive.open(kept(tmp_path / "unlearned", unlearned), {**unlearned, "presets": {"fermi": "1"}})


def test_methods_and_people_may_grow(tmp_path: Path) -> None:
    kept(tmp_path)
    Archive.open(tmp_path, {**FIXED, "methods": ["vanilla", "fermi"], "people": 9})
    Archive.open(tmp_path, {**FIXED, "methods": ["fermi"], "people": 10})
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["methods"], config["people"]) == (["fermi"], 10)
    assert config["first"] == {"methods": ["vanilla"], "people": 3, "curves": None}


def test_nothing_is_fixed_before_the_first_answer(tmp_path: Path) -> None:
    Archive.open(tmp_path, FIXED)
    Archive.open(tmp_path, {**FIXED, "seeds": [7], "methods": ["fermi"]})
    kept(tmp_path, {**FIXED, "seeds": [7], "methods": ["fermi", "opro"]})
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["seeds"] == [7]
    assert config["first"]["methods"] == ["fermi", "opro"]
    with pytest.raises(SettingsError, match="a different evaluation"):
        Archive.open(tmp_path, FIXED)


def test_processes_that_share_a_folder_agree_before_the_first_answer(tmp_path: Path) -> None:
    Archive.open(tmp_path, FIXED, shard=(0, 2))
    with pytest.raises(SettingsError, match="differs in seeds"):
        Archive.open(tmp_path, {**FIXED, "seeds": [1]}, shard=(1, 2))


def test_shards_know_of_each_other_and_touch_only_their_own(tmp_path: Path) -> None:
    first, second = (Archive.open(tmp_path, FIXED, shard=(place, 2)) for place in (0, 1))
    first.add(answers(), learned())
    second.add(answers("bob"), learned("bob"))
    with (tmp_path / "answers.0-of-2.jsonl").open("ab") as stream:
        stream.write(b'{"arm"')
    before = contents(tmp_path)["answers.0-of-2.jsonl"]
    again = Archive.open(tmp_path, FIXED, shard=(1, 2))
    assert [each.user for each in again.learning] == ["ann", "bob"]
    assert contents(tmp_path)["answers.0-of-2.jsonl"] == before
    assert Archive.read(tmp_path).answers == [*answers(), *answers("bob")]


def test_other_data_are_refused(tmp_path: Path) -> None:
    kept(tmp_path)
    ann = case("ann")
    other_truth = replace(ann.asked[1], answer="1" if ann.asked[1].answer != "1" else "2")
    changed = {
        "answers": replace(ann, asked=(ann.asked[0], other_truth, ann.asked[2])),
        "questions": replace(ann, asked=ann.asked[::-1]),
        "training": replace(ann, user=replace(ann.user, opinions=ann.user.opinions[1:])),
        "group": replace(ann, group="another"),
    }
    for case_of_ann in changed.values():
        for check in (Archive.check_people, Archive.keep_people):
            with pytest.raises(SettingsError, match="different data: 1 of its people") as refused:
                check(Archive.open(tmp_path, FIXED), benchmark(case_of_ann, case("bob")))
            assert "dish" not in str(refused.value)
    (tmp_path / "people.jsonl").unlink()  # of a folder that was begun by an earlier version: answers tell
    for kind in ("answers", "questions"):
        with pytest.raises(SettingsError, match="different data"):
            Archive.open(tmp_path, FIXED).keep_people(benchmark(changed[kind], case("bob")))


def test_people_who_have_not_answered_may_change(tmp_path: Path) -> None:
    kept(tmp_path)
    bob = replace(case("bob"), group="another")
    Archive.open(tmp_path, FIXED).keep_people(benchmark(case("ann"), bob, case("dan")))
    archive = Archive.open(tmp_path, FIXED)
    archive.add(answers("bob"), learned("bob"))
    archive.check_people(benchmark(case("ann"), bob))
    with pytest.raises(SettingsError, match="different data"):
        archive.check_people(benchmark(case("ann"), case("bob")))


@pytest.mark.parametrize(
    ("written", "message"),
    [("{", "not valid JSON"), ("[]", "not the conf"), ("{}", "not the conf"), (b"\xff\xfe", "not valid JSON")],
)
def test_a_config_that_is_none_is_refused(tmp_path: Path, written: str | bytes, message: str) -> None:
    kept(tmp_path)
    (tmp_path / "config.json").write_bytes(written if isinstance(written, bytes) else written.encode())
    with pytest.raises(SettingsError, match=message):
        Archive.open(tmp_path, FIXED)


def test_answers_without_a_config_are_refused(tmp_path: Path) -> None:
    kept(tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(SettingsError, match=r"no config\.json for them"):
        Archive.open(tmp_path, FIXED)


def test_a_folder_that_cannot_be_used_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for place in (file, file / "below"):
        with pytest.raises(SettingsError, match="cannot be used"):
            Archive.open(place, FIXED)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(config_file, "replace_file", refuse)  # the tests may run as root, who may write everywhere
    with pytest.raises(SettingsError, match="cannot be used: Permission denied"):
        Archive.open(tmp_path / "new", FIXED)


def test_questions_are_kept_by_their_keys(tmp_path: Path) -> None:
    archive = Archive.open(tmp_path, FIXED)
    archive.add_questions(benchmark())
    found = [json.loads(line) for line in (tmp_path / "questions.jsonl").read_text().splitlines()]
    assert {each["key"] for each in found} == {question_key(o.question) for o in case("ann").asked}
    assert found[0]["choices"] == ["1", "2", "3", "4", "5"]


def test_a_second_process_that_writes_the_same_files_is_refused(tmp_path: Path) -> None:
    with writing_alone(tmp_path / "out", (0, 2)):
        with (
            pytest.raises(SettingsError, match="another process is using") as refused,
            writing_alone(tmp_path / "out", (0, 2)),
        ):
            pass
        assert refused.value.remedy == Remedy("shard")
        with writing_alone(tmp_path / "out", (1, 2)):
            pass
    with writing_alone(tmp_path / "out", (0, 2)):
        pass


def test_a_folder_with_a_report_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(SettingsError, match=r"contains a report\.html from something else"):
        Archive.open(tmp_path, FIXED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html"]
