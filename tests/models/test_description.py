from __future__ import annotations

from dataclasses import replace

import pytest

from idiolect.application.describing import describe
from idiolect.application.model_pool import own_model
from idiolect.models.description import ModelDescription, public_url, quantization_of, reported_name
from idiolect.models.doubles import FunctionModel
from tests.models import tiny


@pytest.mark.parametrize(
    ("file", "quantization"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "Q4_1"),
        ("m-q8_0.gguf", "Q8_0"),
        ("m-IQ2_XXS.gguf", "IQ2_XXS"),
        ("m.gguf", None),
    ],
)
def test_the_quantization_is_read_from_a_files_name(file: str, quantization: str | None) -> None:
    assert quantization_of(file) == quantization


def test_a_url_loses_what_may_be_secret() -> None:
    assert public_url("https://ann:pass@host:1/v1?sig=secret&api-version=2024-06-01#m") == (
        "https://host:1/v1?api-version=2024-06-01"
    )


@pytest.mark.parametrize("value", ["two words", "x" * 201, "a\x1b[31m", "", None, 3])
def test_a_server_can_only_report_what_can_be_a_name(value: object) -> None:
    assert reported_name(value) is None
    assert reported_name("gpt-4o-2024-08-06") == "gpt-4o-2024-08-06"


def test_a_local_model_states_device_type_and_size() -> None:
    found = tiny.local_model().description()
    assert (found.kind, found.dtype, found.scoring_dtype, found.device) == ("local", "float32", "float32", "cpu")
    assert (found.parameters or 0) > 100
    assert "endpoint" not in found.to_json()


def test_an_open_local_model_is_described_with_its_fingerprint() -> None:
    model = tiny.local_model()
    assert describe(own_model(model)) == replace(model.description(), fingerprint=model.fingerprint())


def test_a_callers_own_model_is_an_object() -> None:
    assert describe(own_model(FunctionModel("double"))) == ModelDescription("double", "object")
