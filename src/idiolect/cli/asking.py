"""The flow of `idiolect ask`: what was learned, the models it was learned with, the answer, and why it is this one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.fitting import METHOD
from idiolect.cli.prompt_report import origin, print_prompt, prompt_json
from idiolect.cli.terminal import one_line, out, print_json, print_table, print_wrapped
from idiolect.errors import NotFittedError
from idiolect.methods.answering import Response
from idiolect.methods.baselines import base
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.personalization import Answer, Candidate, Explanation
from idiolect.people.user import Question
from idiolect.store import Store

_COLUMNS = ("PROMPT", "ORIGIN", "ON THE NEAREST", "ON ALL", "")


@dataclass(frozen=True, slots=True)
class Asked:
    """The result: the answer with its reasons, the base model's beside it, and what was learned, scores added."""

    question: Question
    answer: Answer
    without: Answer | None
    learned: FermiPersonalization

    @property
    def why(self) -> Explanation:
        """Retrieval-of-Prompt always says why."""
        assert self.answer.explanation is not None
        return self.answer.explanation


def ask_user(user_id: str, question: Question, *, target: str | None, with_base: bool, json: bool) -> None:
    """Answer the question in the user's place, keep what was scored for it, and print answer and reasons.

    Raises:
        NotFittedError: nothing was learned for this user.
        ModelError, SettingsError, MissingExtraError: the model that was learned with cannot be opened or answer.
        StoreError: no such user, or the store cannot be read or written.
    """
    with Store.open(target, create=False) as store:
        learned = _learned(store, user_id, target)
        with opened(learned.settings, model=learned.model) as bench:
            asked = asyncio.run(_ask(bench, learned, question, with_base=with_base))
        _keep(store, learned, asked.learned)
    if json:
        print_json(_json(user_id, asked), indent=2)
    else:
        _print(asked)


def _learned(store: Store, user_id: str, target: str | None) -> FermiPersonalization:
    try:
        return FermiPersonalization.from_json(store.personalization(user_id, METHOD))
    except NotFittedError as error:
        where = f" --store {target}" if target else ""
        raise NotFittedError(
            f"nothing was learned for user {user_id!r} yet; this does it: idiolect fit USERS --user {user_id}{where}"
        ) from error


async def _ask(bench: Workbench, learned: FermiPersonalization, question: Question, *, with_base: bool) -> Asked:
    await bench.check_similarity()
    respondent = bench.respondent(learned)
    (answer,) = await respondent.answer([question])
    without = (await base(bench.answerer).answer([question]))[0] if with_base else None
    return Asked(question, answer, without, respondent.personalization)


def _keep(store: Store, before: FermiPersonalization, after: FermiPersonalization) -> None:
    """Save new scores, unless the user was learned anew meanwhile."""
    if after == before:
        return
    if FermiPersonalization.from_json(store.personalization(before.user_id, METHOD)) == before:
        store.save_personalization(after.user_id, METHOD, after.to_json())


def _json(user_id: str, asked: Asked) -> dict[str, Any]:
    why, opinions = asked.why, asked.learned.opinions
    return {
        "user": user_id,
        "model": asked.learned.model,
        "question": asked.question.text,
        "choices": list(asked.question.choices),
        "ordinal": asked.question.ordinal,
        **_response_json(asked.answer.response),
        "base": None if asked.without is None else _response_json(asked.without.response),
        "nearest": [
            {
                "question": opinions[near.index].question.text,
                "choices": list(opinions[near.index].question.choices),
                "answer": opinions[near.index].answer,
                "similarity": near.similarity,
            }
            for near in why.nearest
        ],
        "prompts": [
            prompt_json(asked.learned.prompts[candidate.prompt], asked.learned)
            | {
                "nearest_score": candidate.score,
                "score": candidate.overall,
                "tied": _tied(candidate, why),
                "chosen": candidate.prompt == why.chosen,
            }
            for candidate in why.candidates
        ],
    }


def _response_json(response: Response) -> dict[str, Any]:
    return {"answer": response.answer, "text": response.text, "scores": list(response.scores)}


def _tied(candidate: Candidate, why: Explanation) -> bool:
    return why.tied > 1 and candidate.score == max(each.score for each in why.candidates)


def _print(asked: Asked) -> None:
    if asked.without is None:
        print_wrapped(_said(asked.answer.response), style="bold")
    else:
        print_wrapped(f"personalized  {_said(asked.answer.response)}", style="bold")
        print_wrapped(f"base          {_said(asked.without.response)}")
    opinions = asked.learned.opinions
    out().print(f"\nWhy: the {len(asked.why.nearest)} nearest opinions (similarity, question, what the person said)")
    for near in asked.why.nearest:
        opinion = opinions[near.index]
        print_wrapped(
            f"{near.similarity:5.2f}  {one_line(opinion.question.text)} → {one_line(opinion.answer)}", indent=2
        )
    out().print("\nEvery prompt's score on them, and on all opinions where that is known")
    print_table(_COLUMNS, (_row(each, asked) for each in asked.why.candidates), numbers=_COLUMNS[2:4])
    chosen = asked.learned.prompts[asked.why.chosen]
    out().print(f"\nThe chosen prompt, {asked.why.chosen + 1}: {origin(chosen)}")
    print_prompt(chosen, asked.learned)


def _said(response: Response) -> str:
    if response.answer is None:
        return f"(none of the choices could be read from: {one_line(response.text) or 'an empty answer'})"
    return response.answer


def _row(candidate: Candidate, asked: Asked) -> tuple[str, ...]:
    chosen = candidate.prompt == asked.why.chosen
    marks = [mark for mark, holds in (("tied", _tied(candidate, asked.why)), ("chosen", chosen)) if holds]
    prompt = asked.learned.prompts[candidate.prompt]
    overall = "-" if candidate.overall is None else f"{candidate.overall:.2f}"
    return str(candidate.prompt + 1), prompt.prompt.origin, f"{candidate.score:.2f}", overall, ", ".join(marks)
