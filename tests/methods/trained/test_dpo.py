"""DPO on self-generated pairs. `trl` takes seconds to import, so the tests share what they train."""

from __future__ import annotations

import asyncio
import copy
import os
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.utils import logging as transformers_logging

from idiolect.errors import HaltedError, MissingExtraError, ModelError, PersonalizationError, SettingsError
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.trained.dpo import DpoSettings, train_dpo
from idiolect.methods.trained.process_state import nothing_left_behind
from idiolect.methods.trained.training import TrainingResult, TrainingSettings, with_adapter
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, SamplingParams
from idiolect.models.local import LocalModel
from tests.models import tiny

PAIRS = [
    Pair(f"Do you agree {i}?", f"Strongly agree {i}, people help.", f"The government should work {i * i}.")
    for i in range(5)
]
QUICK = DpoSettings(TrainingSettings(seconds=600, max_steps=3, batch_size=2, learning_rate=5e-3, rank=4, alpha=8))


def of(**changes: Any) -> DpoSettings:
    return DpoSettings(TrainingSettings(**changes))


async def trained(result: TrainingResult, model: LocalModel) -> LocalModel:
    return await with_adapter(model, result.adapter, name="tiny + DPO")


async def margins(model: LocalModel) -> list[float]:
    """log p of the personalized side minus that of the neutral one, a pair."""
    told = await model.choice_logprobs(
        [ChoiceRequest(tiny.ask(pair.query), (pair.personalized, pair.neutral)) for pair in PAIRS]
    )
    return [each.logprobs[0] - each.logprobs[1] for each in told]


async def test_training_raises_every_margin_of_a_copy_and_does_so_twice_the_same_way() -> None:
    model = tiny.local_model()
    before, untouched = await margins(model), model.fingerprint()
    result = await train_dpo(PAIRS, model, QUICK)
    model_trained = await trained(result, model)
    after = await margins(model_trained)
    assert all(a > b + 1 for a, b in zip(after, before, strict=True))
    assert result.steps == len(result.losses) == 3
    assert result.losses[0] == pytest.approx(np.log(2), abs=1e-4)
    assert result.losses[-1] < 0.6
    assert model.fingerprint() == untouched
    assert await margins(model) == pytest.approx(before, abs=1e-4)
    assert all(parameter.requires_grad for parameter in model.network.module.parameters())
    again = await train_dpo(PAIRS, model, QUICK)
    assert (await trained(again, model)).fingerprint() == model_trained.fingerprint() != untouched
    assert again.losses == result.losses


async def test_the_trained_model_is_a_plain_network() -> None:
    model = tiny.local_model()
    found = await trained(await train_dpo(PAIRS, model, QUICK), model)
    one, other = model.network.module, found.network.module
    assert (type(other), found.name, found.tokenizer) == (type(one), "tiny + DPO", model.tokenizer)
    assert other.config.to_dict() == one.config.to_dict()
    assert [name for name, _ in other.named_modules()] == [name for name, _ in one.named_modules()]
    assert all(set(vars(a)) == set(vars(b)) for a, b in zip(other.modules(), one.modules(), strict=True))
    assert {id(p) for p in one.parameters()}.isdisjoint({id(p) for p in other.parameters()})
    request = CompletionRequest(tiny.ask("Do you agree 1?"), SamplingParams(4))
    assert (await found.complete([request]))[0].usage.calls == 1
    edited = found.with_edit(tiny.edit())
    assert (await edited.choice_logprobs([ChoiceRequest(tiny.ask("x"), ("y",))]))[0].n_tokens == (1,)


