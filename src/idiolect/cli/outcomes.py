"""What became of each user of a run of `fit`: as a value, a line, a row and JSON; and the summary of them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from idiolect.cli.advice import advised
from idiolect.cli.learner import Learned
from idiolect.cli.terminal import err, one_line, print_table
from idiolect.errors import IdiolectError

State = Literal["learned", "already learned", "stopped early", "not learned", "failed"]
_SHOWN_FAILURES = 20
_STAYS = "; what was learned before stays"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one user.

    Args:
        user_id: who.
        n_opinions: how many they gave.
        seconds: how long it took.
        state: "stopped early" is usable, with fewer iterations; "not learned" was halted before there was anything.
        learned: what was learned.
        error: why not.
        kept: the store holds it; False where it was stopped early and something learned to the end stays.
    """

    user_id: str
    n_opinions: int
    seconds: float
    state: State
    learned: Learned | None = None
    error: IdiolectError | None = None
    kept: bool = True

    def to_json(self) -> dict[str, Any]:
        """One line of `--json`."""
        shown: dict[str, Any] = {
            "id": self.user_id,
            "state": self.state,
            "opinions": self.n_opinions,
            "seconds": round(self.seconds, 3),
        }
        if self.error is not None:
            shown["error"] = {"type": _kind(self.error), "message": advised(self.error)}
        return shown if self.learned is None else shown | self.learned.to_json() | {"kept": self.kept}

    def row(self) -> tuple[str, ...]:
        """One line of the table."""
        assert self.learned is not None
        whose = one_line(self.user_id, limit=24), str(self.n_opinions)
        return *whose, *self.learned.cells, f"{self.seconds:.1f}", self._remark()

    def __str__(self) -> str:
        if self.learned is None:
            return f"{self.state}: {self.error and advised(self.error)}"
        harm = "" if self.learned.used else ", the base model answers"
        return f"{self.state}, {self.learned.told}, {self.seconds:.1f} s{harm if self.kept else _STAYS}"

    def _remark(self) -> str:
        if not self.kept:
            return f"{self.state}{_STAYS}"
        remark = "" if self.learned is None else self.learned.remark
        return ", ".join(part for part in (self.state if self.state != "learned" else "", remark) if part)


@dataclass(slots=True)
class Ledger:
    """What has become of the users so far. `columns`, `numbers`: of the table, those that the method tells."""

    total: int = 0
    columns: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    states: Counter[State] = field(default_factory=Counter)
    shown: list[Outcome] = field(default_factory=list)
    failures: list[Outcome] = field(default_factory=list)
    table: bool = True

    def add(self, outcome: Outcome) -> None:
        """Count one more user."""
        self.states[outcome.state] += 1
        if outcome.state == "failed":
            self.failures.append(outcome)
        elif self.table and outcome.learned is not None:
            self.shown.append(outcome)

    @property
    def complete(self) -> bool:
        """Every user is learned."""
        return self.states["learned"] + self.states["already learned"] == self.total

    def told(self) -> str:
        """Users by state, in words: "3 learned, 1 stopped early, 6 not learned"."""
        open_ = self.total - sum(self.states.values())
        counts = [(self.states[state], state) for state in ("learned", "already learned", "stopped early", "failed")]
        counts.append((self.states["not learned"] + open_, "not learned"))
        told = ", ".join(f"{count:,} {state}" for count, state in counts if count)
        return f"of {self.total:,} user{'s' if self.total != 1 else ''}: {told}" if told else "no users"

    def print_table(self) -> None:
        """What was learned, on stdout."""
        if self.shown:
            columns = ("ID", "OPINIONS", *self.columns, "SECONDS", "")
            numbers = ("OPINIONS", *self.numbers, "SECONDS")
            print_table(columns, (outcome.row() for outcome in self.shown), numbers=numbers)

    def print_failures(self) -> None:
        """Who could not be learned, and why, on stderr."""
        if not self.failures:
            return
        console = err()
        n = len(self.failures)
        console.print(f"{n:,} of {self.total:,} users could not be learned; the others are kept:")
        for outcome in self.failures[:_SHOWN_FAILURES]:
            console.print(
                f"  {one_line(outcome.user_id)}: {one_line(advised(outcome.error) if outcome.error else '')}",
                markup=False,
            )
        if n > _SHOWN_FAILURES:
            console.print(f"  and {n - _SHOWN_FAILURES:,} more:")
            for reason, count in _reasons(self.failures[_SHOWN_FAILURES:]):
                console.print(f"  {count:,} × {one_line(reason)}", markup=False)


def _reasons(failures: Sequence[Outcome]) -> list[tuple[str, int]]:
    """Kinds of failure with their counts, the commonest first; ids differ, so users' own errors count by kind."""
    return Counter(_kind(outcome.error) for outcome in failures).most_common()


def _kind(error: IdiolectError | None) -> str:
    """The name that `idiolect.errors` has for it; a module's own kinds of error may change."""
    return next((kind.__name__ for kind in type(error).__mro__ if kind.__module__ == IdiolectError.__module__), "")
