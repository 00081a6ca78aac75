"""From names to Fermi, ready to work: the models, the similarity and the settings that belong together.

The one place where `fit`, `ask`, `demo` and `users add-opinion` put Fermi together; `opening` opens what it needs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

from idiolect.cli.fit_order import CallOrder
from idiolect.cli.opening import (
    aclose_all,
    check_models,
    check_similarity,
    embedder_of,
    notes_of,
    opened_similarity,
    opened_sources,
    price_of,
)
from idiolect.methods.answering import Answerer
from idiolect.methods.baselines import FixedPrompt
from idiolect.methods.checkpoints import CheckpointSink
from idiolect.methods.fermi.gate import respondent
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Observer, ignore_progress
from idiolect.models.calls.embedder import CalledEmbedder
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.prices import Price
from idiolect.models.catalog import is_remote, lasting_name, price_name, server_of
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import EmbeddingSimilarity, Similarity
from idiolect.people.user import User

_SEVERAL = "several"  # learned with other models than it was begun with: no run's own result


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything opened.

    Args:
        settings: what the models are used with.
        model: the frozen model `M`.
        optimizer: `M_opt`; may be the same.
        similarity: of questions.
        similarity_price: of a remote embedding model; None where it isn't known, or there is none.
        calls: cache, budget and turns of the run; None: models are called as they are.
    """

    settings: FermiSettings
    model: Source
    optimizer: Source
    similarity: Similarity
    similarity_price: Price | None = None
    calls: Calls | None = None

    @property
    def remote(self) -> bool:
        """Some of the calls go to a server, so that many users are learned side by side."""
        return self.model.remote or self.optimizer.remote

    def calling(self, calls: Calls) -> Workbench:
        """The same, with its models called through `calls`."""
        return replace(self, calls=calls)

    def answerer(self, owner: str) -> Answerer:
        """`M`, as it is called for one user."""
        return Answerer(self._called(self.model, owner), self.settings.answering)

    async def check_models(self) -> None:
        """Find out whether remote models can be reached at all, before every user fails one by one.

        Raises:
            ModelError: nobody answers there, or the key is refused.
        """
        await check_models(self._models)

    async def check_similarity(self) -> None:
        """Find out whether the similarity can be had: an embedding model is opened only at its first text.

        Raises:
            ModelError: it cannot be had; the message says what can.
            MissingExtraError: it needs packages that are not installed.
        """
        await check_similarity(self.similarity, way_out=_way_out(self.settings))

    async def fit(
        self, user: User, *, observer: Observer = ignore_progress, checkpoints: CheckpointSink | None = None
    ) -> FermiPersonalization:
        """Learn the user's prompts; the result names the models so that they can be opened again.

        Raises:
            PersonalizationError: this user gave nothing to learn from.
            ModelError: a model could not answer.
            HaltedError: the run was told to stop before anything was learned.
        """
        learned = await self._fermi(user.id).fit(user, observer=observer, checkpoints=checkpoints)
        return replace(self.named(learned), made_with=self.made_with)

    async def extend(
        self,
        learned: FermiPersonalization,
        user: User,
        *,
        iterations: int,
        observer: Observer = ignore_progress,
        checkpoints: CheckpointSink | None = None,
    ) -> FermiPersonalization:
        """Go on from what was learned, after the user's opinions changed; see `Fermi.extend`.

        Raises:
            PersonalizationError: no opinion is left to score with.
            ModelError: a model could not answer.
            HaltedError: the run was told to stop before the memory was scored anew.
        """
        fermi, now = self._fermi(user.id), self.made_with
        after = await fermi.extend(learned, user, iterations=iterations, observer=observer, checkpoints=checkpoints)
        if after is learned:
            return learned
        unknown = "" in (learned.made_with, now)
        made_with = "" if unknown else now if now == learned.made_with else _SEVERAL
        return replace(self.named(after), made_with=made_with)

    def named(self, learned: FermiPersonalization) -> FermiPersonalization:
        """With the names that open its models again, from any folder."""
        optimizer = None if learned.optimizer is None else self.optimizer.name
        return replace(learned, model=self.model.name, optimizer=optimizer)

    def made(self, learned: FermiPersonalization) -> bool:
        """Whether it was learned with these settings and these models, as far as is known of them."""
        same = self.named(learned) == learned and learned.settings == self.settings
        return same and (learned.made_with == self.made_with or "" in (learned.made_with, self.made_with))

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells these models from all others: lasting names, servers, and hashes of weights where they are known.

        A server's URL is in it because `openai:NAME` may mean another one tomorrow.
        """
        similarity = self.settings.retrieval.similarity
        models = [part for source in self._learns_with for part in (source.name, source.fingerprint)]
        return *models, server_of(similarity) if is_remote(similarity) else ""

    @property
    def made_with(self) -> str:
        """A digest of `identity`; "" where the weights of a model are not known."""
        known = all(source.fingerprint for source in self._learns_with)
        return sha256(json.dumps(self.identity).encode()).hexdigest() if known else ""

    @property
    def _learns_with(self) -> tuple[Source, ...]:
        return (self.model, self.optimizer) if "llm" in self.settings.proposers else (self.model,)

    def respondent(self, learned: FermiPersonalization) -> RetrievalOfPrompt | FixedPrompt:
        """What answers for the user: the learned prompts, or the base model where the evidence speaks for it."""
        return respondent(learned, self.answerer(learned.user_id), self.similarity_of(learned.user_id))

    def similarity_of(self, owner: str) -> Similarity:
        """The similarity of questions, as it is computed for one user."""
        name, embedder = self.settings.retrieval.similarity, embedder_of(self.similarity)
        if self.calls is None or embedder is None or not is_remote(name):
            return self.similarity
        known_as, price = price_name(name), self.similarity_price
        return EmbeddingSimilarity(CalledEmbedder(self.calls, embedder, known_as=known_as, price=price, owner=owner))

    def unpriced(self) -> list[str]:
        """Remote models that are called and whose price is not known."""
        names = {source.name for source in (self.model, self.optimizer) if source.price is None}
        similarity = self.settings.retrieval.similarity
        if is_remote(similarity) and self.similarity_price is None:
            names.add(similarity)
        return sorted(names)

    async def aclose(self) -> None:
        """Close connections; in the event loop in which they were opened."""
        await aclose_all((*self._models, embedder_of(self.similarity)))

    def notes(self) -> list[str]:
        """What the models have to say about how they were used, for the end of a run."""
        return notes_of(self._models)

    @property
    def _models(self) -> tuple[LanguageModel, ...]:
        return self.model.model, self.optimizer.model

    def _fermi(self, owner: str) -> Fermi:
        optimizer = self._called(self.optimizer, owner)
        similarity = self.similarity_of(owner)
        answerer, identity = self.answerer(owner), self.identity
        return Fermi(answerer, self.settings, optimizer=optimizer, similarity=similarity, identity=identity)

    def _called(self, source: Source, owner: str) -> LanguageModel:
        return source.model if self.calls is None else self.calls.model(source, owner=owner)


@contextmanager
def opened(
    settings: FermiSettings,
    *,
    model: str,
    optimizer: str | None = None,
    order: CallOrder | None = None,
) -> Iterator[Workbench]:
    """Open the models by name; they are closed at the end (connections: by `Workbench.aclose`).

    Args:
        settings: of the method.
        model: the answering model.
        optimizer: None: the answering model.
        order: how models may be called; None: local ones as they are, with nothing kept.

    Raises:
        SettingsError: a name means nothing, or the model cannot answer as the settings want it.
        ModelError: there is no such model.
        MissingExtraError: a model needs packages that are not installed.
    """
    optimizer = model if optimizer is None else optimizer
    name = lasting_name(settings.retrieval.similarity)
    settings = replace(settings, retrieval=replace(settings.retrieval, similarity=name))
    with opened_sources((model, optimizer), order) as sources:
        Answerer(sources[model].model, settings.answering)  # says now whether the model can answer this way
        price = price_of(name, order) if is_remote(name) else None
        similarity = opened_similarity(name, order, way_out=_way_out(settings))
        yield Workbench(settings, sources[model], sources[optimizer], similarity, price)


def _way_out(settings: FermiSettings) -> str:
    name = settings.retrieval.similarity
    if settings.preset == "paper" and name not in ("minilm", "bm25"):
        return "; idiolect fit --preset paper-offline is the same with the bundled embeddings"
    return "; idiolect fit --similarity bm25 does without embeddings" if name == "minilm" else ""
