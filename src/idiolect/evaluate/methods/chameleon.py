"""CHAMELEON and its controls: for the person, for their group, and for people never seen.

    chameleon                       the preset of the run, or of the person if none is named
    chameleon-start                 the group's edit at which people's steps begin, without a step
    chameleon-paper                 the paper's data, rule and strengths; -p-only, -n-only: one of its two steps
    chameleon-contrastive           θ_P from the pairs' differences
    chameleon-random, -paper-random as large as these two's edits, along random directions
    chameleon-group, -unseen        fitted on pooled people: reported ones including the person; or other people only
    insights                        CHAMELEON's own insight about the person in the prompt, without an edit
    fermi+chameleon                 the edited model, with prompts that Fermi learned with the unedited one
    few-shot+…                      the model with one of these edits, under the prompt of `few-shot`

A group's edit is learned once and used for all members. The control "another's" is the next person's edit.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Literal

from idiolect.errors import PersonalizationError, SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk, OpenWeights
from idiolect.evaluate.methods.fermi import FermiMethod, answering, put_off
from idiolect.evaluate.methods.ineffective import check_effect
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.open_weights import DeskWeights, edited, plain_start_of
from idiolect.evaluate.methods.prompting import Prompting
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.baselines import base
from idiolect.methods.chameleon.evidence import evidence_numbers
from idiolect.methods.chameleon.fitting import Chameleon
from idiolect.methods.chameleon.grouped import GroupedChameleon
from idiolect.methods.chameleon.identity import ModelIdentity
from idiolect.methods.chameleon.insights import GREEDY, InsightsInPrompt
from idiolect.methods.chameleon.personalization import ChameleonPersonalization
from idiolect.methods.chameleon.preferences import Pair
from idiolect.methods.chameleon.settings import ChameleonSettings, RuleName, Variant, preset
from idiolect.methods.chameleon.start import Start, edit_of_factors
from idiolect.methods.chameleon.variants import random_edit
from idiolect.methods.setting_changes import changed_by_text
from idiolect.methods.setting_checks import require
from idiolect.models.language_model import CompletionModel, LanguageModel
from idiolect.models.similarity import Embedder
from idiolect.people.user import User

_LEAST_OF_A_MEMBER = 2
_NO_START = (
    "the preset grouped begins at a group's edit, and none is packaged for the model: name a folder with "
    "--from-group, or choose the preset measured"
)

Pooled = Literal["", "group", "unseen"]


@dataclass(frozen=True, slots=True)
class ChameleonMethod:
    """CHAMELEON, or a part of it.

    Args:
        rule: "": the preset of the run or the person, with the strength that it finds and its gate; otherwise, the
            paper's preset with this rule, the paper's strengths, and no gate.
        pooled: people whose pairs are pooled: nobody, the person's group, or other people.
        random: use random directions instead of the learned ones.
        overrides: settings that the user wrote in brackets.
    """

    rule: RuleName | Literal[""] = ""
    pooled: Pooled = ""
    random: bool = False
    overrides: Overrides = ()

    def settings(self, bench: Bench, seed: int, *, texts: bool = True) -> ChameleonSettings:
        """Return the settings to learn with.

        Args:
            bench: the bench.
            seed: seed of the method's draws.
            texts: whether the person has texts to learn from; True for a group.

        Raises:
            SettingsError: a combination of settings is invalid, one in brackets would change nothing, or the model is
                behind an API.
        """
        weights = bench.weights()
        settings = weights.settings_for(texts=texts)
        if self.rule:
            settings = replace(preset("paper"), variants=(Variant(self.rule),))
        generation = replace(settings.generation, seed=seed, **_sizes(weights, settings))
        if self.pooled:  # a group is for people with too little history each
            generation = replace(generation, least_pairs=_LEAST_OF_A_MEMBER)
        settings = replace(settings, generation=generation, answering=bench.answering)
        settings = changed_by_text(settings, self.overrides)
        if settings.answering != bench.answering:
            raise SettingsError("answering is the same for all methods of an evaluation, so brackets cannot set it")
        check_effect([path for path, _ in self.overrides], settings, pooled=bool(self.pooled))
        return settings

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Fit the edit; a group's edit is fitted once for all of its members."""
        if not self.pooled:
            return await self._fit([case.user], desk, owner="")
        members, owner = self._members(case, desk.bench)
        key = ("chameleon", self, owner, desk.seed, _size(case.user))
        return await desk.bench.once(key, lambda: self._fit(members, desk, owner=owner))

    async def fit_timed(self, user: User, desk: Desk) -> Learned:
        """Fit the person's edit, with the time except for writing pairs as `seconds_without_writing` in its notes.

        Pairs come from the cache if possible, and what is measured once for all people is measured before; everything
        else is computed again.
        """
        begun = await self._start(self.settings(desk.bench, desk.seed, texts=bool(user.texts)), desk)
        model = replace(desk.bench.model, cached=False)
        anew = replace(desk, bench=replace(desk.bench, shared={}, model=model))
        writer = DeskWeights(desk)
        start = time.perf_counter()
        learned = await self._fit([user], anew, owner="", writer=writer, begun=begun)
        seconds = time.perf_counter() - start - writer.writing
        return replace(learned, notes={**learned.notes, "seconds_without_writing": round(seconds, 3)})

    async def pairs(self, user: User, desk: Desk) -> tuple[Pair, ...]:
        """Return the pairs that a person's edit is computed from; a preset that steps has none."""
        settings = self.settings(desk.bench, desk.seed, texts=bool(user.texts))
        return await self._from_pairs(settings, desk, None).pairs(user)

    def _from_pairs(self, settings: ChameleonSettings, desk: Desk, writer: CompletionModel | None) -> Chameleon:
        embedder, identity = desk.bench.embedder, _identity(desk)
        return Chameleon(DeskWeights(desk), settings, embedder=embedder, writer=writer, identity=identity)

    async def _fit(
        self,
        users: Sequence[User],
        desk: Desk,
        *,
        owner: str,
        writer: CompletionModel | None = None,
        begun: Start | None = None,
    ) -> Learned:
        settings = self.settings(desk.bench, desk.seed, texts=bool(owner or users[0].texts))
        method: Chameleon | GroupedChameleon
        if settings.stepping is None:
            method = self._from_pairs(settings, desk, writer)
        else:
            start = begun or await self._start(settings, desk)
            method = GroupedChameleon(DeskWeights(desk), settings, start=start, identity=_identity(desk))
        halting = desk.check_halt
        learned = await (
            method.fit_group(owner, users, observer=halting) if owner else method.fit(users[0], observer=halting)
        )
        notes = chameleon_notes(learned)
        gated = settings.evidence.share > 0 or settings.max_fluency_cost is not None
        return Learned(learned, used=learned.used if gated else None, notes=notes)

    async def _start(self, settings: ChameleonSettings, desk: Desk) -> Start | None:
        """Return where a person's step begins, or from which measurements a group's edit is trained; None: no steps.

        Raises:
            SettingsError: the preset begins at a group's edit, and there is none.
        """
        if settings.stepping is None:
            return None
        if self.pooled or not settings.stepping.from_group:
            return await plain_start_of(desk, settings)
        start = desk.bench.weights().start
        if start is None:
            raise SettingsError(_NO_START)
        return start

    def _members(self, case: Case, bench: Bench) -> tuple[Sequence[User], str]:
        """Return the pooled people, and the name of the group."""
        most = bench.weights().members
        if self.pooled == "unseen":
            return _others(case, bench, most), f"unseen {case.group}"
        same = [each for each in bench.benchmark.cases if each.group == case.group]
        place = next(index for index, each in enumerate(same) if each.user.id == case.user.id) // most
        size = max(sum(_size(case.user)), 1)
        members = [each.learning_from(size).user for each in same[place * most : (place + 1) * most]]
        return members, f"group {place} {case.group}"

    def model(self, learned: Learned, desk: Desk) -> LanguageModel:
        """Return the edited model, or the base model if the gate rejects the edit."""
        found: ChameleonPersonalization = learned.value
        if learned.used is False:
            return desk.model
        return edited(desk, random_edit(found, seed=desk.seed) if self.random else found.edit)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model, which is asked without a prompt."""
        return unprompted(self.model(learned, desk), desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the edit: the settings, for everybody to learn from, and the kind of pooling.

        Raises:
            SettingsError: the settings are invalid, or there is no group's edit at which steps could begin.
        """
        settings = self.settings(bench, 0)
        if self.begins_at_group(settings) and bench.weights().start is None:
            raise SettingsError(_NO_START)
        without_texts = settings if self.pooled else self.settings(bench, 0, texts=False)
        return ("chameleon", repr(settings), repr(without_texts), self.pooled)

    def begins_at_group(self, settings: ChameleonSettings) -> bool:
        """Return whether a person's step begins at a group's edit, with the settings to learn with."""
        return not self.pooled and settings.stepping is not None and settings.stepping.from_group


