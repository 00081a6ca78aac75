"""Opinions that a content filter refuses: with hybrid prompts, they must not stand behind other questions (ours).

    P⁰'s refused cells → asked again without examples → refused again: the opinion is withheld; otherwise an example was

One refused question would otherwise cost nearly all others, because it stands among their nearest opinions. A withheld
opinion keeps its refused cell under `P⁰`, from which `withheld_by` knows it again; it is shown to no model, neither as
an example nor to the optimizer.
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.methods.fermi.memory import ScoredPrompt
from idiolect.methods.fermi.scoring import Scorer


def withheld_by(initial: ScoredPrompt) -> frozenset[int]:
    """Return the indices of the opinions whose question was refused under `P⁰`."""
    return frozenset(i for i, cell in enumerate(initial.cells) if cell is not None and cell.response.filtered)


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
