"""JSON documents for conversations, beside `documents`: the same for the command line's `--json` and for a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idiolect.application.chat_messages import message_document

if TYPE_CHECKING:
    from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat

Document = dict[str, Any]


def personalization_document(chat: PersonalizedChat) -> Document:
    """Return the document for what personalizes a conversation, and why, without anybody's texts."""
    why = chat.explanation
    return {
        chat.owner.kind: chat.owner.id,
        "model": chat.model.name,
        "personalized": chat.personalized,
        "personalization": chat.personalization,
        "prompt_digest": chat.prompt_digest or None,
        "edit_digest": chat.edit_digest or None,
        "prompt": None if why is None or not chat.prompt else why.chosen + 1,
        "why": chat.why,
        "stale": bool(chat.stale),
    }


def personalized_chat_document(chat: PersonalizedChat) -> Document:
    """Return the document for a conversation as it is sent."""
    return {**personalization_document(chat), "messages": [message_document(each) for each in chat.messages]}


def chat_answer_document(answer: ChatAnswer) -> Document:
    """Return the document for the answer to a conversation, with what personalized it."""
    completion = answer.completion
    return {
        **personalization_document(answer.chat),
        "answer": completion.text,
        "finish_reason": completion.finish_reason,
        "usage": {
            "calls": completion.usage.calls,
            "prompt_tokens": completion.usage.prompt_tokens,
            "completion_tokens": completion.usage.completion_tokens,
        },
    }
