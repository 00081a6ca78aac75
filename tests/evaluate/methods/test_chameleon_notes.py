"""What an evaluation notes of an edit: numbers of both kinds that judged it, and no texts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idiolect.evaluate.methods.chameleon import chameleon_notes
from idiolect.methods.chameleon.evidence import ChameleonEvidence
from idiolect.methods.chameleon.fitting import Chameleon
from tests.methods.chameleon.planted import Letters, PlantedModel, settings, writer


async def test_notes_have_the_numbers_that_judged() -> None:
    learned = await Chameleon(PlantedModel(), settings(), embedder=Letters()).fit(writer())
    assert isinstance(learned.evidence, ChameleonEvidence)
    assert learned.evidence.texts is not None
    judged = chameleon_notes(learned)["judged"]
    assert judged["opinions"] is None
    assert judged["texts"]["n"] == 4
    assert judged["texts"]["nat_per_token"] == pytest.approx(learned.evidence.texts.difference)
    assert chameleon_notes(replace(learned, evidence=None))["judged"] is None
