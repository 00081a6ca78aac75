"""`idiolect ask` by CHAMELEON's edit, alone or under Fermi's prompt: base and edited side by side, and why.

chameleon   the question as it was put when the evidence was gathered, to the model with and without the edit
both        Fermi's prompt (chosen by scores of the unedited model), answered by the edited model

What answers is what its own evidence allows: the prompt if Fermi's does, the edit if CHAMELEON's does.
"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from idiolect.cli.asking import AskOrder
from idiolect.cli.asking_prompted import keep_scores, response_json, said
from idiolect.cli.assembly import Workbench, opened
from idiolect.cli.chameleon_learner import editable_model, fingerprint_of
from idiolect.cli.chameleon_order import with_extra
from idiolect.cli.edit_report import edit_json, print_edit
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.opening import closing, opened_sources
from idiolect.cli.run_calls import run_calls
from idiolect.cli.stale_edits import stale_note
from idiolect.cli.terminal import out, print_json, print_wrapped
from idiolect.errors import ModelError, SettingsError
from idiolect.methods.answering import Answerer, AnsweringSettings, Response
from idiolect.methods.baselines import FixedPrompt, base
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.models.calls.model import Source
from idiolect.models.language_model import LanguageModel
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord, Store

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

_NOT_JUDGED = "Each was judged alone: no evidence has judged prompt and edit together."
_BASE, _EDIT, _PROMPT, _BOTH = "base", "edited", "prompt", "prompt and edit"


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Answers to one question by name, and the one that counts.

    Args:
        answers, counts: all of them, and the name of the one.
        learned: the edit.
        prompted: what Fermi had learned, scores added.
        stale: one sentence where the data has changed since the edit was learned.
    """

    answers: Mapping[str, Response]
    counts: str
    learned: ChameleonPersonalization
    prompted: FermiPersonalization | None = None
    stale: str = ""

    @property
    def answer(self) -> Response:
        """The one that counts."""
        return self.answers[self.counts]


def ask_edited(order: AskOrder, store: Store, record: PersonalizationRecord) -> None:
    """Answer by the edit, and print it beside the base model's answer.

    Raises:
        PersonalizationError: what is stored is damaged.
        ModelError, SettingsError, MissingExtraError: the model cannot be opened, is another one now, or cannot answer.
        StoreError: the store cannot be read.
    """
    learned = _learned(record)
    stale = stale_note(store, record, user=order.user, group=order.group)
    with opened_sources((learned.model,), CallOrder()) as sources:
        source = sources[learned.model]
        edited = _edited(source, learned, order)
        asked = asyncio.run(_with_edit(source.model, edited, learned, order.question))
    _print(replace(asked, stale=stale), order)


def ask_both(order: AskOrder, store: Store, fermi: PersonalizationRecord, chameleon: PersonalizationRecord) -> None:
    """Answer by Fermi's prompt and CHAMELEON's edit together, and print it beside either alone and neither.

    Raises:
        PersonalizationError, ModelError, SettingsError, MissingExtraError: as `ask_edited`; or the two were learned
            with different models.
        StoreError: the store cannot be written.
    """
    prompted, learned = FermiPersonalization.from_json(fermi.payload), _learned(chameleon)
    if prompted.model != learned.model:
        raise SettingsError(
            f"the prompts were learned with {prompted.model!r} and the edit with {learned.model!r}: both together need "
            "one model; learn one of them again"
        )
    stale = stale_note(store, chameleon, user=order.user, group=order.group)
    with opened(prompted.settings, model=prompted.model, order=CallOrder()) as bench:
        edited = _edited(bench.model, learned, order)
        asked = asyncio.run(_with_both(bench, store, edited, learned, prompted, order.question))
    assert asked.prompted is not None
    keep_scores(store, fermi, prompted, asked.prompted)
    _print(replace(asked, stale=stale), order)


def _learned(record: PersonalizationRecord) -> ChameleonPersonalization:
    with_extra()
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

    return ChameleonPersonalization.from_parts(record.payload, record.tensors)


def _edited(source: Source, learned: ChameleonPersonalization, order: AskOrder) -> LanguageModel:
    """The model under the edit, if it is the model that the edit was learned on."""
    now, again = fingerprint_of(source), _fit_again(order, learned)
    if not learned.fingerprint:
        raise ModelError(
            "it is not known on which weights the edit was learned, so its directions may mean nothing to "
            f"{learned.model!r}; learn it again: {again}"
        )
    if learned.fingerprint != now:
        raise ModelError(
            f"the weights of {learned.model!r} are not those that the edit was learned on (then "
            f"{learned.fingerprint[:12]}, now {now[:12]}), so its directions mean nothing; learn it again: {again}"
        )
    return editable_model(source).with_edit(learned.edit)


