"""Quiet, fast-failing use of the Hugging Face libraries, shared by `loading` and `embedding`.

A name that is on this machine is never looked up on the network. Any other name is looked up once, with a time limit,
before a library starts its minutes of retries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from huggingface_hub import HfApi, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from transformers import modeling_gguf_pytorch_utils as gguf_reading
from transformers.utils import logging as transformers_logging

from idiolect.errors import ModelError

T = TypeVar("T")

_TIMEOUT_SECONDS = 15.0


def from_here_or_hub(name: str, load: Callable[[bool], T]) -> T:
    """Return the result of `load(local_files_only)` for `name`, a folder or an id; use local files if there are any.

    Raises:
        ModelError: there are none, and the Hub does not have the id or cannot be reached.
        OSError: the local files are not a model. Other errors of `load` are passed on unchanged.
    """
    if Path(name).is_dir():
        return load(True)
    if is_downloaded(name):
        try:
            return load(True)
        except OSError:  # some files are missing: an interrupted download
            pass
    check_hub(name)
    return load(False)


def is_downloaded(name: str) -> bool:
    """Return whether files of this id have been downloaded before, if only some of them."""
    try:
        return any(isinstance(try_to_load_from_cache(name, file), str) for file in ("config.json", "modules.json"))
    except HFValidationError as error:
        raise _unknown(name) from error


def downloaded_folder(name: str) -> Path | None:
    """Return the folder with the downloaded files of an id; None if there is none."""
    config = try_to_load_from_cache(name, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def check_hub(name: str) -> None:
    """Look this id up on the Hub, once.

    Raises:
        ModelError: the Hub does not have it or cannot be reached.
    """
    try:
        HfApi().model_info(name, timeout=_TIMEOUT_SECONDS)
    except RepositoryNotFoundError as error:
        raise _unknown(name) from error
    except Exception as error:  # a network can fail in many ways
        raise ModelError(
            f"the model {name!r} is not on this machine, and the Hugging Face Hub could not be reached to download it"
        ) from error


def _unknown(name: str) -> ModelError:
    return ModelError(f"no model {name!r}: it is neither a local folder nor an id on the Hugging Face Hub")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the libraries' progress bars and advice, then restore the user's settings."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    bar = getattr(gguf_reading, "tqdm", None)  # that module draws its bar regardless of the setting
    if bar is not None:
        setattr(gguf_reading, "tqdm", lambda iterable, **_: iterable)  # noqa: B010 (for mypy: the name is not exported)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bar is not None:
            setattr(gguf_reading, "tqdm", bar)  # noqa: B010
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]
