"""Fermi's result for one user, as a value: the set of prompts, their scores, and their history.

It is converted to JSON and back without loss (`to_json`, `from_json`), so any store can keep it. It contains no model;
`retrieval.RetrievalOfPrompt` asks questions with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.methods.answering import with_stored_rule
from idiolect.methods.evidence import Evidence
from idiolect.methods.fermi.crossing import best_by_advantage
from idiolect.methods.fermi.dispositions import Disposition
from idiolect.methods.fermi.memory import ScoredPrompt, best_first
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.unread import Readings
from idiolect.models.language_model import Usage
from idiolect.people.user import Opinion

FORMAT = 4
"""Format of a stored result. 1 had no `finished`, `held_out`, `evidence`, whose defaults are valid for it; 1 and 2 had
no output rule (`with_stored_rule`), no `folds`, no `seen` of a prompt, and no settings of crossing, hybrid prompts and
ensembles; 3 had no settings of calibration and of own answers by nearness, and no `max_prompt_tokens`. A program that
knows only an older format would ask without them."""

_READ = (1, 2, 3, FORMAT)


@dataclass(frozen=True, slots=True)
class Iteration:
    """Record of one iteration.

    Args:
        scored: number of prompts scored; dropped: number of these that were dropped before all opinions were asked.
        best_score: best score in the memory after the iteration; with crossing, an estimate on all opinions.
        proposed: number of accepted proposals; rejected: number of rejected ones, by reason.
        answering, optimizing: cost up to and including this iteration.
    """

    scored: int
    dropped: int
    best_score: float
    proposed: int
    rejected: Mapping[str, int]
    answering: Usage
    optimizing: Usage


@dataclass(frozen=True, slots=True)
class FermiPersonalization:
    """A user's set of prompts.

    Args:
        user_id: id of the user.
        model, optimizer: names of `M` and `M_opt` (None if no LLM proposed).
        settings: settings of the run.
        opinions: the scoring opinions; all indices below refer to these.
        examples: opinions that were fixed demonstrations for the optimizer.
        initial: `P⁰` with its scores.
        prompts: the pool that Retrieval-of-Prompt chooses from.
        memory: the best prompts, best first.
        iterations: record of each iteration.
        answering, optimizing: cost of learning, including the scores of the pool and the evidence.
        finished: False if the run was halted early, or the model was silent; then the pool is the memory at that time.
        held_out: opinions that were not learned from.
        evidence: result on the held-out opinions; None if they were not asked (yet).
        folds: the fold of each scoring opinion, with crossing; empty without.
        made_with: digest that identifies the models beyond their names (servers, hashes of weights); "": unknown.
        dispositions: statements on the person, with those that did not help, which are never used.
        dispositions_help: whether the optimizer's dispositions are stated; False if the evidence is worse with them.
        max_prompt_tokens: limit on a prompt's length, in tokens as `hybrid.max_prompt_tokens` estimates them: that of
            the settings, or a smaller one after the model refused a prompt as too long. None: none is known.
    """

    user_id: str
    model: str
    optimizer: str | None
    settings: FermiSettings
    opinions: tuple[Opinion, ...]
    examples: tuple[Opinion, ...]
    initial: ScoredPrompt
    prompts: tuple[ScoredPrompt, ...]
    memory: tuple[ScoredPrompt, ...]
    iterations: tuple[Iteration, ...]
    answering: Usage
    optimizing: Usage
    finished: bool = True
    held_out: tuple[Opinion, ...] = ()
    evidence: Evidence | None = None
    folds: tuple[int, ...] = ()
    made_with: str = ""
    dispositions: tuple[Disposition, ...] = ()
    dispositions_help: bool = True
    max_prompt_tokens: int | None = None
    method: Literal["fermi"] = "fermi"
    format: int = FORMAT

    @property
    def best(self) -> ScoredPrompt:
        """Best fully scored prompt of memory and pool; the older of equals.

        With crossing, prompts are scored on different opinions, and are compared by their advantage over `P⁰`.
        """
        complete = [entry for entry in (*self.memory, *self.prompts) if entry.complete]
        return self.by_score(complete)[0]

    def by_score(self, entries: Iterable[ScoredPrompt]) -> tuple[ScoredPrompt, ...]:
        """Return fully scored prompts, best first."""
        return best_by_advantage(self.initial, entries, self._shrinkage) if self.folds else best_first(entries)

    @property
    def found_limit(self) -> int | None:
        """Limit on a prompt's length that the model's refusals have shown, in tokens; None if they have shown none."""
        limit = self.max_prompt_tokens
        return None if limit == self.settings.hybrid.max_prompt_tokens else limit

    @property
    def _shrinkage(self) -> float:
        return self.settings.retrieval.shrinkage

    @property
    def used(self) -> bool:
        """Whether these prompts answer; if not, the base model does, due to the evidence or until it is gathered."""
        return self.evidence.used if self.evidence is not None else not self._waits_for_evidence

    @property
    def states_dispositions(self) -> bool:
        """Whether the optimizer's dispositions are stated when the personalization answers."""
        return self.dispositions_help and (self.evidence is None or self.evidence.winner == "personalization")

    @property
    def gate(self) -> str:
        """Reason why the prompts are used or not, in one sentence; "" if the settings have no gate."""
        if self.evidence is not None:
            return self.evidence.reason
        if not self.settings.evidence.share and self.settings.evidence.by == "held_out":
            return ""
        if self._waits_for_evidence:
            return "not judged yet: learning was stopped early; the base model answers"
        return "not gated: too few opinions"

    @property
    def readings(self) -> Readings:
        """How many of the kept answers to the scoring opinions named a choice, over all prompts that are kept."""
        kept = {entry.born: entry for entry in (self.initial, *self.memory, *self.prompts)}
        return Readings.of(
            (opinion.question, cell.response)
            for entry in kept.values()
            for opinion, cell in zip(self.opinions, entry.cells, strict=True)
            if cell is not None
        )

    @property
    def _waits_for_evidence(self) -> bool:
        judges = self.settings.evidence.by == "crossed" or bool(self.settings.evidence.share and self.held_out)
        return judges and self.evidence is None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        dumped: dict[str, Any] = _adapter().serializer.to_python(self, mode="json", warnings=False, fallback=_as_json)
        return dumped

    @classmethod
    def from_json(cls, payload: Mapping[str, Any]) -> FermiPersonalization:
        """Return the value from which `to_json` made the payload.

        Raises:
            PersonalizationError: the payload is damaged, is not a Fermi personalization, or has a newer format.
        """
        if payload.get("method") != "fermi" or payload.get("format") not in _READ:
            raise PersonalizationError(
                f"not a Fermi personalization of format {FORMAT} or older "
                f"(method {payload.get('method')!r}, format {payload.get('format')!r})"
            )
        try:
            learned = _adapter().validate_python(
                {**payload, "settings": with_stored_rule(payload.get("settings")), "format": FORMAT}
            )
        except ValidationError as error:
            places = ", ".join(".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)[:3])
            raise PersonalizationError(f"the stored personalization is damaged at {places}") from None
        except SettingsError as error:
            raise PersonalizationError(f"the stored personalization is damaged at settings: {error}") from None
        learned._check_indices()
        return learned

    def _check_indices(self) -> None:
        """Check that every index of a prompt refers to a scoring opinion, and that there are prompts to answer with."""
        n = len(self.opinions)
        if not (n and self.prompts and self.memory):
            raise PersonalizationError("the stored personalization is damaged at opinions, prompts or memory: empty")
        if len(self.folds) not in (0, n):
            raise PersonalizationError("the stored personalization is damaged at folds")
        for scored in (self.initial, *self.prompts, *self.memory):
            if not scored.points_into(n):
                raise PersonalizationError(f"the stored personalization is damaged at prompt {scored.born}")
        if not all(each.points_into(n) for each in self.dispositions):
            raise PersonalizationError("the stored personalization is damaged at dispositions")


@cache
def _adapter() -> TypeAdapter[FermiPersonalization]:
    return TypeAdapter(FermiPersonalization)


def _as_json(value: object) -> object:
    """Convert values that pydantic cannot write: the read-only mappings of `Opinion.extra`."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
