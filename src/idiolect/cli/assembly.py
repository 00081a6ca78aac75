"""From names to a method that is ready to work: the models, the similarity and the settings that belong together.

The one place where `fit`, `ask` and `demo` open models; whatever can be wrong with a name is found out here, before
anything is learned or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from idiolect.cli.progress import waiting
from idiolect.errors import MissingExtraError, ModelError
from idiolect.methods.answering import Answerer
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.methods.personalization import Observer, ignore_progress
from idiolect.models.catalog import open_model, open_similarity
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Similarity
from idiolect.people.user import User

_REPLAY = "replay:"
_OWN_NAMES = ("embedded", "minilm", "bm25")  # never folders, whatever lies in the working directory


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything opened.

    Args:
        settings: what the models are used with.
        answerer: the frozen model `M`.
        optimizer: `M_opt`; may be the same model.
        similarity: of questions.
        model_name, optimizer_name: what opens these models again, from any folder.
    """

    settings: FermiSettings
    answerer: Answerer
    optimizer: LanguageModel
    similarity: Similarity
    model_name: str
    optimizer_name: str

    async def check_similarity(self) -> None:
        """Load the similarity, which does so only at its first text.

        Raises:
            ModelError: it cannot be had; the message says what can.
            MissingExtraError: it needs packages that are not installed.
        """
        try:
            with waiting("opening the similarity"):
                await self.similarity.similarity(["a question"], ["a question"])
        except (MissingExtraError, ModelError) as error:
            raise type(error)(f"{error}{_way_out(self.settings)}") from error

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> FermiPersonalization:
        """Learn the user's prompts; the result names the models so that they can be opened again.

        Raises:
            PersonalizationError: this user gave nothing to learn from.
            ModelError: a model could not answer.
        """
        fermi = Fermi(self.answerer, self.settings, optimizer=self.optimizer)
        learned = await fermi.fit(user, observer=observer)
        optimizer = None if learned.optimizer is None else self.optimizer_name
        return replace(learned, model=self.model_name, optimizer=optimizer)

    def respondent(self, learned: FermiPersonalization) -> RetrievalOfPrompt:
        """What answers with the learned prompts."""
        return RetrievalOfPrompt(learned, self.answerer, self.similarity)


@contextmanager
def opened(settings: FermiSettings, *, model: str, optimizer: str | None = None) -> Iterator[Workbench]:
    """Open the models by name; they are closed at the end.

    Args:
        settings: of the method.
        model: the answering model.
        optimizer: None: the answering model.

    Raises:
        SettingsError: a name means nothing, or the model cannot answer as the settings want it.
        ModelError: there is no such model.
        MissingExtraError: a model needs packages that are not installed.
    """
    optimizer = model if optimizer is None else optimizer
    names = dict.fromkeys((model, optimizer))
    similarity_name = lasting_name(settings.retrieval.similarity)
    settings = replace(settings, retrieval=replace(settings.retrieval, similarity=similarity_name))
    models: dict[str, LanguageModel] = {}
    try:
        with waiting("opening the models"):
            for name in names:
                models[name] = open_model(name)
        yield Workbench(
            settings=settings,
            answerer=Answerer(models[model], settings.answering),
            optimizer=models[optimizer],
            similarity=_open_similarity(settings),
            model_name=lasting_name(model),
            optimizer_name=lasting_name(optimizer),
        )
    finally:
        for each in models.values():
            close = getattr(each, "close", None)  # only models that hold something have it
            if close is not None:
                close()


def _open_similarity(settings: FermiSettings) -> Similarity:
    try:
        return open_similarity(settings.retrieval.similarity)
    except MissingExtraError as error:
        raise MissingExtraError(f"{error}{_way_out(settings)}") from error


def _way_out(settings: FermiSettings) -> str:
    name = settings.retrieval.similarity
    if settings.preset == "paper" and name not in ("minilm", "bm25"):
        return "; idiolect fit --preset paper-offline is the same with the bundled embeddings"
    return "; idiolect fit --similarity bm25 does without embeddings" if name == "minilm" else ""


def lasting_name(name: str) -> str:
    """The name of a model, with a path made absolute: it has to mean the same in another folder, another day."""
    if name in _OWN_NAMES or not name.strip():
        return name
    if name.startswith(_REPLAY):
        return _REPLAY + str(Path(name.removeprefix(_REPLAY)).expanduser().absolute())
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name
