"""Work in another thread: its steps are told in the event loop, and it ends early if it is to stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from idiolect.errors import HaltedError, ModelError
from idiolect.methods.chameleon.watching import watched
from idiolect.models.edit_training import OnStep

MANY = 1000


class Work:
    """A thousand steps in a thread, each of which waits until the event loop has had a turn; `made` counts them."""

    def __init__(self, *, wraps: bool = False) -> None:
        self.made, self._wraps = 0, wraps
        self.ended = threading.Event()

    async def start(self, on_step: OnStep) -> str:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, self._run, on_step, loop)

    def _run(self, on_step: OnStep, loop: asyncio.AbstractEventLoop) -> str:
        try:
            for self.made in range(1, MANY + 1):
                on_step(self.made, MANY)
                turn = threading.Event()
                loop.call_soon_threadsafe(turn.set)
                turn.wait(5)
        except HaltedError as error:
            if self._wraps:
                raise ModelError("the model failed") from error
            raise
        finally:
            self.ended.set()
        return "done"


async def test_every_step_is_told_in_the_event_loops_thread() -> None:
    seen, threads = list[tuple[int, int]](), set[int]()

    def tell(done: int, total: int) -> None:
        seen.append((done, total))
        threads.add(threading.get_ident())

    assert await watched(Work().start, tell) == "done"
    assert seen == [(at, MANY) for at in range(1, MANY + 1)]
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("wraps", [False, True], ids=["as it is", "wrapped by the model"])
async def test_an_error_of_the_observer_ends_the_work_and_is_raised(wraps: bool) -> None:
    work = Work(wraps=wraps)
    with pytest.raises(HaltedError, match="enough"):
        await watched(work.start, raising_at(3))
    assert work.made == 4
    assert work.ended.is_set()


async def test_an_error_at_the_last_step_is_raised_as_well() -> None:
    with pytest.raises(HaltedError, match="enough"):
        await watched(Work().start, raising_at(MANY))


async def test_a_cancelled_task_ends_the_work_in_the_thread() -> None:
    work, begun = Work(), asyncio.Event()

    def tell(done: int, _total: int) -> None:
        if done == 5:
            begun.set()

    task = asyncio.create_task(watched(work.start, tell))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(work.ended.wait, 5)
    assert work.made < MANY


async def test_an_error_of_the_work_is_raised_as_it_is() -> None:
    async def fail(_on_step: OnStep) -> str:
        raise ModelError("the model failed")

    with pytest.raises(ModelError, match="the model failed"):
        await watched(fail, lambda _done, _total: None)


def raising_at(step: int) -> Callable[[int, int], None]:
    def tell(done: int, _total: int) -> None:
        if done == step:
            raise HaltedError("enough")

    return tell
