"""Fermi, its ablations, and OPRO.

    fermi                 the configured settings
    opro                  the LLM sees only prompts and scores, and the best prompt answers every question
    fermi-llm, fermi-demonstrations     a single proposer
    fermi-no-failures     no mis-aligned context, neither in the meta-prompt nor in the choice of demonstrations
    fermi-symmetric       no asymmetry: every listed prompt shows all its failures
    fermi-no-retrieval    the best prompt answers every question, instead of Retrieval-of-Prompt
    fermi-no-crossing     the optimizer sees every opinion that scores its prompts; a share is held out for the gate
    fermi-no-examples     no nearest opinions behind the prompts
    fermi-one-prompt      one prompt answers, alone
    fermi-no-own-answers  without the person's own distribution of answers
    fermi-no-calibration  without calibrating and blunting the prompts' distributions
    fermi-no-median       the likeliest choice on a scale
    fermi-no-kinds        all draws of an iteration write about the same
    fermi-no-dispositions no dispositions behind the prompts

The last eight are for settings that have what they take away.

`TransferredPrompts` has another model answer with learned prompts, which shows whether they work across models.
Ablations of the meta-prompt need a proposer that reads it; with only the demonstration proposer they are an error,
because they would measure nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

from idiolect.errors import PersonalizationError, Remedy, SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Examinee, Learned, Preparation
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import base
from idiolect.methods.fermi.extension_settings import EnsembleSettings, HybridSettings
from idiolect.methods.fermi.gate import answering_with
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Respondent
from idiolect.methods.setting_changes import changed_by_text
from idiolect.models.language_model import CompletionModel

Change = Callable[[FermiSettings], FermiSettings]

_HELD_OUT = 0.2


@dataclass(frozen=True, slots=True)
class FermiMethod:
    """Fermi with changed settings.

    Args:
        change: returns the changed settings.
        overrides: settings that the user wrote in brackets.
        reads_failures: whether the method changes the meta-prompt, and so needs the LLM proposer.
        takes: what the ablation takes away, in the plural, so that it needs settings that have it; "": nothing.
        answer_limit: limit on the prompts that answer, in tokens, which leaves learning as it is; None: the settings'
            own (`hybrid.max_prompt_tokens`), which holds in learning, too.
    """

    change: Change
    overrides: Overrides = ()
    reads_failures: bool = False
    takes: str = ""
    answer_limit: int | None = None

    def settings(self, bench: Bench, seed: int) -> FermiSettings:
        """Return the settings to learn with.

        Raises:
            SettingsError: a combination of settings is invalid, or the ablation would change nothing.
        """
        settings = replace(self.change(bench.fermi), seed=seed, preset=bench.fermi.preset)
        settings = changed_by_text(settings, self.overrides)
        if self.takes and (self.change(bench.fermi) == bench.fermi or self.change(settings) != settings):
            raise SettingsError(
                f"this ablation takes {self.takes} away, so the settings have to have some, and its brackets none: "
                "take it out of the methods, or name a preset that has some",
                remedy=Remedy("preset"),
            )
        if self.change(settings) != settings:
            raise SettingsError("the brackets undo what makes this method another than fermi: take them out")
        if self.reads_failures and "llm" not in settings.proposers:
            raise SettingsError(
                "this ablation changes what the optimizer reads, but the settings have no LLM proposer; put "
                "proposers=llm into brackets, or name an optimizer",
                remedy=Remedy("optimizer"),
            )
        _check_shared(settings, bench)
        return settings

    def check_limit(self, bench: Bench) -> None:
        """Check that a limit on the prompts that answer has examples to leave out.

        Raises:
            SettingsError: no prompt shows any, so the limit would change no answer.
        """
        settings = self.settings(bench, 0)
        shows_examples = settings.hybrid.examples or "demonstrations" in settings.proposers
        if self.answer_limit is not None and not shows_examples:
            raise SettingsError(
                "with these settings no prompt shows examples, so a curve over prompt tokens would be flat: name the "
                "methods that have curves",
                remedy=Remedy("curve_methods"),
            )

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Run Algorithm 1; if a limit on calls ends it early, its result so far counts."""
        settings = self.settings(desk.bench, desk.seed)
        if not case.user.opinions:
            raise PersonalizationError("Fermi learns from answered questions, but there are none")
        optimizer = desk.optimizer if isinstance(desk.optimizer, CompletionModel) else None
        fermi = Fermi(desk.answerer, settings, optimizer=optimizer, similarity=desk.bench.similarity)
        learned = await fermi.fit(case.user)
        gated = settings.evidence.share or settings.evidence.by == "crossed"
        used = learned.used if gated else None
        return Learned(learned, used=used, notes=fermi_notes(learned))

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return Retrieval-of-Prompt, or the base model if the gate rejects the prompts."""
        respondent = answering(learned.value, desk.answerer, desk, used=learned.used, limit=self.answer_limit)
        return Examinee(respondent, prepare=put_off(respondent))

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the prompts: the settings."""
        return ("fermi", self.settings(bench, 0))


