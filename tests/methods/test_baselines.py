"""Baselines and controls."""

from __future__ import annotations

import pytest

from idiolect import Opinion, Question, UserProfile
from idiolect.errors import ContextLengthError
from idiolect.methods.answering import Answerer, AnsweringSettings, Response
from idiolect.methods.baselines import FewShot, FrequentAnswer, base, profile
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Message
from tests.methods.people import SCALE, TableSimilarity, generating

YES_NO = ("yes", "no")


def opinion(text: str, answer: str, choices: tuple[str, ...] = YES_NO) -> Opinion:
    return Opinion(Question(text, choices), answer)


async def test_frequent_answer_counts_questions_with_the_same_choices() -> None:
    said = [opinion("a?", "no"), opinion("b?", "no"), opinion("c?", "yes"), opinion("d?", "5", SCALE)]
    answers = await FrequentAnswer(said).answer([Question("new?", YES_NO), Question("rate?", SCALE)])
    assert [a.response.answer for a in answers] == ["no", "5"]
    assert sum(a.usage.calls for a in answers) == 0


async def test_frequent_answer_ties_and_unknown_choices_go_to_the_first() -> None:
    tied = FrequentAnswer([opinion("a?", "no"), opinion("b?", "yes")])
    answers = await tied.answer([Question("new?", YES_NO), Question("other?", ("x", "y"))])
    assert [a.response.answer for a in answers] == ["yes", "x"]


async def test_frequent_answer_has_none_for_free_text() -> None:
    answers = await FrequentAnswer([Opinion(Question("Why?"), "because")]).answer([Question("Why?")])
    assert answers[0].response == Response("", None)


async def test_base_and_profile_put_their_prompt_in_front() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    question = Question("Well?", YES_NO)
    await base(generating(model)).answer([question])
    await profile(generating(model), UserProfile({"Age": "30"})).answer([question])
    await profile(generating(model), UserProfile()).answer([question])
    contents = [r.messages[0].content for r in model.completion_requests]
    assert contents[0] == (
        "You are a respondent in a survey. Answer the question as you would.\n\nQuestion: Well?\nChoices: yes | no\n"
        "Reply with one of the choices only, word for word, without an explanation."
    )
    assert contents[1].startswith("A person can be described as follows:\nAge: 30\n")
    assert contents[2] == contents[0]
    assert all(content.endswith("\nReply with one of the choices only, word for word, without an explanation.")
               for content in contents)  # fmt: skip


@pytest.mark.parametrize("settings", [AnsweringSettings(output_rule=False), AnsweringSettings(mode="likelihood")])
async def test_without_the_output_rule_base_is_the_plain_task(settings: AnsweringSettings) -> None:
    model = FunctionModel(complete=lambda _: "yes", choice_logprobs=lambda _: [0.0, -1.0])
    await base(Answerer(model, settings)).answer([Question("Well?", YES_NO)])
    asked = [*model.completion_requests, *model.choice_requests]
    assert [r.messages[0].content for r in asked] == ["Answer the question.\n\nQuestion: Well?\nChoices: yes | no"]


async def test_base_puts_nothing_before_a_question_that_stands_verbatim() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    verbatim = Answerer(model, AnsweringSettings(form="verbatim"))
    for respondent in (base(verbatim), profile(verbatim, UserProfile())):
        await respondent.answer([Question("Well?", YES_NO)])
    assert [r.messages for r in model.completion_requests] == [(Message("user", "Well?"),)] * 2


def shown(model: FunctionModel) -> list[list[str]]:
    """Per request, the questions in it but for the last."""
    return [
        [line.removeprefix("Question: ") for line in r.messages[0].content.split("\n") if line.startswith("Question")][
            :-1
        ]
        for r in model.completion_requests
    ]


