"""Where learning stands between two steps, as a value that goes to plain JSON and back: what a checkpoint holds.

Going on from a saved state ends in exactly what an undisturbed run ends in, because a step depends on the state, the
task and its own seeds only. The identity says whose state it is: with other settings, models or opinions it is ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from idiolect.errors import SettingsError
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import Iteration
from idiolect.methods.fermi.prompt import Identity
from idiolect.methods.fermi.scoring import FailureCounts
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.language_model import Usage
from idiolect.people.user import User

FORMAT = 1

Step = Literal["rescore", "score", "propose", "pool", "learned"]


@dataclass(frozen=True, slots=True)
class Half:
    """The first half of an iteration that is under way; `Iteration` says what the counts mean."""

    scored: int = 0
    dropped: int = 0
    proposed: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """Where learning stands.

    Args:
        step: what comes next; "learned": nothing.
        initial: `P⁰`.
        memory: `M^t`, best first.
        new: the prompts proposed last.
        counts: which opinions are hard; never changed in place.
        seen: identities of all prompts so far.
        answering, optimizing: spent.
        history: finished iterations; half: the one under way.
        born: of the next prompt.
        pool: what Retrieval-of-Prompt will choose from, once learned.
    """

    step: Step
    initial: ScoredPrompt
    memory: tuple[ScoredPrompt, ...]
    new: tuple[ScoredPrompt, ...]
    counts: FailureCounts
    seen: tuple[Identity, ...]
    answering: Usage = Usage()
    optimizing: Usage = Usage()
    history: tuple[Iteration, ...] = ()
    half: Half = Half()
    born: int = 1
    pool: tuple[ScoredPrompt, ...] = ()

    def points_into(self, n: int) -> bool:
        """Whether every index and cell belongs to one of n opinions."""
        prompts = (self.initial, *self.memory, *self.new, *self.pool)
        counted = len(self.counts.asked) == len(self.counts.lost) == n
        return counted and all(prompt.points_into(n) for prompt in prompts)


class Bookmark:
    """One run's place in a checkpoint sink.

    Args:
        sink: None saves nothing and finds nothing.
        identity: of the run.
        n: how many scoring opinions it has.
    """

    def __init__(self, sink: CheckpointSink | None, identity: str, n: int) -> None:
        self._sink = sink
        self._identity = identity
        self._n = n

    def save(self, state: State) -> None:
        """Replace what was saved before."""
        if self._sink is not None:
            dumped = _adapter().dump_python(state, mode="json")
            self._sink.save({"method": "fermi", "format": FORMAT, "identity": self._identity, "state": dumped})

    def find(self) -> tuple[State | None, str]:
        """Return the state to go on from, or None; and a note on it for people ("" where nothing was saved)."""
        payload = None if self._sink is None else self._sink.load()
        if payload is None:
            return None, ""
        if payload.get("method") != "fermi" or payload.get("format") != FORMAT:
            return None, "starting anew: the checkpoint is of another version"
        if payload.get("identity") != self._identity:
            return None, "starting anew: the checkpoint is of other settings, models or opinions"
        try:
            state = _adapter().validate_python(payload.get("state"))
        except (ValidationError, SettingsError):
            state = None
        if state is None or not state.points_into(self._n):
            return None, "starting anew: the checkpoint is damaged"
        return state, f"going on after iteration {len(state.history)}"


def run_identity(user: User, settings: FermiSettings, *, models: Sequence[str | None], origin: object = None) -> str:
    """SHA-256 (hex) of everything that a run's result depends on.

    Args:
        user: id, profile and opinions count, not what Idiolect doesn't know (`extra`).
        settings: all of them.
        models: names, or whatever else distinguishes them from others, in a fixed order.
        origin: what the run goes on from, as plain JSON; None: from nothing.
    """
    opinions = [(o.question.text, o.question.choices, o.question.ordinal, o.answer) for o in user.opinions]
    profile = list(user.profile.attributes.items())  # in order: prompts show it
    canonical = json.dumps([asdict(settings), list(models), user.id, profile, opinions, origin], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def _adapter() -> TypeAdapter[State]:
    return TypeAdapter(State)
