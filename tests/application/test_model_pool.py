"""Models and similarities by name: each opened once, checked once, and faults come out before anything is written."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from idiolect.application import model_pool
from idiolect.application.model_pool import ModelPool, OpenModel, OpenSimilarity, own_model, suggesting
from idiolect.application.run import CallSettings, open_run
from idiolect.application.workspace import WorkspaceSettings
from idiolect.errors import IdiolectError, MissingExtraError, ModelError, Remedy, SettingsError
from idiolect.models.calls.budget import Limits
from idiolect.models.calls.prices import Price
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Message
from idiolect.models.replay import RecordingModel
from idiolect.models.similarity import Bm25Similarity, EmbeddingSimilarity, FloatArray
from tests.api_server import ApiServer
from tests.application.mimicked import ANN, FAST
from tests.application.served import fit_in, people, settings
from tests.cli.learning import mimic
from tests.models import tiny


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A recording of one answer."""
    request = CompletionRequest((Message("user", "Tea?"),))
    asyncio.run(RecordingModel(mimic(), tmp_path / "mimic.jsonl").complete([request]))
    return f"replay:{tmp_path / 'mimic.jsonl'}"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that were opened, in order."""
    names: list[str] = []
    open_named_model = model_pool.open_named_model

    def noted(name: str, settings: CallSettings, price_of: model_pool.PriceOf) -> OpenModel:
        names.append(name)
        return open_named_model(name, settings, price_of)

    monkeypatch.setattr(model_pool, "open_named_model", noted)
    return names


@pytest.mark.parametrize("lasting_first", [False, True])
async def test_a_model_is_opened_once_also_under_its_lasting_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recording: str, opened: list[str], lasting_first: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["replay:mimic.jsonl", recording]
    pool = ModelPool(CallSettings())
    found = await asyncio.gather(*(pool.model(name) for name in (reversed(names) if lasting_first else names)))
    assert found[0] is found[1] is await pool.model("replay:mimic.jsonl")
    assert (len(opened), len(list(pool.opened_models()))) == (1, 1)
    await pool.aclose()


async def test_a_model_of_the_callers_own_is_used_and_not_closed(opened: list[str]) -> None:
    pool, mine = ModelPool(CallSettings()), FunctionModel("mine")
    assert pool.add(mine) == pool.add(mine) == "mine"
    assert (await pool.model("mine")).model is mine
    assert opened == []
    with pytest.raises(ValueError, match="two models have the name 'mine'"):
        pool.add(FunctionModel("mine"))
    with closing(tiny.local_model()) as local:
        pool.add(local)
        assert (await pool.model("tiny")).fingerprint() == local.fingerprint()
        await pool.aclose()
        await local.complete([])


async def test_forgetting_empties_the_prefix_cache_of_local_models_whoever_opened_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with closing(tiny.local_model()) as named, closing(tiny.local_model()) as mine:
        forgotten: list[object] = []
        for local in (named, mine):

            async def forget(local: object = local) -> None:
                forgotten.append(local)

            monkeypatch.setattr(local, "forget_prefixes", forget)
        monkeypatch.setattr(model_pool, "open_local_model", lambda *_, **__: named)
        pool = ModelPool(CallSettings())
        pool.add(mine)
        await pool.model("named")
        await pool.forget_prompts()
        assert forgotten == [mine, named]
        await pool.aclose()


async def test_each_is_checked_once_and_the_remedy_goes_with_the_error() -> None:
    checked: list[bool] = []

    async def check() -> None:
        checked.append(True)
        if len(checked) == 1:
            raise MissingExtraError("no embeddings")

    pool, remedy = ModelPool(CallSettings()), Remedy("similarity", "bm25")
    similarity = OpenSimilarity(Bm25Similarity(), "x", check=check)
    with pytest.raises(MissingExtraError) as caught:
        await pool.check(similarity, remedy=remedy)
    assert caught.value.remedy == remedy
    for _ in range(2):
        await pool.check(similarity, own_model(FunctionModel()), remedy=remedy)
    assert len(checked) == 2, "what failed is checked again, what is well is not"


@pytest.mark.parametrize("error", [ModelError("gone"), MissingExtraError("gone")])
def test_suggesting_keeps_a_remedy_that_is_there(error: IdiolectError) -> None:
    first, second = Remedy("preset", "demo"), Remedy("similarity", "bm25")
    for remedy, expected in ((None, None), (first, first), (second, first)):
        with pytest.raises(type(error)), suggesting(remedy):
            raise error
        assert error.remedy == expected
    with pytest.raises(SettingsError) as caught, suggesting(first):
        raise SettingsError("another kind")
    assert caught.value.remedy is None


class Counting:
    """An embedding model that counts its texts."""

    name = "counting"

    def __init__(self) -> None:
        self.texts = 0

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """float32, shape (len(texts), 2)."""
        self.texts += len(texts)
        return np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(texts), 1))


async def test_a_remote_similarity_is_called_like_any_model_and_a_local_one_as_it_is() -> None:
    embedder = Counting()
    local = OpenSimilarity(EmbeddingSimilarity(embedder), "local")
    remote = replace(local, name="http://127.0.0.1:9/v1#e", remote=True, price=Price(Decimal(0), Decimal(0)))
    words = OpenSimilarity(Bm25Similarity(), "bm25", remote=True)
    with open_run(CallSettings(run=Limits(calls=1)), None) as run:
        for as_it_is in (local, words):
            assert as_it_is.called(run.calls, "ann") is as_it_is.similarity
        assert remote.called(None, "ann") is remote.similarity
        called = remote.called(run.calls, "ann")
        assert called is not remote.similarity
        (row,) = await called.similarity(["a"], ["a"])
        assert float(row[0]) == pytest.approx(1)
        assert (run.spending().calls, embedder.texts) == (1, 1)
    assert words.called_embedder(None, "ann") is None


@pytest.mark.parametrize(
    ("named", "kind", "message"),
    [
        ({"model": "replay:nowhere.jsonl"}, ModelError, "contains no recording"),
        ({"optimizer": "replay:nowhere.jsonl"}, ModelError, "contains no recording"),
        ({"optimizer": ""}, SettingsError, "the model's name is empty"),
        ({"model": "./nowhere"}, ModelError, "no model at ./nowhere"),
        ({"model": "ftp://example.org/v1#m"}, SettingsError, "must begin with http:// or https://"),
        ({"model": "https://me:hush@example.org/v1#m"}, SettingsError, "contains a user or a password; leave them out"),
        ({"optimizer": "openai: "}, SettingsError, "no model is named; write openai:NAME"),
        ({"model": "gpt-4o-mini"}, SettingsError, "set the environment variable OPENAI_API_KEY"),
        ({"similarity": " "}, SettingsError, "the similarity's name is empty"),
    ],
)
async def test_a_wrong_name_writes_nothing(
    tmp_path: Path, named: dict[str, str], kind: type[Exception], message: str
) -> None:
    store = tmp_path / "store"
    workspace = WorkspaceSettings(store, named.get("model", mimic()), named.get("optimizer"))
    with pytest.raises(kind, match=message) as caught:
        await fit_in(workspace, [ANN], replace(FAST, similarity=named.get("similarity", "bm25")))
    assert "hush" not in str(caught.value)
    assert not store.exists()


async def test_a_similarity_that_cannot_be_had_names_the_preset_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    workspace = WorkspaceSettings(tmp_path / "store", FunctionModel(complete=lambda _: "x"))
    with pytest.raises(ModelError, match="all-mpnet-base-v2") as caught:
        await fit_in(workspace, [ANN], replace(FAST, preset="paper", similarity=None))
    assert caught.value.remedy is not None
    assert (caught.value.remedy.setting, caught.value.remedy.value) == ("preset", "paper-offline")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("role", ["model", "optimizer"])
async def test_a_server_that_is_down_is_one_error_at_once(tmp_path: Path, role: str) -> None:
    with socket.socket() as taken, ApiServer() as server:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        workspace = replace(settings(tmp_path / "store", server), **{role: f"{url}#big"})  # type: ignore[arg-type]
        begun = time.monotonic()
        with pytest.raises(ModelError) as caught:
            await fit_in(workspace, people("ann", "bob"))
        assert str(caught.value) == f"{url}: connection refused: is the server running?"
        assert server.requests == []
    assert not (tmp_path / "store").exists()
    assert time.monotonic() - begun < 20, "it was tried again and again"
