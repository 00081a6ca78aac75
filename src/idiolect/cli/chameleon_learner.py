"""CHAMELEON in a run of `fit`: a `Learner` over a model with open weights, with its own columns.

What the model writes goes through the run's cache and budget; activations, directions, the choice of the variant and
the evidence are computed on the model itself, and are no calls. What is stored is the card with one key more,
`learned_from`: a hash of the user's data, by which --resume knows whether anything has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import fsum
from typing import TYPE_CHECKING, Any, cast

from idiolect.cli.chameleon_order import ChameleonOrder, check_open_weights, with_extra
from idiolect.cli.fit_order import CallOrder
from idiolect.cli.learner import Fitted
from idiolect.cli.opening import aclose_all, check_similarity, embedder_of, opened_similarity, opened_sources, price_of
from idiolect.cli.stale_edits import LEARNED_FROM, METHOD, stale
from idiolect.errors import ModelError, PersonalizationError, SettingsError
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.evidence import shown_score
from idiolect.methods.personalization import Observer
from idiolect.models.calls.embedder import CalledEmbedder
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.prices import Price
from idiolect.models.catalog import is_remote, lasting_name, price_name
from idiolect.models.similarity import Embedder, EmbeddingSimilarity
from idiolect.people.user import User
from idiolect.store.group_records import data_digest
from idiolect.store.records import PersonalizationRecord

if TYPE_CHECKING:
    from idiolect.methods.chameleon.fitting import Chameleon
    from idiolect.methods.chameleon.measuring import EditableModel
    from idiolect.methods.chameleon.personalization import ChameleonPersonalization
    from idiolect.methods.chameleon.settings import ChameleonSettings

_NUMBERS = ("ITEMS", "PAIRS", "DROPPED", "LAYERS", "BASE", "EDITED", "CALLS", "TOKENS")
_COLUMNS = (*_NUMBERS, "VARIANT")
_WAY_OUT = "; --similarity names another one"


@contextmanager
def opened_chameleon(order: ChameleonOrder, calls: CallOrder, *, way_out: str = _WAY_OUT) -> Iterator[ChameleonLearner]:
    """CHAMELEON with its model opened and the weights' fingerprint taken.

    Args:
        order: the method's settings, and the model.
        calls: how models may be called.
        way_out: what a message about the similarity says besides.

    Raises:
        SettingsError: a name means nothing, the model is behind an API, or the similarity has no embeddings.
        ModelError: there is no such model, or it cannot be edited.
        MissingExtraError: a model needs packages that are not installed.
    """
    check_open_weights(order.model)
    with_extra()
    name = lasting_name(order.settings.similarity)
    with opened_sources((order.model,), calls) as sources:
        source = sources[order.model]
        editable_model(source)
        settings = replace(order.settings, similarity=name)
        embedder, price = None, None
        if guided(settings):
            embedder = _opened_embedder(name, calls, way_out)
            price = price_of(name, calls) if is_remote(name) else None
        yield ChameleonLearner(settings, source, fingerprint_of(source), embedder, price, way_out=way_out)


def guided(settings: ChameleonSettings) -> bool:
    """Whether items of the history guide the model, which are chosen by embeddings."""
    return settings.generation.personalized == "generated"


def _opened_embedder(name: str, calls: CallOrder, way_out: str) -> Embedder:
    embedder = embedder_of(opened_similarity(name, calls, way_out=way_out))
    if embedder is None:
        raise SettingsError(f"CHAMELEON chooses from a history by embeddings, {name} has none{way_out}")
    return embedder


def editable_model(source: Source) -> EditableModel:
    """The model as what CHAMELEON needs.

    Raises:
        ModelError: it cannot be edited, or is of a family whose layers are not known here.
    """
    needed = ("with_edit", "activations", "likelihood_gradients")
    if not all(hasattr(source.model, name) for name in needed):
        raise ModelError(f"the model {source.name!r} gives no access to its layers, which CHAMELEON needs")
    network: Any = getattr(source.model, "network", None)  # a model of another making answers for itself
    getattr(network, "editor", None)  # made now: it knows where the layers end, or says that it doesn't
    return cast("EditableModel", source.model)


def fingerprint_of(source: Source) -> str:
    """Of the weights; taken now where the calls are not cached."""
    taken: Any = getattr(source.model, "fingerprint", None)
    return source.fingerprint or ("" if taken is None else taken())


@dataclass(frozen=True, slots=True)
class ChameleonLearned:
    """What was learned for one user, counted.

    Args:
        items: opinions and texts that took part, those that judged included.
        pairs, dropped: of use, and degenerate.
        layers: that are edited.
        variant: the rule with its strengths.
        base_score, edited_score: means on held-out items, in [0, 1]; None where nothing was held out.
        calls, tokens: that learning takes when nothing is in a cache.
        used: the edit answers; False where the evidence speaks for the base model, or every variant costs too much.
        evidence: why it is used or not, one sentence; None where it is used and nothing was held out.
        too_costly: no variant was within the limit on neutral text, so the base model answers whatever the scores are.
    """

    items: int
    pairs: int
    dropped: int
    layers: int
    variant: str
    base_score: float | None
    edited_score: float | None
    calls: int
    tokens: int
    used: bool
    evidence: str | None
    too_costly: bool

    @classmethod
    def of(cls, learned: ChameleonPersonalization) -> ChameleonLearned:
        """The counts of a personalization."""
        usage, evidence = learned.usage, learned.evidence
        return cls(
            items=learned.n_learned + learned.n_chosen + learned.n_judged,
            pairs=len(learned.pairs),
            dropped=sum(learned.dropped.values()),
            layers=len(learned.edit.layers),
            variant=str(learned.variant),
            base_score=None if evidence is None else _mean(evidence.base),
            edited_score=None if evidence is None else _mean(evidence.personalized),
            calls=usage.calls,
            tokens=usage.prompt_tokens + usage.completion_tokens,
            used=learned.used,
            evidence=None if learned.used and evidence is None else learned.gate,
            too_costly=not learned.used and (evidence is None or learned.gate != evidence.reason),
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """Counts, scores and the variant."""
        counts = str(self.items), str(self.pairs), str(self.dropped), str(self.layers)
        return *counts, *self._scores, f"{self.calls:,}", f"{self.tokens:,}", self.variant

    @property
    def told(self) -> str:
        """The scores, and from how much."""
        base, edited = self._scores
        judged = "not judged" if self.base_score is None else f"edited {edited}, base {base}"
        return f"{judged}, {self.pairs} pairs, {self.calls:,} calls"

    @property
    def remark(self) -> str:
        """Why the base model answers, or that nothing judged the edit."""
        if self.used:
            return "not judged: nothing held out" if self.base_score is None else ""
        return "base answers: " + ("every variant costs too much" if self.too_costly else "no gain on held-out items")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @property
    def _scores(self) -> tuple[str, str]:
        base, edited = ("-" if score is None else shown_score(score) for score in (self.base_score, self.edited_score))
        return base, edited


def _mean(scores: Sequence[float]) -> float:
    return fsum(scores) / len(scores)


@dataclass(frozen=True, slots=True)
class ChameleonLearner:
    """CHAMELEON as `fit` runs it.

    Args:
        settings: of the method.
        source: the model.
        fingerprint: of its weights.
        embedder: of the history; None where it guides nothing.
        embedder_price: of a remote one; None where it isn't known, or it runs here.
        calls: cache and budget of the run; None: the model is asked as it is.
        way_out: what a message about the embeddings says besides.
    """

    settings: ChameleonSettings
    source: Source
    fingerprint: str
    embedder: Embedder | None = None
    embedder_price: Price | None = None
    calls: Calls | None = None
    way_out: str = _WAY_OUT

    @property
    def method(self) -> str:
        """In the store."""
        return METHOD

    @property
    def columns(self) -> tuple[str, ...]:
        """Of the table."""
        return _COLUMNS

    @property
    def numbers(self) -> tuple[str, ...]:
        """All but the variant."""
        return _NUMBERS

    @property
    def remote(self) -> bool:
        """Never: the weights are here."""
        return False

    def calling(self, calls: Calls) -> ChameleonLearner:
        """The same, with its model called through `calls`."""
        return replace(self, calls=calls)

    def unpriced(self) -> list[str]:
        """A remote embedding model of unknown price."""
        name = self.settings.similarity
        if self.embedder is None:
            return []
        return [name] if is_remote(name) and self.embedder_price is None else []

    async def check(self) -> None:
        """Find out whether the embeddings can be had.

        Raises:
            ModelError, MissingExtraError: they cannot.
        """
        if self.embedder is not None:
            await check_similarity(EmbeddingSimilarity(self.embedder), way_out=self.way_out)

    async def fit(self, user: User, *, observer: Observer, checkpoints: CheckpointSink) -> Fitted:
        """Learn the user's edit. What the model has written is in the cache, so there are no checkpoints.

        Raises:
            PersonalizationError: too little history, or too few pairs of use.
            ModelError: the model could not answer.
            HaltedError: the run was told to stop.
        """
        del checkpoints
        learned = await self.chameleon(user.id).fit(user, observer=observer)
        card = learned.to_json() | {LEARNED_FROM: data_digest(user)}
        return Fitted(card, ChameleonLearned.of(learned), learned.tensor_bytes())

    def chameleon(self, owner: str) -> Chameleon:
        """The method, as it works for one user: calls are theirs, to be forgotten with them."""
        from idiolect.methods.chameleon.fitting import Chameleon, ModelIdentity

        source = self.source
        return Chameleon(
            editable_model(source),
            self.settings,
            embedder=self._embedder(owner),
            writer=None if self.calls is None else self.calls.model(source, owner=owner),
            identity=ModelIdentity(source.name, self.fingerprint),
        )

    def kept(self, record: PersonalizationRecord, user: User) -> ChameleonLearned | None:
        """What an earlier run learned of the same data with the same settings on the same weights."""
        from idiolect.methods.chameleon.personalization import ChameleonPersonalization

        try:
            kept = ChameleonPersonalization.from_parts(record.payload, record.tensors)
        except PersonalizationError:
            return None  # of another version, or damaged
        same = kept.settings == self.settings and (kept.model, kept.fingerprint) == (self.source.name, self.fingerprint)
        unchanged = LEARNED_FROM in record.payload and not stale(record, user)
        return ChameleonLearned.of(kept) if same and unchanged else None

    def notes(self) -> list[str]:
        """None."""
        return []

    async def aclose(self) -> None:
        """Connections of a remote embedding model."""
        if self.embedder is not None:
            await aclose_all((self.embedder,))

    def _embedder(self, owner: str) -> Embedder | None:
        name = self.settings.similarity
        if self.embedder is None or self.calls is None or not is_remote(name):
            return self.embedder
        price = self.embedder_price
        return CalledEmbedder(self.calls, self.embedder, known_as=price_name(name), price=price, owner=owner)
