"""Methods that prompt with a person's data: no calls for learning, except for "few-shot-tuned".

vanilla         the model without personalization
profile         the person's profile
few-shot        the profile and the k opinions nearest to the question, nearest last, and the first few texts
all-info        the profile, all opinions and all texts, in the same order for all questions and texts
few-shot-tuned  few-shot with k and similarity chosen by leave-one-out on the person's own opinions, with as many calls
                as a learning method may make

Texts are shown as examples of the person's writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from idiolect.errors import BudgetExceededError
from idiolect.evaluate.benchmark import Case
from idiolect.evaluate.methods.bench import Bench, Desk
from idiolect.evaluate.methods.method import Examinee, Learned
from idiolect.methods.alignment import alignment_score
from idiolect.methods.answering import AnsweringSettings, demonstration_block
from idiolect.methods.baselines import FewShot, FixedPrompt, base, profile
from idiolect.methods.profile_prompt import profile_prompt, shorter_profile_prompts
from idiolect.methods.setting_checks import require
from idiolect.methods.shortening import CUTS, cut
from idiolect.methods.templating import render
from idiolect.models.language_model import LanguageModel
from idiolect.models.similarity import Similarity
from idiolect.people.user import Opinion, User

Kind = Literal["vanilla", "profile", "few-shot", "all-info"]
Nearness = Literal["dense", "bm25"]


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


def texts_prompt(user: User, *, most: int) -> str:
    """Return the person's first texts as examples of how they write; "" if there are none."""
    return _written(user.texts[:most]) if user.texts else ""


def _written(texts: Sequence[str]) -> str:
    return render("written_texts.jinja", {"texts": texts})


def _shorter_instructions(user: User, texts: int, settings: AnsweringSettings) -> Iterator[str]:
    """Yield ever shorter instructions: with half as many texts, and so on, with a part of one, and with the profile."""
    who = profile_prompt(user.profile, settings)
    while texts > 1:
        texts //= 2
        yield _joined(_written(user.texts[:texts]), who)
    for most in CUTS if texts else ():
        yield _joined(_written([cut(user.texts[0], most)]), who)
    yield who
    yield from shorter_profile_prompts(user.profile, settings)


def nearness(bench: Bench, name: Nearness) -> Similarity:
    """Return the similarity with a name."""
    return bench.bm25 if name == "bm25" else bench.similarity


@dataclass(frozen=True, slots=True)
class Prompting:
    """The methods that need only a prompt.

    Args:
        kind: kind of prompt.
        k: number of examples for "few-shot".
        nearness: similarity that finds them.
        texts: maximum number of texts.
        max_prompt_tokens: limit on a prompt with examples; see `FewShot`.

    Raises:
        SettingsError: a number is below its minimum.
    """

    kind: Kind
    k: int = 16
    nearness: Nearness = "dense"
    texts: int = 5
    max_prompt_tokens: int | None = None

    def __post_init__(self) -> None:
        require(self.k >= 1, "k", self.k, "at least 1")
        require(self.texts >= 0, "texts", self.texts, "at least 0")
        limit = self.max_prompt_tokens
        require(limit is None or limit >= 1, "max_prompt_tokens", limit, "at least 1, or None for no limit")

    async def learn(self, case: Case, _desk: Desk) -> Learned:
        """Keep the person's data."""
        return Learned(case.user)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return the model with the prompt."""
        return self.prompted(desk.model, learned.value, desk)

    def prompted(self, model: LanguageModel, user: User, desk: Desk) -> Examinee:
        """Return a model of this desk, such as an edited one, with the prompt of a person's data."""
        answerer, answering = desk.answerer_of(model), desk.bench.answering
        if self.kind == "vanilla":
            return Examinee.with_texts(base(answerer), model)
        who = profile_prompt(user.profile, answering) if user.profile else ""
        if self.kind == "profile":
            return Examinee.with_texts(profile(answerer, user.profile), model, prompt=who)
        everything = self.kind == "all-info"
        shown = texts_prompt(user, most=len(user.texts) if everything else self.texts)
        known = demonstration_block(user.opinions, answering) if everything and user.texts else ""
        text_prompt = _joined(who, known, shown)
        instructive = shown if everything or not user.opinions else ""
        instruction = _joined(instructive, profile_prompt(user.profile, answering))
        n_texts = min(len(user.texts), len(user.texts) if everything else self.texts) if instructive else 0
        shorter = partial(_shorter_instructions, user, n_texts, answering)
        if not user.opinions:
            fixed = FixedPrompt(answerer, instruction, shorter=shorter)
            return Examinee.with_texts(fixed, model, prompt=text_prompt)
        near, k = (None, len(user.opinions)) if everything else (nearness(desk.bench, self.nearness), self.k)
        shots = FewShot(
            answerer,
            user.opinions,
            k=k,
            similarity=near,
            instruction=instruction,
            shorter=shorter,
            max_prompt_tokens=self.max_prompt_tokens,
        )
        return Examinee.with_texts(shots, model, prompt=text_prompt)


@dataclass(frozen=True, slots=True)
class TunedFewShot:
    """few-shot at the cost of a method that learns: the best of several candidates by leave-one-out.

    Each of the person's opinions is asked with the others as examples, until the limit on calls. The opinions that
    every candidate was asked decide; ties go to the first candidate.

    Args:
        ks: numbers of examples to try with each similarity, in the order of the candidates.

    Raises:
        SettingsError: there are no numbers, or one is below 1.
    """

    ks: tuple[int, ...] = (16, 8, 4, 2)

    def __post_init__(self) -> None:
        require(bool(self.ks) and min(self.ks) >= 1, "ks", self.ks, "numbers of at least 1")

    async def learn(self, case: Case, desk: Desk) -> Learned:
        """Choose k and the similarity."""
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
        instruction = profile_prompt(user.profile, desk.bench.answering)
        shots = FewShot(desk.answerer, others, k=k, similarity=similarity, instruction=instruction)
        (answer,) = await shots.answer([opinion.question])
        return alignment_score(opinion.question, opinion.answer, answer.response.answer)

    def examinee(self, learned: Learned, desk: Desk) -> Examinee:
        """Return few-shot with the chosen settings."""
        user, k, near = learned.value
        return Prompting("few-shot", k=k, nearness=near).examinee(Learned(user), desk)
