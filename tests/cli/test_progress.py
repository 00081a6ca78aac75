"""The line of progress."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from idiolect.cli import progress
from idiolect.cli.progress import UsersProgress
from idiolect.methods.personalization import Progress


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=160, highlight=False)
    monkeypatch.setattr(progress, "live_err", lambda: terminal)
    return written


@pytest.mark.parametrize("many", [True, False])
def test_wait_that_a_server_asks_for_is_shown_while_it_lasts(screen: io.StringIO, many: bool) -> None:
    left = 44.8
    with UsersProgress() as shown:
        shown.expect(2, many=many, note=lambda: "7 calls", pause_left=lambda: left)
        shown.observe(Progress("ann", "scoring", 0, 1))
        shown._bars.refresh()
        assert "waiting 45 s, as the server asks" in screen.getvalue()
        assert "7 calls" in screen.getvalue()
        left = 0.0
        screen.truncate(0)
        shown._bars.refresh()
        assert "waiting" not in screen.getvalue()
        assert "7 calls" in screen.getvalue()


def test_the_parts_of_a_step_move_the_bar(screen: io.StringIO) -> None:
    del screen
    with UsersProgress(1) as shown:
        for part in (0.0, 0.25, 0.75):
            shown.observe(Progress("readers", "learning from members", 1, 4, part=part))
            assert shown._bars.tasks[1].completed == 1 + part