def _identity(desk: Desk) -> ModelIdentity:
    return ModelIdentity(desk.bench.model.name, desk.bench.weights().fingerprint)


@dataclass(frozen=True, slots=True)
class StartMethod:
    """The method "chameleon-start": the group's edit at which people's steps begin, without a step.

    Args:
        strength: factor of its writes, > 0. With 1, the edit is as it is served to a group; `chameleon` multiplies the
            same writes, and the person's step, by the strength that it finds for the person.

    Raises:
        SettingsError: the strength is invalid.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        valid = isfinite(self.strength) and self.strength > 0
        require(valid, "strength", self.strength, "greater than 0")

    async def learn(self, _case: Case, desk: Desk) -> Learned:
        """Return the group's edit, which was learned before."""
        return Learned(edit_of_factors(_start_on(desk.bench).factors, self.strength))

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model with the group's edit."""
        return unprompted(edited(desk, learned.value), desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the group's edit.

        Raises:
            SettingsError: there is none.
        """
        return ("chameleon-start", _start_on(bench).digest, self.strength)


def _start_on(bench: Bench) -> Start:
    start = bench.weights().start
    if start is None:
        raise SettingsError("there is no group's edit for this model: name a folder with --from-group")
    return start


def unprompted(model: LanguageModel, desk: Desk) -> Examinee:
    """Return an examinee for a method's own model, which is asked without a prompt."""
    return Examinee.with_texts(base(desk.answerer_of(model)), model)


def _size(user: User) -> tuple[int, int]:
    return len(user.opinions), len(user.texts)


def _sizes(weights: OpenWeights, settings: ChameleonSettings) -> dict[str, Any]:
    pairs = settings.generation.pairs if weights.pairs is None else weights.pairs
    tokens = settings.generation.max_tokens if weights.pair_tokens is None else weights.pair_tokens
    return {"pairs": pairs, "max_tokens": tokens, "least_pairs": min(settings.generation.least_pairs, pairs)}


def _others(case: Case, bench: Bench, most: int) -> list[User]:
    """Return people who are not reported, from the person's group if any, each with as much data as the person."""
    groups = bench.benchmark.other_groups
    found = [user for user in bench.benchmark.others if groups.get(user.id, "") == case.group]
    if not found:
        raise PersonalizationError("there is nobody else to learn a group's edit from")
    n, m = max(len(case.user.opinions), 1), max(len(case.user.texts), 1)
    return [replace(user, opinions=user.opinions[:n], texts=user.texts[:m]) for user in found[:most]]


def chameleon_notes(learned: ChameleonPersonalization) -> dict[str, Any]:
    """Return the facts of a personalization for a record: numbers, but no texts."""
    return {
        "preset": learned.settings.preset,
        "variant": str(learned.variant),
        "layers": [asdict(layer) for layer in learned.layers],
        "pairs": len(learned.pairs),
        "dropped": dict(learned.dropped),
        "trials": [
            {"variant": str(trial.variant), "gain": trial.gain, "fluency": trial.fluency, "eligible": trial.eligible}
            for trial in learned.trials
        ],
        "members": len(learned.members),
        "judged": None if learned.evidence is None else evidence_numbers(learned.evidence),
    }


@dataclass(frozen=True, slots=True)
class UnderExamples:
    """An edit together with a prompt of the person's own opinions and texts: the methods "few-shot+…".

    It learns what the edit alone learns, once for both. If the gate rejects the edit, the prompt answers alone.

    Args:
        edit: the edit.
        prompting: the prompt.
    """

    edit: ChameleonMethod
    prompting: Prompting

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Learn the edit."""
        return await self.edit.learn(case, desk)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the edited model, prompted with the data of the person who was learned from."""
        assert learned.source is not None
        return self.prompting.prompted(self.edit.model(learned, desk), learned.source, desk)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return the key of the edit."""
        return self.edit.learning_key(bench)


@dataclass(frozen=True, slots=True)
class InsightsMethod:
    """The method "insights", which needs embeddings to select history items, but no open weights."""

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Write the insights, once per person."""
        written = await self._method(desk).fit(case.user)
        return Learned(written.insights)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model with the insight as prompt."""
        prompted = self._method(desk).prompted(learned.value)
        return Examinee.with_texts(prompted, desk.model, prompt=prompted.prompt)

    def _method(self, desk: Desk) -> InsightsInPrompt:
        embedder = self._embedder(desk.bench)
        settings = replace(GREEDY, seed=desk.seed)
        return InsightsInPrompt(desk.model, desk.bench.answering, embedder=embedder, settings=settings)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of the insights.

        Raises:
            SettingsError: there are no embeddings.
        """
        return ("insights", self._embedder(bench).name)

    def _embedder(self, bench: Bench) -> Embedder:
        if bench.embedder is None:
            raise SettingsError("insights are written from items selected by embeddings, but the similarity has none")
        return bench.embedder


@dataclass(frozen=True, slots=True)
class Combined:
    """The method "fermi+chameleon".

    Each part is used if its own gate allows it; if neither is, the base model answers. There is no evidence on both
    together.
    """

    fermi: FermiMethod
    chameleon: ChameleonMethod

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Learn both, one after the other; calls that they made before are in the cache."""
        prompts = await self.fermi.learn(case, desk)
        try:
            edit = await self.chameleon.learn(case, desk)
        except PersonalizationError as error:
            raise PersonalizationError(f"of the two, CHAMELEON learned nothing: {error}") from error
        notes = {"used_prompts": prompts.used is not False, "used_edit": edit.used is not False}
        return Learned((prompts, edit), used=prompts.used is not False or edit.used is not False, notes=notes)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the edited model, with prompts that are chosen by the unedited model's scores."""
        prompts, edit = learned.value
        model = edited(desk, None if edit.used is False else edit.value.edit)
        by = desk.answerer_of(model)
        respondent = answering(prompts.value, desk.answerer, desk, used=prompts.used, by=by)
        return replace(Examinee.with_texts(respondent, model), prepare=put_off(respondent))

    def learning_key(self, bench: Bench) -> Hashable:
        """Return a key of both parts."""
        return ("fermi+chameleon", self.fermi.learning_key(bench), self.chameleon.learning_key(bench))
