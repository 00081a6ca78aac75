"""From the names that users write to models: what the command line and the methods' settings open. Imports no torch
until a local model is asked for.

    open_model("embedded")                 the bundled SmolLM2-135M-Instruct
    open_model("Qwen/Qwen3-0.6B")          a Hugging Face id, or a folder
    open_model("replay:recording.jsonl")   what a model once answered
    open_similarity("bm25")                words in common; or "minilm", or a sentence-transformers id
"""

from __future__ import annotations

import re

from idiolect.errors import SettingsError
from idiolect.models.language_model import LanguageModel
from idiolect.models.replay import ReplayModel
from idiolect.models.similarity import Bm25Similarity, EmbeddingSimilarity, Similarity

_REMOTE = re.compile(r"\s*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CREDENTIALS = re.compile(r"//[^/]*@|[?#].*", re.DOTALL)
_REPLAY = "replay:"


def open_model(name: str) -> LanguageModel:
    """The language model that `name` means; loading a local one takes seconds.

    Raises:
        SettingsError: the name means nothing, or a remote model.
        ModelError: there is no such model, or it cannot be read.
        MissingExtraError: local models are not installed.
    """
    if not name.strip():
        raise SettingsError("the model's name is empty")
    if _REMOTE.match(name):
        raise SettingsError(
            f"{_without_credentials(name)}: remote models come with the next release; "
            "now: 'embedded', a Hugging Face id, or a folder"
        )
    if name.startswith(_REPLAY):
        return ReplayModel(name.removeprefix(_REPLAY))
    from idiolect.models.local import load_local_model

    return load_local_model(name)


def open_similarity(name: str) -> Similarity:
    """The similarity that `name` means; an embedding model is loaded at its first text.

    Raises:
        SettingsError: the name means nothing, or a remote model.
        MissingExtraError: sentence embeddings are not installed.
    """
    if not name.strip():
        raise SettingsError("the similarity's name is empty")
    if _REMOTE.match(name):
        raise SettingsError(
            f"{_without_credentials(name)}: remote embeddings come with the next release; "
            "now: 'bm25', 'minilm', or a sentence-transformers id"
        )
    if name == "bm25":
        return Bm25Similarity()
    from idiolect.models.embedding import SentenceEmbedder

    return EmbeddingSimilarity(SentenceEmbedder(name))


def _without_credentials(url: str) -> str:
    """The URL as messages may show it: without user, password and query."""
    return _CREDENTIALS.sub(lambda found: "//" if found[0].startswith("//") else "", url.strip())
