"""The runner: what is resumed ends as if undisturbed, one seed gives the same numbers, not scored is not wrong."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.errors import BudgetExceededError, HaltedError, ModelError, UnusableModelError
from idiolect.evaluate import archive as archives
from idiolect.evaluate import running
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.running import Runner, shard_of
from idiolect.models.calls.budget import Budget, Limits
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.turns import Turns
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.evaluate.small_world import CONFIG, arms, bench, benchmark, case, lines, model, run, said

METHODS = "uniform,majority-own,vanilla,profile,few-shot,few-shot-tuned[ks=2+1],rag,enrichment,opro,fermi"


class Died(BaseException):
    """As if killed: nothing handles it."""


async def dies(folder: Path, methods: str, opened: Bench) -> bool:
    try:
        await run(folder, methods, opened)
    except BaseExceptionGroup as group:
        return group.subgroup(Died) is not None
    return False


def dying_at(monkeypatch: pytest.MonkeyPatch, write: int, *, written: float) -> list[int]:
    """The archive dies at its n-th write, of which this share gets to the file."""
    append, count = archives.append, [0]

    def watched(path: Path, text: str) -> None:
        count[0] += 1
        if count[0] == write:
            with path.open("a") as stream:
                stream.write(text[: int(len(text) * written)])
            raise Died
        append(path, text)

    monkeypatch.setattr(archives, "append", watched)
    return count


Records = tuple[list[dict[str, Any]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Of an undisturbed run of all of `METHODS`."""
    return asyncio.run(whole(tmp_path_factory.mktemp("undisturbed")))


async def whole(folder: Path) -> Records:
    await run(folder, METHODS)
    return lines(folder), lines(folder, "learning")


