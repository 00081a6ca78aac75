"""The resources of an evaluation's methods: models, similarities and other people; and the desk that counts calls.

opening (opens the models) → Bench, one per run → Desk, one per (method, person)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from idiolect.application.computed_once import ComputedOnce
from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.metering import Meter
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.neutral_texts import NeutralText
from idiolect.models.calls.model import Calls, Source
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Bm25Similarity, Embedder, EmbeddingSimilarity, Similarity
from idiolect.people.splits import person_behind

if TYPE_CHECKING:
    from idiolect.application.presets import ChosenPreset
    from idiolect.methods.chameleon.measuring import EditableModel
    from idiolect.methods.chameleon.settings import ChameleonSettings
    from idiolect.methods.chameleon.start import Start

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenWeights:
    """A model with open weights, for methods that need them.

    Args:
        model: model with activations, gradients and edits.
        fingerprint: hash of its weights.
        settings: CHAMELEON's settings for the method `chameleon`.
        start: the group's edit at which people's steps begin; None: there is none.
        pairs, pair_tokens: number of pairs, and maximum tokens of their sides, for every method that learns from pairs;
            None: set by the method's preset.
        members: maximum number of people pooled into a group.
        settings_without_texts: CHAMELEON's settings for people without texts to learn from; None: the same.
    """

    model: EditableModel
    fingerprint: str
    settings: ChameleonSettings
    start: Start | None = None
    pairs: int | None = None
    pair_tokens: int | None = None
    members: int = 6
    settings_without_texts: ChameleonSettings | None = None

    def settings_for(self, *, texts: bool) -> ChameleonSettings:
        """Return CHAMELEON's settings for people with or without texts to learn from."""
        return self.settings if texts else self.settings_without_texts or self.settings


@dataclass(frozen=True, slots=True)
class Bench:
    """Open models and other resources for all methods and people of a run.

    Args:
        benchmark: the benchmark.
        answering: form of questions and answers, the same for every method.
        model: model that answers.
        optimizer: model that writes prompts; may be the same.
        calls: cache, budget and turns of the run.
        fermi: initial settings of Fermi and its ablations, whose answering settings are `answering`.
        dense: similarity of questions by embeddings; None: there are none, and BM25 is used instead.
        bm25: similarity of questions by BM25.
        open_weights: the model's open weights; None if it is behind an API, or no method needs them.
        calls_per_person: maximum number of calls for learning from one person; None: no limit.
        transfer: the same bench with other models, by name, for answers with prompts learned with another model.
        keeps_prompts: whether answers hold the messages that they answer.
        shared: results that methods keep for all people, such as a group's edit.
        chosen: preset of the settings, if nobody named one.
        neutral: texts of the base model, on which every arm's change of log-probability is measured.
    """

    benchmark: Benchmark
    answering: AnsweringSettings
    model: Source
    optimizer: Source
    calls: Calls
    fermi: FermiSettings
    dense: Similarity | None = None
    bm25: Similarity = field(default_factory=Bm25Similarity)
    open_weights: OpenWeights | None = None
    calls_per_person: int | None = None
    transfer: Mapping[str, Bench] = field(default_factory=dict)
    keeps_prompts: bool = False
    shared: dict[Hashable, Any] = field(default_factory=dict)
    chosen: ChosenPreset | None = None
    neutral: tuple[NeutralText, ...] = ()

    @property
    def similarity(self) -> Similarity:
        """Default similarity of the methods."""
        return self.bm25 if self.dense is None else self.dense

    @property
    def embedder(self) -> Embedder | None:
        """Embedding model of the dense similarity; None if there is none."""
        return self.dense.embedder if isinstance(self.dense, EmbeddingSimilarity) else None

    async def once(self, key: Hashable, compute: Callable[[], Awaitable[T]]) -> T:
        """Return what `compute` returned for this key first; concurrent callers wait for it."""
        return await ComputedOnce(self.shared).get(key, compute)

    def weights(self) -> OpenWeights:
        """Return the open weights.

        Raises:
            SettingsError: the model gives no access to its weights.
        """
        if self.open_weights is None:
            raise SettingsError(
                f"the model {self.model.name!r} gives no access to its weights, which this method needs"
            )
        return self.open_weights


@dataclass(frozen=True, slots=True)
class Desk:
    """A bench for the use of one method for one person, with a meter for its calls.

    Args:
        bench: the bench.
        person: id of the person for whom calls are made.
        seed: seed of the method's draws.
        meter: counts calls.
    """

    bench: Bench
    person: str
    seed: int
    meter: Meter

    @property
    def model(self) -> LanguageModel:
        """Answering model, whose calls are counted."""
        return self.called(self.bench.model)

    @property
    def optimizer(self) -> LanguageModel:
        """Model that writes prompts, whose calls are counted."""
        return self.called(self.bench.optimizer)

    def check_halt(self, *_progress: object) -> None:
        """Raise the error that halts the run, if it is halted or out of time: the observer of work without calls.

        Raises:
            HaltedError: it is.
        """
        self.bench.calls.budget.check(self.person)

    @property
    def answerer(self) -> Answerer:
        """Answerer with the evaluation's answering settings."""
        return self.answerer_of(self.model)

    def answerer_of(self, model: LanguageModel, settings: AnsweringSettings | None = None) -> Answerer:
        """Return an answerer of a model of this desk; None: with the evaluation's answering settings."""
        return Answerer(model, settings or self.bench.answering, keeps_prompts=self.bench.keeps_prompts)

    def other(self, model: LanguageModel, *, fingerprint: str) -> LanguageModel:
        """Return a model of the method itself, such as a trained one, whose calls are counted but not cached."""
        return self.called(
            Source(model, model.name, fingerprint=fingerprint, price=self.bench.model.price, cached=False)
        )

    def called(self, source: Source) -> LanguageModel:
        """Return a model whose calls are counted at this desk, and cached if the source allows it."""
        return self.bench.calls.model(source, owner=self.person, observer=self.meter)


def next_case(benchmark: Benchmark, case: Case) -> Case | None:
    """Return the case whose personalization is the control: the next one (the first, after the last); None if alone.

    A person may have several cases (see `person_behind`), which are no control for each other.
    """
    cases = benchmark.cases
    place = next(index for index, each in enumerate(cases) if each.user.id == case.user.id)
    person = person_behind(case.user)
    return next((each for each in (*cases[place + 1 :], *cases[:place]) if person_behind(each.user) != person), None)
