"""Doubles in the place of models that commands open by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from idiolect.application import model_pool
from idiolect.application.model_pool import OpenModel, OpenSimilarity, PriceOf, own_model
from idiolect.application.run import CallSettings
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Similarity


def open_models(patch: pytest.MonkeyPatch, double: Callable[[str], LanguageModel | None]) -> None:
    """Let a name open the double that a function returns for it; where that is None, what it means."""
    open_named_model = model_pool.open_named_model

    def opened(name: str, settings: CallSettings, price_of: PriceOf) -> OpenModel:
        model = double(name)
        return open_named_model(name, settings, price_of) if model is None else own_model(model)

    patch.setattr(model_pool, "open_named_model", opened)


def open_similarities(patch: pytest.MonkeyPatch, double: Callable[[str], Similarity]) -> None:
    """Let every similarity's name open what a function returns for it."""

    def opened(name: str, *_: Any) -> OpenSimilarity:
        return OpenSimilarity(double(name), name)

    patch.setattr(model_pool, "open_named_similarity", opened)
