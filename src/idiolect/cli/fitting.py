"""The flow of `idiolect fit`: check the file, open the models, and only then write; then user by user.

A user's personalization is saved the moment it exists. A user who cannot be learned does not stop the others.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.boundary import stop
from idiolect.cli.progress import UsersProgress
from idiolect.cli.terminal import err, one_line, print_json, print_table
from idiolect.errors import IdiolectError, ModelError, PersonalizationError, SettingsError
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.settings import FermiSettings, ProposerName, preset
from idiolect.people.user import User
from idiolect.people.users_file import UsersFileReport, read_users
from idiolect.store import Store

METHOD = "fermi"
_COLUMNS = ("ID", "OPINIONS", "P⁰", "BEST", "PROMPTS", "CALLS", "TOKENS", "SECONDS")


@dataclass(frozen=True, slots=True)
class FitOrder:
    """What is to be learned, and how.

    Args:
        source: the users file, "-" for standard input.
        store: where to; None: the default store.
        settings: of Fermi.
        model, optimizer: names; no optimizer: the model.
        only: ids of the users to take; empty: all.
        skip_invalid: go on without faulty lines.
        json: print JSON.
    """

    source: str
    store: str | None
    settings: FermiSettings
    model: str
    optimizer: str | None
    only: tuple[str, ...]
    skip_invalid: bool
    json: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one user: counts of what was learned, or why nothing was."""

    user_id: str
    n_opinions: int
    seconds: float
    best_score: float = 0.0
    initial_score: float = 0.0
    prompts: int = 0
    calls: int = 0
    tokens: int = 0
    error: IdiolectError | None = None

    def to_json(self) -> dict[str, Any]:
        """One line of `--json`."""
        shown: dict[str, Any] = {"id": self.user_id, "opinions": self.n_opinions, "seconds": round(self.seconds, 3)}
        if self.error is not None:
            return shown | {"error": {"type": type(self.error).__name__, "message": str(self.error)}}
        return shown | {
            "initial_score": self.initial_score,
            "best_score": self.best_score,
            "prompts": self.prompts,
            "calls": self.calls,
            "tokens": self.tokens,
        }

    def row(self) -> tuple[str, ...]:
        """One line of the table."""
        scores = f"{self.initial_score:.2f}", f"{self.best_score:.2f}"
        counts = str(self.prompts), f"{self.calls:,}", f"{self.tokens:,}", f"{self.seconds:.1f}"
        return (one_line(self.user_id, limit=24), str(self.n_opinions), *scores, *counts)

    def __str__(self) -> str:
        if self.error is not None:
            return f"failed: {self.error}"
        scores = f"best {self.best_score:.2f}, P⁰ {self.initial_score:.2f}"
        return f"learned, {scores}, {self.calls:,} calls, {self.seconds:.1f} s"


@dataclass(slots=True)
class _Ledger:
    """What has become of the users so far."""

    total: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def learned(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error is None]

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error is not None]


def settings_of(
    preset_name: str,
    *,
    answering: str | None,
    similarity: str | None,
    proposers: tuple[str, ...] | None,
    iterations: int | None,
    seed: int,
) -> FermiSettings:
    """A preset's settings with the given changes; None changes nothing.

    Raises:
        SettingsError: a setting, or a combination, makes no sense.
    """
    settings = replace(preset(preset_name), seed=seed)
    if answering is not None:
        mode = cast(Literal["generate", "likelihood"], answering)
        settings = replace(settings, answering=replace(settings.answering, mode=mode))
    if similarity is not None:
        settings = replace(settings, retrieval=replace(settings.retrieval, similarity=similarity))
    if proposers is not None:
        settings = replace(settings, proposers=cast(tuple[ProposerName, ...], proposers))
    return settings if iterations is None else replace(settings, iterations=iterations)


