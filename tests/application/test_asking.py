"""Answers in somebody's place: which one counts and why, what is kept of asking, and what cannot be asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from idiolect.application.asking import Asked, ask
from idiolect.application.names import AskedMethod
from idiolect.application.owner import Owner
from idiolect.application.workspace import AsyncWorkspace, WorkspaceSettings
from idiolect.errors import ModelError, NotFittedError, UnknownGroupError, UnknownUserError
from idiolect.models.language_model import ChoiceLogProbs, ChoiceRequest, Completion, CompletionRequest
from idiolect.people.user import Question
from idiolect.store import DEFAULT_TENANT, Store
from tests.api_server import Answer, ApiServer, Body
from tests.application.mimicked import ANN, FAST, SILENT, opened
from tests.application.served import fit, fit_in, people, settings
from tests.cli.learning import TEA, mimic
from tests.cli.remote_world import answer, asked_names

ASKED_ANN = Owner.user("ann")


@pytest.fixture
async def store(tmp_path: Path) -> Path:
    """Ann, learned with the mimic; and a user about whom nothing was learned."""
    await fit_in(opened(tmp_path / "store"), [ANN, SILENT], FAST)
    return tmp_path / "store"


async def ask_in(workspace: WorkspaceSettings, question: Question, *, with_base: bool = False) -> Asked:
    async with AsyncWorkspace(workspace) as space:
        return await ask(space, ASKED_ANN, question, with_base=with_base)


async def test_the_prompt_answers_and_the_base_model_only_where_it_is_asked_too(store: Path) -> None:
    asked = await ask_in(opened(store), TEA)
    assert (asked.text, asked.counts, asked.personalized) == ("always", "prompt", True)
    assert asked.answers.keys() == {"prompt"}
    assert asked.explanation is not None
    assert asked.prompts is not None
    chosen = asked.explanation.candidates[asked.explanation.chosen]
    assert chosen.score == max(each.score for each in asked.explanation.candidates) == 1.0
    assert {asked.prompts.opinions[near.index].answer for near in asked.explanation.nearest} == {"always"}
    place, n = asked.explanation.chosen + 1, len(asked.prompts.prompts)
    assert asked.why == f"prompt {place} of {n} scores 1.00 on the 3 nearest opinions"
    assert (asked.few_shot, asked.answering) == (False, (asked.explanation.chosen,))
    both = await ask_in(opened(store), TEA, with_base=True)
    assert {name: each.answer for name, each in both.answers.items()} == {"prompt": "always", "base": "never"}
    assert (both.counts, both.text) == ("prompt", "always")


async def test_new_scores_are_kept_and_nothing_is_saved_without_any(store: Path) -> None:
    def record() -> tuple[str, object]:
        with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
            (kept,) = held.personalizations("ann")
            return kept.digest, kept.updated_at

    fitted = record()
    await ask_in(opened(store), TEA)
    scored = record()
    assert scored[0] != fitted[0]
    await ask_in(opened(store), TEA, with_base=True)
    assert record() == scored


async def test_few_shot_answers_and_leaves_the_stored_prompts_as_they_are(store: Path) -> None:
    """Only the first prompt answers then; storing what answered would lose all others."""
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        payload = held.personalization("ann", "fermi")
        evidence = {"personalized": [0.0], "base": [0.0], "few_shot": [1.0]}
        held.save_personalization("ann", "fermi", {**payload, "evidence": evidence})
    asked = await ask_in(opened(store), TEA)
    assert asked.counts == "prompt"
    assert asked.explanation is not None
    assert len(asked.explanation.candidates) == 1
    assert (asked.few_shot, asked.answering) == (True, (0,))
    assert asked.why == (
        "on 1 held-out opinion, the personalization scored 0.00, few-shot 1.00, the base model 0.00: few-shot answers, "
        "with the person's nearest answers as examples"
    )
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        kept = held.personalization("ann", "fermi")
    assert [each["born"] for each in kept["prompts"]] == [each["born"] for each in payload["prompts"]]
    assert kept["settings"] == payload["settings"]


async def test_several_prompts_answer_together_and_the_reason_states_how_many(store: Path) -> None:
    _set(store, "ensemble", {"prompts": 3})
    asked = await ask_in(opened(store), TEA)
    assert asked.explanation is not None
    assert asked.prompts is not None
    assert len(asked.answering) == 3
    assert asked.answering[0] == asked.explanation.chosen
    place, n = asked.explanation.chosen + 1, len(asked.prompts.prompts)
    best = f"the best of them, prompt {place}, scores 1.00 on the 3 nearest opinions"
    assert asked.why == f"3 of {n} prompts answer together; {best}"


async def test_own_answers_that_counted_are_counted(store: Path) -> None:
    _set(store, "ensemble", {"own_answers": 0.0})
    assert (await ask_in(opened(store), TEA)).own_answers == 0
    _set(store, "ensemble", {"own_answers": 1.0})
    asked = await ask_in(opened(store), TEA)
    assert asked.prompts is not None
    assert asked.own_answers == len(asked.prompts.opinions) > 0
    assert (await ask_in(opened(store), replace(TEA, choices=TEA.choices[::-1]))).own_answers == 0
    assert (await ask_in(opened(store), Question("What do you drink?"))).own_answers == 0


async def test_one_prompt_alone_answers_in_free_text(store: Path) -> None:
    _set(store, "ensemble", {"prompts": 3})
    asked = await ask_in(opened(store), Question("What do you drink?"))
    assert asked.explanation is not None
    assert len(asked.explanation.answering) == 3
    assert asked.answering == (asked.explanation.chosen,)
    assert asked.why.startswith(f"prompt {asked.explanation.chosen + 1} of ")


async def test_an_estimate_is_not_called_a_score_on_the_nearest_opinions(store: Path) -> None:
    _set(store, "retrieval", {"shrinkage": 2.0})
    asked = await ask_in(opened(store), TEA)
    assert asked.explanation is not None
    score = asked.explanation.candidates[asked.explanation.chosen].score
    assert asked.why.endswith(f" has the estimated score {score:.2f}, from the 3 nearest opinions and all others")


async def test_without_retrieval_the_reason_is_the_score_on_all_opinions(store: Path) -> None:
    _set(store, "retrieval", {"retrieve": False})
    assert (await ask_in(opened(store), TEA)).why.endswith(" on all opinions")


def _set(store: Path, part: str, changes: dict[str, object]) -> None:
    """Change settings of what was learned for ann."""
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        payload = held.personalization("ann", "fermi")
        learned = payload["settings"]
        held.save_personalization(
            "ann", "fermi", {**payload, "settings": {**learned, part: {**learned[part], **changes}}}
        )


class Relearned:
    """The mimic; whenever it is asked, another process saves something else for ann."""

    name = "mimic"

    def __init__(self, store: Path) -> None:
        self._mimic, self._store = mimic(), store

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        return await self._mimic.complete(requests)

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        with Store.open(self._store, create=False, tenant=DEFAULT_TENANT) as other:
            payload = other.personalization("ann", "fermi")
            other.save_personalization("ann", "fermi", {**payload, "made_with": "another process"})
        return await self._mimic.choice_logprobs(requests)


async def test_scores_do_not_replace_what_was_learned_meanwhile(store: Path) -> None:
    assert (await ask_in(WorkspaceSettings(store, Relearned(store)), TEA)).text == "always"
    with Store.open(store, create=False, tenant=DEFAULT_TENANT) as held:
        assert held.personalization("ann", "fermi")["made_with"] == "another process"


@pytest.mark.parametrize("text", ["What would you drink?", "Would you drink tea at noon?"])
async def test_a_question_without_choices_is_answered_freely(store: Path, text: str) -> None:
    asked = await ask_in(opened(store), Question(text))
    assert (asked.question.choices, asked.text) == ((), "Tea, I think.")


@pytest.mark.parametrize(
    ("owner", "method", "kind"),
    [
        (Owner.user("silent"), None, NotFittedError),
        (ASKED_ANN, "chameleon", NotFittedError),
        (ASKED_ANN, "both", NotFittedError),
        (Owner.user("an"), None, UnknownUserError),
        (Owner.group("readers"), None, UnknownGroupError),
    ],
)
async def test_nobody_is_asked_in_whose_place_nothing_was_learned(
    store: Path, owner: Owner, method: AskedMethod | None, kind: type[Exception]
) -> None:
    model = mimic()
    async with AsyncWorkspace(opened(store, model)) as space:
        with pytest.raises(kind) as caught:
            await ask(space, owner, TEA, method=method)
    assert type(caught.value) is kind
    assert model.choice_requests == []
    if isinstance(caught.value, NotFittedError):
        learned_by = "fermi" if method is None else "chameleon"
        assert (caught.value.method, caught.value.owner, caught.value.kind) == (learned_by, owner.id, "user")


async def test_a_model_that_is_gone_is_an_error(store: Path) -> None:
    with pytest.raises(ModelError, match="mimic"):
        await ask_in(WorkspaceSettings(store), TEA)


BREAD = Question("Bread or soup?", ("bread", "soup"))


async def test_a_question_asked_twice_is_asked_of_the_server_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(answer) as server:
        assert (await fit(store, server, people("ann"))).complete
        before = len(server.requests)
        first = await ask_in(settings(store, server), BREAD, with_base=True)
        asked = len(server.requests) - before
        assert asked >= 1
        again = await ask_in(settings(store, server), BREAD, with_base=True)
    assert again.text == first.text
    assert len(server.requests) == before + asked
    assert len(set(asked_names(server))) == len(server.requests)


def _harmful(body: Body, number: int) -> Answer:
    """Right wherever it knows nothing of the person but their profile, wrong under every other prompt."""
    text = json.dumps(body["messages"])
    if "square brackets" in text:
        return answer(body, number)
    hour = int(text.rpartition(" have at ")[2].split()[0]) if " have at " in text else 0
    words = people("ann")[0].opinions[0].question.choices
    return words[(hour + ("This person likes" in text)) % 6]


async def test_where_the_evidence_speaks_for_the_base_model_it_answers(tmp_path: Path) -> None:
    store = tmp_path / "store"
    with ApiServer(_harmful) as server:
        report = await fit(store, server, people("ann"))
        (outcome,) = report.outcomes
        assert outcome.summary is not None
        before = len(server.requests)
        asked = await ask_in(settings(store, server), BREAD, with_base=True)
    assert not outcome.summary.used
    assert (asked.counts, asked.personalized, asked.explanation) == ("base", False, None)
    assert asked.prompts is not None
    assert asked.prompts.evidence is not None
    assert asked.prompts.evidence.reason in asked.why
    assert asked.answers.keys() == {"base"}
    assert len(server.requests) == before + 1
