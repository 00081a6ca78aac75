"""Output of `idiolect fit`: progress, each user's outcome, the final table, and the forecast of a dry run."""

from __future__ import annotations

import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from idiolect.application.chameleon import ChameleonSummary
from idiolect.application.documents import forecast_document, outcome_document
from idiolect.application.fermi import FermiSummary
from idiolect.application.fitting import FitEvents, FitStart, Outcome, State, UnexpectedValueError
from idiolect.application.forecasting import ChameleonForecast, FermiForecast
from idiolect.application.names import CHAMELEON, FERMI, MethodName
from idiolect.application.run import Spending
from idiolect.cli.advice import Invocation, advised
from idiolect.cli.progress import UsersProgress, cost_line, no_pause, progress_line
from idiolect.cli.terminal import (
    debugging,
    err,
    one_line,
    out,
    print_json,
    print_table,
    print_wrapped,
    printable,
    visible,
)
from idiolect.errors import error_kind
from idiolect.methods.unread import too_many_unread

_SHOWN_USERS = 20
_SHOWN_UNREAD = 5
_UNREAD_CHARACTERS = 80
_STAYS = "; the earlier result was kept"
_NUMBERS = {
    FERMI: ("P⁰", "BEST", "PROMPTS", "CALLS", "TOKENS"),
    CHAMELEON: ("ITEMS", "PAIRS", "DROPPED", "LAYERS", "NAT/TOKEN", "BASE", "EDITED", "CALLS", "TOKENS"),
}
_WORDS: dict[MethodName, tuple[str, ...]] = {FERMI: (), CHAMELEON: ("PRESET", "VARIANT")}
_FERMI_FORECAST = ("", "MODEL", "CALLS", "AT MOST", "PROMPT TOKENS", "COMPLETION TOKENS", "USD")
_CHAMELEON_FORECAST = ("MODEL", "QUERIES", "ANSWERS", "TOKENS AT MOST")


