"""Methods that retrieve items, or have the model write texts, and put them before the question.

rag         the nearest items of the history, in LaMP's patterns
enrichment  LLM-Rec's method: the model writes about the person, and about each question
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.evaluate.methods.prompting import Nearness, nearness
from idiolect.evaluate.methods.spec import Overrides
from idiolect.methods.enrichment import Enriched, Enrichment, EnrichmentSettings
from idiolect.methods.personalization import Answer
from idiolect.methods.retrieval_augmented import RetrievalAugmented
from idiolect.methods.setting_changes import changed_by_text
from idiolect.methods.setting_checks import require
from idiolect.methods.templating import render
from idiolect.methods.texts import text_log_likelihoods
from idiolect.people.user import Question, User

_MAX_CHARS = 600  # maximum length of a text in the prompt


@dataclass(frozen=True, slots=True)
class Retrieval:
    """The method "rag".

    Raises:
        SettingsError: k is below 1.
    """

    k: int = 4
    nearness: Nearness = "bm25"

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")

    async def learn(self, case: Case, _desk: Desk) -> Learned:
        """Keep the person's history."""
        return Learned(case.user)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model with the nearest items; for texts, where there is no question, with the first texts."""
        user: User = learned.value
        similarity = nearness(desk.bench, self.nearness)
        found = RetrievalAugmented(desk.answerer, user.opinions, user.texts, k=self.k, similarity=similarity)
        values = {"opinions": [], "texts": list(user.texts[: self.k]), "max_chars": _MAX_CHARS}
        shown = render("retrieval_augmented.jinja", values) if user.texts else ""
        return Examinee.with_texts(found, desk.model, prompt=shown)


class EnrichedAnswers:
    """Respondent that writes its texts at the desk that asks, so that they are counted there; cached texts are free."""

    def __init__(self, user: User, desk: Desk, settings: EnrichmentSettings) -> None:
        self._user, self._desk, self._settings = user, desk, settings
        self._enriched: Enriched | None = None

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question."""
        return await (await self._fitted()).answer(questions)

    async def log_likelihoods(self, texts: Sequence[str], /, *, requests: Sequence[str] = ()) -> list[float]:
        """Return the log-likelihood of each text in nat per token, with the text about the person as prompt."""
        about = (await self._fitted()).about
        return await text_log_likelihoods(texts, self._desk.model, prompt=about, requests=requests)

    async def _fitted(self) -> Enriched:
        if self._enriched is None:
            enrichment = _enrichment(self._desk, self._settings)
            self._enriched = await enrichment.fit(self._user)
        return self._enriched


@dataclass(frozen=True, slots=True)
class EnrichmentMethod:
    """The method "enrichment"."""

    settings: EnrichmentSettings = field(default_factory=EnrichmentSettings)

    @classmethod
    def of(cls, overrides: Overrides) -> EnrichmentMethod:
        """Return the method with the settings in brackets."""
        return cls(changed_by_text(EnrichmentSettings(), overrides))

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Write the text about the person."""
        await _enrichment(desk, self.settings).fit(case.user)
        return Learned(case.user)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model with the enrichment in its prompt."""
        enriched = EnrichedAnswers(learned.value, desk, self.settings)
        return Examinee(enriched, enriched.log_likelihoods)


def _enrichment(desk: Desk, settings: EnrichmentSettings) -> Enrichment:
    return Enrichment(desk.answerer, desk.model, settings, similarity=desk.bench.bm25)
