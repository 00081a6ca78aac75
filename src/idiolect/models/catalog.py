"""From the names that users write to models: what the command line and the methods' settings open. Imports no torch
until a local model is asked for, and no HTTP client until a remote one is.

    open_model("embedded")                       the bundled SmolLM2-135M-Instruct
    open_model("Qwen/Qwen3-0.6B")                a Hugging Face id, or a folder
    open_model("gpt-4o-mini")                    OpenAI; also openai:NAME, for any name
    open_model("http://localhost:8000/v1#NAME")  any server that speaks OpenAI's API
    open_model("replay:recording.jsonl")         what a model once answered
    open_similarity("bm25")                      words in common; or "minilm", a sentence-transformers id, or a
                                                 remote embedding model, named as above
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from idiolect.errors import SettingsError
from idiolect.models.language_model import LanguageModel
from idiolect.models.remote.endpoint import Endpoint, is_remote_name, parse_endpoint
from idiolect.models.replay import ReplayModel
from idiolect.models.similarity import Bm25Similarity, EmbeddingSimilarity, Similarity

if TYPE_CHECKING:
    from idiolect.models.remote.transport import RemoteSettings

_REPLAY = "replay:"
_OWN_NAMES = ("embedded", "minilm", "bm25")  # never folders, whatever lies in the working directory


def is_remote(name: str) -> bool:
    """Whether the name means a model behind an API; an existing folder of that name comes first."""
    return is_remote_name(name) and not Path(name).is_dir()


def open_model(name: str, *, remote: RemoteSettings | None = None, dtype: str | None = None) -> LanguageModel:
    """The language model that `name` means; loading a local one takes seconds.

    Args:
        name: see above.
        remote: how a server is called; None: as by default.
        dtype: of a local model's weights, such as "bfloat16"; None: as `load_local_model` has it.

    Raises:
        SettingsError: the name means nothing, or the key of a remote model is missing.
        ModelError: there is no such model, or it cannot be read.
        MissingExtraError: local models are not installed.
    """
    if not name.strip():
        raise SettingsError("the model's name is empty")
    if name.startswith(_REPLAY):
        return ReplayModel(name.removeprefix(_REPLAY))
    if is_remote(name):
        from idiolect.models.remote.chat import open_remote_model
        from idiolect.models.remote.transport import RemoteSettings

        return open_remote_model(name, settings=remote or RemoteSettings())
    from idiolect.models.local import load_local_model

    return load_local_model(name, dtype=dtype)


def open_similarity(name: str, *, remote: RemoteSettings | None = None) -> Similarity:
    """The similarity that `name` means; an embedding model is loaded, or asked, at its first text.

    Raises:
        SettingsError: the name means nothing, or the key of a remote model is missing.
        MissingExtraError: sentence embeddings are not installed.
    """
    if not name.strip():
        raise SettingsError("the similarity's name is empty")
    if name == "bm25":
        return Bm25Similarity()
    if is_remote(name):
        from idiolect.models.remote.embedding import RemoteEmbedder
        from idiolect.models.remote.transport import RemoteSettings

        return EmbeddingSimilarity(RemoteEmbedder(_named_endpoint(name), settings=remote or RemoteSettings()))
    from idiolect.models.embedding import SentenceEmbedder

    return EmbeddingSimilarity(SentenceEmbedder(name))


def _named_endpoint(name: str) -> Endpoint:
    endpoint = parse_endpoint(name)
    if endpoint is None or not endpoint.model:
        raise SettingsError("a remote embedding model is named openai:NAME or URL#NAME")
    return endpoint


def lasting_name(name: str) -> str:
    """The name of a model, with a path made absolute: it has to mean the same in another folder, another day."""
    if name in _OWN_NAMES or not name.strip():
        return name
    if name.startswith(_REPLAY):
        return _REPLAY + str(Path(name.removeprefix(_REPLAY)).expanduser().absolute())
    endpoint = parse_endpoint(name) if is_remote(name) else None
    if endpoint is not None:
        return endpoint.name
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name


def server_of(name: str) -> str:
    """The URL that a remote model's name leads to now: `openai:NAME` may mean another server tomorrow."""
    endpoint = parse_endpoint(name)
    return "" if endpoint is None else endpoint.base_url


def price_name(name: str) -> str:
    """What a table of prices knows a remote model by: `openai:NAME` on another server costs what that server asks."""
    endpoint = parse_endpoint(name)
    return name if endpoint is None else f"{endpoint.base_url}#{endpoint.model}"
