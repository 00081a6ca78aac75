"""The meta-prompt, which shows the memory to the optimizer `M_opt` asymmetrically.

One listed prompt shows its mis-aligned responses in full (question, the user's answer, the model's response). Every
other prompt shows only the indices of the failures that it has *in common* with that one, and the count of its other
failures. The settings turn this into the ablations and into OPRO. Template variables are documented in
`meta_prompt.jinja`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from idiolect.methods.alignment import AlignmentThresholds
from idiolect.methods.answering import AnsweringSettings, Response
from idiolect.methods.fermi.memory import Memory, ScoredPrompt
from idiolect.methods.fermi.prompt import Failure, Proposal, question_key, render_prompt
from idiolect.methods.fermi.settings import ListedFirst, MetaPromptSettings
from idiolect.methods.shortening import CUTS, cut
from idiolect.methods.templating import render, render_source
from idiolect.people.user import Opinion, QuestionKind, UserProfile


@dataclass(frozen=True, slots=True)
class Context:
    """Data available to the meta-prompt and to every proposer.

    Args:
        profile: `U_pro`.
        opinions: the scoring opinions.
        examples: opinions that are fixed demonstrations for the optimizer, and are never scored.
        memory: `M^t`.
        thresholds: τ.
        answering: form of questions (demonstrations in a prompt look the same to the optimizer).
        longest: number of characters that are shown of each question, answer and prompt; None: all.
        hidden: indices of scoring opinions that the optimizer must not see (crossing).
        withheld: indices of those that a content filter refuses, which it is not shown either.
        fold: the fold that the draw is scored on; None: no crossing.
        parent: `born` of the prompt that is listed first; None: by `listed_first`.
        kind: what the optimizer is asked to write about; "": nothing special.
        nearest: number of nearest opinions behind each prompt (hybrid prompts).
    """

    profile: UserProfile
    opinions: tuple[Opinion, ...]
    examples: tuple[Opinion, ...]
    memory: Memory
    thresholds: AlignmentThresholds
    answering: AnsweringSettings
    longest: int | None = None
    hidden: frozenset[int] = frozenset()
    withheld: frozenset[int] = frozenset()
    fold: int | None = None
    parent: int | None = None
    kind: str = ""
    nearest: int = 0

    @property
    def visible(self) -> tuple[int, ...]:
        """Indices of the scoring opinions that the optimizer may see."""
        return tuple(index for index in range(len(self.opinions)) if index not in self.hidden | self.withheld)

    def listed(self, listed_first: ListedFirst) -> list[ScoredPrompt]:
        """Return the prompts of the memory in the order in which they are listed; the first one shows its failures."""
        entries = list(self.memory.entries)
        ordered = entries[::-1] if listed_first == "lowest" else entries
        return sorted(ordered, key=lambda entry: entry.born != self.parent) if self.parent is not None else ordered

    def first_listed(self, listed_first: ListedFirst) -> ScoredPrompt:
        """Return the prompt whose failures are shown in full."""
        return self.listed(listed_first)[0]

    def failures(self, scored: ScoredPrompt) -> tuple[int, ...]:
        """Return the indices of a prompt's mis-aligned responses that the optimizer may see."""
        unseen = self.hidden | self.withheld
        return tuple(i for i in scored.misaligned(self.opinions, self.thresholds) if i not in unseen)

    def marked(self, proposal: Proposal) -> Proposal:
        """Return a proposal whose prompt states what its optimizer saw, its fold and its kind."""
        if proposal.prompt is None or (self.fold is None and not self.kind):
            return proposal
        seen = () if self.fold is None else tuple(i for i in range(len(self.opinions)) if i not in self.hidden)
        kind = self.kind if proposal.prompt.origin == "llm" else ""
        return replace(proposal, prompt=replace(proposal.prompt, seen=seen, fold=self.fold, kind=kind))


def meta_prompt(context: Context, settings: MetaPromptSettings) -> str:
    """Render the meta-prompt.

    Raises:
        SettingsError: the user's own template can't be used.
    """
    ascending = settings.listed_first == "lowest"
    listed = context.listed(settings.listed_first)
    values = {
        "profile": dict(context.profile.attributes),
        "ascending": ascending,
        "shows_failures": settings.failures != "none",
        "prompts": [_entry(listed, index, context, settings) for index in range(len(listed))],
        "examples": _unscored_examples(context),
        "verbatim": context.answering.form == "verbatim",
    }
    if settings.template is not None:
        return render_source(settings.template, values)
    if settings.shows_one:
        return render("meta_prompt_diagnosis.jinja", {**values, **_diagnosis(listed[0], context, settings)})
    return render("meta_prompt.jinja", values)


def _diagnosis(first: ScoredPrompt, context: Context, settings: MetaPromptSettings) -> dict[str, Any]:
    """Return the further values of the form "diagnosis"."""
    wrong = set(context.failures(first))
    right = [i for i in context.visible if i not in wrong and first.cells[i] is not None]
    rng = random.Random(f"{first.born}:{context.fold}:{context.kind}")  # each draw sees others
    shown = sorted(rng.sample(right, min(settings.successes, len(right))))
    return {
        "asked": len(wrong) + len(right),
        "wrong": len(wrong),
        "successes": [_opinion_entry(i, context) for i in shown],
        "kind": context.kind,
        "attached": settings.keeps_profile,
        "crossed": context.fold is not None,
        "nearest": context.nearest,
        "graded": any(each.question.kind is not QuestionKind.MULTIPLE_CHOICE for each in context.opinions),
    }


