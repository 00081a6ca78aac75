"""Do no harm, without holding out: the gate on crossed scores (ours).

    for each scoring opinion i: choose the prompts without i, combine their kept responses to i → s_i

With crossing, no prompt that may answer opinion i was written by an optimizer that saw it, so these scores are unseen
ones, like those of held-out opinions. All opinions judge, and all of them are learned from. The base model is asked,
once an opinion, and a chosen prompt where a lazy pool left it unscored. Several orders of the examples are not
evaluated here, which costs no call.

An opinion for which dispositions are stated is asked again in that form, with those dispositions that count without it.
If the answers are worse than without, the optimizer's dispositions are not stated at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import base
from idiolect.methods.evidence import Evidence
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.personalization import Explanation
from idiolect.models.similarity import Similarity


async def with_crossed_evidence(
    learned: FermiPersonalization, answerer: Answerer, similarity: Similarity | None
) -> FermiPersonalization:
    """Add the evidence from crossed scores, with the cost of the base model's answers.

    Raises:
        ModelError: the model could not answer.
        HaltedError: the run was halted.
    """
    questions = [opinion.question for opinion in learned.opinions]
    prompts = RetrievalOfPrompt(learned, answerer, similarity, leave_one_out=True)
    chosen = await prompts.explain(questions)
    await prompts.score((k, i) for i, why in enumerate(chosen) for k in _answering(why))
    learned = prompts.personalization
    personalized: list[float] = []
    few_shot: list[float] = []
    judged: list[int] = []
    all_grounds = await prompts.grounds(questions)
    for index, (opinion, why, grounds) in enumerate(zip(learned.opinions, chosen, all_grounds, strict=True)):
        initial = learned.initial.judged(index)
        if initial is None:
            continue
        # If every prompt knows the opinion, `P⁰` answers, as it does for a held-out opinion.
        able = [learned.prompts[k] for k in _answering(why)]
        able = [each for each in able if each.judged(index) is not None] or [learned.initial]
        responses = [cell.response for each in able if (cell := each.judged(index)) is not None]
        response = prompts.combine(opinion.question, responses, able, grounds)
        personalized.append(alignment_score(opinion.question, opinion.answer, response.answer))
        few_shot.append(initial.score)
        judged.append(index)
    if not judged:
        return learned
    learned, again = await _with_dispositions(learned, prompts, {i: chosen[i] for i in judged}, personalized)
    plain = await base(answerer).answer([questions[index] for index in judged])
    scores = [
        alignment_score(learned.opinions[index].question, learned.opinions[index].answer, answer.response.answer)
        for index, answer in zip(judged, plain, strict=True)
    ]
    evidence = Evidence(
        tuple(again),
        tuple(scores),
        learned.settings.evidence.margin,
        few_shot=tuple(few_shot) if learned.settings.hybrid.examples else (),
        kind="opinions, each without what was learned from it",
    )
    cost = sum((answer.usage for answer in plain), learned.answering)
    return replace(learned, answering=cost, evidence=evidence)


def _answering(why: Explanation) -> tuple[int, ...]:
    return why.answering or (why.chosen,)


async def _with_dispositions(
    learned: FermiPersonalization,
    prompts: RetrievalOfPrompt,
    judged: Mapping[int, Explanation],
    scores: Sequence[float],
) -> tuple[FermiPersonalization, list[float]]:
    """Ask the judged opinions for which dispositions are stated, and return the scores with the better form's answers.

    Args:
        learned: the personalization; its cost and `dispositions_help` are updated in the result.
        prompts: the respondent that excludes the opinion that it is asked.
        judged: choice of prompts and dispositions by the index of the opinion.
        scores: scores without dispositions, in the same order.
    """
    asked = [index for index, why in judged.items() if why.dispositions]
    answers = await prompts.answer([learned.opinions[index].question for index in asked])
    cost = sum((answer.usage for answer in answers), learned.answering)
    with_them = {
        index: alignment_score(learned.opinions[index].question, learned.opinions[index].answer, answer.response.answer)
        for index, answer in zip(asked, answers, strict=True)
    }
    without = dict(zip(judged, scores, strict=True))
    theirs = [i for i in asked if not all(learned.dispositions[k].own for k in judged[i].dispositions)]
    helps = math.fsum(with_them[i] - without[i] for i in theirs) >= 0
    if not helps:
        with_them = {index: score for index, score in with_them.items() if index not in theirs}
    return replace(learned, answering=cost, dispositions_help=helps), list((without | with_them).values())