async def test_a_death_at_every_write_changes_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people, so that there are few enough writes to die at each of them, in three ways."""
    methods, of = "vanilla,fermi", benchmark(case("ann"), case("bob"))
    await run(tmp_path / "undisturbed", methods, bench(of))
    undisturbed = lines(tmp_path / "undisturbed"), lines(tmp_path / "undisturbed", "learning")
    writes = 2 * len(undisturbed[1])
    assert writes == 2 * 3 * 2
    for write in range(1, writes + 1):
        for written in (0.0, 0.6, 1.0):
            folder = tmp_path / f"{write}-{written}"
            with monkeypatch.context() as patched:
                count = dying_at(patched, write, written=written)
                assert await dies(folder, methods, bench(of))
                assert count == [write]
            await run(folder, methods, bench(of))
            assert (lines(folder), lines(folder, "learning")) == undisturbed, f"write {write}, {written} of it"


async def test_deaths_one_after_the_other_change_no_number(
    tmp_path: Path, expected: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    for written in (0.0, 0.3, 1.0, 0.9, 0.5):
        with monkeypatch.context() as patched:
            dying_at(patched, 9, written=written)
            assert await dies(tmp_path / "dying", METHODS, bench())
    assert await whole(tmp_path / "dying") == expected


async def test_one_seed_gives_the_same_numbers_and_another_one_others(tmp_path: Path, expected: Records) -> None:
    first = await whole(tmp_path / "a")
    assert first == expected
    assert len(first[0]) == len(first[1]) * 3
    await run(tmp_path / "c", METHODS, seeds=(1,))
    changed = {
        line["arm"]["method"]
        for line, other in zip(sorted(first[0], key=_place), sorted(lines(tmp_path / "c"), key=_place), strict=True)
        if line["answer"] != other["answer"]
    }
    assert {"uniform", "fermi", "opro"} <= changed, "these draw"
    assert not {"majority-own", "vanilla", "profile", "few-shot", "rag"} & changed, "these draw nothing"


def _place(line: dict[str, Any]) -> tuple[str, str, str, int]:
    return line["arm"]["method"], line["arm"]["control"], line["user"], line["index"]


async def test_a_run_in_parallel_gives_the_same_numbers(tmp_path: Path, expected: Records) -> None:
    opened = bench()
    archive = Archive.open(tmp_path / "b", CONFIG)
    await Runner(opened, arms(METHODS), (0,), archive, workers=3).run()
    assert (lines(tmp_path / "b"), lines(tmp_path / "b", "learning")) == expected


async def test_shards_together_give_what_one_process_gives(tmp_path: Path, expected: Records) -> None:
    for place in (1, 0):
        archive = Archive.open(tmp_path / "b", CONFIG, shard=(place, 2))
        await Runner(bench(), arms(METHODS), (0,), archive).run()
    assert (lines(tmp_path / "b"), lines(tmp_path / "b", "learning")) == expected


def test_shards_share_all_cases_once() -> None:
    cases = [case(f"u{i}") for i in range(7)]
    for shards in (1, 2, 3, 7, 9):
        parts = [each.user.id for place in range(shards) for each in shard_of(cases, (place, shards))]
        assert parts == [each.user.id for each in cases]


async def halting(folder: Path, n: int, methods: str) -> tuple[Archive, HaltedError | None]:
    """A run that may make n calls."""
    calls = Calls(Budget(run=Limits(calls=n)), Turns(4))
    archive = Archive.open(folder, CONFIG)
    try:
        await run(folder, methods, bench(calls=calls))
    except HaltedError as halted:
        return archive, halted
    return archive, None


async def test_what_a_halted_method_has_by_then_is_not_kept(tmp_path: Path) -> None:
    """Fermi makes do with what it has; the profile's answers are known, so that these would be Fermi's."""
    methods = "vanilla,profile,fermi,opro"
    await run(tmp_path / "undisturbed", methods)
    expected = lines(tmp_path / "undisturbed"), lines(tmp_path / "undisturbed", "learning")
    stopped = 0
    for n in (7, 8, 14, 25, 33):
        folder = tmp_path / str(n)
        _, halted = await halting(folder, n, methods)
        assert isinstance(halted, BudgetExceededError)
        there = lines(folder)
        stopped += 0 < len(there) < len(expected[0])
        assert all(line in expected[0] for line in there), "a line that the undisturbed run has not"
        await run(folder, methods)
        assert (lines(folder), lines(folder, "learning")) == expected, f"{n} calls"
    assert stopped > 2


@pytest.mark.parametrize("method", ["vanilla", "fermi", "few-shot-tuned"])
async def test_a_limit_too_small_for_one_call_ends_the_run(tmp_path: Path, method: str) -> None:
    calls = Calls(Budget(run=Limits(tokens=1)), Turns(4))
    with pytest.raises(BudgetExceededError, match="one call"):
        await run(tmp_path, f"uniform,{method}", bench(calls=calls))
    assert {line["arm"]["method"] for line in lines(tmp_path)} == {"uniform"}, "not written down as not scored"


async def test_a_limit_too_small_for_the_optimizer_keeps_nothing_of_fermi(tmp_path: Path) -> None:
    """Fermi's first prompt is scored by then, and the profile's answers are known."""
    await run(tmp_path, "profile", controls=False)
    calls = Calls(Budget(run=Limits(tokens=700)), Turns(4))
    with pytest.raises(BudgetExceededError, match="one call"):
        await run(tmp_path, "profile,fermi", bench(calls=calls), controls=False)
    assert calls.budget.exceeded is None
    assert {line["arm"]["method"] for line in lines(tmp_path)} == {"profile"}


async def test_a_run_that_is_told_to_stop_stops_where_no_calls_are_made(tmp_path: Path) -> None:
    opened = bench()
    archive = Archive.open(tmp_path, CONFIG)
    runner = Runner(opened, arms("uniform,constant"), (0,), archive)
    runner.finished = lambda *_: opened.calls.budget.halt("stopped by hand")
    with pytest.raises(HaltedError, match="stopped by hand"):
        await runner.run()
    assert {each.user for each in archive.learning} == {"ann"}


def failing(wrong: str, error: type[Exception]) -> FunctionModel:
    """A model that can't answer where this is in the prompt."""

    def complete(request: CompletionRequest) -> str:
        if any(wrong in message.content for message in request.messages):
            raise error("no answer")
        return said(request)

    return FunctionModel("failing", complete=complete)


async def test_a_model_that_fails_is_not_scored_and_tried_again(tmp_path: Path) -> None:
    methods = "vanilla,profile,fermi"
    broken = bench(answers=failing("Name: bob", ModelError))
    archive = await run(tmp_path, methods, broken, controls=False)
    missing = [line for line in lines(tmp_path) if line["status"] == "not scored"]
    assert {(line["user"], line["arm"]["method"]) for line in missing} == {("bob", "profile"), ("bob", "fermi")}
    assert {line["reason"] for line in missing} == {"the model failed; the next run tries again"}
    assert all(line["values"] == {} and line["answer"] is None for line in missing)
    assert not archive.done((arms("profile")[0].arm, 0, "bob"))
    left = {
        (a.arm.method, u)
        for a in arms(methods, controls=False)
        for u in ("ann", "bob", "cyd")
        if not archive.done((a.arm, 0, u))
    }
    assert left == {("profile", "bob"), ("fermi", "bob")}
    await run(tmp_path, methods, bench(answers=model()), controls=False)
    await run(tmp_path / "undisturbed", methods, controls=False)
    assert lines(tmp_path) == lines(tmp_path / "undisturbed")


