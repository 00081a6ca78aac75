"""The method lamp-rag: LaMP's own prompts, from the nearest items of a history."""

from __future__ import annotations

from dataclasses import replace

import pytest

from idiolect import Opinion, Question, User
from idiolect.errors import ContextLengthError, Remedy, SettingsError
from idiolect.evaluate.benchmark import Benchmark, Case
from idiolect.evaluate.metering import Meter
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import EvaluatedMethod
from idiolect.evaluate.methods.table import METHODS
from idiolect.methods.answering import AnsweringSettings
from idiolect.methods.fermi.settings import FermiSettings
from idiolect.models.calls.budget import Budget
from idiolect.models.calls.model import Calls, Source
from idiolect.models.calls.turns import Turns
from idiolect.models.doubles import FunctionModel
from idiolect.models.language_model import CompletionRequest, Message
from idiolect.people.lamp_forms import CITATIONS, MOVIES, RATINGS, TWEETS

REVIEWS = {"A blue pen.": "1", "A long novel about whales.": "5", "Soap that smells.": "2", "Whales on a poster.": "3"}
HISTORY = tuple(Opinion(RATINGS.asking_about(text), score) for text, score in REVIEWS.items())
ASKED = RATINGS.asking_about("A book about whales.")
READER = User("reader", opinions=HISTORY)


def bench_of(task: str, user: User, asked: Question, answer: str, *, said: str = "5.0") -> tuple[Bench, FunctionModel]:
    model = FunctionModel("double", complete=lambda _: said, choice_logprobs=lambda r: [-1.0] * len(r.choices))
    source = Source(model, "double")
    benchmark = Benchmark(task, (Case(user, (Opinion(asked, answer),)),), ("accuracy",), form="verbatim")
    return Bench(benchmark, AnsweringSettings(), source, source, Calls(Budget(), Turns(1)), FermiSettings()), model


def lamp_rag(**overrides: object) -> EvaluatedMethod:
    return METHODS["lamp-rag"].make(tuple((name, str(value)) for name, value in overrides.items()))


async def asked_with(method: EvaluatedMethod, bench: Bench, model: FunctionModel) -> tuple[str, str | None]:
    """What the model was shown, and the answer."""
    (case,) = bench.benchmark.cases
    desk = Desk(bench, case.user.id, 0, Meter(case.user.id))
    examinee = method.examinee(await method.learn(case, desk), desk)
    (answer,) = await examinee.respondent.answer([opinion.question for opinion in case.asked])
    (request,) = model.completion_requests
    (message,) = request.messages
    assert message.role == "user"
    assert desk.meter.calls == 1
    return message.content, answer.response.answer


async def test_the_nearest_items_stand_before_the_input_in_lamps_words() -> None:
    shown, answer = await asked_with(lamp_rag(k=2), *bench_of("lamp-3", READER, ASKED, "5"))
    assert shown == (
        '5 is the score for "A long novel about whales.", and 3 is the score for "Whales on a poster.". ' + ASKED.text
    )
    assert answer == "5"


async def test_four_items_are_shown_and_cut_to_the_setting() -> None:
    long = User("long", opinions=tuple(Opinion(RATINGS.asking_about(f"{'word ' * 40}{i}"), "2") for i in range(9)))
    shown, _ = await asked_with(lamp_rag(max_chars=30), *bench_of("lamp-3", long, ASKED, "5"))
    assert shown.count("2 is the score for") == 4
    assert f'"{"word " * 5}word"' in shown


async def test_no_instruction_is_searched_for() -> None:
    # Every review shares these words with the instruction; none shares one with the item.
    same = [Opinion(RATINGS.asking_about(f"just answer the following review {i}"), "1") for i in range(5)]
    user = User("u", opinions=(*same, Opinion(RATINGS.asking_about("On whales"), "4")))
    shown, _ = await asked_with(lamp_rag(k=1), *bench_of("lamp-3", user, RATINGS.asking_about("Whales!"), "5"))
    assert shown.startswith('4 is the score for "On whales". What is')


async def test_what_is_asked_is_never_shown_with_its_answer() -> None:
    user = User("u", opinions=(*HISTORY, Opinion(RATINGS.asking_about("a BOOK about  whales."), "5")))
    shown, _ = await asked_with(lamp_rag(), *bench_of("lamp-3", user, ASKED, "5"))
    assert "BOOK" not in shown
    only = User("u", opinions=user.opinions[-1:])
    shown, _ = await asked_with(lamp_rag(), *bench_of("lamp-3", only, ASKED, "5"))
    assert shown == ASKED.text


