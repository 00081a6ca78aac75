"""Manners towards the Hugging Face libraries, shared by `loading` and `embedding`: quiet, and quick to say no.

A name that is on this machine is never looked up on the network; one that is not is asked for once, with a time limit,
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
    """What `load(local_files_only)` makes of `name`, a folder or an id: from this machine if it is there.

    Raises:
        ModelError: it is not, and the Hub does not know it or cannot be reached.
        OSError: the files are here, but are no model; `load`'s other errors as they are.
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
    """Whether the files of this id, or some of them, have been downloaded before."""
    try:
        return any(isinstance(try_to_load_from_cache(name, file), str) for file in ("config.json", "modules.json"))
    except HFValidationError as error:
        raise _unknown(name) from error


def check_hub(name: str) -> None:
    """Asks the Hub once whether it has this id.

    Raises:
        ModelError: it does not, or cannot be reached.
    """
    try:
        HfApi().model_info(name, timeout=_TIMEOUT_SECONDS)
    except RepositoryNotFoundError as error:
        raise _unknown(name) from error
    except Exception as error:  # whatever a network can do
        raise ModelError(
            f"the model {name!r} is not on this machine, and the Hugging Face Hub could not be reached to get it"
        ) from error


def _unknown(name: str) -> ModelError:
    return ModelError(f"no model {name!r}: it is neither a folder here nor an id on the Hugging Face Hub")


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no advice of the libraries; what the user had set comes back after."""
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    bar = getattr(gguf_reading, "tqdm", None)  # that module draws its bar whatever the setting is
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
