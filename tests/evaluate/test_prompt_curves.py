"""The curve over prompt tokens: limits hold for answers, methods learn once, and a stopped run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect.evaluate import archive as archives
from idiolect.evaluate.archive import Archive
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.prompt_curves import prompt_curves
from idiolect.evaluate.prompt_limits import limit_of, limit_remark
from idiolect.evaluate.records import Arm
from idiolect.evaluate.reporting import outline_for_report, summarize_folder
from idiolect.evaluate.tables import table, to_json
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings
from idiolect.models.doubles import FunctionModel
from tests.evaluate.small_evaluation import answering, scores, small, users
from tests.evaluate.small_world import SETTINGS, bench, benchmark, case, lines, model, run

LIMITS = (20, 60)
CURVE: dict[str, Any] = {"prompt_tokens": LIMITS, "controls": False}
HYBRID = replace(SETTINGS, hybrid=HybridSettings(6), ensemble=EnsembleSettings(prompts=2))


def opened(answers: FunctionModel | None = None) -> Bench:
    people = benchmark(case("ann", train=12), case("bob", train=12))
    return bench(people, answers=answers or model(), fermi=HYBRID, keeps_prompts=True)


def limit(arm: dict[str, Any]) -> int | None:
    found = limit_of(Arm(**arm))
    return found[1] if found else None


@pytest.mark.parametrize("method", ["fermi", "few-shot[k=2]", "fermi[iterations=2,learned with B]"])
def test_a_limit_is_read_from_an_arms_name(method: str) -> None:
    assert limit_of(Arm(method)) is None
    name = f"{method[:-1]},{limit_remark(200)}]" if method.endswith("]") else f"{method}[{limit_remark(200)}]"
    assert limit_of(Arm(name, "another's")) == (Arm(method, "another's"), 200)


async def test_limits_hold_for_every_prompt_that_answers_and_more_tokens_are_used_with_more_room(
    tmp_path: Path,
) -> None:
    double = model()
    await run(tmp_path, "few-shot,fermi", opened(double), **CURVE)
    answers = lines(tmp_path)
    sizes: dict[tuple[str, int | None], list[int]] = {}
    for line in answers:
        prompt = line["prompt"][-1]["content"].rsplit("Question: ", 1)[0].rstrip()
        name = line["arm"]["method"].partition("[")[0]
        sizes.setdefault((name, limit(line["arm"])), []).append(len(prompt.encode()))
    assert len(sizes) == 6
    for name in ("few-shot", "fermi"):
        text = min(sizes[name, 20])  # the text alone, which is never cut
        assert max(sizes[name, 60]) <= max(4 * 60, max(sizes[name, 20]))
        assert text < min(sizes[name, 60])
        assert max(sizes[name, 60]) < min(sizes[name, None])
    tokens = {
        bound: sum(x["cost"]["prompt_tokens"] for x in answers if limit(x["arm"]) == bound) for bound in (20, 60, None)
    }
    assert tokens[20] < tokens[60] < tokens[None]


async def test_a_method_learns_once_for_its_whole_curve(tmp_path: Path) -> None:
    """The limits need no call but the answers, although the pool is scored when questions are asked."""
    late = replace(HYBRID, retrieval=replace(HYBRID.retrieval, pool="last+memory", lazy=True))
    without, with_curve = model(), model()
    await run(tmp_path / "without", "fermi", replace(opened(without), fermi=late), controls=False)
    await run(tmp_path / "with", "fermi", replace(opened(with_curve), fermi=late), **CURVE)
    records = lines(tmp_path / "with", "learning")
    assert {limit(record["arm"]) for record in records} == {None, *LIMITS}
    answers = [line for line in lines(tmp_path / "with") if limit(line["arm"]) is not None]
    asked = sum(line["cost"]["calls"] for line in answers)
    more = len(with_curve.completion_requests) - len(without.completion_requests)
    assert 0 < more <= asked
    by_person: dict[str, set[str]] = {}
    for record in records:
        by_person.setdefault(record["user"], set()).add(str((record["learning"], record["scoring"]["calls"])))
    assert {len(costs) for costs in by_person.values()} == {1}, "each reports the whole cost of learning"
    assert all(record["scoring"]["calls"] > 0 for record in records)


class Died(BaseException):
    """As if killed: nothing handles it."""


async def test_a_curve_is_resumed_at_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await run(tmp_path / "undisturbed", "few-shot,fermi", opened(), **CURVE)
    expected = lines(tmp_path / "undisturbed"), lines(tmp_path / "undisturbed", "learning")
    append = archives.append
    for last in range(1, 2 * len(expected[1]) + 1, 3):
        left = [last]

        def dying(path: Path, text: str, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise Died
            append(path, text)

        folder = tmp_path / str(last)
        with monkeypatch.context() as patched:
            patched.setattr(archives, "append", dying)
            with pytest.raises(BaseExceptionGroup):
                await run(folder, "few-shot,fermi", opened(), **CURVE)
        await run(folder, "few-shot,fermi", opened(), **CURVE)
        assert (lines(folder), lines(folder, "learning")) == expected, f"died at write {last}"


async def test_a_curve_can_be_added_to_what_was_answered_before(tmp_path: Path) -> None:
    await run(tmp_path / "at once", "few-shot,fermi", opened(), **CURVE)
    await run(tmp_path / "later", "few-shot,fermi", opened(), controls=False)
    archive: Archive = await run(tmp_path / "later", "few-shot,fermi", opened(), **CURVE)
    assert len(archive.learning) == 2 * 2 * 3
    assert lines(tmp_path / "later") == lines(tmp_path / "at once")


def test_an_evaluation_tells_its_curve_in_every_form(tmp_path: Path, double: Any) -> None:
    from idiolect.evaluate.evaluation import run_evaluation

    double(m=answering())
    out = tmp_path / "out"
    config = small(users(tmp_path, n=8), methods="vanilla,few-shot,fermi", train=6, curve_prompt_tokens=(10, 40))
    summary = run_evaluation(config, out)
    curves = prompt_curves(summary)
    assert [str(curve.arm) for curve in curves] == ["few-shot", "fermi"]
    for curve in curves:
        assert [point.limit for point in curve.points] == [10, 40, None]
        tokens = [point.prompt_tokens.value for point in curve.points]
        assert tokens == sorted(tokens)
        assert tokens[0] < tokens[-1]
    assert "## Score by prompt tokens" in table(summary)
    plain = scores(out)["prompt_curves"]
    assert [[point["limit"] for point in curve["points"]] for curve in plain] == [[10, 40, None]] * 2
    assert plain[0]["points"][0]["arm"]["method"] == "few-shot[at most 10 prompt tokens]"
    assert 'id="prompt-tokens"' in (out / "report.html").read_text(encoding="utf-8")
    again = summarize_folder(outline_for_report(out), out)
    assert to_json(again)["prompt_curves"] == to_json(summary)["prompt_curves"], "a report needs no data"


def test_the_configuration_of_a_folder_names_the_curve_only_if_there_is_one(tmp_path: Path) -> None:
    from idiolect.evaluate.configuration import as_kept
    from idiolect.evaluate.kept import kept_settings

    data = users(tmp_path)
    assert "curve_prompt_tokens" not in kept_settings(small(data))["curves"], "older programs can read it"
    kept = kept_settings(small(data, curve_prompt_tokens="100,200"))
    assert kept["curves"]["curve_prompt_tokens"] == [100, 200]
    assert as_kept(small(data), kept).curve_prompt_tokens == (100, 200)
