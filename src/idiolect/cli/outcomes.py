"""What became of each user of a run of `fit`: as a value, a line, a row and JSON; and the summary of them all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from idiolect.cli.terminal import err, one_line, print_table
from idiolect.errors import IdiolectError
from idiolect.methods.fermi.personalization import FermiPersonalization

State = Literal["learned", "already learned", "stopped early", "not learned", "failed"]
_COLUMNS = ("ID", "OPINIONS", "P⁰", "BEST", "PROMPTS", "CALLS", "TOKENS", "SECONDS", "")
_NUMBERS = _COLUMNS[1:-1]
_SHOWN_FAILURES = 20
_STAYS = "; what was learned before stays"


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned for one user, counted; thousands of them are kept until the end of a run.

    Args:
        initial_score, best_score: of `P⁰` and of the best prompt, in [0, 1].
        prompts: in the pool.
        calls, tokens: that learning takes when nothing is in a cache.
        used: it answers; False where the evidence speaks for the base model, or was not gathered yet.
        evidence: one sentence; None where the held-out opinions were not asked, or there are none.
        kept: the store holds it; False where it was stopped early and something learned to the end stays.
    """

    initial_score: float
    best_score: float
    prompts: int
    calls: int
    tokens: int
    used: bool
    evidence: str | None
    kept: bool = True

    @classmethod
    def of(cls, learned: FermiPersonalization, *, kept: bool = True) -> Learned:
        """The counts of a personalization."""
        usage = learned.answering + learned.optimizing
        return cls(
            initial_score=learned.initial.score,
            best_score=learned.best.score,
            prompts=len(learned.prompts),
            calls=usage.calls,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            used=learned.used,
            evidence=None if learned.evidence is None else learned.evidence.reason,
            kept=kept,
        )


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
    """

    user_id: str
    n_opinions: int
    seconds: float
    state: State
    learned: Learned | None = None
    error: IdiolectError | None = None

    def to_json(self) -> dict[str, Any]:
        """One line of `--json`."""
        shown: dict[str, Any] = {
            "id": self.user_id,
            "state": self.state,
            "opinions": self.n_opinions,
            "seconds": round(self.seconds, 3),
        }
        if self.error is not None:
            shown["error"] = {"type": _kind(self.error), "message": str(self.error)}
        return shown if self.learned is None else shown | asdict(self.learned)

    def row(self) -> tuple[str, ...]:
        """One line of the table."""
        assert self.learned is not None
        it = self.learned
        scores = f"{it.initial_score:.2f}", f"{it.best_score:.2f}"
        counts = str(it.prompts), f"{it.calls:,}", f"{it.tokens:,}", f"{self.seconds:.1f}"
        return one_line(self.user_id, limit=24), str(self.n_opinions), *scores, *counts, self._remark()

    def __str__(self) -> str:
        if self.learned is None:
            return f"{self.state}: {self.error}"
        it = self.learned
        scores = f"best {it.best_score:.2f}, P⁰ {it.initial_score:.2f}"
        harm = "" if it.used else ", the base model answers"
        return f"{self.state}, {scores}, {it.calls:,} calls, {self.seconds:.1f} s{harm if it.kept else _STAYS}"

    def _remark(self) -> str:
        remarks: list[str] = [self.state] if self.state != "learned" else []
        if self.learned is not None and not self.learned.kept:
            return f"{self.state}{_STAYS}"
        if self.learned is not None and not self.learned.used:
            judged = self.learned.evidence is not None
            remarks.append("base answers: " + ("no gain on held-out opinions" if judged else "not judged yet"))
        return ", ".join(remarks)


@dataclass(slots=True)
class Ledger:
    """What has become of the users so far."""

    total: int = 0
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
            print_table(_COLUMNS, (outcome.row() for outcome in self.shown), numbers=_NUMBERS)

    def print_failures(self) -> None:
        """Who could not be learned, and why, on stderr."""
        if not self.failures:
            return
        console = err()
        n = len(self.failures)
        console.print(f"{n:,} of {self.total:,} users could not be learned; the others are kept:")
        for outcome in self.failures[:_SHOWN_FAILURES]:
            console.print(f"  {one_line(outcome.user_id)}: {one_line(str(outcome.error))}", markup=False)
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
