"""Requests as token ids, checked against the context, and results with their usage; between `local` and passes."""

from __future__ import annotations

from collections.abc import Sequence

from idiolect.errors import ContextLengthError, ModelError
from idiolect.models.activations import EncodedText
from idiolect.models.answer_likelihood import Target
from idiolect.models.chat_format import ChatFormat
from idiolect.models.edits import Edit
from idiolect.models.generation import EncodedPrompt, Generated, Listener
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    ChosenAnswer,
    Completion,
    CompletionRequest,
    Message,
    Usage,
)
from idiolect.models.network import Network
from idiolect.models.scoring import EncodedChoices, ScoredChoices


class RequestEncoder:
    """The encoder of one model's requests. Its methods raise ModelError if a request does not fit into the context."""

    def __init__(self, chat_format: ChatFormat, network: Network) -> None:
        self._format, self._network = chat_format, network

    def prompt(self, request: CompletionRequest, edit: Edit | None, listener: Listener | None = None) -> EncodedPrompt:
        """Encode a request to write; `listener` reads the text while it is being written."""
        prompt = self._prompt(request.messages, request.prefill, thinking=request.thinking)
        self._network.check_length(len(prompt), request.sampling.max_tokens, "the completion")
        return EncodedPrompt(prompt, request.sampling, request.draw, edit, listener)

    def choices(self, request: ChoiceRequest, edit: Edit | None) -> EncodedChoices:
        """Encode a request for the likelihood of choices, which are no part of a thought."""
        prompt = self._prompt(request.messages, request.prefill, thinking=False)
        item = EncodedChoices(prompt, tuple(map(self._format.text_ids, request.choices)), edit)
        self._network.check_length(len(prompt), item.longest - len(prompt), "a choice")
        return item

    def text(self, messages: Sequence[Message], answer: str) -> EncodedText:
        """Encode a chat with the assistant's answer, which is no part of a thought."""
        prompt, rest = self._prompt(messages, "", thinking=False), self._format.text_ids(answer)
        self._network.check_length(len(prompt), len(rest), "the answer")
        return EncodedText(prompt + rest, start=len(prompt))

    def targets(self, answers: Sequence[ChosenAnswer]) -> list[Target]:
        """Encode answers whose likelihood is to be differentiated.

        Raises:
            ValueError: there are no answers.
        """
        if not answers:
            raise ValueError("no answers to learn from: expected at least one")
        return [self._target(answer) for answer in answers]

    def _prompt(self, messages: Sequence[Message], prefill: str, *, thinking: bool | None) -> tuple[int, ...]:
        """Return the tokens of a prompt, unless it has more characters than so many tokens can hold.

        Such a prompt is not tokenized: that takes a minute for 20 MB without a space.
        """
        limit, characters = self._network.max_length, sum(len(message.content) for message in messages)
        if limit is not None and characters > limit * self._format.longest_token:
            raise ContextLengthError(
                f"the prompt has {characters:,} characters; the model can read at most {limit} tokens", limit=limit
            )
        return self._format.prompt_ids(messages, prefill, thinking=thinking)

    def _target(self, answer: ChosenAnswer) -> Target:
        item = self.choices(answer.request, None)
        if not all(item.choices):
            raise ModelError("an answer has no tokens")
        return Target(item.prompt, item.choices, answer.chosen)


def completion_of(item: EncodedPrompt, row: Generated) -> Completion:
    """Return a generated row as a completion."""
    usage = Usage(1, prompt_tokens=len(item.prompt), completion_tokens=row.n_tokens, computed_tokens=row.computed)
    return Completion(row.text, row.finish_reason, usage)


def choice_logprobs_of(item: EncodedChoices, scores: ScoredChoices) -> ChoiceLogProbs:
    """Return scored choices with their numbers of tokens."""
    usage = Usage(1, prompt_tokens=item.n_tokens, computed_tokens=scores.computed)
    return ChoiceLogProbs(scores.logprobs, tuple(map(len, item.choices)), usage)