async def test_a_person_without_opinions_is_not_scored_and_not_tried_again(tmp_path: Path) -> None:
    silent = replace(case("bob", train=1, texts=("I wrote this.",)))
    silent = replace(silent, user=replace(silent.user, opinions=()))
    opened = bench(benchmark(case("ann"), silent, case("cyd")))
    await run(tmp_path, "vanilla,fermi,majority-own", opened)
    missing = {(x["user"], x["arm"]["method"], x["arm"]["control"]) for x in lines(tmp_path) if x["reason"]}
    assert missing == {("bob", "fermi", "own"), ("ann", "fermi", "another's")}
    assert {x["status"] for x in lines(tmp_path)} == {"scored", "not scored"}
    before = model()
    archive = await run(tmp_path, "vanilla,fermi,majority-own", replace(opened, model=Source(before, "x")))
    assert before.completion_requests == []
    assert len(archive.learning) == 5 * 3


async def test_an_unparsed_answer_is_wrong_and_not_unscored(tmp_path: Path) -> None:
    await run(tmp_path, "vanilla", bench(answers=FunctionModel(complete=lambda _: "I would rather not say.")))
    assert {line["status"] for line in lines(tmp_path)} == {"unparsed"}
    assert all(line["values"]["accuracy"] == 0.0 and line["said"] for line in lines(tmp_path))


async def test_a_model_that_no_call_can_succeed_with_ends_the_run(tmp_path: Path) -> None:
    for workers in (1, 3):
        opened = bench(answers=failing("Name: bob", UnusableModelError))
        archive = Archive.open(tmp_path / str(workers), CONFIG)
        with pytest.raises(UnusableModelError):
            await Runner(opened, arms("uniform,profile"), (0,), archive, workers=workers).run()
        assert not any(line["reason"] for line in lines(tmp_path / str(workers)))


async def test_texts_without_a_number_are_not_scored(tmp_path: Path) -> None:
    written = replace(case("ann"), texts=("one", "two"))
    broken = FunctionModel(complete=said, choice_logprobs=lambda r: [float("-inf")] * len(r.choices))
    opened = bench(benchmark(written, case("bob"), measures=("accuracy", "loglik")), answers=broken)
    await run(tmp_path, "vanilla,fermi", opened, controls=False)
    found = {(x["arm"]["method"], x["reason"]) for x in lines(tmp_path) if x["index"] >= 3}
    assert found == {
        ("vanilla", "the log-likelihood is no number"),
        ("fermi", "this method says nothing of texts"),
    }


@pytest.mark.parametrize("limit", [1, 9, 12, 30])
@pytest.mark.parametrize("method", ["fermi", "opro", "few-shot-tuned", "enrichment", "fermi-no-failures"])
async def test_no_method_learns_with_more_calls_than_allowed(tmp_path: Path, method: str, limit: int) -> None:
    opened = bench(calls_per_person=limit)
    archive = await run(tmp_path, method, opened, controls=False)
    spent = [each.learning.calls for each in archive.learning]
    assert max(spent) <= limit
    refused = [each for each in archive.answers if each.status == "not scored"]
    assert {each.reason for each in refused} <= {
        "the calls that a person may cost were spent before anything was learned"
    }
    if limit >= 9:
        assert not refused, "what was learned by then answers"
        most = 7 if method == "enrichment" else 3  # which writes about the person and about each question
        assert {each.answering.calls for each in archive.learning} == {most}, "nothing is scored later"
    if method == "enrichment":
        assert spent == [1, 1, 1]
    elif limit == 12:
        assert all(calls > 6 for calls in spent), "room is used"


async def test_calls_that_another_method_made_count_as_well(tmp_path: Path) -> None:
    alone = await run(tmp_path / "alone", "fermi", bench(calls_per_person=30), controls=False)
    after = await run(tmp_path / "after", "fermi-no-retrieval,fermi-llm,fermi", bench(calls_per_person=30))
    by_person = {each.user: each.learning.calls for each in alone.learning}
    found = {each.user: each.learning.calls for each in after.learning if str(each.arm) == "fermi"}
    assert found == by_person
    again = await run(tmp_path / "alone", "fermi[iterations=2]", bench(calls_per_person=30), controls=False)
    repeated = [each for each in again.learning if each.arm.method == "fermi[iterations=2]"]
    assert {each.user: each.learning.calls for each in repeated} == by_person
    assert sum(each.learning.calls_made + each.answering.calls_made for each in repeated) == 0


