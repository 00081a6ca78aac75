"""Answering a question as a user, or with what was learned for a group, and explaining the answer.

fermi       Retrieval-of-Prompt chooses the prompt, and the model answers with it
chameleon   the model answers with and without the edit, to the form of the question used for the evidence
both        the edited model answers with Fermi's prompt, which is chosen by scores of the unedited model

Each method's own evidence decides which answer counts: whether the prompt is used, and whether the edit is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

from idiolect.application.arguments import check_type
from idiolect.application.chameleon import read_edit, stale_note, under_edit
from idiolect.application.fermi import FermiLearner, open_fermi, similarity_remedy
from idiolect.application.names import CHAMELEON, FERMI, AskedMethod
from idiolect.application.owner import Owner
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import NotFittedError, SettingsError
from idiolect.methods.answering import Answerer, Response
from idiolect.methods.baselines import FixedPrompt, base
from idiolect.methods.fermi.gate import answering_with, with_scores_of
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.personalization import Explanation, Respondent
from idiolect.methods.unread import Readings
from idiolect.people.user import Question
from idiolect.store import PersonalizationRecord, Store

if TYPE_CHECKING:
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

AnsweredBy = Literal["base", "prompt", "edited", "prompt and edit"]

NOT_JUDGED_TOGETHER = "Each was judged alone: there is no evidence on prompt and edit together."


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers to one question, and which of them counts.

    Args:
        owner: user or group that the question is asked about.
        question: the question.
        answers: responses by their source; "base" only if the base model was asked.
        counts: source of the answer that counts, which the evidence decides.
        prompts: Fermi's result, with the scores computed for this answer; None if only an edit was used.
        explanation: choice of the prompt; None if no prompt was chosen.
        edit: CHAMELEON's result; None if only prompts were used.
        stale: one sentence if the data has changed since the edit was learned, otherwise "".
        learned_by: methods that have learned for the owner.
    """

    owner: Owner
    question: Question
    answers: Mapping[AnsweredBy, Response]
    counts: AnsweredBy
    prompts: FermiPersonalization | None = None
    explanation: Explanation | None = None
    edit: ChameleonPersonalization | None = None
    stale: str = ""
    learned_by: tuple[str, ...] = ()

    @property
    def response(self) -> Response:
        """Response that counts."""
        return self.answers[self.counts]

    @property
    def text(self) -> str:
        """Answer that counts: one of the choices, or free text; the model's output if no choice could be read."""
        response = self.response
        return response.text if response.answer is None else response.answer

    @property
    def readings(self) -> Readings:
        """How many of the answers named a choice; without choices, none are counted."""
        return Readings.of((self.question, response) for response in self.answers.values())

    @property
    def personalized(self) -> bool:
        """Whether the answer comes from a prompt or an edit, not from the base model."""
        return self.counts != "base"

    @property
    def few_shot(self) -> bool:
        """Whether only the first prompt answered, with the person's nearest answers: the evidence prefers few-shot."""
        evidence = None if self.prompts is None or self.explanation is None else self.prompts.evidence
        return evidence is not None and evidence.winner == "few-shot"

    @property
    def answering(self) -> tuple[int, ...]:
        """Indices of the prompts that answered together, the chosen one first; empty if no prompt answered.

        Texts cannot be combined, so the chosen prompt alone answers a question without choices.
        """
        if self.explanation is None:
            return ()
        together = self.explanation.answering if self.question.choices else ()
        return together or (self.explanation.chosen,)

    @property
    def own_answers(self) -> int:
        """Number of the person's own answers to questions with the same choices that counted beside the prompts'."""
        learned = self.prompts
        if learned is None or self.explanation is None or self.few_shot or not learned.settings.ensemble.own_answers:
            return 0
        choices = self.question.choices
        return sum(bool(choices) and opinion.question.choices == choices for opinion in learned.opinions)

    @property
    def why(self) -> str:
        """Reason why this answer counts, in a sentence or two."""
        if self.edit is not None and self.prompts is not None:
            fermi = self.prompts.gate or "not judged, according to its settings"
            gates = f"Fermi: {fermi}. CHAMELEON: {self.edit.gate}"
            return f"{self.counts} answers. {gates}\n{NOT_JUDGED_TOGETHER}"
        if self.edit is not None:
            return self.edit.gate
        assert self.prompts is not None, "either prompts or an edit answer"
        if self.explanation is None:
            return self.prompts.gate
        if self.few_shot:
            return f"{self.prompts.gate}, with the person's nearest answers as examples"
        return chosen_prompt_reason(self.prompts, self.explanation, together=len(self.answering))


