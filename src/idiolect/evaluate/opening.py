"""Opening the models and similarities of an evaluation, with open weights if a method needs them."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from idiolect.application.chameleon import editable_model
from idiolect.application.chameleon_starts import start_in
from idiolect.application.choices import FermiChoices, fermi_settings
from idiolect.application.model_pool import ModelPool, OpenModel, suggesting
from idiolect.application.presets import ChosenPreset, choose_preset
from idiolect.errors import Remedy, SettingsError
from idiolect.evaluate.benchmark import Benchmark
from idiolect.evaluate.configuration import EvaluationConfig
from idiolect.evaluate.group_edits import edit_presets
from idiolect.evaluate.methods.bench import Bench, OpenWeights
from idiolect.evaluate.methods.fermi import FermiMethod
from idiolect.evaluate.plan import EvaluationOptions, PlannedArm, entry_of, planned
from idiolect.methods.answering import Answerer, QuestionForm
from idiolect.methods.fermi.settings import FermiSettings, ProposerName
from idiolect.methods.setting_changes import changed
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.turns import Turns
from idiolect.models.catalog import is_remote

_OWNER = "evaluation"  # owner of calls for embeddings, which many people's questions share


async def open_bench(
    pool: ModelPool, config: EvaluationConfig, options: EvaluationOptions, benchmark: Benchmark
) -> Bench:
    """Open all models and similarities, which the pool closes, and check all names and settings.

    Raises:
        SettingsError: a name or a setting is invalid, or a method needs something that the model does not have.
        ModelError: there is no such model, or it cannot be edited.
        MissingExtraError: packages are missing.
    """
    chosen = None if config.preset else await choose_preset(pool, config.model, optimizer=config.optimizer)
    settings = start_settings(config, form_of(config, benchmark), chosen)
    with suggesting(Remedy("similarity", "bm25", "works without embeddings")):
        similarity = await pool.similarity(settings.retrieval.similarity)
    model, optimizer = await pool.model(config.model), await pool.model(config.optimizer or config.model)
    Answerer(model.model, settings.answering)  # fails now if the model cannot answer this way
    needs_weights = any("weights" in entry_of(spec).needs for spec in options.methods)
    bench = Bench(
        benchmark=benchmark,
        answering=settings.answering,
        model=model.source,
        optimizer=optimizer.source,
        calls=Calls(Budget(), Turns(pool.settings.concurrency)),
        fermi=settings,
        dense=None if similarity.embedder is None else similarity.similarity,
        open_weights=await _open_weights(config, model) if needs_weights else None,
        calls_per_person=config.calls_per_person,
        chosen=chosen,
    )
    others = {name: _with_model(bench, (await pool.model(name)).source, config) for name in options.transfer}
    bench = replace(bench, transfer=others)
    for arm in planned(options):
        _check(arm, bench)
    return bench


def _check(arm: PlannedArm, bench: Bench) -> None:
    """Check the settings of an arm; an error names its method."""
    try:
        arm.learning_key(bench)  # creates the arm's settings, which checks them
        if isinstance(arm.method, FermiMethod):
            arm.method.check_limit(bench)
    except SettingsError as error:
        raise SettingsError(f"{arm.spec}: {error}", remedy=error.remedy) from error


async def calling(bench: Bench, calls: Calls, pool: ModelPool) -> Bench:
    """Return the bench with calls of its models through a run's cache and budget."""
    similarity = await pool.similarity(bench.fermi.retrieval.similarity)
    dense = None if bench.dense is None else similarity.called(calls, _OWNER)
    others = {name: replace(other, calls=calls, dense=dense) for name, other in bench.transfer.items()}
    return replace(bench, calls=calls, dense=dense, transfer=others)


def keeping_prompts(bench: Bench) -> Bench:
    """Return the bench, and those with other models, with answers that hold the messages that they answer."""
    others = {name: replace(other, keeps_prompts=True) for name, other in bench.transfer.items()}
    return replace(bench, keeps_prompts=True, transfer=others)


def form_of(config: EvaluationConfig, benchmark: Benchmark) -> QuestionForm:
    """Return the form of questions: the configuration's, or otherwise the benchmark's."""
    return config.form or benchmark.form


def start_settings(
    config: EvaluationConfig, form: QuestionForm = "labelled", chosen: ChosenPreset | None = None
) -> FermiSettings:
    """Return the initial settings of Fermi, OPRO and the ablations; all methods use their answering settings.

    Raises:
        SettingsError: there is no such preset, or a combination of settings is invalid.
    """
    proposers = tuple(config.proposers.split(",")) if config.proposers else None
    choices = FermiChoices(
        preset=config.preset,
        answering=config.answering,
        similarity=config.similarity,
        proposers=cast("tuple[ProposerName, ...] | None", proposers),
        iterations=config.iterations,
        max_tokens=config.max_tokens,
    )
    settings = fermi_settings(choices, model=config.model, optimizer=config.optimizer, chosen=chosen)
    normalization = {} if config.normalization is None else {"answering.normalization": config.normalization}
    return changed(settings, {"answering.form": form, "answering.output_rule": config.output_rule, **normalization})


def _with_model(bench: Bench, source: Source, config: EvaluationConfig) -> Bench:
    """Return the bench with another answering model, which also writes prompts if no optimizer is named."""
    Answerer(source.model, bench.answering)
    return replace(bench, model=source, optimizer=bench.optimizer if config.optimizer else source, shared={})


async def _open_weights(config: EvaluationConfig, opened: OpenModel) -> OpenWeights:
    if is_remote(config.model):
        raise SettingsError(
            f"a method needs open weights, but {config.model!r} is behind an API: leave this method out"
        )
    from idiolect.methods.chameleon.settings import preset

    fingerprint = opened.fingerprint()
    start = await start_in(config.from_group, config.model, fingerprint, editable_model(opened))
    with_texts, without_texts = edit_presets(config)
    return OpenWeights(
        editable_model(opened),
        fingerprint,
        preset(with_texts),
        start,
        pairs=config.pairs,
        pair_tokens=config.pair_tokens,
        settings_without_texts=None if without_texts == with_texts else preset(without_texts),
    )
