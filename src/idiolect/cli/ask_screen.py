"""Output of `idiolect ask`: the answers side by side, and the reasons for the chosen one."""

from __future__ import annotations

from idiolect.application.asking import AnsweredBy, Asked
from idiolect.application.documents import tied
from idiolect.cli.learned_screen import origin, print_edit, print_prompt
from idiolect.cli.terminal import one_line, out, print_table, print_wrapped
from idiolect.methods.answering import Response
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.personalization import Candidate, Explanation

_COLUMNS = ("PROMPT", "ORIGIN", "ON THE NEAREST", "ON ALL", "")
_ESTIMATED = ("PROMPT", "ORIGIN", "ESTIMATE", "SCORE", "")


def print_asked(asked: Asked, *, with_base: bool) -> None:
    """Print the answer, the other answers beside it, and the reasons.

    Args:
        asked: the answers.
        with_base: whether to show the base model's answer beside the answer of a prompt.
    """
    if asked.edit is not None:
        _print_side_by_side(asked)
        _print_cut_off(asked)
        out().print(f"\nWhy: {asked.why}", markup=False)
        if asked.stale:
            print_wrapped(f"Note: {asked.stale}")
        print_edit(asked.edit, indent=2)
        return
    if with_base:
        print_wrapped(f"personalized  {_answer(asked.response)}", style="bold")
        print_wrapped(f"base          {_answer(asked.answers['base'])}")
    else:
        print_wrapped(_answer(asked.response), style="bold")
    _print_cut_off(asked)
    if asked.explanation is None or asked.prompts is None:
        out().print(f"\nWhy: {asked.why}", markup=False)
    else:
        _print_chosen_prompt(asked, asked.prompts, asked.explanation)


def _print_cut_off(asked: Asked) -> None:
    """Print that an answer in free text is not complete: the settings of the fit limit its length."""
    if not asked.question.choices and any(each.cut_off for each in asked.answers.values()):
        print_wrapped("(cut off at the maximum number of tokens; fit again with --max-tokens N for longer answers)")


def _print_side_by_side(asked: Asked) -> None:
    width = max(map(len, asked.answers))
    names: list[AnsweredBy] = [asked.counts, *(name for name in asked.answers if name != asked.counts)]
    for name in names:
        style = "bold" if name == asked.counts else None
        print_wrapped(f"{name:{width}}  {_answer(asked.answers[name])}", style=style)


def _print_chosen_prompt(asked: Asked, learned: FermiPersonalization, why: Explanation) -> None:
    nearest = f"{len(why.nearest)} nearest opinions (similarity, question, the person's answer)"
    out().print()
    if asked.few_shot:
        print_wrapped(f"Why: {asked.why}")
    out().print(f"\nThe {nearest}" if asked.few_shot else f"Why: the {nearest}")
    for near in why.nearest:
        opinion = learned.opinions[near.index]
        question_and_answer = f"{one_line(opinion.question.text)} → {one_line(opinion.answer)}"
        print_wrapped(f"{near.similarity:5.2f}  {question_and_answer}", indent=2)
    if asked.own_answers:
        out().print()
        n = asked.own_answers
        answers = "1 answer of the person's own" if n == 1 else f"{n} answers of the person's own"
        by_nearness = learned.settings.ensemble.own_nearness is not None
        print_wrapped(
            f"{answers} to the same choices counted, too{', near ones more than others' if by_nearness else ''}."
        )
    if not asked.few_shot:
        _print_candidates(asked, learned, why)
    chosen = learned.prompts[why.chosen]
    out().print(f"\n{_heading(asked, why)}: {origin(chosen)}")
    print_prompt(chosen, learned)
    if why.dispositions:
        out().print(f"\nStated of this person behind {'it' if len(asked.answering) == 1 else 'each of them'}")
        for place in why.dispositions:
            print_wrapped(f"- {one_line(learned.dispositions[place].stated)}", indent=2)


def _print_candidates(asked: Asked, learned: FermiPersonalization, why: Explanation) -> None:
    estimated = learned.settings.retrieval.shrinkage > 0
    columns = _ESTIMATED if estimated else _COLUMNS
    if estimated:
        meaning = "Each prompt's estimated score on this question, and its score on the opinions that it is scored on"
    else:
        meaning = "Each prompt's score on them, and on all opinions if known"
    out().print()
    print_wrapped(meaning)
    print_table(columns, (_row(each, asked, learned, why) for each in why.candidates), numbers=columns[2:4])


def _heading(asked: Asked, why: Explanation) -> str:
    """Return the heading above the chosen prompt."""
    if asked.few_shot:
        return "The prompt before the examples"
    together = len(asked.answering)
    if together == 1:
        return f"Chosen prompt {why.chosen + 1}"
    return f"{together} prompts answer together; the best of them, prompt {why.chosen + 1}"


def _row(candidate: Candidate, asked: Asked, learned: FermiPersonalization, why: Explanation) -> tuple[str, ...]:
    chosen = candidate.prompt == why.chosen
    marks = {
        "tied": tied(candidate, why),
        "chosen": chosen,
        "answers too": candidate.prompt in asked.answering and not chosen,
    }
    prompt = learned.prompts[candidate.prompt]
    overall = "-" if candidate.overall is None else f"{candidate.overall:.2f}"
    shown = ", ".join(mark for mark, holds in marks.items() if holds)
    return str(candidate.prompt + 1), prompt.prompt.origin, f"{candidate.score:.2f}", overall, shown


def _answer(response: Response) -> str:
    """Return the answer, or a remark that no choice could be read."""
    if response.answer is None:
        return f"(none of the choices could be read from: {one_line(response.text) or 'an empty answer'})"
    return response.answer