async def ask(
    workspace: AsyncWorkspace,
    owner: Owner,
    question: Question,
    *,
    method: AskedMethod | None = None,
    with_base: bool = False,
) -> Asked:
    """Answer the question, and store any new scores of prompts.

    Args:
        workspace: store and models. The models used are those of the fit.
        owner: a user, or a group, whose edit can answer for anybody.
        question: the question.
        method: method that answers; None: the one that has learned, or Fermi if both have.
        with_base: also ask the base model, which is always asked if an edit is used.

    Raises:
        ValueError: there is no such method, or it does not learn for groups.
        TypeError: `owner` or `question` has the wrong type.
        NotFittedError: the method has learned nothing for the owner.
        GroupNeedsRefitError: the group's edit was deleted because a member was forgotten or removed.
        OtherWeightsError: the model's weights differ from those that the edit was learned on.
        PersonalizationError: the stored result is damaged.
        ModelError, SettingsError, MissingExtraError: a model cannot be opened or cannot answer; or prompts and edit
            were learned with different models.
        HaltedError: the workspace is halted.
        StoreError, CacheError: there is no such user or group, or the store or the cache cannot be read or written.
    """
    check_type("owner", owner, Owner)
    check_type("question", question, Question)
    with workspace.working_on(owner):
        asked = await _ask(workspace, owner, question, method=method, with_base=with_base)
    if workspace.opened_run is not None:  # an edit alone makes no calls
        workspace.opened_run.come_to_an_end()
    return asked


async def _ask(
    workspace: AsyncWorkspace, owner: Owner, question: Question, *, method: AskedMethod | None, with_base: bool
) -> Asked:
    store = workspace.store
    if method not in (None, *get_args(AskedMethod)):
        raise ValueError(f"method is {method!r}, must be one of {', '.join(get_args(AskedMethod))}")
    if owner.kind == "group":
        if method not in (None, CHAMELEON):
            raise ValueError(f"method is {method!r}, but only CHAMELEON learns for groups")
        return await _ask_edited(workspace, owner, store.groups.personalization(owner.id, CHAMELEON), question)
    learned = {record.method: record for record in store.personalizations(owner.id)}
    chosen = method or (CHAMELEON if CHAMELEON in learned and FERMI not in learned else FERMI)
    needed = (FERMI, CHAMELEON) if chosen == "both" else (chosen,)
    for each in needed:
        if each not in learned:
            raise NotFittedError(each, owner.id)
    if chosen == "both":
        asked = await _ask_both(workspace, owner, learned[FERMI], learned[CHAMELEON], question)
    elif chosen == CHAMELEON:
        asked = await _ask_edited(workspace, owner, learned[CHAMELEON], question)
    else:
        asked = await _ask_prompted(workspace, owner, learned[FERMI], question, with_base=with_base)
    return replace(asked, learned_by=tuple(learned))


async def _ask_prompted(
    workspace: AsyncWorkspace, owner: Owner, record: PersonalizationRecord, question: Question, *, with_base: bool
) -> Asked:
    learned = FermiPersonalization.from_json(record.payload)
    learner = await opened_learner(workspace, learned)
    respondent = learner.respondent(learned)
    (answer,) = await respondent.answer([question])
    counts: AnsweredBy = "base" if answer.explanation is None else "prompt"
    answers: dict[AnsweredBy, Response] = {counts: answer.response}
    if with_base and counts != "base":
        answers["base"] = await _response(base(learner.answerer(owner.id)), question)
    after = respondent.personalization if isinstance(respondent, RetrievalOfPrompt) else learned
    keep_scores(workspace.store, record, learned, with_scores_of(learned, after))
    return Asked(owner, question, answers, counts, after, answer.explanation)


