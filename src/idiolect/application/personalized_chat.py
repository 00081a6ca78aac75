"""A conversation as it is sent for one person, as a value, and the answer to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256

from idiolect.application.chat_messages import ChatMessage, readable_messages
from idiolect.application.names import MethodName
from idiolect.application.owner import Owner
from idiolect.methods.personalization import Explanation
from idiolect.models.language_model import Completion, CompletionRequest, LanguageModel, SamplingParams

CHAT_SAMPLING = SamplingParams(max_tokens=512)

_DIGITS = 16  # of a digest in the name of a personalization


@dataclass(frozen=True, slots=True)
class PersonalizedChat:
    """A conversation with the personalization that applies to it.

    Args:
        owner: user or group.
        messages: the messages to send: the client's, after the person's prompt if one answers.
        model: model that is to answer, under the person's edit if that answers; its calls are counted.
        sampling: parameters of decoding.
        why: why the personalization is used, or is not, in one sentence.
        prompt: text of the person's prompt, with its examples; "" if none is used.
        edit_digest: digest of the person's edit; "" if none is used.
        stale: one sentence if the data has changed since the edit was learned, otherwise "".
        methods: methods that have learned for the owner and were considered.
        explanation: choice of the prompt; None if no prompt is used.
        shorter: returns ever shorter forms, for a model that cannot read this one; None: there are none.
    """

    owner: Owner
    messages: tuple[ChatMessage, ...]
    model: LanguageModel = field(compare=False, repr=False)
    sampling: SamplingParams
    why: str
    prompt: str = ""
    edit_digest: str = ""
    stale: str = ""
    methods: tuple[MethodName, ...] = ()
    explanation: Explanation | None = None
    shorter: Callable[[], Iterator[PersonalizedChat]] | None = field(default=None, compare=False, repr=False)

    @property
    def personalized(self) -> bool:
        """Whether a prompt or an edit is used."""
        return bool(self.prompt or self.edit_digest)

    @property
    def prompt_digest(self) -> str:
        """SHA-256 (hex) of the prompt's text; "" if no prompt is used."""
        return prompt_digest(self.prompt)

    @property
    def personalization(self) -> str:
        """Name of what is used: "base", or the digest of a prompt, of an edit, or of both, each behind its method."""
        return personalization_name(self.prompt, self.edit_digest)

    @property
    def request(self) -> CompletionRequest:
        """The request to a model that reads text.

        Raises:
            ValueError: a message contains something else, or has a role that such models do not know.
        """
        return CompletionRequest(readable_messages(self.messages), self.sampling)

    def with_prompt(
        self,
        messages: tuple[ChatMessage, ...],
        prompt: str,
        *,
        explanation: Explanation | None = None,
        shorter: Callable[[], Iterator[PersonalizedChat]] | None = None,
    ) -> PersonalizedChat:
        """Return the conversation with a prompt, which the messages contain already."""
        why = explanation or self.explanation
        return replace(self, messages=messages, prompt=prompt, explanation=why, shorter=shorter)


def prompt_digest(prompt: str) -> str:
    """Return the SHA-256 (hex) of a prompt's text; "" for no prompt."""
    return sha256(prompt.encode("utf-8", "replace")).hexdigest() if prompt else ""


def personalization_name(prompt: str, edit_digest: str = "") -> str:
    """Return the name of what answers; see `PersonalizedChat.personalization`."""
    parts = (("fermi", prompt_digest(prompt)), ("chameleon", edit_digest))
    return "+".join(f"{method}-{digest[:_DIGITS]}" for method, digest in parts if digest) or "base"


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """The answer to a conversation.

    Args:
        chat: the conversation as it was sent, which may have a shorter prompt than was prepared.
        completion: the model's text, why it ended, and its usage.
    """

    chat: PersonalizedChat
    completion: Completion

    @property
    def text(self) -> str:
        """The text of the answer."""
        return self.completion.text
