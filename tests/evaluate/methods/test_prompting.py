"""few-shot tuned by leave-one-out: for as many calls as it may make, and from one opinion too."""

from __future__ import annotations

import pytest

from idiolect import Question, User, UserProfile
from idiolect.errors import BudgetExceededError, ContextLengthError
from idiolect.evaluate.methods.method import Learned
from idiolect.evaluate.methods.prompting import Prompting, TunedFewShot
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest
from tests.evaluate.small_world import bench, case, desk, opinions, said
from tests.methods.people import asked_question


def counting(request: CompletionRequest) -> str:
    """Right where exactly two examples are shown."""
    content = request.messages[-1].content
    dish = int(asked_question(request).split()[4])
    right = opinions("ann", dish, 1)[0].answer
    return right if content.count("Answer: ") == 2 else "none of these"


async def test_tuning_finds_the_number_of_examples_that_is_best() -> None:
    opened = bench(answers=FunctionModel(complete=counting))
    at = desk(opened)
    learned = await TunedFewShot(ks=(4, 2, 1)).learn(case("ann"), at)
    assert (learned.value[1], learned.notes["asked"], learned.notes["score"]) == (2, 6, 1.0)
    assert 6 * 3 < at.meter.calls <= 6 * 3 * 2  # both ways of finding them may find the same


async def test_tuning_stops_at_the_limit_with_what_every_candidate_was_asked() -> None:
    opened = bench(answers=FunctionModel(complete=counting))
    at = desk(opened, limit=15)
    learned = await TunedFewShot(ks=(4, 2, 1)).learn(case("ann"), at)
    assert (learned.value[1], learned.notes["asked"]) == (2, 2), "of the third opinion not everything was asked"
    assert 10 < at.meter.calls <= 15
    with pytest.raises(BudgetExceededError):
        await TunedFewShot(ks=(4, 2, 1)).learn(case("ann"), desk(opened, limit=2))


async def test_one_opinion_leaves_nothing_to_tune_on() -> None:
    opened = bench(answers=FunctionModel(complete=said))
    at = desk(opened)
    learned = await TunedFewShot().learn(case("ann", train=1), at)
    assert (learned.notes["asked"], learned.notes["score"], at.meter.calls) == (0, None, 0)
    respondent = TunedFewShot().examinee(learned, at).respondent
    answers = await respondent.answer([case("ann").asked[0].question])
    assert answers[0].response.answer


async def test_texts_and_profile_of_a_person_without_opinions_are_shortened() -> None:
    def narrow(request: CompletionRequest) -> str:
        if len(request.messages[0].content) > 900:
            raise ContextLengthError("the prompt is too long")
        return "yes"

    model = FunctionModel(complete=narrow, choice_logprobs=lambda r: [0.0] * len(r.choices))
    user = User("ann", UserProfile({"Age": "30"}), texts=tuple(f"text {i} {'word ' * 100}" for i in range(4)))
    examinee = Prompting("few-shot").examinee(Learned(user), desk(bench(answers=model)))
    await examinee.respondent.answer([Question("Well?", ("yes", "no"))])
    shown = model.completion_requests[-1].messages[0].content
    assert "text 0" in shown
    assert "text 1" not in shown
    assert "Age: 30" in shown
