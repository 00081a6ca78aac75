"""One person of the demo: learn from 20 answers, then let every method answer the questions that were kept back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from idiolect.application.fermi import FermiLearner
from idiolect.cli.progress import UsersProgress
from idiolect.evaluate.measures import Judgement, judge_all
from idiolect.methods.baselines import FewShot, FrequentAnswer, base
from idiolect.methods.fermi.personalization import FermiPersonalization
from idiolect.methods.fermi.retrieval import RetrievalOfPrompt
from idiolect.methods.personalization import Answer, Progress, Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.models.language_model import Usage
from idiolect.people.splits import Split, split_opinions
from idiolect.people.user import User

N_TRAIN = 20
N_ASKED = 8
PERSONALIZED = "personalized"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came out for one person.

    Args:
        user: who.
        split: what was learned from, and what was asked about.
        learned: the prompts, with the scores that answering needed.
        answers: to the held-out questions, by method, in the order of presentation.
        learning: cost of learning; answering: of all methods' answers to the held-out questions.
        seconds: all of it.
    """

    user: User
    split: Split
    learned: FermiPersonalization
    answers: Mapping[str, list[Answer]]
    learning: Usage
    answering: Usage
    seconds: float

    def scores(self, method: str) -> list[Judgement]:
        """Return the judgements of the method's answers."""
        return judge_all(self.split.test, self.answers[method], ("accuracy", "mae"))


async def try_person(learner: FermiLearner, user: User, progress: UsersProgress) -> Trial:
    """Learn, and answer.

    Raises:
        ModelError: a model could not answer.
        PersonalizationError: the person has too few answers.
    """
    start = time.perf_counter()
    split = split_opinions(user, n_train=N_TRAIN)
    split = Split(split.train, split.test[:N_ASKED])
    known = User(user.id, user.profile, split.train)  # nothing of what is kept back
    learned = await learner.learn(known, observer=progress.observe)
    learning = learned.answering + learned.optimizing
    personalized = learner.respondent(learned)
    assert isinstance(personalized, RetrievalOfPrompt), "the preset demo has no gate"
    answerer = learner.answerer(user.id)
    who = profile_prompt(user.profile, answerer.settings)
    methods: dict[str, Respondent] = {
        "base": base(answerer),
        # As good as the nearest 16 (docs/results/fermi-food.md), and its prefix is shared by all questions.
        "few-shot": FewShot(answerer, split.train, k=N_TRAIN, instruction=who),
        "own mode": FrequentAnswer(split.train),
        PERSONALIZED: personalized,
    }
    questions = [opinion.question for opinion in split.test]
    answers: dict[str, list[Answer]] = {}
    for done, (name, respondent) in enumerate(methods.items()):
        stage = f"answering {len(questions)} questions: {name}"
        progress.observe(Progress(user.id, stage, done, len(methods), learned.best.score, learning))
        answers[name] = await respondent.answer(questions)
    after = personalized.personalization
    scoring = after.answering - learned.answering
    answering = sum((answer.usage for given in answers.values() for answer in given), scoring)
    return Trial(user, split, after, answers, learning, answering, time.perf_counter() - start)