class FitScreen:
    """Display of a running fit, which is fed by the observers in `events`.

    Args:
        method: learning method.
        invocation: command that was called, for advice on errors.
        progress: display of the progress over users.
        json: whether to print each outcome as JSON.
        spending: returns the cost of the run so far.
        pause_left: returns for how many seconds calls wait because a server asks for that.
    """

    def __init__(
        self,
        method: MethodName,
        invocation: Invocation,
        progress: UsersProgress,
        *,
        json: bool,
        spending: Callable[[], Spending],
        pause_left: Callable[[], float] = no_pause,
    ) -> None:
        self._method, self._invocation, self._progress = method, invocation, progress
        self._json, self._spending, self._pause_left = json, spending, pause_left
        self._total = 0
        self._states: Counter[State] = Counter()
        self._learned: list[Outcome] = []
        self._failures: list[Outcome] = []
        self._unread: list[Outcome] = []

    @property
    def events(self) -> FitEvents:
        """Observers to pass to the fit."""
        return FitEvents(self._start, self._progress.observe, self._finish)

    @property
    def began(self) -> bool:
        """Whether the fit has started, so that its users are in the store."""
        return self._total > 0

    def print_end(self, *, notes: Sequence[str] = (), halted_by: str | None = None) -> None:
        """Print the table of learned users, the failures, the notes and the cost."""
        if self._learned:
            numbers = _NUMBERS[self._method]
            columns = ("ID", "OPINIONS", *numbers, *_WORDS[self._method], "SECONDS", "")
            print_table(columns, map(_row, self._learned), numbers=("OPINIONS", *numbers, "SECONDS"))
        self._print_unread()
        self._print_failures()
        printed = {str(outcome.error) for outcome in self._failures[:_SHOWN_USERS]}
        for note in (*notes, halted_by):
            if note is not None and note not in printed:
                err().print(one_line(note), markup=False)
        err().print(f"{self._counts()}; {self._cost()}", markup=False)

    def _cost(self) -> str:
        """Return the cost; what a model that is edited computes is in the table, and costs nothing."""
        spending = self._spending()
        if self._method == CHAMELEON and not spending.calls:
            return f"no cost, the model runs on this machine, {spending.seconds:.1f} s"
        return cost_line(spending)

    @property
    def failed(self) -> bool:
        """Whether a user failed."""
        return bool(self._failures)

    def _start(self, start: FitStart) -> None:
        self._total = start.users
        if start.preset_line:
            err().print(one_line(start.preset_line), markup=False)
        if start.kept_entered:
            n = start.kept_entered
            opinions = "1 opinion that was" if n == 1 else f"{n:,} opinions that were"
            differ = "differs" if n == 1 else "differ"
            err().print(f"kept {opinions} entered by add-opinion and {differ} from the file", markup=False)
        self._print_superseded(start.superseded)
        self._progress.expect(
            start.users,
            many=start.side_by_side,
            note=lambda: progress_line(self._spending()),
            pause_left=self._pause_left,
        )

    def _print_superseded(self, superseded: Mapping[str, int]) -> None:
        """Print which users answered a question more than once, and that the newest answer counts."""
        for user_id, n in list(superseded.items())[:_SHOWN_USERS]:
            answers = "1 older answer" if n == 1 else f"{n:,} older answers"
            again = "to a question answered again" if n == 1 else "to questions answered again"
            line = f"{one_line(user_id)}: left out {answers} {again}; the newest answer counts"
            err().print(line, markup=False)
        if (more := len(superseded) - _SHOWN_USERS) > 0:
            err().print(f"and of {more:,} more users; --json lists all", markup=False)

    def _finish(self, outcome: Outcome) -> None:
        self._states[outcome.state] += 1
        if outcome.state == "failed":
            self._failures.append(outcome)
        elif outcome.summary is not None and not self._json:
            self._learned.append(outcome)
        if _many_unread(outcome.summary):
            self._unread.append(outcome)
        self._progress.finished(outcome.user_id, _line(outcome, self._invocation))
        with self._progress.aside():
            if debugging() and outcome.error is not None and outcome.error.__cause__ is not None:
                sys.stderr.write(printable("".join(traceback.format_exception(outcome.error.__cause__))))
            if self._json:
                document = outcome_document(outcome)
                if outcome.error is not None:
                    document["error"]["message"] = _reason(outcome, self._invocation)
                print_json(document)
                sys.stdout.flush()

    def _counts(self) -> str:
        """Return the number of users in each state: "of 10 users: 3 learned, 1 stopped early, 6 not learned"."""
        states = self._states
        open_ = self._total - sum(states.values())
        counts = [(states[state], state) for state in ("learned", "already learned", "stopped early", "failed")]
        counts.append((states["not learned"] + open_, "not learned"))
        listed = ", ".join(f"{count:,} {state}" for count, state in counts if count)
        return f"of {self._total:,} user{'s' if self._total != 1 else ''}: {listed}" if listed else "no users"

    def _print_unread(self) -> None:
        """Print whose answers often named no choice, with examples on the screen only: they are people's texts."""
        for outcome in self._unread[:_SHOWN_UNREAD]:
            assert isinstance(outcome.summary, FermiSummary)
            counts = f"{outcome.summary.unread:,} of {outcome.summary.answers:,} answers named no choice"
            err().print(f"{one_line(outcome.user_id)}: {counts}; they count as wrong", markup=False)
            if not self._json:
                for text in outcome.unread:
                    print_wrapped(f"such as: {one_line(text, limit=_UNREAD_CHARACTERS)}", indent=2)
        if len(self._unread) > _SHOWN_UNREAD:
            err().print(f"and {len(self._unread) - _SHOWN_UNREAD:,} more users with many such answers", markup=False)

    def _print_failures(self) -> None:
        if not self._failures:
            return
        console, n = err(), len(self._failures)
        kept = "; the results of the others were kept" if n < self._total else ""
        console.print(f"{n:,} of {self._total:,} user{'s' if self._total != 1 else ''} failed{kept}:")
        for outcome in self._failures[:_SHOWN_USERS]:
            console.print(f"  {visible(outcome.user_id)}: {one_line(_reason(outcome, self._invocation))}", markup=False)
        if n > _SHOWN_USERS:
            console.print(f"  and {n - _SHOWN_USERS:,} more:")
            kinds = Counter(error_kind(outcome.error) for outcome in self._failures[_SHOWN_USERS:])
            for kind, count in kinds.most_common():  # messages contain ids, so errors are counted by kind
                console.print(f"  {count:,} × {one_line(kind)}", markup=False)


