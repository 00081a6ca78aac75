"""What CHAMELEON learned, for people and for machines: the edit, why it is used or not, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from idiolect.cli.terminal import one_line, out, print_table, print_wrapped

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization, LayerDiagnostics, Trial

_SHOWN_CHARACTERS = 300
_SHOWN_INSIGHTS = 3


def edit_json(learned: ChameleonPersonalization) -> dict[str, Any]:
    """Plain JSON: all that is told of an edit, without its pairs and tensors.

    What is said beside the evidence is the decision, which counts the cost on neutral text too.
    """
    evidence = learned.evidence
    judged = None
    if evidence is not None:
        judged = {"n": evidence.n, "difference": evidence.difference, "used": learned.used, "reason": learned.gate}
    return {
        "model": learned.model,
        "fingerprint": learned.fingerprint,
        "preset": learned.settings.preset,
        "variant": {**asdict(learned.variant), "name": str(learned.variant)},
        "layers": sorted(learned.edit.layers),
        "of_layers": len(learned.layers),
        "positions": learned.edit.positions,
        "used": learned.used,
        "gate": learned.gate,
        "evidence": judged,
        "items": {"learned": learned.n_learned, "chosen_with": learned.n_chosen, "judged_by": learned.n_judged},
        "pairs": len(learned.pairs),
        "dropped": dict(learned.dropped),
        "insights": [insights.personalized for insights in learned.insights],
        "trials": [{**asdict(trial), "variant": str(trial.variant)} for trial in learned.trials],
        "diagnostics": [asdict(layer) for layer in learned.layers],
        "members": list(learned.members),
    }


def print_edit(learned: ChameleonPersonalization, *, indent: int = 0) -> None:
    """Which edit it is, from what, and what the model said about the person."""
    dropped = ", ".join(f"{count} {reason}" for reason, count in learned.dropped.items())
    said = "the person's own words beside the model's" if learned.settings.generation.personalized == "own" else ""
    lines = [
        f"variant: {learned.variant}; edits {layers_told(sorted(learned.edit.layers))} of {len(learned.layers)}",
        f"learned from {_items(learned.n_learned)}, chosen with {learned.n_chosen}, judged by {learned.n_judged}",
        f"{len(learned.pairs)} pairs"
        + (f" ({said})" if said else "")
        + (f"; dropped: {dropped}" if dropped else "; none dropped"),
    ]
    if learned.members:
        lines.append(f"a group's, learned from {len(learned.members)} members")
    for line in lines:
        print_wrapped(line, indent=indent)
    for insights in learned.insights[:_SHOWN_INSIGHTS]:
        print_wrapped(f"the model's insight: {one_line(insights.personalized, limit=_SHOWN_CHARACTERS)}", indent=indent)
    if len(learned.insights) > _SHOWN_INSIGHTS:
        print_wrapped(f"and {len(learned.insights) - _SHOWN_INSIGHTS} more insights", indent=indent)


def print_diagnostics(learned: ChameleonPersonalization, *, indent: int = 0) -> None:
    """What is known of the directions in the edited layers, and of every variant that was tried."""
    edited = [layer for layer in learned.layers if layer.layer in learned.edit.layers]
    told = [
        f"CCS loss {_range(edited, lambda layer: layer.loss, 4)}",
        f"restarts agree {_range(edited, lambda layer: layer.agreement, 2)}",
        f"|cos(θ_P, θ_N)| {_range(edited, lambda layer: layer.cos_directions, 2)}",
        f"edit size {_range(edited, lambda layer: layer.edit_size, 3)} of an activation",
    ]
    print_wrapped("in these layers: " + ", ".join(told), indent=indent)
    if learned.trials:
        out().print(" " * indent + f"tried on {_items(learned.n_chosen)} (nat per token)", markup=False)
        columns = ("VARIANT", "GAIN", "ON NEUTRAL TEXT", "")
        print_table(columns, (_trial(trial, learned) for trial in learned.trials), numbers=columns[1:3])


def layers_told(layers: Sequence[int]) -> str:
    """Indices in words: "layers 0-3, 7"."""
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
    return str(trial.variant), f"{trial.gain:+.3f}", f"{trial.fluency:+.3f}", chosen


def _range(layers: Iterable[LayerDiagnostics], of: Callable[[LayerDiagnostics], float], digits: int) -> str:
    values = [of(layer) for layer in layers]
    if not values:
        return "-"
    low, high = f"{min(values):.{digits}f}", f"{max(values):.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _items(count: int) -> str:
    return "1 opinion or text" if count == 1 else f"{count} opinions and texts"
