from __future__ import annotations

import gc
from pathlib import Path

import pytest

from idiolect.errors import ModelError, SettingsError
from idiolect.models.catalog import (
    is_remote,
    kind_of,
    lasting_name,
    open_local_model,
    open_model,
    open_prefixed_model,
    open_remote_model,
    open_similarity,
    price_name,
    server_of,
    without_folders,
)
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from idiolect.models.local import LocalSettings
from idiolect.models.remote.chat import RemoteModel
from idiolect.models.replay import RecordingModel, ReplayModel
from idiolect.models.similarity import Bm25Similarity, EmbeddingSimilarity
from tests.api_server import ApiServer
from tests.models import tiny


async def test_a_replay_is_opened_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "recording.jsonl"
    await RecordingModel(FunctionModel(complete=lambda _: "x"), path).complete([CompletionRequest(tiny.ask("x"))])
    assert kind_of(f"replay:{path}") == "prefixed"
    assert isinstance(open_model(f"replay:{path}"), ReplayModel)
    assert isinstance(open_prefixed_model(f"replay:{path}"), ReplayModel)


def test_a_local_name_is_loaded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str | None, str | None]] = []

    def load(name: str, *, dtype: str | None, settings: LocalSettings) -> FunctionModel:
        assert not gc.isenabled()
        asked.append((dtype, settings.scoring_dtype))
        return FunctionModel(name)

    monkeypatch.setattr("idiolect.models.local.load_local_model", load)
    assert kind_of("some/id") == "local"
    for open_one in (open_model, open_local_model):
        assert open_one("some/id").name == "some/id"
        assert open_one("some/id", dtype="bfloat16").name == "some/id"
    open_local_model("some/id", scoring_dtype="bfloat16")
    assert asked == [*[(None, None), ("bfloat16", None)] * 2, (None, "bfloat16")]
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("name", "lasting"),
    [
        ("http://LOCALHOST:8000/v1/#some/model", "http://localhost:8000/v1#some/model"),
        (" HTTPS://api.example.org/v1/chat/completions#m", "https://api.example.org/v1#m"),
        ("gpt-4o-mini", "openai:gpt-4o-mini"),
        ("openai:anything", "openai:anything"),
    ],
)
def test_a_remote_name_is_opened_without_a_call(monkeypatch: pytest.MonkeyPatch, name: str, lasting: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    assert is_remote(name)
    assert kind_of(name) == "remote"
    for model in (open_model(name), open_remote_model(name)):
        assert isinstance(model, RemoteModel)
        assert model.name == lasting_name(name) == lasting
    assert isinstance(open_similarity(name), EmbeddingSimilarity)


async def test_a_url_without_a_model_means_the_only_one_that_its_server_has() -> None:
    with ApiServer(models=["m"]) as server:
        assert open_model(server.url).name == f"{server.url}#m"
    with ApiServer(models=["m", "n"]) as server, pytest.raises(ModelError, match=f"{server.url}#n"):
        open_model(server.url)
    with pytest.raises(SettingsError, match="named openai:NAME or URL#NAME"):
        open_similarity(server.url)


def test_openai_without_a_key_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    for open_one in (open_model, open_similarity):
        with pytest.raises(SettingsError, match="set the environment variable OPENAI_API_KEY"):
            open_one("openai:m")


def test_a_remote_model_is_known_by_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the cache and for prices; a name without a URL may lead elsewhere tomorrow."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert server_of("gpt-4o") == "https://api.openai.com/v1"
    assert price_name("gpt-4o") == "https://api.openai.com/v1#gpt-4o"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://localhost:1/v1/")
    assert server_of("openai:gpt-4o") == "http://localhost:1/v1"
    assert price_name("openai:gpt-4o") == "http://localhost:1/v1#gpt-4o"
    assert (server_of("embedded"), price_name("embedded")) == ("", "embedded")


def test_a_folder_of_a_remote_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_remote("gpt-mine")
    (tmp_path / "gpt-mine").mkdir()
    assert not is_remote("gpt-mine")
    assert kind_of("gpt-mine") == "local"
    assert lasting_name("gpt-mine") == str(tmp_path / "gpt-mine")


@pytest.mark.parametrize(
    ("lasting", "given"),
    [
        ("/models/of-ann/tiny", "tiny"),
        ("replay:/models/of-ann/talks.jsonl", "replay:talks.jsonl"),
        ("embedded", "embedded"),
        ("some/model", "some/model"),
        ("openai:some/model", "openai:some/model"),
        ("http://localhost:8000/v1#some/model", "http://localhost:8000/v1#some/model"),
    ],
)
def test_a_name_for_others_has_no_folders(lasting: str, given: str) -> None:
    assert without_folders(lasting) == given


def test_names_that_cannot_be_remote_are_refused() -> None:
    for open_one in (open_model, open_similarity):
        with pytest.raises(SettingsError, match="must begin with http:// or https://"):
            open_one("ftp://example.org/v1#m")


@pytest.mark.parametrize("name", ["https://user:hush@example.org/v1#m", "https://example.org/v1?key=hush#hush"])
def test_credentials_of_a_remote_name_are_not_repeated(name: str) -> None:
    for open_one in (open_model, open_similarity):
        with pytest.raises(SettingsError, match="keys come from the environment") as caught:
            open_one(name)
        assert "hush" not in str(caught.value)


def test_an_empty_name_is_refused() -> None:
    for open_one in (kind_of, open_model, open_similarity):
        with pytest.raises(SettingsError, match="empty"):
            open_one(" ")


def test_similarities_are_opened_by_name() -> None:
    assert isinstance(open_similarity("bm25"), Bm25Similarity)
    assert open_similarity("minilm").name == "minilm"


def test_a_missing_folder_is_a_plain_error() -> None:
    with pytest.raises(ModelError, match="expected an existing folder"):
        open_model("./no/such/folder")
