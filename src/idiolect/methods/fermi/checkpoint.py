"""The state of learning between two steps, which is saved in a checkpoint as plain JSON.

A run that resumes from a saved state has exactly the same result as an undisturbed run, because a step depends only on
the state, the task and its own seeds. A checkpoint has an identity; one of other settings, models or opinions is
ignored.
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
from idiolect.methods.fermi.dispositions import Disposition
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import Iteration
from idiolect.methods.fermi.prompt import Identity
from idiolect.methods.fermi.scoring import NO_LIMIT, FailureCounts, Room
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.language_model import Usage
from idiolect.people.user import User

FORMAT = 1

Step = Literal["rescore", "score", "propose", "pool", "dispositions", "trials", "learned"]


@dataclass(frozen=True, slots=True)
class Half:
    """Counts from the first half of the current iteration, with the meaning that they have in `Iteration`."""

    scored: int = 0
    dropped: int = 0
    proposed: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """State of learning.

    Args:
        step: next step; "learned": none.
        initial: `P⁰`.
        memory: `M^t`, best first.
        new: the prompts proposed last.
        counts: failures per opinion; never changed in place.
        seen: identities of all prompts so far.
        answering, optimizing: cost so far.
        history: finished iterations; half: the current one.
        born: number of the next prompt.
        pool: prompts for Retrieval-of-Prompt, once learned.
        dispositions: the person's dispositions, not tried yet before the step "trials".
        room: how long a prompt the model can read, as far as its refusals have shown.
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
    dispositions: tuple[Disposition, ...] = ()
    room: Room = NO_LIMIT

    def points_into(self, n: int) -> bool:
        """Return whether every index and cell belongs to one of n opinions."""
        prompts = (self.initial, *self.memory, *self.new, *self.pool)
        counted = len(self.counts.asked) == len(self.counts.lost) == n
        points = all(prompt.points_into(n) for prompt in prompts)
        return counted and points and all(each.points_into(n) for each in self.dispositions)


class Bookmark:
    """The checkpoint of one run in a sink.

    Args:
        sink: where states are saved; None: nowhere.
        identity: identity of the run.
        n: number of its scoring opinions.
    """

    def __init__(self, sink: CheckpointSink | None, identity: str, n: int) -> None:
        self._sink = sink
        self._identity = identity
        self._n = n

    def save(self, state: State) -> None:
        """Replace the saved state."""
        if self._sink is not None:
            dumped = _adapter().dump_python(state, mode="json")
            self._sink.save({"method": "fermi", "format": FORMAT, "identity": self._identity, "state": dumped})

    def find(self) -> tuple[State | None, str]:
        """Return the saved state if it fits this run, otherwise None, and a note on it ("" if nothing was saved)."""
        payload = None if self._sink is None else self._sink.load()
        if payload is None:
            return None, ""
        if payload.get("method") != "fermi" or payload.get("format") != FORMAT:
            return None, "starting again: the checkpoint is from another version"
        if payload.get("identity") != self._identity:
            return None, "starting again: the checkpoint is for other settings, models or opinions"
        try:
            state = _adapter().validate_python(payload.get("state"))
        except (ValidationError, SettingsError):
            state = None
        if state is None or not state.points_into(self._n):
            return None, "starting again: the checkpoint is damaged"
        return state, f"continuing after iteration {len(state.history)}"


def run_identity(user: User, settings: FermiSettings, *, models: Sequence[str | None], origin: object = None) -> str:
    """Return the SHA-256 (hex) of everything that a run's result depends on.

    Args:
        user: the user, of whom id, profile and opinions are included, but not unknown keys (`extra`).
        settings: settings of the run.
        models: names of the models, or other values that identify them, in a fixed order.
        origin: what the run continues from, as plain JSON; None: it starts from nothing.
    """
    opinions = [(o.question.text, o.question.choices, o.question.ordinal, o.answer) for o in user.opinions]
    profile = list(user.profile.attributes.items())  # a list, because prompts show the order
    canonical = json.dumps([asdict(settings), list(models), user.id, profile, opinions, origin], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def _adapter() -> TypeAdapter[State]:
    return TypeAdapter(State)
