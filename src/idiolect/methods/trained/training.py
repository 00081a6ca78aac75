"""Training of one person's LoRA on a copy of a network; what the objectives (`dpo`, `sft`) have in common.

    objective → Trainer with a LoRA on every linear layer → steps, until a limit → Adapter → `with_adapter` → LocalModel

The adapter is merged into the weights of a fresh copy, so that the result is a local model like any other. The learning
rate is constant, so the adapter after n steps is the same whether or not training goes on. That is why one run can keep
the adapters of several numbers of steps (`checkpoints`).
"""

from __future__ import annotations

import asyncio
import copy
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
from torch import Tensor

from idiolect.errors import MissingExtraError
from idiolect.methods.setting_checks import MOST_RANK, require
from idiolect.methods.trained.process_state import environment_kept, nothing_left_behind
from idiolect.models.edit_training import OnStep, ignore_step
from idiolect.models.local import LocalModel

Clock = Callable[[], float]
MakeTrainer = Callable[[Any, list[Any], str], Any]
"""Returns a trainer, given a copy of the network, its callbacks, and a folder for files."""

_WRAPPED = "base_model.model."  # what peft puts before the names of modules


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """Settings of the training, whatever its objective. Rank and alpha of the adapter are trl's defaults.

    Args:
        seconds: time after the start of the first step during which further steps may start; one step is always made.
        max_steps: maximum number of steps.
        batch_size: examples per step.
        learning_rate: constant learning rate of AdamW; LoRA needs a higher one than training of whole networks.
        rank, alpha: rank and alpha of the LoRA on every linear layer; its contribution is scaled by alpha / rank.
        max_length: maximum number of tokens in an example, prompt included.
        seed: seed of the adapter's initial weights and of the order of the examples.

    Raises:
        SettingsError: a value is invalid.
    """

    seconds: float = 60.0
    max_steps: int = 20
    batch_size: int = 4
    learning_rate: float = 2e-4
    rank: int = 16
    alpha: int = 32
    max_length: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.seconds > 0, "training.seconds", self.seconds, "greater than 0")
        finite = isfinite(self.learning_rate) and self.learning_rate > 0
        require(finite, "training.learning_rate", self.learning_rate, "greater than 0")
        for name in ("max_steps", "batch_size", "rank", "alpha"):
            value = getattr(self, name)
            require(value >= 1, f"training.{name}", value, "at least 1")
        require(self.rank <= MOST_RANK, "training.rank", self.rank, f"at most {MOST_RANK}")
        require(self.max_length >= 8, "training.max_length", self.max_length, "at least 8")


@dataclass(frozen=True, slots=True, eq=False)
class LowRank:
    """The change of one weight, scale · B A, or its transpose; A is (r, in), B is (out, r)."""

    a: Tensor
    b: Tensor
    scale: float
    transposed: bool

    def added_to(self, weight: Tensor) -> Tensor:
        """Return the weight with this change, in the weight's dtype and on its device."""
        change = self.scale * (self.b @ self.a)
        whole = weight.detach().to("cpu", torch.float32) + (change.T if self.transposed else change)
        return whole.to(weight)


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A trained LoRA: the change of each weight, by the parameter's name; float32, on the CPU."""

    changes: Mapping[str, LowRank]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """Result of training.

    Args:
        adapter: the LoRA after the last step.
        steps: number of steps.
        seconds: time from the start of the first step to the end of the last.
        cpu_seconds: CPU time of this process between the two, on all cores.
        losses: loss of each step, in nat.
        checkpoints: the LoRA after each of the requested numbers of steps that was reached.
    """

    adapter: Adapter
    steps: int
    seconds: float
    cpu_seconds: float
    losses: tuple[float, ...]
    checkpoints: Mapping[int, Adapter]


async def train_adapter(
    make_trainer: MakeTrainer,
    model: LocalModel,
    settings: TrainingSettings,
    *,
    checkpoints: Collection[int] = (),
    clock: Clock = time.monotonic,
    on_step: OnStep = ignore_step,
) -> TrainingResult:
    """Train a LoRA on a copy of the model, in the model's worker thread.

    The model itself does not change, but it answers no requests while its copy is trained. Cancelling stops the
    training after the current step.

    Args:
        make_trainer: creates the trainer.
        model: the untrained model.
        settings: settings with the limits.
        checkpoints: numbers of steps after which the LoRA is kept.
        clock: returns monotonic seconds.
        on_step: receives the number of steps done and the maximum, in that thread, after each; may raise to stop it.

    Raises:
        MissingExtraError: a library is not installed.
        ModelError: the network cannot be trained.
    """
    watch = _Watch(settings, clock, frozenset(checkpoints), on_step)
    try:
        adapter = await model.run(lambda: _train(make_trainer, model, watch))
    except asyncio.CancelledError:
        watch.cancelled = True
        raise
    losses = tuple(watch.losses)
    return TrainingResult(adapter, len(losses), watch.seconds, watch.cpu_seconds, losses, watch.adapters)


