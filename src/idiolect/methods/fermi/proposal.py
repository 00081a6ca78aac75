"""Proposals for new prompts: one Protocol, the paper's LLM optimizer, and a composer of demonstrations (ours).

The LLM optimizer is sampled K times on one meta-prompt. Its K draws are K different calls: the draw's index and a
seed from (seed, user, iteration, draw) are part of each request. The demonstration proposer writes no text. It quotes
mis-aligned opinions as examples, because a small `M_opt` writes poor prompts, but a small `M` does follow examples. All
proposals pass the same `ProposalFilter`.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from idiolect.errors import ContextLengthError, Remedy
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.meta_prompt import Context, failure, meta_prompt, shortened, shown_failures
from idiolect.methods.fermi.prompt import Identity, Prompt, Proposal, quoted_opinions
from idiolect.methods.fermi.settings import DemonstrationSettings, MetaPromptSettings
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.methods.shortening import first_fitting, room_after, size_of
from idiolect.methods.templating import holds_tag
from idiolect.models.language_model import CompletionModel, CompletionRequest, Message, SamplingParams, Usage
from idiolect.models.thoughts import after_thoughts

_LARGER = Remedy("optimizer", "NAME", "writes the prompts with a model that has a larger context")
_SLOT = re.compile(r"<\s*/?\s*INS\s*/?\s*>", re.IGNORECASE)
_QUOTED = re.compile(r"""(["“”])(.*)["“”]""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Round:
    """The draws to make in one round.

    Args:
        key: (seed, user), the first part of every seed in this run.
        iteration: t, from 0.
        draws: indices of the draws, which continue when an iteration draws again.
    """

    key: tuple[int, str]
    iteration: int
    draws: tuple[int, ...]

    def seed(self, draw: int) -> int:
        """Return a seed in [0, 2⁶³) from (seed, user, iteration, draw), the same on every machine."""
        text = repr((*self.key, self.iteration, draw)).encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


@dataclass(frozen=True, slots=True)
class Proposals:
    """All draws of a round, in order, and their cost."""

    proposals: tuple[Proposal, ...]
    usage: Usage = Usage()


class Proposer(Protocol):
    """Source of prompts to try next."""

    async def propose(self, context: Context, asked: Round) -> Proposals:
        """Return one proposal per draw, in the order of `asked.draws`.

        Raises:
            ModelError: the optimizer could not answer.
        """
        ...


class LlmProposer:
    """The paper's proposer: `M_opt` reads the meta-prompt and writes a new text.

    A meta-prompt that is too long for `M_opt` is shortened (ours); see `shortened`.
    """

    def __init__(self, model: CompletionModel, settings: MetaPromptSettings) -> None:
        self._model = model
        self._settings = settings
        self._refused: int | None = None  # size in bytes of the shortest meta-prompt that was too long
        self._room: int | None = None

    async def propose(self, context: Context, asked: Round) -> Proposals:
        """Sample the optimizer once per draw on the same meta-prompt, which is shortened if it is too long for it.

        Raises:
            ContextLengthError: even the shortest meta-prompt is too long.
            ModelError: the optimizer could not answer.
        """
        versions = list(shortened(context, self._settings))
        place, text = 0, meta_prompt(*versions[0])
        room = self._room if self._refused is not None and size_of(text) >= self._refused else None
        while True:
            if room is not None:
                further, text = first_fitting((meta_prompt(*version) for version in versions[place:]), room)
                place += further
            try:
                return await self._draw(text, *versions[place], asked)
            except ContextLengthError as error:
                if place == len(versions) - 1:
                    raise error.of("the optimizer's prompt, in its shortest form,", _LARGER) from None
                refused = size_of(text)
                room = room_after(error, refused, max_tokens=self._settings.max_tokens)
                self._refused, self._room = min(self._refused or refused, refused), room

    async def _draw(self, text: str, context: Context, settings: MetaPromptSettings, asked: Round) -> Proposals:
        failures = shown_failures(context, settings)
        stop = ("]",) if settings.prefill.count("[") > settings.prefill.count("]") else ()
        requests = [
            CompletionRequest(
                (Message("user", text),),
                SamplingParams(settings.max_tokens, settings.temperature, seed=asked.seed(draw), stop=stop),
                draw,
                settings.prefill,
            )
            for draw in asked.draws
        ]
        proposals, usage = [], Usage()
        for draw, completion in zip(asked.draws, await self._model.complete(requests), strict=True):
            usage += completion.usage
            if completion.finish_reason == "content_filter":
                proposals.append(Proposal(draw, None, "withheld by a content filter"))
                continue
            written = settings.prefill + after_thoughts(completion.text).text
            closing = "]" * written.count("[") if stop and completion.finish_reason == "stop" else ""
            found = parse_proposal(written + closing, settings)
            if found is not None and settings.keeps_profile and context.profile:
                found = f"{profile_prompt(context.profile, context.answering)}\n\n{found}"
            prompt = Prompt(found, origin="llm", driven_by=failures) if found is not None else None
            proposals.append(Proposal(draw, prompt, "" if prompt else "no text in square brackets"))
        return Proposals(tuple(proposals), usage)


class DemonstrationProposer:
    """Our proposer, which extends a prompt of the memory by examples from the opinions that the prompt fails on.

    Draw d starts from the memory's prompt d mod |memory|, keeps most of its demonstrations, and adds opinions that the
    prompt gets wrong, in random order, then others (or any opinions, depending on the settings). Demonstrations are in
    the order of the opinions.
    """

    def __init__(self, settings: DemonstrationSettings) -> None:
        self._settings = settings

    async def propose(self, context: Context, asked: Round) -> Proposals:
        """Compose one prompt per draw, without calling a model."""
        return Proposals(tuple(Proposal(draw, self._compose(context, draw, asked.seed(draw))) for draw in asked.draws))

    def _compose(self, context: Context, draw: int, seed: int) -> Prompt:
        rng = random.Random(seed)
        entries = context.memory.entries
        chosen = [entry for entry in entries if entry.born == context.parent]
        parent = chosen[0] if chosen else entries[draw % len(entries)]
        room = min(self._settings.max_demonstrations, len(context.visible))
        kept = self._kept(parent, rng, room)
        failed = frozenset(context.failures(parent))
        open_ = [i for i in context.visible if i not in kept]
        wrong, rest = [i for i in open_ if i in failed], [i for i in open_ if i not in failed]
        if self._settings.prefer == "any":
            wrong, rest = [], open_
        rng.shuffle(wrong)
        rng.shuffle(rest)
        shown = sorted([*kept, *wrong, *rest][:room])
        driven_by = tuple(failure(parent, i, context) for i in shown if i in failed and i not in kept)
        return Prompt(parent.prompt.text, tuple(shown), parent.prompt.quotes, "demonstrations", driven_by)

    def _kept(self, parent: ScoredPrompt, rng: random.Random, room: int) -> list[int]:
        """Return the parent's demonstrations to keep: all if there is room for new ones, otherwise a random share."""
        shown = list(parent.prompt.demonstrations)
        if len(shown) < room:
            return shown
        return rng.sample(shown, min(room, round(len(shown) * self._settings.keep_share)))


def parse_proposal(text: str, settings: MetaPromptSettings) -> str | None:
    """Return the proposed text in an optimizer's reply, or None.

    It is the text in the *last* outermost pair of square brackets, because reasoning comes before the answer. Nested
    brackets are kept, and unclosed ones are ignored. A slot `<INS>` and surrounding quotes are removed.
    """
    found = _last_brackets(text)
    if found is None:
        if settings.brackets == "required":
            return None
        paragraphs = [p.strip() for p in text.replace("[", " ").replace("]", " ").split("\n\n") if p.strip()]
        found = paragraphs[0] if paragraphs else ""
    cleaned = _SLOT.sub("", found).strip()
    quoted = _QUOTED.fullmatch(cleaned)
    return (quoted[2].strip() if quoted else cleaned) or None


def _last_brackets(text: str) -> str | None:
    """Return the text in the last outermost pair that is not empty; a bracket that is never closed opens no pair."""
    opened: list[int] = []
    pairs: list[tuple[int, int]] = []
    for place, char in enumerate(text):
        if char == "[":
            opened.append(place)
        elif char == "]" and opened:
            start = opened.pop()
            while pairs and pairs[-1][0] > start:  # pairs inside this one
                pairs.pop()
            pairs.append((start, place))
    inside = [text[start + 1 : end] for start, end in pairs]
    return next((found for found in reversed(inside) if found.strip()), None)


@dataclass(slots=True)
class ProposalFilter:
    """Filter of proposals, which knows every prompt seen so far, including those dropped from the memory.

    Attributes:
        settings: limits on proposals.
        skip_quoted: mark opinions that a text quotes as not scoreable.
        rejected: number of rejected proposals, by reason.
        seen: identities of prompts that are not accepted again.
    """

    settings: MetaPromptSettings
    skip_quoted: bool = True
    rejected: dict[str, int] = field(default_factory=dict)
    seen: set[Identity] = field(default_factory=set)

    def accept(self, proposals: Sequence[Proposal], context: Context) -> list[Prompt]:
        """Return the accepted prompts among the proposals, in order, and count the others in `rejected`."""
        accepted = []
        for proposal in proposals:
            prompt, reason = self._check(proposal, context)
            if prompt is None:
                self.rejected[reason] = self.rejected.get(reason, 0) + 1
            else:
                self.seen.add(prompt.identity)
                accepted.append(prompt)
        return accepted

    def _check(self, proposal: Proposal, context: Context) -> tuple[Prompt | None, str]:
        prompt = proposal.prompt
        if prompt is None:
            return None, proposal.reason
        if prompt.origin == "llm":
            if len(prompt.text) < self.settings.min_chars:
                return None, "too short"
            if len(prompt.text) > self.settings.max_chars:
                return None, "too long"
            if holds_tag(prompt.text):
                return None, "repeats the meta-prompt"
            if self.skip_quoted:
                prompt = replace(prompt, quotes=quoted_opinions(prompt.text, context.opinions))
            # Enough opinions must be left to score the prompt: on a single lucky opinion, it would look like the best.
            if len(prompt.quotes) > self.settings.max_quoted_share * len(context.opinions):
                return None, "quotes too many opinions"
        if prompt.identity in self.seen:
            return None, "seen before"
        return prompt, ""
