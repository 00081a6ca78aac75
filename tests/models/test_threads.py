"""Threads by load: as many as other processes leave cores, and never another result."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from idiolect.models import threads as module
from idiolect.models.language_model import ChoiceRequest, CompletionRequest, Message, SamplingParams
from idiolect.models.local import LocalModel
from idiolect.models.network import log_normalizers
from idiolect.models.threads import CpuTimes, ThreadsByLoad, _cpu_times, adapt, chosen_by_user


class Machine:
    """A machine of some cores, on which time passes as a test says."""

    def __init__(self) -> None:
        self.now = CpuTimes(0.0, 0.0, 0.0)

    def passes(self, seconds: float, *, own: float, others: float) -> None:
        """Let time pass; own and others: cores in use."""
        clock, busy, mine = self.now.clock, self.now.busy, self.now.own
        self.now = CpuTimes(clock + seconds, busy + seconds * (own + others), mine + seconds * own)

    def threads(self, *, cores: int, most: int) -> ThreadsByLoad:
        """Return the rule on this machine."""
        return ThreadsByLoad(cores=cores, most=most, read=lambda: self.now, clock=lambda: self.now.clock)


@pytest.mark.parametrize(
    ("cores", "most", "others", "expected"),
    [
        (2, 2, 0.0, 2),
        (2, 2, 0.2, 2),
        (2, 2, 1.0, 1),
        (2, 2, 2.0, 1),
        (8, 8, 3.0, 5),
        (8, 4, 3.0, 4),  # as many as torch would take, no more
        (8, 4, 30.0, 1),
        (1, 1, 0.0, 1),
    ],
)
def test_threads_are_what_others_leave(cores: int, most: int, others: float, expected: int) -> None:
    machine = Machine()
    threads = machine.threads(cores=cores, most=most)
    assert threads.count() == most
    machine.passes(1.0, own=1.0, others=others)
    assert threads.count() == expected


def test_threads_come_back_when_the_others_are_gone() -> None:
    machine = Machine()
    threads = machine.threads(cores=2, most=2)
    machine.passes(0.5, own=1.0, others=1.0)
    assert threads.count() == 1
    machine.passes(0.5, own=1.0, others=0.0)
    assert threads.count() == 2


def test_two_alike_settle_on_a_core_each() -> None:
    """Each sees the other's one busy core, whichever threads they began with."""
    machines = [Machine(), Machine()]
    rules = [machine.threads(cores=2, most=2) for machine in machines]
    counts = [2, 2]
    for _ in range(5):
        share = [2 * count / sum(counts) for count in counts]
        for machine, own, other in zip(machines, share, reversed(share), strict=True):
            machine.passes(0.3, own=own, others=other)
        counts = [rule.count() for rule in rules]
    assert counts == [1, 1]


def test_short_intervals_are_not_measured() -> None:
    machine = Machine()
    threads = machine.threads(cores=2, most=2)
    machine.passes(0.05, own=0.0, others=2.0)
    assert threads.count() == 2


def test_the_times_of_this_machine_grow() -> None:
    before = _cpu_times()
    assert sum(i * i for i in range(2_000_000)) > 0
    after = _cpu_times()
    assert after.clock > before.clock
    assert after.own > before.own
    assert after.busy >= before.busy


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, False), ({"OMP_NUM_THREADS": "2"}, True), ({"MKL_NUM_THREADS": "1"}, True), ({"OMP_NUM_THREADS": ""}, False)],
)
def test_a_number_in_the_environment_is_the_users(environment: dict[str, str], expected: bool) -> None:
    assert chosen_by_user(environment) is expected


SCRIPT = """
import torch
from idiolect.models import threads
most = torch.get_num_threads()
class Fixed:
    number = most
    def count(self): return self.number
if threads._by_load is not None:
    threads._by_load = Fixed()
Fixed.number = 1
threads.adapt()
print(most, torch.get_num_threads())
a = torch.eye(576, dtype=torch.float64).expand(30, 576, 576) + torch.full((30, 576, 576), 1e-4, dtype=torch.float64)
b = torch.ones(30, 576, 1, dtype=torch.float64)
Fixed.number = most
threads.adapt()
print(torch.get_num_threads(), float((a @ torch.linalg.solve(a, b) - b).abs().max()) < 1e-9)
"""


@pytest.mark.parametrize("number", ["", "3"])
def test_adapting_leaves_the_users_number_and_linear_algebra_alone(number: str) -> None:
    """In a process of its own, because the number of threads is the process's."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    environment |= {"OMP_NUM_THREADS": number} if number else {}
    ran = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    most, adapted = map(int, first.split())
    assert adapted == (most if number else 1)
    assert second == f"{most} True"


PINNED = """
import threading, torch
from idiolect.models import threads
class Fixed:
    number = 1
    def count(self): return self.number
threads._by_load = Fixed()
threads.adapt()
torch.set_num_threads(3)
threads.adapt()
here = torch.get_num_threads()
def other():
    threads.adapt()
    print(here, torch.get_num_threads())
thread = threading.Thread(target=other)
thread.start()
thread.join()
"""


def test_a_number_set_in_torch_is_the_users_in_every_thread() -> None:
    ran = subprocess.run([sys.executable, "-c", PINNED], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("3 3\n", "")


class Fixed:
    """A rule that always finds the same number of threads."""

    def __init__(self, threads: int) -> None:
        self._threads = threads

    def count(self) -> int:
        return self._threads


async def test_the_number_of_threads_changes_no_result(
    embedded_model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = embedded_model
    asked = [
        ChoiceRequest((Message("user", f"Is {topic} important to you? " * 9),), ("Yes", "No", "Not at all"))
        for topic in ("music", "the forest")
    ]
    asked += [
        ChoiceRequest((Message("user", f"From 1 to {n}?"),), ("1", "2", "3")) for n in range(3, 15)
    ]  # one row each
    written = [CompletionRequest(each.messages, SamplingParams(8)) for each in asked[:2]]

    async def results(threads: int) -> tuple[list[tuple[float, ...]], list[str], bytes]:
        await model.forget_prefixes()
        monkeypatch.setattr(module, "_by_load", Fixed(threads))
        scores = [(await model.choice_logprobs([each]))[0].logprobs for each in asked]
        assert await model.run(torch.get_num_threads) == threads
        texts = [each.text for each in await model.complete(written)]
        gradients = await model.likelihood_gradients([(asked[0].messages, "It is what I live for.")])
        return scores, texts, gradients.numpy().tobytes()

    assert await results(1) == await results(2) == await results(3)
    monkeypatch.undo()
    await model.run(adapt)


def test_a_single_row_is_normalized_the_same_by_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.randn(100, 1, 49152, generator=torch.Generator().manual_seed(0))

    def results(threads: int) -> torch.Tensor:
        monkeypatch.setattr(module, "_by_load", Fixed(threads))
        adapt()
        return torch.stack([log_normalizers(row) for row in rows])

    assert torch.equal(results(1), results(2))
    assert torch.equal(results(1), results(3))
    monkeypatch.undo()
    adapt()


def test_two_workers_may_ask_at_once() -> None:
    """A second measurement in the same moment must not divide by no time."""
    machine = Machine()
    threads = machine.threads(cores=2, most=2)
    machine.passes(1.0, own=1.0, others=1.0)
    with ThreadPoolExecutor(8) as workers:
        assert set(workers.map(lambda _: threads.count(), range(200))) == {1}