def fit_users(order: FitOrder) -> bool:
    """Learn every user of the file and print what became of them; whether all went well.

    Raises:
        UsersFileError: the file has faults; nothing was written.
        SettingsError, ModelError, MissingExtraError: a model cannot be opened; nothing was written.
        StoreError: the store cannot be opened or written; what was learned before is kept.
    """
    people = _people(order)
    ledger = _Ledger()
    with opened(order.settings, model=order.model, optimizer=order.optimizer) as bench:
        try:
            asyncio.run(_fit(order, bench, people, ledger))
        except KeyboardInterrupt:
            _print_table(order, ledger)
            stop(_kept(ledger))
    _print_table(order, ledger)
    _print_failures(ledger)
    return not ledger.failed


def _people(order: FitOrder) -> Iterable[User]:
    """The users to learn; the file has been checked as a whole."""
    report = _report_left_out if order.skip_invalid else None
    people = read_users(order.source, skip_invalid=order.skip_invalid, on_report=report)
    if not order.only:
        return people
    chosen = {user.id: user for user in people if user.id in order.only}
    if missing := [user_id for user_id in order.only if user_id not in chosen]:
        raise SettingsError(f"the file holds no user {', '.join(map(repr, missing))}")
    return list(chosen.values())


def _report_left_out(report: UsersFileReport) -> None:
    if report.fault_count and report.users:  # without users it is an error, which tells the faults itself
        lines = "1 line is" if report.invalid_lines == 1 else f"{report.invalid_lines:,} lines are"
        for line in (f"{report}: {lines} left out", *report.faults):
            err().print(one_line(str(line)), markup=False)


async def _fit(order: FitOrder, bench: Workbench, people: Iterable[User], ledger: _Ledger) -> None:
    await bench.check_similarity()
    with Store.open(order.store) as store:
        ids: list[str] = []
        store.save_users(_noting(people, ids))
        ledger.total = len(ids)
        with UsersProgress(len(ids)) as progress:
            for user_id in ids:
                await asyncio.sleep(0)  # a model that never waits would leave Ctrl-C no chance
                outcome = await _fit_one(store.user(user_id), bench, store, progress)
                ledger.outcomes.append(outcome)
                progress.finished(user_id, str(outcome))
                if order.json:
                    with progress.aside():
                        print_json(outcome.to_json())
                        sys.stdout.flush()


def _noting(people: Iterable[User], ids: list[str]) -> Iterator[User]:
    for user in people:
        ids.append(user.id)
        yield user


async def _fit_one(user: User, bench: Workbench, store: Store, progress: UsersProgress) -> Outcome:
    start = time.perf_counter()
    try:
        learned = await bench.fit(user, observer=progress.observe)
    except (PersonalizationError, ModelError) as error:
        return Outcome(user.id, len(user.opinions), time.perf_counter() - start, error=error)
    store.save_personalization(user.id, METHOD, learned.to_json())
    return _outcome(user, learned, time.perf_counter() - start)


def _outcome(user: User, learned: FermiPersonalization, seconds: float) -> Outcome:
    usage = learned.answering + learned.optimizing
    return Outcome(
        user.id,
        len(user.opinions),
        seconds,
        best_score=learned.best.score,
        initial_score=learned.initial.score,
        prompts=len(learned.prompts),
        calls=usage.calls,
        tokens=usage.prompt_tokens + usage.completion_tokens,
    )


def _print_table(order: FitOrder, ledger: _Ledger) -> None:
    if ledger.learned and not order.json:
        rows = (outcome.row() for outcome in ledger.learned)
        print_table(_COLUMNS, rows, numbers=_COLUMNS[1:])


def _print_failures(ledger: _Ledger) -> None:
    if not ledger.failed:
        return
    console = err()
    console.print(f"{len(ledger.failed)} of {ledger.total} users could not be learned; the others are kept:")
    for outcome in ledger.failed:
        console.print(f"  {one_line(outcome.user_id)}: {one_line(str(outcome.error))}", markup=False)


def _kept(ledger: _Ledger) -> str:
    if not ledger.total:
        return "nothing was written"
    return (
        f"{len(ledger.learned)} of {ledger.total} users are learned and kept; "
        "the same command, run again, learns all of them anew"
    )
