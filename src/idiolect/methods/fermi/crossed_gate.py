"""Do no harm, without holding out: the gate on crossed scores (ours).

    for each scoring opinion i: choose the prompts without i, combine their kept responses to i → s_i

A question for which dispositions are stated is asked again with them, as it would be if its opinion were not known; if
the answers are worse than without, the optimizer's dispositions are not stated at all. With crossing, no prompt that may answer opinion i was written by an optimizer that saw it, so these scores are unseen
ones, like those of held-out opinions. All opinions judge, and all of them are learned from. Only the base model is
asked, once an opinion. Several orders of the examples are not evaluated here, which costs no call.
"""

from __future__ import annotations

from dataclasses import replace

from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import base
from idiolect.methods.evidence import Evidence
from idiolect.methods.fermi.combining import combined
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import same_question
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
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
    learned = prompts.personalization
    personalized: list[float] = []
    few_shot: list[float] = []
    judged: list[int] = []
    for index, (opinion, why) in enumerate(zip(learned.opinions, chosen, strict=True)):
        cells = [learned.prompts[k].judged(index) for k in why.answering or (why.chosen,)]
        responses = [cell.response for cell in cells if cell is not None]
        initial = learned.initial.judged(index)
        if not responses or initial is None:
            continue
        others = [each for each in learned.opinions if not same_question(each.question, opinion.question)]
        response = combined(opinion.question, responses, others, learned.settings.ensemble).response
        personalized.append(alignment_score(opinion.question, opinion.answer, response.answer))
        few_shot.append(initial.score)
        judged.append(index)
    if not judged:
        return learned
    plain = await base(answerer).answer([questions[index] for index in judged])
    scores = [
        alignment_score(learned.opinions[index].question, learned.opinions[index].answer, answer.response.answer)
        for index, answer in zip(judged, plain, strict=True)
    ]
    evidence = Evidence(
        tuple(personalized),
        tuple(scores),
        learned.settings.evidence.margin,
        few_shot=tuple(few_shot) if learned.settings.hybrid.examples else (),
        kind="opinions, each without what was learned from it",
    )
    cost = sum((answer.usage for answer in plain), learned.answering)
    return replace(learned, answering=cost, evidence=evidence)
