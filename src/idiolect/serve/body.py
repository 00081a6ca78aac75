"""The body of a request as raw JSON: fields that nothing here needs to know are never parsed, and pass unchanged.

    bytes → JsonBody (fields as raw JSON) → messages (their roles) → the last turn, the first message → bytes

A number such as 1.10 or 1e400 leaves as it came, and an image's megabyte is never decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from idiolect.application.chat_messages import last_question, message_document, with_prefix
from idiolect.people.user import Question
from idiolect.serve.errors import HttpError, invalid

_TOO_DEEP = "the body is nested too deeply"


class _Role(msgspec.Struct):
    role: str


_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_ROLES = msgspec.json.Decoder(list[_Role])
_TEXT = msgspec.json.Decoder(str)
_OBJECT = msgspec.json.Decoder(dict[str, Any])
_ENCODER = msgspec.json.Encoder()


class JsonBody:
    """The JSON object of a request.

    Args:
        data: the bytes of the body.

    Raises:
        HttpError: they are not a JSON object, or it is nested too deeply (400).
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._fields = _FIELDS.decode(data)
        except RecursionError:
            raise invalid(_TOO_DEEP, code="invalid_json") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise invalid("the body is not a JSON object, or half a character is in it", code="invalid_json") from None
        self._data: bytes | None = data
        self._roles: list[str] = []  # of the messages, once they were read

    def text(self, name: str) -> str | None:
        """Return a field that is a text; None if it is absent or something else."""
        raw = self._fields.get(name)
        if raw is None:
            return None
        try:
            return _TEXT.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def set(self, name: str, value: object) -> None:
        """Set a field."""
        self._fields[name] = msgspec.Raw(_ENCODER.encode(value))
        self._data = None

    def drop(self, name: str) -> None:
        """Remove a field, if there is one."""
        if self._fields.pop(name, None) is not None:
            self._data = None

    def messages(self) -> list[msgspec.Raw]:
        """Return the messages of the conversation.

        Raises:
            HttpError: they are not a list of objects that have a role (400).
        """
        raw = self._fields.get("messages")
        if raw is None:
            raise invalid("the conversation has no messages", param="messages", code="missing_required_parameter")
        try:
            self._roles, messages = [each.role for each in _ROLES.decode(raw)], _LIST.decode(raw)
        except RecursionError:
            raise invalid(_TOO_DEEP, param="messages", code="invalid_json") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise invalid("messages must be a list of objects with a role", param="messages") from None
        if not messages:
            raise invalid("a conversation needs at least one message", param="messages")
        return messages

    def last_question(self, messages: Sequence[msgspec.Raw]) -> Question | None:
        """Return the last user turn with text of the `messages`, see `chat_messages`; None if there is none."""
        for role, raw in zip(reversed(self._roles), reversed(messages), strict=True):
            if role == "user":
                question = last_question([_decoded(raw)])
                if question is not None:
                    return question
        return None

    def with_prefix(self, messages: Sequence[msgspec.Raw], prefix: str) -> bytes:
        """Return the whole body, with a prefix in its messages; the body itself does not change."""
        first = [message_document(each) for each in with_prefix([_decoded(messages[0])], prefix)]
        fields = {**self._fields, "messages": [*first, *messages[1:]] if len(first) == 1 else [first[0], *messages]}
        return _ENCODER.encode(fields)

    def encoded(self) -> bytes:
        """Return the whole body: the very bytes that came, if nothing was changed."""
        return _ENCODER.encode(self._fields) if self._data is None else self._data

    def decoded(self) -> dict[str, Any]:
        """Return the whole body as Python values.

        Raises:
            HttpError: a text is not valid, or the body is nested too deeply (400).
        """
        return _decoded(msgspec.Raw(self.encoded()))


def _decoded(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return _OBJECT.decode(raw)
    except RecursionError:
        raise invalid(_TOO_DEEP, code="invalid_json") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid("the body contains a text that is not valid", code="invalid_json") from None


def encoded(document: object) -> bytes:
    """Return a document as JSON.

    Raises:
        HttpError: a text has a lone surrogate, which no JSON may contain (500).
    """
    try:
        return _ENCODER.encode(document)
    except UnicodeEncodeError:
        raise HttpError(500, "the answer contains a text that is not valid") from None