def _many_unread(summary: object) -> bool:
    return isinstance(summary, FermiSummary) and too_many_unread(summary.unread, summary.answers)


def _reason(outcome: Outcome, invocation: Invocation) -> str:
    if outcome.error is None:
        return ""
    hidden = isinstance(outcome.error, UnexpectedValueError) and not debugging()
    return advised(outcome.error, invocation) + ("; IDIOLECT_DEBUG=1 shows where" if hidden else "")


def _line(outcome: Outcome, invocation: Invocation) -> str:
    """Return the outcome as a progress line."""
    if outcome.summary is None:
        return f"{outcome.state}: {_reason(outcome, invocation)}"
    harm = "" if outcome.summary.used else ", the base model answers"
    scores = summary_line(outcome.summary)
    return f"{outcome.state}, {scores}, {outcome.seconds:.1f} s{harm if outcome.kept else _STAYS}"


def summary_line(summary: object) -> str:
    """Return the scores of a summary and the work behind them: "best 0.80, P⁰ 0.60, 120 calls"."""
    if isinstance(summary, FermiSummary):
        left_out = f", {summary.left_out:,} opinions left out" if summary.left_out else ""
        unread = f", {summary.unread:,} of {summary.answers:,} answers unread" if summary.unread else ""
        scores = f"best {summary.best_score:.2f}, P⁰ {summary.initial_score:.2f}"
        return f"{scores}, {summary.calls:,} calls{left_out}{unread}"
    assert isinstance(summary, ChameleonSummary), "there are two methods"
    gain, base, edited = _edit_scores(summary)
    judged = [f"texts {gain} nat per token"] * (summary.text_gain is not None)
    judged += [f"opinions {edited}, base {base}"] * (summary.base_score is not None)
    scores = ", ".join(judged) or (f"judged by {summary.judged}" if summary.judged else "not judged")
    work = f"{summary.pairs} pairs" if summary.pairs else f"{summary.items} opinions and texts"
    return f"{scores}, {work}, {summary.calls:,} calls"


def _row(outcome: Outcome) -> tuple[str, ...]:
    """Return the outcome as a table row."""
    return (
        visible(outcome.user_id, limit=24),
        str(outcome.n_opinions),
        *_cells(outcome.summary),
        f"{outcome.seconds:.1f}",
        _remark(outcome),
    )


def _cells(summary: object) -> tuple[str, ...]:
    if isinstance(summary, FermiSummary):
        scores = f"{summary.initial_score:.2f}", f"{summary.best_score:.2f}"
        return *scores, str(summary.prompts), f"{summary.calls:,}", f"{summary.tokens:,}"
    assert isinstance(summary, ChameleonSummary), "there are two methods"
    counts = str(summary.items), str(summary.pairs), str(summary.dropped), str(summary.layers)
    work = f"{summary.calls:,}", f"{summary.tokens:,}"
    return *counts, *_edit_scores(summary), *work, summary.preset, summary.variant


def _edit_scores(summary: ChameleonSummary) -> tuple[str, str, str]:
    """Return the gain on texts in nat per token, and the scores of the base and the edited model on opinions."""
    gain = "-" if summary.text_gain is None else f"{summary.text_gain:+.3f}"
    scores = (summary.base_score, summary.edited_score)
    base, edited = ("-" if score is None else f"{score:.2f}" for score in scores)
    return gain, base, edited


def _remark(outcome: Outcome) -> str:
    if not outcome.kept:
        return f"{outcome.state}{_STAYS}"
    state = "" if outcome.state == "learned" else outcome.state
    return ", ".join(part for part in (state, summary_remark(outcome.summary)) if part)


def summary_remark(summary: object) -> str:
    """Return what is remarkable: opinions left out, who answers instead, the edit was not judged; "" if nothing."""
    if isinstance(summary, FermiSummary):
        why = "not judged yet" if summary.evidence is None else "no gain on unseen opinions"
        parts = [f"{summary.left_out:,} opinions were left out"] * bool(summary.left_out)
        parts += [f"base model answers: {why}"] * (not summary.used)
        return ", ".join([*parts, *["few-shot answers: no gain over it"] * summary.few_shot])
    if isinstance(summary, ChameleonSummary):
        if summary.used:
            return "" if summary.judged else "not judged: nothing held out"
        why = "every variant costs too much" if summary.too_costly else "no gain on held-out items"
        return f"base model answers: {why}"
    return ""


