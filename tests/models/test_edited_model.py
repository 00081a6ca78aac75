from __future__ import annotations

import asyncio
from typing import Any

import pytest
import torch

from idiolect.errors import ModelError
from idiolect.methods.chameleon.measuring import EditableModel
from idiolect.models.chat_format import ChatFormat
from idiolect.models.doubles import FunctionModel
from idiolect.models.edits import Edit
from idiolect.models.generation import EncodedPrompt
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, LanguageModel, SamplingParams
from idiolect.models.local import LocalModel, LocalSettings
from idiolect.models.scoring import EncodedChoices
from tests.models import tiny

CHOICES = ("agree", "disagree", "Strongly agree", "a")
QUESTION = CompletionRequest(tiny.ask("Do you agree?"), SamplingParams(max_tokens=12))
ASKED = ChoiceRequest(tiny.ask("Do you agree?"), CHOICES)


def truth(model: LocalModel, edit: Edit | None) -> list[float]:
    prompt = model.format.prompt_ids(ASKED.messages)
    item = EncodedChoices(prompt, tuple(map(model.format.text_ids, CHOICES)), edit)
    return tiny.reference_logprobs(model.network, item)


def counted(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each batch of the worker had, from now on."""
    batches: list[int] = []
    for queue in (model._completions, model._choices):
        plain = queue._work

        def counting(items: list[Any], plain: Any = plain) -> list[Any]:
            batches.append(len(items))
            return plain(items)

        monkeypatch.setattr(queue, "_work", counting)
    return batches


def test_an_edited_model_is_a_language_model() -> None:
    model = tiny.local_model()
    edited: LanguageModel = model.with_edit(tiny.edit())
    assert edited.name == "tiny"


async def test_each_view_answers_under_its_edit_and_the_model_as_it_is() -> None:
    async with tiny.local_model() as model:
        before = await model.complete([QUESTION])
        edits = [tiny.edit(1), None, tiny.edit(2, positions="generated"), tiny.edit(3, gate="positive")]
        views = [model.with_edit(edit) for edit in edits]
        texts = []
        for view, edit in zip(views, edits, strict=True):
            (scores,) = await view.choice_logprobs([ASKED])
            assert scores.logprobs == pytest.approx(truth(model, edit), abs=2e-4)
            texts.append((await view.complete([QUESTION]))[0].text)
        assert len(set(texts)) == 4
        assert texts[1] == before[0].text
        assert await model.complete([QUESTION]) == before


async def test_concurrent_tasks_with_other_edits_become_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    async with tiny.local_model() as model:
        views = [model, *(model.with_edit(tiny.edit(seed)) for seed in range(5)), model.with_edit(None)]
        texts = [(await view.complete([QUESTION]))[0].text for view in views]
        scores = [(await view.choice_logprobs([ASKED]))[0].logprobs for view in views]
        await model.forget_prefixes()
        batches = counted(model, monkeypatch)
        together = await asyncio.gather(*(view.complete([QUESTION]) for view in views))
        assert batches == [7]
        assert [completion.text for (completion,) in together] == texts
        assert len(set(texts)) == 6
        scored = await asyncio.gather(*(view.choice_logprobs([ASKED]) for view in views))
        assert batches == [7, 7]
        for (found,), alone in zip(scored, scores, strict=True):
            assert found.logprobs == pytest.approx(alone, abs=1e-4)


async def test_usage_counts_what_each_edit_computes() -> None:
    async with tiny.local_model() as model:
        prompt = len(model.format.prompt_ids(QUESTION.messages))
        some, other = model.with_edit(tiny.edit(1)), model.with_edit(tiny.edit(2))
        same = model.with_edit(tiny.edit(1))
        rows = await asyncio.gather(*(view.complete([QUESTION]) for view in (some, other, same, model)))
        assert sorted(row.usage.computed_tokens for (row,) in rows) == [0, prompt, prompt, prompt]
        costs = []
        for view in (model, some, same, other):
            (answer,) = await view.choice_logprobs([ASKED])
            costs.append(answer.usage.computed_tokens)
        cold = costs[0]
        assert costs == [cold, cold, cold - prompt + 1, cold]


async def test_forgotten_prefixes_and_edits_are_made_again() -> None:
    async with tiny.local_model() as model:
        view = model.with_edit(tiny.edit(1))
        first = await view.choice_logprobs([ASKED])
        assert len(model.network.editor._held) == 1
        await model.forget_prefixes()
        assert not model.network.editor._held
        assert await view.choice_logprobs([ASKED]) == first


async def test_an_edit_for_another_shape_of_model_is_refused_at_once() -> None:
    async with tiny.local_model() as model:
        for edit in (tiny.edit(layers=(0, 3)), tiny.edit(width=30)):
            with pytest.raises(ModelError, match="the model has 3 layers of width 32"):
                model.with_edit(edit)


def test_only_a_model_with_layers_is_an_editable_model() -> None:
    assert isinstance(tiny.local_model(), EditableModel)
    assert not isinstance(FunctionModel(), EditableModel)


def test_a_model_finds_out_whether_it_can_be_edited(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.local_model().check_editable()
    model = tiny.local_model()
    monkeypatch.setattr(model.network, "module", torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="Linear: no decoder layers found"):
        model.check_editable()


async def test_an_error_inside_a_hook_is_a_model_error_and_the_next_answer_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with tiny.local_model() as model:
        view, before = model.with_edit(tiny.edit(1)), await model.complete([QUESTION])

        def broken(*_: object) -> None:
            raise RuntimeError("in the hook")

        for owner in ("RowEdits", "TokenEdits"):
            with monkeypatch.context() as patch:
                patch.setattr(f"idiolect.models.editing.{owner}.apply", broken)
                with pytest.raises(ModelError, match=r"tiny.*in the hook"):
                    await (view.complete([QUESTION]) if owner == "RowEdits" else view.choice_logprobs([ASKED]))
            assert not any(module._forward_hooks for module in model.network.module.modules())
        assert await model.complete([QUESTION]) == before
        (scores,) = await view.choice_logprobs([ASKED])
        assert scores.logprobs == pytest.approx(truth(model, tiny.edit(1)), abs=2e-4)


async def test_without_reuse_it_answers_alike() -> None:
    literal = LocalSettings(prefix_reuse=False)
    async with tiny.local_model() as packed, tiny.local_model(settings=literal) as padded:
        for edit in (tiny.edit(1), tiny.edit(1, positions="generated")):
            (one,) = await packed.with_edit(edit).choice_logprobs([ASKED])
            (other,) = await padded.with_edit(edit).choice_logprobs([ASKED])
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_a_fingerprint_follows_weights_and_edit() -> None:
    model = tiny.local_model()
    prints = [model.with_edit(edit).fingerprint() for edit in (tiny.edit(1), tiny.edit(2), None)]
    assert model.with_edit(tiny.edit(1)).fingerprint() == prints[0]
    assert prints[2] == model.fingerprint()
    assert len(set(prints)) == 3
    network = tiny.mistral()
    assert tiny.local_model(network).with_edit(tiny.edit(1)).fingerprint() != prints[0]


def test_items_of_other_edits_are_other_items() -> None:
    prompt = ChatFormat(tiny.tokenizer()).prompt_ids(tiny.ask("agree?"))
    one = EncodedPrompt(prompt, SamplingParams(), edit=tiny.edit(1))
    assert one == EncodedPrompt(prompt, SamplingParams(), edit=tiny.edit(1))
    assert one.start != EncodedPrompt(prompt, SamplingParams()).start


@torch.inference_mode()
def test_a_padded_window_obeys_edits() -> None:
    model = tiny.local_model(tiny.mistral(8))
    scored = asyncio.run(model.with_edit(tiny.edit(1)).choice_logprobs([ASKED]))
    assert scored[0].logprobs == pytest.approx(truth(model, tiny.edit(1)), abs=2e-4)
    model.close()
