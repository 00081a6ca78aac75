"""`idiolect ask` by Fermi's prompts: the models they were learned with, the answer, and why it is this one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from idiolect.cli.asking import AskOrder
from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.fermi_learner import METHOD
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.opening import closing
from idiolect.cli.prompt_report import origin, print_prompt, prompt_json
from idiolect.cli.run_calls import run_calls
from idiolect.cli.terminal import one_line, out, print_json, print_table, print_wrapped
from idiolect.methods.answering import Response
from idiolect.methods.baselines import base
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.personalization import Answer, Candidate, Explanation
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord, Store

_COLUMNS = ("PROMPT", "ORIGIN", "ON THE NEAREST", "ON ALL", "")


@dataclass(frozen=True, slots=True)
class Asked:
    """The result: the answer with its reasons, the base model's beside it, and what was learned, scores added."""

    question: Question
    answer: Answer
    without: Answer | None
    learned: FermiPersonalization

    @property
    def why(self) -> Explanation | None:
        """What Retrieval-of-Prompt says; None where the base model answers, because the evidence speaks for it."""
        return self.answer.explanation


def ask_prompted(order: AskOrder, store: Store, record: PersonalizationRecord) -> None:
    """Answer by Fermi's prompts, keep what was scored for it, and print answer and reasons.

    Raises:
        ModelError, SettingsError, MissingExtraError: the model that was learned with cannot be opened or answer.
        StoreError: the store cannot be written.
    """
    learned = FermiPersonalization.from_json(record.payload)
    with opened(learned.settings, model=learned.model, order=CallOrder()) as bench:
        asked = asyncio.run(_asked(bench, store, learned, order.question, with_base=order.with_base))
    keep_scores(store, record, learned, asked.learned)
    if order.json:
        print_json(_json(order.user or "", asked), indent=2)
    else:
        _print(asked)


def keep_scores(
    store: Store, record: PersonalizationRecord, before: FermiPersonalization, after: FermiPersonalization
) -> None:
    """Keep what was scored to choose a prompt, unless the user was learned anew meanwhile.

    Raises:
        StoreError: the store cannot be written.
    """
    if after != before:
        payload = after.to_json()
        store.compare_and_save_personalization(after.user_id, METHOD, payload, expected_digest=record.digest)


async def _asked(
    bench: Workbench, store: Store, learned: FermiPersonalization, question: Question, *, with_base: bool
) -> Asked:
    async with closing(bench):
        with run_calls(CallOrder(), store.cache_path) as run:
            return await _ask(bench.calling(run.calls), learned, question, with_base=with_base)


async def _ask(bench: Workbench, learned: FermiPersonalization, question: Question, *, with_base: bool) -> Asked:
    await bench.check_similarity()
    respondent = bench.respondent(learned)
    (answer,) = await respondent.answer([question])
    without = (await base(bench.answerer(learned.user_id)).answer([question]))[0] if with_base else None
    after = respondent.personalization if isinstance(respondent, RetrievalOfPrompt) else learned
    return Asked(question, answer, without, after)


def _json(user_id: str, asked: Asked) -> dict[str, Any]:
    why, opinions, evidence = asked.why, asked.learned.opinions, asked.learned.evidence
    return {
        "user": user_id,
        "model": asked.learned.model,
        "question": asked.question.text,
        "choices": list(asked.question.choices),
        "ordinal": asked.question.ordinal,
        **response_json(asked.answer.response),
        "base": None if asked.without is None else response_json(asked.without.response),
        "personalized": why is not None,
        "evidence": None if evidence is None else evidence.reason,
        "nearest": [
            {
                "question": opinions[near.index].question.text,
                "choices": list(opinions[near.index].question.choices),
                "answer": opinions[near.index].answer,
                "similarity": near.similarity,
            }
            for near in (why.nearest if why else ())
        ],
        "prompts": [
            prompt_json(asked.learned.prompts[candidate.prompt], asked.learned)
            | {
                "nearest_score": candidate.score,
                "score": candidate.overall,
                "tied": why is not None and _tied(candidate, why),
                "chosen": why is not None and candidate.prompt == why.chosen,
            }
            for candidate in (why.candidates if why else ())
        ],
    }


def response_json(response: Response) -> dict[str, Any]:
    """What was answered."""
    return {"answer": response.answer, "text": response.text, "scores": list(response.scores)}


def _tied(candidate: Candidate, why: Explanation) -> bool:
    return why.tied > 1 and candidate.score == max(each.score for each in why.candidates)


def _print(asked: Asked) -> None:
    if asked.without is None:
        print_wrapped(said(asked.answer.response), style="bold")
    else:
        print_wrapped(f"personalized  {said(asked.answer.response)}", style="bold")
        print_wrapped(f"base          {said(asked.without.response)}")
    if asked.why is None:
        out().print(f"\nWhy: {asked.learned.gate}", markup=False)
        return
    _print_why(asked, asked.why)


def _print_why(asked: Asked, why: Explanation) -> None:
    opinions = asked.learned.opinions
    out().print(f"\nWhy: the {len(why.nearest)} nearest opinions (similarity, question, what the person said)")
    for near in why.nearest:
        opinion = opinions[near.index]
        print_wrapped(
            f"{near.similarity:5.2f}  {one_line(opinion.question.text)} → {one_line(opinion.answer)}", indent=2
        )
    out().print("\nEvery prompt's score on them, and on all opinions where that is known")
    print_table(_COLUMNS, (_row(each, asked, why) for each in why.candidates), numbers=_COLUMNS[2:4])
    chosen = asked.learned.prompts[why.chosen]
    out().print(f"\nThe chosen prompt, {why.chosen + 1}: {origin(chosen)}")
    print_prompt(chosen, asked.learned)


def said(response: Response) -> str:
    """The answer, or that there is none."""
    if response.answer is None:
        return f"(none of the choices could be read from: {one_line(response.text) or 'an empty answer'})"
    return response.answer


def _row(candidate: Candidate, asked: Asked, why: Explanation) -> tuple[str, ...]:
    chosen = candidate.prompt == why.chosen
    marks = [mark for mark, holds in (("tied", _tied(candidate, why)), ("chosen", chosen)) if holds]
    prompt = asked.learned.prompts[candidate.prompt]
    overall = "-" if candidate.overall is None else f"{candidate.overall:.2f}"
    return str(candidate.prompt + 1), prompt.prompt.origin, f"{candidate.score:.2f}", overall, ", ".join(marks)
