"""Exported adapters served by llama.cpp: two users and the base in turn, in its library and in its server."""

from __future__ import annotations

import ctypes
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from idiolect.models.local import LocalModel
from tests.export.adapters import QUESTIONS, prompts, published, strong

llama_cpp: Any = pytest.importorskip("llama_cpp", reason="llama.cpp is not compiled here, which needs a C++ compiler")
from idiolect.errors import ExportError, Remedy, VerificationError  # noqa: E402
from idiolect.export.verify_llamacpp import base_file, llamacpp_logits, verify_llamacpp  # noqa: E402

USERS = {"ann": strong(1), "bob": strong(2)}
TURNS = ("base", "ann", "bob", "base", "bob", "ann", "base")
QUESTION = QUESTIONS[0]


@pytest.fixture(scope="module")
def adapters(embedded_model: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    network, folder = embedded_model.network.module, tmp_path_factory.mktemp("adapters")
    return {user: published(edit, network, "gguf", folder).path for user, edit in USERS.items()}


def opened(adapter: Path | None = None) -> Any:
    lora = None if adapter is None else str(adapter)
    return llama_cpp.Llama(
        str(base_file("embedded")), lora_path=lora, n_ctx=128, n_threads=1, logits_all=True, verbose=False
    )


def logits(model: Any, ids: tuple[int, ...]) -> NDArray[np.float32]:
    model.reset()
    model.eval(list(ids))
    return np.array(model.scores[len(ids) - 1], dtype=np.float32)


def test_llama_cpp_moves_as_the_edit_does(embedded_model: LocalModel, adapters: dict[str, Path]) -> None:
    network, asked = embedded_model.network.module, prompts(embedded_model)[:1]
    checked = verify_llamacpp(adapters["ann"], base_file("embedded"), network, USERS["ann"], asked)
    assert checked.passed
    assert checked.correlation > 0.95
    assert "Q4_1" in checked.numbers
    with pytest.raises(VerificationError, match="acts differently from the edit"):
        verify_llamacpp(adapters["bob"], base_file("embedded"), network, USERS["ann"], asked).check()


def test_llama_cpp_refuses_an_adapter_for_another_shape(tmp_path: Path) -> None:
    from tests.models import tiny

    other = published(tiny.edit(0), tiny.llama(), "gguf", tmp_path).path
    with pytest.raises(ExportError, match=r"llama\.cpp rejected idiolect-.*does not fit"):
        llamacpp_logits(base_file("embedded"), [(5, 6, 7)], adapter=other)


def test_a_base_that_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is not a GGUF file") as caught:
        base_file(str(tmp_path))
    assert caught.value.remedy == Remedy("verify")


def test_users_and_the_base_in_turn_in_one_context(embedded_model: LocalModel, adapters: dict[str, Path]) -> None:
    ids = prompts(embedded_model)[0][-16:]
    alone = {}
    for user in ("base", *USERS):
        with closing(opened(adapters.get(user))) as model:
            alone[user] = logits(model, ids)
    assert min(float(np.abs(alone["base"] - alone[user]).max()) for user in USERS) > 1
    assert float(np.abs(alone["ann"] - alone["bob"]).max()) > 1
    with closing(opened()) as model:
        loaded = {user: llama_cpp.llama_adapter_lora_init(model.model, str(adapters[user]).encode()) for user in USERS}
        for user in TURNS:
            held = [loaded[user]] if user in loaded else []
            array = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(*held)
            scales = (ctypes.c_float * 1)(1.0)
            assert llama_cpp.llama_set_adapters_lora(model.ctx, array, len(held), scales) == 0
            np.testing.assert_allclose(logits(model, ids), alone[user], atol=1e-3)
        for adapter in loaded.values():
            llama_cpp.llama_adapter_lora_free(adapter)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as response:
        return json.load(response)


@pytest.fixture
def server(adapters: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """One process of llama-cpp-python's server: the base and both users, chosen by the request's `model`."""
    common = {"model": str(base_file("embedded")), "n_ctx": 128, "n_threads": 1, "logits_all": True, "verbose": False}
    models = [
        {**common, "model_alias": "base"},
        *({**common, "model_alias": user, "lora_path": str(path)} for user, path in adapters.items()),
    ]
    port = free_port()
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"host": "127.0.0.1", "port": port, "models": models}))
    log = tmp_path / "server.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "llama_cpp.server", "--config_file", str(config)]
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            await_answer(f"http://127.0.0.1:{port}/v1/models", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            post(url)
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


REQUEST = {"prompt": QUESTION, "max_tokens": 8, "temperature": 0.0, "repeat_penalty": 1.0, "logprobs": 3}


def told(choice: dict[str, Any]) -> tuple[str, list[float]]:
    return choice["text"], choice["logprobs"]["token_logprobs"]


def test_users_and_the_base_in_turn_from_one_server(server: str, adapters: dict[str, Path]) -> None:
    alone = {}
    for user in ("base", *USERS):
        with closing(opened(adapters.get(user))) as model:
            alone[user] = told(model.create_completion(**REQUEST)["choices"][0])
    assert len({text for text, _ in alone.values()}) == 3
    for user in TURNS:
        text, logprobs = told(post(f"{server}/v1/completions", {"model": user, **REQUEST})["choices"][0])
        assert text == alone[user][0]
        np.testing.assert_allclose(logprobs, alone[user][1], atol=1e-3)
