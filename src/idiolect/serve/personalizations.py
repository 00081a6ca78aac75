"""What was learned for whoever asks, kept for a moment: read once, chosen from at every turn, never older than set.

Asker → Applicable (digests, prompts, edit) ─ within its age → no read at all
             └─ older → the digests in the store ─ equal → its age begins again
                                                  └─ different → read anew
Applicable, last turn → Applied (prompt, edit, name, reason), kept by the hash of the turn
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from idiolect.application.chat_personalization import choose_edit, learned_for
from idiolect.application.names import FERMI, AskedMethod
from idiolect.application.owner import Owner
from idiolect.application.personalized_chat import personalization_name
from idiolect.application.turn_prompts import (
    Chosen,
    LearnedPrompts,
    TurnPrompts,
    open_turn_prompts,
    read_prompts,
    why_of,
)
from idiolect.application.workspace import AsyncWorkspace
from idiolect.people.user import Question
from idiolect.serve.identity import Asker
from idiolect.store import PersonalizationRecord, Store

NOBODY = "the request names no user"
NOTHING = "nothing that can be used has been learned for this user"
ERASED = "what is held about this user is being erased"
_MOST_TURNS = 64  # of one user whose choices are kept
_UNUSED = Chosen()


@dataclass(frozen=True, slots=True)
class Applied:
    """What applies to one turn.

    Args:
        prompt: Fermi's choice.
        edit: CHAMELEON's choice.
        why: why something is used, or nothing is; names nobody, and quotes nothing.
        name: name of what answers; "base": nothing is used.
    """

    prompt: Chosen = _UNUSED
    edit: Chosen = _UNUSED
    why: str = NOBODY
    name: str = "base"

    @property
    def prefix(self) -> str:
        """The prompt's text; "" if none is used."""
        return self.prompt.text

    def shorter(self) -> Iterator[str]:
        """Yield ever shorter prompts, and "" at last; nothing if no prompt is used."""
        if self.prompt.prompt is not None:
            yield from (text for text in self.prompt.prompt.versions() if text != self.prefix)
            yield ""

    def name_with(self, prompt: str) -> str:
        """Return the name of what answers with another version of the prompt; "" for none."""
        return personalization_name(prompt, self.edit.digest if self.edit.edited is not None else "")


@dataclass(slots=True)
class Applicable:
    """What was learned for one user, ready for any turn.

    Args:
        digests: digests of what was learned, by method.
        prompts: Fermi's prompts; None if none is used.
        without_prompts: Fermi's choice if none is used.
        edit: CHAMELEON's choice.
        read: when the store was asked last, in seconds of the monotonic clock.
    """

    digests: Mapping[str, str] = field(default_factory=dict)
    prompts: TurnPrompts | None = None
    without_prompts: Chosen = _UNUSED
    edit: Chosen = _UNUSED
    missing: str = NOTHING
    read: float = 0.0
    _turns: OrderedDict[bytes, Applied] = field(default_factory=OrderedDict)

    @property
    def used(self) -> bool:
        """Whether a prompt or an edit is used at any turn."""
        return self.prompts is not None or self.edit.edited is not None

    async def at(self, question: Question | None) -> Applied:
        """Return what applies to a turn; `question` is its text, None if it has none."""
        turn = blake2b(b"" if question is None else question.text.encode(), digest_size=16).digest()
        applied = self._turns.get(turn)
        if applied is None:
            prompt = self.without_prompts if self.prompts is None else await self.prompts.choose(question)
            applied = self._turns[turn] = self._applied(prompt)
            while len(self._turns) > _MOST_TURNS:
                self._turns.popitem(last=False)
        return applied

    def _applied(self, prompt: Chosen) -> Applied:
        applied = Applied(prompt, self.edit, why_of(prompt, self.edit, self.missing))
        return replace(applied, name=applied.name_with(prompt.text))


