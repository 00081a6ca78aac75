"""Prompts for callers that ask the model themselves: the choice of `answer`, and one that costs no call."""

from __future__ import annotations

from dataclasses import replace

from idiolect import Opinion, Question
from idiolect.methods.answering import Answerer, AnsweringSettings, Response
from idiolect.methods.fermi.extension_settings import HybridSettings
from idiolect.methods.fermi.memory import ScoredPrompt, judge
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.prompt import Prompt
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.fermi.settings import RetrievalSettings
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import Usage
from tests.methods.people import TableSimilarity, paper

YES_NO = ("yes", "no")
OPINIONS = tuple(Opinion(Question(f"Is {n} good to have?", YES_NO), "yes") for n in range(5))
ASKED = Question("What do you think of 9?")


def scored(text: str, born: int, known: dict[int, str]) -> ScoredPrompt:
    """A prompt with known answers to some opinions."""
    cells = tuple(
        judge(opinion, Response(known[i], known[i])) if i in known else None for i, opinion in enumerate(OPINIONS)
    )
    return ScoredPrompt(Prompt(text), born, cells)


def learned(
    *prompts: ScoredPrompt, retrieval: RetrievalSettings | None = None, examples: int = 0
) -> FermiPersonalization:
    settings = replace(
        paper(retrieval=retrieval or RetrievalSettings(neighbours=2)), hybrid=HybridSettings(examples=examples)
    )
    first = scored("Start", 0, dict.fromkeys(range(5), "no"))
    return FermiPersonalization("ann", "m", None, settings, OPINIONS, (), first, prompts, (), (), Usage(), Usage())


def near(*order: int) -> TableSimilarity:
    ranks = {f"Is {n} good to have?": float(len(order) - place) for place, n in enumerate(order)}
    return TableSimilarity(lambda _, document: ranks.get(document.split("\n")[0], 0.0))


async def chosen(kept: FermiPersonalization, *order: int) -> tuple[str, list[int], FunctionModel]:
    """The chosen prompt, the nearest opinions, and the model."""
    model = FunctionModel(complete=lambda _: "yes")
    retrieval = RetrievalOfPrompt(kept, Answerer(model, AnsweringSettings()), near(*order))
    (prompt,) = await retrieval.prompts([ASKED], score=False)
    assert retrieval.personalization == kept
    return prompt.text, [each.index for each in prompt.explanation.nearest], model


async def test_without_scoring_the_known_scores_on_the_nearest_opinions_choose_and_no_call_is_made() -> None:
    a, b = scored("A", 1, dict.fromkeys(range(5), "yes") | {0: "no", 1: "no"}), scored("B", 2, {0: "yes", 1: "yes"})
    text, nearest, model = await chosen(learned(a, b), 0, 1)
    assert (text, nearest, model.completion_requests) == ("B", [0, 1], [])
    assert (await chosen(learned(a, b), 3, 4))[0] == "A"


async def test_an_opinion_that_was_never_asked_counts_as_lost() -> None:
    """Else one lucky answer would beat two of three."""
    lucky, solid = scored("Lucky", 1, {0: "yes"}), scored("Solid", 2, {0: "yes", 1: "yes", 2: "no"})
    three = RetrievalSettings(neighbours=3)
    assert (await chosen(learned(lucky, solid, retrieval=three), 0, 1, 2))[0] == "Solid"


async def test_if_nothing_is_alike_all_known_scores_choose() -> None:
    a, b = (
        scored("A", 1, {0: "yes", 1: "yes", 2: "no", 3: "no", 4: "no"}),
        scored("B", 2, dict.fromkeys(range(1, 5), "yes")),
    )
    assert (await chosen(learned(a, b)))[:2] == ("B", [])
    assert (await chosen(learned(a, b), 0, 1))[0] == "A"


async def test_estimates_rest_on_what_is_known() -> None:
    a, b = scored("A", 1, {0: "yes"}), scored("B", 2, {})
    shrunk = RetrievalSettings(neighbours=2, shrinkage=2.0)
    assert (await chosen(learned(b, a, retrieval=shrunk), 0, 1))[0] == "A"


async def test_with_scoring_the_choice_is_that_of_answer_and_the_scores_are_kept() -> None:
    a, b = scored("A", 1, {}), scored("B", 2, {})
    model = FunctionModel(complete=lambda request: "yes" if request.messages[-1].content.startswith("B") else "no")
    retrieval = RetrievalOfPrompt(learned(a, b), Answerer(model, AnsweringSettings()), near(0, 1))
    (prompt,) = await retrieval.prompts([ASKED])
    assert (prompt.text, prompt.explanation.chosen, len(model.completion_requests)) == ("B", 1, 4)
    (answer,) = await retrieval.answer([ASKED])
    assert answer.explanation == prompt.explanation
    assert len(model.completion_requests) == 5
    assert model.completion_requests[-1].messages[-1].content.startswith("B\n")


async def test_the_examples_of_a_prompt_become_fewer_in_its_shorter_versions() -> None:
    kept = learned(scored("A", 1, dict.fromkeys(range(5), "yes")), examples=4)
    model = FunctionModel(complete=lambda _: "yes")
    retrieval = RetrievalOfPrompt(kept, Answerer(model, AnsweringSettings()), near(0, 1, 2, 3))
    (prompt,) = await retrieval.prompts([ASKED], score=False)
    versions = list(prompt.versions())
    assert versions[0] == prompt.text
    assert [text.count("Question:") for text in versions] == [4, 2, 1, 0]
    assert versions[-1] == "A"
    assert "Is 0" in versions[2]