def _check_shared(settings: FermiSettings, bench: Bench) -> None:
    """Check that brackets do not change settings that are the same for all methods of a run."""
    if settings.preset != bench.fermi.preset:
        raise SettingsError(
            "the preset is the same for all methods of an evaluation, so brackets cannot set it",
            remedy=Remedy("preset"),
        )
    if settings.answering != bench.answering:
        raise SettingsError("answering is the same for all methods of an evaluation, so brackets cannot set it")
    if settings.retrieval.similarity != bench.fermi.retrieval.similarity:
        raise SettingsError(
            "retrieval.similarity is the same for all methods of an evaluation, so brackets cannot set it",
            remedy=Remedy("similarity"),
        )
    if bench.calls_per_person is not None and settings.retrieval.pool != "memory":
        raise SettingsError(
            f"with the pool {settings.retrieval.pool!r}, prompts are scored when questions are asked, beyond the limit "
            "on calls per person: put retrieval.pool=memory into brackets"
        )
    if bench.calls_per_person is not None and settings.evidence.share:
        raise SettingsError(
            "with a gate, learning would spend the calls that the gate needs, so the base model would answer: put "
            "evidence.share=0 into brackets"
        )


def answering(
    learned: FermiPersonalization,
    answerer: Answerer,
    desk: Desk,
    *,
    used: bool | None,
    by: Answerer | None = None,
    limit: int | None = None,
) -> Respondent:
    """Return the respondent with learned prompts.

    Args:
        learned: the learned prompts.
        answerer: the model that they were learned with.
        desk: desk with the similarity.
        used: False: the base model answers.
        by: another model, which answers with the prompts; None: the same model.
        limit: limit on the prompts that answer, in tokens; None: the limit of the settings.
    """
    if used is False:
        return base(by or answerer)
    similarity = desk.bench.similarity
    return RetrievalOfPrompt(answering_with(learned), answerer, similarity, answered_by=by, max_prompt_tokens=limit)


def put_off(respondent: Respondent) -> Preparation | None:
    """Return the scoring of prompts that was put off until the questions are known; None without learned prompts."""
    return respondent.explain if isinstance(respondent, RetrievalOfPrompt) else None


def fermi_notes(learned: FermiPersonalization) -> dict[str, Any]:
    """Return the facts of a personalization for a record: numbers, but no prompts, since these may quote people."""
    best = learned.best
    return {
        "finished": learned.finished,
        "iterations": len(learned.iterations),
        "scores_by_iteration": [iteration.best_score for iteration in learned.iterations],
        "best_score": learned.best.score,
        "first_score": learned.initial.score if learned.initial.complete else None,
        "best_origin": best.prompt.origin,
        "best_demonstrations": len(best.prompt.demonstrations),
        "pool": len(learned.prompts),
        "dispositions": [len(learned.dispositions), sum(each.used for each in learned.dispositions)],
    }


@dataclass(frozen=True, slots=True)
class TransferredPrompts:
    """Fermi with two models: one learns prompts, and its scores choose one; the other answers with it.

    Args:
        fermi: method that learns.
        learns_with, answered_by: names of models in `Bench.transfer`; None: the model of the run.
    """

    fermi: FermiMethod
    learns_with: str | None = None
    answered_by: str | None = None

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Learn with Fermi and the first model."""
        return await self.fermi.learn(case, _at(desk, self.learns_with))

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the other model with the prompts, or without prompts if the gate rejects them."""
        home, away = _at(desk, self.learns_with), _at(desk, self.answered_by)
        value, by = learned.value, None
        if self.learns_with != self.answered_by:
            value, by = _uncalibrated(value), away.answerer
        respondent = answering(value, home.answerer, home, used=learned.used, by=by)
        return Examinee(respondent, prepare=put_off(respondent), answered_by=away.bench.model)


