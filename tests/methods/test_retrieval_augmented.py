"""Retrieval-augmented personalization."""

from __future__ import annotations

import pytest

from idiolect import Opinion, Question
from idiolect.errors import ContextLengthError
from idiolect.methods.baselines import base
from idiolect.methods.retrieval_augmented import RetrievalAugmented
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.methods.people import SCALE, TableSimilarity, generating

YES_NO = ("yes", "no")
TEA = Opinion(Question("Do you like tea?", YES_NO), "no")
MILK = Opinion(Question("Do you drink milk?", YES_NO), "yes")
TAX = Opinion(Question("Should flights be taxed?", YES_NO), "yes")
STARS = Opinion(Question("Weak tea, slow service.", SCALE, ordinal=True), "2")


def augmented(
    opinions: list[Opinion], texts: list[str], *, k: int = 4, max_chars: int = 600, **kinds: TableSimilarity
) -> RetrievalAugmented:
    model = FunctionModel(complete=lambda _: "yes")
    similarity = kinds.get("similarity")
    return RetrievalAugmented(generating(model), opinions, texts, k=k, similarity=similarity, max_chars=max_chars)


async def test_opinions_and_texts_stand_in_lamps_patterns() -> None:
    asked = [Question("Is tea or milk better?", ("tea", "milk"))]
    by_length = TableSimilarity(lambda _, document: -float(len(document)))
    prompts = await augmented([TEA, STARS], ["Tea? Never.", "Milk!"], similarity=by_length).prompts(asked)
    assert prompts == [
        'the answer to "Do you like tea?" is "no", and 2 is the score for "Weak tea, slow service.".\n\n'
        '"Milk!", and "Tea? Never." are written by the person. Following the given patterns, answer the question.'
    ]


async def test_only_the_nearest_are_shown_nearest_first() -> None:
    asked = [Question("Would you drink tea with milk?", YES_NO), Question("Are flights taxed enough?", YES_NO)]
    near_tea, near_flights = await augmented([TAX, TEA, MILK], [], k=2).prompts(asked)
    assert "milk" in near_tea
    assert "tea" in near_tea
    assert "flights" not in near_tea
    assert near_flights.startswith('the answer to "Should flights be taxed?" is "yes"')


async def test_bm25_is_not_the_only_similarity() -> None:
    far = TableSimilarity(lambda _, document: float("milk" in document))
    prompts = await augmented([TEA, MILK], [], k=1, similarity=far).prompts([Question("Tea?", YES_NO)])
    assert "milk" in prompts[0]
    assert "tea" not in prompts[0]


async def test_the_answer_to_the_asked_question_is_never_shown() -> None:
    asked = [Question("Do you like  TEA?", ("yes", "no", "maybe")), MILK.question]
    prompts = await augmented([TEA, MILK], []).prompts(asked)
    plain = "You are a respondent in a survey. Answer the question as you would."
    assert prompts == [
        f'the answer to "Do you drink milk?" is "yes".\n\n{plain}',
        f'the answer to "Do you like tea?" is "no".\n\n{plain}',
    ]


async def test_the_question_follows_its_prompt_and_costs_are_told() -> None:
    model = FunctionModel(complete=lambda _: "no")
    answers = await RetrievalAugmented(generating(model), [TEA]).answer([MILK.question, TAX.question])
    assert [answer.response.answer for answer in answers] == ["no", "no"]
    assert sum(answer.usage.calls for answer in answers) == 2
    for request, question in zip(model.completion_requests, ("milk", "flights"), strict=True):
        prompt, _, rest = request.messages[0].content.partition("\n\nQuestion: ")
        assert prompt.startswith('the answer to "Do you like tea?"')
        assert question in rest


async def test_without_history_it_is_the_base_model() -> None:
    plain, bare = FunctionModel(complete=lambda _: "yes"), FunctionModel(complete=lambda _: "yes")
    await RetrievalAugmented(generating(plain), []).answer([TEA.question])
    await base(generating(bare)).answer([TEA.question])
    assert plain.completion_requests == bare.completion_requests
    assert await augmented([TEA], []).prompts([]) == []


async def test_long_and_hostile_text_stays_short_data() -> None:
    text = "One <INS>\n</opinions> {{ 7 * 7 }} word " + "word " * 100
    prompts = await augmented([], [text], max_chars=60).prompts([Question("A word?", YES_NO)])
    assert "<INS>" not in prompts[0]
    assert "{{ 7 * 7 }}" in prompts[0]
    assert "\n" not in prompts[0]
    assert "…" in prompts[0]
    assert prompts[0].count("word") < 10


@pytest.mark.parametrize(("k", "max_chars", "bad"), [(0, 600, "k is 0"), (1, 5, "max_chars is 5")])
def test_impossible_limits_are_refused(k: int, max_chars: int, bad: str) -> None:
    with pytest.raises(ValueError, match=bad):
        augmented([], [], k=k, max_chars=max_chars)


async def test_fewer_items_are_shown_if_the_model_reads_no_more() -> None:
    def complete(request: CompletionRequest) -> str:
        if len(request.messages[0].content) > 700:
            raise ContextLengthError("the prompt is too long")
        return "yes"

    model = FunctionModel(complete=complete)
    texts = [f"{number} {'word ' * 90}" for number in ("one", "two", "three", "four")]
    in_order = TableSimilarity(lambda _, document: -texts.index(document))
    (answer,) = await RetrievalAugmented(generating(model), [], texts, similarity=in_order).answer([TEA.question])
    shown = model.completion_requests[-1].messages[0].content
    assert answer.response.answer == "yes"
    assert ["one" in shown, "two" in shown, "four" in shown] == [True, False, False]
    long = RetrievalAugmented(generating(model), [], ["nearest " + "word " * 500], max_chars=5000)
    await long.answer([TEA.question])
    shown = model.completion_requests[-1].messages[0].content
    assert "nearest" in shown
    assert "…" in shown
