"""DPO, a trained alternative to CHAMELEON: a LoRA on the same self-generated pairs, within a limit of wall time.

    L = −log σ(β (log π(y_w | x)/π_ref(y_w | x) − log π(y_l | x)/π_ref(y_l | x)))

Rafailov et al. 2023, "Direct Preference Optimization" (arXiv 2305.18290), Eq. 7: x is a pair's query, y_w its
personalized side, y_l its neutral side, and π_ref the untrained model. `trl` trains a copy of the network. The adapter
is merged into the weights, so that the result is a local model like any other.
"""

from __future__ import annotations

import asyncio
import copy
import os
import random
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from idiolect.errors import MissingExtraError, PersonalizationError
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.setting_checks import require
from idiolect.models import hugging_face
from idiolect.models.local import LocalModel

Clock = Callable[[], float]

_PLAIN_LINES = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class DpoSettings:
    """Settings of DPO. β is the paper's; the adapter's rank and alpha are trl's defaults, on every linear layer.

    Args:
        seconds: time after the start of the first step during which further steps may start; one step is always made.
        max_steps: maximum number of steps.
        batch_size: pairs per step.
        learning_rate: constant learning rate of AdamW; LoRA needs a higher one than training of whole networks.
        beta: β.
        rank, alpha: rank and alpha of the LoRA, whose contribution is scaled by alpha / rank.
        max_length: maximum number of tokens in a query with one of its sides; longer ones are truncated.
        seed: seed of the adapter's initial weights and of the order of the pairs.

    Raises:
        SettingsError: a value is invalid.
    """

    seconds: float = 60.0
    max_steps: int = 20
    batch_size: int = 4
    learning_rate: float = 2e-4
    beta: float = 0.1
    rank: int = 16
    alpha: int = 32
    max_length: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("seconds", "learning_rate", "beta"):
            value = getattr(self, name)
            require(value > 0, f"dpo.{name}", value, "greater than 0")
        for name in ("max_steps", "batch_size", "rank", "alpha"):
            value = getattr(self, name)
            require(value >= 1, f"dpo.{name}", value, "at least 1")
        require(self.max_length >= 8, "dpo.max_length", self.max_length, "at least 8")


@dataclass(frozen=True, slots=True, eq=False)
class DpoResult:
    """Result of training.

    Args:
        model: the trained model; close it when it is no longer needed.
        steps: number of steps.
        seconds: time from the start of the first step to the end of the last.
        losses: loss of each step, in nat; the untrained model has log 2.
    """

    model: LocalModel
    steps: int
    seconds: float
    losses: tuple[float, ...]


async def train_dpo(
    pairs: Sequence[Pair],
    model: LocalModel,
    settings: DpoSettings | None = None,
    *,
    clock: Clock = time.monotonic,
) -> DpoResult:
    """Train a copy of the model to prefer the personalized side of the pairs.

    The model itself does not change, but it answers no requests while its copy is trained. Cancelling stops the
    training after the current step.

    Args:
        pairs: at least two pairs.
        model: the unedited model.
        settings: None: the defaults.
        clock: returns monotonic seconds.

    Raises:
        PersonalizationError: there are fewer than two pairs.
        MissingExtraError: `trl` or `peft` is not installed.
        ModelError: the network cannot be trained.
    """
    if len(pairs) < 2:
        raise PersonalizationError(f"DPO needs at least 2 pairs, there are {len(pairs)}")
    watch = _Watch(settings or DpoSettings(), clock)
    try:
        network = await model.run(lambda: _train(pairs, model, watch))
    except asyncio.CancelledError:
        watch.cancelled = True
        raise
    trained = LocalModel(network, model.tokenizer, name=f"{model.name} + DPO", settings=model.settings)
    return DpoResult(trained, len(watch.losses), watch.seconds, tuple(watch.losses))


def _check_extra() -> None:
    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingExtraError.of("DPO needs", "dpo", error) from error


class _Watch:
    """State of a training run: the time, the losses, and whether to continue."""

    def __init__(self, settings: DpoSettings, clock: Clock) -> None:
        self.settings, self._clock = settings, clock
        self._began: float | None = None
        self.seconds = 0.0
        self.losses: list[float] = []
        self.cancelled = False

    def begin_step(self) -> None:
        if self._began is None:
            self._began = self._clock()

    def end_step(self) -> bool:
        """Record the end of a step, and return whether another step may start."""
        assert self._began is not None
        self.seconds = self._clock() - self._began
        return self.seconds < self.settings.seconds and not self.cancelled


