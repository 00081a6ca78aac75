"""Opens what an evaluation works with: models, similarities, open weights where a method needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

from idiolect.cli.chameleon_learner import editable_model, fingerprint_of
from idiolect.cli.evaluation_config import EvaluationConfig
from idiolect.cli.fit_order import CallOrder, SettingsOrder, settings_of
from idiolect.cli.opening import embedder_of, opened_similarity, opened_sources, price_of
from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.methods.bench import Bench, OpenWeights
from idiolect.evaluate.plan import EvaluationOrder, entry_of, planned
from idiolect.methods.answering import Answerer, QuestionForm
from idiolect.methods.fermi.settings import FermiSettings, ProposerName
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.embedder import CalledEmbedder
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.turns import Turns
from idiolect.models.catalog import is_remote, lasting_name, price_name
from idiolect.models.similarity import EmbeddingSimilarity, Similarity

_WAY_OUT = "; --set similarity=bm25 does without embeddings"


@contextmanager
def opened_bench(
    config: EvaluationConfig, order: EvaluationOrder, benchmark: Benchmark, calls: CallOrder
) -> Iterator[Bench]:
    """Everything opened; closed at the end (connections: by `aclose_all`).

    Whatever can be wrong with names and settings is found out here, before anything is asked.

    Raises:
        SettingsError: a name means nothing, settings make no sense, or a method needs what the model hasn't got.
        ModelError: there is no such model, or it cannot be edited.
        MissingExtraError: packages are missing.
    """
    settings = fermi_settings(config, form_of(config, benchmark))
    names = (config.model, config.optimizer or config.model, *config.transfer)
    similarity = opened_similarity(lasting_name(settings.retrieval.similarity), calls, way_out=_WAY_OUT)
    with opened_sources(names, calls) as sources:
        model, optimizer = sources[config.model], sources[config.optimizer or config.model]
        Answerer(model.model, settings.answering)  # says now whether the model can answer this way
        needs_weights = any("weights" in entry_of(spec).needs for spec in order.methods)
        bench = Bench(
            benchmark=benchmark,
            answering=settings.answering,
            model=model,
            optimizer=optimizer,
            calls=Calls(Budget(), Turns(calls.concurrency)),
            fermi=settings,
            dense=None if embedder_of(similarity) is None else similarity,
            open_weights=_open_weights(config, model) if needs_weights else None,
            calls_per_person=config.calls_per_person,
        )
        others = {name: _with_model(bench, sources[name], config) for name in order.transfer}
        bench = replace(bench, transfer=others)
        for arm in planned(order):
            arm.learning_key(bench)  # makes its settings, which check themselves
        yield bench


def form_of(config: EvaluationConfig, benchmark: Benchmark) -> QuestionForm:
    """How questions are put: as the configuration says, or else the benchmark."""
    return config.form or benchmark.form


def fermi_settings(config: EvaluationConfig, form: QuestionForm = "labelled") -> FermiSettings:
    """What Fermi, OPRO and the ablations start from; its answering is that of every method.

    Raises:
        SettingsError: no such preset, or a combination that makes no sense.
    """
    proposers = tuple(config.proposers.split(",")) if config.proposers else None
    chosen = SettingsOrder(
        preset=config.preset,
        answering=config.answering,
        similarity=config.similarity,
        proposers=cast("tuple[ProposerName, ...] | None", proposers),
        iterations=config.iterations,
        max_tokens=config.max_tokens,
    )
    settings = settings_of(chosen, model=config.model, optimizer=config.optimizer)
    if config.normalization is not None:
        settings = replace(settings, answering=replace(settings.answering, normalization=config.normalization))
    return replace(settings, answering=replace(settings.answering, form=form))


def calling(bench: Bench, calls: Calls, order: CallOrder) -> Bench:
    """The bench with its models called through a run's cache and budget."""
    dense = _called(bench.dense, calls, order)
    others = {name: replace(other, calls=calls, dense=dense) for name, other in bench.transfer.items()}
    return replace(bench, calls=calls, dense=dense, transfer=others)


def unpriced(bench: Bench, order: CallOrder) -> list[str]:
    """Models that are called, for embeddings too, and whose price is not known."""
    sources = (bench.model, bench.optimizer, *(other.model for other in bench.transfer.values()))
    names = {source.name for source in sources if source.price is None}
    if bench.embedder is not None and is_remote(bench.embedder.name) and price_of(bench.embedder.name, order) is None:
        names.add(bench.embedder.name)
    return sorted(names)


def _called(similarity: Similarity | None, calls: Calls, order: CallOrder) -> Similarity | None:
    """A remote embedding model is called, and paid, like every other."""
    embedder = None if similarity is None else embedder_of(similarity)
    if embedder is None or not is_remote(embedder.name):
        return similarity
    known_as, price = price_name(embedder.name), price_of(embedder.name, order)
    return EmbeddingSimilarity(CalledEmbedder(calls, embedder, known_as=known_as, price=price, owner="evaluation"))


def _with_model(bench: Bench, source: Source, config: EvaluationConfig) -> Bench:
    """The same with another answering model, which writes its own prompts where no optimizer is named."""
    Answerer(source.model, bench.answering)
    return replace(bench, model=source, optimizer=bench.optimizer if config.optimizer else source, shared={})


def _open_weights(config: EvaluationConfig, source: Source) -> OpenWeights:
    if is_remote(config.model):
        raise SettingsError(f"a method needs open weights, and {config.model!r} is behind an API: leave it out")
    from idiolect.methods.chameleon.settings import preset

    return OpenWeights(
        editable_model(source),
        fingerprint_of(source),
        preset(config.chameleon_preset),
        pairs=config.pairs,
        pair_tokens=config.pair_tokens,
    )