async def test_few_shot_shows_the_nearest_last() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    said = [opinion(f"{i}?", "yes") for i in range(4)]
    near = TableSimilarity(lambda q, d: -abs(int(q[0]) - int(d[0])))
    few = FewShot(generating(model), said, k=2, similarity=near, instruction="Go.")
    answers = await few.answer([Question("3? again", YES_NO), Question("0? again", YES_NO)])
    assert shown(model) == [["2?", "3?"], ["1?", "0?"]]
    assert [a.response.answer for a in answers] == ["yes", "yes"]
    assert all(r.messages[0].content.startswith("Go.\n\nQuestion: ") for r in model.completion_requests)
    assert near.seen[0][0][0] == "3? again\nyes\nno"


@pytest.mark.parametrize("k", [4, 9])
async def test_few_shot_shows_the_nearest_last_even_if_all_are_shown(k: int) -> None:
    model = FunctionModel(complete=lambda _: "yes")
    said = [opinion(f"{i}?", "yes") for i in range(4)]
    near = TableSimilarity(lambda q, d: -abs(int(q[0]) - int(d[0])))
    few = FewShot(generating(model), said, k=k, similarity=near)
    await few.answer([Question("0? again", YES_NO), Question("3? again", YES_NO)])
    assert shown(model) == [["3?", "2?", "1?", "0?"], ["0?", "1?", "2?", "3?"]]


async def test_few_shot_with_one_opinion_needs_no_similarity() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    near = TableSimilarity(lambda *_: 0.0)
    await FewShot(generating(model), [opinion("a?", "yes")], similarity=near).answer([Question("new?", YES_NO)])
    assert (shown(model), near.seen) == ([["a?"]], [])


@pytest.mark.parametrize(("k", "expected"), [(2, ["0?", "1?"]), (9, ["0?", "1?", "2?"])])
async def test_few_shot_without_similarity_shows_the_first(k: int, expected: list[str]) -> None:
    model = FunctionModel(complete=lambda _: "yes")
    await FewShot(generating(model), [opinion(f"{i}?", "yes") for i in range(3)], k=k).answer(
        [Question("new?", YES_NO)]
    )
    assert shown(model) == [expected]


async def test_few_shot_without_opinions_is_the_bare_question() -> None:
    model = FunctionModel(complete=lambda _: "yes")
    await FewShot(generating(model), []).answer([Question("new?", YES_NO)])
    content = model.completion_requests[0].messages[0].content
    assert content.startswith("Question: new?\nChoices: yes | no\nReply with one of the choices only")


def test_few_shot_without_examples_is_refused() -> None:
    with pytest.raises(ValueError, match="k is 0"):
        FewShot(generating(FunctionModel(complete=lambda _: "x")), [], k=0)


def narrow(room: int, *, limit: int | None = None) -> FunctionModel:
    """A model that reads so many characters."""

    def complete(request: CompletionRequest) -> str:
        if len(request.messages[0].content) > room:
            raise ContextLengthError("the prompt is too long", limit=limit)
        return "yes"

    return FunctionModel(complete=complete)


def examples_of(model: FunctionModel) -> str:
    """What the last request shows before its question."""
    return model.completion_requests[-1].messages[0].content.rpartition("Question:")[0]


async def test_few_shot_shows_fewer_examples_if_the_model_reads_no_more() -> None:
    said = [opinion(f"{i}? {'word ' * 40}", "yes") for i in range(8)]
    model = narrow(900)
    (answer,) = await FewShot(generating(model), said, k=8).answer([Question("new?", YES_NO)])
    assert answer.response.answer == "yes"
    assert [f"{i}?" in examples_of(model) for i in range(8)] == [True] * 3 + [False] * 5


async def test_few_shot_keeps_the_nearest_example_to_the_last() -> None:
    said = [opinion(f"{i}? {'word ' * 200}", "yes") for i in range(3)]
    near = TableSimilarity(lambda q, d: -abs(int(q[0]) - int(d[0])))
    model = narrow(700)
    await FewShot(generating(model), said, k=3, similarity=near).answer([Question("2? new", YES_NO)])
    assert "2? word" in examples_of(model)
    assert "1?" not in examples_of(model)
    assert "…" in examples_of(model)


