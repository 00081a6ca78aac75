"""Supervised fine-tuning on a person's own words: what is learned from, and what training does with it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from transformers.utils import logging as transformers_logging

from idiolect import Opinion, Question, User, UserProfile
from idiolect.errors import MissingExtraError, PersonalizationError
from idiolect.methods.answering import Answerer, AnsweringSettings, PromptedQuestion
from idiolect.methods.texts import PLAIN_REQUEST, text_log_likelihoods
from idiolect.methods.trained.sft import Example, _padded, _rows, examples_of, train_sft
from idiolect.methods.trained.training import Adapter, TrainingSettings, with_adapter
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import ChoiceRequest
from idiolect.models.local import LocalModel
from tests.models import tiny

TEXTS = ("People help people.", "The government should work.", "Do you agree, people?", "Find work, people.")
ASKED = Opinion(Question("Is rain good?", ("yes", "no")), "no")
FREE = Opinion(Question("Why?"), "Because.")
USER = User("ann", UserProfile(), (ASKED, FREE), TEXTS)
QUICK = TrainingSettings(seconds=600, max_steps=4, batch_size=2, learning_rate=5e-3, rank=4, alpha=8)
EXAMPLES = examples_of(replace(USER, opinions=()), AnsweringSettings())


async def likelihoods(model: LocalModel) -> list[float]:
    return await text_log_likelihoods(TEXTS, model)


async def trained(model: LocalModel, adapter: Adapter) -> LocalModel:
    return await with_adapter(model, adapter, name="trained")


async def test_training_makes_every_text_likelier_and_leaves_the_model_as_it_was() -> None:
    model = tiny.local_model()
    before, untouched = await likelihoods(model), model.fingerprint()
    result = await train_sft(EXAMPLES, model, replace(QUICK, max_steps=12))
    after = await likelihoods(await trained(model, result.adapter))
    assert all(a > b + 0.1 for a, b in zip(after, before, strict=True))
    assert result.steps == len(result.losses) == 12
    assert result.cpu_seconds > 0
    assert model.fingerprint() == untouched
    assert await likelihoods(model) == pytest.approx(before, abs=1e-5)


async def test_the_first_loss_is_that_of_the_answers_tokens_alone() -> None:
    model = tiny.local_model()
    example = Example((tiny.ask("x")[0],), TEXTS[0], ends=False)
    result = await train_sft([example], model, replace(QUICK, max_steps=1, batch_size=1))
    request = example.messages
    (found,) = await model.choice_logprobs([ChoiceRequest(request, (TEXTS[0],))])
    assert result.losses[0] == pytest.approx(-found.per_token[0], abs=1e-3)


async def test_a_checkpoint_is_what_a_shorter_training_ends_with() -> None:
    model = tiny.local_model()
    long = await train_sft(EXAMPLES, model, QUICK, checkpoints=(1, 2, 4, 9))
    assert list(long.checkpoints) == [1, 2, 4]
    short = await train_sft(EXAMPLES, model, replace(QUICK, max_steps=2))
    prints = [(await trained(model, each)).fingerprint() for each in (long.checkpoints[2], short.adapter)]
    assert prints[0] == prints[1] != model.fingerprint()
    last = [(await trained(model, each)).fingerprint() for each in (long.checkpoints[4], long.adapter)]
    assert last[0] == last[1] != prints[0]


async def test_nothing_is_left_behind(capfd: pytest.CaptureFixture[str]) -> None:
    before = transformers_logging.get_verbosity()
    await train_sft(EXAMPLES, tiny.local_model(), replace(QUICK, max_steps=1))
    assert transformers_logging.get_verbosity() == before
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(
    "settings",
    [
        AnsweringSettings(mode="likelihood", show_choices=False),
        AnsweringSettings(mode="likelihood", form="verbatim"),
        AnsweringSettings(mode="generate"),
    ],
)
async def test_an_opinion_is_learned_in_the_form_in_which_it_is_asked(settings: AnsweringSettings) -> None:
    asking = FunctionModel("double", complete=lambda _: "no", choice_logprobs=lambda _: [-1.0] * 2)
    await Answerer(asking, settings).answer([PromptedQuestion("", ASKED.question)])
    example = examples_of(replace(USER, texts=()), settings)[0]
    if settings.mode == "generate":
        assert example.messages == asking.completion_requests[0].messages
        assert (example.prefill, example.answer, example.ends) == ("", "no", True)
    else:
        request = asking.choice_requests[0]
        assert (example.messages, example.prefill) == (request.messages, request.prefill)
        assert (example.answer, example.ends) == (request.choices[1], False)


def test_texts_answer_the_plain_request_and_free_answers_their_question() -> None:
    found = examples_of(USER, AnsweringSettings(mode="likelihood"))
    assert [each.answer for each in found] == [" no", "Because.", *TEXTS]
    assert found[-1].messages[0].content == PLAIN_REQUEST
    assert "Why?" in found[1].messages[0].content


def test_a_long_text_is_learned_whole_in_parts_and_only_the_last_ends_the_turn() -> None:
    form = tiny.local_model().format
    example = Example(tiny.ask("x"), "people help " * 20)
    prompt, answer = form.prompt_ids(example.messages), form.text_ids(example.answer)
    rows = _rows(example, form, len(prompt) + 10)
    learned = [label for row in rows for label in row["labels"] if label >= 0]
    assert tuple(learned) == (*answer, *form.end_ids)
    assert len(rows) > 2
    for row in rows:
        assert tuple(row["input_ids"][: len(prompt)]) == prompt
        assert row["labels"][: len(prompt)] == [-100] * len(prompt)
        assert len(row["input_ids"]) == len(row["labels"]) <= len(prompt) + 10
    with pytest.raises(PersonalizationError, match="max_length"):
        _rows(example, form, len(prompt))


def test_padding_has_neither_attention_nor_loss() -> None:
    batch = _padded([{"input_ids": [5, 6, 7], "labels": [-100, 6, 7]}, {"input_ids": [5], "labels": [5]}])
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[-100, 6, 7], [5, -100, -100]]
    assert batch["input_ids"].tolist() == [[5, 6, 7], [5, 0, 0]]


async def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(PersonalizationError, match="no opinions or texts"):
        await train_sft([], tiny.local_model())


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"SFT needs.*idiolect\[dpo\]"):
        await train_sft(EXAMPLES, tiny.local_model(), QUICK)
