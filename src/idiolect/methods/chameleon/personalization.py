"""CHAMELEON's result for one user or a group, as a value: an edit, with the data and measurements behind it.

It has two parts, which any store can keep: a card of strict JSON (`to_json`), and the tensors as a safetensors file
(`tensor_bytes`). It contains no model; `models` applies the edit to one.
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
from idiolect.methods.answering import with_stored_rule
from idiolect.methods.chameleon.evidence import ChameleonEvidence
from idiolect.methods.chameleon.preferences import DropReason, Insights, Pair
from idiolect.methods.chameleon.settings import ChameleonSettings, Variant
from idiolect.methods.evidence import Evidence
from idiolect.methods.neutral_texts import NeutralText
from idiolect.models.edits import Edit, LayerEdit
from idiolect.models.language_model import Usage

FORMAT = 3
"""Format of a stored result. 1 had no output rule (`with_stored_rule`), so programs that know only 1 ask without. Up to
2, texts were judged by their tokens' probabilities, in one score with opinions: such evidence (`Evidence`) is kept."""

_READ = (1, 2, FORMAT)
_LONGEST = 1e30  # float32 holds no number above 3.4e38


@dataclass(frozen=True, slots=True)
class LayerDiagnostics:
    """Diagnostics of one layer's directions.

    Args:
        layer: index of the layer.
        loss: CCS loss of the best restart, ≥ 0.
        agreement: mean |cos| between the restarts' normals, in [0, 1].
        separation: share of the fitted pairs that CCS puts on the right side, in [0, 1]; CCS accepts either order.
        held_out: this share for held-out pairs; None if there are none.
        cos_mean: |cos(θ_P, mean personalized activation)|.
        cos_directions: |cos(θ_P, θ_N)|.
        edit_size: mean ‖Δx‖ / ‖x‖ over the pairs' tokens; 0 if the layer is not edited.
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
    """A variant, or a strength, that was tried.

    Args:
        variant: the variant.
        gain: log-probability of the person's own texts (in nat per token) and choices (in nat), minus the base model's:
            the mean of each kind, averaged over the kinds; None if no history was kept for choosing.
        fluency: mean change of the log-probability of the model's own texts, in nat per token; minus
            an estimate of KL(base ‖ edited) only if `GenerationSettings.draws_are_unbiased`.
        eligible: whether the fluency cost is within the limit.
    """

    variant: Variant
    gain: float | None
    fluency: float
    eligible: bool


@dataclass(frozen=True, slots=True)
class StartMeasures:
    """Measurements of a model that do not depend on a person (`start`).

    Args:
        scale: mean length of the activations of each layer, in (0, 1e30).
        neutral: texts of the model itself; at least one, without which a change would cost nothing.

    Raises:
        ValueError: a value is not what it must be.
    """

    scale: tuple[float, ...]
    neutral: tuple[NeutralText, ...]

    def __post_init__(self) -> None:
        for length in self.scale:
            if not 0 < length < _LONGEST:
                raise ValueError(f"scale is {length!r}, must be in (0, {_LONGEST:g})")
        if not self.neutral:
            raise ValueError("neutral is empty, must have at least one text")


@dataclass(frozen=True, slots=True)
class HistoryRead:
    """What of the history the final edit has learned from.

    Args:
        opinions, texts: number of items.
        answers: number of answers that they gave; long texts give one per window.
        refitted: whether the items that judged were learned from as well.
    """

    opinions: int
    texts: int
    answers: int
    refitted: bool


StartOrigin = Literal["store", "folder", "package"]


@dataclass(frozen=True, slots=True)
class StartedFrom:
    """The group's edit that a person's step began at.

    Args:
        group: id of the group.
        digest: digest of its edit.
        origin: where the edit was: with the group in the store, in a folder (a copy), or in the package; None: unknown,
            as in results of older versions. A store takes an unknown origin for itself.
    """

    group: str
    digest: str
    origin: StartOrigin | None = None


@dataclass(frozen=True, slots=True)
class ChameleonPersonalization:
    """A user's (or a group's) edit.

    Args:
        user_id: id of the user, or of the group if there are `members`.
        model: lasting name of the model.
        fingerprint: hash of the weights that the directions were fitted on; "": unknown.
        settings: settings of the fit.
        variant: chosen rule and strength.
        edit: edit of this variant.
        insights: the model's insights about the user; for a group, one per member.
        pairs: self-generated pairs that the directions were computed from.
        dropped: number of degenerate pairs, by reason.
        layers: diagnostics of all layers.
        trials: results of every variant that was tried.
        n_learned, n_chosen, n_judged: number of history items that were learned from, chosen with, and judged by.
        usage: cost of learning.
        members: ids of the group's members.
        evidence: result on the held-out history; None if there was none. A result of format 1 or 2 has an `Evidence`,
            and the decision that it led to. It judges the edit as it would be without the items that judged, if they
            were learned from as well (`read.refitted`).
        read: what of the history the edit has learned from; None for an edit from pairs.
        started_from: the group's edit that a person's step began at; None if there was none.
        start: measurements for the steps of people that begin at this edit of a group; None for others.
    """

    user_id: str
    model: str
    fingerprint: str
    settings: ChameleonSettings
    variant: Variant
    edit: InstanceOf[Edit]  # its tensors cannot be JSON
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
    evidence: ChameleonEvidence | Evidence | None = None
    read: HistoryRead | None = None
    started_from: StartedFrom | None = None
    start: StartMeasures | None = None
    method: Literal["chameleon"] = "chameleon"
    format: int = FORMAT

    @property
    def n_items(self) -> int:
        """Number of history items that were learned from, chosen with, or judged by."""
        if self.read is not None and self.read.refitted:  # those that judged are among the learned ones
            return self.n_learned
        return self.n_learned + self.n_chosen + self.n_judged

    @property
    def used(self) -> bool:
        """Whether the edit answers for the user; if not, the base model does."""
        return not self._too_costly and (self.evidence is None or self.evidence.used)

    @property
    def gate(self) -> str:
        """Reason why the edit is used or not, in one sentence."""
        if self._too_costly:
            limit = self.settings.max_fluency_cost
            cost = f"at most {limit} nat per token on the model's own texts"
            return f"no variant costs {cost}: the base model answers"
        if self.evidence is not None:
            return self.evidence.reason
        return "not gated: " + ("too little history" if self.settings.evidence.share else "the settings have no gate")

    @property
    def _too_costly(self) -> bool:
        return bool(self.trials) and not any(trial.eligible for trial in self.trials)

    def to_json(self) -> dict[str, Any]:
        """Return the card: plain JSON values, without tensors."""
        card: dict[str, Any] = _adapter().dump_python(self, mode="json", exclude={"edit"})
        return card | {"positions": self.edit.positions, "edit_gate": self.edit.gate, "edit": self.edit.digest}

    def tensor_bytes(self) -> bytes:
        """Return a safetensors file with `layers.{i}.read` and `layers.{i}.write`, float32, each of shape (r, d)."""
        tensors: dict[str, torch.Tensor] = {}
        for index, layer in self.edit.layers.items():
            tensors |= {f"layers.{index}.read": layer.read, f"layers.{index}.write": layer.write}
        return save(tensors, metadata={"format": "pt", "edit": self.edit.digest})

    @classmethod
    def from_parts(cls, card: Mapping[str, Any], tensors: bytes | None) -> ChameleonPersonalization:
        """Return the value from which `to_json` and `tensor_bytes` made the parts.

        Raises:
            PersonalizationError: the card is damaged, is not a CHAMELEON personalization, or has a newer format; or
                directions are missing or damaged.
        """
        if card.get("method") != "chameleon" or card.get("format") not in _READ:
            raise PersonalizationError(
                f"not a CHAMELEON personalization of format {FORMAT} or older "
                f"(method {card.get('method')!r}, format {card.get('format')!r})"
            )
        own = {name: value for name, value in card.items() if name not in ("positions", "edit_gate", "edit")}
        try:
            own |= {"settings": with_stored_rule(card.get("settings")), "format": FORMAT}
            return _adapter().validate_python({**own, "edit": _edit(card, tensors)})
        except ValidationError as error:
            places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)[:3])
            raise PersonalizationError(f"the stored personalization is damaged at {places}") from None
        except SettingsError as error:
            raise PersonalizationError(f"the stored personalization is damaged at settings: {error}") from None

    def judged(self, evidence: ChameleonEvidence | None, *, n: int, usage: Usage) -> ChameleonPersonalization:
        """Return the result with the evidence from the held-out history, and the cost of gathering it."""
        return replace(self, evidence=evidence, n_judged=n, usage=self.usage + usage)


@cache
def _adapter() -> TypeAdapter[ChameleonPersonalization]:
    return TypeAdapter(ChameleonPersonalization)


def _edit(card: Mapping[str, Any], tensors: bytes | None) -> Edit:
    """Return the edit in a safetensors file, if its digest is the one on the card."""
    if tensors is None:
        raise PersonalizationError("the stored personalization has lost its directions; fit it again")
    try:
        found = load(tensors)
        indices = sorted({int(name.split(".")[1]) for name in found})
        layers = {i: LayerEdit(found[f"layers.{i}.read"], found[f"layers.{i}.write"]) for i in indices}
        edit = Edit(layers, positions=card["positions"], gate=card["edit_gate"])
    except (SafetensorError, KeyError, IndexError, ValueError) as error:
        raise PersonalizationError(f"the stored directions are damaged: {type(error).__name__}") from error
    if edit.digest != card.get("edit"):
        raise PersonalizationError("the stored directions are not those on the card")
    return edit