async def test_few_shot_shortens_no_prompt_that_fits() -> None:
    said = [opinion(f"{i}? {'word ' * 40}", "yes") for i in range(2)]
    model = narrow(1000)
    await FewShot(generating(model), said, k=2).answer(
        [Question("new?", YES_NO), Question(f"{'long ' * 120}?", YES_NO)]
    )
    contents = [request.messages[0].content for request in model.completion_requests]
    last = {content.rpartition("Question: ")[2]: content for content in contents}
    assert sorted("1? word" in content for content in last.values()) == [False, True]


async def test_question_alone_that_is_too_long_is_named() -> None:
    with pytest.raises(ContextLengthError, match="a question with its prompt, for the answering model") as caught:
        await FewShot(generating(narrow(10, limit=5)), [opinion("a?", "yes")]).answer([Question("new?", YES_NO)])
    assert caught.value.remedy is not None
    assert caught.value.remedy.setting == "model"


async def test_profile_is_shortened_if_the_model_reads_no_more() -> None:
    user = UserProfile({"Age": "30", "Life": "word " * 600, "Work": "word " * 600})
    model = narrow(1500)
    (answer,) = await profile(generating(model), user).answer([Question("new?", YES_NO)])
    assert answer.response.answer == "yes"
    shown = model.completion_requests[-1].messages[0].content
    assert shown.startswith("A person can be described as follows:\nAge: 30\nLife: word")
    assert "Work: word" in shown
    assert len(model.completion_requests) < 6


async def test_profile_with_too_many_attributes_loses_its_last_ones() -> None:
    user = UserProfile({f"Trait {i}": "rather calm" for i in range(60)})
    model = narrow(600)
    await profile(generating(model), user).answer([Question("new?", YES_NO)])
    shown = model.completion_requests[-1].messages[0].content
    assert "Trait 0: rather calm\nTrait 1: rather calm" in shown
    assert "Trait 59" not in shown


async def test_profile_in_its_shortest_form_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ContextLengthError, match="a question with its prompt"):
        await profile(generating(narrow(10)), UserProfile({"Age": "30"})).answer([Question("new?", YES_NO)])


async def test_instruction_of_few_shot_is_shortened_after_its_examples() -> None:
    model = narrow(300)
    long, short = "Long. " * 200, "Short."
    few = FewShot(generating(model), [opinion("a?", "yes")], instruction=long, shorter=lambda: [short])
    await few.answer([Question("new?", YES_NO)])
    assert examples_of(model).strip() == short


async def test_few_shot_leaves_out_the_farthest_examples_up_to_its_limit() -> None:
    said = [opinion(f"{i}? {'word ' * 40}", "yes") for i in range(8)]
    near = TableSimilarity(lambda q, d: -abs(int(q[0]) - int(d[0])))

    async def examples_within(limit: int | None, similarity: TableSimilarity | None) -> list[bool]:
        model = FunctionModel(complete=lambda _: "yes")
        few = FewShot(generating(model), said, k=8, similarity=similarity, instruction="Go é.", max_prompt_tokens=limit)
        await few.answer([Question("7? new", YES_NO)])
        prompt = examples_of(model).rstrip()
        assert prompt.startswith("Go é.")
        assert limit is None or len(prompt.encode()) <= max(4 * limit, len("Go é.".encode()))
        return [f"{i}? word" in prompt for i in range(8)]

    assert await examples_within(None, near) == [True] * 8
    assert await examples_within(200, near) == [False] * 5 + [True] * 3, "the nearest are kept"
    assert await examples_within(200, None) == [True] * 3 + [False] * 5, "the first are kept"
    assert await examples_within(1, near) == [False] * 8, "the instruction is always kept"


def test_few_shot_with_a_limit_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="max_prompt_tokens is 0"):
        FewShot(generating(FunctionModel(complete=lambda _: "x")), [], max_prompt_tokens=0)
