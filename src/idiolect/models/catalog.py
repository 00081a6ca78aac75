"""Opening models by name, for the command line and the methods' settings. Imports no torch until a local model is
opened, and no HTTP client until a remote one is.

    open_model("embedded")                       the bundled SmolLM2-135M-Instruct
    open_model("Qwen/Qwen3-0.6B")                a Hugging Face id, or a folder
    open_model("gpt-4o-mini")                    OpenAI; also openai:NAME, for any name
    open_model("http://localhost:8000/v1#NAME")  any server that speaks OpenAI's API
    open_model("replay:recording.jsonl")         a recording of another model's answers
    open_similarity("bm25")                      words in common; or "minilm", a sentence-transformers id, or a
                                                 remote embedding model, named as above

A caller that has to check, describe and close the model finds out its kind with `kind_of` and calls that kind's own
opener, whose return type has those methods. `open_model` is for callers that only need a `LanguageModel`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal, TypeAlias

from idiolect.errors import MissingExtraError, SettingsError
from idiolect.models.extras import BUNDLED_EMBEDDINGS, LOCAL_MODELS, missing_extra
from idiolect.models.language_model import LanguageModel
from idiolect.models.remote.endpoint import is_remote_name, parse_endpoint
from idiolect.models.replay import ReplayModel
from idiolect.paths import expanded

if TYPE_CHECKING:
    from idiolect.models.local import LocalModel
    from idiolect.models.remote.chat import RemoteModel
    from idiolect.models.remote.embedding import RemoteEmbedder
    from idiolect.models.remote.transport import RemoteSettings
    from idiolect.models.similarity import Similarity

ModelKind: TypeAlias = Literal["local", "remote", "prefixed"]

_REPLAY = "replay:"
# Openers of models in this process that have no weights, by the prefix of their names; each takes the rest of the name.
PREFIXED: Mapping[str, Callable[[str], LanguageModel]] = {
    _REPLAY: ReplayModel,
}
EMBEDDED_PARAMETERS = 134_515_008
_OWN_NAMES = ("embedded", "minilm", "bm25")  # never folders, even if the working directory contains one so named


def is_remote(name: str) -> bool:
    """Return whether the name refers to a model behind an API; an existing folder of that name takes precedence."""
    return is_remote_name(name) and not Path(name).is_dir()


def kind_of(name: str) -> ModelKind:
    """Return the kind of model that `name` refers to: local weights, a model behind an API, or a row of `PREFIXED`.

    Raises:
        SettingsError: the name is empty.
    """
    if not name.strip():
        raise SettingsError("the model's name is empty")
    if name.startswith(tuple(PREFIXED)):
        return "prefixed"
    return "remote" if is_remote(name) else "local"


def may_be_on_the_hub(name: str) -> bool:
    """Return whether the name is neither embedded, nor a file or folder, nor behind an API, so that it is a Hub id."""
    return kind_of(name) == "local" and name not in _OWN_NAMES and not Path(name).expanduser().exists()


def parameters_of(name: str) -> int | None:
    """Return the number of parameters of a local model, read from the headers of its files; no weights are loaded.

    Importing the libraries that read them takes seconds. None: the files are not on this machine or cannot be read, or
    local models are not installed.
    """
    if name == "embedded":
        return EMBEDDED_PARAMETERS
    if kind_of(name) != "local":
        return None
    try:
        with _no_collections():
            from idiolect.models.loading import count_parameters
    except ImportError:
        return None
    return count_parameters(name)


def open_model(name: str, *, remote: RemoteSettings | None = None, dtype: str | None = None) -> LanguageModel:
    """Open the language model that `name` refers to, with the opener of its kind."""
    kind = kind_of(name)
    if kind == "prefixed":
        return open_prefixed_model(name)
    return open_remote_model(name, settings=remote) if kind == "remote" else open_local_model(name, dtype=dtype)


def open_local_model(name: str, *, dtype: str | None = None, scoring_dtype: str | None = None) -> LocalModel:
    """Load a model into this process, which takes seconds.

    Args:
        name: "embedded", a Hugging Face id, or a folder.
        dtype: of the weights, such as "bfloat16"; None means float32 on a CPU and the weights' own dtype on a GPU.
        scoring_dtype: of a second copy of the weights, which scores choices; None for no copy.

    Raises:
        ModelError: there is no such model, or it cannot be read.
        MissingExtraError: local models are not installed.
    """
    with _no_collections():
        from idiolect.models.local import LocalSettings, load_local_model

        return load_local_model(name, dtype=dtype, settings=LocalSettings(scoring_dtype=scoring_dtype))


@contextmanager
def _no_collections() -> Iterator[None]:
    """Do without the garbage collector, which takes a fifth of the time that thousands of modules import in."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def faster_scoring_dtype() -> str | None:
    """Return the dtype that this CPU scores choices in faster than in float32, measured now; None if there is none.

    Raises:
        MissingExtraError: local models are not installed.
    """
    try:
        from idiolect.models import precision
    except ImportError as error:
        raise MissingExtraError.of("local models need", "local", error) from error
    return precision.faster_scoring_dtype()


