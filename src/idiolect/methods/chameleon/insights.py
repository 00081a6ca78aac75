"""A control of CHAMELEON: its insight c_P stands in the system prompt, and nothing is edited.

What the edit is worth shows in comparison with this: the insight alone can already make a model answer as the user
would (arXiv 2503.01048, Section 3.1, writes it). Only `preferences` and `history` are asked, no activations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from idiolect.methods.answering import Answerer, AnsweringSettings, PromptedQuestion
from idiolect.methods.chameleon.history import history_items, select_history
from idiolect.methods.chameleon.preferences import Insights, write_insights
from idiolect.methods.chameleon.settings import GenerationSettings
from idiolect.methods.personalization import Answer, Observer, Progress, ignore_progress
from idiolect.methods.templating import render
from idiolect.models.language_model import CompletionModel, LanguageModel, Usage
from idiolect.models.similarity import Embedder
from idiolect.people.user import Question, User

GREEDY = GenerationSettings(temperature=0.0)


class InsightsInPrompt:
    """Writes CHAMELEON's insights of a person's history, and prompts with the personalized one.

    Args:
        model: answers, unedited.
        answering: how questions are put; the prompt is the system message whatever `prompt_role` is here.
        embedder: of the history's items.
        settings: of the history and the insights; those of CHAMELEON, but greedy.

    Raises:
        SettingsError: the model can't answer in the mode of `answering`.
    """

    def __init__(
        self,
        model: LanguageModel,
        answering: AnsweringSettings,
        *,
        embedder: Embedder,
        settings: GenerationSettings = GREEDY,
    ) -> None:
        self._answerer = Answerer(model, replace(answering, prompt_role="system"))
        self._embedder, self._settings = embedder, settings
        self._writer: CompletionModel = model

    async def fit(self, user: User, *, observer: Observer = ignore_progress) -> InsightPrompted:
        """Write the insights: two calls, as CHAMELEON makes them.

        Raises:
            PersonalizationError: the model had nothing to say.
            ModelError: the model or the embedder could not answer.
        """
        observer(Progress(user.id, "writing insights", 0, 1))
        items = history_items(user, max_chars=self._settings.max_item_chars)
        chosen = await select_history(items, self._embedder, k=self._settings.history_items)
        insights, usage = await write_insights([items[i] for i in chosen], self._writer, self._settings)
        observer(Progress(user.id, "done", 1, 1, usage=usage))
        return self.prompted(insights, usage)

    def prompted(self, insights: Insights, usage: Usage = Usage()) -> InsightPrompted:
        """Answers under insights that were written before, such as those of a `ChameleonPersonalization`."""
        return InsightPrompted(self._answerer, insights, usage)


class InsightPrompted:
    """Answers under one person's insight.

    Attributes:
        insights: both; only the personalized one is in the prompt.
        prompt: the system message.
        usage: what writing them cost.
    """

    def __init__(self, answerer: Answerer, insights: Insights, usage: Usage) -> None:
        self.insights, self.usage = insights, usage
        self.prompt = render("insight_prompt.jinja", {"insight": insights.personalized})
        self._answerer = answerer

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask all questions under the insight."""
        asked = [PromptedQuestion(self.prompt, question) for question in questions]
        return [Answer(response) for response in await self._answerer.answer(asked)]
