"""CHAMELEON with its model open: a learner, the model with a learned edit, and whether an edit is stale.

Texts that the model writes go through the run's cache and budget. Activations, directions, the choice of the variant
and the evidence are computed on the model itself, and are not counted as calls. The stored card has one key more than
the method's, `learned_from`: a hash of the user's data, which shows whether the data has changed since.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from idiolect.application.choices import check_open_weights, require_chameleon
from idiolect.application.learner import Fitted
from idiolect.application.model_pool import ModelPool, OpenModel, OpenSimilarity, suggesting
from idiolect.application.names import CHAMELEON, MethodName
from idiolect.application.owner import Owner
from idiolect.application.presets import ChosenPreset
from idiolect.errors import ModelError, OtherWeightsError, PersonalizationError, Remedy, SettingsError
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.personalization import Observer, Progress
from idiolect.models.calls.model import Calls
from idiolect.models.catalog import as_local_model, lasting_name
from idiolect.models.language_model import LanguageModel
from idiolect.people.user import User
from idiolect.store import PersonalizationRecord, Store
from idiolect.store.group_records import GroupState, data_digest

if TYPE_CHECKING:
    from idiolect.methods.chameleon.fitting import Chameleon
    from idiolect.methods.chameleon.grouped import GroupedChameleon
    from idiolect.methods.chameleon.measuring import EditableModel, TrainableModel
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization, StartOrigin
    from idiolect.methods.chameleon.settings import ChameleonSettings
    from idiolect.methods.chameleon.start import Start

LEARNED_FROM = "learned_from"
USER_NOTE = "profile, opinions or texts have changed since the edit was learned; fit again to include them"
GROUP_NOTE = "members or their data have changed since the edit was learned; fit again to include them"

_ANOTHER_SIMILARITY = Remedy("similarity", effect="selects another similarity")


@dataclass(frozen=True, slots=True)
class ChameleonSummary:
    """Counts and scores of what CHAMELEON learned for one user.

    Args:
        items: number of opinions and texts that were used, including those that judged the edit.
        pairs, dropped: number of pairs used, and of degenerate pairs dropped.
        layers: number of edited layers.
        preset: name of the preset that it was learned with.
        variant: rule with its strengths.
        judged: number of held-out opinions and texts that judged the edit.
        text_gain: mean log-probability of held-out texts under the edit minus that under the base model, in nat per
            token; None if no text judged.
        base_score, edited_score: mean alignment on held-out opinions, in [0, 1]; None if no opinion judged. Of an edit
            judged before texts had a scale of their own, all three are None.
        calls, tokens: cost of learning without a cache.
        used: whether the edit answers; False if the evidence favours the base model, or every variant costs too much.
        evidence: reason for this in one sentence; None if the edit is used and nothing was held out.
        too_costly: whether no variant was within the limit on the model's own texts, so that the base model answers
            whatever the scores are.
    """

    items: int
    pairs: int
    dropped: int
    layers: int
    preset: str
    variant: str
    judged: int
    text_gain: float | None
    base_score: float | None
    edited_score: float | None
    calls: int
    tokens: int
    used: bool
    evidence: str | None
    too_costly: bool

    @classmethod
    def of(cls, learned: ChameleonPersonalization) -> ChameleonSummary:
        """Return the summary of a personalization."""
        from idiolect.methods.chameleon.evidence import evidence_numbers

        usage, evidence = learned.usage, learned.evidence
        numbers = {} if evidence is None else evidence_numbers(evidence)
        texts, opinions = numbers.get("texts") or {}, numbers.get("opinions") or {}
        return cls(
            items=learned.n_items,
            pairs=len(learned.pairs),
            dropped=sum(learned.dropped.values()),
            layers=len(learned.edit.layers),
            preset=learned.settings.preset,
            variant=str(learned.variant),
            judged=0 if evidence is None else evidence.n,
            text_gain=texts.get("nat_per_token"),
            base_score=opinions.get("base"),
            edited_score=opinions.get("edited"),
            calls=usage.calls,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            used=learned.used,
            evidence=None if learned.used and evidence is None else learned.gate,
            too_costly=not learned.used and (evidence is None or learned.gate != evidence.reason),
        )


@dataclass(frozen=True, slots=True)
class ChameleonLearner:
    """CHAMELEON, ready to learn from users one after another.

    Args:
        settings: settings of the method.
        model: model with open weights.
        fingerprint: hash of its weights.
        similarity: similarity of history items; None if the history does not guide the model.
        calls: cache, budget and turns of the run; None: the model is called directly.
        start: where a person's step begins; None: at nothing, or there is no step.
        measure: returns a start that changes nothing, if there is no other; None: it is measured for each person.
        origin: where the start is kept; None: unknown, or it is no group's edit.
        chosen: the preset, if nobody named it.
    """

    settings: ChameleonSettings
    model: OpenModel
    fingerprint: str
    similarity: OpenSimilarity | None = None
    calls: Calls | None = None
    start: Start | None = None
    measure: Callable[[], Awaitable[Start]] | None = None
    origin: StartOrigin | None = None
    chosen: ChosenPreset | None = None

    @property
    def method(self) -> MethodName:
        """Name of the method."""
        return CHAMELEON

    @property
    def preset_line(self) -> str:
        """The preset and why it was chosen, in one line; nothing if it was named."""
        return "" if self.chosen is None else self.chosen.line

    @property
    def remote(self) -> bool:
        """False, because the model runs in this process."""
        return False

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn the user's edit. There are no checkpoints, because the cache has the texts that the model writes.

        Raises:
            PersonalizationError: there is too little history, or there are too few usable pairs.
            ModelError: the model could not answer.
            HaltedError: the run was halted.
        """
        del checkpoints
        learned = await self.chameleon(user.id).fit(user, observer=halting(observer, self.calls, user.id))
        if learned.started_from is not None:
            learned = replace(learned, started_from=replace(learned.started_from, origin=self.origin))
        card = learned.to_json() | {LEARNED_FROM: data_digest(user)}
        return Fitted(card, ChameleonSummary.of(learned), learned.tensor_bytes())

    def chameleon(self, owner: str) -> Chameleon | GroupedChameleon:
        """Return the method for one user or group, whose calls belong to the owner and are forgotten with it."""
        from idiolect.methods.chameleon.fitting import Chameleon
        from idiolect.methods.chameleon.grouped import GroupedChameleon
        from idiolect.methods.chameleon.identity import ModelIdentity

        writer = None if self.calls is None else self.model.called(self.calls, owner)
        identity = ModelIdentity(self.model.name, self.fingerprint)
        if self.settings.stepping is not None:
            model, start, measure = trainable_model(self.model), self.start, self.measure
            return GroupedChameleon(
                model, self.settings, start=start, measure=measure, writer=writer, identity=identity
            )
        embedder = None if self.similarity is None else self.similarity.called_embedder(self.calls, owner)
        return Chameleon(editable_model(self.model), self.settings, embedder=embedder, writer=writer, identity=identity)

    def already_learned(self, record: PersonalizationRecord, user: User) -> ChameleonSummary | None:
        """Return the summary of an edit from the same data, settings and weights; None if anything differs."""
        from idiolect.methods.chameleon.personalization import ChameleonPersonalization

        try:
            kept = ChameleonPersonalization.from_parts(record.payload, record.tensors)
        except PersonalizationError:
            return None  # damaged, or from another version
        same = _in_effect(kept.settings) == _in_effect(self.settings)
        same = same and (kept.model, kept.fingerprint) == (self.model.name, self.fingerprint)
        begun = "" if kept.started_from is None else kept.started_from.digest
        same = same and begun == ("" if self.start is None else self.start.digest)
        unchanged = LEARNED_FROM in record.payload and not is_stale(record, user)
        return ChameleonSummary.of(kept) if same and unchanged else None