async def test_texts_are_shown_where_lamp_shows_texts() -> None:
    asked = Question(
        'For an author who has written the paper with the title "Deep nets", which reference is related? Just answer '
        'with [1] or [2] without explanation. [1]: "Wide nets" [2]: "Cooking"',
        CITATIONS.labels,
    )
    author = User("a", texts=("Of soups\nWe cook.", "On trees\nWe climb."))
    shown, answer = await asked_with(lamp_rag(k=1), *bench_of("lamp-1", author, asked, "[1]", said="[1]."))
    assert shown.startswith('For an author who has written the paper with the title, and "Of soups" "Deep nets", which')
    assert answer == "[1]"
    writer, tweet = User("w", texts=("so tired lol",)), TWEETS.question(f"{TWEETS.instruction} I rest.")
    shown, answer = await asked_with(lamp_rag(), *bench_of("lamp-7", writer, tweet, "resting", said="I rest, lol"))
    assert shown == f'"so tired lol" are written by a person. Following the given patterns {tweet.text}'
    assert answer == "I rest, lol"


async def test_movies_have_their_tags() -> None:
    viewer = User("v", opinions=(Opinion(MOVIES.asking_about("A ship in space."), "sci-fi"),))
    asked = MOVIES.asking_about("Robots in space.")
    shown, _ = await asked_with(lamp_rag(), *bench_of("lamp-2", viewer, asked, "sci-fi", said="Sci-Fi"))
    assert shown == f'the tag for the movie: "A ship in space." is "sci-fi". {asked.text}'


async def test_likelihood_scores_choices_behind_the_same_prompt() -> None:
    bench, model = bench_of("lamp-3", READER, ASKED, "5")
    desk = Desk(bench_with_likelihood(bench), "reader", 0, Meter("reader"))
    method = lamp_rag(k=1)
    examinee = method.examinee(await method.learn(bench.benchmark.cases[0], desk), desk)
    await examinee.respondent.answer([ASKED])
    (request,) = model.choice_requests
    assert request.messages == (Message("user", f'5 is the score for "A long novel about whales.". {ASKED.text}'),)
    assert (request.choices, request.prefill) == (ASKED.choices, "")


def bench_with_likelihood(bench: Bench) -> Bench:
    return Bench(
        bench.benchmark, AnsweringSettings(mode="likelihood"), bench.model, bench.optimizer, bench.calls, bench.fermi
    )


def test_other_tasks_are_refused_before_anything_is_asked() -> None:
    key = METHODS["lamp-rag"].learning_key
    assert key is not None
    bench, model = bench_of("people", READER, ASKED, "5")
    with pytest.raises(SettingsError, match="lamp-rag has only the prompts of LaMP's tasks, and people is not one"):
        key((), bench)
    scoreless, _ = bench_of("lamp-3", User("t", texts=("A pen.",)), ASKED, "5")
    with pytest.raises(SettingsError, match="quotes people's answers to the items of lamp-3") as refused:
        key((), scoreless)
    assert refused.value.remedy == Remedy("history", "opinions")
    rated, _ = bench_of("lamp-3", READER, ASKED, "5")
    assert key((), rated) != key((("k", "2"),), rated)
    assert model.completion_requests == []


@pytest.mark.parametrize("wrong", [{"k": 0}, {"max_chars": 19}, {"nearness": "random"}, {"k": "many"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        lamp_rag(**wrong)


async def test_it_says_nothing_of_texts() -> None:
    bench, _ = bench_of("lamp-3", READER, ASKED, "5")
    desk = Desk(bench, "reader", 0, Meter("reader"))
    examinee = lamp_rag().examinee(await lamp_rag().learn(bench.benchmark.cases[0], desk), desk)
    assert examinee.log_likelihoods is None


async def test_fewer_items_are_shown_if_the_model_reads_no_more() -> None:
    def narrow(request: CompletionRequest) -> str:
        if len(request.messages[0].content) > 700:
            raise ContextLengthError("the prompt is too long")
        return "5.0"

    long = User("long", opinions=tuple(Opinion(RATINGS.asking_about(f"{'word ' * 40}{i}"), "2") for i in range(9)))
    bench, _ = bench_of("lamp-3", long, ASKED, "5")
    model = FunctionModel("double", complete=narrow, choice_logprobs=lambda r: [-1.0] * len(r.choices))
    source = Source(model, "double")
    at = Desk(replace(bench, model=source, optimizer=source), "long", 0, Meter("long"))
    method, (case,) = lamp_rag(), bench.benchmark.cases
    (answer,) = await method.examinee(await method.learn(case, at), at).respondent.answer([ASKED])
    shown = [request.messages[0].content.count("2 is the score for") for request in model.completion_requests]
    assert answer.response.answer == "5"
    assert shown[0] == 4
    assert 1 <= shown[-1] <= 2
