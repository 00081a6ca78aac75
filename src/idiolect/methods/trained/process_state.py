"""State of the process that the training libraries change, restored after a training run."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from idiolect.models import hugging_face


@contextmanager
def nothing_left_behind() -> Iterator[None]:
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
def environment_kept() -> Iterator[None]:
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