async def open_chameleon(pool: ModelPool, settings: ChameleonSettings, *, model: str) -> ChameleonLearner:
    """Open CHAMELEON's model and similarity by name. To call the model through a run, use `replace(learner, calls=…)`.

    Raises:
        SettingsError: a name is invalid, the model has no open weights, or the similarity has no embeddings.
        ModelError: there is no such model, or it cannot be edited.
        MissingExtraError: a model needs packages that are not installed.
    """
    check_open_weights(model)
    require_chameleon()
    settings = replace(settings, similarity=lasting_name(settings.similarity))
    opened = await pool.model(model)
    editable_model(opened)
    # guided by history items, which embeddings select
    guided = settings.stepping is None and settings.generation.personalized == "generated"
    similarity = await _open_embeddings(pool, settings.similarity) if guided else None
    return ChameleonLearner(settings, opened, opened.fingerprint(), similarity)


async def check_chameleon(pool: ModelPool, learner: ChameleonLearner) -> None:
    """Check that prices are known if money is limited, and that the embeddings are available.

    Raises:
        SettingsError: money is limited, and a price is unknown.
        ModelError, MissingExtraError: the embeddings are not available.
    """
    pool.check_prices(learner.model, *([learner.similarity] if learner.similarity else []))
    if learner.similarity is not None:
        await pool.check(learner.similarity, remedy=_ANOTHER_SIMILARITY)


