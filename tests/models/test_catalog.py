from __future__ import annotations

from pathlib import Path

import pytest

from idiolect.errors import ModelError, SettingsError
from idiolect.models.catalog import open_model, open_similarity
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from idiolect.models.replay import RecordingModel, ReplayModel
from idiolect.models.similarity import Bm25Similarity
from tests.models import tiny


async def test_a_replay_is_opened_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    await RecordingModel(FunctionModel(complete=lambda _: "x"), path).complete([CompletionRequest(tiny.ask("x"))])
    assert isinstance(open_model(f"replay:{path}"), ReplayModel)


def test_a_local_name_is_loaded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("idiolect.models.local.load_local_model", lambda name: FunctionModel(name))
    assert open_model("some/id").name == "some/id"


@pytest.mark.parametrize("name", ["http://localhost:8000/v1", " HTTPS://api.example.org", "ftp://example.org"])
def test_remote_names_say_when_and_what_instead(name: str) -> None:
    for open_one in (open_model, open_similarity):
        with pytest.raises(SettingsError, match="next release"):
            open_one(name)


def test_credentials_of_a_remote_name_are_not_repeated() -> None:
    for open_one in (open_model, open_similarity):
        with pytest.raises(SettingsError, match=r"https://example\.org/v1: remote") as caught:
            open_one("https://user:hush@example.org/v1?key=hush#hush")
        assert "hush" not in str(caught.value)


def test_an_empty_name_is_refused() -> None:
    for open_one in (open_model, open_similarity):
        with pytest.raises(SettingsError, match="empty"):
            open_one(" ")


def test_similarities_are_opened_by_name() -> None:
    assert isinstance(open_similarity("bm25"), Bm25Similarity)
    assert open_similarity("minilm").name == "minilm"


def test_a_missing_folder_is_a_plain_error() -> None:
    with pytest.raises(ModelError, match="no such folder"):
        open_model("./no/such/folder")
