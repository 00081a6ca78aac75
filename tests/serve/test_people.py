"""Users over HTTP: any id, what is refused and why, and keys that reach one user, one tenant, or no people at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from idiolect.cli.app import app
from idiolect.store import DEFAULT_TENANT, Store
from tests.serve.requesting import TEA, path_of, record, send
from tests.serve.serving import Reply, Served, forwarding, key

PEOPLE = ("chat", "people")
KEYS = (
    key("all", "k-all", scopes=PEOPLE),
    key("chat", "k-chat"),
    key("cy", "k-cy", scopes=PEOPLE, user="cy"),
    key("other", "k-other", scopes=PEOPLE, tenant="other"),
)
IDS = ("ann", "a/b", "a b", "a%2Fb", "a?b#c", "{x}", "日本語 ✓", "a\nb", "..a", "%", "é" * 500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people") / "store"


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Served]:
    with Served(forwarding("http://127.0.0.1:9/v1", folder, keys=KEYS)) as gateway:
        yield gateway


@pytest.fixture
def ask(served: Served) -> Any:
    def ask(method: str, path: str, body: object = None, *, key: str | None = "k-all", **more: Any) -> Reply:
        return send(served, method, path, body, key=key, **more)

    return ask


@pytest.mark.parametrize("user_id", IDS)
def test_a_user_of_any_id_is_created_read_changed_and_erased(ask: Any, user_id: str) -> None:
    made = ask("POST", "/v1/users", record(user_id))
    assert (made.status, made.json["id"], made.json["opinions"]) == (201, user_id, 1)
    assert ask("POST", "/v1/users", record(user_id)).error["code"] == "user_exists"
    assert ask("GET", path_of(user_id)).json["profile"] == {"Age": "30-44"}
    added = ask("POST", path_of(user_id, "/opinions"), {"question": "Why?", "answer": "It is warm."})
    assert added.json == {"id": user_id, "opinion": "added", "learned": False}
    assert ask("POST", path_of(user_id, "/opinions"), {"question": "Why?", "answer": "-"}).json["opinion"] == "replaced"
    assert ask("POST", path_of(user_id, "/texts"), {"texts": ["I walk.", "I walk."]}).json["added"] == 1
    removed = ask("POST", path_of(user_id, "/opinions/remove"), {"question": "Why?"})
    assert removed.json == {"user": user_id, "removed": True, "opinions": 1}
    replaced = ask("PUT", path_of(user_id), {"texts": ["I sing."]})
    assert (replaced.status, replaced.json["opinions"], replaced.json["texts"]) == (200, 0, 1)
    exported = ask("GET", path_of(user_id, "/export"))
    assert exported.json["user"] == {"id": user_id, "profile": {}, "texts": ["I sing."]}
    erased = ask("DELETE", path_of(user_id))
    assert (erased.status, erased.json["user"], erased.json["in_store"]) == (200, user_id, True)
    assert erased.json["found_after"] == {"count": 0, "places": {}}
    assert ask("GET", path_of(user_id)).error["code"] == "user_not_found"
    assert ask("DELETE", path_of(user_id)).status == 404


@pytest.mark.parametrize("path", ["/v1/users/", "/v1/users//opinions", "/v1/users/a/b", "/v1/users/" + "a" * 9000])
def test_paths_that_name_nobody(ask: Any, path: str) -> None:
    assert ask("GET", path).status in (400, 404, 405)


def test_an_id_that_is_not_utf8_is_refused(ask: Any) -> None:
    assert ask("GET", "/v1/users/%FF").error["param"] == "user"


@pytest.mark.parametrize("user_id", ["", " ", "é" * 513, ".", "..", "a\0b", "\ud800"])
def test_ids_that_no_user_may_have(ask: Any, user_id: str) -> None:
    refused = ask("POST", "/v1/users", record(user_id))
    assert (refused.status, refused.error["param"]) == (400, "id")


def test_every_fault_of_a_record_is_named_but_not_quoted(ask: Any) -> None:
    wrong = {"id": "x", "opinions": [{**TEA, "answer": "SECRET"}, {"question": "Why?"}], "texts": [" "]}
    refused = ask("POST", "/v1/users", wrong)
    assert refused.status == 400
    for field in ("opinions[0].answer", "opinions[1].answer", "texts[0]"):
        assert field in refused.error["message"]
    assert "SECRET" not in refused.error["message"]
    assert ask("POST", "/v1/users", {"id": "x"}).status == 400
    assert ask("POST", "/v1/users", data=b"[1]").error["code"] == "invalid_json"
    assert ask("POST", "/v1/users", data=b'{"id": "x", "id": "y", "texts": ["a"]}').status == 400
    assert ask("POST", "/v1/users", record("x"), headers={"Content-Type": "text/plain"}).status == 415


def test_faults_of_single_opinions_and_texts(ask: Any) -> None:
    ask("PUT", path_of("fay"), record("fay"))
    assert ask("POST", path_of("fay", "/opinions"), {**TEA, "answer": "milk"}).error["param"] == "answer"
    assert ask("POST", path_of("fay", "/opinions"), {**TEA, "answer": "tea", "x": "a\0b"}).status == 400
    assert ask("POST", path_of("fay", "/texts"), {"texts": []}).error["param"] == "texts"
    assert ask("POST", path_of("fay", "/texts"), {"texts": ["a", 1]}).error["param"] == "texts[1]"
    assert ask("PUT", path_of("fay"), record("gus")).error["param"] == "id"
    assert ask("POST", path_of("nobody", "/opinions"), TEA).error["code"] == "user_not_found"


def test_opinions_that_cannot_be_removed(ask: Any) -> None:
    ask("PUT", path_of("hal"), record("hal"))
    remove = path_of("hal", "/opinions/remove")
    assert ask("POST", remove, {"question": "Tea or"}).error["code"] == "opinion_not_found"
    assert ask("POST", remove, {"question": TEA["question"]}).error["code"] == "last_opinion"
    ask("POST", path_of("hal", "/opinions"), {"question": TEA["question"], "answer": "Tea."})
    assert ask("POST", remove, {"question": TEA["question"]}).error["code"] == "ambiguous_opinion"
    assert ask("POST", remove, {"question": TEA["question"], "choices": []}).json["opinions"] == 1


def test_users_are_listed_by_page(served: Served) -> None:
    def page(query: str, key: str = "k-other") -> Any:
        return send(served, "GET", f"/v1/users{query}", key=key).json

    for user_id in ("u1", "u2", "u/3"):
        send(served, "POST", "/v1/users", record(user_id), key="k-other")
    first = page("?limit=2")
    assert ([each["id"] for each in first["data"]], first["has_more"]) == (["u/3", "u1"], True)
    rest = page(f"?limit=2&after={first['last_id']}")
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == (["u2"], False)
    for limit in ("0", "-1", "x", "500", "9" * 30):
        assert send(served, "GET", f"/v1/users?limit={limit}", key="k-other").error["param"] == "limit"


def test_a_tenant_knows_nothing_of_anothers_people(ask: Any) -> None:
    ask("PUT", path_of("ida"), record("ida"))
    for method, rest, body in (
        ("GET", "", None),
        ("GET", "/export", None),
        ("GET", "/dispositions", None),
        ("POST", "/opinions", TEA),
        ("POST", "/texts", {"texts": ["a"]}),
        ("DELETE", "", None),
    ):
        theirs = ask(method, path_of("ida", rest), body, key="k-other")
        nobodys = ask(method, path_of("never-there", rest), body, key="k-other")
        assert (theirs.status, theirs.body) == (nobodys.status, nobodys.body)
        assert theirs.status == 404
    assert ask("POST", "/v1/users", record("ida"), key="k-other").status == 201
    assert ask("DELETE", path_of("ida"), key="k-other").status == 200
    assert ask("GET", path_of("ida")).status == 200


def test_a_key_of_one_user_reaches_no_other(ask: Any) -> None:
    ask("PUT", path_of("ann"), record("ann"))
    assert ask("GET", path_of("ann"), key="k-cy").error["code"] == "user_not_found"
    assert ask("DELETE", path_of("ann"), key="k-cy").status == 404
    assert ask("POST", "/v1/users", record("ann"), key="k-cy").status == 403
    assert ask("GET", "/v1/users", key="k-cy").json["data"] == []
    assert ask("POST", "/v1/users", record("cy"), key="k-cy").status == 201
    assert [each["id"] for each in ask("GET", "/v1/users", key="k-cy").json["data"]] == ["cy"]
    assert ask("DELETE", path_of("cy"), key="k-cy").status == 200


def test_a_key_for_chats_reaches_no_people_and_no_key_neither(ask: Any) -> None:
    assert ask("GET", "/v1/users", key="k-chat").status == 403
    assert ask("GET", "/v1/users", key=None).status == 401
    assert ask("GET", "/v1/users", key="wrong").status == 401


def test_without_keys_people_are_for_this_machine_only_and_where_that_is_switched_on(tmp_path: Path) -> None:
    with Served(forwarding("http://127.0.0.1:9/v1", tmp_path / "store")) as served:
        assert send(served, "GET", "/v1/users").status == 401
    with Served(forwarding("http://127.0.0.1:9/v1", tmp_path / "store", anonymous_people=True)) as served:
        assert send(served, "POST", "/v1/users", record("ann")).status == 201
        assert send(served, "GET", "/v1/users", headers={"Host": "evil.example"}).status == 403
        assert send(served, "GET", "/v1/users", headers={"X-Forwarded-For": "203.0.113.9"}).status == 401
    with Served(
        forwarding("http://127.0.0.1:9/v1", tmp_path / "store", anonymous="yes", anonymous_people=True)
    ) as served:
        assert send(served, "GET", "/v1/users").status == 401


def test_the_command_line_and_http_show_the_same_documents(learned_once: Path) -> None:
    def printed(*arguments: str) -> Any:
        shown = CliRunner().invoke(app, ["users", *arguments, "--store", str(learned_once), "--json"])
        assert shown.exit_code == 0
        return json.loads(shown.stdout.splitlines()[0] if arguments == ("list",) else shown.stdout)

    with Served(forwarding("http://127.0.0.1:9/v1", learned_once, anonymous_people=True)) as served:

        def got(path: str) -> Any:
            return send(served, "GET", path).json

        assert got("/v1/users/ann") == printed("show", "ann")
        assert got("/v1/users/ann/dispositions") == printed("dispositions", "ann")
        assert got("/v1/users")["data"][0] == printed("list")
        exported = got("/v1/users/ann/export")
        assert exported.pop("caches_missed") == []
        assert exported == printed("export", "ann")


def test_dispositions_are_corrected(store: Path) -> None:
    with Served(forwarding("http://127.0.0.1:9/v1", store, anonymous_people=True)) as served:

        def patch(**changes: Any) -> Reply:
            return send(served, "PATCH", "/v1/users/ann/dispositions", changes)

        added = patch(add=["I do not eat meat."])
        assert [each["text"] for each in added.json["dispositions"]] == ["I do not eat meat."]
        reworded = patch(reword=[{"number": 1, "text": "I eat no meat."}])
        assert reworded.json["dispositions"][0]["text"] == "I eat no meat."
        assert patch(strike=[1]).json["dispositions"][0]["struck"] is True
        assert patch(strike=[7]).error["code"] == "disposition_not_changed"
        for wrong in ({"strike": ["1"]}, {"add": [" "]}, {"add": ["a\0b"]}, {"strike": [1], "restore": [1]}, {"x": 1}):
            assert patch(**wrong).status == 400
        missing = send(served, "GET", "/v1/users/silent/dispositions")
        assert (missing.status, missing.error["code"]) == (404, "nothing_learned")
    with Store.open(store, tenant=DEFAULT_TENANT) as opened:
        assert opened.find_personalization("ann", "fermi") is not None