def _train(pairs: Sequence[Pair], model: LocalModel, watch: _Watch) -> Any:
    """Train, and return a copy of the network with the adapter merged into its weights."""
    with _environment_kept():
        _check_extra()
        with _nothing_left_behind(), tempfile.TemporaryDirectory(prefix="idiolect-dpo-") as folder:
            trainer = _trainer(pairs, model, watch, folder)
            trainer.train()
            merged = trainer.model.merge_and_unload().to(model.network.device)
    weights = dict(merged.named_parameters())
    original = model.network.module
    # The libraries leave patched methods and settings on the trained network. So the result is a fresh copy of the
    # original with the trained weights, which are not copied again.
    return copy.deepcopy(original, {id(old): weights[name] for name, old in original.named_parameters()})


def _trainer(pairs: Sequence[Pair], model: LocalModel, watch: _Watch, folder: str) -> Any:
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import DPOTrainer  # type: ignore[attr-defined]  # exported lazily

    settings = watch.settings
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    trainer = DPOTrainer(
        model=copy.deepcopy(model.network.module),
        args=_arguments(model, settings, folder),
        train_dataset=_dataset(pairs, model),
        processing_class=_tokenizer(model),
        peft_config=lora,
        callbacks=[_callback(watch)],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _tokenizer(model: LocalModel) -> Any:
    """Return a copy, which trl gives a padding token; without a chat template, it gets one for `ChatFormat`'s lines."""
    tokenizer = copy.deepcopy(model.tokenizer)
    if not getattr(tokenizer, "chat_template", None):
        begins = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
        tokenizer.chat_template = ("{{ bos_token }}" if begins else "") + _PLAIN_LINES
    return tokenizer


def _arguments(model: LocalModel, settings: DpoSettings, folder: str) -> Any:
    from trl import DPOConfig  # type: ignore[attr-defined]

    limits = [length for length in (settings.max_length, model.network.max_length) if length is not None]
    on_cpu = model.network.device.type == "cpu"
    arguments = DPOConfig(
        output_dir=folder,
        beta=settings.beta,
        max_length=min(limits),
        max_steps=settings.max_steps,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant",  # a schedule would need the number of steps, which the time limits
        seed=settings.seed,
        data_seed=settings.seed,
        use_cpu=on_cpu,
        bf16=False,  # no autocast: the network keeps its own dtype
        gradient_checkpointing=False,
        dataloader_pin_memory=not on_cpu,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # otherwise, every GPU would get a replica
    return arguments


def _dataset(pairs: Sequence[Pair], model: LocalModel) -> Any:
    """Return the pairs as conversations, in which nobody's text can become a control token."""
    from datasets import Dataset

    def turn(role: str, text: str) -> list[dict[str, str]]:
        return [{"role": role, "content": model.format.defuse(text)}]

    return Dataset.from_list(
        [
            {
                "prompt": turn("user", pair.query),
                "chosen": turn("assistant", pair.personalized),
                "rejected": turn("assistant", pair.neutral),
            }
            for pair in pairs
        ]
    )


def _callback(watch: _Watch) -> Any:
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            watch.begin_step()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            control.should_training_stop |= not watch.end_step()

        def on_log(self, args: Any, state: Any, control: Any, **values: Any) -> None:  # noqa: ARG002
            if "loss" in values["logs"]:  # the last log is a summary of the whole training, without a loss
                watch.losses.append(values["logs"]["loss"])

    return Watching()


@contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Prevent output and telemetry, and restore the process-wide state that the libraries change."""
    with ExitStack() as stack:
        stack.enter_context(hugging_face.quiet())
        stack.enter_context(warnings.catch_warnings())
        # trl turns this on by default, so it must be turned off with the name that transformers has deprecated.
        warnings.filterwarnings("ignore", "`gradient_checkpointing` is deprecated", FutureWarning)
        # peft uses it.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        stack.enter_context(_random_states_kept())
        stack.enter_context(_shared_states_kept())
        yield


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Restore the environment, which the libraries change when they are imported."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name not in before]:
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})


@contextmanager
def _random_states_kept() -> Iterator[None]:
    """Restore the states of all random generators, which transformers seeds."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)


@contextmanager
def _shared_states_kept() -> Iterator[None]:
    """Restore accelerate's state, the progress bars of `datasets`, and the telemetry setting of the Hub."""
    from accelerate.state import AcceleratorState, GradientState, PartialState
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from huggingface_hub import constants

    shared: list[Any] = [state._shared_state for state in (PartialState, AcceleratorState, GradientState)]
    saved = [dict(state) for state in shared]
    no_telemetry, bars = constants.HF_HUB_DISABLE_TELEMETRY, not are_progress_bars_disabled()
    constants.HF_HUB_DISABLE_TELEMETRY = True  # trl reports every trainer
    disable_progress_bars()
    try:
        yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = no_telemetry
        if bars:
            enable_progress_bars()
        for state, values in zip(shared, saved, strict=True):
            state.clear()
            state.update(values)
