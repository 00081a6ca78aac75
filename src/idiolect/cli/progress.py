"""Live progress on stderr; if stderr is no terminal, one plain line per finished user.

It shows what observers of the use cases receive: counts, scores and stages, but no texts of people.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Column

from idiolect.application.portal import GRACE_SECONDS
from idiolect.application.run import Spending
from idiolect.application.workspace import WorkspaceEvents
from idiolect.cli.terminal import err, live_err, one_line, visible
from idiolect.methods.personalization import Progress

_NAME_CHARACTERS = 14
_NARROWEST = 20  # columns that a spinner needs: on fewer it would be redrawn letter by letter
_SECONDS_BETWEEN = 0.2


def no_pause() -> float:
    """Return that no call waits."""
    return 0.0


@dataclass(frozen=True, slots=True)
class _Note:
    """What is shown about the users, after a wait that a server asks for; rich draws it anew several times a second."""

    text: str = ""
    pause_left: Callable[[], float] = no_pause

    def __str__(self) -> str:
        left = self.pause_left()
        pause = f"waiting {left:,.0f} s, as the server asks" if left >= 1 else ""
        return ", ".join(part for part in (pause, self.text) if part)


class UsersProgress:
    """Progress over all users and within the current one, as a context manager.

    Nothing is shown before the first step of the work.

    Args:
        total: number of users; None: `expect` will set it.
        noun: word for the users in the display.
    """

    def __init__(self, total: int | None = None, *, noun: str = "users") -> None:
        self._total, self._done = total or 0, 0
        self._many = False
        self._note: Callable[[], str] = str
        self._pause_left: Callable[[], float] = no_pause
        self._active: set[str] = set()
        self._shown_at = 0.0
        self._bars = _bars()
        self._live = self._bars.console.is_terminal
        self._all = self._bars.add_task(noun, total=total, note=_Note())
        self._one = self._bars.add_task("", total=1, note="", visible=False)
        self._user: str | None = None

    def __enter__(self) -> Self:
        return self

    def expect(
        self,
        total: int,
        *,
        many: bool = False,
        note: Callable[[], str] = str,
        pause_left: Callable[[], float] = no_pause,
    ) -> None:
        """Set the number of users and what is shown about them.

        Args:
            total: number of users.
            many: whether several users are worked on at a time. Then their number is shown instead of a single user.
            note: returns additional text; it is called after every change.
            pause_left: returns for how many seconds calls wait because a server asks for that. It is called in another
                thread, several times a second.
        """
        self._total, self._many, self._note, self._pause_left = total, many, note, pause_left
        self._bars.update(self._all, total=total, note=self._all_note(""))

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._bars.stop()

    def observe(self, progress: Progress) -> None:
        """Show a step of the work on one user."""
        if not self._live:
            return
        self._bars.start()  # has no effect once started
        self._active.add(progress.user_id)
        now = time.monotonic()
        if self._many:
            if now - self._shown_at > _SECONDS_BETWEEN:
                self._shown_at = now
                self._bars.update(self._all, note=self._all_note(self._many_note()))
            return
        if progress.user_id != self._user:
            self._user = progress.user_id
            self._bars.reset(self._one, visible=True)
        best = "" if progress.best_score is None else f"best {progress.best_score:.2f}, "
        self._bars.update(
            self._one,
            description=visible(progress.user_id, limit=_NAME_CHARACTERS),
            completed=progress.done + progress.part,
            total=progress.total,
            note=f"{best}{progress.usage.calls} calls, {progress.stage}",
        )
        self._bars.update(self._all, note=self._all_note(self._note()))

    def _all_note(self, text: str) -> _Note:
        return _Note(text, self._pause_left)

    def _many_note(self) -> str:
        return ", ".join(part for part in (f"{len(self._active)} in progress", self._note()) if part)

    def finished(self, user_id: str, outcome: str) -> None:
        """Count one user as done, and show `outcome`, which is a few words, if there is no live display."""
        self._done += 1
        self._active.discard(user_id)
        note = self._all_note(self._many_note() if self._many else self._note())
        self._bars.update(self._all, completed=self._done, note=note)
        if not self._live:
            line = f"[{self._done}/{self._total}] {visible(user_id)}: {one_line(outcome)}"
            err().print(line, markup=False)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Hide the live display while something else is printed on the same screen."""
        if self._live:
            self._bars.stop()
        try:
            yield
        finally:
            if self._live:
                self._bars.start()


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show a spinner on a terminal during work that takes seconds."""
    console = live_err()
    if not console.is_terminal or console.width < _NARROWEST:
        yield
        return
    with console.status(one_line(what), spinner="line"):
        yield


def progress_line(spending: Spending) -> str:
    """Return the cost so far on one line: "1,234 calls, 35/s, $0.12"."""
    parts = [f"{spending.calls:,} calls", f"{spending.calls / max(spending.seconds, 1e-3):.3g}/s"]
    if spending.from_cache:
        parts.append(f"{spending.from_cache:,} from the cache")
    if spending.money:
        parts.append(f"${spending.money:.4f}")
    return ", ".join(parts)


def cost_line(spending: Spending) -> str:
    """Return the cost of a whole run on one line."""
    money = "cost unknown" if spending.money is None else f"${spending.money:.4f}"
    tokens = f"{spending.prompt_tokens:,} + {spending.completion_tokens:,} tokens"
    parts = [f"{spending.calls:,} calls", tokens, money, f"{spending.seconds:.1f} s"]
    if spending.from_cache:
        parts.append(f"{spending.from_cache:,} answers from the cache")
    if spending.failed:
        parts.append(f"{spending.failed:,} calls failed")
    if spending.failed_tries:
        parts.append(f"{spending.failed_tries:,} tries failed and may have been billed")
    if spending.dropped:
        parts.append(f"{spending.dropped:,} calls were dropped in flight and may have been billed")
    if spending.uncertain:
        parts.append(f"{spending.uncertain:,} calls of earlier runs were never answered and may have been billed")
    return ", ".join(parts)


def print_uncertain(count: int) -> None:
    """Print how many calls were in flight when an earlier run ended."""
    calls = "1 call was" if count == 1 else f"{count:,} calls were"
    err().print(
        f"{calls} in flight when an earlier run ended and may have been billed; unanswered calls are repeated if needed"
    )


def print_interrupted(in_flight: int) -> None:
    """Print what a halted use case is waiting for."""
    calls = f"{in_flight:,} call{'s' if in_flight != 1 else ''} in flight, which may be billed"
    awaited = calls if in_flight else "work in flight"
    line = f"stopping: waiting up to {GRACE_SECONDS:.0f} s for {awaited}; press Ctrl-C again to stop at once"
    err().print(line, markup=False)


SCREEN = WorkspaceEvents(waiting, print_uncertain, print_interrupted)


def _bars() -> Bars:
    note = TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=8),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        note,
        console=live_err(),
        transient=True,
        redirect_stdout=False,  # results belong on stdout, which may be a file
        redirect_stderr=False,
    )