async def test_nothing_is_left_behind(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets.utils import are_progress_bars_disabled
    from huggingface_hub import constants
    from huggingface_hub.utils import _telemetry

    told: list[None] = []
    monkeypatch.setattr(_telemetry, "_start_telemetry_thread", lambda: told.append(None))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.delenv("CI", raising=False)

    def state() -> list[object]:
        return [
            torch.get_rng_state().tolist(),
            random.getstate(),
            np.random.get_state()[1].tolist(),  # type: ignore[union-attr]
            transformers_logging.get_verbosity(),
            transformers_logging.is_progress_bar_enabled(),
            are_progress_bars_disabled(),
            constants.HF_HUB_DISABLE_TELEMETRY,
            dict(os.environ),
            tiny.tokenizer().pad_token,
            sorted(Path.cwd().iterdir()),
        ]

    before = state()
    await train_dpo(PAIRS, tiny.local_model(), of(max_steps=1, seed=7))  # a seed of its own
    assert state() == before
    assert told == []
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize(("seconds", "steps"), [(1.0, 1), (25.0, 3)])
async def test_no_step_begins_after_the_time_is_up(seconds: float, steps: int) -> None:
    ticks = iter(range(0, 1000, 10))
    settings = of(seconds=seconds, max_steps=50, batch_size=2)
    result = await train_dpo(PAIRS, tiny.local_model(), settings, clock=lambda: float(next(ticks)))
    assert (result.steps, len(result.losses), result.seconds) == (steps, steps, 10.0 * steps)


async def test_cancelling_ends_the_training_after_the_step() -> None:
    model, loop, looks = tiny.local_model(), asyncio.get_running_loop(), 0
    cancelled = threading.Event()

    def clock() -> float:
        nonlocal looks
        looks += 1
        if looks == 2:
            loop.call_soon_threadsafe(lambda: (task.cancel(), loop.call_later(0.05, cancelled.set)))
            cancelled.wait(10)
        return time.monotonic()

    task = asyncio.create_task(train_dpo(PAIRS, model, of(seconds=20, max_steps=10**6), clock=clock))
    with pytest.raises(asyncio.CancelledError):
        await task
    await model.run(lambda: None)  # waits for the training
    assert looks <= 4


async def test_text_spells_no_control_token_and_no_template_is_needed() -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.chat_template = None
    lines = LocalModel(tiny.llama(), tokenizer, name="lines")
    hostile = [Pair(f"{p.query} <|im_end|>", f"<|im_start|>{p.personalized}", p.neutral) for p in PAIRS]
    plain = [Pair(f"{p.query} < |im_end|>", f"< |im_start|>{p.personalized}", p.neutral) for p in PAIRS]
    settings = of(max_steps=2, batch_size=2, learning_rate=5e-3)
    spelt, defused = [await train_dpo(pairs, lines, settings) for pairs in (hostile, plain)]
    assert spelt.losses == defused.losses
    assert spelt.losses[-1] < spelt.losses[0]


async def test_pairs_that_do_not_fit_are_an_error_of_the_model() -> None:
    with pytest.raises(ModelError, match="tiny"):
        await train_dpo([Pair("long " * 90, "a", "b")] * 2, tiny.local_model(), of(max_length=8))


async def test_one_pair_is_too_few() -> None:
    with pytest.raises(PersonalizationError, match="at least 2 pairs, there are 1"):
        await train_dpo(PAIRS[:1], tiny.local_model())


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingExtraError, match=r"idiolect\[dpo\]"):
        await train_dpo(PAIRS, tiny.local_model())


@pytest.mark.parametrize("bad", [{"seconds": 0}, {"max_steps": 0}, {"beta": -0.1}, {"rank": 0}, {"max_length": 1}])
def test_impossible_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        DpoSettings(beta=bad["beta"]) if "beta" in bad else of(**bad)


@pytest.mark.parametrize(
    "template",
    [
        tiny.CHATML,
        tiny.CHATML + "{% if enable_thinking is false %}{{ '<think>\n\n</think>\n\n' }}{% endif %}",
        tiny.CHATML + "{% if add_generation_prompt %}{{ '<think>\n' }}{% endif %}",
        None,
    ],
    ids=["plain", "thoughts by choice", "thoughts always", "no template"],
)
async def test_the_model_is_trained_on_chats_as_they_are_asked(
    template: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.chat_template = template
    model, rows = LocalModel(tiny.llama(), tokenizer, name="thinks"), list[dict[str, list[int]]]()

    async def only_the_data(make_trainer: Any, of: LocalModel, *_: object, **__: object) -> None:
        with nothing_left_behind():
            trainer = make_trainer(copy.deepcopy(of.network.module), [], str(tmp_path))
        rows.extend(trainer.train_dataset)

    monkeypatch.setattr("idiolect.methods.trained.dpo.train_adapter", only_the_data)
    await train_dpo(PAIRS, model)
    for pair, row in zip(PAIRS, rows, strict=True):
        assert row["prompt_ids"] == list(model.format.prompt_ids(tiny.ask(pair.query), thinking=False))
        for side, text in (("chosen_ids", pair.personalized), ("rejected_ids", pair.neutral)):
            assert row[side] == [*model.format.text_ids(text), *model.format.end_ids]


async def test_an_observer_of_the_steps_can_end_the_training() -> None:
    seen: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        seen.append((done, total))
        if done == 2:
            raise HaltedError("enough")

    with pytest.raises(HaltedError, match="enough"):
        await train_dpo(PAIRS, tiny.local_model(), of(max_steps=50, batch_size=2), on_step=stop)
    assert seen == [(1, 50), (2, 50)]
