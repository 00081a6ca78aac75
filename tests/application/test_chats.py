"""Conversations: which personalization applies and why, what is sent, what is kept, and answers as they are written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from idiolect import Message, Owner, SamplingParams
from idiolect.application.chat_documents import chat_answer_document, personalized_chat_document
from idiolect.application.chat_messages import ChatMessage, text_of
from idiolect.application.chats import chat, converse, personalized_chat, stream_chat
from idiolect.application.personalized_chat import ChatAnswer, PersonalizedChat
from idiolect.application.persons import forget
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import ContextLengthError, HaltedError, ModelError
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import Answer, ApiServer, Body, Stream, WrongContentType
from tests.application.mimicked import ANN, FAST, SILENT, opened
from tests.application.served import fit, fit_in, people, settings
from tests.cli.learning import mimic
from tests.cli.remote_world import answer

ASKED_ANN = Owner.user("ann")
TURNS = (Message("user", "Would you drink tea at noon?"),)


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """Ann, learned with the mimic; and a user about whom nothing was learned."""
    await fit_in(opened(tmp_path / "store"), [ANN, SILENT], FAST)
    return tmp_path / "store"


async def prepared(
    workspace: WorkspaceSettings, messages: Sequence[ChatMessage] = TURNS, owner: Owner = ASKED_ANN, **chosen: Any
) -> PersonalizedChat:
    async with AsyncWorkspace(workspace) as space:
        return await personalized_chat(space, owner, messages, **chosen)


def change(store: Path, **changes: Any) -> dict[str, Any]:
    """Change what was learned for ann."""
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        payload = {**held.personalization("ann", "fermi"), **changes}
        held.save_personalization("ann", "fermi", payload)
    return payload


def kept(store: Path) -> tuple[str, object]:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        (record,) = held.personalizations("ann")
        return record.digest, record.updated_at


async def test_the_last_turn_chooses_the_prompt_and_no_model_is_called(store: Path) -> None:
    model = mimic()
    before = kept(store)
    found = await prepared(opened(store, model))
    assert found.personalized
    assert found.explanation is not None
    assert found.messages == (Message("system", found.prompt), *TURNS)
    assert "always" in found.prompt
    assert found.why.startswith(f"prompt {found.explanation.chosen + 1} of ")
    assert found.why.endswith(" on the 3 nearest opinions")
    assert found.personalization == f"fermi-{found.prompt_digest[:16]}"
    assert (len(found.prompt_digest), found.edit_digest, found.methods) == (64, "", ("fermi",))
    assert found.model.name == "mimic"
    assert (model.completion_requests, model.choice_requests) == ([], [])
    assert kept(store) == before


async def test_scores_are_computed_and_kept_if_they_are_asked_for(store: Path) -> None:
    model, before = mimic(), kept(store)
    found = await prepared(opened(store, model), score=True)
    assert model.choice_requests
    assert kept(store) != before
    assert found.explanation is not None
    assert found.explanation.candidates[found.explanation.chosen].score == 1.0


@pytest.mark.parametrize(
    "turns",
    [
        [
            {
                "role": "user",
                "content": [{"type": "text", "text": "tea at noon?"}, {"type": "image_url", "image_url": {}}],
            }
        ],
        [{"role": "user", "content": "x" * 300_000 + " tea at noon?"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": "あなたは何を飲みますか"}],
        [{"role": "system", "content": "Be brief."}],
    ],
    ids=["parts", "long", "empty", "another language", "no turn"],
)
async def test_any_last_turn_gets_a_prompt(store: Path, turns: list[dict[str, Any]]) -> None:
    model = mimic()
    found = await prepared(opened(store, model), turns)
    assert found.personalized
    assert text_of(found.messages[0]).startswith(found.prompt)
    assert found.messages[1:] == (() if turns[0]["role"] == "system" else tuple(turns))
    assert (model.completion_requests, model.choice_requests) == ([], [])


async def test_what_resembles_nothing_is_answered_by_the_best_prompt_on_all_opinions(store: Path) -> None:
    found = await prepared(opened(store), [Message("user", "Ποτό;")])
    assert found.why.endswith(" on all opinions")
    assert found.explanation is not None
    assert found.explanation.nearest == ()


async def test_a_closed_gate_gives_the_base_model_and_the_reason(store: Path) -> None:
    change(store, evidence={"personalized": [0.0], "base": [1.0]})
    found = await prepared(opened(store))
    assert (found.personalized, found.personalization, found.messages) == (False, "base", TURNS)
    assert "the base model answers" in found.why
    assert found.model.name == "mimic"


async def test_few_shot_gives_the_first_prompt_with_the_nearest_answers(store: Path) -> None:
    payload = change(store, evidence={"personalized": [0.0], "base": [0.0], "few_shot": [1.0]})
    hybrid = {**payload["settings"], "hybrid": {**payload["settings"]["hybrid"], "examples": 2}}
    change(store, settings=hybrid)
    found = await prepared(opened(store))
    assert found.why.endswith("few-shot answers, with the person's nearest answers as examples")
    assert found.prompt.startswith(payload["initial"]["prompt"]["text"])
    assert found.prompt.count("Question:") == 2
    assert found.prompt.rpartition("Question: ")[2].startswith("Would you drink tea at noon?")


@pytest.mark.parametrize(
    ("owner", "method", "why"),
    [
        (Owner.user("nobody"), None, "nobody"),
        (Owner.user("silent"), None, "nothing has been learned for user 'silent' yet"),
        (Owner.user("ann"), "chameleon", "'chameleon' has learned nothing for user 'ann' yet"),
        (Owner.user("ann"), "both", "'chameleon' has learned nothing for user 'ann' yet"),
        (Owner.group("walkers"), None, "walkers"),
    ],
)
async def test_whoever_has_nothing_gets_the_base_model(store: Path, owner: Owner, method: Any, why: str) -> None:
    found = await prepared(opened(store), owner=owner, method=method)
    assert (found.personalized, found.messages, found.model.name) == (False, TURNS, "mimic")
    assert why in found.why


async def test_damaged_results_give_the_base_model_too(store: Path) -> None:
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        held.save_personalization("ann", "fermi", {**held.personalization("ann", "fermi"), "prompts": []})
    found = await prepared(opened(store))
    assert not found.personalized
    assert "damaged" in found.why


async def test_a_similarity_that_is_missing_leaves_the_choice_to_all_opinions(store: Path) -> None:
    payload = change(store)
    changed = {**payload["settings"]["retrieval"], "similarity": "http://127.0.0.1:9/v1#e"}
    change(store, settings={**payload["settings"], "retrieval": changed})
    found = await prepared(opened(store))
    assert found.personalized
    assert "on all opinions (" in found.why


async def test_prompts_go_with_another_model(store: Path) -> None:
    other = FunctionModel("other", complete=lambda _: "Tea.")
    async with AsyncWorkspace(opened(store, other)) as space:
        found = await personalized_chat(space, ASKED_ANN, TURNS, model="other")
        reply = await chat(space, found)
    assert (reply.text, found.model.name, found.personalized) == ("Tea.", "other", True)
    assert other.completion_requests[0].messages == found.messages


async def test_the_answer_is_streamed_and_is_that_of_chat(store: Path) -> None:
    async with AsyncWorkspace(opened(store)) as space:
        found = await personalized_chat(space, ASKED_ANN, TURNS, sampling=SamplingParams(max_tokens=7))
        assert found.request.sampling.max_tokens == 7
        plain = await chat(space, found)
        async with aclosing(stream_chat(space, found)) as items:
            *pieces, last = [item async for item in items]
        assert not space.works_on(ASKED_ANN)
    assert pieces == ["Tea,", " I", " think."]
    assert last == plain
    assert plain.chat == found


async def test_the_user_is_in_use_until_the_stream_is_closed(store: Path) -> None:
    async with AsyncWorkspace(opened(store)) as space:
        found = await personalized_chat(space, ASKED_ANN, TURNS)
        async with aclosing(stream_chat(space, found)) as items:
            await anext(items)
            assert space.works_on(ASKED_ANN)
        assert not space.works_on(ASKED_ANN)


async def test_converse_prepares_and_answers(store: Path) -> None:
    async with AsyncWorkspace(opened(store)) as space:
        first, *pieces, last = [item async for item in converse(space, ASKED_ANN, TURNS)]
    assert isinstance(first, PersonalizedChat)
    assert isinstance(last, ChatAnswer)
    assert "".join(map(str, pieces)) == last.text == "Tea, I think."


def narrow(most: int) -> FunctionModel:
    """A model that reads at most so many characters."""

    def complete(request: CompletionRequest) -> str:
        if sum(len(message.content) for message in request.messages) > most:
            raise ContextLengthError("the prompt is too long", limit=most // 3)
        return "Tea."

    return FunctionModel("mimic", complete=complete, choice_logprobs=lambda request: [-1.0] * len(request.choices))


async def test_a_prompt_that_is_too_long_becomes_shorter_and_is_left_out_at_last(store: Path) -> None:
    payload = change(store)
    change(store, settings={**payload["settings"], "hybrid": {**payload["settings"]["hybrid"], "examples": 4}})
    whole = await prepared(opened(store))
    sizes = [len(each.prompt) for each in (whole, *whole.shorter())] if whole.shorter else []
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 0
    turn = len(TURNS[0].content)
    for most, expected in ((sizes[0] + turn, sizes[0]), (sizes[1] + turn, sizes[1]), (turn, 0)):
        async with AsyncWorkspace(opened(store, narrow(most))) as space:
            reply = await chat(space, await personalized_chat(space, ASKED_ANN, TURNS))
            async with aclosing(stream_chat(space, await personalized_chat(space, ASKED_ANN, TURNS))) as items:
                *_, last = [item async for item in items]
        assert len(reply.chat.prompt) == expected
        assert last == reply
        assert reply.chat.personalized == (expected > 0)
    assert "too long for the model's context" in reply.chat.why
    async with AsyncWorkspace(opened(store, narrow(3))) as space:
        with pytest.raises(ContextLengthError):
            await chat(space, await personalized_chat(space, ASKED_ANN, TURNS))


async def test_documents_name_what_was_used_and_show_the_messages(store: Path) -> None:
    async with AsyncWorkspace(opened(store)) as space:
        found = await personalized_chat(space, ASKED_ANN, TURNS)
        document = json.loads(json.dumps(chat_answer_document(await chat(space, found))))
    assert document["user"] == "ann"
    assert (document["answer"], document["finish_reason"]) == ("Tea, I think.", "stop")
    assert (document["personalization"], document["personalized"]) == (found.personalization, True)
    assert (document["prompt_digest"], document["edit_digest"]) == (found.prompt_digest, None)
    assert document["usage"]["calls"] == 1
    assert found.prompt not in json.dumps(document)
    sent = personalized_chat_document(found)["messages"]
    assert sent[0] == {"role": "system", "content": found.prompt}


async def test_wrong_arguments_are_errors(store: Path) -> None:
    async with AsyncWorkspace(opened(store)) as space:
        with pytest.raises(ValueError, match="method"):
            await personalized_chat(space, ASKED_ANN, TURNS, method="other")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="groups"):
            await personalized_chat(space, Owner.group("g"), TURNS, method="fermi")
        with pytest.raises(TypeError, match="owner"):
            await personalized_chat(space, "ann", TURNS)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at least one"):
            await personalized_chat(space, ASKED_ANN, [])


def chatty(body: Body, number: int) -> Answer:
    """What the fit needs, and streams for conversations."""
    return Stream("Tea, I think.", size=4) if _is_chat(body) else answer(body, number)


def _is_chat(body: Body) -> bool:
    return "stream" in body and "square brackets" not in body["messages"][-1]["content"]


async def test_with_a_server_a_conversation_is_streamed_paid_once_and_forgotten_with_the_user(tmp_path: Path) -> None:
    with ApiServer(chatty) as server:
        await fit(tmp_path, server, people("ann"))
        async with AsyncWorkspace(settings(tmp_path, server)) as space:
            found = await personalized_chat(space, ASKED_ANN, TURNS)
            before = len(server.requests)
            texts = []
            for _ in range(2):
                async with aclosing(stream_chat(space, found)) as items:
                    texts.append([item async for item in items])
            spent = space.spending()
            receipt = await forget(space, "ann")
        requests = server.requests[before:]
    assert len(requests) == 1
    assert requests[0].body["messages"][-1] == {"role": "user", "content": TURNS[0].content}
    assert "".join(map(str, texts[0][:-1])) == "Tea, I think."
    assert texts[1][0] == "Tea, I think."
    assert texts[0][-1] == texts[1][-1]
    assert (spent.calls, spent.from_cache) == (1, 1)
    assert receipt.proven
    assert receipt.calls_deleted > 0


async def test_a_stream_that_breaks_off_is_an_error_after_what_came(tmp_path: Path) -> None:
    cut = 'data: {"choices": [{"index": 0, "delta": {"content": "Tea"}}]}\n\n'

    def broken(body: Body, number: int) -> Answer:
        return WrongContentType("text/event-stream", cut) if _is_chat(body) else answer(body, number)

    seen: list[object] = []
    with ApiServer(broken) as server:
        await fit(tmp_path, server, people("ann"))
        async with AsyncWorkspace(settings(tmp_path, server)) as space:
            stream = stream_chat(space, await personalized_chat(space, ASKED_ANN, TURNS))
            with pytest.raises(ModelError, match="broke off"):
                seen.extend([item async for item in _noting(stream, seen)])
    assert "Tea" in seen


async def _noting(stream: Any, seen: list[object]) -> Any:
    async for item in stream:
        seen.append(item)
        yield item


async def test_a_halted_workspace_answers_nothing(store: Path, tmp_path: Path) -> None:
    del store
    with ApiServer(chatty) as server:
        async with AsyncWorkspace(replace(settings(tmp_path / "other", server), create=True)) as space:
            found = await personalized_chat(space, ASKED_ANN, TURNS)
            space.halt("enough")
            with pytest.raises(HaltedError):
                await chat(space, found)
    assert not server.requests