def _unscored_examples(context: Context) -> list[Opinion]:
    """Return the fixed demonstrations without those on a scoring question, whose answer they would reveal."""
    scoring = {question_key(opinion.question) for opinion in context.opinions}
    unscored = [example for example in context.examples if question_key(example.question) not in scoring]
    if context.longest is None:
        return unscored
    return [
        replace(each, question=replace(each.question, text=cut(each.question.text, context.longest)))
        for each in unscored
    ]


def shortened(context: Context, settings: MetaPromptSettings) -> Iterator[tuple[Context, MetaPromptSettings]]:
    """Yield the context and the settings of ever shorter meta-prompts, from the whole one on.

    First fewer right answers are shown, then fewer failures in full, then fewer fixed examples, then only the beginning
    of each text.
    """
    yield context, settings
    while settings.shows_one and settings.successes:
        settings = replace(settings, successes=settings.successes // 2)
        yield context, settings
    most = max((len(context.failures(entry)) for entry in context.memory.entries), default=0)
    failures = min(most, settings.max_failures or most)
    while settings.failures != "none" and failures > 1:
        failures //= 2
        settings = replace(settings, max_failures=failures)
        yield context, settings
    examples = len(context.examples)
    while examples:
        examples //= 2
        context = replace(context, examples=context.examples[:examples])
        yield context, settings
    for longest in CUTS:
        yield replace(context, longest=longest), settings


def shown_failures(context: Context, settings: MetaPromptSettings) -> tuple[Failure, ...]:
    """Return the failures that the first listed prompt shows in full; none if the context is "none"."""
    if settings.failures == "none":
        return ()
    first = context.first_listed(settings.listed_first)
    wrong = context.failures(first)
    return tuple(failure(first, index, context) for index in _worst(first, wrong, settings.max_failures))


def failure(scored: ScoredPrompt, index: int, context: Context) -> Failure:
    """Return the prompt's response to opinion `index`, verbatim.

    With crossing and hybrid prompts, the model saw answers that the optimizer must not see, and may repeat them in its
    words. Then only the choice that it named is returned, and of a free text nothing.
    """
    cell = scored.cells[index]
    assert cell is not None
    if context.hidden and context.nearest:
        return Failure(index, shown_answer(context.opinions[index], cell.response))
    return Failure(index, cell.response.text)


def shown_answer(opinion: Opinion, response: Response) -> str:
    """Return what an optimizer may see of an answer that was given behind examples: the choice that was read."""
    if opinion.question.choices:
        return response.answer or "(none of the choices)"
    return "(another answer)" if response.text else "(no answer)"


def _entry(
    listed: Sequence[ScoredPrompt], index: int, context: Context, settings: MetaPromptSettings
) -> dict[str, Any]:
    scored = listed[index]
    wrong = context.failures(scored)
    entry: dict[str, Any] = {
        "text": cut(render_prompt(scored.prompt, context.opinions, context.answering), context.longest),
        "score": round(100 * scored.score),
        "failures": None,
        "hidden": 0,
        "common": None,
        "further": 0,
    }
    if settings.failures == "none":
        return entry
    if index == 0 or settings.failures == "symmetric":
        # Numbers are places in the scoring opinions, so that they have the same meaning for every prompt.
        shown = _worst(scored, wrong, settings.max_failures)
        entry["failures"] = [_failure_entry(failure(scored, i, context), context) for i in shown]
        entry["hidden"] = len(wrong) - len(shown)
    elif settings.failures == "asymmetric":
        first = listed[0]
        numbered = set(_worst(first, context.failures(first), settings.max_failures))
        entry["common"] = [i + 1 for i in wrong if i in numbered]
        entry["further"] = len(wrong) - len(entry["common"])
    return entry


def _worst(scored: ScoredPrompt, wrong: Sequence[int], limit: int | None) -> list[int]:
    """Return at most `limit` failures, those with the lowest scores, in the order of the opinions."""
    if limit is None or len(wrong) <= limit:
        return list(wrong)

    def score(index: int) -> float:
        cell = scored.cells[index]
        assert cell is not None
        return cell.score

    return sorted(sorted(wrong, key=lambda i: (score(i), i))[:limit])


def _failure_entry(one: Failure, context: Context) -> dict[str, Any]:
    return {
        **_opinion_entry(one.index, context),
        "number": one.index + 1,
        "response": cut(one.response, context.longest) or "(no answer)",
    }


def _opinion_entry(index: int, context: Context) -> dict[str, Any]:
    opinion = context.opinions[index]
    return {
        "question": cut(opinion.question.text, context.longest),
        "choices": [cut(choice, context.longest) for choice in opinion.question.choices],
        "answer": cut(opinion.answer, context.longest),
    }
