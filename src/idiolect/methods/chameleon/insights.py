"""A control for CHAMELEON: its insight c_P is the system prompt, and nothing is edited.

This shows the value of the edit by comparison, because the insight (arXiv 2503.01048, Section 3.1) can by itself make a
model answer as the user would. Only `preferences` and `history` are used, and no activations.
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

GREEDY = GenerationSettings(whole_sentences=True, temperature=0.0)


class InsightsInPrompt:
    """The method that writes CHAMELEON's insights from a person's history, and prompts with the personalized one.

    Args:
        model: the unedited model, which answers.
        answering: form of questions and answers; the prompt is the system message, whatever `prompt_role` is.
        embedder: embeds history items.
        settings: settings of the history and the insights; by default those of CHAMELEON, but greedy.

    Raises:
        SettingsError: the model does not support the mode of `answering`.
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
        """Write the insights with the same two calls as CHAMELEON.

        Raises:
            PersonalizationError: the model wrote no insight.
            ModelError: the model or the embedder could not answer.
        """
        observer(Progress(user.id, "writing insights", 0, 1))
        items = history_items(user, max_chars=self._settings.max_item_chars)
        chosen = await select_history(items, self._embedder, k=self._settings.history_items)
        insights, usage = await write_insights([items[i] for i in chosen], self._writer, self._settings)
        observer(Progress(user.id, "done", 1, 1, usage=usage))
        return self.prompted(insights, usage)

    def prompted(self, insights: Insights, usage: Usage = Usage()) -> InsightPrompted:
        """Return a respondent for insights written earlier, such as those of a `ChameleonPersonalization`."""
        return InsightPrompted(self._answerer, insights, usage)


class InsightPrompted:
    """Respondent with one person's insight as prompt.

    Attributes:
        insights: both insights; only the personalized one is in the prompt.
        prompt: the system message.
        usage: cost of writing the insights.
    """

    def __init__(self, answerer: Answerer, insights: Insights, usage: Usage) -> None:
        self.insights, self.usage = insights, usage
        self.prompt = render("insight_prompt.jinja", {"insight": insights.personalized})
        self._answerer = answerer

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Ask all questions with the insight as prompt."""
        asked = [PromptedQuestion(self.prompt, question) for question in questions]
        return [Answer(response) for response in await self._answerer.answer(asked)]
