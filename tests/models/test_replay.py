from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.errors import ModelError, UnseenRequestError
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, LanguageModel, Message, SamplingParams
from idiolect.models.replay import RecordingModel, ReplayModel
from tests.models import tiny

SAYING = CompletionRequest(tiny.ask("My secret is ünïcödé."), SamplingParams(stop=("\n",)), draw=2, prefill="I")
SCORING = ChoiceRequest(tiny.ask("My secret?"), ("yes", "no"), prefill="Say ")


def parrot(name: str = "parrot") -> FunctionModel:
    return FunctionModel(
        name,
        complete=lambda request: f"{request.messages[-1].content} {request.draw}\n",
        choice_logprobs=lambda request: [-0.1 - 1 / 3 * len(choice) for choice in request.choices],
    )


async def test_a_replay_gives_what_was_recorded(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    recorder = RecordingModel(parrot(), path)
    said, scored = await recorder.complete([SAYING]), await recorder.choice_logprobs([SCORING])
    replay: LanguageModel = ReplayModel(path)
    assert replay.name == recorder.name == "parrot"
    assert await replay.complete([SAYING]) == said
    assert await replay.choice_logprobs([SCORING]) == scored


@pytest.mark.parametrize(
    "other",
    [
        replace(SAYING, draw=3),
        replace(SAYING, prefill=""),
        replace(SAYING, thinking=False),
        replace(SAYING, sampling=SamplingParams(seed=1)),
        replace(SAYING, messages=(Message("system", "My secret is ünïcödé."),)),
    ],
    ids=["draw", "prefill", "thinking", "sampling", "role"],
)
async def test_a_replay_tells_every_part_of_a_request_apart(tmp_path: Path, other: CompletionRequest) -> None:
    path = tmp_path / "recording.jsonl"
    await RecordingModel(parrot(), path).complete([SAYING])
    with pytest.raises(UnseenRequestError) as caught:
        await ReplayModel(path).complete([other])
    assert "secret" not in str(caught.value)
    assert f"1 messages, 21 characters, draw {other.draw}" in str(caught.value)


async def test_a_recording_from_before_a_request_could_ask_for_thoughts_stays_valid(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    recorder = RecordingModel(parrot(), path)
    await recorder.complete([SAYING])
    await recorder.choice_logprobs([SCORING])
    keys = [json.loads(line)["key"][:12] for line in path.read_text(encoding="utf-8").splitlines()]
    assert keys == ["a0ba4f189c74", "faea47d30edd"], "pinned: other keys would make every recording worthless"


async def test_a_replay_tells_choices_apart(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    await RecordingModel(parrot(), path).choice_logprobs([SCORING])
    with pytest.raises(UnseenRequestError, match="2 choices"):
        await ReplayModel(path).choice_logprobs([replace(SCORING, choices=("no", "yes"))])


async def test_a_recording_goes_on_and_holds_no_requests(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    for draw in (0, 1, 1):
        await RecordingModel(parrot(), path).choice_logprobs([SCORING])
        await RecordingModel(parrot(), path).complete([replace(SAYING, draw=draw)])
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert "secret" not in lines[0]


async def test_two_models_in_one_file_are_asked_for_by_name(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    for name in ("one", "two"):
        await RecordingModel(parrot(name), path).complete([SAYING])
    with pytest.raises(ModelError, match="one, two"):
        ReplayModel(path)
    assert len(await ReplayModel(path, model="two").complete([SAYING])) == 1


@pytest.mark.parametrize("content", ["nonsense", "[]", '{"key": 1}', '{"format": 99, "key": "k"}', "[" * 99999])
def test_a_file_that_is_no_recording_is_told_by_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recording.jsonl"
    path.write_text(content + "\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"recording\.jsonl:1"):
        ReplayModel(path)


def test_a_folder_and_another_kind_of_file_are_no_recordings(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\x7fELF\xd0")
    for path, message in ((tmp_path, "cannot be read: Is a directory"), (tmp_path / "binary", "expected a recording")):
        with pytest.raises(ModelError, match=message):
            ReplayModel(path)


async def test_line_separators_in_a_result_are_no_ends_of_lines(tmp_path: Path) -> None:
    model = FunctionModel(complete=lambda _: "a\u2028b\x85c")
    path = tmp_path / "recording.jsonl"
    recorded = await RecordingModel(model, path).complete([SAYING])
    assert await ReplayModel(path).complete([SAYING]) == recorded


def test_a_missing_recording_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no recording"):
        ReplayModel(tmp_path / "none.jsonl")