async def test_anothers_is_learned_from_the_next_person(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []
    opened = bench()

    class Watching:
        async def learn(self, source: Case, at: Any) -> Any:
            asked.append((source.user.id, at.person))
            return await arms("profile")[0].method.learn(source, at)

        def examinee(self, learned: Any, at: Any) -> Examinee:
            return arms("profile")[0].method.examinee(learned, at)

    found = [replace(each, method=Watching()) for each in arms("profile")]
    archive = Archive.open(tmp_path, CONFIG)
    await Runner(opened, found, (0,), archive).run()
    assert asked == [("ann", "ann"), ("bob", "bob"), ("cyd", "cyd")], "each once, although Ann is also Cyd's control"
    assert [each.learning.calls for each in archive.learning if each.arm.control == "another's"] == [0, 0, 0]


async def test_what_was_learned_is_let_go_of_once_nobody_asks_about_the_person_any_more(tmp_path: Path) -> None:
    events: list[str] = []

    class Holding:
        async def learn(self, source: Case, at: Any) -> Learned:
            learned = await arms("profile")[0].method.learn(source, at)
            return replace(learned, close=lambda: events.append(f"close {source.user.id}"))

        def examinee(self, learned: Any, at: Any) -> Examinee:
            return arms("profile")[0].method.examinee(learned, at)

    found = [replace(each, method=Holding()) for each in arms("profile", controls=False)]
    archive = Archive.open(tmp_path, CONFIG)

    def finished(user: str, _not_scored: int) -> None:
        events.append(f"finished {user}")

    await Runner(bench(), found, (0,), archive, finished=finished).run()
    assert events == [f"{what} {user}" for user in ("ann", "bob", "cyd") for what in ("finished", "close")]


class Holding:
    """Learns something large from a person, as a training does; `events` tells when it is learned and released."""

    def __init__(self, events: list[str]) -> None:
        self.events = events

    async def learn(self, source: Case, at: Any) -> Learned:
        self.events.append(f"learn {source.user.id}")
        learned = await arms("profile")[0].method.learn(source, at)
        return replace(learned, close=lambda: self.events.append(f"close {source.user.id}"))

    def examinee(self, learned: Any, at: Any) -> Examinee:
        return arms("profile")[0].method.examinee(learned, at)


async def test_few_networks_wait_for_their_use_as_a_control(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_KEPT_NETWORKS", 1)
    events: list[str] = []
    of = benchmark(*(replace(case(name), group=name[0]) for name in ("a1", "b1", "a2", "b2")))
    found = [replace(each, method=Holding(events)) for each in arms("profile", controls_by_kind=True)]
    archive = Archive.open(tmp_path, CONFIG)
    await Runner(bench(of), found, (0,), archive).run()
    held, most = set[str](), 0
    for event in events:
        what, user = event.split()
        assert (user in held) == (what == "close")
        held ^= {user}
        most = max(most, len(held))
    assert held == set()
    assert most == 3, "own, the same kind's and the other kind's, for one person"
    controls = {(each.user, each.arm.control): each.notes["learned_from"] for each in archive.learning[1:3]}
    assert controls == {("a1", "another's of the same kind"): "a2", ("a1", "another's of another kind"): "b1"}


async def test_who_is_alone_of_a_kind_has_no_control_of_that_kind(tmp_path: Path) -> None:
    of = benchmark(*(replace(case(name), group=name[0]) for name in ("a1", "a2", "b1")))
    archive = await run(tmp_path, "profile", bench(of), controls_by_kind=True)
    missing = {(each.user, each.arm.control, each.reason) for each in archive.answers if each.status == "not scored"}
    assert missing == {
        (
            "b1",
            "another's of the same kind",
            "there is nobody else of the same kind whose personalization could be asked",
        )
    }


async def test_one_person_alone_has_no_control(tmp_path: Path) -> None:
    await run(tmp_path, "profile", bench(benchmark(case("ann"))))
    (reason,) = {line["reason"] for line in lines(tmp_path) if line["arm"]["control"] == "another's"}
    assert "nobody else" in reason


async def test_an_archive_that_cannot_be_written_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    archive = Archive.open(tmp_path, CONFIG)
    monkeypatch.setattr(archives, "append", full)
    with pytest.raises(OSError, match="No space left"):
        await Runner(bench(), arms("uniform"), (0,), archive).run()
