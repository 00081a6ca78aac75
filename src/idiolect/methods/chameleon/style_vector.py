"""StyleVector, a rival of CHAMELEON: the mean difference between a person's texts and plain ones with the same content.

    v_l = mean_i ( Φ_l(own_i) − Φ_l(plain_i) )          x ← x + α v_l     at one layer l, where text is generated

Zhang et al. 2025, "Personalized Text Generation with Contrastive Activation Steering" (arXiv 2503.05213). The model
itself writes plain_i, a text in neutral words with the same content as own_i, so that the content cancels. Φ_l is read
at the last token, as in the paper, or averaged over the text.

Ours differs in three ways. A long text is compared window by window: a model that rewrites all of it stops in the
middle, at its limit of tokens, and the end of the person's text would be compared with that. The paper reads and
changes the hidden state after layer l, we read and change the output of its MLP. What is added there is added to that
hidden state, but the vector that is read lacks what earlier layers and attention contribute. And the vector is added
through a reader (`rules.addition`), which is nearly constant over tokens, so that the edit is a LoRA of rank 1 and,
with positions "all", can be exported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from torch import Tensor

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.measuring import EditableModel
from idiolect.methods.chameleon.own_words import windows
from idiolect.methods.chameleon.preferences import likeness
from idiolect.methods.chameleon.rules import addition, constant_reader
from idiolect.methods.chameleon.sentences import whole_sentences
from idiolect.methods.setting_checks import require, require_one_of
from idiolect.methods.templating import render
from idiolect.methods.texts import PLAIN_REQUEST, storable
from idiolect.models.edits import Edit, Positions
from idiolect.models.language_model import CompletionModel, CompletionRequest, Message, SamplingParams
from idiolect.models.thoughts import after_thoughts
from idiolect.models.words import words_of

Pooling = Literal["last", "mean"]

_LEAST_PAIRS = 2


@dataclass(frozen=True, slots=True)
class StyleVectorSettings:
    """Settings of StyleVector.

    Args:
        pooling: where activations are read: at the "last" token of a text (the paper), or their "mean" over the text.
        positions: tokens on which the vector is added: "generated" ones (the paper), or "all", which can be exported.
        window_chars: maximum number of characters in a window of a text (`own_words.windows`). Each is rewritten and
            compared as a text of its own; the default is about what `max_tokens` hold.
        max_tokens: maximum number of tokens in a plain text; what is cut off ends with its last whole sentence.
        temperature: temperature of the plain texts; 0 is greedy.
        least_difference: a plain text that shares at least 1 − this of the words of the person's is not used.
        sample: number of tokens per layer for fitting the reader.
        seed: seed of the draws.

    Raises:
        SettingsError: a value is invalid.
    """

    pooling: Pooling = "last"
    positions: Positions = "generated"
    window_chars: int = 600
    max_tokens: int = 160
    temperature: float = 0.0
    least_difference: float = 0.1
    sample: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        require_one_of(Pooling, "vector.pooling", self.pooling)
        require_one_of(Positions, "vector.positions", self.positions)
        require(self.window_chars >= 1, "vector.window_chars", self.window_chars, "at least 1")
        require(self.max_tokens >= 1, "vector.max_tokens", self.max_tokens, "at least 1")
        finite = isfinite(self.temperature) and self.temperature >= 0
        require(finite, "vector.temperature", self.temperature, "0 or greater")
        require(0 <= self.least_difference < 1, "vector.least_difference", self.least_difference, "in [0, 1)")
        require(self.sample >= 1, "vector.sample", self.sample, "at least 1")


@dataclass(frozen=True, slots=True, eq=False)
class StyleVector:
    """A person's style vector of each of L layers.

    Args:
        vectors: v, float32, shape (L, d).
        readers: vectors with ⟨x, reader⟩ ≈ 1, shape (L, d).
        positions: tokens on which the vector is added.
        pairs: number of texts, or windows of them, with a usable plain text; dropped: number of the others.
    """

    vectors: Tensor
    readers: Tensor
    positions: Positions
    pairs: int
    dropped: int

    def edit(self, layer: int, alpha: float) -> Edit:
        """Return the edit that adds alpha times the vector of a layer, in [0, L), at that layer."""
        return Edit(
            {layer: addition(self.vectors[layer], self.readers[layer], strength=alpha)}, positions=self.positions
        )


async def fit_style_vector(
    texts: Sequence[str], model: EditableModel, settings: StyleVectorSettings, *, writer: CompletionModel | None = None
) -> StyleVector:
    """Compute the style vector of a person's texts.

    Args:
        texts: the person's texts.
        model: model with open weights, unedited.
        settings: settings of the method.
        writer: writes the plain texts: `model` with counted calls; None: `model` itself.

    Raises:
        PersonalizationError: fewer than two texts have a usable plain text.
        ModelError: the model could not answer.
    """
    pieces = [piece for text in texts for piece in windows(text, max_chars=settings.window_chars)]
    plain = await _plain(pieces, model if writer is None else writer, settings)
    pairs = [
        (own, other)
        for own, other in zip(pieces, plain, strict=True)
        if words_of(own) and words_of(other) and 1 - likeness(own, other) > settings.least_difference
    ]
    if len(pairs) < _LEAST_PAIRS:
        raise PersonalizationError(
            f"a style vector needs {_LEAST_PAIRS} texts, or parts of them, with a plain text; {len(pairs)} have one"
        )
    sides = [own for own, _ in pairs] + [other for _, other in pairs]
    request = (Message("user", PLAIN_REQUEST),)
    found = await model.activations([(request, text) for text in sides], sample=settings.sample)
    read = found.last if settings.pooling == "last" else found.mean  # (2 n, L, d)
    n = len(pairs)
    vectors = (read[:n] - read[n:]).mean(dim=0)  # (L, d)
    return StyleVector(vectors, constant_reader(found.tokens), settings.positions, n, len(pieces) - n)


async def _plain(pieces: Sequence[str], writer: CompletionModel, settings: StyleVectorSettings) -> list[str]:
    """Return a text in plain words with the same content as each piece; "" where the model wrote none."""
    sampling = SamplingParams(settings.max_tokens, settings.temperature, seed=settings.seed)
    requests = [
        CompletionRequest(
            (Message("user", render("style_vector_request.jinja", {"text": piece})),),
            sampling,
            draw=at,
            thinking=False,
        )
        for at, piece in enumerate(pieces)
    ]
    completions = await writer.complete(requests)
    said = [storable(after_thoughts(each.text).text) for each in completions]
    return [
        _whole_sentences(text) if each.finish_reason == "length" else text
        for text, each in zip(said, completions, strict=True)
    ]


def _whole_sentences(text: str) -> str:
    """Return a text that was cut off up to the end of its last whole sentence; all of it if there is none."""
    return whole_sentences(text) or text
