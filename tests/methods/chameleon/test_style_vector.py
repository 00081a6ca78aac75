"""StyleVector: the request for plain texts, the vector, and the edit that adds it."""

from __future__ import annotations

import pytest
import torch

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.methods.chameleon.own_words import windows
from idiolect.methods.chameleon.style_vector import StyleVectorSettings, _whole_sentences, fit_style_vector
from idiolect.methods.texts import PLAIN_REQUEST
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest, Completion, CompletionRequest, Usage
from tests.models import tiny

OWN = ("People help people.\nDo they?", "The government should work.", "Find work, people!", "Agree strongly.")
PLAIN = {text: f"Some plain words, number {n}." for n, text in enumerate(OWN)}


def writer(said: dict[str, str] | None = None, *, reason: str = "stop") -> FunctionModel:
    """Writes the plain text of whichever text is in the request."""

    def plain(request: CompletionRequest) -> Completion:
        content = request.messages[-1].content
        text = next(text for own, text in (said or PLAIN).items() if own in content)
        return Completion(text, reason, Usage(calls=1))  # type: ignore[arg-type]

    return FunctionModel("writer", complete=plain)


@pytest.mark.parametrize("pooling", ["last", "mean"])
async def test_the_vector_is_the_mean_difference_from_plain_texts(pooling: str) -> None:
    model, asked = tiny.local_model(), writer()
    settings = StyleVectorSettings(pooling=pooling)  # type: ignore[arg-type]
    found = await fit_style_vector(OWN, model, settings, writer=asked)
    request = tiny.ask(PLAIN_REQUEST)
    measured = [await model.activations([(request, text) for text in side]) for side in (OWN, list(PLAIN.values()))]
    own, plain = [each.last if pooling == "last" else each.mean for each in measured]
    assert found.vectors.shape == (3, 32)
    assert torch.allclose(found.vectors, (own - plain).mean(dim=0), atol=1e-5)
    assert (found.pairs, found.dropped) == (4, 0)
    contents = [request.messages[-1].content for request in asked.completion_requests]
    assert all(own in content for own, content in zip(OWN, contents, strict=True)), "line breaks stay"
    assert all("plain, neutral words" in content for content in contents)
    assert {request.thinking for request in asked.completion_requests} == {False}


async def test_a_long_text_is_compared_window_by_window() -> None:
    long = " ".join(f"People agree with sentence {n}." for n in range(9))
    settings = StyleVectorSettings(window_chars=60)
    pieces = windows(long, max_chars=60)
    assert len(pieces) > 3
    said = {piece: f"It says {n} plainly." for n, piece in enumerate(pieces)}
    model, asked = tiny.local_model(), writer(said)
    found = await fit_style_vector([long], model, settings, writer=asked)
    request = tiny.ask(PLAIN_REQUEST)
    own, plain = [await model.activations([(request, text) for text in side]) for side in (pieces, said.values())]
    assert torch.allclose(found.vectors, (own.last - plain.last).mean(dim=0), atol=1e-5)
    assert (found.pairs, found.dropped) == (len(pieces), 0)


async def test_the_edit_adds_the_vector_at_one_layer_where_text_is_generated() -> None:
    model = tiny.local_model()
    found = await fit_style_vector(OWN, model, StyleVectorSettings(), writer=writer())
    edit = found.edit(1, 2.0)
    assert list(edit.layers) == [1]
    assert (edit.rank, edit.positions) == (1, "generated")
    assert torch.allclose(edit.layers[1].write[0], 2.0 * found.vectors[1])
    tokens = (await model.activations([(tiny.ask(PLAIN_REQUEST), text) for text in OWN], sample=999)).tokens[1]
    read = tokens @ edit.layers[1].read[0]
    assert float(read.mean()) == pytest.approx(1, abs=0.3), "few tokens, and a penalty"
    request = ChoiceRequest(tiny.ask("x"), ("people",))
    before, after = [await each.choice_logprobs([request]) for each in (model, model.with_edit(edit))]
    assert before[0].logprobs != after[0].logprobs


async def test_texts_without_a_different_plain_text_are_dropped() -> None:
    said = {**PLAIN, OWN[0]: OWN[0], OWN[1]: " "}
    found = await fit_style_vector(OWN, tiny.local_model(), StyleVectorSettings(), writer=writer(said))
    assert (found.pairs, found.dropped) == (2, 2)
    with pytest.raises(PersonalizationError, match="needs 2 texts, or parts of them, with a plain text; 1 have one"):
        await fit_style_vector(OWN[:3], tiny.local_model(), StyleVectorSettings(), writer=writer(said))


async def test_a_plain_text_that_was_cut_off_ends_with_a_sentence() -> None:
    cut = {text: f"One sentence {n}. And a hal" for n, text in enumerate(OWN)}
    whole = {text: f"One sentence {n}." for n, text in enumerate(OWN)}
    model, settings = tiny.local_model(), StyleVectorSettings()
    one = await fit_style_vector(OWN, model, settings, writer=writer(cut, reason="length"))
    other = await fit_style_vector(OWN, model, settings, writer=writer(whole))
    assert torch.equal(one.vectors, other.vectors)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ('He said: "Go!" And', 'He said: "Go!"'),
        ("It costs 3.50 euros. Then", "It costs 3.50 euros."),
        ("no end at all", "no end at all"),
    ],
)
def test_a_sentence_ends_before_a_space(text: str, whole: str) -> None:
    assert _whole_sentences(text) == whole


@pytest.mark.parametrize(
    "bad", [{"pooling": "first"}, {"positions": "some"}, {"max_tokens": 0}, {"window_chars": 0}, {"temperature": -1.0}]
)
def test_impossible_settings_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        StyleVectorSettings(**bad)  # type: ignore[arg-type]
