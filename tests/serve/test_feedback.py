"""Feedback over HTTP: on whole answers and streams, once, by whoever got them; and what is heard of an answer."""

from __future__ import annotations

import gzip
import http.client
import io
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from idiolect.serve.heard import Heard
from idiolect.serve.settings import GatewaySettings
from idiolect.store import DEFAULT_TENANT, Store
from idiolect.store.jobs import Jobs
from tests.api_server import ApiServer, Body, Stream
from tests.postgresql import PostgresqlServer
from tests.serve.requesting import path_of, record, send
from tests.serve.serving import Reply, Served, bearer, forwarding, key

KEYS = (
    key("all", "k-all", scopes=("chat", "people")),
    key("bob", "k-bob", user="bob"),
    key("other", "k-other", tenant="other"),
)
TURN = "Would you drink tea at noon?"


def _answer(body: Body, number: int) -> Body | Stream:
    text = f"Green tea {number}, please."
    if body.get("stream"):
        lingers = 0.1 if body["messages"][-1]["content"] == "lingering" else 0.0
        return Stream(text, id=f"s{number}", lingers=lingers)
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": f"r{number}", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ApiServer]:
    with ApiServer(_answer) as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def served(upstream: ApiServer, store: Path) -> Iterator[Served]:
    settings = forwarding(f"{upstream.url}#m", store, keys=KEYS, workers=0, learn_after=2)
    with Served(settings) as gateway:
        for user_id in ("ann", "bob"):
            send(gateway, "POST", "/v1/users", record(user_id), key="k-all")
        yield gateway


def _asked(served: Served, turn: str = TURN, *, user: str = "ann", stream: bool = False) -> tuple[str, str]:
    """The id of a response, and its text."""
    with OpenAI(base_url=served.url, api_key="k-all", max_retries=0) as client:
        messages: Any = [{"role": "user", "content": turn}]
        if not stream:
            answer = client.chat.completions.create(model="m", messages=messages, user=user)
            return answer.id, answer.choices[0].message.content or ""
        chunks = list(client.chat.completions.create(model="m", messages=messages, user=user, stream=True))
        pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
        return chunks[0].id, "".join(pieces)


def _comment(served: Served, response_id: str, key: str = "k-all", **comment: Any) -> Reply:
    return send(served, "POST", "/v1/feedback", {"response_id": response_id, **comment}, key=key)


def _opinions(served: Served, user: str = "ann") -> dict[str, str]:
    exported = send(served, "GET", path_of(user, "/export"), key="k-all").json
    return {each["question"]: each["answer"] for each in exported["user"]["opinions"][1:]}


@pytest.mark.parametrize("stream", [False, True])
def test_a_liked_answer_becomes_an_opinion_once(served: Served, stream: bool) -> None:
    response_id, text = _asked(served, stream=stream)
    first = _comment(served, response_id, rating="up", user="ann")
    assert first.json == {
        "response_id": response_id, "kind": "rating", "opinion": "added", "fit": None, "new": True,
    }  # fmt: skip
    assert _comment(served, response_id, rating="up").json == first.json | {"new": False}
    assert _comment(served, response_id, rating="down").error["code"] == "feedback_exists"
    assert _opinions(served) == {TURN: text}


def test_an_answer_is_kept_if_its_client_goes_at_the_mark_of_the_end(served: Served, logs: io.StringIO) -> None:
    body = {"model": "m", "user": "ann", "stream": True, "messages": [{"role": "user", "content": "lingering"}]}
    connection = http.client.HTTPConnection(served.root.removeprefix("http://"), timeout=30)
    headers = {"Content-Type": "application/json", **bearer("k-all")}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    reply = connection.getresponse()
    read = b""
    while b"[DONE]" not in read:
        part = reply.read1(65536)
        assert part, read
        read += part
    connection.close()
    response_id = json.loads(read.partition(b"data: ")[2].partition(b"\n")[0])["id"]
    assert _comment(served, response_id, rating="up", user="ann").json["opinion"] == "added"
    time.sleep(0.2)
    assert '"level":"error"' not in logs.getvalue()


