"""The control "insights": CHAMELEON's own insight about the person in the prompt, and no edit."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace

from idiolect.errors import SettingsError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.methods.chameleon.insights import GREEDY, InsightsInPrompt
from idiolect.models.similarity import Embedder


@dataclass(frozen=True, slots=True)
class InsightsMethod:
    """Writes the insights once a person; needs embeddings to choose what they are written from, and no open weights."""

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Have the model write."""
        written = await self._method(desk).fit(case.user)
        return Learned(written.insights)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model under the insight."""
        prompted = self._method(desk).prompted(learned.value)
        return Examinee.with_texts(prompted, desk.model, prompt=prompted.prompt)

    def _method(self, desk: Desk) -> InsightsInPrompt:
        embedder = self._embedder(desk.bench)
        settings = replace(GREEDY, seed=desk.seed)
        return InsightsInPrompt(desk.model, desk.bench.answering, embedder=embedder, settings=settings)

    def learning_key(self, bench: Bench) -> Hashable:
        """Return what decides on the insights.

        Raises:
            SettingsError: there are no embeddings.
        """
        return ("insights", self._embedder(bench).name)

    def _embedder(self, bench: Bench) -> Embedder:
        if bench.embedder is None:
            raise SettingsError("insights are written from items chosen by embeddings, and the similarity has none")
        return bench.embedder
