"""What CHAMELEON learned about one user or a group, as a value: an edit, and everything that says how it came about.

Two parts, which any store can keep: a card of strict JSON (`to_json`) and the tensors as a safetensors file
(`tensor_bytes`). It knows no model: editing one is the business of `models`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import torch
from pydantic import InstanceOf, TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.methods.chameleon.preferences import DropReason, Insights, Pair
from idiolect.methods.chameleon.settings import ChameleonSettings, Variant
from idiolect.methods.evidence import Evidence
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.language_model import Usage

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LayerDiagnostics:
    """What is known of one layer's directions.

    Args:
        layer: its index.
        loss: of CCS, at its best restart, ≥ 0.
        agreement: mean |cos| between the restarts' normals, in [0, 1].
        separation: share of the fitted pairs that CCS puts on the right side, in [0, 1]; it is content with any side.
        held_out: the same of pairs that were held out from it; None without any.
        cos_mean: |cos(θ_P, mean personalized activation)|.
        cos_directions: |cos(θ_P, θ_N)|.
        edit_size: mean ‖Δx‖ / ‖x‖ over the pairs' tokens; 0 where the layer is not edited.
    """

    layer: int
    loss: float
    agreement: float
    separation: float
    held_out: float | None
    cos_mean: float
    cos_directions: float
    edit_size: float = 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A variant that was tried on history kept for choosing.

    Args:
        variant: which.
        gain: mean log-probability of what the person really said, minus the base model's; nat per token; None where no
            history was kept for choosing.
        fluency: the same on neutral text; below 0 the model got worse at it.
        eligible: its fluency cost is within the limit.
    """

    variant: Variant
    gain: float | None
    fluency: float
    eligible: bool


@dataclass(frozen=True, slots=True)
class ChameleonPersonalization:
    """A user's (or a group's) edit.

    Args:
        user_id: whose; a group's id where `members` are given.
        model: its lasting name.
        fingerprint: of the weights that the directions were fitted on; "": not known.
        settings: all of them, as they were.
        variant: which rule at which strength.
        edit: what it comes to.
        insights: what the model said about the user; for a group, one a member.
        pairs: the self-generated pairs that the directions were computed from.
        dropped: how many pairs were degenerate, by reason.
        layers: diagnostics of all layers.
        trials: every variant as it was tried.
        n_learned, n_chosen, n_judged: how many items of the history were learned from, chosen with, judged by.
        usage: what it cost.
        members: of the group.
        evidence: what the held-out history says; None where there was none.
    """

    user_id: str
    model: str
    fingerprint: str
    settings: ChameleonSettings
    variant: Variant
    edit: InstanceOf[Edit]  # its tensors are no JSON
    insights: tuple[Insights, ...]
    pairs: tuple[Pair, ...]
    dropped: Mapping[DropReason, int]
    layers: tuple[LayerDiagnostics, ...]
    trials: tuple[Trial, ...]
    n_learned: int
    n_chosen: int
    n_judged: int
    usage: Usage
    members: tuple[str, ...] = ()
    evidence: Evidence | None = None
    method: Literal["chameleon"] = "chameleon"
    format: int = FORMAT

    @property
    def used(self) -> bool:
        """Whether the edit is active when the user asks; if not, the base model answers."""
        return not self._too_costly and (self.evidence is None or self.evidence.used)

    @property
    def gate(self) -> str:
        """Why the edit is used or not, in one sentence for people."""
        if self._too_costly:
            limit = self.settings.max_fluency_cost
            return f"no variant costs at most {limit} nat per token on neutral text: the base model answers"
        if self.evidence is not None:
            return self.evidence.reason
        return "not gated: " + ("too little history" if self.settings.evidence.share else "the settings have no gate")

    @property
    def _too_costly(self) -> bool:
        return bool(self.trials) and not any(trial.eligible for trial in self.trials)

    def to_json(self) -> dict[str, Any]:
        """The card: plain JSON values, without tensors."""
        card: dict[str, Any] = _adapter().dump_python(self, mode="json", exclude={"edit"})
        return card | {"positions": self.edit.positions, "edit_gate": self.edit.gate, "edit": self.edit.digest}

    def tensor_bytes(self) -> bytes:
        """A safetensors file: `layers.{i}.read` and `layers.{i}.write`, float32, each of shape (r, d)."""
        tensors: dict[str, torch.Tensor] = {}
        for index, layer in self.edit.layers.items():
            tensors |= {f"layers.{index}.read": layer.read, f"layers.{index}.write": layer.write}
        return save(tensors, metadata={"format": "pt", "edit": self.edit.digest})

    @classmethod
    def from_parts(cls, card: Mapping[str, Any], tensors: bytes | None) -> ChameleonPersonalization:
        """The inverse of `to_json` and `tensor_bytes`.

        Raises:
            PersonalizationError: not a CHAMELEON personalization, of a newer format, or damaged; directions that are
                missing are never made up.
        """
        if card.get("method") != "chameleon" or card.get("format") != FORMAT:
            raise PersonalizationError(
                f"not a CHAMELEON personalization of format {FORMAT} "
                f"(method {card.get('method')!r}, format {card.get('format')!r})"
            )
        own = {name: value for name, value in card.items() if name not in ("positions", "edit_gate", "edit")}
        try:
            return _adapter().validate_python({**own, "edit": _edit(card, tensors)})
        except ValidationError as error:
            places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)[:3])
            raise PersonalizationError(f"the stored personalization is damaged at {places}") from None
        except SettingsError as error:
            raise PersonalizationError(f"the stored personalization is damaged at settings: {error}") from None

    def judged(self, evidence: Evidence | None, *, n: int, usage: Usage) -> ChameleonPersonalization:
        """The same with what held-out history says, and the cost of asking it."""
        return replace(self, evidence=evidence, n_judged=n, usage=self.usage + usage)


@cache
def _adapter() -> TypeAdapter[ChameleonPersonalization]:
    return TypeAdapter(ChameleonPersonalization)


def _edit(card: Mapping[str, Any], tensors: bytes | None) -> Edit:
    """The edit in a safetensors file, if it is the one that the card names."""
    if tensors is None:
        raise PersonalizationError("the stored personalization has lost its directions; learn it again")
    try:
        found = load(tensors)
        indices = sorted({int(name.split(".")[1]) for name in found})
        layers = {i: LayerEdit(found[f"layers.{i}.read"], found[f"layers.{i}.write"]) for i in indices}
        edit = Edit(layers, positions=card["positions"], gate=card["edit_gate"])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise PersonalizationError(f"the stored directions are damaged: {type(error).__name__}") from error
    if edit.digest != card.get("edit"):
        raise PersonalizationError("the stored directions are not those that the card names")
    return edit