async def _ask_edited(
    workspace: AsyncWorkspace, owner: Owner, record: PersonalizationRecord, question: Question
) -> Asked:
    learned = read_edit(record)
    stale = stale_note(workspace.store, record, owner)
    opened = await workspace.models.model(learned.model)
    models = {"base": opened.model, "edited": under_edit(opened, learned, owner)}
    answers: dict[AnsweredBy, Response] = {
        # There is no prompt because the evidence was gathered without one.
        "base": await _response(FixedPrompt(Answerer(models["base"], learned.settings.answering)), question),
        "edited": await _response(FixedPrompt(Answerer(models["edited"], learned.settings.answering)), question),
    }
    return Asked(owner, question, answers, "edited" if learned.used else "base", edit=learned, stale=stale)


async def _ask_both(
    workspace: AsyncWorkspace,
    owner: Owner,
    fermi: PersonalizationRecord,
    chameleon: PersonalizationRecord,
    question: Question,
) -> Asked:
    prompts, edit = FermiPersonalization.from_json(fermi.payload), read_edit(chameleon)
    if prompts.model != edit.model:
        raise SettingsError(
            f"the prompts were learned with {prompts.model!r} and the edit with {edit.model!r}: to use both, fit one "
            "of them again with the other's model"
        )
    stale = stale_note(workspace.store, chameleon, owner)
    learner = await opened_learner(workspace, prompts)
    edited = under_edit(learner.model, edit, owner)
    plain, under_prompt = learner.answerer(owner.id), Answerer(edited, learner.settings.answering)
    # The unedited model chooses the prompt, so that no score is missing when the edited model answers with it.
    similarity = learner.similarity.called(learner.calls, owner.id)
    retrieval = RetrievalOfPrompt(replace(answering_with(prompts), evidence=None), plain, similarity)
    (prompted,) = await retrieval.answer([question])
    scored = retrieval.personalization
    answers: dict[AnsweredBy, Response] = {
        "base": await _response(base(plain), question),
        "prompt": prompted.response,
        "prompt and edit": await _response(RetrievalOfPrompt(scored, under_prompt, similarity), question),
        "edited": await _response(FixedPrompt(Answerer(edited, edit.settings.answering)), question),
    }
    after = replace(scored, evidence=prompts.evidence)
    keep_scores(workspace.store, fermi, prompts, with_scores_of(prompts, after))
    counts = _what_counts(prompts_used=prompts.used, edit_used=edit.used)
    return Asked(owner, question, answers, counts, after, prompted.explanation, edit, stale)


def _what_counts(*, prompts_used: bool, edit_used: bool) -> AnsweredBy:
    if prompts_used:
        return "prompt and edit" if edit_used else "prompt"
    return "edited" if edit_used else "base"


async def opened_learner(workspace: AsyncWorkspace, learned: FermiPersonalization) -> FermiLearner:
    """Open the models of the fit, and return a learner with the workspace's calls."""
    learner = await open_fermi(workspace.models, learned.settings, model=learned.model)
    await workspace.models.check(learner.similarity, remedy=similarity_remedy(learned.settings))
    return replace(learner, calls=workspace.run.calls)


async def _response(respondent: Respondent, question: Question) -> Response:
    (answer,) = await respondent.answer([question])
    return answer.response


def keep_scores(
    store: Store, record: PersonalizationRecord, before: FermiPersonalization, after: FermiPersonalization
) -> None:
    """Store the new scores of prompts, unless the user was fitted again meanwhile."""
    if after != before:
        payload = after.to_json()
        store.compare_and_save_personalization(after.user_id, FERMI, payload, expected_digest=record.digest)


def chosen_prompt_reason(learned: FermiPersonalization, explanation: Explanation, *, together: int) -> str:
    """Return the reason why a prompt was chosen, with the number of prompts that answer together, without a stop."""
    score, n = explanation.candidates[explanation.chosen].score, len(learned.prompts)
    nearest = f"the {len(explanation.nearest)} nearest opinions" if explanation.nearest else "all opinions"
    if learned.settings.retrieval.shrinkage:
        others = " and all others" if explanation.nearest else ""
        scored = f"has the estimated score {score:.2f}, from {nearest}{others}"
    else:
        scored = f"scores {score:.2f} on {nearest}"
    if together == 1:
        return f"prompt {explanation.chosen + 1} of {n} {scored}"
    return f"{together} of {n} prompts answer together; the best of them, prompt {explanation.chosen + 1}, {scored}"
