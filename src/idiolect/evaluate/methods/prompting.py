"""Methods that put a prompt in front of every question, and learn nothing that costs a call.

vanilla         the model as it is
profile         the person's profile
few-shot        the profile and the k opinions nearest to the question, nearest last; of texts, the first few
all-info        the profile, all opinions and all texts, in one order for all questions and texts
rag             the nearest items in LaMP's patterns (retrieval-augmented personalization)
few-shot-tuned  few-shot whose k and nearness are chosen by leave-one-out on the person's own opinions, for as many
                calls as a learning method may make

Texts are shown as examples of what the person wrote.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from idiolect.errors import BudgetExceededError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import AskedRespondent, Learned
from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import demonstration_block
from idiolect.methods.baselines import FewShot, FixedPrompt, base, profile
from idiolect.methods.personalization import Answer, Respondent
from idiolect.methods.profile_prompt import profile_prompt
from idiolect.methods.setting_checks import require
from idiolect.methods.templating import render
from idiolect.methods.texts import text_log_likelihoods
from idiolect.models.language_model import ChoiceModel
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, Question, User

Kind = Literal["vanilla", "profile", "few-shot", "all-info"]
Nearness = Literal["dense", "bm25"]


class Prompted:
    """Questions by a respondent, texts by a model under one prompt ("": none)."""

    def __init__(self, respondent: Respondent, model: ChoiceModel, *, text_prompt: str = "") -> None:
        self._respondent, self._model, self._text_prompt = respondent, model, text_prompt

    async def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """One answer a question.

        Raises:
            ModelError, HaltedError: the model could not answer.
        """
        return await self._respondent.answer(questions)

    async def log_likelihoods(self, texts: Sequence[str]) -> list[float]:
        """Nat per token.

        Raises:
            ModelError, HaltedError: the model could not answer.
        """
        return await text_log_likelihoods(texts, self._model, prompt=self._text_prompt)


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def texts_prompt(user: User, *, most: int) -> str:
    """The person's first texts as examples of how they write; "" where there are none."""
    return render("written_texts.jinja", {"texts": user.texts[:most]}) if user.texts else ""


def nearness(bench: Bench, name: Nearness) -> Similarity:
    """The similarity of that name."""
    return bench.bm25 if name == "bm25" else bench.similarity


@dataclass(frozen=True, slots=True)
class Prompting:
    """The methods that need a prompt only.

    Args:
        kind: which.
        k: how many examples "few-shot" shows.
        nearness: how it finds them.
        texts: how many texts are shown at most.

    Raises:
        SettingsError: a number below its least.
    """

    kind: Kind
    k: int = 16
    nearness: Nearness = "dense"
    texts: int = 5

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.texts >= 0, "texts", self.texts, "at least 0")

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """The person themself."""
        del desk
        return Learned(case.user)

    def respondent(self, learned: Learned, desk: Desk) -> AskedRespondent:
        """The model behind the prompt."""
        user: User = learned.value
        if self.kind == "vanilla":
            return Prompted(base(desk.answerer), desk.model)
        who = profile_prompt(user.profile) if user.profile else ""
        if self.kind == "profile":
            return Prompted(profile(desk.answerer, user.profile), desk.model, text_prompt=who)
        everything = self.kind == "all-info"
        shown = texts_prompt(user, most=len(user.texts) if everything else self.texts)
        known = demonstration_block(user.opinions, desk.bench.answering) if everything and user.texts else ""
        text_prompt = _joined(who, known, shown)
        instruction = _joined(shown if everything or not user.opinions else "", profile_prompt(user.profile))
        if not user.opinions:
            return Prompted(FixedPrompt(desk.answerer, instruction), desk.model, text_prompt=text_prompt)
        near, k = (None, len(user.opinions)) if everything else (nearness(desk.bench, self.nearness), self.k)
        shots = FewShot(desk.answerer, user.opinions, k=k, similarity=near, instruction=instruction)
        return Prompted(shots, desk.model, text_prompt=text_prompt)

    def shares_learning(self, bench: Bench) -> Hashable:
        """With nobody: there is nothing to share."""
        del bench
        return None


@dataclass(frozen=True, slots=True)
class TunedFewShot:
    """few-shot at the cost of a method that learns: the best of several, by leave-one-out on the person's opinions.

    Each opinion is asked with the others as examples; what is tried stops at the limit on calls, and what was asked of
    every candidate by then decides. On ties, the first candidate.

    Args:
        ks: numbers of examples to try, with each nearness, widest apart first.

    Raises:
        SettingsError: no numbers, or one below 1.
    """

    ks: tuple[int, ...] = (16, 8, 4, 2)

    def __post_init__(self) -> None:
        require(bool(self.ks) and min(self.ks) >= 1, "ks", self.ks, "numbers of at least 1")

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Chooses k and the nearness."""
        candidates = [(k, near) for k in self.ks for near in ("dense", "bm25")]
        totals = dict.fromkeys(candidates, 0.0)
        asked = 0
        try:
            for index, opinion in enumerate(case.user.opinions if len(case.user.opinions) > 1 else ()):
                others = (*case.user.opinions[:index], *case.user.opinions[index + 1 :])
                scores = [await self._score(each, opinion, others, case.user, desk) for each in candidates]
                for candidate, score in zip(candidates, scores, strict=True):
                    totals[candidate] += score
                asked += 1
        except BudgetExceededError as error:
            if error.owner is None or asked == 0:
                raise
        k, near = max(candidates, key=lambda candidate: totals[candidate])
        notes = {"k": k, "nearness": near, "asked": asked, "score": totals[k, near] / asked if asked else None}
        return Learned((case.user, k, near), notes=notes)

    async def _score(
        self, candidate: tuple[int, str], opinion: Opinion, others: Sequence[Opinion], user: User, desk: Desk
    ) -> float:
        k, near = candidate
        similarity = desk.bench.bm25 if near == "bm25" else desk.bench.similarity
        shots = FewShot(desk.answerer, others, k=k, similarity=similarity, instruction=profile_prompt(user.profile))
        (answer,) = await shots.answer([opinion.question])
        return alignment_score(opinion.question, opinion.answer, answer.response.answer)

    def respondent(self, learned: Learned, desk: Desk) -> AskedRespondent:
        """few-shot as chosen."""
        user, k, near = learned.value
        return Prompting("few-shot", k=k, nearness=near).respondent(Learned(user), desk)

    def shares_learning(self, bench: Bench) -> Hashable:
        """With nobody."""
        del bench
        return None
