from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from idiolect.models.similarity import Bm25Similarity, Embedder, EmbeddingSimilarity, FloatArray, Similarity


class PlantedEmbedder:
    """Unit vectors by the first letter: a and b are near, c is far."""

    name = "planted"

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        table = {"a": (1.0, 0.0), "b": (0.8, 0.6), "c": (0.0, 1.0)}
        return np.array([table[text[0]] for text in texts], dtype=np.float32)


async def test_embedding_similarity_is_the_cosine() -> None:
    similarity = EmbeddingSimilarity(PlantedEmbedder())
    scores = await similarity.similarity(["a", "c"], ["a", "b", "c"])
    np.testing.assert_allclose(scores, [[1, 0.8, 0], [0, 0.6, 1]], atol=1e-6)
    assert scores.dtype == np.float32
    assert similarity.name == "planted"


def test_both_are_similarities() -> None:
    assert isinstance(Bm25Similarity(), Similarity)
    assert isinstance(EmbeddingSimilarity(PlantedEmbedder()), Similarity)
    assert isinstance(PlantedEmbedder(), Embedder)


@pytest.mark.parametrize("similarity", [Bm25Similarity(), EmbeddingSimilarity(PlantedEmbedder())])
@pytest.mark.parametrize(("queries", "documents"), [([], []), (["a"], []), ([], ["a", "b"])])
async def test_nothing_gives_empty_scores(similarity: Similarity, queries: list[str], documents: list[str]) -> None:
    scores = await similarity.similarity(queries, documents)
    assert scores.shape == (len(queries), len(documents))
    assert scores.dtype == np.float32


async def test_bm25_ranks_by_rare_words_in_common() -> None:
    documents = ["Should the tax on fuel rise?", "Should the sale of guns be banned?", "Should dogs vote?"]
    scores = await Bm25Similarity().similarity(["GUNS should be easier to buy", "fuel, fuel!"], documents)
    assert scores.argmax(axis=1).tolist() == [1, 0]
    assert scores.shape == (2, 3)


@pytest.mark.parametrize("query", ["zebra", "", "  ?!", "\x00\ud7ff🙂"])
async def test_bm25_of_no_common_word_is_zero(query: str) -> None:
    scores = await Bm25Similarity().similarity([query], ["the cat", "the dog"])
    assert scores.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("documents", [["the cat"], ["", "the cat"], ["the cat", "?!", ""]])
async def test_bm25_takes_one_document_and_empty_ones(documents: list[str]) -> None:
    scores = await Bm25Similarity().similarity(["a cat"], documents)
    assert [score > 0 for score in scores[0]] == ["cat" in document for document in documents]


async def test_bm25_of_only_empty_documents_is_zero() -> None:
    assert (await Bm25Similarity().similarity(["a cat"], ["", "?"])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize(
    ("query", "hit"), [("猫が好き", "黒い猫"), ("STRASSE", "straße"), ("привет", "Привет, мир"), ("แมว", "แมวดำ")]
)
async def test_bm25_reads_any_script(query: str, hit: str) -> None:
    scores = await Bm25Similarity().similarity([query], ["something else", hit])
    assert scores[0, 1] > scores[0, 0] == 0


async def test_bm25_takes_a_blank_and_a_name_with_underscores_for_one_word() -> None:
    documents = ["The economy is ____", "snake case name", "snake_case name"]
    scores = await Bm25Similarity().similarity(["Taxes are ____", "snake_case"], documents)
    assert (scores > 0).tolist() == [[True, False, False], [False, False, True]]


async def test_bm25_reads_full_width_letters_and_composed_ones_as_the_plain_ones() -> None:
    documents = ["ＴＥＡ or coffee", "a cafe\u0301 in town", "nothing"]
    scores = await Bm25Similarity().similarity(["tea", "café"], documents)
    assert (scores > 0).tolist() == [[True, False, False], [False, True, False]]
