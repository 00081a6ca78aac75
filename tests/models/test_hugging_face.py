from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from idiolect.errors import ModelError
from idiolect.models import hugging_face


def hub(monkeypatch: pytest.MonkeyPatch, error: Exception | None, *, downloaded: bool) -> None:
    def model_info(*_: object, **__: object) -> None:
        if error:
            raise error

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    monkeypatch.setattr(hugging_face, "is_downloaded", lambda _: downloaded)


def test_a_folder_and_what_was_downloaded_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, OSError("no network"), downloaded=True)
    assert hugging_face.from_here_or_hub(str(tmp_path), lambda local: local)
    assert hugging_face.from_here_or_hub("some/id", lambda local: local)


def test_an_interrupted_download_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, None, downloaded=True)
    asked = []

    def load(local_files_only: bool) -> str:
        asked.append(local_files_only)
        if local_files_only:
            raise OSError("a file is missing")
        return "model"

    assert hugging_face.from_here_or_hub("some/id", load) == "model"
    assert asked == [True, False]


def test_an_unknown_id_and_no_network_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    for error, words in ((unknown, "neither a local folder"), (OSError("no network"), "could not be reached")):
        hub(monkeypatch, error, downloaded=False)
        with pytest.raises(ModelError, match=words):
            hugging_face.from_here_or_hub("some/id", lambda local: local)


def test_a_name_that_can_be_no_id_is_unknown() -> None:
    with pytest.raises(ModelError, match="neither a local folder"):
        hugging_face.is_downloaded("not an id / at all")


def test_quiet_gives_back_what_was_set() -> None:
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    gguf_reading: Any = modeling_gguf_pytorch_utils

    before = (logging.get_verbosity(), logging.is_progress_bar_enabled(), gguf_reading.tqdm)
    with hugging_face.quiet():
        assert not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled(), gguf_reading.tqdm) == before