async def with_adapter(model: LocalModel, adapter: Adapter, *, name: str) -> LocalModel:
    """Return a new model with the adapter merged into its weights; close it when it is no longer needed.

    Raises:
        ModelError: the model is closed, or the adapter is for another network.
    """
    network = await model.run(lambda: _merged(model.network.module, adapter))
    return LocalModel(network, model.tokenizer, name=name, settings=model.settings)


def check_extra(what: str) -> None:
    """Check that the libraries are installed.

    Raises:
        MissingExtraError: one is not; the message says what needs them.
    """
    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingExtraError.of(f"{what} needs", "dpo", error) from error


def lora_config(settings: TrainingSettings) -> Any:
    """Return peft's configuration of the LoRA."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def longest(model: LocalModel, settings: TrainingSettings) -> int:
    """Return the maximum number of tokens in an example, by the settings and by the network."""
    return min(length for length in (settings.max_length, model.network.max_length) if length is not None)


def arguments(kind: Any, model: LocalModel, settings: TrainingSettings, folder: str, own: Mapping[str, Any]) -> Any:
    """Return the arguments of a trainer.

    Args:
        kind: transformers' TrainingArguments, or a subclass.
        model: the untrained model.
        settings: settings of the training.
        folder: folder for files.
        own: further arguments, which only this kind has.
    """
    on_cpu = model.network.device.type == "cpu"
    found = kind(
        output_dir=folder,
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
        **own,
    )
    found._n_gpu = min(found.n_gpu, 1)  # otherwise, every GPU would get a replica
    return found


@dataclass(slots=True)
class _Watch:
    """State of a training run: the time, the losses, the kept adapters, and whether to continue."""

    settings: TrainingSettings
    clock: Clock
    wanted: frozenset[int]
    on_step: OnStep
    began: tuple[float, float] | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    adapters: dict[int, Adapter] = field(default_factory=dict)
    cancelled: bool = False

    def begin_step(self) -> None:
        if self.began is None:
            self.began = self.clock(), time.process_time()

    def end_step(self, steps: int, network: Any) -> bool:
        """Record the end of a step, and return whether another step may start."""
        assert self.began is not None
        self.seconds = self.clock() - self.began[0]
        self.cpu_seconds = time.process_time() - self.began[1]
        if steps in self.wanted:
            self.adapters[steps] = _adapter_of(network)
        self.on_step(steps, self.settings.max_steps)
        return self.seconds < self.settings.seconds and not self.cancelled


def _watching(watch: _Watch) -> Any:
    """Return the callback of a trainer that is watched."""
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
            watch.begin_step()

        def on_step_end(self, args: Any, state: Any, control: Any, **values: Any) -> None:  # noqa: ARG002
            control.should_training_stop |= not watch.end_step(state.global_step, values["model"])

        def on_log(self, args: Any, state: Any, control: Any, **values: Any) -> None:  # noqa: ARG002
            if "loss" in values["logs"]:  # the last log is a summary of the whole training, without a loss
                watch.losses.append(values["logs"]["loss"])

    return Watching()


def _train(make_trainer: MakeTrainer, model: LocalModel, watch: _Watch) -> Adapter:
    """Train, and return the adapter.

    The libraries leave patched methods and settings on the network that they train, so that it is a copy, which is
    thrown away.
    """
    with (
        environment_kept(),
        nothing_left_behind(),
        tempfile.TemporaryDirectory(prefix="idiolect-training-") as folder,
    ):
        from transformers import PrinterCallback

        trainer = make_trainer(copy.deepcopy(model.network.module), [_watching(watch)], folder)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return _adapter_of(trainer.model)


def _adapter_of(network: Any) -> Adapter:
    """Return a copy of the LoRA of one of peft's networks."""
    from peft.tuners.lora import LoraLayer

    def kept(layers: Any) -> Tensor:
        weight: Tensor = layers["default"].weight
        return weight.detach().to("cpu", torch.float32, copy=True)

    changes = {
        f"{name.removeprefix(_WRAPPED)}.weight": LowRank(
            kept(layer.lora_A),
            kept(layer.lora_B),
            float(layer.scaling["default"]),
            bool(getattr(layer, "fan_in_fan_out", False)),
        )
        for name, layer in network.named_modules()
        if isinstance(layer, LoraLayer)
    }
    return Adapter(changes)


def _merged(original: Any, adapter: Adapter) -> Any:
    """Return a copy of a network with changed weights, which are not copied twice."""
    weights = dict(original.named_parameters())
    changed = {
        id(weights[name]): torch.nn.Parameter(change.added_to(weights[name]), weights[name].requires_grad)
        for name, change in adapter.changes.items()
    }
    return copy.deepcopy(original, changed)
