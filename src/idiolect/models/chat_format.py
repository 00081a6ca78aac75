"""Conversion of chat messages to token ids and back, before every pass of the local model (`local` → here → torch).

A request becomes `template(messages) + prefill`, tokenized once. A choice is tokenized on its own and concatenated, so
that it has the same tokens under every prompt and the prompt's tokens can be shared. If a tokenizer would merge
characters across that boundary, the two pieces stay apart, by definition.
People's text never becomes a control token: `defuse` breaks up every such string before anything is rendered.
A tokenizer without a chat template gets plain lines, `role: content`, ended by `assistant:`.
A template that can leave thoughts out (`enable_thinking`) does, because an answer has few tokens and scores need none,
unless a request asks for them (`thinking`). Some templates always open a thought; a request without thinking closes it,
and so does every request for the likelihood of choices and texts, because nobody's words are part of a thought.
Marks of thoughts that are control tokens are decoded as text, so that `thoughts` finds them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from jinja2 import TemplateError

from idiolect.errors import ModelError
from idiolect.models.language_model import Message
from idiolect.models.thoughts import TAGS, closing_mark, opens_thought

_TURN_ENDS = ("<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "<end_of_turn>", "<turn|>")
_NEVER = re.compile(r"(?!)")
_LONGEST_MARK = 12  # tokens


class ChatFormat:
    """Rendering, tokenizing and decoding with one tokenizer.

    Args:
        tokenizer: a Hugging Face tokenizer.
        generation_eos: the ids that end a turn according to the model's generation config.
    """

    def __init__(self, tokenizer: Any, generation_eos: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._control = _control_strings(tokenizer)
        self._chooses_thinking = _chooses_thinking(tokenizer)
        self._thought_marks = _thought_marks(tokenizer)
        self.stop_ids = frozenset(generation_eos) | _turn_end_ids(tokenizer)

    def prompt_ids(
        self, messages: Sequence[Message], prefill: str = "", *, thinking: bool | None = None
    ) -> tuple[int, ...]:
        """Return the token ids of the rendered chat, up to and including `prefill`.

        Args:
            messages: the chat so far.
            prefill: text that the assistant's turn begins with.
            thinking: see `CompletionRequest`.

        Raises:
            ModelError: the model's chat template rejects these messages.
        """
        return self._ids(self.prompt_text(messages, prefill, thinking=thinking), special=not self.has_template)

    def prompt_text(self, messages: Sequence[Message], prefill: str = "", *, thinking: bool | None = None) -> str:
        """Return the rendered chat whose token ids are `prompt_ids`; arguments and errors are the same.

        Without a chat template, the tokenizer puts its own beginning of a text before it.
        """
        defused = [{"role": m.role, "content": self.defuse(m.content)} for m in messages]
        if not self.has_template:
            lines = [f"{message['role']}: {message['content']}\n" for message in defused]
            return "".join(lines) + "assistant:" + self.defuse(prefill)
        rendered = self._render(defused, thinking=bool(thinking))
        if thinking is False and (closing := closing_mark(rendered)):
            rendered += f"\n{closing}\n\n"
        return rendered + self.defuse(prefill)

    @property
    def has_template(self) -> bool:
        """Whether the tokenizer has a chat template."""
        return bool(getattr(self._tokenizer, "chat_template", None))

    def text_ids(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a continuation on its own (a choice).

        Raises:
            ModelError: the text has no tokens.
        """
        ids = self._ids(self.defuse(text), special=False)
        if not ids:
            raise ModelError(f"a choice of {len(text)} characters has no tokens in this model's vocabulary")
        return ids

    @cached_property
    def longest_token(self) -> int:
        """The characters of the vocabulary's longest token; no token stands for more of a text."""
        return max(map(len, self._tokenizer.get_vocab()))

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The token that ends a turn, as a continuation; empty if the tokenizer names none."""
        eos = self._tokenizer.eos_token_id
        return () if eos is None else (int(eos),)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, without control tokens other than marks of thoughts."""
        if self._thought_marks.keys().isdisjoint(ids):
            return self._decoded(ids)
        parts, piece = [], list[int]()
        for token in ids:
            if token in self._thought_marks:
                parts += [self._decoded(piece), self._thought_marks[token]]
                piece = []
            else:
                piece.append(token)
        return "".join([*parts, self._decoded(piece)])

    def opens_thought(self, prompt: Sequence[int]) -> bool:
        """Return whether a prompt ends with a mark that opens a thought."""
        tail = self._tokenizer.decode(list(prompt[-_LONGEST_MARK:]), clean_up_tokenization_spaces=False)
        return opens_thought(str(tail))

    def _decoded(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def defuse(self, text: str) -> str:
        """Insert a space after the first character of every control string (`<|im_end|>` → `< |im_end|>`)."""
        while self._control.search(text):
            text = self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)
        return text

    def _ids(self, text: str, *, special: bool) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _render(self, messages: list[dict[str, str]], *, thinking: bool) -> str:
        options = {"enable_thinking": thinking} if self._chooses_thinking else {}
        try:
            rendered = self._tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=True, **options
            )
            return str(rendered)
        except TemplateError as error:
            if messages and messages[0]["role"] == "system":  # some templates (Gemma's) support no system role
                return self._render(_fold_system(messages), thinking=thinking)
            raise ModelError(f"the model's chat template rejected the messages: {error}") from error


def _fold_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    system, *rest = messages
    if not rest:
        return [{"role": "user", "content": system["content"]}]
    first = {"role": rest[0]["role"], "content": f"{system['content']}\n\n{rest[0]['content']}"}
    return [first, *rest[1:]]


def _chooses_thinking(tokenizer: Any) -> bool:
    """Return whether the chat template has the option to leave thoughts out."""
    template = getattr(tokenizer, "chat_template", None)
    return isinstance(template, str) and "enable_thinking" in template


def _thought_marks(tokenizer: Any) -> dict[int, str]:
    """Return the control tokens that mark thoughts, by id."""
    special = set(tokenizer.all_special_tokens)
    return {number: text for text, number in tokenizer.get_added_vocab().items() if text in TAGS and text in special}


def _control_strings(tokenizer: Any) -> re.Pattern[str]:
    """Return a pattern for every added token that text could spell, except runs of blanks, which control nothing."""
    added = set(tokenizer.get_added_vocab()) | set(tokenizer.all_special_tokens)
    strings = sorted((s for s in added if len(s) > 1 and not s.isspace()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, strings))) if strings else _NEVER


def _turn_end_ids(tokenizer: Any) -> frozenset[int]:
    added = tokenizer.get_added_vocab()
    ends = {added[s] for s in _TURN_ENDS if s in added}
    if tokenizer.eos_token_id is not None:
        ends.add(int(tokenizer.eos_token_id))
    return frozenset(ends)


def generation_eos(network: Any) -> list[int]:
    """Return the ids that end an answer by the network's generation settings; none if it has no such settings."""
    eos = getattr(getattr(network, "generation_config", None), "eos_token_id", None)
    if eos is None:
        return []
    return [int(eos)] if isinstance(eos, int) else [int(e) for e in eos]
