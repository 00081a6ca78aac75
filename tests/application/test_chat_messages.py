"""What of a conversation is compared with opinions, and where the personalized prefix goes."""

from __future__ import annotations

from typing import Any

import pytest

from idiolect.application.chat_messages import (
    ChatMessage,
    check_messages,
    last_question,
    message_document,
    readable_messages,
    text_of,
    with_prefix,
)
from idiolect.models.language_model import Message

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
USER = Message("user", "Tea?")


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ([USER], "Tea?"),
        ([USER, Message("assistant", "Yes."), user("And coffee?")], "And coffee?"),
        ([user([{"type": "text", "text": "What is"}, IMAGE, {"type": "text", "text": "this?"}])], "What is\nthis?"),
        ([USER, user([IMAGE])], "Tea?"),
        ([USER, user("  \n ")], "Tea?"),
        ([USER, {"role": "tool", "content": "12 °C", "tool_call_id": "1"}], "Tea?"),
        ([user("お茶は好きですか。")], "お茶は好きですか。"),
        ([user("a\0b\ud800")], "a b?"),
    ],
)
def test_the_last_user_turn_with_text_is_the_question(messages: list[ChatMessage], asked: str) -> None:
    question = last_question(messages)
    assert question is not None
    assert question.text == asked


@pytest.mark.parametrize("content", ["", None, [IMAGE], [], 5, [None]])
def test_without_any_text_there_is_no_question(content: Any) -> None:
    assert last_question([Message("system", "Be brief."), user(content)]) is None


def test_of_a_long_turn_both_ends_count() -> None:
    question = last_question([user("What is this? " + "x" * 1_000_000 + " Summarize it.")])
    assert question is not None
    assert len(question.text) < 2100
    assert question.text.startswith("What is this?")
    assert question.text.endswith("Summarize it.")


def test_the_prefix_comes_first_and_the_last_turn_last() -> None:
    turns = (USER, Message("assistant", "Yes."), user([IMAGE]))
    assert with_prefix(turns, "Ann likes tea.") == (Message("system", "Ann likes tea."), *turns)
    assert with_prefix(turns, "") == turns


@pytest.mark.parametrize(
    ("own", "together"),
    [
        (Message("system", "Be brief."), Message("system", "P\n\nBe brief.")),
        (
            {"role": "developer", "content": "Be brief.", "name": "n"},
            {"role": "developer", "content": "P\n\nBe brief.", "name": "n"},
        ),
        (
            {"role": "system", "content": [{"type": "text", "text": "Be brief."}]},
            {"role": "system", "content": [{"type": "text", "text": "P"}, {"type": "text", "text": "Be brief."}]},
        ),
        ({"role": "system", "content": None}, {"role": "system", "content": "P"}),
    ],
)
def test_the_clients_own_system_message_follows_the_prefix(own: ChatMessage, together: ChatMessage) -> None:
    before = message_document(own)
    assert with_prefix((own, USER), "P") == (together, USER)
    assert message_document(own) == before


def test_models_that_read_text_get_text_or_an_error() -> None:
    parts = user([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}])
    developer = {"role": "developer", "content": "Be brief."}
    assert readable_messages([developer, parts]) == (Message("system", "Be brief."), Message("user", "one\ntwo"))
    with pytest.raises(ValueError, match="'image_url'"):
        readable_messages([user([IMAGE])])
    with pytest.raises(ValueError, match="'tool'"):
        readable_messages([{"role": "tool", "content": "12"}])


def test_what_is_no_conversation_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        check_messages([])
    with pytest.raises(ValueError, match="no role"):
        check_messages([{"content": "Tea?"}])
    with pytest.raises(TypeError, match="a message"):
        check_messages(["Tea?"])  # type: ignore[list-item]
    assert text_of({"role": "user"}) == ""
