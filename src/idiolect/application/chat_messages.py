"""Messages of a conversation as clients send them, and what a personalization reads of them and adds to them.

    system: the personalized prefix, then the client's own words      shared between turns, so that servers can cache it
    user, assistant, …                                                unchanged, the last user turn last

A message is a `Message`, or an object of OpenAI's protocol with any fields, whose content may have parts (text, image).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from idiolect.application.arguments import check_type
from idiolect.models.language_model import Message, Role
from idiolect.people.user import Question

ChatMessage: TypeAlias = Message | Mapping[str, Any]

_INSTRUCTING = ("system", "developer")
_ROLES: Mapping[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_LONGEST_QUERY = 2000  # characters; embedding models read fewer, and servers refuse many more


def check_messages(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Return the messages of a conversation after a check of their form.

    Raises:
        TypeError: a message is neither a `Message` nor a mapping.
        ValueError: there are no messages, or a message has no role.
    """
    check_type("messages", messages, Sequence, hint="give a list of messages")
    for message in messages:
        check_type("a message", message, (Message, Mapping))
        if not isinstance(message, Message) and not isinstance(message.get("role"), str):
            raise ValueError("a message has no role")
    if not messages:
        raise ValueError("a conversation needs at least one message")
    return tuple(messages)


def role_of(message: ChatMessage) -> str:
    """Return the role of a message."""
    return message.role if isinstance(message, Message) else str(message["role"])


def text_of(message: ChatMessage) -> str:
    """Return the text of a message; of a content in parts, that of its text parts, in lines of their own."""
    content = message.content if isinstance(message, Message) else message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else ()
    texts = [part if isinstance(part, str) else _text_of_part(part) for part in parts]
    return "\n".join(filter(None, texts))


def last_question(messages: Sequence[ChatMessage]) -> Question | None:
    """Return the last user turn that has any text, as a question; None if there is none.

    Of a long turn, the first and the last thousand characters count: what is asked stands before or behind a long text.
    """
    for message in reversed(messages):
        text = _storable(text_of(message)).strip() if role_of(message) == "user" else ""
        if len(text) > _LONGEST_QUERY:
            text = f"{text[: _LONGEST_QUERY // 2]}\n{text[-_LONGEST_QUERY // 2 :]}".strip()
        if text:
            return Question(text)
    return None


def with_prefix(messages: Sequence[ChatMessage], prefix: str) -> tuple[ChatMessage, ...]:
    """Return the conversation after a personalized prefix; without one, as it is.

    The prefix begins the system message. The client's own system message, if it is the first one, follows in it,
    because many chat templates allow only one.
    """
    if not prefix:
        return tuple(messages)
    if role_of(messages[0]) not in _INSTRUCTING:
        return (Message("system", prefix), *messages)
    own, *rest = messages
    if isinstance(own, Message):
        return (Message(own.role, f"{prefix}\n\n{own.content}"), *rest)
    content = own.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        return ({**own, "content": [{"type": "text", "text": prefix}, *content]}, *rest)
    return ({**own, "content": f"{prefix}\n\n{content}" if content else prefix}, *rest)


def readable_messages(messages: Sequence[ChatMessage]) -> tuple[Message, ...]:
    """Return the messages as plain text, for models that read nothing else.

    Raises:
        ValueError: a message has a role that such models do not know, or a part that is no text.
    """
    return tuple(_readable(message) for message in messages)


def message_document(message: ChatMessage) -> dict[str, Any]:
    """Return a message as JSON."""
    return {"role": message.role, "content": message.content} if isinstance(message, Message) else dict(message)


def _readable(message: ChatMessage) -> Message:
    if isinstance(message, Message):
        return message
    role = _ROLES.get(message["role"])
    if role is None:
        raise ValueError(f"a message has the role {message['role']!r}, must be one of {', '.join(_ROLES)}")
    content = message.get("content")
    if isinstance(content, Sequence) and not isinstance(content, str):
        for part in content:
            if not isinstance(part, str) and not _text_of_part(part):
                kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
                raise ValueError(f"a message has a part of type {kind!r}, and the model reads text only")
    return Message(role, text_of(message))


def _text_of_part(part: object) -> str:
    if not isinstance(part, Mapping) or part.get("type", "text") not in ("text", "input_text"):
        return ""
    text = cast("Mapping[str, Any]", part).get("text")
    return text if isinstance(text, str) else ""


def _storable(text: str) -> str:
    """Return the text without characters that no question may contain."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
