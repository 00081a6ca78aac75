"""Supervised fine-tuning of one person's LoRA on what they wrote and answered, the common rival that trains.

    L = −(1/n) Σ_t log π(y_t | x, y_<t)      over the n answer tokens of a step's examples; the request x has no loss

As OPPU (Tan et al. 2024, "Democratizing Large Language Models via Personalized Parameter-Efficient Fine-tuning", arXiv
2402.04401), which fine-tunes one adapter a person on their history. Ours: the requests are those by which the result is
judged (a text answers a plain request, an opinion the question in the form in which it is asked), and a text that is
too long is learned in several parts. `transformers` trains a copy of the network (`training`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from idiolect.errors import PersonalizationError
from idiolect.methods.answering import AnsweringSettings, asked_block
from idiolect.methods.chameleon.own_words import chosen_answer
from idiolect.methods.texts import PLAIN_REQUEST
from idiolect.methods.trained.training import (
    Clock,
    TrainingResult,
    TrainingSettings,
    arguments,
    check_extra,
    longest,
    lora_config,
    train_adapter,
)
from idiolect.models.chat_format import ChatFormat
from idiolect.models.edit_training import OnStep, ignore_step
from idiolect.models.language_model import Message
from idiolect.models.local import LocalModel
from idiolect.models.network import padded
from idiolect.people.user import Opinion, User

_NO_LOSS = -100  # torch's label of a token without loss


@dataclass(frozen=True, slots=True)
class Example:
    """A request with the person's own answer.

    Args:
        messages: the chat so far.
        answer: the answer, as it follows `prefill`; not blank.
        prefill: beginning of the model's turn, which belongs to the request.
        ends: whether the end of the turn is learned, too: where answers are generated, but not where choices are
            compared by their likelihood.
    """

    messages: tuple[Message, ...]
    answer: str
    prefill: str = ""
    ends: bool = True


def examples_of(user: User, settings: AnsweringSettings) -> list[Example]:
    """Return an example for each of the user's opinions, in the form in which they are asked, and for each text."""
    opinions = [_opinion(opinion, settings) for opinion in user.opinions]
    return [*opinions, *(Example((Message("user", PLAIN_REQUEST),), text) for text in user.texts if text.strip())]


async def train_sft(
    examples: Sequence[Example],
    model: LocalModel,
    settings: TrainingSettings | None = None,
    *,
    checkpoints: Collection[int] = (),
    clock: Clock = time.monotonic,
    on_step: OnStep = ignore_step,
) -> TrainingResult:
    """Train a LoRA to give the examples' answers; see `train_adapter`.

    Args:
        examples: at least one.
        model: the untrained model.
        settings: None: the defaults.
        checkpoints: numbers of steps after which the LoRA is kept.
        clock: returns monotonic seconds.
        on_step: receives the number of steps done and the maximum, after each; may raise to stop the training.

    Raises:
        PersonalizationError: there is no example, or a request leaves no room for an answer within `max_length`.
        MissingExtraError: `peft` is not installed.
        ModelError: the network cannot be trained.
    """
    chosen = settings or TrainingSettings()
    rows = [row for example in examples for row in _rows(example, model.format, longest(model, chosen))]
    if not rows:
        raise PersonalizationError("there are no opinions or texts to train on")

    def make_trainer(network: Any, callbacks: list[Any], folder: str) -> Any:
        check_extra("SFT")
        from peft import get_peft_model
        from transformers import Trainer, TrainingArguments

        own = {"remove_unused_columns": False, "label_names": ["labels"]}
        return Trainer(
            model=get_peft_model(network, lora_config(chosen)),
            args=arguments(TrainingArguments, model, chosen, folder, own),
            train_dataset=rows,  # a list has all that is used of a dataset
            data_collator=_padded,
            callbacks=callbacks,
        )

    return await train_adapter(make_trainer, model, chosen, checkpoints=checkpoints, clock=clock, on_step=on_step)


def _opinion(opinion: Opinion, settings: AnsweringSettings) -> Example:
    question = opinion.question
    if not question.choices:
        return Example((Message("user", asked_block(question, settings)),), opinion.answer)
    asked = chosen_answer(opinion, settings)
    request, ends = asked.request, settings.mode == "generate"
    return Example(request.messages, request.choices[asked.chosen], request.prefill, ends)


def _rows(example: Example, form: ChatFormat, most: int) -> list[dict[str, list[int]]]:
    """Return the token ids and labels of an example, in parts of at most `most` tokens, each with the whole request."""
    prompt = form.prompt_ids(example.messages, example.prefill, thinking=False)
    answer = (*form.text_ids(example.answer), *(form.end_ids if example.ends else ()))
    room = most - len(prompt)
    if room < 1:
        raise PersonalizationError(f"a request has {len(prompt)} tokens, and examples may have {most} (max_length)")
    parts = [answer[start : start + room] for start in range(0, len(answer), room)]
    return [{"input_ids": [*prompt, *part], "labels": [*[_NO_LOSS] * len(prompt), *part]} for part in parts]


def _padded(rows: list[dict[str, list[int]]]) -> dict[str, Tensor]:
    """Return a batch, padded on the right: input_ids, labels and attention_mask, (B, T) each."""
    ids, mask = padded([row["input_ids"] for row in rows])
    labels, _ = padded([row["labels"] for row in rows], fill=_NO_LOSS)
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}
