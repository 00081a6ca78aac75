"""The screen of `idiolect chat`: answers as they are written on stdout, reasons and notes on stderr."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial

from idiolect.application.blocking import Workspace
from idiolect.application.chat_documents import chat_answer_document
from idiolect.application.chats import converse as converse_with
from idiolect.application.names import AskedMethod
from idiolect.application.owner import Owner
from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat
from idiolect.cli.terminal import err, finished, one_line, print_json, printable
from idiolect.errors import ContextLengthError, HaltedError, IdiolectError
from idiolect.models.language_model import Message, SamplingParams

_ENDS = ("/quit", "/exit")
_NEW = "/new"
_PROMPT = "> "
_ENDED_BY = {"length": "cut off; --max-tokens allows longer answers", "content_filter": "a content filter cut it off"}


@dataclass(slots=True)
class Conversation:
    """A conversation with its history.

    Args:
        space: the workspace.
        owner: user or group.
        method, model, sampling: see `chats.personalized_chat`.
        instructions: messages before the first turn.
        as_json: whether each answer is printed as a JSON document, on one line.
    """

    space: Workspace
    owner: Owner
    method: AskedMethod | None
    model: str | None
    sampling: SamplingParams
    instructions: tuple[Message, ...] = ()
    as_json: bool = False
    turns: list[Message] = field(default_factory=list)
    reason: str = ""  # shown last
    held: str = ""  # the beginning of an escape sequence, which is not printed

    def answers(self, text: str) -> Generator[PersonalizedChat | str | ChatAnswer, None, None]:
        """Yield what answers one more turn: the personalization, the pieces of the text, and the whole."""
        messages = (*self.instructions, *self.turns, Message("user", text))
        stream = partial(converse_with, owner=self.owner, messages=messages, method=self.method, model=self.model)
        return self.space.stream(partial(stream, sampling=self.sampling))

    def keep(self, text: str, answer: str) -> None:
        """Keep a turn and its answer, which may have been stopped; a turn without any answer is not kept."""
        if answer.strip():
            self.turns += [Message("user", text), Message("assistant", answer)]


def answer_once(conversation: Conversation, text: str) -> None:
    """Print the answer to one turn.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped the answer.
        IdiolectError: there is no answer.
    """
    if not _say(conversation, text):
        raise KeyboardInterrupt


def converse(conversation: Conversation) -> None:
    """Read turns from the terminal and answer them, until /quit, Ctrl-D, or Ctrl-C between answers.

    Raises:
        KeyboardInterrupt: Ctrl-C ended the conversation.
        HaltedError: a limit was reached.
    """
    with suppress(ImportError):
        import readline  # noqa: F401  (input() edits lines with it)
    _note(
        f"A conversation for {conversation.owner}. Ctrl-C stops an answer; /new begins anew; /quit or Ctrl-D ends it."
    )
    while (text := _read_turn()) is not None:
        if text == _NEW:
            conversation.turns.clear()
        elif text:
            try:
                _say(conversation, text)
            except HaltedError:
                raise
            except ContextLengthError as error:
                _note(f"error: {error}; {_NEW} begins a new conversation")
            except IdiolectError as error:
                _note(f"error: {error}")


def _read_turn() -> str | None:
    """Return what the user says; None at the end."""
    try:
        text = input(_PROMPT).strip()
    except EOFError:
        sys.stdout.write("\n")
        return None
    except KeyboardInterrupt:
        sys.stdout.write("\n")
        raise
    return None if text in _ENDS else text


def _say(conversation: Conversation, text: str) -> bool:
    """Print the answer to a turn, and keep both; return whether it came to its end."""
    said: list[str] = []
    answer: ChatAnswer | None = None
    try:
        with closing(conversation.answers(text)) as items:
            for item in items:
                if isinstance(item, PersonalizedChat):
                    _print_reason(conversation, item)
                elif isinstance(item, ChatAnswer):
                    answer = item
                else:
                    said.append(item)
                    _print_piece(conversation, item)
    except KeyboardInterrupt:
        _end_line(conversation, said)
        _note("(stopped)")
    except IdiolectError:
        _end_line(conversation, said)
        raise
    finally:
        conversation.keep(text, "".join(said))
    if answer is not None:
        _print_end(conversation, answer)
    return answer is not None


def _print_reason(conversation: Conversation, chat: PersonalizedChat) -> None:
    """Print what answers and why, if that has changed since the last turn."""
    who = {(True, True): "prompt and edit", (True, False): "prompt", (False, True): "edit"}
    used = who.get((bool(chat.prompt), bool(chat.edit_digest)), "base model")
    reason = f"[{chat.why}]" if chat.why.startswith(used) else f"[{used}: {chat.why}]"
    if reason != conversation.reason:
        _note(reason)
        if chat.stale:
            _note(f"Note: {chat.stale}")
    conversation.reason = reason


def _print_piece(conversation: Conversation, piece: str) -> None:
    if conversation.as_json:
        return
    ready, conversation.held = finished(conversation.held + piece)
    sys.stdout.write(printable(ready))
    sys.stdout.flush()


def _end_line(conversation: Conversation, said: Sequence[str]) -> None:
    """End the line of an answer that did not come to its end."""
    conversation.held = ""
    if any(said) and not conversation.as_json:
        sys.stdout.write("\n")
        sys.stdout.flush()


def _print_end(conversation: Conversation, answer: ChatAnswer) -> None:
    if conversation.as_json:
        print_json(chat_answer_document(answer))
        sys.stdout.flush()
        return
    conversation.held = ""
    sys.stdout.write("\n")
    sys.stdout.flush()
    if not answer.text.strip():
        _note("(no answer)")
    if ended_by := _ENDED_BY.get(answer.completion.finish_reason):
        _note(f"({ended_by})")


def _note(text: str) -> None:
    """Print a note on stderr, dimmed in a terminal."""
    err().print(one_line(text), style="dim", markup=False)
