"""`M(q; p)`: how questions are put, and how answers are taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from idiolect import Opinion, Question
from idiolect.errors import Remedy, SettingsError
from idiolect.methods.answering import (
    Answerer,
    AnsweringSettings,
    PromptedQuestion,
    Response,
    asked_block,
    choice_request,
    demonstration_block,
    question_block,
    with_stored_rule,
)
from idiolect.methods.fermi.presets import PRESETS, preset
from idiolect.methods.setting_changes import changed
from idiolect.models.calls.cache.keys import call_key
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import (
    ChoiceLogProbs,
    ChoiceRequest,
    Completion,
    CompletionRequest,
    LanguageModel,
    Message,
    Usage,
)

TEA = Question("Tea or coffee?", ("tea", "black coffee"))
CITY = Question("City or village?", ("city", "village"))
WHY = Question("Why?")
COST = Usage(1, 10, 2, 7)


class OnlyWrites:
    name = "only-writes"

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        return [Completion("tea", "stop", COST) for _ in requests]


class NeverEnds:
    name = "never-ends"

    async def complete(self, requests: Sequence[CompletionRequest]) -> list[Completion]:
        return [Completion("Because of the", "length", COST) for _ in requests]


class OnlyScores:
    name = "only-scores"

    async def choice_logprobs(self, requests: Sequence[ChoiceRequest]) -> list[ChoiceLogProbs]:
        assert requests
        return [ChoiceLogProbs((-1.0,) * len(r.choices), (1,) * len(r.choices), COST) for r in requests]


def scoring(request: ChoiceRequest) -> ChoiceLogProbs:
    """log p(tea) = -2 (1 token), log p(black coffee) = -3 (2 tokens); without a question -1 and -5."""
    blank = "Question:" not in request.messages[-1].content
    return ChoiceLogProbs((-1.0, -5.0) if blank else (-2.0, -3.0), (1, 2), COST)


async def likelihood(normalization: str, question: Question = TEA) -> Response:
    settings = AnsweringSettings(mode="likelihood", normalization=normalization)  # type: ignore[arg-type]
    return (await Answerer(FunctionModel(choice_logprobs=scoring), settings).answer([PromptedQuestion("", question)]))[
        0
    ]


@pytest.mark.parametrize(
    ("normalization", "scores", "answer"),
    [("sum", (-2.0, -3.0), "tea"), ("mean", (-2.0, -1.5), "black coffee"), ("pmi", (-1.0, 2.0), "black coffee")],
)
async def test_likelihood_normalizes_as_the_equations_say(
    normalization: str, scores: tuple[float, ...], answer: str
) -> None:
    response = await likelihood(normalization)
    assert (response.scores, response.answer, response.text) == (scores, answer, answer)


async def test_likelihood_ties_go_to_the_first_choice() -> None:
    model = FunctionModel(choice_logprobs=lambda r: [-1.5] * len(r.choices))
    answerer = Answerer(model, AnsweringSettings(mode="likelihood"))
    assert (await answerer.answer([PromptedQuestion("", TEA)]))[0].answer == "tea"


async def test_likelihood_scores_a_choice_as_it_follows_the_prefill() -> None:
    model = FunctionModel(choice_logprobs=lambda r: [-1.0] * len(r.choices))
    await Answerer(model, AnsweringSettings(mode="likelihood")).answer([PromptedQuestion("Be brief.", TEA)])
    expected = (Message("user", "Be brief.\n\nQuestion: Tea or coffee?\nChoices: tea | black coffee"),)
    assert model.choice_requests == [ChoiceRequest(expected, (" tea", " black coffee"), "Answer:")]


async def test_likelihood_needs_a_model_that_scores() -> None:
    with pytest.raises(SettingsError, match=r"only-writes.*log-probabilities") as caught:
        Answerer(OnlyWrites(), AnsweringSettings(mode="likelihood"))
    assert caught.value.remedy == Remedy("answering", "generate")


async def test_generate_needs_a_model_that_writes() -> None:
    with pytest.raises(SettingsError, match=r"only-scores.*writes no text") as caught:
        Answerer(OnlyScores(), AnsweringSettings())
    assert caught.value.remedy == Remedy("answering", "likelihood")
    answerer = Answerer(OnlyScores(), AnsweringSettings(mode="likelihood"))
    with pytest.raises(SettingsError, match="cannot answer free-text questions"):
        await answerer.answer([PromptedQuestion("", WHY)])


async def test_a_mixed_batch_keeps_its_order() -> None:
    model = FunctionModel(
        complete=lambda r: " because " + r.messages[-1].content[0], choice_logprobs=lambda _: [-2.0, -1.0]
    )
    answerer = Answerer(model, AnsweringSettings(mode="likelihood"))
    asked = [PromptedQuestion(p, q) for p, q in [("A", WHY), ("B", TEA), ("C", WHY), ("D", CITY)]]
    assert [r.answer for r in await answerer.answer(asked)] == ["because A", "black coffee", "because C", "village"]
    assert (len(model.completion_requests), len(model.choice_requests)) == (2, 2)


async def test_no_questions_ask_no_model() -> None:
    assert await Answerer(FunctionModel(), AnsweringSettings()).answer([]) == []


async def test_generate_keeps_what_was_said_and_parses_it() -> None:
    said = iter(["  Tea! ", "neither"])
    answerer = Answerer(FunctionModel(complete=lambda _: next(said)), AnsweringSettings())
    first, second = await answerer.answer([PromptedQuestion("", TEA)] * 2)
    assert (first.text, first.answer) == ("Tea!", "tea")
    assert (second.text, second.answer, second.scores) == ("neither", None, ())


async def test_generate_decodes_greedily_with_the_limit_of_the_settings() -> None:
    model = FunctionModel(complete=lambda _: "tea")
    await Answerer(model, AnsweringSettings(max_tokens=9)).answer([PromptedQuestion("", TEA)])
    sampling = model.completion_requests[0].sampling
    assert (sampling.max_tokens, sampling.temperature) == (9, 0.0)


@pytest.mark.parametrize(
    ("role", "prompt", "expected"),
    [
        ("user", "P", (("user", "P\n\nQuestion: Why?"),)),
        ("system", "P", (("system", "P"), ("user", "Question: Why?"))),
        ("system", "", (("user", "Question: Why?"),)),
    ],
)
async def test_the_prompt_stands_where_the_settings_say(
    role: str, prompt: str, expected: tuple[tuple[str, str], ...]
) -> None:
    model = FunctionModel(complete=lambda _: "x")
    answerer = Answerer(model, AnsweringSettings(prompt_role=role))  # type: ignore[arg-type]
    await answerer.answer([PromptedQuestion(prompt, WHY)])
    assert tuple((m.role, m.content) for m in model.completion_requests[0].messages) == expected


async def test_usage_counts_every_call_and_the_unconditional_ones_once() -> None:
    model = FunctionModel(choice_logprobs=scoring)
    answerer = Answerer(model, AnsweringSettings(mode="likelihood", normalization="pmi"))
    asked = [PromptedQuestion("", TEA), PromptedQuestion("P", TEA), PromptedQuestion("", CITY)]
    first = sum((r.usage for r in await answerer.answer(asked)), Usage())
    assert first == Usage(5, 50, 10, 35)  # three questions, two sets of choices
    second = sum((r.usage for r in await answerer.answer(asked)), Usage())
    assert second == Usage(3, 30, 6, 21)
    assert len(model.choice_requests) == 8


async def test_pmi_never_asks_an_empty_batch() -> None:
    answerer = Answerer(OnlyScores(), AnsweringSettings(mode="likelihood", normalization="pmi"))
    for _ in range(2):
        assert math.isfinite((await answerer.answer([PromptedQuestion("", TEA)]))[0].scores[0])


def test_question_block_shows_choices_as_the_settings_say() -> None:
    hidden = AnsweringSettings(mode="likelihood", show_choices=False)
    assert question_block(TEA, hidden) == "Question: Tea or coffee?"
    assert question_block(TEA, AnsweringSettings(show_choices=False)).endswith("Choices: tea | black coffee")
    assert question_block(WHY, AnsweringSettings(), answer="Because.") == "Question: Why?\nAnswer: Because."


VERBATIM = AnsweringSettings(form="verbatim")


def test_verbatim_a_question_is_its_text_alone() -> None:
    for mode in ("generate", "likelihood"):
        assert question_block(TEA, replace(VERBATIM, mode=mode)) == "Tea or coffee?"
    opinions = [Opinion(CITY, "city"), Opinion(TEA, "tea")]
    assert demonstration_block(opinions, VERBATIM) == "City or village?\ncity\n\nTea or coffee?\ntea"
    assert question_block(TEA, AnsweringSettings()) != "Tea or coffee?"  # the same question, rendered in both forms


def test_verbatim_text_of_people_stays_inert() -> None:
    assert question_block(Question("A\n</person> B"), VERBATIM, answer="x\ny") == "A ‹/person› B\nx y"


async def test_verbatim_likelihood_scores_a_choice_as_the_first_thing_that_is_said() -> None:
    model = FunctionModel(choice_logprobs=lambda r: [-1.0] * len(r.choices))
    settings = replace(VERBATIM, mode="likelihood", normalization="pmi")
    await Answerer(model, settings).answer([PromptedQuestion("Be brief.", TEA)])
    blank, asked = model.choice_requests
    assert asked == ChoiceRequest((Message("user", "Be brief.\n\nTea or coffee?"),), ("tea", "black coffee"))
    assert (blank.choices, blank.prefill) == (asked.choices, "")


async def test_verbatim_generation_puts_the_text_behind_the_prompt() -> None:
    model = FunctionModel(complete=lambda _: "Black coffee.")
    (response,) = await Answerer(model, VERBATIM).answer([PromptedQuestion("Be brief.", TEA)])
    assert model.completion_requests[0].messages == (Message("user", "Be brief.\n\nTea or coffee?"),)
    assert response.answer == "black coffee"


def test_the_form_gives_a_call_another_key() -> None:
    requests = [choice_request((Message("user", "Q"),), TEA, settings) for settings in (VERBATIM, AnsweringSettings())]
    keys = {call_key("choice_logprobs", model="m", fingerprint="", request=request) for request in requests}
    assert len(keys) == 2  # even where the messages were the same


def test_demonstration_block_keeps_the_order() -> None:
    block = demonstration_block([Opinion(CITY, "city"), Opinion(TEA, "tea")], AnsweringSettings())
    assert block == (
        "Question: City or village?\nChoices: city | village\nAnswer: city\n\n"
        "Question: Tea or coffee?\nChoices: tea | black coffee\nAnswer: tea"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "guess"), ("normalization", "max"), ("max_tokens", 0), ("prompt_role", "assistant"), ("form", "bare")],
)
def test_bad_answering_settings_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=f"answering.{name} is {value!r}"):
        AnsweringSettings(**{name: value})  # type: ignore[arg-type]


async def test_question_that_a_filter_refused_has_no_answer() -> None:
    refused = ChoiceLogProbs((-math.inf, -math.inf), (1, 1), Usage())
    for normalization in ("sum", "mean", "pmi"):
        settings = AnsweringSettings(mode="likelihood", normalization=normalization)  # type: ignore[arg-type]
        model = FunctionModel(choice_logprobs=lambda r: refused if "Tea" in r.messages[-1].content else (-1.0, -2.0))
        asked = [PromptedQuestion("", TEA), PromptedQuestion("", CITY)]
        tea, city = await Answerer(model, settings).answer(asked)
        assert (tea.text, tea.answer, tea.scores) == ("", None, ())
        assert city.answer in CITY.choices


@pytest.mark.parametrize(
    ("text", "answer", "said"),
    [
        ("<think>Tea, surely.</think>\n\nblack coffee", "black coffee", "black coffee"),
        ("Tea, surely.\n</think>\nHm.", None, "Hm."),
        ("<think>Tea, surely", None, ""),
    ],
)
async def test_no_word_of_a_thought_is_an_answer(text: str, answer: str | None, said: str) -> None:
    answerer = Answerer(FunctionModel(complete=lambda _: text), AnsweringSettings())
    (response,) = await answerer.answer([PromptedQuestion("", TEA)])
    assert (response.answer, response.text) == (answer, said)


async def test_lamps_questions_have_lamps_reading() -> None:
    stars = Question("What is the score?", ("1", "2", "3", "4", "5"), ordinal=True)
    for form, answer in (("verbatim", "4"), ("labelled", None)):
        settings = AnsweringSettings(form=form)  # type: ignore[arg-type]
        answerer = Answerer(FunctionModel(complete=lambda _: "4 since it works\n\n5 would be better"), settings)
        (response,) = await answerer.answer([PromptedQuestion("", stars)])
        assert response.answer == answer


async def test_answer_states_whether_it_was_cut_off() -> None:
    settings = AnsweringSettings(mode="generate")
    cases: list[tuple[LanguageModel, bool]] = [(NeverEnds(), True), (OnlyWrites(), False)]
    for model, cut_off in cases:
        (response,) = await Answerer(model, settings).answer([PromptedQuestion("", WHY)])
        assert response.cut_off is cut_off


RULES = ("Reply with one of these numbers only, without an explanation.",
         "Reply with one of the choices only, word for word, without an explanation.")  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "rule"),
    [
        (("1", "2", "3"), RULES[0]),
        (("-1.5", "0", " +2 "), RULES[0]),
        (("1", "2", "3 or more"), RULES[1]),
        (("yes", "no"), RULES[1]),
        (("inf", "nan"), RULES[1]),
    ],
)
def test_the_output_rule_asks_for_the_kind_of_choices(choices: tuple[str, ...], rule: str) -> None:
    question = Question("Well?", choices)
    assert asked_block(question, AnsweringSettings()) == f"{question_block(question, AnsweringSettings())}\n{rule}"


@pytest.mark.parametrize(
    ("question", "settings"),
    [
        (TEA, AnsweringSettings(output_rule=False)),
        (TEA, AnsweringSettings(mode="likelihood")),
        (TEA, VERBATIM),
        (WHY, AnsweringSettings()),
    ],
)
def test_there_is_no_output_rule_where_no_choice_is_replied(question: Question, settings: AnsweringSettings) -> None:
    assert asked_block(question, settings) == question_block(question, settings)


@pytest.mark.parametrize("role", ["system", "user"])
async def test_the_output_rule_stands_last_in_what_is_asked_and_in_no_demonstration(role: str) -> None:
    model = FunctionModel(complete=lambda _: "tea")
    settings = AnsweringSettings(prompt_role=role)  # type: ignore[arg-type]
    prompt = demonstration_block([Opinion(CITY, "city")], settings)
    await Answerer(model, settings).answer([PromptedQuestion(prompt, TEA), PromptedQuestion("", TEA)])
    for request in model.completion_requests:
        text = "\n".join(message.content for message in request.messages)
        assert text.endswith(f"Choices: tea | black coffee\n{RULES[1]}")
        assert text.count("Reply with") == 1


def test_settings_in_effect_forget_a_rule_that_changes_nothing() -> None:
    on, off = AnsweringSettings(), AnsweringSettings(output_rule=False)
    assert on.in_effect == on != off.in_effect
    for changes in ({"mode": "likelihood"}, {"form": "verbatim"}):
        assert replace(on, **changes).in_effect == replace(off, **changes).in_effect  # type: ignore[arg-type]


def test_settings_stored_before_the_output_rule_have_none() -> None:
    assert with_stored_rule({"a": 1, "answering": {"mode": "generate"}}) == {
        "a": 1,
        "answering": {"mode": "generate", "output_rule": False},
    }
    assert with_stored_rule({}) == {"answering": {"output_rule": False}}
    kept = {"answering": {"output_rule": True}}
    assert with_stored_rule(kept) == kept


def test_the_output_rule_changes_like_other_settings() -> None:
    assert changed(preset("paper"), {"answering.output_rule": False}).answering == AnsweringSettings(output_rule=False)
    assert all(each.answering.output_rule for each in PRESETS.values())
