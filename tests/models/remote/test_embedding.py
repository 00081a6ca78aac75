"""Embeddings over HTTP: what comes is checked before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from idiolect.errors import ModelError
from idiolect.models.remote.embedding import RemoteEmbedder, read_vectors
from idiolect.models.remote.endpoint import parse_endpoint
from idiolect.models.remote.faults import UnansweredError
from idiolect.models.remote.transport import RemoteSettings
from idiolect.models.similarity import Embedder, EmbeddingSimilarity
from tests.api_server import Answer, ApiServer, Body, Malformed, Status, vector, vectors_payload

FAST = RemoteSettings(timeout=5, wait_initial=0.001, wait_max=0.002, attempts=2)


def embedder_at(server: ApiServer, remember: int = 4096) -> RemoteEmbedder:
    endpoint = parse_endpoint(f"{server.url}#e")
    assert endpoint is not None
    return RemoteEmbedder(endpoint, settings=FAST, remember=remember)


def changed(change: Callable[[list[Body]], Any]) -> Callable[[Body, int], Answer]:
    """A server's answer with a change to its list of embeddings."""

    def answer(body: Body, _: int) -> Answer:
        payload = vectors_payload(body)
        change(payload["data"])
        return payload

    return answer


def test_embedder_asks_for_a_model() -> None:
    endpoint = parse_endpoint("http://localhost/v1")
    assert endpoint is not None
    with pytest.raises(ValueError, match="does not name a model"):
        RemoteEmbedder(endpoint)


async def test_embeddings_have_unit_norm_and_the_order_of_the_texts() -> None:
    with ApiServer(embeddings=changed(lambda data: data.reverse())) as server:
        async with embedder_at(server) as embedder:
            vectors = await embedder.embed(["a", "b", "a"])
            assert isinstance(embedder, Embedder)
            assert embedder.name == f"{server.url}#e"
            assert (await embedder.embed([])).shape == (0, 0)
    expected = np.array([vector("a"), vector("b"), vector("a")])
    np.testing.assert_allclose(vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)
    assert vectors.dtype == np.float32
    assert server.requests[0].body == {"model": "e", "input": ["a", "b"], "encoding_format": "float"}


async def test_embeddings_of_many_texts_come_in_batches() -> None:
    texts = [f"text {number}" for number in range(300)]
    with ApiServer() as server:
        async with embedder_at(server) as embedder:
            vectors = await embedder.embed(texts)
        sizes = sorted(len(received.body["input"]) for received in server.requests)
    assert sum(sizes) == 300
    assert sizes[-1] <= 256
    wanted = np.array(vector(texts[299]))
    np.testing.assert_allclose(vectors[299], wanted / np.linalg.norm(wanted), rtol=1e-6)


async def test_embeddings_of_known_texts_are_not_asked_for_again() -> None:
    with ApiServer() as server:
        async with embedder_at(server, remember=2) as embedder:
            first = await embedder.embed(["a", "b"])
            second = await embedder.embed(["b", "a", "c"])  # forgets b
            assert [received.body["input"] for received in server.requests] == [["a", "b"], ["c"]]
            np.testing.assert_array_equal(second[:2], first[::-1])
            await embedder.embed(["b"])
        assert server.requests[-1].body["input"] == ["b"]


async def test_embedder_serves_similarity() -> None:
    with ApiServer() as server:
        async with embedder_at(server) as embedder:
            scores = await EmbeddingSimilarity(embedder).similarity(["a"], ["b", "a"])
    assert scores[0, 1] == pytest.approx(1)
    assert scores[0, 0] < 0.99


FAULTS: dict[str, Callable[[list[Body]], Any]] = {
    "too few": lambda data: data.pop(),
    "too many": lambda data: data.append(data[0]),
    "twice": lambda data: data[0].update(index=1),
    "index beyond": lambda data: data[0].update(index=2),
    "index negative": lambda data: data[0].update(index=-1),
    "no index": lambda data: data[0].pop("index"),
    "no vector": lambda data: data[0].update(embedding=None),
    "empty": lambda data: data[0].update(embedding=[]),
    "text": lambda data: data[0].update(embedding="AACAPwAA"),
    "other length": lambda data: data[0]["embedding"].pop(),
    "nan": lambda data: data[0]["embedding"].__setitem__(0, float("nan")),
    "infinite": lambda data: data[0]["embedding"].__setitem__(0, float("inf")),
    "huge": lambda data: data[0]["embedding"].__setitem__(0, 10**400),
    "no object": lambda data: data.__setitem__(0, []),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_embeddings_that_cannot_be_believed_end_in_an_error(fault: Callable[[list[Body]], Any]) -> None:
    with ApiServer(embeddings=changed(fault)) as server:
        async with embedder_at(server) as embedder:
            with pytest.raises(ModelError, match="gave up after 2 attempts"):
                await embedder.embed(["a", "b"])
        assert len(server.requests) == 2


async def test_embeddings_that_are_zero_end_in_an_error() -> None:
    zero = changed(lambda data: data[0].update(embedding=[0] * 8))
    with ApiServer(embeddings=zero) as server:
        async with embedder_at(server) as embedder:
            with pytest.raises(ModelError, match="an embedding is zero"):
                await embedder.embed(["a", "b"])


async def test_embeddings_of_changing_length_end_in_an_error() -> None:
    with ApiServer(embeddings=lambda body, number: vectors_payload(body, 4 * number)) as server:
        async with embedder_at(server) as embedder:
            await embedder.embed(["a"])
            with pytest.raises(ModelError, match="differ in length"):
                await embedder.embed(["a", "b"])


@pytest.mark.parametrize("fault", [Status(500), Malformed(), changed(FAULTS["too few"])({"input": ["a", "b"]}, 1)])
async def test_embeddings_come_after_a_fault_that_passes(fault: Answer) -> None:
    answers = lambda body, number: vectors_payload(body) if number > 1 else fault  # noqa: E731
    with ApiServer(embeddings=answers) as server:
        async with embedder_at(server) as embedder:
            assert (await embedder.embed(["a", "b"])).shape == (2, 8)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
items = st.fixed_dictionaries({}, optional={"index": scalars, "embedding": st.lists(scalars) | scalars})


@given(st.fixed_dictionaries({}, optional={"data": st.lists(items | scalars) | scalars}) | scalars)
def test_any_payload_gives_finite_vectors_or_a_model_error(payload: Any) -> None:
    try:
        vectors = read_vectors(payload, 1)
    except UnansweredError:
        return
    assert vectors.shape[0] == 1
    assert np.isfinite(vectors).all()
