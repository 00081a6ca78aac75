"""Opinions that a content filter refuses: with hybrid prompts, they must not stand behind other questions (ours).

    P⁰'s refused cells → asked again without examples → refused again: the opinion is withheld; otherwise an example was

One refused question would otherwise cost nearly all others, because it stands among their nearest opinions. A withheld
opinion keeps its refused cell under `P⁰`, from which `withheld_by` knows it again; it is shown to no model, neither as
an example nor to the optimizer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.examples import neighbours_of_each
from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.scoring import Room, Scorer
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion


def withheld_by(initial: ScoredPrompt) -> frozenset[int]:
    """Return the indices of the opinions whose question was refused under `P⁰`."""
    return frozenset(i for i, cell in enumerate(initial.cells) if cell is not None and cell.response.filtered)


async def hybrid_scorer(
    learned: FermiPersonalization, opinions: Sequence[Opinion], answerer: Answerer, similarity: Similarity | None
) -> Scorer:
    """Return a scorer in the form in which prompts answer, with its own count of costs.

    Args:
        learned: the result whose settings and withheld opinions count.
        opinions: its scoring opinions, and possibly further ones behind them.
        answerer: asks the model.
        similarity: chooses the examples behind hybrid prompts.
    """
    hybrid, with_choices = learned.settings.hybrid, learned.settings.retrieval.with_choices
    behind = await neighbours_of_each(opinions, similarity, k=hybrid.examples, with_choices=with_choices)
    scorer = Scorer(
        opinions, answerer, neighbours=behind, room=Room(learned.max_prompt_tokens).within(hybrid.max_prompt_tokens)
    )
    scorer.leave_out(withheld_by(learned.initial))
    return scorer


async def without_refused_examples(scorer: Scorer, initial: ScoredPrompt) -> ScoredPrompt:
    """Find out which opinions are refused by themselves, leave them out as examples, and ask the others again.

    Without refused cells or examples, no call is made.

    Args:
        scorer: the scorer, which leaves these opinions out from now on.
        initial: `P⁰`, scored.

    Returns:
        `P⁰` with the new answers.

    Raises:
        ModelError: the model could not answer.
    """
    refused = sorted(withheld_by(initial))
    if not refused or not scorer.shows_examples:
        return initial
    alone = await scorer.without_examples(initial.prompt, refused)
    scorer.leave_out(index for index, response in zip(refused, alone, strict=True) if response.filtered)
    again = {index for index, response in zip(refused, alone, strict=True) if not response.filtered}
    cells = tuple(None if index in again else cell for index, cell in enumerate(initial.cells))
    (initial,) = await scorer.fill([replace(initial, cells=cells)], [(0, index) for index in sorted(again)])
    scorer.leave_out(withheld_by(initial))  # as a run that resumes would
    return initial