def _fit_again(order: AskOrder, learned: ChameleonPersonalization) -> str:
    options = f"--model {shlex.quote(learned.model)}"
    if order.store:
        options += f" --store {shlex.quote(order.store)}"
    if order.user is None:
        return f"idiolect groups fit {shlex.quote(order.group or '')} {options}"
    return f"idiolect fit USERS --method chameleon --user {shlex.quote(order.user)} {options}"


async def _with_edit(
    model: LanguageModel, edited: LanguageModel, learned: ChameleonPersonalization, question: Question
) -> SideBySide:
    settings = learned.settings.answering
    answers = {name: await _plain(each, settings, question) for name, each in ((_BASE, model), (_EDIT, edited))}
    return SideBySide(answers, _EDIT if learned.used else _BASE, learned)


async def _plain(model: LanguageModel, settings: AnsweringSettings, question: Question) -> Response:
    """The question without any prompt, as when the evidence was gathered."""
    (answer,) = await FixedPrompt(Answerer(model, settings)).answer([question])
    return answer.response


async def _with_both(
    bench: Workbench,
    store: Store,
    edited: LanguageModel,
    learned: ChameleonPersonalization,
    prompted: FermiPersonalization,
    question: Question,
) -> SideBySide:
    """The prompt is chosen once, by the unedited model; for the edited one no score is missing then.

    The edit alone answers as when its own evidence was gathered.
    """
    async with closing(bench):
        with run_calls(CallOrder(), store.cache_path) as run:
            called, under_edit = bench.calling(run.calls), Answerer(edited, bench.settings.answering)
            await called.check_similarity()
            similarity = called.similarity_of(learned.user_id)
            plain = RetrievalOfPrompt(replace(prompted, evidence=None), called.answerer(learned.user_id), similarity)
            prompt = await plain.answer([question])
            after = plain.personalization
            both = await RetrievalOfPrompt(after, under_edit, similarity).answer([question])
            neither = await base(called.answerer(learned.user_id)).answer([question])
            edit = await _plain(edited, learned.settings.answering, question)
    answers = {_BASE: neither, _PROMPT: prompt, _BOTH: both}
    responses = {name: answer.response for name, (answer,) in answers.items()} | {_EDIT: edit}
    names = {(False, False): _BASE, (True, False): _PROMPT, (False, True): _EDIT, (True, True): _BOTH}
    counts = names[prompted.used, learned.used]
    return SideBySide(responses, counts, learned, replace(after, evidence=prompted.evidence))


def _print(asked: SideBySide, order: AskOrder) -> None:
    if order.json:
        print_json(_json(asked, order), indent=2)
        return
    width = max(map(len, asked.answers))
    for name in (asked.counts, *(each for each in asked.answers if each != asked.counts)):
        style = "bold" if name == asked.counts else None
        print_wrapped(f"{name:{width}}  {said(asked.answers[name])}", style=style)
    out().print(f"\nWhy: {_why(asked)}", markup=False)
    if asked.stale:
        print_wrapped(f"Note: {asked.stale}")
    print_edit(asked.learned, indent=2)


def _why(asked: SideBySide) -> str:
    if asked.prompted is None:
        return asked.learned.gate
    return f"{asked.counts} answers. Fermi: {asked.prompted.gate}. CHAMELEON: {asked.learned.gate}\n{_NOT_JUDGED}"


def _json(asked: SideBySide, order: AskOrder) -> dict[str, Any]:
    question, prompted = order.question, asked.prompted
    fermi = None if prompted is None else {"used": prompted.used, "gate": prompted.gate}
    return {
        "user": order.user,
        "group": order.group,
        "model": asked.learned.model,
        "question": question.text,
        "choices": list(question.choices),
        "ordinal": question.ordinal,
        **response_json(asked.answer),
        "answered_by": asked.counts,
        "personalized": asked.counts != _BASE,
        "answers": {name.replace(" ", "_"): response_json(each) for name, each in asked.answers.items()},
        "fermi": fermi,
        "chameleon": {**edit_json(asked.learned), "stale": bool(asked.stale)},
    }