def as_local_model(model: LanguageModel) -> LocalModel | None:
    """Return the model if it is a `LocalModel`; None if it is not, or if local models are not installed."""
    try:
        from idiolect.models.local import LocalModel
    except ImportError:
        return None
    return model if isinstance(model, LocalModel) else None


def open_remote_model(name: str, *, settings: RemoteSettings | None = None) -> RemoteModel:
    """Open a model behind an API; this makes a call only if the name does not specify the model.

    Args:
        name: such as "openai:NAME" or "URL#NAME".
        settings: how to call the server; None for the defaults.

    Raises:
        SettingsError: the name is not that of a remote model, or its key is missing.
        ModelError: the name does not specify the model, and the server does not list exactly one.
    """
    from idiolect.models.remote import chat, transport

    return chat.open_remote_model(name, settings=settings or transport.RemoteSettings())


def open_prefixed_model(name: str) -> LanguageModel:
    """Open a model of the table `PREFIXED`, such as a recording of another model's answers.

    Raises:
        ModelError: there is no such model; for a recording, there is no such file, or it contains several models.
    """
    prefix = next(prefix for prefix in PREFIXED if name.startswith(prefix))
    return PREFIXED[prefix](name.removeprefix(prefix))


def open_similarity(name: str, *, remote: RemoteSettings | None = None) -> Similarity:
    """Open the similarity that `name` refers to; an embedding model is loaded, or called, at its first text.

    Raises:
        SettingsError: the name is empty or not valid, or the key of a remote model is missing.
        MissingExtraError: sentence embeddings are not installed.
    """
    from idiolect.models.similarity import Bm25Similarity, EmbeddingSimilarity  # with numpy

    if not name.strip():
        raise SettingsError("the similarity's name is empty")
    if name == "bm25":
        return Bm25Similarity()
    if is_remote(name):
        return EmbeddingSimilarity(open_remote_embedder(name, settings=remote))
    from idiolect.models.embedding import SentenceEmbedder

    return EmbeddingSimilarity(SentenceEmbedder(name))


def missing_for_model(name: str) -> MissingExtraError | None:
    """Return the error that opening the model would raise because packages are missing; nothing is imported.

    Raises:
        SettingsError: the name is empty.
    """
    return missing_extra("local models need", *LOCAL_MODELS) if kind_of(name) == "local" else None


def missing_for_similarity(name: str) -> MissingExtraError | None:
    """Return the error that opening the similarity would raise because packages are missing; nothing is imported."""
    if name == "bm25" or is_remote(name):
        return None
    embeddings = BUNDLED_EMBEDDINGS if name == "minilm" else "sentence_transformers"
    return missing_extra("sentence embeddings need", *LOCAL_MODELS, embeddings)


def open_remote_embedder(name: str, *, settings: RemoteSettings | None = None) -> RemoteEmbedder:
    """Open an embedding model behind an API; it is called at its first text.

    Raises:
        SettingsError: the name does not specify the model, or its key is missing.
    """
    from idiolect.models.remote.embedding import RemoteEmbedder
    from idiolect.models.remote.transport import RemoteSettings

    endpoint = parse_endpoint(name)
    if endpoint is None or not endpoint.model:
        raise SettingsError("expected a remote embedding model named openai:NAME or URL#NAME")
    return RemoteEmbedder(endpoint, settings=settings or RemoteSettings())


def lasting_name(name: str) -> str:
    """Return a model's name with a path made absolute, so that it refers to the same model from any folder."""
    if name in _OWN_NAMES or not name.strip():
        return name
    if name.startswith(_REPLAY):
        return _REPLAY + str(expanded(name.removeprefix(_REPLAY), SettingsError).absolute())
    endpoint = parse_endpoint(name) if is_remote(name) else None
    if endpoint is not None:
        return endpoint.name
    path = expanded(name, SettingsError)
    return str(path.absolute()) if path.exists() else name


def without_folders(lasting: str) -> str:
    """Return a lasting name without the folders of this machine, for files that may be given away.

    Of a local path, the last part is left; a Hugging Face id or the name of a remote model stays as it is.
    """
    prefix = _REPLAY if lasting.startswith(_REPLAY) else ""
    path = PurePath(lasting.removeprefix(prefix))
    return prefix + path.name if path.is_absolute() else lasting


def server_of(name: str) -> str:
    """Return the URL that a remote model's name leads to at present; `openai:NAME` may lead elsewhere later."""
    endpoint = parse_endpoint(name)
    return "" if endpoint is None else endpoint.base_url


def price_name(name: str) -> str:
    """Return a remote model's name in a table of prices; it includes the URL, because prices depend on the server."""
    endpoint = parse_endpoint(name)
    return name if endpoint is None else f"{endpoint.base_url}#{endpoint.model}"
