"""The upstream's key: from wherever the settings say, for answers and for fits, and for no other server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.api_server import ApiServer
from tests.cli.remote_world import answer, person
from tests.serve.requesting import path_of, send
from tests.serve.serving import HELLO, Served, forwarding

KEY = "sk-of-the-upstream"
FIT = {"preset": "api", "similarity": "bm25", "iterations": 1}


def _key(place: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    if place == "upstream_key_env":
        monkeypatch.setenv("KEY_OF_THE_UPSTREAM", KEY)
        return {place: "KEY_OF_THE_UPSTREAM"}
    (folder / "key").write_text(f"{KEY}\n")
    return {place: folder / "key"}


def _fitted(served: Served) -> Any:
    send(served, "POST", "/v1/users", person("ann"))
    job = send(served, "POST", path_of("ann", "/fits"), FIT).json
    deadline = time.monotonic() + 60
    while job["state"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        job = send(served, "GET", path_of("ann", f"/fits/{job['id']}")).json
    return job


@pytest.mark.parametrize("place", ["upstream_key_env", "upstream_key_file"])
def test_fits_call_the_upstream_with_its_key(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _key(place, tmp_path, monkeypatch)
    with ApiServer(answer) as upstream:
        with Served(forwarding(f"{upstream.url}#m", tmp_path, anonymous_people=True, **given)) as served:
            assert served.ask(body=HELLO).status == 200
            assert _fitted(served)["state"] == "done"
        assert len(upstream.log) > 1
        assert {each.headers["authorization"] for each in upstream.log} == {f"Bearer {KEY}"}


def test_another_server_does_not_get_the_upstreams_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _key("upstream_key_file", tmp_path, monkeypatch)
    with ApiServer(answer) as upstream, ApiServer(answer) as other:
        settings = forwarding(f"{upstream.url}#m", tmp_path, anonymous_people=True, fit_model=f"{other.url}#m", **given)
        with Served(settings) as served:
            assert _fitted(served)["state"] == "done"
        assert upstream.log == []
        assert {each.headers["authorization"] for each in other.log} == {"Bearer none"}


def test_a_key_is_in_no_settings_that_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = _key("upstream_key_file", tmp_path, monkeypatch)
    with Served(forwarding("http://127.0.0.1:9/v1#m", tmp_path, **given)) as served:
        assert KEY not in served.call(lambda gateway: repr((gateway.settings, gateway.workspace.settings)))
    files = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "key"]
    assert files
    assert not any(KEY.encode() in file.read_bytes() for file in files)