def _uncalibrated(learned: FermiPersonalization) -> FermiPersonalization:
    """Return the prompts without calibration, which would divide by what the model that learned them prefers."""
    ensemble = replace(learned.settings.ensemble, calibrate=False)
    return replace(learned, settings=replace(learned.settings, ensemble=ensemble))


def _at(desk: Desk, model: str | None) -> Desk:
    """Return the same desk and meter with another model."""
    if model is None:
        return desk
    if model not in desk.bench.transfer:
        raise SettingsError(f"the model {model!r} is not open")
    return replace(desk, bench=desk.bench.transfer[model])


def as_it_is(settings: FermiSettings) -> FermiSettings:
    """Return the settings unchanged: Fermi itself."""
    return settings


def only_llm(settings: FermiSettings) -> FermiSettings:
    """Return the settings with only the paper's proposer."""
    return replace(settings, proposers=("llm",))


def only_demonstrations(settings: FermiSettings) -> FermiSettings:
    """Return the settings with only our proposer."""
    return replace(without_dispositions(settings), proposers=("demonstrations",))


def opro(settings: FermiSettings) -> FermiSettings:
    """Return the settings of OPRO: prompt/score pairs, one prompt for all questions, and nothing that goes beyond."""
    alone = replace(without_kinds(settings), ensemble=EnsembleSettings())
    plain = without_dispositions(without_examples(without_crossing(alone)))
    plain = replace(plain, meta_prompt=replace(plain.meta_prompt, form="paper"))
    return without_retrieval(without_failures(only_llm(plain)))


def without_failures(settings: FermiSettings) -> FermiSettings:
    """Return the settings without any mis-aligned context."""
    return replace(
        settings,
        meta_prompt=replace(settings.meta_prompt, failures="none"),
        demonstrations=replace(settings.demonstrations, prefer="any"),
    )


def symmetric(settings: FermiSettings) -> FermiSettings:
    """Return the settings in which every listed prompt shows its failures."""
    return replace(settings, meta_prompt=replace(settings.meta_prompt, failures="symmetric"))


def without_retrieval(settings: FermiSettings) -> FermiSettings:
    """Return the settings without retrieval: one prompt answers all questions."""
    return replace(settings, retrieval=replace(settings.retrieval, retrieve=False))


def without_crossing(settings: FermiSettings) -> FermiSettings:
    """Return the settings without crossing; a gate on crossed scores becomes one on a fifth that is held out."""
    search = replace(settings.search, crossing=1)
    if settings.evidence.by != "crossed":
        return replace(settings, search=search)
    evidence = replace(settings.evidence, by="held_out", share=_HELD_OUT)
    scoring = min(settings.scoring_share, 1 - _HELD_OUT)
    return replace(settings, search=search, evidence=evidence, scoring_share=scoring)


def without_examples(settings: FermiSettings) -> FermiSettings:
    """Return the settings without the nearest opinions behind each prompt."""
    return replace(settings, hybrid=HybridSettings())


def one_prompt(settings: FermiSettings) -> FermiSettings:
    """Return the settings in which one prompt answers, in one order of its examples."""
    return replace(settings, ensemble=replace(settings.ensemble, prompts=1, orders=1))


def without_own_answers(settings: FermiSettings) -> FermiSettings:
    """Return the settings without the person's own distribution of answers."""
    return replace(settings, ensemble=replace(settings.ensemble, own_answers=0.0))


def without_calibration(settings: FermiSettings) -> FermiSettings:
    """Return the settings in which prompts' distributions are taken as they are, neither calibrated nor blunted."""
    return replace(settings, ensemble=replace(settings.ensemble, calibrate=False, sharpness=1.0))


def without_median(settings: FermiSettings) -> FermiSettings:
    """Return the settings in which the likeliest choice counts on a scale, too."""
    return replace(settings, ensemble=replace(settings.ensemble, decide="mode"))


def without_kinds(settings: FermiSettings) -> FermiSettings:
    """Return the settings in which all draws write about the same."""
    return replace(settings, meta_prompt=replace(settings.meta_prompt, kinds=()))


def without_dispositions(settings: FermiSettings) -> FermiSettings:
    """Return the settings without dispositions."""
    return replace(settings, dispositions=replace(settings.dispositions, number=0))
