"""Texts that a model writes itself: free draws without guidance or thoughts, of which blank ones are left out."""

from __future__ import annotations

import subprocess
import sys

from idiolect.methods.neutral_texts import draw_texts
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Message, SamplingParams


async def test_every_request_is_a_free_draw_of_its_own() -> None:
    model = FunctionModel(complete=lambda request: f" draw {request.draw}\x00\n")
    drawn, usage = await draw_texts(("Rain?", "Tea?", "Rain?"), model, max_tokens=7, seed=3)
    assert drawn == [("Rain?", "draw 0"), ("Tea?", "draw 1"), ("Rain?", "draw 2")]
    assert usage.calls == 3
    sampling = SamplingParams(7, temperature=1.0, seed=3)
    assert model.completion_requests[2] == CompletionRequest(
        (Message("user", "Rain?"),), sampling, draw=2, thinking=False
    )


async def test_blank_texts_are_left_out_but_were_paid_for() -> None:
    drawn, usage = await draw_texts(
        ("Rain?", "Tea?"), FunctionModel(complete=lambda request: "" if request.draw else "wet"), max_tokens=7, seed=0
    )
    assert drawn == [("Rain?", "wet")]
    assert usage.calls == 2


def test_neither_they_nor_the_values_of_an_evaluation_import_torch() -> None:
    code = "import sys, idiolect.methods.neutral_texts, idiolect.evaluate.running; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
