"""What fits over HTTP choose where the request leaves it out."""

from __future__ import annotations

from typing import Any

import pytest

from idiolect.application.choices import FermiChoices
from idiolect.application.names import FERMI
from idiolect.models import extras
from idiolect.serve.job_work import FitOptions


def _similarity(**options: Any) -> str | None:
    choices = FitOptions(**options).choices(FERMI)
    assert isinstance(choices, FermiChoices)
    return choices.similarity


def test_similarity_is_the_presets_where_its_packages_are_installed() -> None:
    assert _similarity() is None
    assert _similarity(similarity="bm25") == "bm25"


def test_similarity_works_without_packages_where_a_gateway_only_forwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "torch" else True)
    assert _similarity() == _similarity(preset="api") == "bm25"
    assert _similarity(similarity="minilm") == "minilm", "what is named is not replaced; the fit names what is missing"
    assert _similarity(preset="paper") is None
