"""Answers of a frozen model to a question with a prompt: `M(q; p)`.

There are two modes: `generate` (greedy text, as in the paper, which `methods.reading` reads) and `likelihood` (the
choice with the highest log-probability, for small local models). Free text is always generated. Likelihoods are
normalized by

    sum    log p(c | p, q)
    mean   log p(c | p, q) / n_tokens(c)
    pmi    log p(c | p, q) − log p(c | no question)     (unconditional-corrected)

because sums favour short choices. A tie goes to the choice that comes first.

A question has one of two forms: labelled ("Question: …", "Choices: …", and "Answer:", which the model continues), or
verbatim, which is its text and nothing else, for benchmarks whose questions contain their own instruction and choices.

Where a reply is generated, an output rule stands behind the choices of a labelled question: reply with one of them
only. It is no part of any prompt, so every prompt, learned or not, is followed by the same one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from idiolect.errors import ContextLengthError, Remedy, SettingsError
from idiolect.methods.reading.lamp import has_lamps_labels, read_label
from idiolect.methods.reading.reader import read_choice
from idiolect.methods.setting_checks import require, require_one_of
from idiolect.methods.templating import render
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceModel,
    ChoiceRequest,
    CompletionModel,
    CompletionRequest,
    Message,
    SamplingParams,
    Usage,
)
from idiolect.models.thoughts import after_thoughts
from idiolect.people.user import Opinion, Question

_PREFILL = "Answer:"
_NUMBER = re.compile(r"\s*[+-]?\d+(?:[.,]\d+)?\s*")
_LARGER = Remedy("model", "NAME", "answers with a model that has a larger context")

Mode = Literal["generate", "likelihood"]
Normalization = Literal["sum", "mean", "pmi"]
PromptRole = Literal["system", "user"]
QuestionForm = Literal["labelled", "verbatim"]


@dataclass(frozen=True, slots=True)
class AnsweringSettings:
    """Settings for the form of questions and the reading of answers.

    Args:
        mode: "generate" or "likelihood".
        normalization: normalization of a choice's log-probability; only for likelihood mode.
        max_tokens: maximum number of tokens in a generated answer.
        show_choices: list the choices in the question (generate mode always does).
        prompt_role: "system": the prompt is the system message; "user": it precedes the question.
        form: "labelled" or "verbatim". A verbatim question is only its text, whatever `show_choices` is, and a
            demonstration is the text, a line break and the answer; in likelihood mode, a choice begins the model's
            turn.
        output_rule: ask for one of the choices and nothing else (ours in its words; both re-implementations of Fermi
            have such a rule). It stands behind the choices of a labelled question whose answer is generated, whatever
            the prompt is, and never in demonstrations. In likelihood mode nothing is replied, and a verbatim question
            has its own instruction, so there is no rule; nor is there one for free text.

    Raises:
        SettingsError: a value is invalid.
    """

    mode: Mode = "generate"
    normalization: Normalization = "sum"
    max_tokens: int = 64
    show_choices: bool = True
    prompt_role: PromptRole = "user"
    form: QuestionForm = "labelled"
    output_rule: bool = True

    def __post_init__(self) -> None:
        require_one_of(Mode, "answering.mode", self.mode)
        require_one_of(Normalization, "answering.normalization", self.normalization)
        require(self.max_tokens >= 1, "answering.max_tokens", self.max_tokens, "at least 1")
        require_one_of(PromptRole, "answering.prompt_role", self.prompt_role)
        require_one_of(QuestionForm, "answering.form", self.form)

    @property
    def rule_applies(self) -> bool:
        """Whether questions with choices are followed by the output rule."""
        return self.output_rule and self.mode == "generate" and self.form == "labelled"

    @property
    def in_effect(self) -> AnsweringSettings:
        """The same settings, with `output_rule` off where it changes nothing; for comparisons."""
        return replace(self, output_rule=self.rule_applies)


@dataclass(frozen=True, slots=True)
class PromptedQuestion:
    """A question with its prompt, which is already rendered ("": no prompt)."""

    prompt: str
    question: Question


@dataclass(frozen=True, slots=True)
class Response:
    """One answer of the model.

    Args:
        text: the model's text without its thoughts; in likelihood mode, the choice.
        answer: the choice that was read, the text itself for free text, or None if no choice could be read.
        scores: normalized log-probability of each choice; empty in generate mode.
        usage: cost of the answer.
        logprobs: log-probability of each choice before it is normalized, in nat; empty in generate mode.
        messages: messages that were answered; empty unless the answerer keeps prompts.
        cut_off: whether the text ended because its tokens were used up.
        filtered: whether a content filter refused the question or withheld the answer.
    """

    text: str
    answer: str | None
    scores: tuple[float, ...] = ()
    usage: Usage = field(default=Usage(), compare=False)
    logprobs: tuple[float, ...] = field(default=(), compare=False)
    messages: tuple[Message, ...] = field(default=(), compare=False, repr=False)
    cut_off: bool = field(default=False, compare=False)
    filtered: bool = field(default=False, compare=False)


def with_stored_rule(settings: Any) -> Any:
    """Return a method's stored settings, plain JSON; if they are from before the output rule, it is off in them.

    What was learned without the rule is thereby asked as it was learned.
    """
    answering = settings.get("answering", {}) if isinstance(settings, Mapping) else None
    if not isinstance(answering, Mapping) or "output_rule" in answering:
        return settings  # up to date, or damaged, which validation reports
    return {**settings, "answering": {**answering, "output_rule": False}}


def are_numbers(choices: Sequence[str]) -> bool:
    """Return whether there are choices, and all are numbers, such as stars."""
    return bool(choices) and all(_NUMBER.fullmatch(choice) for choice in choices)


def question_block(question: Question, settings: AnsweringSettings, *, answer: str | None = None) -> str:
    """Return the question in the form that the model sees, without the output rule; with `answer`, as demonstration."""
    return _block(question, settings.form, settings.show_choices or settings.mode == "generate", answer, False)


def asked_block(question: Question, settings: AnsweringSettings) -> str:
    """Return the question as it is put to the model: in its form, with the output rule where that applies."""
    shows_choices = settings.show_choices or settings.mode == "generate"
    return _block(question, settings.form, shows_choices, None, settings.rule_applies)


@lru_cache(maxsize=8192)  # one person's opinions are rendered thousands of times
def _block(question: Question, form: QuestionForm, show_choices: bool, answer: str | None, ruled: bool) -> str:
    if form == "verbatim":
        return render("question_verbatim.jinja", {"question": question, "answer": answer})
    rule = None if not (ruled and question.choices) else "number" if are_numbers(question.choices) else "choice"
    values = {"question": question, "show_choices": show_choices, "answer": answer, "rule": rule}
    return render("question.jinja", values)


def demonstration_block(opinions: Sequence[Opinion], settings: AnsweringSettings) -> str:
    """Return opinions as question/answer examples, in the order given."""
    return "\n\n".join(question_block(o.question, settings, answer=o.answer) for o in opinions)


def choice_request(messages: tuple[Message, ...], question: Question, settings: AnsweringSettings) -> ChoiceRequest:
    """Return the request for the likelihood of each choice.

    In labelled form, a choice follows "Answer:" and starts with a space, so that it is tokenized as in running text. In
    verbatim form, it begins the assistant's turn, where chat models write no space.
    """
    if settings.form == "verbatim":
        return ChoiceRequest(messages, question.choices)
    return ChoiceRequest(messages, tuple(f" {choice}" for choice in question.choices), _PREFILL)


class Answerer:
    """One frozen model with its answering settings, which answers questions with prompts.

    Args:
        model: the model.
        settings: form of questions, and reading of answers.
        keeps_prompts: whether a response holds the messages that it answers, which takes memory.

    Raises:
        SettingsError: likelihood mode with a model without log-probabilities, or generate mode with a model that does
            not write text.
    """

    def __init__(
        self, model: CompletionModel | ChoiceModel, settings: AnsweringSettings, *, keeps_prompts: bool = False
    ) -> None:
        if settings.mode == "likelihood" and not isinstance(model, ChoiceModel):
            message = f"model {model.name!r} gives no log-probabilities"
            raise SettingsError(message, remedy=Remedy("answering", "generate"))
        if settings.mode == "generate" and not isinstance(model, CompletionModel):
            raise SettingsError(f"model {model.name!r} writes no text", remedy=Remedy("answering", "likelihood"))
        self._model, self.model_name = model, model.name
        self.settings, self._keeps_prompts = settings, keeps_prompts
        self._unconditional: dict[tuple[str, ...], ChoiceLogProbs] = {}

    async def answer(self, asked: Sequence[PromptedQuestion]) -> list[Response]:
        """Return one response per question, in order. Questions with the same prompt share a prefix in one call.

        Raises:
            ContextLengthError: a question with its prompt is longer than the model can read.
            ModelError: the model could not answer.
            SettingsError: a free-text question was asked of a model that does not write text.
        """
        try:
            return await self._answer(asked)
        except ContextLengthError as error:
            raise error.of("a question with its prompt, for the answering model,", _LARGER) from None

    async def _answer(self, asked: Sequence[PromptedQuestion]) -> list[Response]:
        by_likelihood = [self.settings.mode == "likelihood" and bool(a.question.choices) for a in asked]
        scored = iter(await self._score([a for a, chosen in zip(asked, by_likelihood, strict=True) if chosen]))
        texts = iter(await self._generate([a for a, chosen in zip(asked, by_likelihood, strict=True) if not chosen]))
        return [next(scored) if chosen else next(texts) for chosen in by_likelihood]

    def _messages(self, asked: PromptedQuestion) -> tuple[Message, ...]:
        block = asked_block(asked.question, self.settings)
        if not asked.prompt:
            return (Message("user", block),)
        if self.settings.prompt_role == "system":
            return (Message("system", asked.prompt), Message("user", block))
        return (Message("user", f"{asked.prompt}\n\n{block}"),)

    async def _generate(self, asked: Sequence[PromptedQuestion]) -> list[Response]:
        if not asked:
            return []
        if not isinstance(self._model, CompletionModel):
            raise SettingsError(f"model {self._model.name!r} writes no text, so it cannot answer free-text questions")
        sampling = SamplingParams(max_tokens=self.settings.max_tokens)
        requests = [CompletionRequest(self._messages(a), sampling) for a in asked]
        responses = []
        for one, completion in zip(asked, await self._model.complete(requests), strict=True):
            text = after_thoughts(completion.text).text.strip()
            answer = self._read(text, one.question) if one.question.choices else text
            reason = completion.finish_reason
            responses.append(
                Response(
                    text,
                    answer,
                    usage=completion.usage,
                    messages=self._kept(one),
                    cut_off=reason == "length",
                    filtered=reason == "content_filter",
                )
            )
        return responses

    def _kept(self, asked: PromptedQuestion) -> tuple[Message, ...]:
        return self._messages(asked) if self._keeps_prompts else ()

    def _read(self, text: str, question: Question) -> str | None:
        """Return the choice that a reply names; LaMP's questions have their own reading, as in its evaluation."""
        lamps = self.settings.form == "verbatim" and has_lamps_labels(question)
        return read_label(text, question) if lamps else read_choice(text, question)

    async def _score(self, asked: Sequence[PromptedQuestion]) -> list[Response]:
        if not asked:
            return []
        assert isinstance(self._model, ChoiceModel)
        requests = [choice_request(self._messages(a), a.question, self.settings) for a in asked]
        extra = await self._load_unconditional(asked) if self.settings.normalization == "pmi" else Usage()
        responses = []
        for one, logprobs in zip(asked, await self._model.choice_logprobs(requests), strict=True):
            scores = self._normalize(logprobs, one.question)
            if max(logprobs.logprobs) == -math.inf:  # a content filter refused the question
                responses.append(Response("", None, usage=logprobs.usage + extra, filtered=True))
                extra = Usage()
                continue
            best = max(range(len(scores)), key=scores.__getitem__)
            choice = one.question.choices[best]
            usage = logprobs.usage + extra
            responses.append(Response(choice, choice, scores, usage, logprobs.logprobs, self._kept(one)))
            extra = Usage()  # counted once
        return responses

    def _normalize(self, logprobs: ChoiceLogProbs, question: Question) -> tuple[float, ...]:
        if self.settings.normalization == "mean":
            return logprobs.per_token
        if self.settings.normalization == "pmi":
            base = self._unconditional[question.choices]
            return tuple(lp - b for lp, b in zip(logprobs.logprobs, base.logprobs, strict=True))
        return logprobs.logprobs

    async def _load_unconditional(self, asked: Sequence[PromptedQuestion]) -> Usage:
        """Load the log-probabilities of choices without a question, once per set of choices; return the cost."""
        assert isinstance(self._model, ChoiceModel)
        questions = {a.question.choices: a.question for a in asked if a.question.choices not in self._unconditional}
        if not questions:
            return Usage()
        blank = (Message("user", "Answer the question."),)
        requests = [choice_request(blank, question, self.settings) for question in questions.values()]
        usage = Usage()
        for choices, logprobs in zip(questions, await self._model.choice_logprobs(requests), strict=True):
            self._unconditional[choices] = logprobs
            usage += logprobs.usage
        return usage
