"""Prompts that one model learned and another answers with, whose answers are not calibrated by the first model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from idiolect import Question
from idiolect.evaluate.methods.bench import Bench
from idiolect.evaluate.methods.fermi import FermiMethod, TransferredPrompts, as_it_is
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.fermi.extension_settings import EnsembleSettings
from idiolect.models.calls.model import Source
from idiolect.models.doubles import FunctionModel
from tests.evaluate.small_world import SETTINGS, bench, case, desk, said
from tests.methods.people import SCALE

NEW = Question("How much is dish 999 liked?", SCALE)
PREFERRED = {None: (0.8, 0.05, 0.05, 0.05, 0.05), "B": (0.4, 0.3, 0.15, 0.1, 0.05)}
"""The distribution with which each model answers every question; None: the model of the run."""


def model(name: str | None) -> Source:
    logs = [math.log(share) for share in PREFERRED[name]]
    double = FunctionModel(str(name), complete=said, choice_logprobs=lambda _: logs)
    return Source(double, str(name), fingerprint=str(name))


def two_models() -> Bench:
    answering = AnsweringSettings(mode="likelihood")
    fermi = replace(SETTINGS, answering=answering, ensemble=EnsembleSettings(calibrate=True))
    one, other = (bench(fermi=fermi, answering=answering, model=model(x), optimizer=model(x)) for x in PREFERRED)
    return replace(one, transfer={"B": other})


@pytest.mark.parametrize("learns_with", PREFERRED)
@pytest.mark.parametrize("answered_by", PREFERRED)
async def test_answers_of_another_model_are_not_calibrated(learns_with: str | None, answered_by: str | None) -> None:
    method = TransferredPrompts(FermiMethod(as_it_is), learns_with, answered_by)
    at = desk(two_models())
    learned = await method.learn(case("ann"), at)
    (answer,) = await method.examinee(learned, at).respondent.answer([NEW])
    shares = [math.exp(score) for score in answer.response.scores]
    assert (shares == pytest.approx(PREFERRED[answered_by])) == (learns_with != answered_by)
