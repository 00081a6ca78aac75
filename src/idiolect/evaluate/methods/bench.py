"""What a method of an evaluation works with: models, similarities, other people; and its desk, which counts its calls.

cli (opens the models) → Bench, one for a run → Desk, one for each (method, person)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.metering import Meter
from idiolect.methods.answering import Answerer, AnsweringSettings
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.calls.model import Calls, Source
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Bm25Similarity, Embedder, EmbeddingSimilarity, Similarity

if TYPE_CHECKING:
    from idiolect.methods.chameleon.measuring import EditableModel
    from idiolect.methods.chameleon.settings import ChameleonSettings


@dataclass(frozen=True, slots=True)
class OpenWeights:
    """What methods need that reach into a model.

    Args:
        model: gives activations and gradients, and takes edits.
        fingerprint: of its weights.
        settings: CHAMELEON's, the preset that `chameleon` runs with.
        pairs, pair_tokens: how many pairs are written and how long their sides are, for every method that learns from
            pairs; None: as the method's preset says.
        members: at most so many people are pooled into a group.
    """

    model: EditableModel
    fingerprint: str
    settings: ChameleonSettings
    pairs: int | None = None
    pair_tokens: int | None = None
    members: int = 6


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything opened, for all methods and people of a run.

    Args:
        benchmark: the people.
        answering: how questions are put to the model, the same for every method.
        model: answers.
        optimizer: writes prompts; may be the same.
        calls: cache, budget and turns of the run.
        fermi: settings that Fermi and its ablations start from; their answering is `answering`.
        dense: nearness of questions by embeddings; None: there are none, BM25 stands in, and a note says so.
        open_weights: None where the model is behind an API.
        calls_per_person: what a method may spend on learning from one person; None: no limit.
        transfer: the same bench with other models, by name: what was learned with one is answered by another.
        shared: what methods remember for all people, such as a group's edit.
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
    shared: dict[Hashable, Any] = field(default_factory=dict)

    @property
    def similarity(self) -> Similarity:
        """The nearness that methods use by default."""
        return self.bm25 if self.dense is None else self.dense

    @property
    def embedder(self) -> Embedder | None:
        """The dense similarity's; None where there is none."""
        return self.dense.embedder if isinstance(self.dense, EmbeddingSimilarity) else None

    def weights(self) -> OpenWeights:
        """Open weights.

        Raises:
            SettingsError: the model is behind an API.
        """
        if self.open_weights is None:
            raise SettingsError(
                f"the model {self.model.name!r} gives no access to its weights, which this method needs"
            )
        return self.open_weights


@dataclass(frozen=True, slots=True)
class Desk:
    """A bench as one method uses it for one person, with the meter of its calls.

    Args:
        bench: what there is.
        person: id of whom the calls are made for.
        seed: of the method's draws.
        meter: counts calls.
    """

    bench: Bench
    person: str
    seed: int
    meter: Meter

    @property
    def model(self) -> LanguageModel:
        """The answering model; every call is counted."""
        return self.called(self.bench.model)

    @property
    def optimizer(self) -> LanguageModel:
        """The model that writes prompts."""
        return self.called(self.bench.optimizer)

    @property
    def answerer(self) -> Answerer:
        """Answers as the benchmark's questions are put."""
        return Answerer(self.model, self.bench.answering)

    def other(self, model: LanguageModel, *, fingerprint: str) -> LanguageModel:
        """Return a model of the method's own, such as one that it trained, with its calls counted and kept nowhere."""
        return self.called(
            Source(model, model.name, fingerprint=fingerprint, price=self.bench.model.price, cached=False)
        )

    def called(self, source: Source) -> LanguageModel:
        """Return a model whose calls are counted here, and kept as the source says."""
        return self.bench.calls.model(source, owner=self.person, observer=self.meter)


def next_case(benchmark: Benchmark, case: Case) -> Case | None:
    """Return the person whose personalization is the control: the next of the cases, the first after the last.

    None where there is nobody else.
    """
    cases = benchmark.cases
    if len(cases) < 2:
        return None
    place = next(index for index, each in enumerate(cases) if each.user.id == case.user.id)
    return cases[(place + 1) % len(cases)]