def halting(observer: Observer, calls: Calls | None, owner: str) -> Observer:
    """Return an observer that first ends the work, also if it makes no calls, when the run is halted or out of time.

    Args:
        observer: receives every step of work that goes on.
        calls: calls of the run; None: nothing halts the work.
        owner: id of the user or group that the work is for.
    """
    if calls is None:
        return observer
    budget = calls.budget

    def observe(progress: Progress) -> None:
        budget.check(owner)
        observer(progress)

    return observe


def editable_model(opened: OpenModel) -> EditableModel:
    """Return the model if its layers can be edited.

    Raises:
        ModelError: the model gives no access to its layers, or the layers of its family are unknown.
    """
    from idiolect.methods.chameleon.measuring import EditableModel

    model = opened.model
    if not isinstance(model, EditableModel):
        raise ModelError(f"the model {opened.name!r} gives no access to its layers, which CHAMELEON needs")
    local = as_local_model(model)
    if local is not None:
        local.check_editable()
    return model


def trainable_model(opened: OpenModel) -> TrainableModel:
    """Return the model if an edit can be trained on its layers.

    Raises:
        ModelError: the model gives no access to its layers, or the layers of its family are unknown.
    """
    from idiolect.methods.chameleon.measuring import TrainableModel

    model = editable_model(opened)
    if not isinstance(model, TrainableModel):
        raise ModelError(f"no edit can be trained on the model {opened.name!r}: choose the preset paper")
    return model


def read_edit(record: PersonalizationRecord) -> ChameleonPersonalization:
    """Read an edit from its record.

    Raises:
        PersonalizationError: the record is damaged, or from another version.
        MissingExtraError: local models are not installed.
    """
    require_chameleon()
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization

    return ChameleonPersonalization.from_parts(record.payload, record.tensors)


def under_edit(opened: OpenModel, learned: ChameleonPersonalization, owner: Owner) -> LanguageModel:
    """Return the model with the owner's edit, if its weights are those that the edit was learned on.

    Raises:
        OtherWeightsError: the model has other weights, or the weights of the edit are unknown.
        ModelError: the model cannot be edited.
    """
    then, now = learned.fingerprint, opened.fingerprint()
    if then != now or not then:
        unknown = (
            "it is unknown which weights the edit was learned on, so it may not be valid for the weights of "
            f"{learned.model!r}"
        )
        other = (
            f"the weights of {learned.model!r} are not those that the edit was learned on (then {then[:12]}, now "
            f"{now[:12]}), so the edit is not valid for them"
        )
        raise OtherWeightsError(other if then else unknown, model=learned.model, owner=owner.id, kind=owner.kind)
    return editable_model(opened).with_edit(learned.edit)


def _in_effect(settings: ChameleonSettings) -> ChameleonSettings:
    return replace(settings, answering=settings.answering.in_effect)


def is_stale(record: PersonalizationRecord, user: User) -> bool:
    """Return whether the user's data has changed since the edit was learned; False if the record has no hash of it."""
    learned_from = record.payload.get(LEARNED_FROM)
    return learned_from is not None and learned_from != data_digest(user)


def stale_note(store: Store, record: PersonalizationRecord, owner: Owner) -> str:
    """Return one sentence if the owner's edit is stale, otherwise "".

    Raises:
        StoreError: there is no such user or group, or the store cannot be read.
    """
    if owner.kind == "user":
        return USER_NOTE if is_stale(record, store.user(owner.id)) else ""
    fits = store.groups.get(owner.id).fits
    return GROUP_NOTE if any(fit.method == CHAMELEON and fit.state is GroupState.STALE for fit in fits) else ""


async def _open_embeddings(pool: ModelPool, name: str) -> OpenSimilarity:
    with suggesting(_ANOTHER_SIMILARITY):
        similarity = await pool.similarity(name)
    if similarity.embedder is None:
        raise SettingsError(
            f"CHAMELEON selects history items by embeddings, but {name} has none", remedy=_ANOTHER_SIMILARITY
        )
    return similarity
