from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from idiolect.errors import MissingExtraError, ModelError
from idiolect.models import embedding
from idiolect.models import minilm as minilm_module
from idiolect.models.embedding import SentenceEmbedder
from idiolect.models.similarity import FloatArray


@pytest.fixture(scope="module")
def minilm() -> Iterator[SentenceEmbedder]:
    embedder = SentenceEmbedder(device="cpu")
    yield embedder
    embedder.close()


async def test_minilm_gives_unit_vectors_in_order(minilm: SentenceEmbedder) -> None:
    vectors = await minilm.embed(["A cat sat.", "Taxes are high.", "A kitten was sitting.", "A cat sat.", ""])
    assert vectors.dtype == np.float32
    assert vectors.shape == (5, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[3])
    assert vectors[0] @ vectors[2] > vectors[0] @ vectors[1]


TEXTS = [
    "",
    "short",
    "Should cities close some streets to cars?",
    "many words " * 300,
    "日本語",
    *map(str, range(40)),
]


async def test_minilm_is_what_sentence_transformers_computes_with_the_same_weights(
    minilm: SentenceEmbedder, tmp_path: Path
) -> None:
    folder = shutil.copytree(embedding._bundled_folder(), tmp_path / "rounded")
    weights = load_file(folder / "model.safetensors")
    for name, weight in weights.items():
        if name.startswith("encoder") and weight.ndim == 2:
            weights[name] = weight.half().float()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    async with SentenceEmbedder(str(folder), device="cpu") as theirs:
        np.testing.assert_allclose(await minilm.embed(TEXTS), await theirs.embed(TEXTS), atol=5e-6)


async def test_the_similarities_of_minilm_are_those_of_the_published_weights(minilm: SentenceEmbedder) -> None:
    async with SentenceEmbedder(str(embedding._bundled_folder()), device="cpu") as theirs:
        published = await theirs.embed(TEXTS)
    vectors = await minilm.embed(TEXTS)
    np.testing.assert_allclose(vectors @ vectors.T, published @ published.T, atol=2e-4)


async def test_minilm_is_the_same_where_a_device_has_no_products_with_float16(
    minilm: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm_module, "multiplies_halves", lambda _device: False)
    async with SentenceEmbedder(device="cpu") as other:
        np.testing.assert_allclose(await other.embed(TEXTS), await minilm.embed(TEXTS), atol=5e-6)


async def test_a_text_has_the_same_vector_alone(minilm: SentenceEmbedder) -> None:
    together = await minilm.embed(["short", "a much longer text, which makes the others be padded"])
    other = SentenceEmbedder(device="cpu")
    np.testing.assert_allclose((await other.embed(["short"]))[0], together[0], atol=1e-5)
    other.close()


async def test_known_texts_are_not_embedded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def encode(texts: list[str]) -> FloatArray:
        seen.append(texts)
        return np.array([[len(text), 0.0] for text in texts], dtype=np.float32)

    monkeypatch.setattr(embedding, "_load", lambda *_: encode)
    async with SentenceEmbedder(remember=2) as embedder:
        await embedder.embed(["a", "bb", "a"])
        assert (await embedder.embed(["bb", "ccc"])).tolist() == [[2, 0], [3, 0]]
        await embedder.embed(["bb", "a"])
    assert seen == [["a", "bb"], ["ccc"], ["a"]]


async def test_a_missing_sentence_transformers_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    async with SentenceEmbedder("all-mpnet-base-v2") as embedder:
        with pytest.raises(MissingExtraError, match=r"need the extra `local`: .*sentence_transformers is missing"):
            await embedder.embed(["a text"])


async def test_no_texts_need_no_model() -> None:
    async with SentenceEmbedder("no-such-model") as embedder:
        assert (await embedder.embed([])).shape[0] == 0


async def test_a_model_that_is_not_here_is_a_plain_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    async with SentenceEmbedder("all-no-such-base-v2") as embedder:
        with pytest.raises(ModelError, match=r"all-no-such-base-v2.*not on this machine.*'minilm' is bundled"):
            await embedder.embed(["x"])


def test_an_embedder_outlives_event_loops(minilm: SentenceEmbedder) -> None:
    first = asyncio.run(minilm.embed(["one"]))
    np.testing.assert_array_equal(first, asyncio.run(minilm.embed(["one"])))
