"""Verification of an exported adapter: it is loaded into its engine and compared with the edit from which it was made.

On prompts s and the last positions of each, with l(·) the next token's logits, here and in the engine (′):

    shift  Δ = l(s, edited) − l(s, base)         Δ′ = l′(s, adapter) − l′(s, base)
    difference  max |Δ′ − Δ| / max |l|           residual  ‖Δ′ − Δ‖ / ‖Δ‖

Shifts are compared rather than logits, because an engine that computes with quantized activations differs from this one
already in the base model. Both the difference and the residual have to be small. The residual is 1 if the adapter has
no effect. It is large if the edit moves the logits by no more than the engine's own noise, which would prove nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from idiolect.errors import VerificationError
from idiolect.models.editing import Editor
from idiolect.models.edits import Edit

Ids = Sequence[int]
Logits = Callable[[Sequence[Ids]], Tensor]

PROMPTS = (
    "Write a paragraph about a walk along the river in autumn.",
    "How much garlic belongs into a soup?",
    "What do you think of trains, compared with cars?",
    "Give me three reasons to learn a second language.",
    "My neighbour plays the drums at night. What should I tell him?",
    "Review a book that you did not like.",
)
LAST_POSITIONS = 8


@dataclass(frozen=True, slots=True)
class Tolerance:
    """The largest differences at which a verification passes.

    Args:
        difference: max |Δ′ − Δ| / max |l|.
        residual: ‖Δ′ − Δ‖ / ‖Δ‖.
    """

    difference: float
    residual: float


@dataclass(frozen=True, slots=True)
class Verification:
    """The comparison of an adapter's effect in an engine with the edit's effect here.

    Args:
        engine: the engine's name and version.
        numbers: the number formats of the engine's weights, in words.
        positions: number of positions compared.
        scale: max |l| of the base, here.
        shift: max |Δ|.
        difference, residual: as defined at the top of this module.
        correlation: correlation of Δ′ and Δ.
        amplified: factor on the adapter's strength in the comparison; 1 is its own strength.
        tolerance: the tolerance for these number formats.
    """

    engine: str
    numbers: str
    positions: int
    scale: float
    shift: float
    difference: float
    residual: float
    correlation: float
    tolerance: Tolerance
    amplified: float = 1.0

    @property
    def passed(self) -> bool:
        """Whether both the difference and the residual are within the tolerance."""
        return self.difference <= self.tolerance.difference and self.residual <= self.tolerance.residual

    def to_json(self) -> dict[str, Any]:
        """Return the verification as plain JSON."""
        return {**asdict(self), "passed": self.passed}

    def __str__(self) -> str:
        strength = "" if self.amplified == 1 else f" at {self.amplified:g} times its strength"
        return (
            f"{self.engine}, {self.numbers}{strength}, {self.positions} positions: differs by "
            f"{self.difference:.1e} of the logits' scale (at most {self.tolerance.difference:.0e}) and by "
            f"{self.residual:.1%} of the shift (at most {self.tolerance.residual:.1%}), r = {self.correlation:.4f}"
        )

    def check(self) -> None:
        """Raise VerificationError, with the numbers in its message, if the verification does not pass."""
        if not self.passed:
            raise VerificationError(f"the adapter acts differently from the edit: {self}; nothing was exported")


def edited_logits(network: Any, prompts: Sequence[Ids], edit: Edit | None) -> Tensor:
    """Return the logits of the network in this process, with the edit run by hooks.

    Returns:
        float32, shape (positions, V): the last positions of every prompt, one prompt after the other.
    """
    if edit is None:
        return network_logits(network, prompts)
    editor = Editor(network)
    with editor.editing(editor.rows([edit])):
        return network_logits(network, prompts)


@torch.inference_mode()
def network_logits(network: Any, prompts: Sequence[Ids]) -> Tensor:
    """Return the logits of a Hugging Face network without edits; float32, shape (positions, V), on the CPU."""
    device = next(network.parameters()).device
    rows = []
    for ids in prompts:  # one at a time, so that no padding can make a difference
        logits = network(input_ids=torch.tensor([list(ids)], device=device), use_cache=False).logits  # (1, T, V)
        rows.append(logits[0, -LAST_POSITIONS:].float().cpu())
    return torch.cat(rows)


def compare(
    here: Callable[[Edit | None], Tensor],
    edit: Edit,
    there: tuple[Tensor, Tensor],
    *,
    engine: str,
    numbers: str,
    tolerance: Tolerance,
    amplified: float = 1.0,
) -> Verification:
    """Compare the engine with this process; return the verification, whether it passes or not.

    Args:
        here: returns the logits (positions, V) in this process with an edit, or without one.
        edit: the edit, amplified like the adapter in the engine.
        there: the engine's logits of the base and with the adapter, each (positions, V).
        engine, numbers, tolerance, amplified: as for `Verification`.
    """
    base = here(None)
    shift = (here(edit) - base).double()  # Δ, (positions, V)
    difference = (there[1].double() - there[0].double()) - shift
    scale = float(base.abs().max())
    return Verification(
        engine=engine,
        numbers=numbers,
        positions=base.shape[0],
        scale=scale,
        shift=float(shift.abs().max()),
        difference=float(difference.abs().max()) / scale,
        residual=float(difference.norm() / shift.norm().clamp(min=1e-30)),
        correlation=_correlation(shift, shift + difference),
        tolerance=tolerance,
        amplified=amplified,
    )


def _correlation(one: Tensor, other: Tensor) -> float:
    if not float(one.std()) or not float(other.std()):
        return 0.0
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])
