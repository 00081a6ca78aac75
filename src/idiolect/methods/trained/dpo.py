"""DPO, a trained alternative to CHAMELEON: a LoRA on the same self-generated pairs.

    L = −log σ(β (log π(y_w | x)/π_ref(y_w | x) − log π(y_l | x)/π_ref(y_l | x)))

Rafailov et al. 2023, "Direct Preference Optimization" (arXiv 2305.18290), Eq. 7: x is a pair's query, y_w its
personalized side, y_l its neutral side, and π_ref the untrained model. `trl` trains a copy of the network (`training`).
It receives the chats as they are asked, rendered and without thoughts, because it would render them in its own way.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from idiolect.errors import PersonalizationError
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.setting_checks import require
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
from idiolect.models.edit_training import OnStep, ignore_step
from idiolect.models.language_model import Message
from idiolect.models.local import LocalModel

_AS_RENDERED = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """Settings of DPO.

    Args:
        training: settings of the training; a query with one of its sides that is longer than `max_length` is truncated.
        beta: β; the default is the paper's.

    Raises:
        SettingsError: a value is invalid.
    """

    training: TrainingSettings = field(default_factory=TrainingSettings)
    beta: float = 0.1

    def __post_init__(self) -> None:
        require(isfinite(self.beta) and self.beta > 0, "dpo.beta", self.beta, "greater than 0")


async def train_dpo(
    pairs: Sequence[Pair],
    model: LocalModel,
    settings: DpoSettings | None = None,
    *,
    checkpoints: Collection[int] = (),
    clock: Clock = time.monotonic,
    on_step: OnStep = ignore_step,
) -> TrainingResult:
    """Train a LoRA to prefer the personalized side of the pairs; see `train_adapter`.

    The loss of the untrained model is log 2.

    Args:
        pairs: at least two pairs.
        model: the untrained model.
        settings: None: the defaults.
        checkpoints: numbers of steps after which the LoRA is kept.
        clock: returns monotonic seconds.
        on_step: receives the number of steps done and the maximum, after each; may raise to stop the training.

    Raises:
        PersonalizationError: there are fewer than two pairs.
        MissingExtraError: `trl` or `peft` is not installed.
        ModelError: the network cannot be trained.
    """
    if len(pairs) < 2:
        raise PersonalizationError(f"DPO needs at least 2 pairs, there are {len(pairs)}")
    chosen = settings or DpoSettings()

    def make_trainer(network: Any, callbacks: list[Any], folder: str) -> Any:
        check_extra("DPO")
        from trl import DPOConfig, DPOTrainer  # type: ignore[attr-defined]  # exported lazily

        own = {"beta": chosen.beta, "max_length": longest(model, chosen.training)}
        return DPOTrainer(
            model=network,
            args=arguments(DPOConfig, model, chosen.training, folder, own),
            train_dataset=_dataset(pairs, model),
            processing_class=_tokenizer(model),
            peft_config=lora_config(chosen.training),
            callbacks=callbacks,
        )

    return await train_adapter(
        make_trainer, model, chosen.training, checkpoints=checkpoints, clock=clock, on_step=on_step
    )


def _tokenizer(model: LocalModel) -> Any:
    """Return a copy, which trl gives a padding token, with a template for texts that are rendered already."""
    tokenizer = copy.deepcopy(model.tokenizer)
    begins = not model.format.has_template and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + _AS_RENDERED
    return tokenizer


def _dataset(pairs: Sequence[Pair], model: LocalModel) -> Any:
    """Return the pairs, each with a rendered prompt and two answers, in which nobody's text is a control token."""
    from datasets import Dataset

    form, end = model.format, model.tokenizer.eos_token or ""

    def answer(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": form.defuse(text) + end}]

    return Dataset.from_list(
        [
            {
                "prompt": [
                    {"role": "user", "content": form.prompt_text((Message("user", pair.query),), thinking=False)}
                ],
                "chosen": answer(pair.personalized),
                "rejected": answer(pair.neutral),
            }
            for pair in pairs
        ]
    )