def print_forecast(forecast: FermiForecast | ChameleonForecast, *, json: bool) -> None:
    """Print the expected cost of learning."""
    if forecast.chosen is not None:
        err().print(one_line(forecast.chosen.line), markup=False)
    if json:
        print_json(forecast_document(forecast))
    elif isinstance(forecast, FermiForecast):
        _print_fermi_forecast(forecast)
    else:
        _print_chameleon_forecast(forecast)


def print_missing(forecast: FermiForecast | ChameleonForecast, invocation: Invocation) -> None:
    """Print on stderr which packages or group's edit a run would lack: the dry run itself needs none of them."""
    for error in forecast.missing:
        err().print(f"note: without --dry-run, this command fails here: {advised(error, invocation)}", markup=False)


def _dollars(money: Decimal) -> str:
    """Return an amount with two decimals, or with four if it is less than a cent."""
    return f"{money:.4f}" if 0 < money < Decimal("0.01") else f"{money:.2f}"


def _print_fermi_forecast(forecast: FermiForecast) -> None:
    rows = []
    for role, each in (("answering", forecast.answering), ("optimizing", forecast.optimizing)):
        n = each.counts
        if n.calls:
            counts = (f"{count:,}" for count in (n.calls, n.most_calls, n.prompt_tokens, n.completion_tokens))
            rows.append((role, each.model, *counts, "?" if each.money is None else str(each.money)))
    print_table(_FERMI_FORECAST, rows, numbers=_FERMI_FORECAST[2:])
    expected, total = forecast.expected, forecast.money
    users = _users(expected.users, expected.not_learnable, "have no opinions to learn from")
    money = "the price of a model is unknown (--prices FILE)" if total is None else f"about ${_dollars(total)}"
    out().print(f"\n{users}, preset {forecast.preset}: {money}", markup=False)
    a = expected.assumptions
    sampled = ""
    if expected.sampled < expected.users - expected.not_learnable:
        sampled = f" Simulated for {expected.sampled} users and scaled up."
    dated = "" if forecast.prices_as_of is None else f" Prices as of {forecast.prices_as_of.isoformat()}."
    print_wrapped(
        f"No call was made. Assumptions: {a.accuracy:.0%} of the answers are right, a new prompt has "
        f"{a.prompt_characters} characters, a token has {a.bytes_per_token:g} bytes, a generated answer has "
        f"{a.answer_tokens} tokens, a proposal has {a.reasoning_tokens} tokens besides its prompt, the cache is "
        f"empty, and no call is retried. Embeddings from a server are not counted.{sampled}{dated}"
    )


def _print_chameleon_forecast(forecast: ChameleonForecast) -> None:
    counts = (f"{n:,}" for n in (forecast.queries, forecast.generations, forecast.most_completion_tokens))
    print_table(_CHAMELEON_FORECAST, [(forecast.model, *counts)], numbers=_CHAMELEON_FORECAST[1:])
    users = _users(forecast.users, forecast.not_learnable, "have too few opinions and texts")
    presets = _presets(forecast.presets)
    out().print(f"\n{users}, preset {presets}: no cost, the model runs on this machine", markup=False)
    print_wrapped(
        "No call was made. Besides what it writes, the model reads the whole history a few times, with and without "
        "the edits that are tried. Degenerate pairs are dropped, and a user with too few pairs left cannot be learned."
        + _unseen(forecast.from_group)
    )


def _unseen(from_group: str | None) -> str:
    """Return that a dry run does not look at the group's edit that is named; "" if none is."""
    if from_group is None:
        return ""
    return (
        f" The edit of {one_line(from_group)} was not looked at: whether there is one, and of the same weights, shows "
        "when the fit begins."
    )


def _presets(users: Mapping[str, int]) -> str:
    """Return the preset of all users, or each preset with its number of users."""
    names = [name for name, n in users.items() if n] or list(users)
    return names[0] if len(names) == 1 else " and ".join(f"{name} for {users[name]:,}" for name in names)


def _users(users: int, not_learnable: int, why_not: str) -> str:
    learnable = users - not_learnable
    more = f" ({not_learnable:,} more {why_not})" if not_learnable else ""
    return f"{learnable:,} user{'s' if learnable != 1 else ''}{more}"