class Personalizations:
    """What applies to users, least recently used ones dropped first.

    Args:
        workspace: models, for similarities and edits.
        store_of: returns the store of a tenant's users.
        method: method that personalizes; None: the one that has learned, or Fermi if both have.
        model: name of the model that answers, for edits; None: it is behind an API, so that edits are left out.
        max_age: seconds for which the store is not asked again; ≥ 0.
        most: number of users kept; ≥ 1.
        on_outcome: receives what the cache did with a request: "hit", "revalidated", "read" or "unknown".
    """

    def __init__(
        self,
        workspace: AsyncWorkspace,
        store_of: Callable[[str], Store],
        *,
        method: AskedMethod | None,
        model: str | None,
        max_age: float,
        most: int,
        on_outcome: Callable[[str], None],
    ) -> None:
        self._workspace, self._store_of, self._method, self._model = workspace, store_of, method, model
        self._max_age, self._most, self._on_outcome = max_age, most, on_outcome
        self._kept: OrderedDict[Asker, Applicable] = OrderedDict()
        self._reading: dict[Asker, asyncio.Future[Applicable]] = {}
        self._withheld: set[Asker] = set()

    def __len__(self) -> int:
        return len(self._kept)

    async def of(self, asker: Asker) -> Applicable:
        """Return what was learned for a user; requests that come at the same time read once.

        Raises:
            StoreError: the store cannot be read.
        """
        kept = self._kept.get(asker)
        if kept is not None and time.monotonic() - kept.read <= self._max_age:
            self._kept.move_to_end(asker)
            self._on_outcome("hit")
            return kept
        if asker.user is None:
            return Applicable(missing=NOBODY)
        if asker in self._withheld:
            return Applicable(missing=ERASED)
        reading = self._reading.get(asker)
        if reading is None:
            reading = self._reading[asker] = asyncio.ensure_future(self._read(asker, asker.user, kept))
            reading.add_done_callback(lambda done: self._done(asker, done))
        return await asyncio.shield(reading)  # others still wait for it if this client goes

    def forget(self, asker: Asker) -> None:
        """Drop what is kept of a user at once, and what is being read."""
        self._kept.pop(asker, None)
        self._reading.pop(asker, None)

    def clear(self) -> None:
        """Drop what is kept of all users."""
        self._kept.clear()
        self._reading.clear()

    def withhold(self, asker: Asker) -> None:
        """Use and keep nothing that was learned for a user, until `release`."""
        self._withheld.add(asker)
        self.forget(asker)

    def release(self, asker: Asker) -> None:
        """Use again what is learned for a user."""
        self._withheld.discard(asker)

    def _done(self, asker: Asker, done: asyncio.Future[Applicable]) -> None:
        if self._reading.get(asker) is not done:  # forgotten while it was being read
            return
        del self._reading[asker]
        if done.cancelled() or done.exception() is not None:
            return
        found = done.result()
        self._kept[asker] = found
        self._kept.move_to_end(asker)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def _digests(self, tenant: str, user: str) -> tuple[Store, Mapping[str, str]]:
        store = self._store_of(tenant)
        return store, store.personalization_digests(user)

    async def _read(self, asker: Asker, user: str, kept: Applicable | None) -> Applicable:
        now = time.monotonic()
        store, digests = await asyncio.to_thread(self._digests, asker.tenant, user)
        if kept is not None and kept.digests == digests:
            kept.read = now
            self._on_outcome("revalidated")
            return kept
        if not digests:
            self._on_outcome("unknown")
            return Applicable(read=now)
        self._on_outcome("read")
        owner = Owner.user(user)
        method = FERMI if self._model is None else self._method  # an edit needs the model's weights
        prompts, chameleon = await asyncio.to_thread(_read_all, store, owner, method)
        found = Applicable(digests, read=now)
        if prompts is not None:
            found.without_prompts = Chosen(prompts.why, prompts.model)
            if prompts.learned is not None:
                found.prompts = await open_turn_prompts(self._workspace, owner, prompts.learned, counted=False)
        if chameleon is not None:
            found.edit = await choose_edit(self._workspace, owner, chameleon, model=self._model)
        return found


def _read_all(
    store: Store, owner: Owner, method: AskedMethod | None
) -> tuple[LearnedPrompts | None, PersonalizationRecord | None]:
    learned = learned_for(store, owner, method)
    return None if learned.fermi is None else read_prompts(learned.fermi), learned.chameleon
