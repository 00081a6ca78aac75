"""Conversations: which personalization applies to one, the messages and the model that it makes, and the answers.

    owner, messages → personalized_chat → PersonalizedChat ─ chat → ChatAnswer | stream_chat → pieces, ChatAnswer

Whoever is unknown, has nothing learned, or whose evidence does not speak for what was learned, gets the base model and
the reason. By default no prompt is scored here: the last turn of the user is compared with the opinions, and the scores
that are known choose.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import get_args

from idiolect.application.arguments import check_type
from idiolect.application.chat_messages import ChatMessage, check_messages, last_question, with_prefix
from idiolect.application.chat_personalization import choose_edit, choose_prompt, learned_for
from idiolect.application.model_pool import OpenModel
from idiolect.application.names import CHAMELEON, FERMI, AskedMethod, MethodName
from idiolect.application.owner import Owner
from idiolect.application.personalized_chat import CHAT_SAMPLING, ChatAnswer, PersonalizedChat
from idiolect.application.turn_prompts import Chosen, why_of
from idiolect.application.workspace import AsyncWorkspace
from idiolect.errors import ContextLengthError, ModelError, SettingsError
from idiolect.models.language_model import Completion, CompletionModel, LanguageModel, SamplingParams
from idiolect.models.streaming import stream_of

TOO_LONG_WITH_PROMPT = "the conversation is too long for the model's context with the person's prompt"


async def personalized_chat(
    workspace: AsyncWorkspace,
    owner: Owner,
    messages: Sequence[ChatMessage],
    *,
    method: AskedMethod | None = None,
    model: str | None = None,
    sampling: SamplingParams = CHAT_SAMPLING,
    score: bool = False,
) -> PersonalizedChat:
    """Return the conversation as it is to be sent for the owner, and the model that is to answer.

    Args:
        workspace: store and models.
        owner: the user, or a group, whose edit can answer for anybody.
        messages: the conversation so far; see `chat_messages`.
        method: method that personalizes; None: the one that has learned, or Fermi if both have.
        model: name of the model that answers. Prompts work with any model; an edit only with its own, so it is left out
            with another one. None: the model of the fit, or that of the workspace if nothing was learned.
        sampling: parameters of decoding.
        score: whether to compute missing scores of prompts first, which calls the model of the fit, and keep them.

    Raises:
        ValueError: there is no such method, it does not learn for groups, or the messages are not a conversation.
        TypeError: an argument has the wrong type.
        ModelError, SettingsError, MissingExtraError: the model that is to answer cannot be opened or writes no text.
        HaltedError: the workspace is halted.
        StoreError, CacheError: the store or the cache cannot be read or written.
    """
    check_type("owner", owner, Owner)
    check_type("sampling", sampling, SamplingParams)
    turns = check_messages(messages)
    if method not in (None, *get_args(AskedMethod)):
        raise ValueError(f"method is {method!r}, must be one of {', '.join(get_args(AskedMethod))}")
    if owner.kind == "group" and method not in (None, CHAMELEON):
        raise ValueError(f"method is {method!r}, but only CHAMELEON learns for groups")
    with workspace.working_on(owner):
        learned = learned_for(workspace.store, owner, method)
        prompt = edit = Chosen()
        if learned.fermi is not None:
            prompt = await choose_prompt(workspace, owner, learned.fermi, last_question(turns), score=score)
        if learned.chameleon is not None:
            edit = await choose_edit(workspace, owner, learned.chameleon, model=model)
        name = model or prompt.model or edit.model or workspace.model
        answering: LanguageModel = edit.edited or _called(workspace, owner, await workspace.models.model(name))
        if not isinstance(answering, CompletionModel):
            raise SettingsError(f"the model {name!r} writes no text, so it cannot answer in a conversation")
    return put_together(owner, turns, learned.missing, prompt, edit, answering, sampling)


async def chat(workspace: AsyncWorkspace, prepared: PersonalizedChat) -> ChatAnswer:
    """Answer a conversation. If it is too long for the model with its prompt, send it with a shorter one, or none.

    Args:
        workspace: the workspace in which it was prepared.
        prepared: result of `personalized_chat`.

    Raises:
        ContextLengthError: the conversation itself is too long.
        ModelError: the model could not answer.
        ValueError: a message contains something that is no text.
        HaltedError: the workspace is halted.
        CacheError: the cache cannot be read or written.
    """
    with workspace.working_on(prepared.owner):
        versions = _versions(prepared)
        sent = next(versions)
        while True:
            try:
                (completion,) = await sent.model.complete([sent.request])
                break
            except ContextLengthError:
                if (shorter := next(versions, None)) is None:
                    raise
                sent = shorter
    _ended(workspace)
    return ChatAnswer(sent, completion)


async def stream_chat(workspace: AsyncWorkspace, prepared: PersonalizedChat) -> AsyncGenerator[str | ChatAnswer, None]:
    """Yield the pieces of the answer as they are written, then the whole answer; otherwise like `chat`.

    Closing the generator (`contextlib.aclosing`) cancels the call, which then costs what was used of it. After an error
    in the middle, the pieces until then have been yielded.
    """
    with workspace.working_on(prepared.owner):
        versions = _versions(prepared)
        sent, answer = next(versions), None
        while answer is None:
            try:
                async with aclosing(stream_of(sent.model, sent.request)) as items:
                    async for item in items:
                        answer = ChatAnswer(sent, item) if isinstance(item, Completion) else None
                        yield answer or str(item)
                if answer is None:
                    raise ModelError(f"the model {sent.model.name!r} ended its answer without a completion")
            except ContextLengthError:
                if (shorter := next(versions, None)) is None:
                    raise
                sent = shorter
    _ended(workspace)


async def converse(
    workspace: AsyncWorkspace,
    owner: Owner,
    messages: Sequence[ChatMessage],
    *,
    method: AskedMethod | None = None,
    model: str | None = None,
    sampling: SamplingParams = CHAT_SAMPLING,
) -> AsyncGenerator[PersonalizedChat | str | ChatAnswer, None]:
    """Prepare a conversation and answer it: yield what `personalized_chat` returns, then what `stream_chat` yields."""
    prepared = await personalized_chat(workspace, owner, messages, method=method, model=model, sampling=sampling)
    yield prepared
    async with aclosing(stream_chat(workspace, prepared)) as items:
        async for item in items:
            yield item


def _called(workspace: AsyncWorkspace, owner: Owner, opened: OpenModel) -> LanguageModel:
    """Return the model with its calls counted; a conversation of a group is kept for nobody."""
    calls = workspace.run.calls if owner.kind == "user" else workspace.run.uncached()
    return opened.called(calls, owner.id)


def put_together(
    owner: Owner,
    turns: tuple[ChatMessage, ...],
    missing: str,
    prompt: Chosen,
    edit: Chosen,
    answering: LanguageModel,
    sampling: SamplingParams,
) -> PersonalizedChat:
    """Return a conversation with what was chosen for it.

    Args:
        owner: the user or group.
        turns: the conversation so far.
        missing: why nothing is used, if neither method was considered.
        prompt: Fermi's choice.
        edit: CHAMELEON's choice.
        answering: model that is to answer.
        sampling: parameters of decoding.
    """
    by_method: tuple[tuple[MethodName, Chosen], ...] = ((FERMI, prompt), (CHAMELEON, edit))
    bare = PersonalizedChat(
        owner,
        turns,
        answering,
        sampling,
        why=why_of(prompt, edit, missing),
        edit_digest=edit.digest if edit.edited is not None else "",
        stale=edit.stale,
        methods=tuple(name for name, each in by_method if each.why),
    )
    if prompt.prompt is None:
        return bare
    versions = prompt.prompt.versions

    def shorter() -> Iterator[PersonalizedChat]:
        for version in versions():
            if version != prompt.text:
                yield prompted.with_prompt(with_prefix(turns, version), version)
        yield replace(bare, why=TOO_LONG_WITH_PROMPT)

    explanation = prompt.prompt.explanation
    prompted = bare.with_prompt(with_prefix(turns, prompt.text), prompt.text, explanation=explanation, shorter=shorter)
    return prompted


def _versions(prepared: PersonalizedChat) -> Iterator[PersonalizedChat]:
    yield prepared
    if prepared.shorter is not None:
        yield from prepared.shorter()


def _ended(workspace: AsyncWorkspace) -> None:
    if workspace.opened_run is not None:  # an edit alone makes no calls
        workspace.opened_run.come_to_an_end()
