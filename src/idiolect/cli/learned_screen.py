"""Display of what was learned: a prompt with its examples and failures, or an edit with its diagnostics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from idiolect.cli.terminal import one_line, out, print_table, print_wrapped

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import (
        ChameleonPersonalization,
        HistoryRead,
        LayerDiagnostics,
        Trial,
    )
    from idiolect.methods.fermi.memory import ScoredPrompt
    from idiolect.methods.fermi.personalization import FermiPersonalization

_SHOWN = 3  # examples, failures and insights
_PROMPT_CHARACTERS, _INSIGHT_CHARACTERS = 200, 300
_ORIGINS = {
    "initial": "the initial prompt",
    "llm": "written by the optimizer",
    "demonstrations": "composed of examples",
}


def origin(prompt: ScoredPrompt) -> str:
    """Return where a prompt comes from, in words."""
    return _ORIGINS[prompt.prompt.origin]


def scored_on(prompt: ScoredPrompt, learned: FermiPersonalization) -> str:
    """Return on which opinions a prompt is scored: with crossing, on those that its optimizer did not see."""
    crossed = bool(learned.folds) and prompt.prompt.origin != "initial"
    return "on the opinions that it was written without" if crossed else "on all opinions"


def print_prompt(prompt: ScoredPrompt, learned: FermiPersonalization, *, indent: int = 2) -> None:
    """Print a prompt's text, some of its examples, and some of the failures that led to it."""
    opinions = learned.opinions
    print_wrapped(prompt.prompt.text or "(no instruction)", indent=indent, style="green")
    if shown := prompt.prompt.demonstrations:
        print_wrapped(_counted(len(shown), "of the person's answers as example"), indent=indent)
        examples = [f"{_cut(opinions[i].question.text)} → {_cut(opinions[i].answer)}" for i in shown]
        _print_some(examples, indent=indent + 2)
    if driven_by := prompt.prompt.driven_by:
        print_wrapped(_counted(len(driven_by), "wrong answer") + " led to it", indent=indent)
        failures = [
            f"{_cut(opinions[f.index].question.text)} → the model answered {_cut(f.response) or 'nothing'}, "
            f"the person {_cut(opinions[f.index].answer)}"
            for f in driven_by
        ]
        _print_some(failures, indent=indent + 2)


def print_edit(learned: ChameleonPersonalization, *, indent: int = 0) -> None:
    """Print the edit's variant, the data it was learned from, and what the model wrote about the person."""
    dropped = ", ".join(f"{count} {reason}" for reason, count in learned.dropped.items())
    source = "the person's own words beside the model's" if learned.settings.generation.personalized == "own" else ""
    of_layers = max(len(learned.layers), len(learned.edit.layers))
    lines = [
        f"variant: {learned.variant}; edits {_layers(sorted(learned.edit.layers))} of {of_layers}; "
        f"preset {learned.settings.preset}",
        f"learned from {_items(learned.n_learned)}, {_held_out(learned)}",
    ]
    if learned.read is None:
        lines.append(
            f"{len(learned.pairs)} pairs"
            + (f" ({source})" if source else "")
            + (f"; dropped: {dropped}" if dropped else "; none dropped")
        )
    else:
        lines.append(_read_line(learned.read, whole=not learned.members))
    if learned.started_from is not None:
        lines.append(f"one step from the edit of the group {learned.started_from.group!r}")
    if learned.members:
        lines.append(f"edit of a group, learned from {len(learned.members)} members")
    for line in lines:
        print_wrapped(line, indent=indent)
    for insights in learned.insights[:_SHOWN]:
        print_wrapped(
            f"the model's insight: {one_line(insights.personalized, limit=_INSIGHT_CHARACTERS)}", indent=indent
        )
    if len(learned.insights) > _SHOWN:
        print_wrapped(f"and {len(learned.insights) - _SHOWN} more insights", indent=indent)


def _held_out(learned: ChameleonPersonalization) -> str:
    chosen = f"chosen with {learned.n_chosen}, " if learned.n_chosen else ""
    return f"{chosen}judged by {learned.n_judged}"


def _read_line(read: HistoryRead, *, whole: bool) -> str:
    """Return what was read; a group has a limit, so `whole` is whether all of the history was."""
    parts = [_counted(n, noun) for n, noun in ((read.opinions, "opinion"), (read.texts, "text")) if n]
    more = f", in {_counted(read.answers, 'window')}" if read.answers > read.opinions + read.texts else ""
    rest = "; those that judged were learned from as well" if read.refitted else ""
    return f"{'read in full' if whole else 'read'}: {' and '.join(parts)}{more}{rest}"


def print_diagnostics(learned: ChameleonPersonalization, *, indent: int = 0) -> None:
    """Print measurements of the directions in the edited layers, and of every variant that was tried."""
    edited = [layer for layer in learned.layers if layer.layer in learned.edit.layers]
    numbers = [
        f"CCS loss {_range(edited, lambda layer: layer.loss, 4)}",
        f"restarts agree {_range(edited, lambda layer: layer.agreement, 2)}",
        f"|cos(θ_P, θ_N)| {_range(edited, lambda layer: layer.cos_directions, 2)}",
        f"edit size {_range(edited, lambda layer: layer.edit_size, 3)} of an activation",
    ]
    if edited:
        print_wrapped("in these layers: " + ", ".join(numbers), indent=indent)
    if learned.trials:
        tried = f"tried on {_items(learned.n_chosen)}" if learned.n_chosen else "tried on the model's own texts"
        out().print(" " * indent + f"{tried} (nat per token)", markup=False)
        unbiased = learned.settings.generation.draws_are_unbiased
        columns = ("VARIANT", "GAIN", "−KL(BASE‖EDITED)" if unbiased else "ON THE MODEL'S OWN TEXTS", "")
        print_table(columns, (_trial(trial, learned) for trial in learned.trials), numbers=columns[1:3])


def _layers(layers: Sequence[int]) -> str:
    """Return layer indices as ranges: "layers 0-3, 7"."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
    return f"layer{'' if len(layers) == 1 else 's'} {shown}"


def _trial(trial: Trial, learned: ChameleonPersonalization) -> tuple[str, ...]:
    chosen = "chosen" if trial.variant == learned.variant else "" if trial.eligible else "costs too much"
    gain = "-" if trial.gain is None else f"{trial.gain:+.3f}"  # None: no history was kept for choosing
    return str(trial.variant), gain, f"{trial.fluency:+.3f}", chosen


def _range(layers: Iterable[LayerDiagnostics], of: Callable[[LayerDiagnostics], float], digits: int) -> str:
    values = [of(layer) for layer in layers]
    if not values:
        return "-"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _items(count: int) -> str:
    return "1 opinion or text" if count == 1 else f"{count} opinions and texts"


def _print_some(lines: list[str], *, indent: int) -> None:
    for line in lines[:_SHOWN]:
        print_wrapped(f"- {line}", indent=indent)
    if len(lines) > _SHOWN:
        print_wrapped(f"- and {len(lines) - _SHOWN} more", indent=indent)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _cut(text: str) -> str:
    return one_line(text, limit=_PROMPT_CHARACTERS)
