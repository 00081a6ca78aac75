"""A second copy of the weights that scores in another dtype."""

from __future__ import annotations

import pytest
import torch

from idiolect.errors import ModelError
from idiolect.models import precision
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, SamplingParams
from idiolect.models.loading import copy_in_dtype
from idiolect.models.local import LocalSettings
from idiolect.models.precision import faster_scoring_dtype
from tests.models import tiny


async def test_only_choices_are_scored_in_the_other_dtype() -> None:
    asked = [ChoiceRequest(tiny.ask("agree?"), ("agree", "disagree"))]
    written = [CompletionRequest(tiny.ask("agree?"), SamplingParams(6))]
    plain, mixed = tiny.local_model(), tiny.local_model(settings=LocalSettings(scoring_dtype="bfloat16"))
    (exact,), (rounded,) = await plain.choice_logprobs(asked), await mixed.choice_logprobs(asked)
    assert rounded.logprobs != exact.logprobs
    assert rounded.logprobs == pytest.approx(exact.logprobs, rel=0.05)
    assert await plain.complete(written) == await mixed.complete(written)
    texts = [(tiny.ask("agree?"), "agree")]
    assert torch.equal(await plain.likelihood_gradients(texts), await mixed.likelihood_gradients(texts))


async def test_the_copy_is_edited_too() -> None:
    model = tiny.local_model(settings=LocalSettings(scoring_dtype="bfloat16"))
    asked = [ChoiceRequest(tiny.ask("agree?"), ("agree", "disagree"))]
    (before,), (after,) = [await each.choice_logprobs(asked) for each in (model, model.with_edit(tiny.edit(1)))]
    (exact,) = await tiny.local_model().with_edit(tiny.edit(1)).choice_logprobs(asked)
    assert after.logprobs != before.logprobs
    assert after.logprobs == pytest.approx(exact.logprobs, rel=0.05)


def test_a_copy_keeps_the_rotary_frequencies_exact() -> None:
    copied = copy_in_dtype(tiny.llama(), torch.bfloat16)
    assert copied.lm_head.weight.dtype == torch.bfloat16
    assert torch.equal(copied.model.rotary_emb.inv_freq, tiny.llama().model.rotary_emb.inv_freq)


def test_an_unknown_dtype_is_an_error_that_names_it() -> None:
    with pytest.raises(ModelError, match="unknown dtype 'float17'"):
        tiny.local_model(settings=LocalSettings(scoring_dtype="float17"))


@pytest.mark.parametrize(("seconds", "expected"), [((2.0, 1.0), "bfloat16"), ((1.2, 1.0), None), ((1.0, 4.0), None)])
def test_the_faster_dtype_is_the_measured_one(
    monkeypatch: pytest.MonkeyPatch, seconds: tuple[float, float], expected: str | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    times = dict(zip((torch.float32, torch.bfloat16), seconds, strict=True))
    monkeypatch.setattr(precision, "_seconds", lambda rows, _: times[rows.dtype])
    assert faster_scoring_dtype() == expected


def test_a_gpu_needs_no_second_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert faster_scoring_dtype() is None
