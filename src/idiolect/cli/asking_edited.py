"""`idiolect ask` by CHAMELEON's edit, alone or under Fermi's prompt: base and edited side by side, and why.

chameleon   the question as it was put when the evidence was gathered, to the model with and without the edit
both        Fermi's prompt (chosen by scores of the unedited model), answered by the edited model

What answers is what its own evidence allows: the prompt if Fermi's does, the edit if CHAMELEON's does.
"""

from __future__ import annotations

import asyncio
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

_BASE, _EDIT, _PROMPT, _BOTH = "base", "edited", "prompt", "prompt and edit"


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Answers to one question by name, and the one that counts; `prompted`: what Fermi had learned, scores added."""

    answers: Mapping[str, Response]
    counts: str
    learned: ChameleonPersonalization
    prompted: FermiPersonalization | None = None

    @property
    def answer(self) -> Response:
        """The one that counts."""
        return self.answers[self.counts]


def ask_edited(order: AskOrder, record: PersonalizationRecord) -> None:
    """Answer by the edit, and print it beside the base model's answer.

    Raises:
        PersonalizationError: what is stored is damaged.
        ModelError, SettingsError, MissingExtraError: the model cannot be opened, is another one now, or cannot answer.
    """
    learned = _learned(record)
    with opened_sources((learned.model,), CallOrder()) as sources:
        source = sources[learned.model]
        edited = _edited(source, learned, order)
        asked = asyncio.run(_with_edit(source.model, edited, learned, order.question))
    _print(asked, order)


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
    with opened(prompted.settings, model=prompted.model, order=CallOrder()) as bench:
        edited = _edited(bench.model, learned, order)
        asked = asyncio.run(_with_both(bench, store, edited, learned, prompted, order.question))
    assert asked.prompted is not None
    keep_scores(store, fermi, prompted, asked.prompted)
    _print(asked, order)


def _learned(record: PersonalizationRecord) -> ChameleonPersonalization:
    with_extra()
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

    return ChameleonPersonalization.from_parts(record.payload, record.tensors)


def _edited(source: Source, learned: ChameleonPersonalization, order: AskOrder) -> LanguageModel:
    """The model under the edit, if it is the model that the edit was learned on."""
    now = fingerprint_of(source)
    if learned.fingerprint and learned.fingerprint != now:
        again = f"idiolect groups fit {order.group}" if order.user is None else _fit_again(order, learned)
        raise ModelError(
            f"the weights of {learned.model!r} are not those that the edit was learned on (then "
            f"{learned.fingerprint[:12]}, now {now[:12]}), so its directions mean nothing; learn it again: {again}"
        )
    return editable_model(source).with_edit(learned.edit)


def _fit_again(order: AskOrder, learned: ChameleonPersonalization) -> str:
    where = f" --store {order.store}" if order.store else ""
    return f"idiolect fit USERS --method chameleon --model {learned.model} --user {order.user}{where}"


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
    """The prompt is chosen once, by the unedited model; for the edited one no score is missing then."""
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
            edit = await base(under_edit).answer([question])
    answers = {_BASE: neither, _PROMPT: prompt, _EDIT: edit, _BOTH: both}
    responses = {name: answer.response for name, (answer,) in answers.items()}
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
    print_edit(asked.learned, indent=2)


def _why(asked: SideBySide) -> str:
    if asked.prompted is None:
        return asked.learned.gate
    return f"{asked.counts} answers. Fermi: {asked.prompted.gate}. CHAMELEON: {asked.learned.gate}"


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
        "chameleon": edit_json(asked.learned),
    }
