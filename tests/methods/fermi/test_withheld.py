"""A content filter that refuses one question costs that question only, also where it would stand as an example."""

from __future__ import annotations

from dataclasses import replace

from idiolect import Opinion, Question, User
from idiolect.methods.answering import Answerer
from idiolect.methods.evidence import EvidenceSettings
from idiolect.methods.fermi.optimizer import Fermi
from idiolect.methods.fermi.presets import preset
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.roles import deal_roles
from idiolect.methods.fermi.withheld import withheld_by
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Completion, CompletionRequest, Usage
from idiolect.models.similarity import Bm25Similarity

BAD = "Is the forbidden thing good?"
SETTINGS = replace(preset("api"), iterations=1)


def person(n: int = 9) -> User:
    opinions = [Opinion(Question(f"Is thing {number} good?", ("yes", "no")), "yes") for number in range(n)]
    return User("ann", opinions=(*opinions[:4], Opinion(Question(BAD, ("yes", "no")), "no"), *opinions[4:]))


class Filtering(FunctionModel):
    """A model whose filter refuses every request that holds the bad question."""

    async def complete(self, requests: list[CompletionRequest]) -> list[Completion]:  # type: ignore[override]
        refused = Completion("", "content_filter", Usage())
        answers = await super().complete(requests)
        return [
            refused if BAD in request.messages[-1].content else answer
            for request, answer in zip(requests, answers, strict=True)
        ]


async def test_a_refused_question_is_no_example_and_the_others_keep_theirs() -> None:
    user = person()
    model = Filtering(complete=lambda _: "yes")
    optimizer = Filtering(complete=lambda request: f"[Answer as somebody who likes {request.draw} things.]")
    fermi = Fermi(Answerer(model, SETTINGS.answering), SETTINGS, optimizer=optimizer, similarity=Bm25Similarity())
    learned = await fermi.fit(user)
    bad = next(i for i, opinion in enumerate(learned.opinions) if opinion.question.text == BAD)
    assert withheld_by(learned.initial) == {bad}
    assert [cell is not None and cell.score for i, cell in enumerate(learned.initial.cells) if i != bad] == [1.0] * 9
    assert not any(BAD in request.messages[-1].content for request in optimizer.completion_requests)
    held = sum(BAD in request.messages[-1].content for request in model.completion_requests)
    asked = len(model.completion_requests)
    (answer,) = await RetrievalOfPrompt(learned, Answerer(model, SETTINGS.answering), Bm25Similarity()).answer(
        [Question("Is thing 20 good?", ("yes", "no"))]
    )
    assert answer.response.answer == "yes"
    later = model.completion_requests[asked:]
    assert later
    assert not any(BAD in request.messages[-1].content for request in later)
    assert all("Is thing 3 good?" in request.messages[-1].content for request in later), "the other examples are shown"
    # Under P⁰: all ten in the first round, the bad one alone, and under each prompt the bad question itself.
    assert held <= 10 + 1 + len(learned.memory) + SETTINGS.proposals + 1


async def test_nothing_is_asked_again_without_a_filter() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    optimizer = FunctionModel(complete=lambda request: f"[Answer as somebody who likes {request.draw} things.]")
    fermi = Fermi(Answerer(model, SETTINGS.answering), SETTINGS, optimizer=optimizer, similarity=Bm25Similarity())
    learned = await fermi.fit(person())
    assert withheld_by(learned.initial) == frozenset()
    assert len({request.messages for request in model.completion_requests}) == len(model.completion_requests)


async def test_a_refused_opinion_that_judged_is_no_example_when_it_is_folded_back() -> None:
    settings = replace(SETTINGS, scoring_share=0.7, evidence=EvidenceSettings(0.3, fold_back=True))
    user = next(
        each
        for each in (replace(person(), id=f"ann-{number}") for number in range(100))
        if any(opinion.question.text == BAD for opinion in deal_roles(each, settings).held_out)
    )
    model = Filtering(complete=lambda _: "yes")
    optimizer = FunctionModel(complete=lambda request: f"[Answer as somebody who likes {request.draw} things.]")
    fermi = Fermi(Answerer(model, settings.answering), settings, optimizer=optimizer, similarity=Bm25Similarity())
    learned = await fermi.fit(user)
    assert learned.held_out == ()
    bad = next(i for i, opinion in enumerate(learned.opinions) if opinion.question.text == BAD)
    assert withheld_by(learned.initial) == {bad}
    for each in (learned.initial, *learned.memory):
        refused = {i for i in each.scoreable if (cell := each.cells[i]) is not None and cell.response.filtered}
        assert refused == {bad} & set(each.scoreable)
    asked = len(model.completion_requests)
    respondent = RetrievalOfPrompt(learned, Answerer(model, settings.answering), Bm25Similarity())
    (answer,) = await respondent.answer([Question("Is thing 20 good?", ("yes", "no"))])
    assert answer.response.answer == "yes"
    assert not any(BAD in request.messages[-1].content for request in model.completion_requests[asked:])