def test_a_comment_at_another_replica_finds_the_answer(
    upstream: ApiServer, postgresql_server: PostgresqlServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDIOLECT_CACHE", str(tmp_path))
    url = postgresql_server.create_store()
    settings = GatewaySettings(upstream=f"{upstream.url}#m", store=url, port=0, keys=KEYS, workers=0)
    with Served(settings) as one, Served(settings) as two:
        send(one, "POST", "/v1/users", record("ann"), key="k-all")
        response_id, _ = _asked(one)
        assert _comment(two, response_id, rating="up").json["new"] is True
        assert _comment(two, "never-there", rating="up").status == 404


def test_own_words_choices_and_a_thumb_down(served: Served, store: Path) -> None:
    said, chosen, disliked = (_asked(served, turn)[0] for turn in ("Tea?", "Milk?", "Rum?"))
    assert _comment(served, disliked, rating="down").json["opinion"] is None
    assert _comment(served, said, said="I would have said no.").json["fit"] is None
    fit = _comment(served, chosen, choice="never", choices=["never", "always"], ordinal=True).json["fit"]
    assert fit is not None
    assert _opinions(served) == {"Tea?": "I would have said no.", "Milk?": "never"}
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        (job,) = Jobs(opened.rows).of_user("ann")
        assert (job.id, job.method, dict(job.options)) == (fit, "fermi", {"continue": True})


def test_only_whoever_got_a_response_comments_on_it(served: Served) -> None:
    response_id, _ = _asked(served)
    refusals = [
        _comment(served, response_id, key="k-bob", rating="up"),
        _comment(served, response_id, key="k-other", rating="up"),
        _comment(served, response_id, rating="up", user="bob"),
        _comment(served, "never-there", rating="up"),
        _comment(served, _asked(served, user="unknown")[0], rating="up"),
    ]
    assert {(each.status, each.error["code"]) for each in refusals} == {(404, "response_not_found")}
    assert len({each.body for each in refusals}) == 1
    assert _opinions(served) == {}


@pytest.mark.parametrize(
    "comment",
    [
        {},
        {"rating": "sideways"},
        {"rating": "up", "said": "x"},
        {"said": ""},
        {"said": "  "},
        {"said": "a\0b"},
        {"choice": "a"},
        {"choice": "c", "choices": ["a", "b"]},
        {"choice": "a", "choices": ["a", "a"]},
        {"rating": "up", "unknown": 1},
    ],
)
def test_comments_that_are_refused(served: Served, comment: dict[str, Any]) -> None:
    response_id, _ = _asked(served)
    assert _comment(served, response_id, **comment).status == 400
    assert _comment(served, response_id, rating="up").json["new"] is True


def test_nothing_is_kept_where_that_is_switched_off(upstream: ApiServer, store: Path) -> None:
    with Served(forwarding(f"{upstream.url}#m", store, keep_responses=0, workers=0, anonymous_people=True)) as served:
        send(served, "POST", "/v1/users", record("ann"))
        assert _comment(served, _asked(served)[0], rating="up").status == 404


def test_responses_go_with_the_user(served: Served) -> None:
    response_id, _ = _asked(served)
    _comment(served, response_id, said="I would have had a strong Assam.")
    erased = send(served, "DELETE", path_of("ann"), key="k-all").json
    assert (erased["rows"]["responses"], erased["rows"]["feedback"], erased["proven"]) == (1, 1, True)
    send(served, "POST", "/v1/users", record("ann"), key="k-all")
    assert _comment(served, response_id, rating="up").status == 404


def _chunk(content: str | None, index: int = 0, **more: Any) -> bytes:
    document = {"id": "r1", "choices": [{"index": index, "delta": {"content": content}}], **more}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def _heard(data: bytes, *, events: bool = True, compressed: bool = False) -> tuple[str, str] | None:
    heard = Heard()
    for start in range(0, len(data), 7):
        heard.add(data[start : start + 7])
    kind = "text/event-stream; charset=utf-8" if events else "application/json"
    return heard.answer(content_type=kind, compressed=compressed)


def test_what_is_heard_of_streams() -> None:
    usage = b'data: {"id": "r1", "choices": [], "usage": {"total_tokens": 3}}\r\n\r\n'
    whole = _chunk(None) + _chunk("Gr\u00fcn") + b": comment\n\n" + _chunk("no", 1) + _chunk("er Tee") + usage
    assert _heard(whole + b"data: [DONE]\n\n") == ("r1", "Gr\u00fcner Tee")
    assert _heard(gzip.compress(whole), compressed=True) == ("r1", "Gr\u00fcner Tee")
    assert _heard(zlib.compress(whole), compressed=True) == ("r1", "Gr\u00fcner Tee")
    for silent in (_chunk(None), _chunk("  "), b"data: {broken\n\n", b"", _chunk("x" * 60_000), b"x" * 2_000_000):
        assert _heard(silent) is None
    assert _heard(b"no gzip", compressed=True) is None
    assert _heard(gzip.compress(b"[" * 10_000_000), compressed=True) is None


def test_what_is_heard_of_whole_answers() -> None:
    answer = {"id": "r1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Tea."}}]}
    assert _heard(json.dumps(answer).encode(), events=False) == ("r1", "Tea.")
    calls = {"id": "r1", "choices": [{"message": {"content": None, "tool_calls": [{}]}}]}
    for silent in (calls, {"choices": answer["choices"]}, {"id": "r1"}, [], {"id": "r1", "choices": "x"}):
        assert _heard(json.dumps(silent).encode(), events=False) is None
