"""Records of an evaluation: one line for every answer, and one for every time that a method learned from a person.

    runner → AnswerRecord, LearningRecord → JSON lines → summary → tables, report

An `Arm` is one row of a table: a method with a number of opinions to learn from, either the person's own or somebody
else's (the control). `from_json` ignores unknown fields, which a later version may write, and raises a `KeyError`,
`TypeError` or `ValueError` for values that `to_json` does not produce.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, field
from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter

from idiolect.evaluate.schema import SCHEMA_VERSION, VERSION_KEY
from idiolect.models.language_model import Usage

Control = Literal["own", "another's", "another's of the same kind", "another's of another kind"]
CONTROLS_BY_KIND: tuple[Control, ...] = ("another's of the same kind", "another's of another kind")
"""Controls that learned from somebody of the person's own kind, and of another one; a kind is a group of the task."""
Status = Literal["scored", "unparsed", "not scored"]
_COSTS = ("learning", "answering", "scoring")


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """A method in one of the forms that are compared.

    Args:
        method: name of the method, with changed settings in brackets: "fermi", "fermi[iterations=2]".
        control: "own"; "another's": learned from the next person instead; or, if there are controls by kind, from
            another person of the same kind, or of another kind.
        n_train: number of the first opinions and texts to learn from; None: all.
        answered_by: name of the model that answers, if it is not the one that was learned with; "": the same model.
    """

    method: str
    control: Control = "own"
    n_train: int | None = None
    answered_by: str = ""

    def __str__(self) -> str:
        parts = [self.method]
        parts += [f"{self.n_train} opinions"] if self.n_train is not None else []
        parts += [f"answered by {self.answered_by}"] if self.answered_by else []
        parts += [self.control] if self.control != "own" else []
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class AnswerCost:
    """Cost of one answer: of all requests that it consists of, whether a model or the cache answered them.

    Args:
        calls: number of requests; several if several prompts answer together, 0 if no model is asked.
        prompt_tokens: tokens of these requests, as the model counts them. Each request counts in full, although its
            beginning may have been computed for another one. By likelihood, the tokens of all choices are among them.
        completion_tokens: tokens of the model's replies; 0 by likelihood.
        money: cost in US dollars at the model's price; None if that is unknown; 0 for models in this process.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float | None = 0.0


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer.

    Args:
        arm: arm that answered.
        seed: seed of the method.
        user: id of the person.
        question: key of the question (or text), which is the same for everyone who is asked it.
        index: index among the questions and texts of this user.
        status: "scored"; "unparsed": no answer could be read from the model's text, which counts as wrong or as the
            largest error, depending on the measure; "not scored": there is no answer to judge, for instance because
            nothing could be learned from the person, which is not counted as wrong and is in no mean.
        values: values by measure; empty if not scored.
        reason: why it is not scored, in a few words without people's texts.
        answer: the answer (a choice, or text); None if it could not be read.
        said: the model's text, if it differs from the answer.
        truth: the person's own answer.
        predicted_share: the method's shares of the choices, in order, for questions with a distribution.
        item: the benchmark's own id of the question (LaMP's, OpinionQA's key); "" if it has none.
        logprobs: log-probability of each choice in nat, before it is normalized; empty if the model gave none.
        prompt: messages that the model answered, as `role` and `content`; empty unless prompts are logged.
        cost: its cost; None for a likelihood of a text, if not scored, and in older folders.
    """

    arm: Arm
    seed: int
    user: str
    question: str
    index: int
    status: Status = "scored"
    values: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    answer: str | None = None
    said: str | None = None
    truth: str | None = None
    predicted_share: tuple[float, ...] = ()
    item: str = ""
    logprobs: Mapping[str, float] = field(default_factory=dict)
    prompt: tuple[Mapping[str, str], ...] = ()
    cost: AnswerCost | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with `arm` as its fields."""
        return _as_json(self)

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> AnswerRecord:
        """Return the record from which `to_json` made the line."""
        found = _answers().validate_python(line)
        if not all(map(_is_finite, (*found.values.values(), *found.logprobs.values()))):
            raise ValueError("a value is not a finite number")
        if found.cost is not None and not all(_is_amount(each) for each in astuple(found.cost) if each is not None):
            raise ValueError("not a cost")
        return found


@dataclass(frozen=True, slots=True)
class MethodCost:
    """Cost of learning or answering.

    Args:
        usage: number and tokens of the method's requests, including those answered from the cache; "equal calls" counts
            these requests.
        calls_made: number of requests that reached a model; the others were answered for another method or in an
            earlier run.
        money: cost of the calls made in US dollars; None if a price is unknown; 0 for models in this process.
        seconds: wall time; the first method to ask bears the time for answers that methods share.
        price: price of all requests in US dollars, also of those that reached no model; None if a price is unknown.
    """

    usage: Usage = Usage()
    calls_made: int = 0
    money: float | None = 0.0
    seconds: float = 0.0
    price: float | None = 0.0

    @property
    def calls(self) -> int:
        """Number of the method's requests."""
        return self.usage.calls

    @property
    def tokens(self) -> int:
        """Number of prompt and completion tokens."""
        return self.usage.prompt_tokens + self.usage.completion_tokens

    def __add__(self, other: MethodCost) -> MethodCost:
        return MethodCost(
            self.usage + other.usage,
            self.calls_made + other.calls_made,
            _sum(self.money, other.money),
            self.seconds + other.seconds,
            _sum(self.price, other.price),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values in one flat object."""
        return {
            "calls": self.calls,
            "calls_made": self.calls_made,
            "prompt_tokens": self.usage.prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "money": self.money,
            "seconds": self.seconds,
            "price": self.price,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> MethodCost:
        """Return the cost from which `to_json` made the values; older values have no `price`."""
        counts = [values[name] for name in ("calls", "prompt_tokens", "completion_tokens", "calls_made")]
        money, seconds, price = values["money"], values["seconds"], values.get("price")
        if not all(map(_is_amount, (*counts, seconds, *(each for each in (money, price) if each is not None)))):
            raise ValueError("not a cost")
        return cls(Usage(*counts[:3]), counts[3], money, seconds, price)


@dataclass(frozen=True, slots=True)
class LearningRecord:
    """Cost and facts of learning, for one arm and one person. It is written after all answers of this arm and person.

    Args:
        arm, seed, user: see `AnswerRecord`.
        learning: cost of learning; zero for the control, because the other person's record has it.
        answering: cost of the answers.
        answers: number of answer records that belong to it; if the file has fewer, writing was interrupted.
        used: whether a gate lets the personalization answer; None if the method has no gate.
        notes: facts from the method, JSON values: "layers" (a list of CHAMELEON's diagnostics per layer),
            "scores_by_iteration" (Fermi's best training score after each), "variant", "steps" (of DPO) …
        scoring: the part of `answering` for scores that the method put off until the questions were known.
    """

    arm: Arm
    seed: int
    user: str
    learning: MethodCost = MethodCost()
    answering: MethodCost = MethodCost()
    answers: int = 0
    used: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    scoring: MethodCost = MethodCost()

    @property
    def failed(self) -> bool:
        """Whether the model failed; if so, the next run tries again."""
        return bool(self.notes.get("failed"))

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, with `arm` as its fields."""
        return {**_as_json(self), **{name: getattr(self, name).to_json() for name in _COSTS}}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> LearningRecord:
        """Return the record from which `to_json` made the line."""
        named = [name for name in _COSTS if name != "scoring" or name in line]  # older lines have no `scoring`
        costs = {name: MethodCost.from_json(line[name]) for name in named}
        return _learning().validate_python({**line, **costs})


def _as_json(record: AnswerRecord | LearningRecord) -> dict[str, Any]:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(record).items()}
    return {VERSION_KEY: SCHEMA_VERSION, **values}


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max  # also of integers beyond floats


def _is_amount(value: Any) -> bool:
    return _is_finite(value) and value >= 0


@cache
def _answers() -> TypeAdapter[AnswerRecord]:
    return TypeAdapter(AnswerRecord)


@cache
def _learning() -> TypeAdapter[LearningRecord]:
    return TypeAdapter(LearningRecord)
